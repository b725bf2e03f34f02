"""Where articles, figures and finished rows come from.

`open_source` opens a source of articles, which is an `ArticleSource`: a `Bucket` in the layout of PMC's, `Packages`
(old archives) or `JatsFiles` (bare XML). `released` reads the files that the LLaVA-Med authors published, `benchmarks`
the files of VQA-RAD, SLAKE and PathVQA.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from llavamed_data.errors import UsageError
from llavamed_data.sources.article import ArticleSource, HasETags, ReportsFetches, SourceArticle
from llavamed_data.sources.article_choice import ArticleChoice, ArticleList
from llavamed_data.sources.bucket import Bucket
from llavamed_data.sources.jats_files import JatsFiles
from llavamed_data.sources.locations import PMC_CLOUD
from llavamed_data.sources.packages import Packages
from llavamed_data.sources.sample import corpus_path

__all__ = [
    "PMC_CLOUD",
    "ArticleChoice",
    "ArticleList",
    "ArticleSource",
    "Bucket",
    "HasETags",
    "JatsFiles",
    "Packages",
    "ReportsFetches",
    "SourceArticle",
    "open_source",
]

FORMS = "sample, pmc-cloud, a folder, s3://BUCKET, https://MIRROR, packages:PATH or jats:PATH"
"""What `open_source` takes, for messages."""


def open_source(
    spec: str, *, licenses: Iterable[str] | None = None, historical_ocr: bool = False
) -> ArticleSource:
    """Opens a source of articles.

    Args:
        spec: `sample`; `pmc-cloud`; a folder, `file:`, `s3://` or `https://` address in the layout of the PMC bucket;
            `packages:PATH`; `jats:PATH`.
        licenses: take only articles under these licences (`metadata.LICENSES`).
        historical_ocr: take also articles whose text OCR has read from scans of old journals.

    Raises:
        UsageError: there is no such source, or it is of another kind than `spec` says.
    """
    scheme, colon, rest = spec.partition(":")
    if not spec.strip():
        raise UsageError(f"the source is empty: use {FORMS}")
    if spec == "sample":
        return Bucket(corpus_path(), name="sample", licenses=licenses, historical_ocr=historical_ocr)
    if spec == "pmc-cloud":
        return Bucket(PMC_CLOUD, licenses=licenses, historical_ocr=historical_ocr)
    if scheme == "released":
        raise UsageError(
            f"{spec} holds finished rows, not articles: `build` takes it, with --images where it needs them"
        )
    if scheme in ("packages", "jats") and colon:
        if not rest:
            raise UsageError(f"{scheme}: names no place: use {scheme}:PATH")
        if licenses:
            raise UsageError(f"{scheme}: sources do not state licences beforehand: leave --license out")
        if historical_ocr:
            raise UsageError(
                f"{scheme}: sources do not tell historical articles apart: leave --historical-ocr out"
            )
        return Packages(rest) if scheme == "packages" else JatsFiles(rest)
    if re.fullmatch(r"[a-z-]{2,}:(?!//).*", spec) and scheme != "file" and not Path(spec).exists():
        raise UsageError(f"{spec}: unknown kind of source {scheme}: (use {FORMS})")
    return Bucket(spec, licenses=licenses, historical_ocr=historical_ocr)

"""The options of a build, with their defaults: those that the command line has."""

from dataclasses import dataclass, field
from pathlib import Path

from llavamed_data.instruct import GenerationOptions


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """The options of a build.

    Attributes:
        source: `sample`, a folder or URL in the bucket's layout, `jats:PATH`, `packages:PATH`, `released:PATH`; for a
            benchmark its folder, one of its files, a repository of the Hub, or `hub`.
        images: for `released:` sources: a folder of images, or a bucket in PMC's layout (`pmc-cloud`, folder, URL); for
            a benchmark: a folder or ZIP archive of images, if they are not beside its files.
        image_urls: file that states which PMC package held each image; the one beside the rows if None.
        out: folder for the datasets: `<out>/<recipe>`.
        work: folder for the outputs of the steps; a rerun uses those that are complete.
        seed: of the sample of figures and of the phrasings.
        size: number of figures, in place of the recipe's own.
        limit: read at most this many articles.
        pmcids: a file of PMCIDs: read only these articles.
        query: a search of PMC: read only the articles that it finds.
        licenses: read only articles under these licences (`cc0`, `cc-by`, …); all if empty.
        historical_ocr: also read articles whose text OCR has read from scans of old journals.
        keep_eval_articles: do not leave the evaluation set's articles out of the training sets.
        keep_without_image: keep evaluation questions whose image is lost.
        language: of a benchmark's questions: `en`, `zh` or `all`; the benchmark's first if None.
        all_phrases: keep the training rows of VQA-RAD that the paper leaves out.
        original: folder of a benchmark's original files, to add the answer types that a copy lacks.
        update: read only articles that have changed since the last build, and repeat the search of `query`.
        decisions: a file of reviewers' decisions, which are followed.
        flags: a file for the scores of the judge, as flags for `review`.
        writing: how the conversations are generated.
    """

    source: str = "sample"
    images: str | None = None
    image_urls: str | None = None
    out: Path = Path("llava-med")
    work: Path = Path(".llavamed")
    seed: int = 0
    size: int | None = None
    limit: int | None = None
    pmcids: Path | None = None
    query: str | None = None
    licenses: tuple[str, ...] = ()
    historical_ocr: bool = False
    keep_eval_articles: bool = False
    keep_without_image: bool = False
    language: str | None = None
    all_phrases: bool = False
    original: str | None = None
    update: bool = False
    decisions: Path | None = None
    flags: Path | None = None
    writing: GenerationOptions = field(default_factory=GenerationOptions)

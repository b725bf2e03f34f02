"""How to build: every choice that the command line offers, with its default."""

from dataclasses import dataclass, field
from pathlib import Path

from llavamed_data.instruct import GenerationOptions


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """How to build.

    Attributes:
        source: `sample`, a folder or URL in the bucket's layout, `jats:PATH`, `packages:PATH`, `released:PATH`; for a
            benchmark its folder, one of its files, a repository of the Hub, or `hub`.
        images: for `released:` sources: a folder of images, or a bucket in PMC's layout (`pmc-cloud`, folder, URL); for
            a benchmark: a folder or ZIP archive of images, where they do not lie beside its files.
        image_urls: file that says which PMC package held each image; the one beside the rows where None.
        out: datasets go to `<out>/<recipe>`.
        work: stations' outputs go here; a rerun uses what is whole.
        seed: chooses the sample and the phrasings.
        size: figures wanted, in place of the recipe's own number.
        limit: read at most this many articles.
        pmcids: a file of PMCIDs: read only these articles.
        query: a search of PMC: read only the articles that it finds.
        licenses: draw only from articles under these licences (`cc0`, `cc-by`, …); all where empty.
        keep_eval_articles: do not leave the evaluation set's articles out of the training sets.
        keep_without_image: keep evaluation questions whose image is lost.
        language: of a benchmark's questions: `en`, `zh` or `all`; the benchmark's first where None.
        all_phrases: keep the training rows of VQA-RAD that the paper leaves out.
        original: where a benchmark's original files lie, to join the answer types that a copy lost.
        update: read only articles that have changed since the last build, and search again where there is a query.
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
    keep_eval_articles: bool = False
    keep_without_image: bool = False
    language: str | None = None
    all_phrases: bool = False
    original: str | None = None
    update: bool = False
    writing: GenerationOptions = field(default_factory=GenerationOptions)

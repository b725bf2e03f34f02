"""The command `build`: from a source to datasets."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from llavamed_data.console.command_line import print_json
from llavamed_data.console.options import (
    EngineFlag,
    EngineName,
    MaxCost,
    PricesFile,
    RayAddress,
    RequestsPerMinute,
    RequestTimeout,
    Slurm,
    TokensPerMinute,
    option,
)

Quiet = Annotated[bool, option("--quiet", help="No progress and no tables.")]
AsJson = Annotated[bool, option("--json", help="Print the summary as JSON.")]
DatasetArgument = Annotated[str, typer.Argument(help="A dataset's folder, or a Hub repository (ORG/NAME).")]
Work = Annotated[
    Path, option(help="Folder for the outputs of the steps; a rerun uses those that are complete.")
]
Source = Annotated[
    str,
    option(
        help="sample | a folder or URL in PMC's bucket layout | jats:PATH | packages:PATH | released:PATH"
    ),
]
BuildSource = Annotated[
    str,
    option(
        help="sample | a folder or URL in PMC's bucket layout | jats:PATH | packages:PATH | released:PATH; for a "
        "benchmark: PATH | OWNER/NAME on the Hub | hub"
    ),
]
Limit = Annotated[int | None, option(min=1, help="Read at most this many articles.", show_default=False)]
Pmcids = Annotated[
    Path | None, option(help="File of PMCIDs, one a line: read only these articles.", show_default=False)
]
Query = Annotated[
    str | None, option(help="Search of PMC: read only the articles that it finds.", show_default=False)
]
HistoricalOcr = Annotated[
    bool,
    option(
        "--historical-ocr",
        help="Also read articles of PMC's bucket that OCR has read from journals of the 18th to 20th century.",
    ),
]
Workers = Annotated[int | None, option(min=1, help="Tasks that run at a time.", show_default="one a core")]
Size = Annotated[
    int | None, option(min=1, help="Number of figures, in place of the recipe's.", show_default=False)
]
CleaningRulesFile = Annotated[
    Path | None,
    option(
        help="YAML file of cleaning rules of your own, applied after the built-in ones.", show_default=False
    ),
]
FewShots = Annotated[
    Path | None,
    option(help="YAML file of few-shot examples, in place of the built-in ones.", show_default=False),
]


def build(
    recipes: Annotated[
        list[str] | None,
        typer.Argument(
            help="alignment-600k | 10k | 60k | 60k-im | eval, or a YAML file of your own; or a benchmark: vqa-rad | "
            "slake | path-vqa",
            show_default="the first five",
        ),
    ] = None,
    source: BuildSource = "sample",
    images: Annotated[
        str | None,
        option(
            help="For released:PATH: a folder of images, or pmc-cloud | s3://… | https://…; for a benchmark: a folder "
            "or ZIP of images that do not lie beside its files",
            show_default=False,
        ),
    ] = None,
    image_urls: Annotated[
        str | None,
        option(
            help="File with the addresses of the released images.", show_default="the one beside the rows"
        ),
    ] = None,
    out: Annotated[Path, option(help="Folder for the datasets: OUT/RECIPE.")] = Path("llava-med"),
    work: Work = Path(".llavamed"),
    seed: Annotated[int, option(help="Seed of the sample of figures and of the phrasings.")] = 0,
    size: Size = None,
    limit: Limit = None,
    pmcids: Pmcids = None,
    query: Query = None,
    license: Annotated[  # noqa: A002  (the flag's name)
        str, option(help="Read only articles under these licences: cc0,cc-by,…", show_default="all")
    ] = "",
    historical_ocr: HistoricalOcr = False,
    keep_eval_articles: Annotated[
        bool,
        option(
            "--keep-eval-articles", help="Do not leave the articles of the eval set out of the training sets."
        ),
    ] = False,
    keep_without_image: Annotated[
        bool, option("--keep-without-image", help="For eval: keep questions whose image is lost.")
    ] = False,
    language: Annotated[
        str | None,
        option(
            help="Language of a benchmark's questions: en | zh | all (zh: slake alone).", show_default="en"
        ),
    ] = None,
    all_phrases: Annotated[
        bool,
        option(
            "--all-phrases",
            help="For vqa-rad: keep the training rows of the phrase type that the paper leaves out.",
        ),
    ] = False,
    original: Annotated[
        str | None,
        option(
            help="A benchmark's original files, to add the answer types that its copy on the Hub lacks.",
            show_default=False,
        ),
    ] = None,
    generator: Annotated[
        str,
        option(
            help="What writes the conversations: offline | openai | openai-batch (half price, up to 24 h)."
        ),
    ] = "offline",
    model: Annotated[
        str | None, option(help="The LLM, by its name on the server.", show_default=False)
    ] = None,
    base_url: Annotated[
        str | None, option(help="Address of an OpenAI-compatible server.", show_default="OpenAI's own")
    ] = None,
    few_shots: FewShots = None,
    prices: PricesFile = None,
    rpm: RequestsPerMinute = None,
    tpm: TokensPerMinute = None,
    max_cost: MaxCost = None,
    timeout: RequestTimeout = 600.0,
    cleaning_rules: CleaningRulesFile = None,
    drop_unseen_facts: Annotated[
        bool, option("--drop-unseen-facts", help="Drop rounds whose answer states what no image shows.")
    ] = False,
    judge: Annotated[
        str | None,
        option(
            help="Second model, which scores how well each conversation rests on its text.",
            show_default=False,
        ),
    ] = None,
    best: Annotated[
        int | None,
        option(min=1, help="Keep only the N conversations that the judge scores best.", show_default=False),
    ] = None,
    engine: EngineFlag = EngineName.LOCAL,
    workers: Workers = None,
    ray_address: RayAddress = None,
    slurm: Slurm = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Build datasets that stock load_dataset reads.

    Example: python -m llavamed_data build 60k-im --source packages:/data/pmc
    """
    from llavamed_data.cli.tables import show_build
    from llavamed_data.console.progress import progress_bars
    from llavamed_data.engine.open import open_engine
    from llavamed_data.instruct import GenerationOptions
    from llavamed_data.pipeline.builds.build import build as run
    from llavamed_data.pipeline.builds.options import BuildOptions

    options = BuildOptions(
        source=source,
        images=images,
        image_urls=image_urls,
        out=out,
        work=work,
        seed=seed,
        size=size,
        limit=limit,
        pmcids=pmcids,
        query=query,
        licenses=tuple(name for name in license.split(",") if name.strip()),
        historical_ocr=historical_ocr,
        keep_eval_articles=keep_eval_articles,
        keep_without_image=keep_without_image,
        language=language,
        all_phrases=all_phrases,
        original=original,
        writing=GenerationOptions(
            generator=generator,
            model=model,
            base_url=base_url,
            few_shots=few_shots,
            prices=prices,
            rpm=rpm,
            tpm=tpm,
            timeout=timeout,
            max_cost=max_cost,
            cleaning_rules=cleaning_rules,
            drop_unseen_facts=drop_unseen_facts,
            judge=judge,
            best=best,
        ),
    )
    with progress_bars(quiet=quiet or as_json) as on_progress:
        opened = open_engine(
            engine, workers=workers, ray_address=ray_address, slurm=slurm, on_progress=on_progress
        )
        summary = run(recipes or (), options, opened)
    if as_json:
        print_json(summary.to_dict())
    elif not quiet:
        show_build(summary, Console())

"""The commands that read a source: `build`, `extract`, `update` and `estimate`."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from llavamed_data.commands.values import engine_of, folder_of, licenses_of, path_of, text_of
from llavamed_data.console.options import EngineName, check_call
from llavamed_data.console.progress import ProgressCallback
from llavamed_data.engine.engine import Engine
from llavamed_data.errors import UsageError

if TYPE_CHECKING:
    from llavamed_data.instruct import ConversationEstimate
    from llavamed_data.pipeline.builds.options import BuildOptions
    from llavamed_data.pipeline.builds.summary import BuildSummary


def build(
    recipes: str | Path | Iterable[str | Path] | None = None,
    options: "BuildOptions | None" = None,
    engine: Engine | EngineName | str | None = EngineName.LOCAL,
    *,
    source: str | Path = "sample",
    images: str | Path | None = None,
    image_urls: str | Path | None = None,
    out: str | Path = Path("llava-med"),
    work: str | Path = Path(".llavamed"),
    seed: int = 0,
    size: int | None = None,
    limit: int | None = None,
    pmcids: str | Path | None = None,
    query: str | None = None,
    license: str | Iterable[str] | None = None,  # noqa: A002  (the flag's name)
    historical_ocr: bool = False,
    keep_eval_articles: bool = False,
    keep_without_image: bool = False,
    language: str | None = None,
    all_phrases: bool = False,
    original: str | Path | None = None,
    generator: str = "offline",
    model: str | None = None,
    base_url: str | None = None,
    few_shots: str | Path | None = None,
    prices: str | Path | None = None,
    rpm: float | None = None,
    tpm: float | None = None,
    max_cost: float | None = None,
    timeout: float = 600.0,
    cleaning_rules: str | Path | None = None,
    drop_unseen_facts: bool = False,
    judge: str | None = None,
    best: int | None = None,
    decisions: str | Path | None = None,
    flags: str | Path | None = None,
    workers: int | None = None,
    ray_address: str | None = None,
    slurm: str | Sequence[str] | None = None,
    on_progress: ProgressCallback | None = None,
) -> "BuildSummary":
    """Build datasets that stock load_dataset reads.

    Args:
        recipes: alignment-600k | 10k | 60k | 60k-im | eval, or a YAML file of your own; or a benchmark: vqa-rad |
            slake | path-vqa, or of multiple choice: pmc-vqa | pmc-vqa-2 | mmmu-medical | medxpertqa-mm | omni-medvqa |
            medframeqa | pathmmu
        options: the same options as one object, in place of the keywords from `source` to `flags`.
        engine: What runs the work: local | ray | slurm; the output is the same.
        source: sample | pmc-cloud | a folder, s3:// or https:// address in PMC's bucket layout | jats:PATH |
            packages:PATH | released:PATH; for a benchmark: PATH | OWNER/NAME on the Hub | hub
        images: For released:PATH: a folder of images, or pmc-cloud | s3://… | https://…; for a benchmark: a folder or
            ZIP of images that do not lie beside its files
        image_urls: File with the addresses of the released images.
        out: Folder for the datasets: OUT/RECIPE.
        work: Folder for the outputs of the steps; a rerun uses those that are complete.
        seed: Seed of the sample of figures and of the phrasings.
        size: Number of figures, in place of the recipe's.
        limit: Read at most this many articles.
        pmcids: File of PMCIDs, one a line: read only these articles.
        query: Search of PMC: read only the articles that it finds.
        license: Read only articles under these licences: cc0,cc-by,…
        historical_ocr: Also read articles of PMC's bucket that OCR has read from journals of the 18th to 20th century.
        keep_eval_articles: Do not leave the articles of the eval set out of the training sets.
        keep_without_image: For eval from released:PATH: keep questions whose image is lost.
        language: Language of a benchmark's questions: en | zh | all (zh: slake alone).
        all_phrases: For vqa-rad: keep the training rows of the phrase type that the paper leaves out.
        original: A benchmark's original files, to add the answer types that its copy on the Hub lacks.
        generator: What writes the conversations: offline | openai | openai-batch (half price, up to 24 h).
        model: The LLM, by its name on the server.
        base_url: Address of an OpenAI-compatible server.
        few_shots: YAML file of few-shot examples, in place of the built-in ones.
        prices: YAML file of prices in place of the built-in ones.
        rpm: Requests a minute, at most.
        tpm: Tokens a minute, at most.
        max_cost: Dollars; the run stops before it would cost more.
        timeout: Seconds that one request to an LLM may take; the first answer of a local model may take minutes.
        cleaning_rules: YAML file of cleaning rules of your own, applied after the built-in ones.
        drop_unseen_facts: Drop rounds whose answer states what no image shows.
        judge: Second model, which scores how well each conversation rests on its text.
        best: Keep only the N conversations that the judge scores best.
        decisions: File of reviewers' decisions, as `review` writes it: rows are edited, dropped and given domains.
        flags: File for the scores of the judge, as flags for `review`.
        workers: Tasks that run at a time.
        ray_address: HOST:PORT of a Ray cluster.
        slurm: A long option of sbatch, such as partition=cpu or time=04:00:00; may be given many times.
        on_progress: called with what is being done, how much of it is done, and of how much.

    Returns:
        What was done, step by step and dataset by dataset.

    Raises:
        UsageError: a recipe, source, path or combination of options is wrong.
        LlavaMedError: nothing could be built, the disk is full, or another build uses the work folder.
    """
    check_call(build, locals())
    from llavamed_data.instruct import GenerationOptions
    from llavamed_data.pipeline.builds.build import build as run
    from llavamed_data.pipeline.builds.options import BuildOptions

    if isinstance(options, str | Path):
        raise UsageError(f'build takes several recipes as one list: build(["{recipes}", "{options}"])')
    if options is not None and not isinstance(options, BuildOptions):
        raise UsageError(f"options takes BuildOptions or None, not {type(options).__name__}")
    stated = BuildOptions(
        source=str(source),
        images=text_of(images),
        image_urls=text_of(image_urls),
        out=folder_of(out),
        work=folder_of(work),
        seed=seed,
        size=size,
        limit=limit,
        pmcids=path_of(pmcids),
        query=query,
        licenses=licenses_of(license),
        historical_ocr=historical_ocr,
        keep_eval_articles=keep_eval_articles,
        keep_without_image=keep_without_image,
        language=language,
        all_phrases=all_phrases,
        original=text_of(original),
        decisions=path_of(decisions),
        flags=path_of(flags),
        writing=GenerationOptions(
            generator=generator,
            model=model,
            base_url=base_url,
            few_shots=path_of(few_shots),
            prices=path_of(prices),
            rpm=rpm,
            tpm=tpm,
            timeout=timeout,
            max_cost=max_cost,
            cleaning_rules=path_of(cleaning_rules),
            drop_unseen_facts=drop_unseen_facts,
            judge=judge,
            best=best,
        ),
    )
    if options is not None and stated != BuildOptions():
        raise UsageError("build takes its options as keywords or as one BuildOptions: give one of the two")
    names = [recipes] if isinstance(recipes, str | Path) else list(recipes or ())
    return run(names, options or stated, engine_of(engine, workers, ray_address, slurm, on_progress))


def extract(
    source: str | Path,
    out: str | Path,
    *,
    work: str | Path = Path(".llavamed"),
    limit: int | None = None,
    pmcids: str | Path | None = None,
    query: str | None = None,
    historical_ocr: bool = False,
    engine: Engine | EngineName | str | None = EngineName.LOCAL,
    workers: int | None = None,
    ray_address: str | None = None,
    slurm: str | Sequence[str] | None = None,
    on_progress: ProgressCallback | None = None,
) -> "BuildSummary":
    """Write the figures, captions and inline mentions of articles to a Parquet file.

    Args:
        source: sample | pmc-cloud | a folder, s3:// or https:// address in PMC's bucket layout | jats:PATH |
            packages:PATH
        out: Parquet file of pairs, one row a figure.
        work: Folder for the outputs of the steps; a rerun uses those that are complete.
        limit: Read at most this many articles.
        pmcids: File of PMCIDs, one a line: read only these articles.
        query: Search of PMC: read only the articles that it finds.
        historical_ocr: Also read articles of PMC's bucket that OCR has read from journals of the 18th to 20th century.
        engine: What runs the work: local | ray | slurm; the output is the same.
        workers: Tasks that run at a time.
        ray_address: HOST:PORT of a Ray cluster.
        slurm: A long option of sbatch, such as partition=cpu or time=04:00:00; may be given many times.
        on_progress: called with what is being done, how much of it is done, and of how much.

    Returns:
        What was done with articles and figures. `OUT.dropped.parquet` beside the pairs lists what was dropped.

    Raises:
        UsageError: the source or the place of `out` is wrong.
        LlavaMedError: the source cannot be read, or another build uses the work folder.
    """
    check_call(extract, locals())
    from llavamed_data.pipeline.builds.pairs import extract_to_file
    from llavamed_data.sources import ArticleChoice

    return extract_to_file(
        str(source),
        folder_of(out),
        work=folder_of(work),
        limit=limit,
        choice=ArticleChoice(path_of(pmcids), query),
        historical_ocr=historical_ocr,
        engine=engine_of(engine, workers, ray_address, slurm, on_progress),
    )


def update(
    work: str | Path = Path(".llavamed"),
    *,
    source: str | Path | None = None,
    engine: Engine | EngineName | str | None = EngineName.LOCAL,
    workers: int | None = None,
    ray_address: str | None = None,
    slurm: str | Sequence[str] | None = None,
    on_progress: ProgressCallback | None = None,
) -> "list[BuildSummary]":
    """Rebuild the datasets of a work folder; only articles that have changed are read again.

    Args:
        work: Folder for the outputs of the steps; a rerun uses those that are complete.
        source: Rebuild only what was built from this source.
        engine: What runs the work: local | ray | slurm; the output is the same.
        workers: Tasks that run at a time.
        ray_address: HOST:PORT of a Ray cluster.
        slurm: A long option of sbatch, such as partition=cpu or time=04:00:00; may be given many times.
        on_progress: called with what is being done, how much of it is done, and of how much.

    Returns:
        One summary for all datasets that were built in the same way.

    Raises:
        UsageError: nothing was built there from articles, or not from `source`.
        LlavaMedError: as `build`.
    """
    check_call(update, locals())
    from llavamed_data.pipeline.builds.update import update as run

    opened = engine_of(engine, workers, ray_address, slurm, on_progress)
    return run(folder_of(work), source=text_of(source), engine=opened)


@overload
def estimate(
    recipe: str | Path,
    model: str,
    *,
    source: str | Path = ...,
    work: str | Path = ...,
    size: int | None = ...,
    limit: int | None = ...,
    few_shots: str | Path | None = ...,
    prices: str | Path | None = ...,
    rpm: float | None = ...,
    tpm: float | None = ...,
    dry_run: Literal[False] = ...,
) -> "ConversationEstimate": ...


@overload
def estimate(
    recipe: str | Path,
    model: str,
    *,
    source: str | Path = ...,
    work: str | Path = ...,
    size: int | None = ...,
    limit: int | None = ...,
    few_shots: str | Path | None = ...,
    prices: str | Path | None = ...,
    rpm: None = ...,
    tpm: None = ...,
    dry_run: Literal[True],
) -> list[dict[str, Any]]: ...


def estimate(
    recipe: str | Path,
    model: str,
    *,
    source: str | Path = "sample",
    work: str | Path = Path(".llavamed"),
    size: int | None = None,
    limit: int | None = None,
    few_shots: str | Path | None = None,
    prices: str | Path | None = None,
    rpm: float | None = None,
    tpm: float | None = None,
    dry_run: bool = False,
) -> "ConversationEstimate | list[dict[str, Any]]":
    """Count the tokens, US dollars and hours that a recipe's conversations take.

    Args:
        recipe: 10k | 60k | 60k-im, or a YAML file of your own.
        model: The LLM, by its name in the price table.
        source: sample | pmc-cloud | a folder, s3:// or https:// address in PMC's bucket layout | jats:PATH |
            packages:PATH
        work: Folder for the outputs of the steps; a rerun uses those that are complete.
        size: Number of figures, in place of the recipe's.
        limit: Read at most this many articles.
        few_shots: YAML file of few-shot examples, in place of the built-in ones.
        prices: YAML file of prices in place of the built-in ones.
        rpm: Requests a minute, at most.
        tpm: Tokens a minute, at most.
        dry_run: Print the first three requests as they would be sent.

    Returns:
        The estimate; with `dry_run` the first three requests, which are plain JSON values.

    Raises:
        UsageError: the recipe asks no model, or the model or its prices are not known.
        LlavaMedError: the model's encoding cannot be had.
    """
    check_call(estimate, locals())
    from llavamed_data.instruct import GenerationOptions
    from llavamed_data.pipeline.builds.estimate import estimate_recipe, first_requests
    from llavamed_data.pipeline.builds.options import BuildOptions

    if dry_run and (rpm or tpm):
        raise UsageError(f"--{'rpm' if rpm else 'tpm'} does nothing with --dry-run: leave one of them out")
    generation = GenerationOptions(
        generator="openai",
        model=model,
        few_shots=path_of(few_shots),
        prices=path_of(prices),
        rpm=rpm,
        tpm=tpm,
    )
    options = BuildOptions(
        source=str(source),
        work=folder_of(work),
        size=size,
        limit=limit,
        writing=generation,
    )
    return first_requests(str(recipe), options) if dry_run else estimate_recipe(str(recipe), options)

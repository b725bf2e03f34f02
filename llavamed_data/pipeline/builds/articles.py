"""Builds datasets from articles: extract → select → acquire → converse → assemble, as section 3 of the paper has it."""

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from llavamed_data.console.printable import counted
from llavamed_data.dataset.messages import messages, provenance
from llavamed_data.errors import UsageError
from llavamed_data.instruct.conversation import Generator
from llavamed_data.instruct.generation import open_generation
from llavamed_data.io.parquet import read_rows
from llavamed_data.pipeline.builds.ending import Build, finish, recipe_card
from llavamed_data.pipeline.builds.history import record_build
from llavamed_data.pipeline.builds.options import BuildOptions
from llavamed_data.pipeline.builds.summary import BuildSummary
from llavamed_data.pipeline.steps.acquire import Acquired, acquire
from llavamed_data.pipeline.steps.assemble import Record
from llavamed_data.pipeline.steps.converse import CAPTION, FIGURE_COLUMNS, Conversed, converse
from llavamed_data.pipeline.steps.extract import Extracted, earlier_facts, extract
from llavamed_data.pipeline.steps.image_store import ImageStore
from llavamed_data.pipeline.steps.select import ExcludedArticles, Selected, select
from llavamed_data.recipes import EVAL, Recipe, Task, load_recipe
from llavamed_data.review.flags import read_flags, write_flags
from llavamed_data.sources import ArticleChoice, ArticleSource, HasETags, open_source
from llavamed_data.sources.released import released_eval_pmids

EVAL_ARTICLES_KEPT = (
    "Articles of an evaluation set drawn from the same source were not left out (`--keep-eval-articles`)."
)
"""The sentence that the card of a training set with articles of the evaluation set has."""


def build_from_articles(recipes: Sequence[Recipe], build: Build) -> BuildSummary:
    """Builds each recipe from a source of articles; see `build`.

    The evaluation set's figures are acquired first, so that no training set takes from their articles. All training
    sets are then selected in one pass.
    """
    options = build.options
    options.writing.check()
    source = ArticleWork(build)
    extracted = source.extract()
    recipes = [source.sized(recipe) for recipe in recipes]
    acquired: dict[str, Acquired] = {}
    selected: dict[str, Selected] = {}
    eval_articles: frozenset[str] = frozenset()
    if not options.keep_eval_articles:
        evaluation = load_recipe(EVAL)
        selected |= source.select([evaluation], extracted, excluded=None)
        acquired[EVAL] = source.acquire(evaluation, selected[EVAL])
        rows = read_rows([acquired[EVAL].file], ["pmcid", "pmid"])
        eval_articles = frozenset(name for row in rows for name in row.values() if name)
    training = [recipe for recipe in recipes if recipe.name != EVAL]
    excluded = ExcludedArticles(eval_articles, released_eval_pmids())
    selected |= source.select(training, extracted, excluded=excluded)
    if EVAL not in selected:
        selected |= source.select(
            [recipe for recipe in recipes if recipe.name == EVAL], extracted, excluded=None
        )
    for recipe in recipes:
        if recipe.name not in acquired:
            acquired[recipe.name] = source.acquire(recipe, selected[recipe.name])
        source.write(recipe, selected[recipe.name], acquired[recipe.name])
    built = {each.name for each in build.summary.datasets if each.folder}
    record_build(options, [recipe for recipe in recipes if recipe.name in built])
    return build.summary


class ArticleWork:
    """One source of articles and its folder in the work folder: the steps of a build, with their places.

    Attributes:
        build: the run.
        source: where articles come from.
        source_date: ISO date of what has been extracted, if the source states one.
        folder: where the outputs of the steps are.
    """

    def __init__(self, build: Build) -> None:
        options = build.options
        self.build = build
        self.source = open_source(
            options.source, licenses=options.licenses or None, historical_ocr=options.historical_ocr
        )
        self.source_date: str | None = None
        self._choice = ArticleChoice(options.pmcids, options.query)
        self.folder = source_folder(self.source, options, self._choice)
        self._articles = self._choice.articles(self.folder, search_again=options.update)
        build.summary.notes.extend(self._choice.shortage(self._articles, self.folder))

    def extract(self) -> Extracted:
        """Reads the articles."""
        options = self.build.options
        earlier = earlier_facts(self.folder / "extract").get("source_state")
        extracted = extract(
            self.source,
            self.folder / "extract",
            limit=options.limit,
            articles=self._articles,
            update=options.update,
            engine=self.build.engine,
        )
        self.build.summary.record("extract", extracted)
        self.source_date = extracted.facts["source_date"]
        if earlier not in (None, extracted.facts["source_state"]) and not options.update:
            advice = " (`update` reads only those that changed)" if isinstance(self.source, HasETags) else ""
            self.build.summary.notes.append(
                f"{options.source} has changed since an earlier run, so its articles were read again{advice}"
            )
        if options.update and extracted.manifest.skipped:
            self.build.summary.notes.append(
                "nothing has changed since the last run: no article was read again"
            )
        elif options.update:
            count = extracted.facts["unchanged"]
            were = "was" if count == 1 else "were"
            unchanged = f"{counted(count, 'article')} had not changed and {were} not read again"
            self.build.summary.notes.append(unchanged)
        return extracted

    def sized(self, recipe: Recipe) -> Recipe:
        """The recipe at the size that the user wants; the evaluation set keeps its own."""
        size = self.build.options.size
        return dataclasses.replace(recipe, size=size) if size and recipe.name != EVAL else recipe

    def select(
        self, recipes: Sequence[Recipe], extracted: Extracted, *, excluded: ExcludedArticles | None
    ) -> dict[str, Selected]:
        """Ranks the candidates of the recipes."""
        folders = {self.folder / recipe.name / "select": recipe for recipe in recipes}
        return select(folders, extracted, seed=self.build.options.seed, excluded=excluded)

    def acquire(self, recipe: Recipe, selected: Selected) -> Acquired:
        """Fetches the images of a recipe's figures."""
        store = ImageStore(self.folder / "images" / self.source.images_version(), self.source)
        return acquire(
            recipe, selected, store, self.folder / recipe.name / "acquire", engine=self.build.engine
        )

    def write(self, recipe: Recipe, selected: Selected, acquired: Acquired) -> None:
        """Writes the conversations of a recipe's figures and assembles its dataset."""
        options, summary = self.build.options, self.build.summary
        folder = self.folder / recipe.name
        with open_generation(recipe, options.writing, options.work, options.seed) as generation:
            conversed = converse(recipe, acquired, generation, folder / "converse", seed=options.seed)
        if answers := generation.answers_summary():
            summary.notes.append(f"{recipe.name}: {answers}")
        if options.flags and generation.judge:
            summary.notes.append(_write_scores(recipe.name, conversed, options.flags))
        if rules := conversed.facts["rules"]:
            touched = ", ".join(f"{rule} {count:,}" for rule, count in rules.items())
            summary.notes.append(f"{recipe.name}: cleaning rules touched {touched}")
        for name, output in (("select", selected), ("acquire", acquired), ("converse", conversed)):
            summary.record(name, output, dataset=recipe.name)
        figures = conversed.kept("figures")
        shortage = _shortage(recipe, selected, acquired, figures, self.build.options.limit)
        generator = generation.generator
        card = recipe_card(
            self.build,
            recipe,
            source=self.source.name,
            source_date=self.source_date,
            generator=CAPTION if recipe.converse.task is Task.CAPTION else generator.name,
            model=generator.model,
            rules=rules,
            shortage=shortage,
            notes=self._notes(recipe),
        )
        records = partial(self._records, recipe, conversed, generator)
        finish(
            self.build,
            recipe.name,
            {recipe.split: records} if figures else {},
            schema=recipe.schema,
            card=card,
            images=acquired,
            inputs=[conversed.digest(), self.source.name],
            work=folder,
            shortage=shortage,
        )

    def _notes(self, recipe: Recipe) -> list[str]:
        notes = self._choice.note(self._articles)
        if recipe.base:
            notes.append(f"The recipe is not one of the paper's: it varies `{recipe.base}`.")
        if recipe.name != EVAL and self.build.options.keep_eval_articles:
            notes.append(EVAL_ARTICLES_KEPT)
        return notes

    def _records(self, recipe: Recipe, conversed: Conversed, generator: Generator) -> Iterator[Record]:
        """The rows of the dataset, each with the file of its image."""
        store = conversed.acquired.store
        for number, (figure, conversation) in enumerate(conversed.rows()):
            locator = figure["image"]
            yield Record(
                self._row(recipe, generator, figure, conversation, number),
                image=store.path(locator),
                image_name=locator.partition("?")[0].rsplit("/", 1)[-1].rsplit("#", 1)[-1],
                image_bytes=figure["image_bytes"],
                image_digest=figure["image_digest"],
            )

    def _row(
        self,
        recipe: Recipe,
        generator: Generator,
        figure: dict[str, Any],
        conversation: dict[str, Any],
        number: int,
    ) -> dict[str, Any]:
        row = {name: figure[name] for name in FIGURE_COLUMNS} | {
            "id": figure["pair_id"],
            "messages": messages((turn["question"], turn["answer"]) for turn in conversation["rounds"]),
            "provenance": provenance(
                recipe.name,
                self.source.name,
                self.source_date,
                conversation["generator"],
                model=conversation["model"],
                versions=generator.versions if conversation["generator"] != CAPTION else None,
            ),
        }
        if recipe.name == EVAL:
            row |= {
                "id": f"{row['id']}-q{number}",
                "question_id": number,
                "question_type": conversation["question_type"],
            }
        return row


def _write_scores(name: str, conversed: Conversed, flags: Path) -> str:
    """Writes the judge's scores to the file of flags; returns what to say of it."""
    try:
        found = read_flags([conversed.scores_file]) if conversed.scores_file.exists() else None
    except UsageError:
        found = None
    if found is None:
        return f"{name}: the judge's scores of an earlier run were not kept; remove {conversed.folder} to ask again"
    count = write_flags(flags, (flag for each in found.values() for flag in each))
    return f"{name}: {counted(count, 'score')} of the judge in {flags}"


def _shortage(recipe: Recipe, selected: Selected, acquired: Acquired, figures: int, limit: int | None) -> str:
    """Why there are fewer figures than the recipe wants, or ""."""
    if figures >= recipe.size:
        return ""
    why, found = list[str](), acquired.kept("figures")
    if recipe.select.article_share and found == selected.size < recipe.size:
        few = f"so few articles (--limit {limit:,}) give" if limit else "a small source gives"
        why.append(f"{few} at most one eligible article in {recipe.select.article_share}")
    elif found < recipe.size:
        holder = f"the first {limit:,} articles (--limit) have" if limit else "the source has"
        why.append(f"{holder} no more {recipe.select.unit}")
    if figures < found:
        why.append(
            f"{counted(found - figures, 'conversation')} {'was' if found - figures == 1 else 'were'} dropped"
        )
    return f"{figures:,} of {recipe.size:,}: {', and '.join(why)}"


def source_folder(source: ArticleSource, options: BuildOptions, choice: ArticleChoice) -> Path:
    """The folder of a source in the work folder: two sources, or two ways to read one, never share it."""
    way = (source.identity, options.limit, choice.identity)
    digest = hashlib.sha256(repr(way).encode()).hexdigest()
    return options.work / f"{source.name}-{digest[:8]}"

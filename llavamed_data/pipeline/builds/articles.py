"""Builds datasets from articles: extract → select → acquire → converse → assemble."""

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from llavamed_data.dataset.messages import messages, provenance
from llavamed_data.engine.local import Engine
from llavamed_data.instruct.conversation import Generator
from llavamed_data.instruct.generation import open_writer
from llavamed_data.io.parquet import read_rows
from llavamed_data.pipeline.builds.card import card_of
from llavamed_data.pipeline.builds.history import remember
from llavamed_data.pipeline.builds.options import BuildOptions
from llavamed_data.pipeline.builds.summary import BuildSummary, Built
from llavamed_data.pipeline.steps.acquire import acquire
from llavamed_data.pipeline.steps.assemble import Record, assemble
from llavamed_data.pipeline.steps.converse import CAPTION, converse
from llavamed_data.pipeline.steps.extract import extract, pair_files
from llavamed_data.pipeline.steps.image_store import Shelf
from llavamed_data.pipeline.steps.select import OVERDRAW, select
from llavamed_data.pipeline.steps.step import Manifest, fingerprint
from llavamed_data.reasons import Reason
from llavamed_data.recipes import EVAL, Recipe, Task, load_recipe
from llavamed_data.sources.base import ArticleSource
from llavamed_data.sources.chosen_articles import Choice
from llavamed_data.sources.open import open_source
from llavamed_data.sources.released import released_eval_pmids


def build_from_articles(recipes: Sequence[Recipe], options: BuildOptions, engine: Engine) -> BuildSummary:
    """Builds each recipe from a source of articles; see `build`."""
    options.writing.check()
    source = open_source(options.source, licenses=options.licenses or None)
    work = ArticleBuild(source, options, engine)
    work.extract()
    if not options.keep_eval_articles:
        work.set_eval_articles_aside()
    for recipe in recipes:
        work.build(work.sized(recipe))
    remember(options, [built.name for built in work.summary.datasets if built.folder])
    return work.summary


class ArticleBuild:
    """One source and its work folder."""

    def __init__(self, source: ArticleSource, options: BuildOptions, engine: Engine) -> None:
        self.source = source
        self.options = options
        self.engine = engine
        self.summary = BuildSummary()
        self.choice = Choice(options.pmcids, options.query)
        self.folder = source_folder(
            options.work,
            source,
            options.source,
            licenses=options.licenses,
            limit=options.limit,
            choice=self.choice.name,
        )
        self.articles = self.choice.articles(self.folder, search_again=options.update)
        self.shelf = Shelf(self.folder / "images" / source.images_version())
        self.eval_articles: frozenset[str] = frozenset()
        self.drawn: dict[str, tuple[Manifest, Manifest]] = {}

    def extract(self) -> None:
        """Reads the articles; must come first."""
        folder = self.folder / "extract"
        self.extracted = extract(
            self.source,
            folder,
            limit=self.options.limit,
            articles=self.articles,
            update=self.options.update,
            engine=self.engine,
        )
        self.summary.record("extract", self.extracted)
        if self.options.update:
            unchanged = self.extracted.facts["unchanged"]
            self.summary.notes.append(f"{unchanged:,} articles had not changed and were not read again")
        self.pairs = pair_files(folder)

    def set_eval_articles_aside(self) -> None:
        """Draws the evaluation set's figures first, so that no training set takes from their articles."""
        self.drawn[EVAL] = self._draw(load_recipe(EVAL))
        rows = read_rows([self.folder / EVAL / "acquire" / "acquired.parquet"], ["pmcid", "pmid"])
        self.eval_articles = frozenset(name for row in rows for name in (row["pmcid"], row["pmid"]) if name)

    def sized(self, recipe: Recipe) -> Recipe:
        """The recipe at the size that the user wants; the evaluation set keeps its own."""
        size = self.options.size
        return dataclasses.replace(recipe, size=size) if size and recipe.name != EVAL else recipe

    def build(self, recipe: Recipe) -> None:
        """Draws, writes and assembles one dataset."""
        selected, acquired = self.drawn.get(recipe.name) or self._draw(recipe)
        folder = self.folder / recipe.name
        pairs = folder / "acquire" / "acquired.parquet"
        seed = self.options.seed
        with open_writer(recipe, self.options.writing, self.options.work, seed) as writer:
            said = converse(recipe, pairs, acquired.digest(), writer, folder / "converse", seed=seed)
        generator = writer.generator
        if account := writer.account():
            self.summary.notes.append(f"{recipe.name}: {account}")
        if rules := said.facts["rules"]:
            touched = ", ".join(f"{rule} {count:,}" for rule, count in rules.items())
            self.summary.notes.append(f"{recipe.name}: cleaning rules touched {touched}")
        for manifest in (selected, acquired, said):
            self.summary.record(manifest.station, manifest, dataset=recipe.name)
        shortage = _shortage(recipe, selected, said.tallies["figures"].kept)
        if not said.tallies["figures"].kept:
            self.summary.datasets.append(Built(recipe.name, None, recipe.split, shortage=shortage))
            return
        card = partial(
            card_of,
            recipe,
            source=self.source.name,
            source_date=self.source.date,
            generator=CAPTION if recipe.converse.task is Task.CAPTION else generator.name,
            model=generator.model,
            rules=said.facts["rules"],
            shortage=shortage,
            steps=self.summary.steps_of(recipe.name),
            notes=self._notes(recipe),
        )
        assembled = assemble(
            partial(self._records, recipe, generator),
            self.options.out / recipe.name,
            schema=recipe.schema,
            split=recipe.split,
            card=card,
            fingerprint=fingerprint("assemble", recipe.name, said.digest(), self.source.name, shortage),
            manifest=folder / "assemble.json",
            acquired=folder / "acquire" / "manifest.json",
        )
        self.summary.record("assemble", assembled, dataset=recipe.name)
        out = self.options.out / recipe.name
        self.summary.datasets.append(
            Built(recipe.name, out, recipe.split, shortage=shortage, **assembled.facts)
        )

    def select(self, recipe: Recipe, overdraw: float = OVERDRAW) -> Manifest:
        """Ranks the recipe's candidates; `candidates` is where they lie."""
        aside = self.eval_articles if recipe.name != EVAL else None
        return select(
            recipe,
            self.pairs,
            self.extracted.digest(),
            self.folder / recipe.name / "select",
            seed=self.options.seed,
            excluded=partial(_excluded, aside),
            excluded_digest=fingerprint(sorted(aside) if aside is not None else None),
            overdraw=overdraw,
        )

    def candidates(self, recipe: Recipe) -> Path:
        """The file that `select` leaves."""
        return self.folder / recipe.name / "select" / "ranked.parquet"

    def _draw(self, recipe: Recipe) -> tuple[Manifest, Manifest]:
        """Selects and acquires; looks further down the ranking where too many images turn out unsound."""
        overdraw = OVERDRAW
        while True:
            selected = self.select(recipe, overdraw)
            acquired = acquire(
                recipe,
                self.candidates(recipe),
                self.pairs,
                selected.digest(),
                self.source,
                self.shelf,
                self.folder / recipe.name / "acquire",
                size=selected.facts["size"],
                engine=self.engine,
            )
            if acquired.tallies["figures"].kept >= selected.facts["size"] or not selected.facts["cut"]:
                return selected, acquired
            overdraw *= 4

    def _notes(self, recipe: Recipe) -> list[str]:
        notes = self.choice.note(self.articles)
        if recipe.name != EVAL and self.options.keep_eval_articles:
            notes.append(
                "Articles of an evaluation set drawn from the same source were not left out "
                "(`--keep-eval-articles`)."
            )
        return notes

    def _records(self, recipe: Recipe, generator: Generator) -> Iterator[Record]:
        """Joins conversations to their pairs: both lie in the same order."""
        folder = self.folder / recipe.name
        pairs = read_rows([folder / "acquire" / "acquired.parquet"])
        pair: Mapping[str, Any] = {"pair_id": None}
        for number, said in enumerate(read_rows([folder / "converse" / "conversations.parquet"])):
            while pair["pair_id"] != said["pair_id"]:
                pair = next(pairs)
            yield self._record(recipe, generator, pair, said, number)

    def _record(
        self,
        recipe: Recipe,
        generator: Generator,
        pair: Mapping[str, Any],
        said: Mapping[str, Any],
        number: int,
    ) -> Record:
        columns = ("domain", "caption", "inline_mentions", "figure_label", "pmcid", "pmid", "license")
        row = {name: pair[name] for name in columns} | {
            "id": pair["pair_id"],
            "messages": messages((turn["question"], turn["answer"]) for turn in said["rounds"]),
            "provenance": provenance(
                recipe.name,
                self.source.name,
                self.source.date,
                said["generator"],
                model=said["model"],
                generator=generator if said["generator"] != CAPTION else None,
            ),
        }
        if recipe.name == EVAL:
            row |= {
                "id": f"{row['id']}-q{number}",
                "question_id": number,
                "question_type": said["question_type"],
            }
        locator = pair["image"]
        return Record(
            row,
            image=self.shelf.path(locator),
            image_name=locator.partition("?")[0].rsplit("/", 1)[-1].rsplit("#", 1)[-1],
            image_bytes=pair["image_bytes"],
            image_digest=pair["image_digest"],
        )


def _excluded(eval_articles: frozenset[str] | None, pmcid: str | None, pmid: str | None) -> Reason | None:
    """Why a training set may not draw from an article; the evaluation set itself (None) may draw from any."""
    if eval_articles is None:
        return None
    if pmcid in eval_articles or pmid in eval_articles:
        return Reason.EVAL_ARTICLE
    return Reason.RELEASED_EVAL_ARTICLE if pmid in released_eval_pmids() else None


def _shortage(recipe: Recipe, selected: Manifest, figures: int) -> str:
    if figures >= recipe.size:
        return ""
    if recipe.select.article_share and figures == selected.facts["size"]:
        why = f"a small source gives at most one eligible article in {recipe.select.article_share}"
    else:
        why = f"the source has no more {recipe.select.unit}"
    return f"{figures:,} of {recipe.size:,}: {why}"


def source_folder(
    work: Path,
    source: ArticleSource,
    spec: str,
    *,
    licenses: Sequence[str] = (),
    limit: int | None = None,
    choice: str = "",
) -> Path:
    """The sub-folder of a source: two sources, or two ways to read one, never share it.

    Args:
        work: the work folder.
        source: the source itself.
        spec: as the user named it.
        licenses, limit: how it is read.
        choice: where the list of articles comes from (`ChosenArticles.name`).
    """
    scheme, _, path = spec.rpartition(":")
    named = spec if "://" in spec else f"{scheme}:{Path(path).absolute()}"
    way = (named, sorted(licenses), limit, *filter(None, (choice,)))
    digest = hashlib.sha256(repr(way).encode()).hexdigest()
    return work / f"{source.name}-{digest[:8]}"

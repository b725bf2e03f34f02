"""What every build ends with: the dataset's folder with its card, and its part of the summary."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hub_cards import CROISSANT_FILE, DatasetCard, StepCounts, render_croissant, render_dataset_card
from llavamed_data.dataset.schema import features
from llavamed_data.engine import Engine
from llavamed_data.pipeline.builds.options import BuildOptions
from llavamed_data.pipeline.builds.reviewed import follow_decisions, review_notes
from llavamed_data.pipeline.builds.summary import BuildSummary, Built, SplitCounts, SummaryLine
from llavamed_data.pipeline.steps.assemble import ImageChangedError, Records, Written, assemble
from llavamed_data.pipeline.steps.step import StepOutput, fingerprint
from llavamed_data.recipes import Recipe
from llavamed_data.version import __version__

Card = Callable[[Mapping[str, Written]], Mapping[str, str]]
"""Makes the card and the metadata beside it from what was written of each split: file name → text."""


@dataclass(frozen=True)
class Build:
    """A run of `build`.

    Attributes:
        options: how to build.
        engine: what runs the tasks.
        summary: what was done.
    """

    options: BuildOptions
    engine: Engine
    summary: BuildSummary = field(default_factory=BuildSummary)

    def out(self, name: str) -> Path:
        """The folder of the dataset `name`."""
        return self.options.out / name


def finish(
    build: Build,
    name: str,
    splits: Mapping[str, Records],
    *,
    schema: str,
    card: Card,
    images: StepOutput,
    inputs: Sequence[object],
    work: Path,
    shortage: str = "",
    counts: Sequence[SplitCounts] = (),
) -> None:
    """Assembles a dataset and adds it to the summary; a dataset without rows is only mentioned there.

    Args:
        build: the run.
        name: of the dataset.
        splits: split → its records; empty if no rows are left.
        schema: the kind of its rows.
        card: makes its card.
        images: the output of the step that fetched its images.
        inputs: all that the dataset depends on, for its fingerprint.
        work: where the manifest is kept.
        shortage: why there are fewer figures than wanted, or "".
        counts: of a benchmark, split by split.
    """
    out, first = build.out(name), next(iter(splits), "")
    if not splits:
        build.summary.datasets.append(Built(name, None, first, shortage=shortage))
        return
    if build.options.decisions:
        try:
            reviewed = follow_decisions(build.options.decisions, name, splits, work / "review", inputs)
        except ImageChangedError:
            (images.folder / "manifest.json").unlink(missing_ok=True)  # a rerun fetches the image anew
            raise
        build.summary.record("review", reviewed.output, dataset=name)
        build.summary.notes.extend(f"{name}: {sentence}" for sentence in reviewed.notes)
        inputs = [*inputs, reviewed.output.digest()]
        splits = reviewed.splits
        if not splits:
            why = "; ".join(filter(None, (shortage, "all rows were rejected in review")))
            build.summary.datasets.append(Built(name, None, first, shortage=why))
            return
    assembled = assemble(
        splits,
        out,
        schema=schema,
        card=card,
        fingerprint=fingerprint("assemble", name, *inputs, shortage),
        manifest=work / "assemble.json",
        images=images,
    )
    build.summary.record("assemble", assembled, dataset=name)
    facts = dict(assembled.facts)
    kept = facts.pop("kept", ())
    if not assembled.manifest.skipped:
        build.summary.notes.extend(f"{name}: {sentence}" for sentence in kept)
    build.summary.datasets.append(Built(name, out, first, shortage=shortage, counts=counts, **facts))


def recipe_card(
    build: Build,
    recipe: Recipe,
    *,
    source: str,
    source_date: str | None,
    generator: str,
    model: str | None = None,
    rules: Mapping[str, int] | None = None,
    shortage: str = "",
    notes: Sequence[str],
) -> Card:
    """The card of a dataset that a recipe describes, with its Croissant metadata.

    Args:
        build: the run; its steps so far are the card's.
        recipe: the dataset.
        source, source_date: where its rows come from.
        generator, model: what wrote its text.
        rules: how often each cleaning rule touched a conversation.
        shortage: why there are fewer figures than wanted, or "".
        notes: sentences for people.
    """

    def render(written: Mapping[str, Written]) -> Mapping[str, str]:
        of_split = written[recipe.split]
        card = DatasetCard(
            name=recipe.name,
            title=recipe.title,
            schema=recipe.schema,
            figures=recipe.select.unit if recipe.base else "",
            mentions=recipe.converse.mentions,
            split=recipe.split,
            features=features(recipe.schema)._to_yaml_list(),
            rows=of_split.rows,
            images=of_split.images,
            num_bytes=of_split.bytes,
            download_bytes=of_split.download_bytes,
            domains=of_split.domains,
            licenses=of_split.licenses,
            source=source,
            source_date=source_date,
            generator=generator,
            model=model,
            rules=rules or {},
            shortage=shortage,
            steps=[counts_of(step) for step in build.summary.steps_of(recipe.name)],
            notes=[*notes, *review_notes(build.summary, recipe.name)],
            version=__version__,
            example=of_split.example,
        )
        return {
            "README.md": render_dataset_card(card),
            CROISSANT_FILE: render_croissant(card, of_split.shards),
        }

    return render


def counts_of(step: SummaryLine) -> StepCounts:
    """The counts of a step, for a card."""
    tally = step.tally
    return StepCounts(step.name, step.unit, tally.entered, tally.kept, step.dropped_in_words)

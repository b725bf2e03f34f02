"""What a build knows of a dataset, as its card states it."""

from collections.abc import Mapping, Sequence

from hub_cards import DatasetCard, StationCounts, render_croissant, render_dataset_card
from hub_cards.croissant import FILE_NAME as CROISSANT
from llavamed_data.dataset.columns import features
from llavamed_data.pipeline.builds.summary import Step
from llavamed_data.pipeline.steps.assemble import Written
from llavamed_data.recipes import Recipe
from llavamed_data.version import __version__


def card_of(
    recipe: Recipe,
    written: Written,
    *,
    source: str,
    source_date: str | None,
    generator: str,
    model: str | None = None,
    rules: Mapping[str, int] | None = None,
    shortage: str,
    steps: Sequence[Step],
    notes: Sequence[str],
) -> dict[str, str]:
    """The card and the Croissant metadata for what was written: file name → text."""
    card = DatasetCard(
        name=recipe.name,
        title=recipe.title,
        schema=recipe.schema,
        split=recipe.split,
        features=features(recipe.schema)._to_yaml_list(),
        rows=written.rows,
        images=written.images,
        num_bytes=written.bytes,
        download_bytes=written.download_bytes,
        domains=written.domains,
        licenses=written.licenses,
        source=source,
        source_date=source_date,
        generator=generator,
        model=model,
        rules=rules or {},
        shortage=shortage,
        stations=[counts_of(step) for step in steps],
        notes=notes,
        version=__version__,
    )
    return {"README.md": render_dataset_card(card), CROISSANT: render_croissant(card)}


def counts_of(step: Step) -> StationCounts:
    """A station's counts, for a card."""
    tally = step.tally
    return StationCounts(step.name, step.unit, tally.entered, tally.kept, step.dropped)

"""The model card of a run: recipe, settings, data with licences, loss curve, intended use and limits."""

import re
from collections.abc import Sequence
from pathlib import Path

from hub_cards import ModelCard, TrainingData, render_model_card
from llavamed_data.charts import as_spec, chart_of, integer_axis, to_png
from llavamed_data.version import __version__
from llavamed_trainer.running.arguments import TrainingSettings
from llavamed_trainer.running.benchmark_parts import parse_parts
from llavamed_trainer.running.record import settings_that_matter
from llavamed_trainer.running.scores import BestScore

CARD = "README.md"
PICTURE = "loss.png"

_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_STATED_ELSEWHERE = frozenset(("dataset", "dataset_revision", "model_name_or_path"))
"""Settings that the card states in places of their own."""


def write_card(
    settings: TrainingSettings,
    data: Sequence[TrainingData],
    for_evaluation: str | None,
    losses: Sequence[tuple[int, float]],
    best: BestScore | None = None,
) -> None:
    """Writes `README.md` and the picture of the loss curve into the folder of a model.

    Args:
        settings: of the run.
        data: the datasets that it was trained on.
        for_evaluation: says which data for evaluation it was trained on; None if there is none.
        losses: pairs of training step and loss, as logged.
        best: the score by which the checkpoint was chosen, if it was.
    """
    folder = Path(str(settings.training.output_dir))
    folder.mkdir(parents=True, exist_ok=True)
    has_picture = len(losses) > 1
    if has_picture:
        draw_curve(losses, folder / PICTURE)
    base = settings.model.model_name_or_path or ""
    on_hub = bool(_HUB_NAME.fullmatch(base)) and not Path(base).exists()
    stated = {
        name: value for name, value in settings_that_matter(settings).items() if name not in _STATED_ELSEWHERE
    }
    if "bf16" in stated:
        stated["bf16"] = settings.training.bf16  # without an accelerator it is not what the recipe says
    if not on_hub:
        stated["starts from"] = Path(base).name
    if settings.training.packing:
        stated["global_batch_size"] = f"{settings.arguments.global_batch_size} packs of rows"
    if best:
        stated["chosen by"] = f"score {best.score:.2f} of {best.parts} at training step {best.step:,}"
    warnings = [f"trained on {for_evaluation}, so its scores there do not count"] if for_evaluation else []
    if settings.arguments.evaluate and settings.arguments.allow_test_split:
        tests = [str(part) for part in parse_parts(settings.arguments.evaluate) if part.is_of_test_split]
        if tests:
            warnings.append(f"chosen by its score on {', '.join(tests)}, so its scores there do not count")
    if warnings:
        stated["WARNING"] = "; ".join(warnings)
    card = ModelCard(
        name=(settings.training.hub_model_id or folder.resolve().name).split("/")[-1],
        base_model=base if on_hub else None,
        recipe=settings.recipe.name,
        source=settings.recipe.source,
        settings=stated,
        data=data,
        results=[],
        losses=thin(losses),
        version=__version__,
        picture=PICTURE if has_picture else None,
        library="peft" if settings.model.use_peft else "transformers",
    )
    (folder / CARD).write_text(render_model_card(card), encoding="utf-8")


def draw_curve(losses: Sequence[tuple[int, float]], path: Path) -> None:
    """Writes the loss curve as PNG; the same losses give the same bytes.

    Args:
        losses: two or more pairs of training step and loss, in the order of the steps.
        path: of the picture.
    """
    import altair as alt

    points = [{"step": step, "loss": loss} for step, loss in losses]
    curve = chart_of(points).mark_line(aria=False)
    first, last = losses[0][0], losses[-1][0]
    steps = alt.Scale(domain=[first, last], nice=False)
    curve = curve.encode(
        x=alt.X("step:Q", title="training step", axis=integer_axis(first, last), scale=steps),
        y=alt.Y("loss:Q", title="loss", axis=alt.Axis(tickCount=6)),
    )
    path.write_bytes(to_png(as_spec([curve], "Loss over the training steps of the run", height=280)))


def thin(losses: Sequence[tuple[int, float]], most: int = 20) -> list[tuple[int, float]]:
    """Returns at most `most` of the points, evenly spread, with the first and the last."""
    if len(losses) <= most:
        return list(losses)
    return [losses[round(place * (len(losses) - 1) / (most - 1))] for place in range(most)]

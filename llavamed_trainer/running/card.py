"""The card of what a run leaves: recipe, settings, data with licences, loss curve, use and limits."""

import re
from collections.abc import Sequence
from pathlib import Path

from hub_cards import ModelCard, TrainingData, render_model_card
from llavamed_data.version import __version__
from llavamed_trainer.running.curve import draw_curve, thin
from llavamed_trainer.running.parsing import Call
from llavamed_trainer.running.record import settings_of

CARD = "README.md"
PICTURE = "loss.png"

_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_ELSEWHERE = frozenset(("dataset", "dataset_revision", "model_name_or_path"))
"""What the card states in places of their own."""


def write_card(
    folder: Path, call: Call, data: Sequence[TrainingData], losses: Sequence[tuple[int, float]]
) -> None:
    """Writes `README.md` and the picture of the curve into the folder.

    Args:
        folder: of the model.
        call: the run.
        data: what it was trained on.
        losses: (step, loss) as logged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pictured = len(losses) > 1
    if pictured:
        draw_curve(losses, folder / PICTURE)
    base = call.model.model_name_or_path or ""
    on_hub = bool(_HUB_NAME.fullmatch(base)) and not Path(base).exists()
    settings = {name: value for name, value in settings_of(call).items() if name not in _ELSEWHERE}
    if not on_hub:
        settings["starts from"] = Path(base).name
    card = ModelCard(
        name=(call.training.hub_model_id or folder.resolve().name).split("/")[-1],
        base_model=base if on_hub else None,
        recipe=call.recipe.name,
        source=call.recipe.source,
        settings=settings,
        data=data,
        results=[],
        losses=thin(losses),
        version=__version__,
        picture=PICTURE if pictured else None,
        library="peft" if call.model.use_peft else "transformers",
    )
    (folder / CARD).write_text(render_model_card(card), encoding="utf-8")

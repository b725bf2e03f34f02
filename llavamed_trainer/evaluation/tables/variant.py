"""What was trained, in the words of the paper's tables; results are put into the rows of the same variant."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from llavamed_data.errors import UsageError

_CHOICES: Mapping[str, tuple[str, ...]] = {
    "instruct": ("none", "10k", "60k", "60k-im"),
    "vision": ("clip", "biomedclip"),
    "language_model": ("7b", "13b"),
    "init": ("llava", "vicuna", "other"),
    "stage1_variant": ("projector", "full", "full-no-instruction"),
}


@dataclass(frozen=True, slots=True)
class Variant:
    """The configuration of a row of Tables 4, 9 and 10; the defaults are the paper's.

    Attributes:
        instruct: instruct set of Stage 2; `none` without Stage 2.
        stage1, stage2, ft: epochs of each stage, 0 without it; `ft` is fine-tuning on the benchmark's training split.
        vision: vision tower.
        language_model: size of the language model.
        init: what the model starts from: LLaVA, Vicuna with a new projector, or another model, such as a Qwen2.5-VL,
            which no table of the paper has.
        stage1_variant: what Stage 1 trains (section C.2): the projector alone, the language model too, or both
            without the instruction text.
        seed: seed of training, which tells runs of one configuration apart (Table 10 b).
    """

    instruct: str = "none"
    stage1: int = 0
    stage2: int = 0
    ft: int = 0
    vision: str = "clip"
    language_model: str = "7b"
    init: str = "llava"
    stage1_variant: str = "projector"
    seed: int = 1

    def normalised(self) -> "Variant":
        """The same variant without settings that have no effect: a stage of no epochs has no data."""
        return replace(
            self,
            instruct=self.instruct if self.stage2 else "none",
            stage1_variant=self.stage1_variant if self.stage1 else "projector",
        )

    def unseeded(self) -> "Variant":
        """The configuration without the seed, equal for all of its runs."""
        return replace(self.normalised(), seed=1)

    def to_dict(self) -> dict[str, str | int]:
        """Field → value, as results files have them."""
        return asdict(self.normalised())

    @property
    def label(self) -> str:
        """A short name: `60k-im 1/3/9`, and the settings that differ from the paper's default."""
        other = [
            str(getattr(self, each.name))
            for each in fields(self)[4:8]
            if getattr(self, each.name) != each.default
        ]
        return " ".join([self.instruct, f"{self.stage1}/{self.stage2}/{self.ft}", *other])


def make_variant(stated: Mapping[str, object]) -> Variant:
    """Makes a variant from names and values.

    Raises:
        UsageError: a name or value is unknown.
    """
    values = dict[str, Any]()
    numbers = {each.name for each in fields(Variant)} - _CHOICES.keys()
    for name, value in stated.items():
        if name in numbers and str(value).isdigit():
            values[name] = int(str(value))
        elif name in _CHOICES and str(value).lower() in _CHOICES[name]:
            values[name] = str(value).lower()
        elif name in numbers:
            raise UsageError(f"variant: {name}={value} is not a number")
        elif name in _CHOICES:
            raise UsageError(f"variant: {name}={value}: choose from {', '.join(_CHOICES[name])}")
        else:
            known = ", ".join(each.name for each in fields(Variant))
            raise UsageError(f"variant: there is no {name!r}: choose from {known}")
    made = replace(Variant(), **values)
    if made.stage2 and made.instruct == "none":
        raise UsageError("variant: stage2 epochs need an instruct set, such as instruct=60k-im")
    return made.normalised()


def parse_variant(text: str) -> Variant:
    """Reads a variant from text such as `instruct=60k-im,stage1=1,stage2=3,ft=9`.

    Raises:
        UsageError: a part is not NAME=VALUE, or a name or value is unknown.
    """
    parts = [part.strip().partition("=") for part in text.split(",") if part.strip()]
    if wrong := [name for name, sign, _ in parts if not sign]:
        raise UsageError(f"variant: {wrong[0]!r} is not NAME=VALUE")
    return make_variant({name.strip(): value.strip() for name, _, value in parts})

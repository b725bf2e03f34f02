"""What was trained, in the words of the paper's tables: the key by which a result finds its rows."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace

from llavamed_data.errors import UsageError

_CHOICES: Mapping[str, tuple[str, ...]] = {
    "instruct": ("none", "10k", "60k", "60k-im"),
    "vision": ("clip", "biomedclip"),
    "language_model": ("7b", "13b"),
    "init": ("llava", "vicuna"),
    "stage1_variant": ("projector", "full", "full-no-instruction"),
}


@dataclass(frozen=True, slots=True)
class Variant:
    """A row of Tables 4, 9 and 10; what a field does not say is the paper's default.

    Attributes:
        instruct: instruct set of Stage 2; `none` without Stage 2.
        stage1, stage2, ft: epochs of each stage; `ft` is fine-tuning on the benchmark's training split.
        vision: vision tower.
        language_model: size of the language model.
        init: what the model starts from: LLaVA, or Vicuna with a new projector.
        stage1_variant: recipe of Stage 1 (section C.2): the projector alone, the language model too, or that
            without instruction text.
        seed: tells runs of one configuration apart (Table 10 b).
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

    def normal(self) -> "Variant":
        """The same without what has no effect: a stage of no epochs has no data and no variant."""
        return replace(
            self,
            instruct=self.instruct if self.stage2 else "none",
            stage1_variant=self.stage1_variant if self.stage1 else "projector",
        )

    def unseeded(self) -> "Variant":
        """What all runs of this configuration share."""
        return replace(self.normal(), seed=1)

    def stated(self) -> dict[str, str | int]:
        """Field → value, as results files have it."""
        return asdict(self.normal())

    @property
    def label(self) -> str:
        """A short name: `60k-im 1/3/9`, and what differs from the paper's default."""
        other = [
            str(getattr(self, each.name))
            for each in fields(self)[4:8]
            if getattr(self, each.name) != each.default
        ]
        return " ".join([self.instruct, f"{self.stage1}/{self.stage2}/{self.ft}", *other])


def make_variant(stated: Mapping[str, object]) -> Variant:
    """A variant from names and values.

    Raises:
        UsageError: an unknown name or value.
    """
    values = dict[str, str | int]()
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
    made = Variant(**values)  # type: ignore[arg-type]
    if made.stage2 and made.instruct == "none":
        raise UsageError("variant: stage2 epochs need an instruct set, such as instruct=60k-im")
    return made.normal()


def parse_variant(text: str) -> Variant:
    """A variant from `instruct=60k-im,stage1=1,stage2=3,ft=9`.

    Raises:
        UsageError: a part that is not NAME=VALUE, an unknown name or value.
    """
    parts = [part.strip().partition("=") for part in text.split(",") if part.strip()]
    if wrong := [name for name, sign, _ in parts if not sign]:
        raise UsageError(f"variant: {wrong[0]!r} is not NAME=VALUE")
    return make_variant({name.strip(): value.strip() for name, _, value in parts})

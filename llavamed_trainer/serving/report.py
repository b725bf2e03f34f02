"""What a check of a model found: one line for each thing that was looked at, and what the servers can do with it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

Result: TypeAlias = Literal["ok", "wrong", "not tried"]


@dataclass(frozen=True, slots=True)
class ServingCheck:
    """One thing that was looked at.

    Attributes:
        check: what is right if the result is ok, in plain words.
        result: `ok`, `wrong`, or `not tried`.
        finding: what was found, or why it was not tried.
        way_out: what to do about it; empty where nothing is wrong.
    """

    check: str
    result: Result
    finding: str = ""
    way_out: str = ""


@dataclass(frozen=True, slots=True)
class ServerSupport:
    """What one server can do with a model.

    Attributes:
        server: its name.
        supported: whether it loads such models; None if that is not known.
        finding: why not, or what is to be known.
        commands: the commands that serve the model; none if it is not supported.
    """

    server: str
    supported: bool | None
    finding: str = ""
    commands: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ServingReport:
    """All that a check found.

    Attributes:
        model: the folder or Hub name that was checked.
        folder: where its files lie on this machine.
        checks: in the order in which they were made.
        servers: vLLM and llama.cpp; empty if the architecture is unknown because config.json cannot be read.
    """

    model: str
    folder: Path
    checks: tuple[ServingCheck, ...]
    servers: tuple[ServerSupport, ...] = ()

    @property
    def faults(self) -> tuple[ServingCheck, ...]:
        """The checks that found something wrong."""
        return tuple(each for each in self.checks if each.result == "wrong")

    def to_dict(self) -> Mapping[str, Any]:
        """The report as JSON has it."""
        return {
            "model": self.model,
            "folder": str(self.folder),
            "faults": len(self.faults),
            "checks": [asdict(each) for each in self.checks],
            "servers": [asdict(each) for each in self.servers],
        }

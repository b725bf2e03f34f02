"""Reads the code blocks of a Markdown page, and what the page says about running them.

A comment directly above a block, which no rendered page shows, says how the block is run:

    <!-- not run: needs a GPU -->         it is not run, for this reason
    <!-- server: hub -->                  it is run with the environment of the Hub in tests/servers/hub
    <!-- server: openai -->               it is run with the address and key of the server in tests/servers/openai.py
    <!-- data: vqa_rad -->                it is run where ../shared/data/vqa_rad exists, and finds it under this name
    <!-- data: predictions as released -->    the same under another name
    <!-- exit: 1 -->                      its last command ends with this code
    <!-- file: questions.yaml -->         it is written to the file of this name, for the blocks below it
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.conftest import CHECKOUT

OMISSION = "…"
"""A line of output that is this alone stands for any number of lines that are left out."""

_FENCE = re.compile(r"( *)```(\w*).*")
_COMMENT = re.compile(r"<!-- (not run|server|data|exit|file): (.+) -->")


@dataclass(frozen=True, slots=True)
class Block:
    """A code block of a page.

    Attributes:
        page: the Markdown file.
        line: number of its first line of text, from 1.
        language: what stands behind the opening fence.
        text: without the fences and their indentation.
        directives: name → value of the comments directly above it.
    """

    page: Path
    line: int
    language: str
    text: str
    directives: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.page.relative_to(CHECKOUT)}:{self.line}"

    @property
    def is_transcript(self) -> bool:
        """Whether it shows input and output: a shell's prompts, or those of Python."""
        return self.language == "console" or (self.language == "python" and ">>> " in self.text)


@dataclass(frozen=True, slots=True)
class Step:
    """A command of a transcript, and the output that the page shows.

    Attributes:
        lines: the command as the page has it.
        command: the same without prompts, as bash or Python takes it.
        output: the lines that follow it.
    """

    lines: tuple[str, ...]
    command: str
    output: tuple[str, ...]


def pages() -> list[Path]:
    """The pages that are checked: README, CONTRIBUTING and the guides, but for what `make docs` writes."""
    guides = (path for path in (CHECKOUT / "docs").rglob("*.md") if path.parent.name != "commands")
    return [CHECKOUT / "README.md", CHECKOUT / "CONTRIBUTING.md", *sorted(guides)]


def blocks(page: Path) -> Iterator[Block]:
    """The fenced code blocks of a page, in order.

    Raises:
        ValueError: a block is not closed.
    """
    directives: dict[str, str] = {}
    opened: tuple[int, int, str] | None = None
    lines: list[str] = []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        fence = _FENCE.fullmatch(line)
        if opened is None:
            if fence:
                opened, lines = (number + 1, len(fence[1]), fence[2]), []
            elif comment := _COMMENT.fullmatch(line.strip()):
                directives[comment[1]] = comment[2]
            elif line.strip():
                directives = {}
        elif line.strip() == "```":
            yield Block(page, opened[0], opened[2], "\n".join(lines), directives)
            opened, directives = None, {}
        else:
            lines.append(line[opened[1] :])
    if opened is not None:
        raise ValueError(f"{page}:{opened[0]}: the code block is not closed")


def steps(block: Block) -> list[Step]:
    r"""The commands of a transcript, each with the output that follows it.

        $ python -m llavamed_data validate llava-med/60k-im
        llava-med/60k-im: 38 rows in 1 shard, no fault

    A shell's command that ends in `\` goes on in the next line, one of Python's with `...`.

    Raises:
        ValueError: the block does not begin with a command.
    """
    first, further = (">>> ", "... ") if block.language == "python" else ("$ ", "")
    found: list[tuple[list[str], list[str]]] = []
    for line in block.text.splitlines():
        if line.startswith(first):
            found.append(([line], []))
        elif not found:
            raise ValueError(f"{block}: a transcript begins with a command, as in `{first}…`")
        elif line.startswith(further.rstrip()) if further else found[-1][0][-1].endswith("\\"):
            found[-1][0].append(line)
        else:
            found[-1][1].append(line)
    return [
        Step(
            tuple(lines),
            "\n".join([lines[0].removeprefix(first), *(line[len(further) :] for line in lines[1:])]),
            tuple(output),
        )
        for lines, output in found
    ]


def commands(block: Block) -> list[str]:
    """The commands of a block of any shell, in one line each, without comments and output."""
    if block.language == "console":
        lines = [line for step in steps(block) for line in [*step.command.split("\n"), ""]]
    else:
        lines = block.text.splitlines()
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [line for line in joined.splitlines() if line.strip()]

"""Puts the real outputs into pages: python -m tests.docs README.md docs/publish.md

Only outputs that differ by more than the rules of compare.py allow are replaced. One that leaves lines out (`…`) is
printed instead: which lines to show is for a person to say.
"""

import sys
import tempfile
from pathlib import Path

from tests.docs.blocks import OMISSION, Block, blocks
from tests.docs.run import Outcome, ReaderFolder, Runner


def main(names: list[str]) -> None:
    """Updates the pages of these names."""
    with tempfile.TemporaryDirectory() as root:
        reader = ReaderFolder(Path(root))
        for name in names:
            reader.renew(Path(name))
            update(Path(name).resolve(), reader)


def update(page: Path, reader: ReaderFolder) -> None:
    """Runs the transcripts of a page and writes what they print where it is not what the page shows."""
    lines = page.read_text(encoding="utf-8").splitlines()
    with Runner(reader) as runner:
        done = [(block, real_lines(runner, block)) for block in blocks(page) if block.is_transcript]
    for block, real in reversed(done):
        start, end = block.line - 1, block.line - 1 + len(block.text.splitlines())
        indent = lines[start][: len(lines[start]) - len(lines[start].lstrip())] if lines[start] else ""
        lines[start:end] = [f"{indent}{line}".rstrip() for line in real]
    page.write_text("\n".join(lines) + "\n", encoding="utf-8")


def real_lines(runner: Runner, block: Block) -> list[str]:
    """The lines of a block with the outputs as they should be."""
    if reason := runner.missing(block):
        print(f"{block}: not run: {reason}")
        return block.text.splitlines()
    real: list[str] = []
    for outcome in runner.run(block):
        real += [*outcome.step.lines, *shown_output(block, outcome)]
    return real


def shown_output(block: Block, outcome: Outcome) -> list[str]:
    """What the page should show below a command: what it shows, if that is right."""
    fault = outcome.fault()
    if fault and any(line.strip() == OMISSION for line in outcome.step.output):
        print(f"{block}: {fault}\n{outcome.output}")
    elif fault:
        print(f"{block}: updated")
        return outcome.output.strip("\n").splitlines()
    return list(outcome.step.output)


if __name__ == "__main__":
    main(sys.argv[1:])

"""Every transcript of the README and the guides shows what the commands print.

A page is run from top to bottom in one folder, as a reader would: README's in an empty one, the others' in one that
holds the datasets of the sample. What is compared, and what may differ, stands in compare.py; how a block is marked
that cannot be run, in blocks.py. `python -m tests.docs PAGE …` puts the real outputs into pages.
"""

from pathlib import Path

import pytest

from tests.docs.blocks import Block, blocks, pages
from tests.docs.run import ReaderFolder, Runner

SLOW = {
    "train.md",
    "use.md",
    "evaluate.md",
    "publish.md",
    "conversations.md",
    "benchmarks.md",
    "paper.md",
    "chat.md",
}
"""Pages that train a model, or run many commands."""


def is_run(block: Block) -> bool:
    return block.is_transcript or block.language == "python" or "file" in block.directives


def runnable_pages() -> list[object]:
    found = [page for page in pages() if any(map(is_run, blocks(page)))]
    slow = [[pytest.mark.slow] if page.name in SLOW else [] for page in found]
    return [pytest.param(page, id=page.name, marks=marks) for page, marks in zip(found, slow, strict=True)]


@pytest.mark.parametrize("page", runnable_pages())
def test_the_page_shows_what_its_commands_print(page: Path, reader: ReaderFolder) -> None:
    reader.renew(page)
    faults, left_out = [], []
    with Runner(reader) as runner:
        for block in filter(is_run, blocks(page)):
            if name := block.directives.get("file"):
                (runner.folder / name).write_text(f"{block.text}\n", encoding="utf-8")
            elif reason := runner.missing(block):
                left_out.append(f"{block}: {reason}")
            elif block.is_transcript:
                faults += [f"{block}: {fault}" for done in runner.run(block) if (fault := done.fault())]
            elif fault := runner.run_script(block):
                faults.append(f"{block}: {fault}")
    print("not run:", *left_out, sep="\n")
    assert not faults, "\n\n".join(faults)


def test_every_block_that_is_not_run_says_why() -> None:
    for page in pages():
        for block in blocks(page):
            assert block.language, f"{block}: name the language of the block"
            assert block.directives.get("not run", "a reason") != "", f"{block}: say why it is not run"

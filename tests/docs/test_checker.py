"""The check of transcripts finds what is wrong, and lets pass what may differ."""

from pathlib import Path

import pytest

from tests.conftest import CHECKOUT
from tests.docs.blocks import blocks, commands, steps
from tests.docs.compare import difference
from tests.docs.run import ReaderFolder, Runner
from tests.docs.test_commands import calls, fault_of

PAGE = """
<!-- not run: needs a GPU -->
```console
$ echo one \\
    two
one two
$ echo three
three
```

<!-- server: hub -->
A sentence between a comment and a block takes the comment away.

```python
>>> for n in (1, 2):
...     print(n)
1
2
```
"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "page.md"
    path.write_text(PAGE)
    return path


def test_a_page_is_cut_into_blocks_with_what_its_comments_say(page: Path) -> None:
    console, python = blocks(page)
    assert (console.line, console.language, console.directives) == (4, "console", {"not run": "needs a GPU"})
    assert (python.language, python.directives, python.is_transcript) == ("python", {}, True)


def test_a_block_is_cut_into_commands_and_outputs(page: Path) -> None:
    console, python = blocks(page)
    assert [(step.command, step.output) for step in steps(console)] == [
        ("echo one \\\n    two", ("one two",)),
        ("echo three", ("three",)),
    ]
    assert [(step.command, step.output) for step in steps(python)] == [
        ("for n in (1, 2):\n    print(n)", ("1", "2"))
    ]
    assert commands(console) == ["echo one two", "echo three"]


def test_a_block_that_is_not_closed_is_an_error(page: Path) -> None:
    page.write_text("```sh\nls\n")
    with pytest.raises(ValueError, match="not closed"):
        list(blocks(page))


@pytest.mark.parametrize(
    ("shown", "real", "same"),
    [
        ("38 rows", "38 rows", True),
        ("38 rows", "37 rows", False),
        ("select 63 42 - 0.1 s", "select  63   42   -    12.0 s", True),
        ("select 63 42 - 0.1 s", "select  63   41   -    12.0 s", False),
        ("first\n…\nlast", "first\nsecond\nthird\nlast", True),
        ("first\n…\nlast", "first\nlast", True),
        ("first\n…\nthird\n…", "first\nsecond\nthird\nlast", True),
        ("first\n…\nfourth\n…", "first\nsecond\nthird\nlast", False),
        ("first\n…", "second\nfirst", False),
        ("…\nlast", "last\nsecond", False),
        ("one\ntwo\n…\ntwo\nthree", "one\ntwo\nthree", False),
        ("", "a warning", False),
    ],
)
def test_outputs_are_the_same_but_for_times_padding_and_omissions(shown: str, real: str, same: bool) -> None:
    assert (difference(shown.splitlines(), real) == "") is same


def test_a_wrong_output_and_a_wrong_exit_code_are_found(reader: ReaderFolder, tmp_path: Path) -> None:
    page = CHECKOUT / "docs" / "never-written.md"
    path = tmp_path / "page.md"
    path.write_text("```console\n$ echo one\ntwo\n$ cd /; pwd\n/\n$ pwd; false\n/\n```\n")
    reader.renew(page)
    (block,) = blocks(path)
    with Runner(reader) as runner:
        faults = [outcome.fault() for outcome in runner.run(block)]
    assert "-two" in faults[0]
    assert "+one" in faults[0]
    assert faults[1] == ""
    assert faults[2].startswith("ended with 1, not 0")


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        ("python -m llavamed_data build 60k-im --size 10 && echo", ""),
        ("llavamed-data validate DIR --json", ""),
        ("python -m llavamed_data build --sise 10", "build has no --sise"),
        ("python -m llavamed_data export DIR --to parquet", "export --to does not take parquet"),
        ("python -m llavamed_data estimate 60k-im", "estimate needs --model"),
        (
            "accelerate launch --num_processes 2 -m llavamed_trainer train --lerning_rate 1",
            "train has no --lerning_rate",
        ),
    ],
)
def test_a_command_with_a_wrong_option_is_found(command: str, fault: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"```sh\n{command}\n```\n")
    (block,) = blocks(page)
    ((package, words),) = calls(block)
    assert fault_of(package, words) == fault

"""The commands for datasets that are there."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from llavamed_data import commands
from llavamed_data.cli.commands import make_command
from llavamed_data.console.printable import counted

if TYPE_CHECKING:
    from llavamed_data.exchange import ExportSummary, ImportSummary, PreferenceSummary
    from llavamed_data.instruct.conversation_files import CleanSummary
    from llavamed_data.show import ShownRow

_IMAGES_SHOWN = Path(".llavamed/show")
"""Folder for the images of `show` where the terminal cannot show pictures."""


class FormatName(StrEnum):
    """The formats of `llavamed_data.exchange.FORMATS`, which is not imported here so that `--help` starts fast."""

    LLAVA = "llava"
    SHAREGPT = "sharegpt"
    WEBDATASET = "webdataset"
    JSONL = "jsonl"


class ExportFormatName(StrEnum):
    """What `export` writes: the same, and pairs for TRL's DPO trainer."""

    LLAVA = "llava"
    SHAREGPT = "sharegpt"
    WEBDATASET = "webdataset"
    JSONL = "jsonl"
    PREFERENCE = "preference"


def _show_report(report: Any, console: Console, _: Mapping[str, Any]) -> None:
    report.render(console)


def _show_rows(rows: "list[ShownRow]", console: Console, flags: Mapping[str, Any]) -> None:
    from llavamed_data.show.image_files import ImageFileNames
    from llavamed_data.show.terminal import show_row

    names, console = ImageFileNames(), Console(highlight=False)
    for row in rows:
        show_row(row.row, console, files=flags["images"] or _IMAGES_SHOWN, names=names)


def _choose_report_folder(flags: dict[str, Any], as_json: bool) -> None:
    """A report is written where nobody says where to, unless it is the numbers that are wanted."""
    if flags["out"] is None and not as_json:
        from llavamed_data.stats import default_folder

        flags["out"] = default_folder(flags["datasets"])


def _show_stats(_: Any, console: Console, flags: Mapping[str, Any]) -> None:
    from llavamed_data.stats import REPORT_PAGE

    pictures = len(list(flags["out"].glob("*.png")))
    _print_line(
        console,
        f"{flags['out'] / REPORT_PAGE}: open it in a browser; {counted(pictures, 'picture')} beside it",
    )


def _show_clean(summary: "CleanSummary", console: Console, _: Mapping[str, Any]) -> None:
    for name, edit in summary.edits:
        where = f"{name}, round {edit.round_index + 1}, {edit.side}: {edit.rule}"
        console.print(Text(where, style="bold"))
        console.print(Text(f"  - {edit.before}", style="red"))
        console.print(Text(f"  + {edit.after}" if edit.after else "  (the round is dropped)", style="green"))
    console.print(summary_table(summary))


def summary_table(summary: "CleanSummary") -> Group:
    """The table that ends `clean`: the number of changes by rule."""
    heading = (
        f"{counted(summary.read, 'conversation')}: {summary.kept:,} kept, {summary.dropped:,} dropped; "
        f"{summary.rounds_kept:,} of {counted(summary.rounds_read, 'round')} kept"
    )
    table = Table()
    table.add_column("rule")
    table.add_column("changes", justify="right")
    for rule, count in summary.rules.most_common():
        table.add_row(rule, f"{count:,}")
    return Group(Text(heading), table)


def _show_export(done: "ExportSummary | PreferenceSummary", console: Console, _: Mapping[str, Any]) -> None:
    from llavamed_data.exchange import PreferenceSummary

    if isinstance(done, PreferenceSummary):
        pairs = f"{done.folder}: {counted(done.rows['train'], 'pair')}; its README.md says how TRL reads them"
        _print_line(console, pairs)
        for why, count in done.left_out.items():
            _print_line(console, f"left out: {count:,} {why}")
        return
    rows = ", ".join(f"{counted(count, 'row')} of {split}" for split, count in done.rows.items())
    line = (
        f"{done.folder}: {rows}, {counted(done.images, 'image')}; its README.md says how trainers read them"
    )
    _print_line(console, line)


def _show_import(done: "ImportSummary", console: Console, _: Mapping[str, Any]) -> None:
    rows = f"{done.tally.kept:,} of {counted(done.tally.entered, 'row')}"
    _print_line(console, f"{done.folder}: {rows}{f'; dropped: {done.reasons}' if done.reasons else ''}")
    if done.dropped:
        _print_line(console, f"{done.dropped} lists what was dropped, and why")
    if done.exported is not None and done.exported != done.tally.entered:
        now = f"{done.tally.entered:,} {'is' if done.tally.entered == 1 else 'are'} there now"
        _print_line(console, f"the export had {counted(done.exported, 'row')} when it was made, {now}")
    if done.system:
        rows = counted(done.system, "row")
        _print_line(console, f"the system text of {rows} now stands before the first question")
    if done.renamed:
        what = f"{counted(done.renamed, 'row')} {'has' if done.renamed == 1 else 'have'} the id of an earlier row"
        _print_line(console, f"{what}: ~2, ~3, … was added to it")
    for name, count in done.ignored.most_common(10):
        _print_line(console, f"the field {name!a} of {counted(count, 'row')} was not kept")


def _print_line(console: Console, line: str) -> None:
    console.print(Text(line), soft_wrap=True)


validate = make_command(
    commands.validate,
    _show_report,
    example="python -m llavamed_data validate llava-med/60k-im",
    arguments=["dataset"],
    exit_code=lambda report: 0 if report.ok else 1,
)
publish = make_command(
    commands.publish,
    _show_report,
    example="python -m llavamed_data publish llava-med/60k-im --repo-id ORG/60k-im --tag v1.0",
    arguments=["folder"],
    defaults={"branch": "main"},
)
clean = make_command(
    commands.clean,
    _show_clean,
    example="python -m llavamed_data clean conversations.jsonl --explain",
    arguments=["conversations"],
)
export = make_command(
    commands.export,
    _show_export,
    example="python -m llavamed_data export llava-med/60k-im --to sharegpt",
    arguments=["dataset"],
    types={"to": ExportFormatName, "against": str | None},
    defaults={"out": "exports/NAME-FORMAT"},
)
import_ = make_command(
    commands.import_,
    _show_import,
    example="python -m llavamed_data import llava_instruct.json --from llava --images images --out llava-med/mine",
    arguments=["path"],
    types={"from_": FormatName, "images": Path | None},
    defaults={"images": "the format's own"},
)
show = make_command(
    commands.show,
    _show_rows,
    example="python -m llavamed_data show llava-med/60k-im 99000010_f1",
    arguments=["dataset", "ids"],
    types={"images": Path | None},
    defaults={"images": ".llavamed/show where the terminal cannot show pictures"},
)
stats = make_command(
    commands.stats,
    _show_stats,
    example="python -m llavamed_data stats llava-med/60k-im",
    arguments=["datasets"],
    types={"datasets": list[str]},
    defaults={
        "out": "DATASET/stats for one folder, else stats/NAMES; nothing with --json",
        "sample": "all",
        "spacy_model": "en_core_web_sm",
    },
    prepare=_choose_report_folder,
)

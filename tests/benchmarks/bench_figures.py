"""How right the figure tests are and how fast: domains and panels by caption, panels by image, soundness.

Run as `python -m tests.benchmarks.bench_figures`. The labelled captions, the released flags and the real images are
taken from `../shared/data`; what needs them is left out where it is missing.
"""

import io
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from llavamed_data.figures import caption_is_single_plot, count_panels, domains_of, inspect_image
from llavamed_data.recipes import DOMAINS
from tests.benchmarks.side_by_side import medians, show
from tests.conftest import SHARED_DATA
from tests.llavamed_data.figures import tiling
from tests.llavamed_data.figures.scores import Score, score
from tests.llavamed_data.figures.tiling import Tiled

FIGURES = 400
"""Compound figures and as many single ones."""

EVAL = "llava_med_eval"
Row = dict[str, Any]
Flags = Callable[[Row], Collection[str]]


def main() -> None:
    """Prints every table."""
    console = Console()
    if SHARED_DATA.is_dir():
        _report_captions(console)
    else:
        console.print("no ../shared/data here: captions and real images left out")
    _report_panels(console)
    _report_speed()


def _report_captions(console: Console) -> None:
    rows = [json.loads(line) for line in (SHARED_DATA / "captions_labelled.jsonl").read_text().splitlines()]
    sure = [row for row in rows if row["sure"]]
    console.print(_domain_table(f"Domains, {len(sure)} sure captions", sure, _ours))
    console.print(
        _domain_table("the same, captions in doubt", [row for row in rows if not row["sure"]], _ours)
    )
    console.print(_confusion(sure))
    for row, kind, domain in _faults(sure):
        console.print(f"  {kind} {domain}: {row['id']} {row['caption'][:160]}")
    released = _released_flags()
    shared = [row for row in sure if row["id"] in released]
    console.print(
        _domain_table(f"Released flags, {len(shared)} captions", shared, lambda row: released[row["id"]])
    )
    console.print(_domain_table("Our rules, the same captions", shared, _ours))
    console.print(_panel_mark_table(rows))


def _ours(row: Row) -> Collection[str]:
    return domains_of(row["caption"])


def _labels(row: Row) -> list[str]:
    return [domain for domain in DOMAINS if row[domain]]


def _released_flags() -> dict[str, Collection[str]]:
    path = SHARED_DATA / EVAL / "llava_med_eval_qa50_fig_captions.json"
    records = [record for group in json.loads(path.read_text()).values() for record in group]
    return {record["pair_id"]: [name for name, on in record["domain"].items() if on] for record in records}


def _domain_table(title: str, rows: Sequence[Row], flags: Flags) -> Table:
    scores = {domain: score((domain in flags(row), bool(row[domain])) for row in rows) for domain in DOMAINS}
    return _score_table(title, {**scores, "all five": sum(scores.values(), Score())})


def _score_table(title: str, scores: Mapping[str, Score]) -> Table:
    table = Table("", "right", "false", "missed", "precision", "recall", title=title)
    for name, one in scores.items():
        counts = (str(one.right), str(one.false), str(one.missed))
        table.add_row(name, *counts, f"{one.precision:.3f}", f"{one.recall:.3f}")
    return table


def _confusion(rows: Sequence[Row]) -> Table:
    """Labels down, flags across; a caption with several counts under each pair of them that differs."""
    columns = [*DOMAINS, "none"]
    counts: Counter[tuple[str, str]] = Counter()
    for row in rows:
        labels, flags = set(_labels(row)), set(domains_of(row["caption"]))
        counts.update((both, both) for both in labels & flags)
        counts.update((label, flag) for label in labels - flags for flag in (flags - labels) or {"none"})
        counts.update(("none", flag) for flag in flags - labels if not labels - flags)
        counts[("none", "none")] += not (labels | flags)
    table = Table("label \\ flag", *columns, title="Confusion, sure captions")
    for label in columns:
        table.add_row(label, *(str(counts[label, flag]) for flag in columns))
    return table


def _faults(rows: Iterable[Row]) -> Iterable[tuple[Row, str, str]]:
    for row in rows:
        flags = domains_of(row["caption"])
        for domain in DOMAINS:
            if (domain in flags) != row[domain]:
                yield row, "false" if domain in flags else "missed", domain


def _panel_mark_table(rows: Sequence[Row]) -> Table:
    scores = {
        name: score((not caption_is_single_plot(row["caption"]), row["compound"]) for row in some)
        for name, some in (
            ("sure captions", [row for row in rows if row["sure"]]),
            ("in doubt", [row for row in rows if not row["sure"]]),
        )
    }
    return _score_table("Compound by caption", scores)


def _report_panels(console: Console) -> None:
    real = tiling.real_images(SHARED_DATA, 1) if SHARED_DATA.is_dir() else []
    compounds, singles = tiling.compounds(1, FIGURES, real), tiling.singles(1, FIGURES, real)
    found = [(figure, count_panels(figure.image)) for figure in compounds]
    false = sum(count_panels(figure.image) > 1 for figure in singles)
    title = (
        f"Compound by image: the half not tuned on; {false} of {len(singles)} single images called compound"
    )
    table = Table("gutter", "pictures", "figures", "recall", "number exact", title=title)
    groups: dict[tuple[str, str], list[tuple[Tiled, int]]] = {}
    for figure, panels in found:
        for kind in ("all", figure.kind):
            groups.setdefault((str(figure.gutter), kind), []).append((figure, panels))
    for (gutter, kind), group in sorted(groups.items()):
        recall = sum(panels > 1 for _, panels in group) / len(group)
        exact = sum(panels == figure.panels for figure, panels in group) / len(group)
        table.add_row(gutter, kind, str(len(group)), f"{recall:.3f}", f"{exact:.3f}")
    console.print(table)
    gutters = [(panels > 1, True) for figure, panels in found if figure.gutter]
    seams = [(panels > 1, True) for figure, panels in found if not figure.gutter]
    wrong = [(count_panels(figure.image) > 1, False) for figure in singles]
    rows = {"with a gutter": score(gutters + wrong), "touching": score(seams + wrong)}
    console.print(_score_table("… beside all the single images", rows))
    if SHARED_DATA.is_dir():
        _report_real(console)


def _report_real(console: Console) -> None:
    folder = SHARED_DATA / EVAL / "images"
    wanted = dict.fromkeys(tiling.SINGLE_EVAL, False) | dict.fromkeys(tiling.COMPOUND_EVAL, True)
    pairs = [(count_panels(_read(folder / f"{name}.jpg")) > 1, compound) for name, compound in wanted.items()]
    paths = sorted((SHARED_DATA / "vqa_rad" / "images").iterdir())
    called = [path.name for path in paths if count_panels(_read(path)) > 1]
    console.print(_score_table("Figures of the evaluation set as they are", {"told by eye": score(pairs)}))
    console.print(f"VQA-RAD: {len(called)} of {len(paths)} images called compound {called or ''}")


def _read(path: Path) -> Image.Image:
    return inspect_image(path.read_bytes()).image


def _report_speed() -> None:
    figure = next(f.image for f in tiling.compounds(1, 40) if f.image.width >= 700)
    picture = figure.resize((700, 500))
    noisy = np.asarray(picture) + np.random.default_rng(0).integers(0, 9, (500, 700, 3))
    file = io.BytesIO()
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
    data, times = file.getvalue(), 50
    peers = {
        "inspect_image": lambda: [inspect_image(data) for _ in range(times)],
        "Pillow open and load": lambda: [Image.open(io.BytesIO(data)).load() for _ in range(times)],
        "count_panels": lambda: [count_panels(picture) for _ in range(times)],
        "count_panels, 512 x 366": lambda: [count_panels(small) for _ in range(times)],
    }
    small = picture.resize((512, 366))
    show(
        f"700 x 500 JPEG, {len(data) / 1e3:.0f} KB",
        medians(peers),
        amount=times,
        unit="image",
        ours="inspect_image",
    )
    captions = _captions()
    words = {
        "domains_of": lambda: [domains_of(caption) for caption in captions],
        "caption_is_single_plot": lambda: [caption_is_single_plot(caption) for caption in captions],
    }
    show(f"{len(captions)} captions", medians(words), amount=len(captions), unit="caption", ours="domains_of")


def _captions() -> list[str]:
    if not SHARED_DATA.is_dir():
        return ["Axial CT of the chest (a) before and (b) after treatment; the arrow shows a nodule."] * 200
    rows = (SHARED_DATA / "captions_labelled.jsonl").read_text().splitlines()
    return [json.loads(row)["caption"] for row in rows]


if __name__ == "__main__":
    main()

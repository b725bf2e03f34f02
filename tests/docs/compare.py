"""Compares output with what a page shows, but for what differs from run to run."""

import difflib
import re
from collections.abc import Sequence

from tests.docs.blocks import OMISSION

NOISE = re.compile(
    r"""(?mx)
    ^\[transformers\]\ .*\n?         # advice of other libraries
    | ^Failed\ to\ load\ CPU\ gemm_4bit_forward.*\n?  # of bitsandbytes, where the package kernels is missing
    | ^.*\d%\|.*\|.*\[.*\]\s*\n?     # their progress bars, which a terminal wipes out
    """
)
"""What is left out of outputs: it is not ours, and differs between versions of the libraries."""

VARYING: tuple[tuple[str, str], ...] = (
    # times, points in time, and what is counted a second
    (r"\b(?:\d+ h )?(?:\d+ min )?\d[\d,]*(?:\.\d+)? (?:s|min|h)\b", "TIME"),
    (r"ends \w{3} \d\d:\d\d", "ends WHEN"),
    (r"[\d,]+(?:\.\d+)? (\w+)/s\b", r"N \1/s"),
    (r"\b[\d.]+ GB\b", "N GB"),
    # what another machine's floating-point arithmetic may change: losses, scores while training, and the cost of
    # judging what a model says
    (r"(loss|→|score|the best is|closed|open) \d+\.\d+", r"\1 N"),
    (r"\b\d+\.\d{4} dollars", "N dollars"),
    # digests and sizes of files, which follow from the versions of the libraries that write them
    (r"\b(?=[0-9a-f]*\d)[0-9a-f]{8,64}\b", "DIGEST"),
    (r"\b[\d.]+ (?:bytes|kB|MB)", "SIZE"),
    # free ports
    (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
    # the padding and the rules of tables, whose widths follow from the times in them
    (r"[─━]+", "─"),
    (r"[ \t]+", " "),
    (r"(?m) $", ""),
)
"""Regular expression → replacement, applied to both sides in this order."""


def normalised(text: str) -> list[str]:
    """The lines of an output with what may differ replaced, blank lines at both ends cut."""
    for pattern, replacement in VARYING:
        text = re.sub(pattern, replacement, text)
    return text.strip("\n").splitlines()


def difference(expected: Sequence[str], actual: str) -> str:
    """What differs between the lines that a page shows and the real output; empty where nothing does.

    A line `…` of the page stands for any number of lines.
    """
    shown, real = normalised("\n".join(expected)), normalised(actual)
    if _matches(shown, real):
        return ""
    return "\n".join(difflib.unified_diff(shown, real, "the page", "the real output", lineterm="", n=1))


def _matches(shown: Sequence[str], real: Sequence[str]) -> bool:
    """Whether the parts between omissions are found in `real` one after another, the first and last at its ends."""
    parts: list[list[str]] = [[]]
    for line in shown:
        if line.strip() == OMISSION:
            parts.append([])
        else:
            parts[-1].append(line)
    first, *others = parts
    if not others:
        return first == list(real)
    if list(real[: len(first)]) != first:
        return False
    at, last = len(first), others.pop()
    for part in others:
        starts = (n for n in range(at, len(real) - len(part) + 1) if list(real[n : n + len(part)]) == part)
        if (start := next(starts, None)) is None:
            return False
        at = start + len(part)
    return len(real) - len(last) >= at and (not last or list(real[-len(last) :]) == last)

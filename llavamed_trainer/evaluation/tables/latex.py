"""Tables as LaTeX (booktabs)."""

from collections.abc import Iterator, Sequence

from llavamed_trainer.evaluation.tables.paper_tables import other_errata
from llavamed_trainer.evaluation.tables.table import OURS, Table

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{mark: f"\\{mark}" for mark in "&%$#_{}"},
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "–": "--",
    "±": r"$\pm$",
}


def to_latex(tables: Sequence[Table]) -> str:
    r"""One `table` environment each, for `\usepackage{booktabs,adjustbox}`, scaled down where it is too wide.

    A CJK font is needed for Table 12's questions.
    """
    parts = [
        "% needs \\usepackage{booktabs,adjustbox}; Table 12 a font with Chinese characters (XeLaTeX with xeCJK)",
        "",
    ]
    parts += [line for table in tables for line in _table(table)]
    parts += [f"% Paper, {each}" for each in other_errata()]
    return "\n".join(parts) + "\n"


def _table(table: Table) -> Iterator[str]:
    width = len(table.head) + 1 + len(table.columns)
    yield r"\begin{table}"
    yield r"\centering\small"
    yield rf"\caption{{{latex_text(table.heading)}}}"
    if table.number:
        yield rf"\label{{tab:paper-{table.number}}}"
    if table.groups:
        yield r"\begin{adjustbox}{max width=\linewidth}"
        yield rf"\begin{{tabular}}{{{'l' * (len(table.head) + 1)}{'r' * len(table.columns)}}}"
        yield r"\toprule"
        yield _line([*map(latex_text, table.head), "", *map(latex_text, table.columns)])
        for title, rows in table.groups:
            yield r"\midrule"
            if title:
                yield rf"\multicolumn{{{width}}}{{l}}{{\textit{{{latex_text(title)}}}}} \\"
            for row in rows:
                head = [latex_text(each) for each in row.head]
                for whose, values in row.lines(table.decimals):
                    yield _line([*head, whose, *(_cell(*value, bold=whose == OURS) for value in values)])
                    head = [""] * len(head)
        yield r"\bottomrule"
        yield r"\end{tabular}"
        yield r"\end{adjustbox}"
    yield from _below(table)
    yield r"\end{table}"
    yield ""


def _below(table: Table) -> Iterator[str]:
    for name, question, answer, truth in table.examples:
        answered = (
            rf"\textit{{{latex_text(name)}:}} {latex_text(answer)} \textit{{Truth:}} {latex_text(truth)}"
        )
        yield rf"\par\noindent {latex_text(question)} {answered}"
    for letter, note in table.marked:
        yield rf"\par\noindent\textsuperscript{{{letter}}} {latex_text(note)}"
    for note in table.notes:
        yield rf"\par\noindent {latex_text(note)}"


def _cell(value: str, marks: Sequence[str], *, bold: bool) -> str:
    if not value:
        return ""
    text = rf"\textbf{{{value}}}" if bold else value
    return rf"{text}\textsuperscript{{{','.join(marks)}}}" if marks else text


def _line(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def latex_text(text: str) -> str:
    """Text in one line, in which nothing acts as LaTeX."""
    return "".join(_SPECIAL.get(mark, mark) for mark in " ".join(text.split()))

"""What a person finds in the sample corpus, read from the table that was worked out by hand."""

from dataclasses import dataclass
from pathlib import Path

from llavamed_data.sources.sample import corpus_path


@dataclass(frozen=True)
class Truth:
    pmcid: str
    figure_id: str
    domain: str | None
    single: bool
    mentions: int
    instruction: str
    fate: str


def sample_truth() -> list[Truth]:
    """Every figure of the articles that can be read, as `sample/README.md` lists them."""
    text = (Path(corpus_path()).parent / "README.md").read_text(encoding="utf-8")
    table = text.partition("## Figures")[2].partition("## Sums")[0]
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines() if "| PMC9" in line
    ]
    return [
        Truth(
            article.partition(".")[0],
            figure,
            domain if domain != "–" else None,
            single == "yes",
            int(count),
            kind,
            fate,
        )
        for article, figure, domain, single, count, kind, fate in rows
    ]

"""A card lists the columns with types and meanings and shows one row; pictures of statistics stand in two columns."""

import re
from dataclasses import replace

import pytest
from markdown_it import MarkdownIt

from hub_cards import (
    CardPicture,
    ExampleRow,
    column_table,
    render_dataset_card,
    with_pictures,
    without_example,
    without_picture,
)
from llavamed_data.dataset.schema import KINDS, columns, features
from tests.hub_cards.test_dataset_card import CARD
from tests.llavamed_data.validation.sets import MAKERS

TABLES = MarkdownIt("gfm-like", {"linkify": False})


@pytest.mark.parametrize("kind", KINDS)
def test_every_column_has_a_type_a_meaning_and_a_value(kind: str) -> None:
    row = {name: value for name, value in MAKERS[kind](1).items() if name != "images"}
    example = ExampleRow(row, "example.jpg")
    text = column_table(features(kind)._to_yaml_list(), example, benchmark=kind in ("vqa", "choice"))
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]
    assert [name.strip(" `") for name, *_ in cells] == list(columns(kind))
    assert all(len(each) == 4 and all(cell.strip() for cell in each) for each in cells)
    assert text.startswith("![The image of one row](example.jpg)\n\n| column | type | holds | in one row |")
    said = ("What does the image show?", "A synthetic phantom.")
    if kind == "choice":
        said = ("What is shown? A. A phantom, made of noise B. A person", "B")
    assert f"**user** {said[0]}<br>**assistant** {said[1]}" in text
    assert "| list of image |" in text
    where = (
        "null where it is"
        if kind in ("vqa", "choice")
        else "null, in alignment and evaluation sets alone, where it is"
    )
    assert f"or `ct_scan`; {where} none of them or not stated" in text


def test_a_long_or_hostile_value_is_cut_can_break_and_stays_text() -> None:
    row = {"caption": "x" * 1_000 + "|\n# <script>", "id": "a" * 45}
    stated = [{"name": "caption", "dtype": "string"}, {"name": "id", "dtype": "string"}]
    text = column_table(stated, ExampleRow(row, None))
    assert len(text.splitlines()) == 4
    assert max(map(len, re.split(r"<wbr>| ", text))) <= 40
    assert "x" * 30 + "<wbr>" + "x" * 30 in text
    assert "<script" not in text
    assert "![" not in text
    hostile = column_table(stated, ExampleRow({"caption": "a|b\n# <script>", "id": "*"}, None))
    assert len(hostile.splitlines()) == 4
    assert "a\\|b \\# &lt;script&gt;" in hostile


def test_the_card_shows_the_example_and_loses_its_picture_when_the_file_is_lost() -> None:
    card = render_dataset_card(replace(CARD, example=ExampleRow({"id": "1_F1"}, "example.png")))
    assert "![The image of one row](example.png)" in card
    assert "| 1\\_F1 |" in card
    assert "![" not in without_picture(card)
    assert "| `id` | string | unique in this dataset | 1\\_F1 |" in without_picture(card)


def test_pictures_stand_in_two_columns_with_the_domains_first() -> None:
    names = ["verbs-instructions", "verbs-responses", "images-by-domain", "pairs-by-domain", "rounds"]
    pictures = [CardPicture(name.replace("-", " "), f"stats/{name}.png") for name in names]
    html = TABLES.render(with_pictures(render_dataset_card(CARD), pictures).split("---\n", 2)[2])
    table = html[html.index("<table>\n<tr>") : html.index("</table>", html.index("<table>\n<tr>"))]
    rows = [re.findall(r'src="stats/([^"]*).png"', row) for row in table.split("</tr>")]
    assert [row for row in rows if row] == [
        ["images-by-domain", "pairs-by-domain"],
        ["verbs-instructions", "verbs-responses"],
        ["rounds"],
    ]


def test_a_card_without_its_example_has_three_columns_and_nothing_of_the_row() -> None:
    row = {name: value for name, value in MAKERS["instruct"](1).items() if name != "images"}
    row["caption"] = "a | b \\ | c"
    card = render_dataset_card(replace(CARD, example=ExampleRow(row, "example.jpg")))
    plain = render_dataset_card(replace(CARD, example=ExampleRow(MAKERS["instruct"](2), None)))
    text = without_example(card)
    assert "example.jpg" not in text
    assert row["id"] not in text
    table = text[text.index("| column |") :].split("\n\n")[0]
    assert all(len(re.split(r"(?<!\\)\|", line)) == 5 for line in table.splitlines())
    assert text[: text.index("| column |")] == plain[: plain.index("| column |")]
    assert text.partition("\n\nThe first user turn")[2] == card.partition("\n\nThe first user turn")[2]

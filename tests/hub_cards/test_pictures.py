"""Pictures are put into a card once, take the place of older ones, and leave the rest of the card as it was."""

from huggingface_hub import DatasetCard as HubCard
from markdown_it import MarkdownIt

from hub_cards import CardPicture, render_dataset_card, with_pictures
from tests.hub_cards.test_dataset_card import CARD

PLAIN = render_dataset_card(CARD)
PICTURES = [CardPicture("Images by domain", "stats/images.png"), CardPicture("Rounds", "stats/rounds.png")]


def test_pictures_come_before_how_it_was_made_and_leave_the_metadata() -> None:
    text = with_pictures(PLAIN, PICTURES, page="stats/index.html")
    sources = [
        child.attrs["src"]
        for token in MarkdownIt().parse(HubCard(text).text)
        for child in token.children or ()
        if child.type == "image"
    ]
    assert sources == ["stats/images.png", "stats/rounds.png"]
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    assert headings[headings.index("## Statistics") + 1] == "## How it was made"
    assert HubCard(text).data.to_dict() == HubCard(PLAIN).data.to_dict()


def test_a_second_report_takes_the_place_of_the_first_and_none_leaves_the_card_as_it_was() -> None:
    once = with_pictures(PLAIN, PICTURES)
    assert with_pictures(once, PICTURES) == once
    assert with_pictures(once, []) == PLAIN
    assert with_pictures(once, PICTURES[1:]).count("![") == 1


def test_a_caption_stays_text() -> None:
    text = with_pictures(PLAIN, [CardPicture("](javascript:x) <script>", "stats/a b).png")])
    assert "<script" not in MarkdownIt().render(text)
    assert 'src="stats/a%20b%29.png"' in MarkdownIt().render(text)


def test_a_card_that_the_toolkit_did_not_write_gets_them_at_its_end() -> None:
    text = with_pictures("---\nlicense: cc0-1.0\n---\n# Mine\n", PICTURES)
    assert text.startswith("---\nlicense: cc0-1.0\n---\n# Mine\n\n<!-- statistics -->\n## Statistics\n")

"""A card as it is published: with the repository's name in the line that loads it, and links to the sets beside it."""

from collections.abc import Sequence
from pathlib import Path

from hub_cards import with_pictures
from llavamed_data.errors import UsageError
from llavamed_data.publish.faults import address
from llavamed_data.publish.folder import CARD, LocalFile
from llavamed_data.stats import REPORT_FOLDER, REPORT_PAGE, report_pictures

_LOCAL_OWNER = "llava-med"


def published_card(text: str, name: str, repo_id: str, related: Sequence[str] = ()) -> str:
    """The text of the card of the folder `name` for the repository `repo_id`.

    Example:
        `load_dataset("llava-med/60k-im", …)` becomes `load_dataset("ORG/60k-im", …)`; all else stays, but for a
        section at the end where there are related repositories.
    """
    text = text.replace(f'load_dataset("{_LOCAL_OWNER}/{name}"', f'load_dataset("{repo_id}"')
    if not related:
        return text
    links = "\n".join(f"- [{other}]({address(other)})" for other in sorted(related))
    return f"{text.rstrip()}\n\n## Sets of the same collection\n\n{links}\n"


def with_published_card(
    files: Sequence[LocalFile], folder: Path, repo_id: str, related: Sequence[str]
) -> list[LocalFile]:
    """The files, the card as `published_card` has it and with the pictures of the set's report, if there is one."""
    try:
        text = (folder / CARD).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{folder / CARD} is not UTF-8 text: build the set again") from error
    text = with_pictures(text, report_pictures(folder), page=f"{REPORT_FOLDER}/{REPORT_PAGE}")
    card = published_card(text, folder.resolve().name, repo_id, related).encode()
    return [LocalFile(CARD, card, len(card)) if file.name == CARD else file for file in files]

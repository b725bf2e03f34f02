"""The figures of an article: where they stand, what they are called, and what their captions say."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from lxml import etree

from llavamed_data.jats.plaintext import plain_text

_XLINK_HREF = "{http://www.w3.org/1999/xlink}href"
_FOR_THE_WEB = re.compile(r"\.(?:jpe?g|png)$", re.I)
_ENDED = re.compile(r"[.!?:;,…][\"”’'»)\]]*$")
_CAPTION_BLOCKS = frozenset(["title", "subtitle", "p", "list", "def-list", "disp-formula", "disp-quote"])
_DOI_ALONE = re.compile(r"(?:doi:\s?|(?:https?://)?(?:dx\.)?doi\.org/)10\.\S+", re.I)
_PARTS = ("floats-group", "floats-wrap", "back", "sub-article", "response")
_SUB_ARTICLES = ("sub-article", "response")


@dataclass(slots=True)
class FigureDraft:
    """A figure before its mentions are known.

    Attributes:
        scope: the (sub-)article that it belongs to, whose labels it shares.
        stated_id: `fig/@id` as it stands, which need not be unique.
        number_labels: labels whose numbers name it: its own and its group's.
        group_ids: ids of the groups around it, by which it may be referred to.
    """

    scope: etree._Element
    stated_id: str
    label: str
    caption: str
    graphics: tuple[str, ...]
    number_labels: tuple[str, ...]
    group_ids: tuple[str, ...]
    figure_id: str = ""
    mentions: dict[str, None] = field(default_factory=dict)


def scope_of(element: etree._Element, article: etree._Element) -> etree._Element:
    """The innermost sub-article or response that holds `element`, or else the article."""
    return next(element.iterancestors(*_SUB_ARTICLES), article)


def read_figures(article: etree._Element, elements: Iterable[etree._Element]) -> list[FigureDraft]:
    """Drafts of `elements` (every `<fig>`, in document order) in reading order, with ids unique in the article.

    Reading order is the body with what stands before it, the floats group, the back matter, then sub-articles.
    Changes the tree below the captions.
    """
    placed = [(_place(element), _read_figure(element, article)) for element in elements]
    placed.sort(key=lambda entry: entry[0])
    drafts = [draft for _, draft in placed]
    for draft, figure_id in zip(drafts, _unique_ids(drafts), strict=True):
        draft.figure_id = figure_id
    return drafts


def _place(element: etree._Element) -> int:
    parts = {ancestor.tag for ancestor in element.iterancestors(*_PARTS)}
    if not parts:
        return 0
    if not parts.isdisjoint(_SUB_ARTICLES):
        return 3
    return 2 if "back" in parts else 1


def _read_figure(element: etree._Element, article: etree._Element) -> FigureDraft:
    own_label, caption = _label_and_caption(element)
    label, number_labels, group_ids = own_label, [own_label], []
    for group in element.iterancestors("fig-group"):
        group_ids.append(group.get("id", ""))
        group_label, group_caption = _label_and_caption(group)
        number_labels.append(group_label)
        if not any(character.isdigit() for character in label):
            label = f"{group_label} {label}".strip()
        caption = caption or group_caption
    return FigureDraft(
        scope=scope_of(element, article),
        stated_id=element.get("id", ""),
        label=label,
        caption=caption,
        graphics=tuple(dict.fromkeys(_graphics(element))),
        number_labels=tuple(filter(None, number_labels)),
        group_ids=tuple(filter(None, group_ids)),
    )


def _label_and_caption(element: etree._Element) -> tuple[str, str]:
    label = element.find("label")
    blocks = [block for caption in element.iterchildren("caption") for block in caption]
    return (
        "" if label is None else plain_text(label).rstrip(" .:,;–—-|"),
        _join(text for text in map(_block_text, blocks) if text and not _DOI_ALONE.fullmatch(text)),
    )


def _block_text(block: etree._Element) -> str:
    return plain_text(block) if block.tag in _CAPTION_BLOCKS else ""


def _join(blocks: Iterable[str]) -> str:
    joined = ""
    for block in blocks:
        if joined:
            joined += " " if _ENDED.search(joined) else ". "
        joined += block
    return joined


def _graphics(figure: etree._Element) -> Iterator[str]:
    for element in figure.iter("graphic", "alternatives"):
        if next(element.iterancestors("caption"), None) is not None:
            continue
        if element.tag == "alternatives":
            hrefs = [href for graphic in element.iterchildren("graphic") if (href := _href(graphic))]
            yield from [href for href in hrefs if _FOR_THE_WEB.search(href)][:1] or hrefs[:1]
        elif element.getparent().tag != "alternatives" and (href := _href(element)):
            yield href


def _href(graphic: etree._Element) -> str:
    return (graphic.get(_XLINK_HREF) or graphic.get("href") or "").strip()


def _unique_ids(drafts: Sequence[FigureDraft]) -> Iterator[str]:
    stated = {draft.stated_id for draft in drafts}
    given: set[str] = set()
    for position, draft in enumerate(drafts, start=1):
        figure_id = draft.stated_id
        if not figure_id or figure_id in given:
            stem = draft.graphics[0] if draft.graphics else f"fig-{position}"
            stem = re.sub(r"[^\w.-]+", "-", stem.rsplit("/", 1)[-1])
            figure_id, copy = stem, 1
            while figure_id in stated or figure_id in given:
                copy += 1
                figure_id = f"{stem}-{copy}"
        given.add(figure_id)
        yield figure_id

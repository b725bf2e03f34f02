"""Reads the figures of an article: in which order they stand, what they are called, what their captions say."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from lxml import etree

from llavamed_data.jats.document import SUB_ARTICLES, ArticleTree
from llavamed_data.jats.plaintext import XLINK_HREF, normalise_spaces, plain_text

_FOR_THE_WEB = re.compile(r"\.(?:jpe?g|png)$", re.I)
_SUFFIX = re.compile(r"\.(?:jpe?g|png|gif|tiff?|eps|svg|bmp|webp|jp2)$", re.I)
_END_MARKS, _CLOSERS = (".", "!", "?", ":", ";", ",", "…", "。", "–", "—"), "\"”’'»)]"
_CAPTION_BLOCKS = frozenset(["title", "subtitle", "p", "list", "def-list", "disp-formula", "disp-quote"])
_AFTER_LABEL = " .:,;–—-|"
_LONGEST_LABEL = 60  # a longer one, where there is no caption, is the caption
_DOI = r"(?:doi:?\s*(?:(?:https?://)?(?:dx\.)?doi\.org/)?|(?:https?://)?(?:dx\.)?doi\.org/)10\.\S+"
_DOI_ALONE = re.compile(rf"[(\[]?{_DOI}", re.I)
_DOI_AT_END = re.compile(rf"(?<=[.!?)\]”\"])(?:\s+[(\[]?(?=doi)|(?=doi:)){_DOI}$", re.I)
_LONGEST_DOI = 120
_SEPARATORS_IN_FRONT = re.compile(
    r"(?:[:;,|∣•▪]\s*|\.(?![.\d])\s*|[–—‒―‐-]+(?:\s+(?![+/])|(?=[A-Z][a-z]))|−\s+(?=[A-Za-z]))+"
)
_GOES_ON = re.compile(r"[.:](?!\S)\s*|\.(?=[A-Za-z])")
_GOES_ON_IN_SENTENCE = re.compile(r"[,;](?!\S)|[–—](?=\s)")
_NOT_IN_IDS = re.compile(r"[^\w.-]+")
_PLACES = {"floats-group": 1, "floats-wrap": 1, "back": 2, "sub-article": 3, "response": 3}


@dataclass(slots=True)
class FigureDraft:
    """A figure before its mentions are known.

    Attributes:
        scope: the (sub-)article that it belongs to, whose labels it shares.
        stated_id: `fig/@id` as it stands, which need not be unique.
        shares_caption: whether the caption speaks of other images too: its own further graphics, or its group's.
        number_labels: labels whose numbers name it: its own and its group's.
        group_ids: ids of the groups around it, by which it may be referred to.
    """

    scope: etree._Element
    stated_id: str
    label: str
    caption: str
    graphics: tuple[str, ...]
    shares_caption: bool
    number_labels: list[str]
    group_ids: list[str] = field(default_factory=list)
    figure_id: str = ""
    mentions: dict[str, None] = field(default_factory=dict)


def read_figures(tree: ArticleTree) -> list[FigureDraft]:
    """Returns a draft of every figure in reading order, with ids unique in the article. Changes their captions.

    Reading order is the body with what stands before it, the floats group, the back matter, then sub-articles.
    """
    groups: dict[etree._Element, _Description] = {}
    placed = [_read_figure(element, tree, groups) for element in tree.figures]
    placed.sort(key=lambda entry: entry[0])
    drafts = [draft for _, draft in placed]
    for draft, figure_id in zip(drafts, _unique_ids(drafts), strict=True):
        draft.figure_id = figure_id
    return drafts


class _Description(NamedTuple):
    """What stands right below a figure or a group of figures."""

    label: str
    caption: str
    graphics: list[str]
    figures: int


def _read_figure(
    element: etree._Element, tree: ArticleTree, groups: dict[etree._Element, _Description]
) -> tuple[int, FigureDraft]:
    own = _read_description(element, tree)
    graphics = tuple(dict.fromkeys(own.graphics or _graphics_below(element)))
    draft = FigureDraft(
        scope=tree.article,
        stated_id=element.get("id", ""),
        label=own.label,
        caption=own.caption,
        graphics=graphics,
        shares_caption=len(graphics) > 1 and len({_SUFFIX.sub("", name).lower() for name in graphics}) > 1,
        number_labels=[own.label],
    )
    place = 0
    for ancestor in element.iterancestors():
        tag = ancestor.tag
        place = max(place, _PLACES.get(str(tag), 0))
        if tag == "fig-group":
            if ancestor not in groups:
                groups[ancestor] = _read_description(ancestor, tree)
            _add_group(draft, ancestor.get("id", ""), groups[ancestor])
        elif tag in SUB_ARTICLES and draft.scope is tree.article:
            draft.scope = ancestor
    return place, draft


def _add_group(draft: FigureDraft, group_id: str, group: _Description) -> None:
    draft.group_ids.append(group_id)
    draft.number_labels.append(group.label)
    if not any(character.isdigit() for character in draft.label):
        draft.label = f"{group.label} {draft.label}".strip()
    if not draft.caption and group.caption:
        draft.caption = group.caption
        draft.shares_caption |= group.figures > 1


def _read_description(element: etree._Element, tree: ArticleTree) -> _Description:
    label, blocks, outside, graphics = "", [], [], []
    for child in element:
        match child.tag:
            case "label":
                text = plain_text(child) if len(child) else normalise_spaces(child.text or "")
                label = text.rstrip(_AFTER_LABEL)
            case "caption":
                blocks += _caption_blocks(child, tree)
            case "title" | "p" if element.tag == "fig":
                outside.append(child)
            case "graphic" | "alternatives":
                graphics.append(_href(child) if child.tag == "graphic" else _href_for_the_web(child))
                for graphic in child.iter("graphic") if len(child) else ():
                    own_label, own_blocks = _read_graphic_caption(graphic, tree)
                    label = label or own_label
                    blocks += [block for block in own_blocks if block not in blocks]
    caption = _tidy(_join(filter(None, blocks if any(blocks) else map(plain_text, outside))))
    if not caption and len(label) > _LONGEST_LABEL:
        label, caption = "", label
    figures = sum(1 for _ in element.iterdescendants("fig")) if element.tag == "fig-group" else 1
    return _Description(label, caption, list(filter(None, graphics)), figures)


def _read_graphic_caption(graphic: etree._Element, tree: ArticleTree) -> tuple[str, list[str]]:
    """Returns the label and the blocks of the caption of a graphic; one that names a panel goes before them."""
    label = "".join(plain_text(child) for child in graphic.iterchildren("label")).rstrip(_AFTER_LABEL)
    caption = _join(
        text for child in graphic.iterchildren("caption") for text in _caption_blocks(child, tree) if text
    )
    names_panel = bool(label) and not any(map(str.isdigit, label))
    if not caption:
        return "" if names_panel else label, []
    if names_panel:
        return "", [f"{label if label.endswith(')') else f'({label})'} {caption}"]
    return label, [caption]


def _caption_blocks(caption: etree._Element, tree: ArticleTree) -> list[str]:
    """Returns the text of each block of a caption; text that stands in none makes a block of its own."""
    blocks = []
    stray = _paragraph_of(caption.text)
    for child in list(caption):
        if child.tag in _CAPTION_BLOCKS:
            if stray is not None:
                blocks.append(plain_text(stray))
            has_blocks = child in tree.with_blocks or child.tag not in ("p", "title")
            blocks.append(plain_text(child, with_blocks=has_blocks))
            stray = _paragraph_of(child.tail)
        else:
            stray = etree.Element("p") if stray is None else stray
            stray.append(child)  # with its tail
    return blocks if stray is None else [*blocks, plain_text(stray)]


def _paragraph_of(text: str | None) -> etree._Element | None:
    """Returns a paragraph that begins with `text`; None where that is only white space."""
    if not text or text.isspace():
        return None
    paragraph = etree.Element("p")
    paragraph.text = text
    return paragraph


def _tidy(caption: str) -> str:
    """Returns a caption without its own address at the end and without separators in front."""
    if "10." in caption[-_LONGEST_DOI:]:
        caption = _DOI_AT_END.sub("", caption)
    separators = _SEPARATORS_IN_FRONT.match(caption)
    return caption[separators.end() :] if separators else caption


def _join(blocks: Iterable[str]) -> str:
    """Joins blocks of text, each a sentence of its own unless its first character says that the last goes on."""
    joined = ""
    for block in blocks:
        if "10." in block[:_LONGEST_DOI] and _DOI_ALONE.fullmatch(block):
            continue
        ended = joined.rstrip(_CLOSERS).endswith(_END_MARKS)
        if not joined:
            joined = block
        elif _GOES_ON_IN_SENTENCE.match(block):
            joined += f" {block}" if block[0] in "–—" else block
        elif stop := _GOES_ON.match(block):
            joined += f" {block[stop.end() :]}" if ended else block
        else:
            joined += f" {block}" if ended else f". {block}"
    return joined.rstrip()


def _graphics_below(figure: etree._Element) -> Iterator[str]:
    """Graphics that stand deeper than usual, in a paragraph of the figure; those in captions are formulae."""
    for graphic in figure.iterdescendants("graphic"):
        if next(graphic.iterancestors("caption", "alternatives"), None) is None and (href := _href(graphic)):
            yield href


def _href_for_the_web(alternatives: etree._Element) -> str:
    hrefs = [href for graphic in alternatives.iterchildren("graphic") if (href := _href(graphic))]
    return next(filter(_FOR_THE_WEB.search, hrefs), hrefs[0] if hrefs else "")


def _href(graphic: etree._Element) -> str:
    return (graphic.get(XLINK_HREF) or graphic.get("href") or "").strip()


def _unique_ids(drafts: Sequence[FigureDraft]) -> Iterator[str]:
    stated = {draft.stated_id for draft in drafts}
    given: set[str] = set()
    for position, draft in enumerate(drafts, start=1):
        figure_id = draft.stated_id
        if not figure_id or figure_id in given:
            stem = draft.graphics[0] if draft.graphics else f"fig-{position}"
            stem = _NOT_IN_IDS.sub("-", stem.rsplit("/", 1)[-1])
            figure_id, copy = stem, 1
            while figure_id in stated or figure_id in given:
                copy += 1
                figure_id = f"{stem}-{copy}"
        given.add(figure_id)
        yield figure_id

"""Reads the figures of an article: in which order they stand, what they are called, what their captions say."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from lxml import etree

from llavamed_data.jats.document import SUB_ARTICLES, ArticleTree
from llavamed_data.jats.plaintext import XLINK_HREF, normalise_spaces, plain_text

_FOR_THE_WEB = re.compile(r"\.(?:jpe?g|png)$", re.I)
_END_MARKS, _CLOSERS = (".", "!", "?", ":", ";", ",", "…"), "\"”’'»)]"
_CAPTION_BLOCKS = frozenset(["title", "subtitle", "p", "list", "def-list", "disp-formula", "disp-quote"])
_LONGEST_LABEL = 60  # a longer one, where there is no caption, is the caption
_DOI_ALONE = re.compile(r"(?:doi:\s?|(?:https?://)?(?:dx\.)?doi\.org/)10\.\S+", re.I)
_NOT_IN_IDS = re.compile(r"[^\w.-]+")
_PLACES = {"floats-group": 1, "floats-wrap": 1, "back": 2, "sub-article": 3, "response": 3}


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


def _read_figure(
    element: etree._Element, tree: ArticleTree, groups: dict[etree._Element, _Description]
) -> tuple[int, FigureDraft]:
    own = _read_description(element, tree)
    draft = FigureDraft(
        scope=tree.article,
        stated_id=element.get("id", ""),
        label=own.label,
        caption=own.caption,
        graphics=tuple(dict.fromkeys(own.graphics or _graphics_below(element))),
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
    draft.caption = draft.caption or group.caption


def _read_description(element: etree._Element, tree: ArticleTree) -> _Description:
    label, blocks, graphics = "", [], []
    for child in element:
        match child.tag:
            case "label":
                label = (plain_text(child) if len(child) else normalise_spaces(child.text or "")).rstrip(
                    " .:,;–—-|"
                )
            case "caption":
                blocks += [_block_text(block, tree) for block in child] or [plain_text(child)]
            case "graphic":
                graphics.append(_href(child))
            case "alternatives":
                graphics.append(_href_for_the_web(child))
    caption = _join(text for text in blocks if text and not _DOI_ALONE.fullmatch(text))
    if not caption and len(label) > _LONGEST_LABEL:
        label, caption = "", label
    return _Description(label, caption, list(filter(None, graphics)))


def _block_text(block: etree._Element, tree: ArticleTree) -> str:
    if block.tag not in _CAPTION_BLOCKS:
        return ""
    return plain_text(block, with_blocks=block in tree.with_blocks or block.tag not in ("p", "title"))


def _join(blocks: Iterable[str]) -> str:
    joined = ""
    for block in blocks:
        if joined:
            joined += " " if joined.rstrip(_CLOSERS).endswith(_END_MARKS) else ". "
        joined += block
    return joined


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

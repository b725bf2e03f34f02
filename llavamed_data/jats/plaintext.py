"""Turns markup into plain text on one line: blocks apart, each formula once, nothing that is not prose."""

import re
from importlib.resources import files

import yaml
from lxml import etree

from llavamed_data.jats.scripts import subscript, superscript, write_scripts

XLINK_HREF = "{http://www.w3.org/1999/xlink}href"
_MATH = "{http://www.w3.org/1998/Math/MathML}"
_MATHML = _MATH + "math"

BREAK = "\x90"
"""Stands where one block ends and another begins; a control character that XML allows and no encoding in use has."""

_FLOATS = frozenset(["fig", "fig-group", "table-wrap", "table-wrap-group", "media", "supplementary-material"])
_UNREAD = _FLOATS | frozenset(
    ["object-id", "permissions", "attrib", "fn", "alt-text", "long-desc", "code", "index-term", "x"]
)
"""What is not read with the text around it: what floats beside it, notes, and what is for machines."""

_BLOCKS = frozenset(
    ["p", "title", "subtitle", "list", "list-item", "def-list", "def-item", "term", "def", "disp-quote", "boxed-text",
     "statement", "verse-group", "verse-line", "speech", "speaker", "sec"]
)  # fmt: skip
"""What is read apart from the text around it."""

_SPACED = frozenset(["break", "disp-formula", "label"])
"""What is read with the text around it, with a space between."""

_FORMULAE = frozenset(["alternatives", "inline-formula", "disp-formula"])
"""What may say the same in several ways, of which one is read."""

_SPECIAL = (*(_UNREAD | _BLOCKS | _SPACED | _FORMULAE), "tex-math", _MATHML)

BLOCKS_AND_FORMULAE = (
    "break", "disp-formula", "tex-math", _MATHML, "list", "def-list", "disp-quote", "boxed-text", "fn", "table-wrap",
    "media", "supplementary-material", "statement", "speech", "verse-group",
)  # fmt: skip
"""Every paragraph or title whose bare text does not read well holds one of these at least, or a `fig`."""


def normalise_spaces(text: str) -> str:
    """Returns `text` on one line: every run of white space, no-break and thin spaces included, becomes one space."""
    if text.isprintable() and "  " not in text:  # no white space but single spaces: a tenth of the time
        return text.strip()
    return " ".join(text.split())


def text_of(element: etree._Element) -> str:
    """Returns all text below `element` as it stands; its tail is left out."""
    if len(element):
        return etree.tostring(element, method="text", encoding="unicode", with_tail=False)
    return element.text or ""


def plain_text(element: etree._Element, *, with_blocks: bool = True) -> str:
    """Returns what a reader reads in `element`, on one line. Changes the tree: call it once an element.

    Args:
        element: a paragraph, title or label.
        with_blocks: whether it may hold blocks or formulae; most hold none, and `ArticleTree` knows which do.
    """
    write_scripts(element)
    if with_blocks:
        simplify(element)
        return normalise_spaces(text_of(element).replace(BREAK, " "))
    return normalise_spaces(text_of(element))


def simplify(element: etree._Element) -> None:
    """Changes the tree below `element` so that its bare text reads well, with `BREAK` between blocks."""
    for special in list(element.iterdescendants(*_SPECIAL)):
        tag = special.tag
        if tag in _UNREAD:
            special.clear(keep_tail=True)
        elif tag in _BLOCKS:
            _surround(special, BREAK)
        elif tag == "tex-math":
            _replace_content(special, read_tex("".join(special.itertext())))
        elif tag == _MATHML:
            _replace_content(special, normalise_spaces(_read_math(special)))
        if tag in _SPACED or tag in _FLOATS:
            _surround(special, " ")
        if tag in _FORMULAE:
            _keep_one_reading(special)


def _surround(element: etree._Element, separator: str) -> None:
    element.text = separator + (element.text or "")
    element.tail = separator + (element.tail or "")


def _replace_content(element: etree._Element, text: str) -> None:
    element.clear(keep_tail=True)
    element.text = text


def _keep_one_reading(formula: etree._Element) -> None:
    readings = (
        formula.findall(_MATHML)
        or formula.findall("tex-math")
        or list(formula)[: formula.tag == "alternatives"]
    )
    if formula.tag == "alternatives":
        unread = [child for child in formula if child is not readings[0]]
    else:
        unread = [child for child in formula.findall("tex-math") if child not in readings]
    for child in unread:
        child.clear(keep_tail=True)


def _read_math(node: etree._Element) -> str:
    if not isinstance(node.tag, str):
        return ""
    tag = node.tag.removeprefix(_MATH)
    if tag in ("annotation", "annotation-xml"):
        return ""
    if tag == "mspace":
        return " "
    parts = [_read_math(child) for child in node]
    if tag in ("msup", "msub", "msubsup", "mmultiscripts"):
        return _read_scripts(tag, [child.tag == f"{_MATH}mprescripts" for child in node], parts)
    if tag == "mfrac":
        return "/".join(parts)
    if tag == "mfenced":
        return node.get("open", "(") + node.get("separators", ",")[:1].join(parts) + node.get("close", ")")
    if tag == "msqrt":
        return f"√{''.join(parts)}" if len(parts) == 1 else f"√({''.join(parts)})"
    return (node.text or "" if tag == "mtext" else (node.text or "").strip()) + "".join(parts)


def _read_scripts(tag: str, is_divider: list[bool], parts: list[str]) -> str:
    """Reads a base with scripts; in `mmultiscripts` they come in pairs, those after the divider stand before it."""
    base, *scripts = [part.strip() for part in parts] or [""]
    if tag == "msup":
        return base + "".join(superscript(script, in_formula=True) for script in scripts)
    if tag != "mmultiscripts":
        below, above = (*scripts, "", "")[:2]
        return base + subscript(below, before=base) + superscript(above, in_formula=True)
    divider = is_divider.index(True) if True in is_divider else len(parts)
    after, before = scripts[: divider - 1], scripts[divider:]
    return _pairs_of_scripts(before) + base + _pairs_of_scripts(after)


def _pairs_of_scripts(scripts: list[str]) -> str:
    return "".join(
        superscript(script, in_formula=True) if place % 2 else subscript(script)
        for place, script in enumerate(scripts)
    )


_TEX = yaml.safe_load(files(__package__).joinpath("tex.yaml").read_text("utf-8"))
_SYMBOLS: dict[str, str] = _TEX["symbols"]
_DEEPEST_TEX = 8
_WRITTEN_MARKS = {0x81: "^", 0x8D: "_"}
"""Marks that are part of the text already, while those of LaTeX are still read."""

_TEX_BODY = re.compile(r"\\begin\{document\}(.*?)(?:\\end\{document\}|\Z)", re.DOTALL)
_TEX_FRACTION = re.compile(r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}")
_TEX_LAYOUT = re.compile(
    r"\\(?:begin|end)\{[^{}]*\}(?:\{[clr|]*\})?|\\(?:left|right|[bB]igg?[lr]?)(?![A-Za-z])|\\[()\[\]]"
)
_TEX_COMMAND = re.compile(r"\\([A-Za-z]+)")
_TEX_SCRIPT = re.compile(r"(?<!\\)([_^])\s?(?:\{([^{}]*)\}|([^\s{}\\$]))")
_TEX_GROUP = re.compile(r"(?<![\\^_])\{([^{}]*)\}")
_TEX_MARKUP = re.compile(r"(?<!\\)[${}]")
_TEX_ESCAPED = re.compile(r"\\([%#&_{}$])")
_TEX_SPACE = re.compile(r"\\[,;:! ]|\\\\|(?<!\\)[~&]")


def read_tex(source: str) -> str:
    r"""Turns LaTeX into plain text: `\documentclass…\begin{document}$$\alpha_{1} \le 5$$\end{document}` → `α₁ ≤ 5`."""
    body = _TEX_BODY.search(source)
    text = body[1] if body else source
    text = _TEX_FRACTION.sub(r"\1/\2", text)
    text = _TEX_SPACE.sub(" ", _TEX_LAYOUT.sub("", text))
    text = _TEX_COMMAND.sub(lambda command: _SYMBOLS.get(command[1], ""), text)
    for _ in range(_DEEPEST_TEX):  # from the innermost braces outwards
        simpler = _TEX_SCRIPT.sub(_read_tex_script, _TEX_GROUP.sub(r"\1", text))
        if simpler == text:
            break
        text = simpler
    text = _TEX_ESCAPED.sub(r"\1", _TEX_MARKUP.sub("", text.translate(_WRITTEN_MARKS)))
    return normalise_spaces(text)


def _read_tex_script(script: re.Match[str]) -> str:
    mark, braced, single = script.groups()
    content = (braced if single is None else single).strip()
    before = script.string[: script.start()][-1:]
    written = subscript(content, before=before) if mark == "_" else superscript(content, in_formula=True)
    return written.replace("^", "\x81").replace("_", "\x8d")

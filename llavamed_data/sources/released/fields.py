"""The fields of a record, checked one by one; what is wrong with one is raised as `Drop(MALFORMED_ROW)`."""

import re
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from llavamed_data.reasons import Drop, Reason
from llavamed_data.recipes import DOMAINS

MAX_TEXT = 1 << 20
"""Characters of one text; more is no caption and no turn."""

_NAME = re.compile(r"[^/\\\x00-\x1f\x7f]{1,200}")
_PMID = re.compile(r"(\d{1,9})_.")


def malformed(problem: str) -> Drop:
    """The drop that says what is wrong with a row."""
    return Drop(Reason.MALFORMED_ROW, problem)


def record_fields(record: Any) -> dict[str, Any]:
    """Returns `record` if it is an object that could be read."""
    if isinstance(record, Drop):
        raise record
    if not isinstance(record, dict):
        raise malformed(f"a {type(record).__name__} where an object belongs")
    return record


def record_label(record: Any, position: int, *keys: str) -> str:
    """How a dropped record is named: by the first of `keys` that holds a short text, otherwise by its position."""
    for key in keys if isinstance(record, dict) else ():
        if isinstance(value := record.get(key), str) and 0 < len(value) <= 200 and value.isprintable():
            return value
    return f"row {position}"


def text_of(value: Any, field: str) -> str:
    """Returns `value` if it is text that can be written as UTF-8."""
    if not isinstance(value, str):
        raise malformed(f"{field} is missing" if value is None else f"{field} is a {type(value).__name__}")
    if len(value) > MAX_TEXT:
        raise malformed(f"{field} has {len(value):,} characters")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise malformed(f"{field} is not valid UTF-8") from None
    return value


def optional_text(value: Any, field: str) -> str:
    """Like `text_of`, without blanks at the ends; empty if `value` is null or missing."""
    return "" if value is None else text_of(value, field).strip()


def is_plain_name(name: str) -> bool:
    """Whether `name` can be the name of a file or figure: no path, no control characters."""
    return bool(_NAME.fullmatch(name)) and not name.startswith(".") and name == name.strip()


def plain_name(value: Any, field: str) -> str:
    """Returns `value` if it is a plain name."""
    name = text_of(value, field)
    if not is_plain_name(name):
        raise malformed(f"{field} {name[:40]!a} is not a plain name")
    return name


def pmid_of(pair_id: str) -> str | None:
    """The PMID that a pair's id begins with (`18063892_F3`)."""
    found = _PMID.match(pair_id)
    return found[1] if found else None


def first_flagged(value: Any) -> str | None:
    """The domain of a row whose `domain` is an object of booleans, a name, or null; of several the first of `DOMAINS`.

    Raises:
        Drop: it is something else, or a name that is none of the five.
    """
    if value is None:
        return None
    if isinstance(value, str):
        name = "_".join(value.lower().replace("-", " ").split())
        if name not in DOMAINS:
            raise malformed(f"domain {value[:40]!a} is none of {', '.join(DOMAINS)}")
        return name
    if not isinstance(value, dict) or not all(isinstance(flag, bool) for flag in value.values()):
        raise malformed("domain is neither a name nor flags")
    return next((domain for domain in DOMAINS if value.get(domain)), None)


def mentions_of(value: Any) -> tuple[str, ...]:
    """Inline mentions as sentences, each once: from null, a list of texts, or a list of `{tokens}`."""
    if value is None:
        return ()
    if not isinstance(value, list):
        raise malformed(f"in_text_mention is a {type(value).__name__}")
    return tuple(dict.fromkeys(sentence for sentence in map(_mention, value) if sentence))


def _mention(value: Any) -> str:
    if isinstance(value, dict):
        return detokenise(text_of(value.get("tokens"), "a mention's tokens"))
    return text_of(value, "a mention").strip()


def detokenise(tokens: str) -> str:
    """A sentence without the blanks that a tokeniser put between its tokens; the rules are `detokenise.yaml`.

    >>> detokenise("Inflammatory cells were not found in the vicinity ( Fig. 3 , 4 , 5 ) .")
    'Inflammatory cells were not found in the vicinity (Fig. 3, 4, 5).'
    """
    sentence = " ".join(tokens.split())
    for pattern, replacement in _detokenisation_rules():
        sentence = pattern.sub(replacement, sentence)
    return sentence


@cache
def _detokenisation_rules() -> tuple[tuple[re.Pattern[str], str], ...]:
    table = yaml.safe_load((files(__package__) / "detokenise.yaml").read_text("utf-8"))
    return tuple((re.compile(rule["pattern"]), rule["to"]) for rule in table["rules"])

"""The five domains as the released files flag them."""

from typing import Any

from llavamed_data.reasons import Drop, Reason
from llavamed_data.recipes import DOMAINS


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
            raise Drop(Reason.MALFORMED_ROW, f"domain {value[:40]!a} is none of {', '.join(DOMAINS)}")
        return name
    if not isinstance(value, dict) or not all(isinstance(flag, bool) for flag in value.values()):
        raise Drop(Reason.MALFORMED_ROW, "domain is neither a name nor flags")
    return next((domain for domain in DOMAINS if value.get(domain)), None)

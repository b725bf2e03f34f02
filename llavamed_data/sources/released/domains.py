"""The five domains as the released files flag them."""

from typing import Any

from llavamed_data.reasons import Drop, Reason

DOMAINS = ("chest_xray", "mri", "histology", "gross", "ct_scan")
"""In the order in which the first flagged one counts (the paper's Table 1 counts each question once)."""


def first_flagged(value: Any) -> str | None:
    """The domain of a row whose `domain` is an object of booleans, a name, or null.

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

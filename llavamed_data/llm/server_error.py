"""What a server says when it answers a request with an error, in whichever form it says so."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from llavamed_data.errors import one_line
from llavamed_data.reasons import Reason

_MESSAGE_CHARACTERS = 300
_MOST_TEXT = 4000
_CODE_FIELDS = frozenset({"code", "type", "status", "reason", "param", "finish_reason"})
_MESSAGE_FIELDS = ("message", "msg", "detail", "error_description", "error", "errors", "title")
_ECHOED_FIELDS = frozenset({"input", "ctx", "prompt", "messages", "body", "url"})
"""Fields in which servers send back what they were sent: no words of the server."""

_CONTENT_FILTERED = re.compile(
    r"content[ _-]?filter|content[ _]?policy|content management policy|responsibleaipolicy|data_?inspection_?failed"
    r"|inappropriate content|usage polic|safety (?:system|filter|setting|polic)|moderation|flagged|prohibited_content"
    r"|sensitive[ _]words?|contentblocked|content_blocked|blocked by (?:the )?(?:content|safety)"
)
_TOO_LONG = re.compile(
    r"context[ _]?(?:length|size|window|limit)|exceed_context|exceeds the maximum (?:number of )?tokens"
    r"|maximum (?:model )?(?:context|input|prompt|sequence) ?length|max(?:imum)?_model_len"
    r"|(?:prompt|input|inputs|request|message|messages|text|sequence)s? (?:is |are |has |have )?"
    r"(?:too (?:long|large|many tokens)|longer than)|too many (?:input )?tokens|reduce (?:the|your) (?:length|prompt)"
    r"|string_above_max_length|tokens_limit|token limit|request_too_large|payload too large|entity too large"
)
_QUOTA_SPENT = re.compile(
    r"insufficient[ _](?:quota|balance|credit|funds)|billing_hard_limit|credit balance is too low"
    r"|payment required"
)
_KEY_REFUSED = re.compile(
    r"invalid[ _]api[ _]key|api[ _]key[ _](?:is )?(?:invalid|not valid)|incorrect api key|no api key|api_key_invalid"
)
_NO_SUCH_MODEL = re.compile(r"model_not_found|no such model|model\b.{0,80}(?:does not exist|not found)")


@dataclass(frozen=True, slots=True)
class ServerError:
    """An error with which a server answers a request.

    Attributes:
        status: the HTTP status.
        words: the server's message on one line, for the user; the status if there is none.
        message: the whole message in lower case.
        text: codes, types and the message in lower case, in which known wordings are looked for.
        parameter: the parameter that the error names as its cause; may be empty.
    """

    status: int
    words: str
    message: str
    text: str
    parameter: str = ""

    @property
    def refusal(self) -> Reason | None:
        """Why this one request is refused, if the server's words are known to say so."""
        if _CONTENT_FILTERED.search(self.text):
            return Reason.CONTENT_FILTER
        return Reason.REQUEST_REFUSED if self.status == 413 or _TOO_LONG.search(self.text) else None

    @property
    def quota_is_spent(self) -> bool:
        """Whether the account has no money left."""
        return self.status == 402 or bool(_QUOTA_SPENT.search(self.text))

    @property
    def key_is_refused(self) -> bool:
        """Whether the server asks for a key, or for another one."""
        return self.status == 401 or bool(_KEY_REFUSED.search(self.text))

    @property
    def model_is_unknown(self) -> bool:
        """Whether the server has no such model, or nothing at this address."""
        return self.status == 404 or bool(_NO_SUCH_MODEL.search(self.text))


def read_error(status: int, body: bytes | object) -> ServerError:
    """The error in the body of a response.

    Args:
        status: the HTTP status.
        body: the body, as bytes or decoded.
    """
    value = body
    if isinstance(body, bytes):
        try:
            value = json.loads(body)
        except ValueError:
            value = re.sub(r"<[^<>]*>", " ", body[:_MOST_TEXT].decode(errors="replace"))
    message = _message(value)
    words = one_line(message, _MESSAGE_CHARACTERS) if message.strip() else f"HTTP {status}"
    message = message[:_MOST_TEXT].lower()
    text = " ".join([*_codes(value), message])[:_MOST_TEXT].lower()
    parameter = next((text for name, text in _fields(value) if name == "param"), "")
    return ServerError(status, words, message, text, parameter)


def _message(value: object) -> str:
    """The message for people in a body, wherever it stands."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "; ".join(filter(None, map(_message, value)))
    if isinstance(value, Mapping):
        for name in _MESSAGE_FIELDS:
            if (found := _message(value.get(name))).strip():
                place = value.get("loc")  # the parameter, in the errors of servers that check with pydantic
                return f"{'.'.join(map(str, place))}: {found}" if isinstance(place, list) else found
    return ""


def _codes(value: object) -> Iterator[str]:
    """The codes, types and named parameters in a body."""
    return (text for name, text in _fields(value) if name in _CODE_FIELDS)


def _fields(value: Any) -> Iterator[tuple[str, str]]:
    """All fields of a body that hold a text or a number, with their names, without what the server was sent."""
    if isinstance(value, list):
        for each in value:
            yield from _fields(each)
    elif isinstance(value, Mapping):
        for name, each in value.items():
            if name in _ECHOED_FIELDS:
                continue
            if isinstance(each, str | int):
                yield str(name), str(each)
            else:
                yield from _fields(each)

"""The form in which requests are sent to models that refuse the system role or one of the usual parameters."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from llavamed_data.llm.server_error import ServerError

_REFUSING = (
    r"unsupported|unrecogni[sz]ed|unknown|unexpected|extra (?:inputs|fields)|extra_forbidden|invalid|deprecated"
    r"|not (?:be )?(?:supported|permitted|allowed|accepted|enabled|available)"
    r"|(?:not|n['’]t) (?:support|allow|accept|take)|cannot|only|(?:must|should) be|no longer|forbidden"
    r"|incompatible|instead|strictly|range|greater than|expected|too (?:low|small)|allowed|has no"
)
_ROLE = r"(?<![a-z])(?:system|roles?)(?![a-z])"
_NO_SYSTEM_ROLE = re.compile(
    rf"(?:{_REFUSING})\b[^.]{{0,60}}{_ROLE}|{_ROLE}[^.]{{0,60}}(?:{_REFUSING})"
    r"|developer instruction is not enabled|roles? must alternate|first message must be|must start with a user"
)
_NAMES_A_ROLE = re.compile(r"\broles?\b|system[ _](?:prompt|message|instruction)")
_TOO_LARGE = re.compile(r"too (?:large|high|big|long)|at most|maximum|exceed|less than|greater than|range")
_LENGTH_PARAMETERS = ("max_tokens", "max_completion_tokens")
_STATUSES = frozenset({400, 422, 500, 501})
"""Statuses with which servers refuse a part of the form; llama.cpp's errors of chat templates have the status 500."""


@dataclass(frozen=True, slots=True)
class RequestForm:
    """How the bodies of requests are sent; the keys in the journal are those of the bodies before.

    Attributes:
        system_in_user_turn: send the system message's text at the start of the first user turn.
        length_parameter: the parameter that holds the most tokens of an answer; None leaves the request's own.
        left_out: parameters that are not sent.
    """

    system_in_user_turn: bool = False
    length_parameter: str | None = None
    left_out: frozenset[str] = frozenset()

    def applied(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """The body as it is sent."""
        if self == RequestForm():
            return body
        sent = {name: value for name, value in body.items() if name not in self.left_out}
        if self.length_parameter:
            for name in _LENGTH_PARAMETERS:
                if name in sent and name != self.length_parameter:
                    sent[self.length_parameter] = sent.pop(name)
        if self.system_in_user_turn:
            sent["messages"] = _without_system_role(body["messages"])
        return sent

    def adapted(self, error: ServerError, body: Mapping[str, Any]) -> "RequestForm | None":
        """The form that the server may take instead; None if the error does not refuse a part of this one.

        Args:
            error: the server's answer.
            body: the request before this form was applied.
        """
        if error.status not in _STATUSES or error.refusal:
            return None
        sent = self.applied(body)
        for name, other in (_LENGTH_PARAMETERS, _LENGTH_PARAMETERS[::-1]):
            if (
                name in sent
                and not self.length_parameter
                and _is_refused(name, error)
                and not _TOO_LARGE.search(error.message)
            ):
                return replace(self, length_parameter=other)
        for name in ("temperature", "seed"):
            if name in sent and _is_refused(name, error):
                return replace(self, left_out=self.left_out | {name})
        if any(message["role"] == "system" for message in sent["messages"]) and (
            _NO_SYSTEM_ROLE.search(error.message)
            and (error.status < 500 or _NAMES_A_ROLE.search(error.message))
        ):
            return replace(self, system_in_user_turn=True)
        return None

    def merged(self, other: "RequestForm") -> "RequestForm":
        """The form that leaves out what either leaves out."""
        return RequestForm(
            self.system_in_user_turn or other.system_in_user_turn,
            self.length_parameter or other.length_parameter,
            self.left_out | other.left_out,
        )

    def described(self, model: str) -> str:
        """What is sent differently to `model`, for the user."""
        changes = [f"without {name}" for name in sorted(self.left_out)]
        if self.length_parameter:
            changes.append(f"with {self.length_parameter}")
        if self.system_in_user_turn:
            changes.append("with the system text in the first user turn")
        return f"{model} refuses the usual form of requests: they are sent {', '.join(changes)}"


def _is_refused(name: str, error: ServerError) -> bool:
    """Whether an error names a parameter as the one that is refused."""
    if error.parameter == name:
        return True
    word = rf"(?<![a-z_]){name.replace('_', '_?')}(?![a-z_])"
    return bool(
        re.search(rf"{word}.{{0,80}}(?:{_REFUSING})|(?:{_REFUSING}).{{0,80}}{word}", error.message, re.DOTALL)
    )


def _without_system_role(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages with the text of the system message at the start of the first user turn."""
    system = [message["content"] for message in messages if message["role"] == "system"]
    rest = [message for message in messages if message["role"] != "system"]
    text = "\n\n".join(system)
    if not text:
        return rest
    if not rest or rest[0]["role"] != "user":
        return [{"role": "user", "content": text}, *rest]
    content = rest[0]["content"]
    if isinstance(content, str):
        first: Any = f"{text}\n\n{content}"
    else:
        first = [{"type": "text", "text": text}, *content]
    return [{**rest[0], "content": first}, *rest[1:]]

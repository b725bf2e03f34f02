"""A model's answer, as it is read from the server's response and kept in the journal."""

import ast
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from llavamed_data.errors import one_line
from llavamed_data.llm.reasoning import split_reasoning
from llavamed_data.llm.request import JsonObject
from llavamed_data.reasons import Drop, Reason


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of a request and its answer, as the server counted them; 0 if it does not say so in numbers."""

    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Tokens of both."""
        return self.prompt_tokens + self.completion_tokens


_REASONING_FIELDS: Final = ("reasoning_content", "reasoning", "thinking")
_TEXT_FIELDS: Final = ("text", "refusal", "value", "content", "parts")
_REASONING_PART: Final = re.compile(
    r"think|thought|reason|analysis|summary|scratchpad|(?<![a-z])cot(?![a-z])"
)
"""What the types of parts are called that hold reasoning, such as `thinking`, `reasoning.text` and `summary_text`."""

_FINISH_REASONS: Final = (
    (
        "stop",
        re.compile(r"(?:finish_reason_)?stop|stop_sequence|end_turn|end_of_turn|eos|eos_token|completed?"),
    ),
    (
        "length",
        re.compile(r"(?:model_|max_)?length|(?:finish_reason_)?max_(?:output_|new_)?tokens|incomplete"),
    ),
    (
        "content_filter",
        re.compile(
            r"content[-_ ]?filter.*|.*safety|.*prohibited_content|.*blocklist|recitation|spii|sensitive|refusal"
            r"|guardrail.*|error_toxic"
        ),
    ),
    (
        "error",
        re.compile(r"error|.*_error|abort|aborted|cancel|cancelled|timeout|insufficient_system_resource"),
    ),
)
"""Servers' words for why an answer ends; `error` is that of a server that failed while it answered."""


_MOST_TOKENS: Final = 10_000_000
"""More tokens than any request and its answer have: a larger number is no count of them."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model answered.

    Attributes:
        text: the answer alone, without the model's reasoning; empty if the model wrote none.
        model: the model as the server names it, often with a version.
        finish_reason: why the answer ends: `stop`, `length`, `content_filter` or another word of the server.
        usage: tokens of request and answer.
        reasoning: what the model wrote around its answer in the same message, with its marks; or, if there is no
            answer, what the server sent as its reasoning.
    """

    text: str
    model: str
    finish_reason: str
    usage: Usage = Usage()
    reasoning: str = ""

    @property
    def is_missing(self) -> bool:
        """Whether the message ends before the answer: within the reasoning, or at the limit of tokens."""
        return not self.text.strip() and (bool(self.reasoning) or self.finish_reason == "length")

    def to_json(self) -> JsonObject:
        """The answer as a line of the journal holds it."""
        return {
            "text": self.text,
            "model": self.model,
            "finish_reason": self.finish_reason,
            "usage": [self.usage.prompt_tokens, self.usage.completion_tokens],
            **({"reasoning": self.reasoning} if self.reasoning else {}),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Answer":
        """The answer that `to_json` wrote, of this version or of one that took reasoning and lists for the answer.

        Raises:
            KeyError, TypeError, ValueError: `value` is no answer.
        """
        prompt, completion = value["usage"]
        usage = _read_usage({"prompt_tokens": prompt, "completion_tokens": completion})
        text, reasoning = _read_content(
            _parsed_list(str(value["text"])), cut=value["finish_reason"] == "length"
        )
        return cls(
            text,
            str(value["model"]),
            str(value["finish_reason"]),
            usage,
            str(value.get("reasoning", "")) + reasoning,
        )


Outcome = Answer | Drop
"""What became of one request: its answer, or why there is none."""


class UnusableAnswerError(Exception):
    """The server reports success (HTTP 200) but sends no answer; the next attempt may get one.

    Args:
        message: what is wrong with the response.
        error: the error that the response holds in place of an answer; None if it holds none.
    """

    def __init__(self, message: str, error: object = None) -> None:
        super().__init__(message)
        self.error = error


def read_answer(response: bytes | JsonObject, *, model: str) -> Answer:
    """The answer in a Chat Completions response.

    Args:
        response: the response, as bytes or decoded.
        model: the model asked for, in case the response names none.

    Raises:
        UnusableAnswerError: the response is not JSON, holds no message, or ends in an error.
    """
    try:
        value = json.loads(response) if isinstance(response, bytes) else response
    except ValueError as error:
        raise UnusableAnswerError("the response is not JSON") from error
    try:
        choice = value["choices"][0]
        finish_reason = _finish_reason(choice)
        message = choice["message"] if finish_reason == "stop" else choice.get("message") or {}
        if finish_reason == "error":
            raise UnusableAnswerError("the server failed within the answer", choice.get("error"))
        text, reasoning = _read_content(
            message.get("content") or message.get("refusal"), cut=finish_reason == "length"
        )
        if not text.strip():
            sent_apart = (str(message[name]) for name in _REASONING_FIELDS if message.get(name))
            reasoning += _encodable(next(sent_apart, ""))
        return Answer(
            text=text,
            model=_encodable(str(value.get("model") or model)),
            finish_reason=finish_reason,
            usage=_read_usage(value.get("usage")),
            reasoning=reasoning,
        )
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        said = value.get("error") if isinstance(value, dict) else None
        raise UnusableAnswerError(
            f"the response holds no answer{': ' + one_line(str(said)) if said else ''}", said
        ) from error


def _finish_reason(choice: Mapping[str, Any]) -> str:
    """Why the answer ends, in OpenAI's words; another word of the server is left as it is."""
    said = str(choice.get("finish_reason") or ("error" if choice.get("error") else "stop"))
    known = (name for name, words in _FINISH_REASONS if words.fullmatch(said.lower()))
    return next(known, _encodable(said))


def _read_usage(usage: Any) -> Usage:
    """The tokens that the server counted; none if it says something that is no count, so that estimates stand in."""
    if not isinstance(usage, Mapping):
        return Usage()
    counts = [usage.get(name) or 0 for name in ("prompt_tokens", "completion_tokens")]
    if not all(type(count) in (int, float) and 0 <= count <= _MOST_TOKENS for count in counts):
        return Usage()
    return Usage(*map(round, counts))


def _read_content(content: Any, *, cut: bool) -> tuple[str, str]:
    """The answer and the reasoning in a message's content: a text, or parts whose texts are joined."""
    texts, reasoning = list[str](), list[str]()

    def take(part: Any) -> None:
        if isinstance(part, list):
            for each in part:
                take(each)
        elif isinstance(part, str):
            texts.append(part)
        elif part is not None:
            inner = next(filter(None, (part.get(name) for name in _TEXT_FIELDS)), None)
            kind = str(part.get("type") or ("" if inner else " ".join(part)))
            if part.get("thought") is True or _REASONING_PART.search(kind.lower()):
                reasoning.append(json.dumps(part, ensure_ascii=False))
            else:
                take(inner)

    take(content)
    thought, answer = split_reasoning(_encodable("".join(texts)), cut=cut)
    return answer, _encodable("".join(reasoning)) + thought


def _encodable(text: str) -> str:
    """The text with a replacement mark for each half of a character, which a server's JSON may hold."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _parsed_list(text: str) -> Any:
    """The parts of a message that was once written to a journal as Python's text of their list; else the text."""
    if text.startswith("[{") and text.endswith("}]"):
        try:
            parts = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return text
        if all(isinstance(part, dict) and "type" in part for part in parts):
            return parts
    return text


def outcome_of(answer: Answer) -> Outcome:
    """The answer itself; or a drop, if the server's content filter ended it or it ends within the reasoning."""
    if answer.finish_reason == "content_filter":
        return Drop(Reason.CONTENT_FILTER, answer.text)
    if answer.is_missing:
        thought = f": …{one_line(answer.reasoning[-200:])}" if answer.reasoning else ""
        return Drop(Reason.NO_ANSWER, f"the message ends within the reasoning{thought}")
    return answer

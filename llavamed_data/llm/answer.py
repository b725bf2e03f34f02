"""A model's answer, as it is read from the server's response and kept in the journal."""

import ast
import json
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
_REASONING_PARTS: Final = frozenset(
    {"thinking", "reasoning", "reasoning_text", "redacted_thinking", "thought"}
)
_FINISH_REASONS: Final[Mapping[str, str]] = {
    "max_tokens": "length",
    "max_output_tokens": "length",
    "model_length": "length",
    "content-filter": "content_filter",
    "safety": "content_filter",
    "prohibited_content": "content_filter",
}
"""Other servers' words for `length` and `content_filter`."""


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
        text, reasoning = _read_content(_parsed_list(str(value["text"])))
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
    """The server reports success (HTTP 200) but sends no answer; the next attempt may get one."""


def read_answer(response: bytes | JsonObject, *, model: str) -> Answer:
    """The answer in a Chat Completions response.

    Args:
        response: the response, as bytes or decoded.
        model: the model asked for, in case the response names none.

    Raises:
        UnusableAnswerError: the response is not JSON, or holds no message.
    """
    try:
        value = json.loads(response) if isinstance(response, bytes) else response
    except ValueError as error:
        raise UnusableAnswerError("the response is not JSON") from error
    try:
        choice = value["choices"][0]
        message = choice["message"]
        text, reasoning = _read_content(message.get("content") or message.get("refusal"))
        if not text.strip():
            sent_apart = (str(message[name]) for name in _REASONING_FIELDS if message.get(name))
            reasoning += _encodable(next(sent_apart, ""))
        finish_reason = str(choice.get("finish_reason") or "stop")
        return Answer(
            text=text,
            model=_encodable(str(value.get("model") or model)),
            finish_reason=_FINISH_REASONS.get(finish_reason.lower(), finish_reason),
            usage=_read_usage(value.get("usage")),
            reasoning=reasoning,
        )
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        words = value.get("error") if isinstance(value, dict) else None
        raise UnusableAnswerError(
            f"the response holds no answer{': ' + one_line(str(words)) if words else ''}"
        ) from error


def _read_usage(usage: Any) -> Usage:
    """The tokens that the server counted; none if it says something that is no count, so that estimates stand in."""
    if not isinstance(usage, Mapping):
        return Usage()
    counts = [usage.get(name) or 0 for name in ("prompt_tokens", "completion_tokens")]
    if not all(type(count) in (int, float) and 0 <= count <= _MOST_TOKENS for count in counts):
        return Usage()
    return Usage(*map(round, counts))


def _read_content(content: Any) -> tuple[str, str]:
    """The answer and the reasoning in a message's content: a text, or a list of parts whose texts are joined."""
    texts, reasoning = list[str](), list[str]()
    for part in content if isinstance(content, list) else [content]:
        if part is None or isinstance(part, str):
            texts.append(part or "")
        elif part.get("type") in _REASONING_PARTS or part.get("thought") is True:
            reasoning.append(json.dumps(part, ensure_ascii=False))
        else:
            text = part.get("text") or part.get("refusal") or ""
            texts.append(text if isinstance(text, str) else str(text.get("value") or ""))
    thought, answer = split_reasoning(_encodable("".join(texts)))
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

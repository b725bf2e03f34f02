"""Conversations by an LLM: section 3 of the paper, from prompt to cleaned rounds."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from llavamed_data.instruct.cleaning import clean, rules_version
from llavamed_data.instruct.conversation import Conversation, Pair
from llavamed_data.instruct.prompts import Prompt, instruction, load_few_shots
from llavamed_data.instruct.quality import Quality
from llavamed_data.instruct.rounds import parse_rounds
from llavamed_data.llm.chat import Limits
from llavamed_data.llm.completer import Completer, model_settings, open_completer
from llavamed_data.llm.journal import Journal
from llavamed_data.llm.request import Answer, Message, Request
from llavamed_data.llm.server import Model, Outcome, Server
from llavamed_data.reasons import Drop, Reason

T = TypeVar("T")


@dataclass(frozen=True)
class LlmGenerator:
    """Writes conversations with a chat model.

    Attributes:
        name: `openai` or `openai-batch`.
        completer: answers the requests.
        chat_model: what is asked and how it is sampled.
        prompt: system prompt and few-shot examples; says whether inline mentions are sent.
        quality: what is checked beyond the cleaning rules.
    """

    name: str
    completer: Completer
    chat_model: Model
    prompt: Prompt
    quality: Quality = field(default_factory=Quality)

    @property
    def model(self) -> str:
        """The model asked for."""
        return self.chat_model.name

    @property
    def prompt_sha256(self) -> str:
        """Of the system prompt."""
        return self.prompt.system_sha256

    @property
    def few_shots_sha256(self) -> str:
        """Of the few-shot messages as they are sent."""
        return self.prompt.few_shots_sha256

    @property
    def rules_version(self) -> str:
        """Of the cleaning rules."""
        return rules_version()

    def request(self, pair: Pair) -> Request:
        """The request that is made for `pair`."""
        return self.chat_model.request(self.prompt.messages(pair))

    def generate(self, pairs: Iterable[Pair]) -> Iterator[Conversation | tuple[str, Drop]]:
        """One outcome a pair, in order.

        An answer without a readable round is asked for once more with a reminder. Drops: what the server
        refuses or filters, answers that stay unreadable (their text is the detail), conversations of which
        cleaning leaves nothing.

        Raises:
            LlavaMedError: the run cannot go on; what was answered is in the journal.
        """
        jobs = ((pair, self.request(pair)) for pair in pairs)
        for pair, outcome in self.completer.complete(jobs, follow_up=remind):
            yield self._conversation(pair, outcome)

    def _conversation(self, pair: Pair, outcome: Outcome) -> Conversation | tuple[str, Drop]:
        if isinstance(outcome, Drop):
            return pair.pair_id, outcome
        turns = rounds_of(outcome)
        if not turns:
            return pair.pair_id, Drop(Reason.UNREADABLE_ANSWER, outcome.text)
        cleaned = clean(turns)
        kept, checks = self.quality.check(cleaned.turns, pair, mentions=self.prompt.mentions)
        if not kept:
            return pair.pair_id, Drop(Reason.NO_CONVERSATION, outcome.text)
        return Conversation(pair.pair_id, kept, outcome.model, {**cleaned.rules, **checks})


def rounds_of(answer: Answer) -> tuple[tuple[str, str], ...]:
    """The rounds of an answer, without the one in which it was cut off."""
    return parse_rounds(answer.text, truncated=answer.finish_reason == "length")


def remind(request: Request, answer: Answer) -> Request | None:
    """The request with a reminder of the form, where `answer` holds no round; None where it does."""
    if answer.finish_reason == "content_filter" or rounds_of(answer):
        return None
    messages: list[Message] = [
        *request.body["messages"],
        {"role": "assistant", "content": answer.text},
        {"role": "user", "content": instruction("reminder")},
    ]
    return replace(request, body={**request.body, "messages": messages})


def open_generator(
    name: str,
    model: str,
    journal: Journal,
    *,
    mentions: bool,
    few_shots: Path | None = None,
    server: Server | None = None,
    limits: Limits | None = None,
    prices: Path | None = None,
    quality: Quality | None = None,
) -> LlmGenerator:
    """The back end `name`, ready to generate.

    Args:
        name: `openai` or `openai-batch`.
        model: as the server knows it.
        journal: where answers are kept; the caller opens and closes it.
        mentions: send the pairs' inline mentions (60K-IM and eval).
        few_shots: a file of few-shot examples other than the project's.
        server, limits, prices: as `open_completer` takes them.
        quality: the checks beyond the cleaning rules.

    Raises:
        UsageError: no key, no price for a cost limit, a faulty file.
    """
    settings = model_settings(model, prices)
    return LlmGenerator(
        name=name,
        completer=open_completer(name, settings, journal, server=server, limits=limits, prices=prices),
        chat_model=settings,
        prompt=Prompt.build(load_few_shots(few_shots), mentions=mentions),
        quality=quality or Quality(),
    )

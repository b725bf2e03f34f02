"""Writes conversations with an LLM: section 3 of the paper, from the prompt to the cleaned rounds."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from llavamed_data.instruct.cleaning import CleaningRules, clean, load_cleaning_rules
from llavamed_data.instruct.conversation import Conversation, Pair, Round
from llavamed_data.instruct.prompts import Prompt, prompt_text
from llavamed_data.instruct.quality import QualityChecks
from llavamed_data.instruct.rounds import parse_rounds
from llavamed_data.llm import Answer, LlmClient, Outcome, Request
from llavamed_data.reasons import Drop, Reason


@dataclass(frozen=True)
class LlmGenerator:
    """Writes conversations with a chat model.

    Attributes:
        name: `openai` or `openai-batch`.
        client: the client that asks the model.
        prompt: system prompt and few-shot examples; it also says whether inline mentions are sent.
        quality: the checks beyond the cleaning rules.
        rules: the cleaning rules.
    """

    name: str
    client: LlmClient
    prompt: Prompt
    quality: QualityChecks = field(default_factory=QualityChecks)
    rules: CleaningRules = field(default_factory=load_cleaning_rules)

    @property
    def model(self) -> str:
        """The model that is asked."""
        return self.client.model.name

    @property
    def versions(self) -> Mapping[str, str]:
        """What else decides the text: hashes of the prompt, version of the cleaning rules."""
        return {
            "prompt_sha256": self.prompt.system_sha256,
            "few_shots_sha256": self.prompt.few_shots_sha256,
            "rules_version": self.rules.version,
        }

    def request(self, pair: Pair) -> Request:
        """The request for a conversation about `pair`."""
        return self.client.model.request(self.prompt.messages(pair))

    def generate(self, pairs: Iterable[Pair]) -> Iterator[Conversation | tuple[str, Drop]]:
        """Yields, in order, a conversation for each pair, or its id and why there is none.

        An answer without a readable round is asked for once more, with a reminder. A pair is dropped if the server
        refuses or filters its request, if its answer stays unreadable (the drop's detail is its text), or if cleaning
        leaves no round.

        Raises:
            LlavaMedError: the run cannot go on; all answers so far are in the journal.
        """
        requests = ((pair, self.request(pair)) for pair in pairs)
        for pair, outcome in self.client.complete(requests, follow_up=_remind):
            yield self._conversation(pair, outcome)

    def _conversation(self, pair: Pair, outcome: Outcome) -> Conversation | tuple[str, Drop]:
        if isinstance(outcome, Drop):
            return pair.pair_id, outcome
        rounds = _read_rounds(outcome)
        if not rounds:
            return pair.pair_id, Drop(Reason.UNREADABLE_ANSWER, outcome.text)
        cleaned = clean(rounds, self.rules)
        kept, check_counts = self.quality.apply(cleaned.rounds, pair, mentions=self.prompt.mentions)
        if not kept:
            return pair.pair_id, Drop(Reason.NO_CONVERSATION, outcome.text)
        return Conversation(pair.pair_id, kept, outcome.model, {**cleaned.rule_counts, **check_counts})


def _read_rounds(answer: Answer) -> tuple[Round, ...]:
    """The rounds of an answer, without the one in which it was cut off."""
    return parse_rounds(answer.text, truncated=answer.finish_reason == "length")


def _remind(request: Request, answer: Answer) -> Request | None:
    """The request with a reminder of the form that is wanted, if `answer` holds no round."""
    if answer.finish_reason == "content_filter" or _read_rounds(answer):
        return None
    return request.continued(answer.text, prompt_text("reminder"))

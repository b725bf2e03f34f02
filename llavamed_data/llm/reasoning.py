"""Separates what a model thinks from what it answers, where a server sends both in one text.

Servers without a parser for a model's reasoning leave it in the message, in the marks of that model. Marks count where
a model puts them: at the start of the text or of a line, after a sentence, or at the end of the reasoning. A mark that
is mentioned within a sentence is left alone.
"""

import re
from collections.abc import Iterator

_NAME = (
    r"(?:think(?:ing)?|thoughts?|reasoning|reason|reflection|analysis|scratchpad|monologue|deliberation"
    r"|chain[_-]of[_-]thought|cot)"
)
_TAG_START = r"(?:<|&lt;)\s?[|｜]?"
_TAG_END = r"\s?[|｜]?(?:>|&gt;)"
_PREFIX = r"(?:(?!end[_▁-])[a-z]+[:_▁-]|ant)*"
_PAIRS: tuple[tuple[str, str], ...] = (
    (rf"{_TAG_START}{_PREFIX}{_NAME}(?:[_-](?:process|start))?(?:\s[^<>/]{{0,80}})?{_TAG_END}",
     rf"{_TAG_START}(?:/\s?{_PREFIX}{_NAME}(?:[_-]process)?|end[_▁-]{_PREFIX}{_NAME}|{_NAME}_end|{_NAME}\s?/){_TAG_END}"),
    (r"\[(?:think(?:ing)?|reasoning)\]", r"\[/(?:think(?:ing)?|reasoning)\]"),
    (r"◁think▷", r"◁/think▷"),
    (r"<\|inner_prefix\|>", r"<\|inner_suffix\|>"),
    (r"<unused94>", r"<unused95>"),
    (r"\[unused16\]", r"\[unused17\]"),
    (r"<\|channel>(?:thought|analysis)?", r"<channel\|>"),
)  # fmt: skip
"""Opening and closing marks of reasoning: tags in all spellings, with bars or not, and the marks of Mistral, Kimi,
Apertus, MedGemma, Pangu and Gemma. A tag that closes itself holds no reasoning; the answer follows it."""

_OPENING = re.compile("|".join(f"(?:{opening})" for opening, _ in _PAIRS), re.IGNORECASE)
_ANY_CLOSING = "|".join(f"(?:{closing})" for _, closing in _PAIRS)
_CLOSING = re.compile(rf"(?:{_ANY_CLOSING})(?:\s*(?:{_ANY_CLOSING}))*", re.IGNORECASE)
_TEXT_START = re.compile(
    r"(?:[\s\ufeff\u200b]|<\|im_start\|>(?:assistant)?|<\|start_header_id\|>assistant<\|end_header_id\|>|<｜Assistant｜>"
    r"|<s>|assistant:?\s*\n)*",
    re.IGNORECASE,
)
_TEXT_END = re.compile(
    r"(?:<\|(?:im_end|eot_id|end|return|endoftext|end_of_text)\|>|</s>|<eos>|<end_of_turn>|<｜end▁of▁sentence｜>"
    r"|</(?:answer|response|output|conclusion|final_answer|final)>)\Z"
)
_SENTENCE_END = re.compile(r"[.!?…。！？][\"'”’)\]*]*\s*\Z")
_LABEL = re.compile(
    r"[\s\d.*_#>-]*(?:assistant|user|answer|final answer|ai|a|q)[\s*_]*:[\s*_]*", re.IGNORECASE
)

_HEADINGS = tuple(
    (re.compile(rf"\s*{opening}", re.IGNORECASE), re.compile(closing, re.IGNORECASE | re.MULTILINE))
    for opening, closing in (
        (r"[#* ]*Here(?:['’]s| is) my thought process:", r"[#* ]*Here(?:['’]s| is) my response:[* ]*\s*"),
        (r"(?:#+|\*\*) *(?:Thinking|Thought Process)\b[^\n]*\n",
         r"^(?:#+|\*\*) *(?:Final )?(?:Response|Answer)\b[ :*]*\s*"),
        (r"Thinking\.\.\.\s*\n", r"\.\.\. ?done thinking\.?\s*"),
        (r"<details[^<>]*(?:reasoning|thinking)[^<>]*>", r"</details>\s*"),
        (r"<details[^<>]*>\s*<summary>[^<>]*\b(?:thought|thinking|reasoning)\b", r"</details>\s*"),
        (r"```(?:think|thinking|thoughts?|reasoning)[ \t]*\n", r"^```\s*"),
        (r"<summary>[^<>]*</summary>\s*<caption>", r"(?=<conclusion>)"),
        (r"(?:<\|im_start\|>)?(?:assistant)?/think\s*\n", r"<\|im_start\|>assistant\s*"),
        (r"thought\n", r"<channel\|>|<unused95>"),
    )
)  # fmt: skip
"""Words and blocks at the start of reasoning and what starts the answer after it, as Granite, HuatuoGPT-o1, Ollama's
command line, Open WebUI, LLaVA-CoT, HyperCLOVA X and MedGemma write them."""

_CHANNELS = re.compile(
    r"\s*(?:<\|start\|>\s*)?(?:assistant\s*)?(?:<\|channel\|>|(?:analysis|commentary|final)\s*<\|message\|>)"
    r"|.*?<\|(?:end|message)\|>\s*(?:<\|start\|>\s*)?(?:assistant\s*)?<\|channel\|>"
    r"|.*?(?:^|[.!?…\"”)]\s*)<\|channel\|>\s*final\s*<\|message\|>",
    re.DOTALL | re.MULTILINE,
)
_FINAL_CHANNEL = re.compile(
    r"(?:<\|channel\|>\s*final|\A\s*final(?=\s*<\|message\|>))(?:\s*<\|constrain\|>\s*\w+)?\s*(?:<\|message\|>)?"
)
_CHANNEL_END = re.compile(r"<\|(?:end|return|call|start|channel|endoftext)\|>")
_BARE_CHANNEL = re.compile(r"\s*(?:analysis|commentary)(?=[A-Z\"“'(\d*]|\s*\n)")
_BARE_FINAL = "assistantfinal"
"""How gpt-oss's channels look where the server has removed their marks: `analysisThe user asks…assistantfinalYes`."""

_WRAPPERS: tuple[tuple[str, str], ...] = (
    *(
        (rf"<{name}>", rf"</{name}>")
        for name in ("answer", "response", "output", "conclusion", "final_answer", "final")
    ),
    (r"<\|begin_of_solution\|>", r"<\|end_of_solution\|>"),
    (r"<\|START_RESPONSE\|>", r"<\|END_RESPONSE\|>"),
    (r"<\|START_TEXT\|>", r"<\|END_TEXT\|>"),
    (r"<\|begin_of_box\|>", r"<\|end_of_box\|>"),
)  # fmt: skip
_WRAPPED = re.compile(
    "|".join(rf"\s*{opening}(.*?)(?:{closing}.*|\Z)" for opening, closing in _WRAPPERS),
    re.IGNORECASE | re.DOTALL,
)
_ENDS_WRAPPED = tuple(
    re.compile(rf"(.*){opening}(.*?){closing}\s*\Z", re.IGNORECASE | re.DOTALL)
    for opening, closing in _WRAPPERS
)
"""Marks around an answer at the end of a message whose reasoning has no marks of its own."""

_MOST_PIECES = 50
_LINE = 500
_IN_MARKS = ("<", "[", "◁", "&", _BARE_FINAL)
_MARKS_AT_START = re.compile(
    r"\s*(?:Here|#|\*|```|analysis|commentary|think|thought|assistant|/)", re.IGNORECASE
)
"""A text that neither holds one of the former nor starts so has no marks. Most texts are such: this makes them fast."""


def split_reasoning(text: str, *, cut: bool = False) -> tuple[str, str]:
    r"""What a model thought and what it answered; a text without reasoning is returned as it is.

    Args:
        text: the whole message.
        cut: whether the model was cut off; then a closing mark that may be a word of a sentence closes nothing.

    Returns:
        The reasoning with its marks, and the answer. The reasoning is "" if there is none; the answer is "" if the
        message ends within the reasoning.

    >>> split_reasoning("<think>\nA cyst?\n</think>\n\nYes")
    ('<think>\nA cyst?\n</think>\n\n', 'Yes')
    >>> split_reasoning("The mark </think> ends the reasoning.")
    ('', 'The mark </think> ends the reasoning.')
    """
    answer = text
    for _ in range(_MOST_PIECES):
        inner = _answer_within(answer, cut=cut)
        if inner is None or inner == answer:
            break
        answer = inner
    return text.removesuffix(answer) if answer else text if text.strip() else "", answer


def _answer_within(text: str, *, cut: bool) -> str | None:
    """The text without reasoning and without the marks around an answer; None if it has neither."""
    if not (any(mark in text for mark in _IN_MARKS) or _MARKS_AT_START.match(text)):
        return None
    answer, found = text, False
    for _ in range(_MOST_PIECES):
        rest = _without_first_reasoning(answer, found=found, cut=cut)
        if rest is None:
            break
        answer, found = rest, True
    if wrapped := _WRAPPED.fullmatch(answer):
        answer, found = next(group for group in wrapped.groups() if group is not None).strip(), True
    else:
        for pattern in _ENDS_WRAPPED:
            if (ends := pattern.fullmatch(answer)) and _may_start(ends[1].rpartition("\n")[2]):
                answer, found = ends[2].strip(), True
                break
    while found and (shorter := _TEXT_END.sub("", answer.strip())) != answer:
        answer = shorter
    return answer if found else None


def opened_by_prompt(reasoning: str) -> bool:
    """Whether the opening mark of a piece of reasoning stands in the prompt, so that the model writes only the closing.

    If such a model is cut off while it thinks, nothing in the message shows it.
    """
    start = _TEXT_START.match(reasoning)
    opening = next(_openings(reasoning, start.end() if start else 0), None)
    closing = _CLOSING.search(reasoning)
    return closing is not None and (opening is None or closing.start() < opening.start())


def _without_first_reasoning(text: str, *, found: bool, cut: bool) -> str | None:
    """The text without its first piece of reasoning, "" if it ends there; None if it holds none.

    Args:
        text: the message, or what is left of it.
        found: whether reasoning was removed before; then a closing mark at the end closes nothing.
        cut: whether the message was cut off.
    """
    if (rest := _after_channels(text)) is not None:
        return rest
    for heading, answer_heading in _HEADINGS:
        if opened := heading.match(text):
            ends = answer_heading.search(text, opened.end())
            return text[ends.end() :] if ends else ""
    start = _TEXT_START.match(text)
    at_start = start.end() if start else 0
    for opening in _openings(text, at_start):
        lone = next((mark for mark in _closings(text) if mark.start() < opening.start()), None)
        if lone:
            break
        if closing := _closing_after(text, opening, cut=cut):
            return _joined(
                text[: opening.start()] if opening.start() > at_start else "", text[closing.end() :]
            )
        return ""
    for closing in _closings(text):
        rest = text[closing.end() :]
        return text[: closing.start()] if found and not rest.strip() else rest
    return None


def _after_channels(text: str) -> str | None:
    """The final channel of gpt-oss, "" if the text ends before it; None if the text has no channels."""
    if _CHANNELS.match(text):
        finals = list(_FINAL_CHANNEL.finditer(text))
        if not finals:
            return ""
        rest = text[finals[-1].end() :]
        end = _CHANNEL_END.search(rest)
        return rest[: end.start()] if end else rest
    if _BARE_FINAL in text:
        return text[text.rindex(_BARE_FINAL) + len(_BARE_FINAL) :]
    return "" if _BARE_CHANNEL.match(text) else None


def _openings(text: str, at_start: int) -> Iterator[re.Match[str]]:
    """The opening marks that start reasoning: of the text, of a line, after a sentence or after a speaker's name.

    Within a line, a mark that lower-case words or stops follow is the subject of a sentence.
    """
    for mark in _OPENING.finditer(text):
        before, after = _line(text, mark)
        named = before.strip() and re.match(r"\s+[a-z(]|[,.;:!?)]", after)
        if mark.start() == at_start or (_may_start(before) and not named):
            yield mark


def _may_start(before: str) -> bool:
    """Whether something of its own may start after `before` on a line: a sentence or a speaker's turn."""
    return not before.strip() or bool(_SENTENCE_END.search(before) or _LABEL.fullmatch(before))


def _closing_after(text: str, opening: re.Match[str], *, cut: bool) -> re.Match[str] | None:
    """The mark that closes what `opening` opens: the first that the reasoning does not merely mention."""
    closings = [mark for mark in _CLOSING.finditer(text, opening.end()) if not _is_quoted(text, mark)]
    meant = (mark for mark in closings if not _is_mentioned(text, mark))
    return next(meant, closings[0] if closings and not cut else None)


def _closings(text: str) -> Iterator[re.Match[str]]:
    """The closing marks that end reasoning whose opening mark stands in the prompt."""
    for mark in _CLOSING.finditer(text):
        if _is_mentioned(text, mark):
            continue
        before = _line(text, mark)[0]
        if len(_OPENING.findall(before)) <= len(_CLOSING.findall(before)):
            yield mark


def _is_mentioned(text: str, mark: re.Match[str]) -> bool:
    """Whether a closing mark is a word of a sentence: quoted, before a comma or stop, or between lower-case words."""
    before, after = _line(text, mark)
    if _is_quoted(text, mark):
        return True
    if not before.strip() or not after.strip() or _SENTENCE_END.search(before):
        return False
    return after[0] in ",.;:!?)" or (before[-1].isspace() and bool(re.match(r"\s+[a-z(]", after)))


def _is_quoted(text: str, mark: re.Match[str]) -> bool:
    """Whether a mark stands in quotation marks or backticks."""
    before, after = text[mark.start() - 1 : mark.start()], text[mark.end() : mark.end() + 1]
    return bool(before) and bool(after) and before in "`'\"‘“«" and after in "`'\"’”»"


def _line(text: str, mark: re.Match[str]) -> tuple[str, str]:
    """What stands before and after a mark on its line, at most 500 characters each."""
    before = text[max(0, mark.start() - _LINE) : mark.start()].rpartition("\n")[2]
    return before, text[mark.end() : mark.end() + _LINE].partition("\n")[0]


def _joined(before: str, after: str) -> str:
    """The text around a piece of reasoning that stood within it."""
    return f"{before}{after.lstrip()}" if before else after

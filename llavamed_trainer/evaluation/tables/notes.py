"""What stands beside and below our values: whose they are, and notes that say how they came about."""

from string import ascii_lowercase

from llavamed_trainer.evaluation.tables.collect import JudgedAnswers, ScoredAnswers


def capped(caps: str) -> str:
    """The note on a result of a model that was not trained in full."""
    return f"CAPPED: not trained in full on the training split ({caps}), so this is no result."


def blind(images: str) -> list[str]:
    """The note on a result of a model that was not shown the questions' own images; empty for other results."""
    if images == "real":
        return []
    return [
        f"BLIND: the model was shown {images} images instead of the questions' own, so this is no result."
    ]


def run_name(run: ScoredAnswers | JudgedAnswers) -> str:
    """What was trained, in the words of the paper's tables; else the last part of the model's name."""
    model = run.model if isinstance(run, JudgedAnswers) else str(run.scores["model"])
    return run.variant.label if run.variant else model.rstrip("/").rpartition("/")[2]


class Notes:
    """Gives each note below a table a letter; the same text has one letter."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def letter(self, text: str) -> str:
        """The letter of a note, which is added if it is new."""
        if text not in self.texts:
            self.texts.append(text)
        return _label(self.texts.index(text))

    def limits(self, letter: str) -> bool:
        """Whether a note says that a value is of a part of the questions or of the answers."""
        return any(word in dict(self.marked)[letter] for word in ("PARTIAL", "cut off"))

    @property
    def marked(self) -> tuple[tuple[str, str], ...]:
        """Letter and text of each note."""
        return tuple((self.letter(text), text) for text in self.texts)


def _label(index: int) -> str:
    """a, b, … z, aa, ab, …"""
    rest, last = divmod(index, len(ascii_lowercase))
    return (_label(rest - 1) if rest else "") + ascii_lowercase[last]

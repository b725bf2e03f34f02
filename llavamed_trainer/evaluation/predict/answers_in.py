"""Files of answers read back: one answer a question."""

from collections.abc import Sequence
from pathlib import Path

from llavamed_data.errors import LlavaMedError
from llavamed_trainer.evaluation.answers import as_asked, missing, pair, read_lines
from llavamed_trainer.evaluation.predict.answer_file import Prediction
from llavamed_trainer.evaluation.predict.questions import Question


def read_answers(
    path: Path, questions: Sequence[Question], *, partial: bool = False
) -> dict[str, Prediction]:
    """The answer to each question, by the question's id.

    Args:
        path: JSON Lines or a JSON list, ours or the released code's.
        questions: of the benchmark, in order.
        partial: allow questions without an answer.

    Raises:
        UsageError: there is no such file.
        LlavaMedError: a line of another form, an answer to an unknown question, to another question than its
            id or place says, a doubled one, or one that is missing; the message names it.
    """
    found = dict[str, Prediction]()
    for each in pair(read_lines(path), questions, path, of="the benchmark", partial=partial):
        question, line = each.question, each.answer
        if question.id in found:
            raise LlavaMedError(
                f"{path}:{line.line} answers {question.id!r} a second time, in the other prompt form: keep one"
            )
        asked = question.text if each.form == "plain" else as_asked(line, question)
        found[question.id] = Prediction(question.id, asked, line.answer, each.form, line.model)
    lost = [question for question in questions if question.id not in found]
    if lost and not partial:
        raise missing(path, lost[0], len(lost))
    return found

"""Puts a file of questions to one or two models, and writes their answers as Tables 2 and 12 to 15 of the paper do.

    - image: figures/chest.jpg
      caption: Chest X-ray on day 2 of admission.
      source: https://www.ncbi.nlm.nih.gov/pmc/articles/PMC7398722/
      questions:
        - What is shown in this image?
        - Are there any devices implanted in this patient?
    - image: figures/abdomen.jpg
      follow_up: false
      questions:
        - question: 这张图片的成像方式是什么?
          answer: CT

The questions about an image follow one another, as in Table 2, unless `follow_up` is false, as in Table 12. Paths of
images count from the folder of the file.
"""

import base64
import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from llavamed_data.console.printable import page_templates, printable
from llavamed_data.errors import LlavaMedError, UsageError, explain, one_line
from llavamed_data.io.atomic import write_text
from llavamed_data.pages import RESEARCH_ONLY
from llavamed_trainer.chat.answers import AnswerSettings, Assistant
from llavamed_trainer.chat.conversation import ChatImage, ChatTurn, Conversation
from llavamed_trainer.collate.pixels import read_image
from llavamed_trainer.evaluation.tables.latex import latex_text
from llavamed_trainer.evaluation.tables.markdown import markdown_text

FORMATS = (".md", ".html", ".tex")
"""The ends of the names of tables, which choose their form."""

_KEYS = frozenset(("image", "caption", "source", "follow_up", "questions"))
_LONGEST_SIDE = 640
"""Pixels of the pictures in HTML."""


@dataclass(frozen=True, slots=True)
class ScriptQuestion:
    """A question, and the answer that is right, "" where none is stated."""

    question: str
    answer: str = ""


@dataclass(frozen=True, slots=True)
class ScriptExample:
    """An image and what is asked about it.

    Attributes:
        path: of the image, as the file names it.
        image: the image.
        caption: of the image, or "".
        source: where it is from, or "".
        follow_up: whether each question follows the answers before it.
        questions: in order.
    """

    path: Path
    image: ChatImage
    caption: str
    source: str
    follow_up: bool
    questions: Sequence[ScriptQuestion]


@dataclass(frozen=True, slots=True)
class AnsweredExample:
    """An example and the conversation of each model about it."""

    example: ScriptExample
    conversations: Sequence[Conversation]


def read_script(path: Path) -> list[ScriptExample]:
    """Reads a file of questions.

    Raises:
        UsageError: there is no such file, it is no list of examples, or an image of it cannot be read; the place is
            named.
    """
    try:
        # a loader that leaves `no`, `12` and `1e3` the texts that they are
        stated = yaml.load(path.read_text(encoding="utf-8-sig"), Loader=yaml.BaseLoader)  # noqa: S506  (it makes no objects)
    except OSError as error:
        raise UsageError(f"the file of questions {path} cannot be read: {error.strerror or error}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{path} is no YAML: {one_line(error, 200)}") from error
    if not isinstance(stated, list) or not stated:
        raise UsageError(f"{path} is no list of examples, each with an image and its questions")
    return [_example(each, path, number) for number, each in enumerate(stated, start=1)]


def run_script(
    examples: Sequence[ScriptExample],
    assistants: Sequence[Assistant],
    settings: AnswerSettings,
    on_answer: Callable[[int], None] = lambda _: None,
) -> list[AnsweredExample]:
    """Asks the models all questions.

    Args:
        examples: what `read_script` returns.
        assistants: the models.
        settings: how answers are written.
        on_answer: called with the number of answers so far.

    Raises:
        LlavaMedError: a model fails; the example and the question are named.
    """
    done, answered = 0, []
    for example in examples:
        conversations = []
        for assistant in assistants:
            conversation = Conversation(assistant.name)
            for asked in example.questions:
                before = conversation.answered if example.follow_up else []
                try:
                    stream = assistant.answer(example.image, before, asked.question, settings)
                    text = "".join(stream).strip()
                except LlavaMedError as error:
                    raise LlavaMedError(
                        f"{example.path}, question {asked.question!r}: {assistant.name}: {error}"
                    ) from error
                conversation = conversation.with_turn(ChatTurn(asked.question, text, stream.ended))
                done += 1
                on_answer(done)
            conversations.append(conversation)
        answered.append(AnsweredExample(example, conversations))
    return answered


def write_script_table(path: Path, answered: Sequence[AnsweredExample]) -> None:
    """Writes the table, in the form that the end of its name says: Markdown, HTML or LaTeX.

    Raises:
        UsageError: its name ends otherwise, or it cannot be written.
    """
    check_table_name(path)
    forms: Mapping[str, Callable[[Sequence[AnsweredExample]], str]] = {
        ".md": script_markdown,
        ".html": script_html,
        ".tex": script_latex,
    }
    try:
        write_text(path, forms[path.suffix]([_beside(each, path.parent) for each in answered]))
    except OSError as error:
        raise UsageError(f"the table cannot be written: {explain(error, path)}") from error


def check_table_name(path: Path) -> None:
    """Raises UsageError for a file whose name says no form of a table."""
    if path.suffix not in FORMATS:
        raise UsageError(f"{path} must end in {', '.join(FORMATS)}, which chooses the form of the table")


def script_markdown(answered: Sequence[AnsweredExample]) -> str:
    """The table as Markdown; pictures are linked where they lie."""
    lines = [f"*{markdown_text(RESEARCH_ONLY)}*", ""]
    for each in answered:
        example = each.example
        lines += [f"![{markdown_text(example.image.name)}](<{_link(example.path)}>)", ""]
        lines += [f"{name}: {markdown_text(text)}\n" for name, text in _heading(example)]
        lines += ["| | Visual input example |", "| --- | --- |"]
        lines += [
            f"| {markdown_text(who)} | {markdown_text(printable(text))} |" for who, text in _lines(each)
        ]
        lines.append("")
    return "\n".join(lines)


def script_latex(answered: Sequence[AnsweredExample]) -> str:
    """The table as LaTeX, for `\\usepackage{booktabs,graphicx,tabularx}`; Chinese needs XeLaTeX with xeCJK."""
    lines = ["% needs \\usepackage{booktabs,graphicx,tabularx}; Chinese questions XeLaTeX with xeCJK", ""]
    for each in answered:
        example = each.example
        lines += [r"\begin{table}", r"\centering\small", r"\begin{tabularx}{\linewidth}{lX}", r"\toprule"]
        lines += [
            r"\multicolumn{2}{l}{Visual input example, Biomedical image} \\",
            rf"\multicolumn{{2}}{{l}}{{\includegraphics[height=4cm]{{\detokenize{{{example.path.as_posix()}}}}}}} \\",
        ]
        lines += [rf"{name} & {latex_text(text)} \\" for name, text in _heading(example)]
        lines.append(r"\midrule")
        lines += [rf"{latex_text(who)} & {latex_text(printable(text))} \\" for who, text in _lines(each)]
        lines += [
            r"\bottomrule",
            r"\end{tabularx}",
            rf"\caption{{{latex_text(RESEARCH_ONLY)}}}",
            r"\end{table}",
            "",
        ]
    return "\n".join(lines)


def script_html(answered: Sequence[AnsweredExample]) -> str:
    """The table as one page with its pictures in it; no scripts, nothing loaded."""
    return (
        page_templates("llavamed_trainer.chat")
        .get_template("script.html.j2")
        .render(
            notice=RESEARCH_ONLY,
            examples=[
                {
                    "name": each.example.image.name,
                    "picture": _data_url(each.example.image),
                    "heading": list(_heading(each.example)),
                    "lines": [(who, printable(text)) for who, text in _lines(each)],
                }
                for each in answered
            ],
        )
    )


def _lines(answered: AnsweredExample) -> Iterator[tuple[str, str]]:
    """Who says what: the questions and answers of one model after another, each with the right answer if known."""
    for conversation in answered.conversations:
        for asked, turn in zip(answered.example.questions, conversation.turns, strict=True):
            yield "User", turn.question
            yield conversation.model, turn.answer or "(an empty answer)"
            if asked.answer:
                yield "Answer", asked.answer


def _beside(answered: AnsweredExample, folder: Path) -> AnsweredExample:
    """The example with the path of its image as a table in this folder names it."""
    path = Path(os.path.relpath(answered.example.path, folder))
    return replace(answered, example=replace(answered.example, path=path))


def _heading(example: ScriptExample) -> Iterator[tuple[str, str]]:
    if example.caption:
        yield "Caption", printable(example.caption)
    if example.source:
        yield "Source", printable(example.source)


def _link(path: Path) -> str:
    return path.as_posix().replace("<", "%3C").replace(">", "%3E")


def _data_url(image: ChatImage) -> str:
    small = read_image({"bytes": image.data})
    small.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
    file = io.BytesIO()
    small.save(file, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


def _example(stated: Any, path: Path, number: int) -> ScriptExample:
    where = f"{path}, example {number}"
    if not isinstance(stated, dict) or not isinstance(stated.get("image"), str):
        raise UsageError(f"{where} names no image")
    if unknown := sorted(map(str, stated.keys() - _KEYS)):
        raise UsageError(f"{where} has a key {unknown[0]}: there are {', '.join(sorted(_KEYS))}")
    follow_up = stated.get("follow_up", "true")
    if follow_up not in ("true", "false"):
        raise UsageError(f"{where}: follow_up is true or false")
    questions = stated.get("questions")
    if not isinstance(questions, list) or not questions:
        raise UsageError(f"{where} has no list of questions")
    image = path.parent / Path(stated["image"]).expanduser()
    return ScriptExample(
        path=image,
        image=ChatImage.read(image),
        caption=str(stated.get("caption") or ""),
        source=str(stated.get("source") or ""),
        follow_up=follow_up == "true",
        questions=[_question(each, where) for each in questions],
    )


def _question(stated: Any, where: str) -> ScriptQuestion:
    if isinstance(stated, str) and stated.strip():
        return ScriptQuestion(stated.strip())
    if isinstance(stated, dict) and {"question"} <= stated.keys() <= {"question", "answer"}:
        question, answer = stated["question"], stated.get("answer", "")
        if isinstance(question, str) and question.strip() and isinstance(answer, str):
            return ScriptQuestion(question.strip(), answer.strip())
    raise UsageError(f"{where}: a question is a text, or has the keys question and answer")

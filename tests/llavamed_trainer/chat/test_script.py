"""A file of questions is asked, and the table is as the paper prints Tables 2 and 12."""

import html
import re
from pathlib import Path

import pytest

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_trainer.chat import AnswerSettings, ServerAssistant
from llavamed_trainer.chat.script import read_script, run_script, write_script_table
from llavamed_trainer.cli.chat import chat
from tests.servers.openai import Server

SCRIPT = """\
- image: drawn.png
  caption: 50 % of <b>all</b> | see_here
  questions:
    - What is shown?
    - Is it 10 & more?
- image: drawn.png
  follow_up: false
  questions:
    - question: 这张图片的成像方式是什么?
      answer: no
    - question: Why?
      answer: 12
"""


@pytest.fixture
def script(image_file: Path) -> Path:
    path = image_file.parent / "questions.yaml"
    path.write_text(SCRIPT, encoding="utf-8")
    return path


def test_a_script_is_read_as_it_is_written(script: Path, image_file: Path) -> None:
    first, second = read_script(script)
    assert first.path == image_file
    assert [each.question for each in first.questions] == ["What is shown?", "Is it 10 & more?"]
    assert (first.follow_up, second.follow_up) == (True, False)
    assert [(each.question, each.answer) for each in second.questions] == [
        ("这张图片的成像方式是什么?", "no"),
        ("Why?", "12"),
    ]


def test_questions_follow_one_another_unless_the_script_says_otherwise(
    script: Path, server: Server, served: ServerAssistant
) -> None:
    first, second = run_script(read_script(script), [served], AnswerSettings())
    assert [turn.question for turn in first.conversations[0].turns] == ["What is shown?", "Is it 10 & more?"]
    # equal requests have equal names: of these, the one that follows an answer differs from the same question alone
    assert len(set(server.asked)) == 4
    alone = run_script([second.example], [served], AnswerSettings())
    assert alone[0].conversations == second.conversations
    assert server.asked[4:] == server.asked[2:4]


@pytest.mark.parametrize("end", ["md", "html", "tex"])
def test_a_table_has_each_models_conversation_and_the_right_answers(
    end: str, script: Path, server: Server, tmp_path: Path
) -> None:
    models = [ServerAssistant("judge", server.url), ServerAssistant("gpt-4o", server.url)]
    answered = run_script(read_script(script), models, AnswerSettings())
    out = tmp_path / "tables" / f"table.{end}"
    out.parent.mkdir()
    write_script_table(out, answered)
    text = out.read_text(encoding="utf-8")
    turns = [turn for each in answered for talk in each.conversations for turn in talk.turns]
    assert len(turns) == 8
    assert all(turn.answer in text for turn in turns)
    assert text.count("gpt-4o") == 4
    assert text.count("这张图片的成像方式是什么?") == 2
    shown = {
        "md": (
            "![drawn.png](<../drawn.png>)",
            "50 % of &lt;b&gt;all&lt;/b&gt; \\| see\\_here",
            "| Answer | no |",
        ),
        "html": ("data:image/jpeg;base64,", html.escape("50 % of <b>all</b> | see_here"), ">no</td>"),
        "tex": (r"\detokenize{../drawn.png}", r"50 \% of \textless{}b\textgreater{}all", r"Answer & no \\"),
    }[end]
    assert all(part in text for part in shown)
    assert "For research only, not for clinical care" in text
    if end == "html":
        assert not re.search(r"<script|src=\"(?!data:)", text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is no list of examples"),
        ("a: [", "is no YAML"),
        ("- questions: [a]", "example 1 names no image"),
        ("- image: drawn.png\n  questions: []", "has no list of questions"),
        ("- image: drawn.png\n  question: a", "has a key question"),
        ("- image: nothing.png\n  questions: [a]", "nothing.png cannot be read: No such file"),
        ("- image: drawn.png\n  questions: [[a]]", "a question is a text"),
        ("- image: drawn.png\n  follow_up: maybe\n  questions: [a]", "follow_up is true or false"),
    ],
)
def test_a_script_that_cannot_be_used_is_refused_with_the_place(text: str, told: str, script: Path) -> None:
    script.write_text(text)
    with pytest.raises(UsageError, match=re.escape(told)) as caught:
        read_script(script)
    assert "\n" not in str(caught.value)


def test_a_model_that_fails_is_named_with_the_question(
    script: Path, server: Server, served: ServerAssistant
) -> None:
    server.settings.queue = ["reset"]
    with pytest.raises(
        LlavaMedError, match=r"drawn.png, question 'What is shown\?': judge: the server at .* failed"
    ):
        run_script(read_script(script), [served], AnswerSettings())


def test_flags_that_contradict_each_other_are_refused(script: Path, image_file: Path, server: Server) -> None:
    with pytest.raises(UsageError, match="--script FILE and --out TABLE go together"):
        chat("judge", base_url=server.url, script=script)
    with pytest.raises(UsageError, match="leave out --image"):
        chat("judge", base_url=server.url, script=script, out=Path("t.md"), image=image_file)
    with pytest.raises(UsageError, match="must end in .md, .html, .tex"):
        chat("judge", base_url=server.url, script=script, out=Path("t.pdf"))

"""Files for VLMEvalKit, read by pandas with its defaults, as the kit reads them, and by Python's csv."""

import ast
import base64
import csv
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_trainer.evaluation.export import ExportedTask, ExportOptions, export_task
from tests.llavamed_trainer.evaluation.benchmarks import drawn
from tests.llavamed_trainer.evaluation.export.sets import CHOICE_ROWS, VQA_ROWS, asked, write_set

csv.field_size_limit(sys.maxsize)


def exported(out: Path, rows: list[dict[str, Any]] = VQA_ROWS, **more: Any) -> ExportedTask:
    """The export; the set lies beside it."""
    options = {"language": "all", **more}
    return export_task(
        out / "LMUData", ExportOptions(write_set(out / "my-set", rows), "vlmevalkit", **options)
    )


def images_of(table: pd.DataFrame, place: int) -> list[bytes]:
    """The images of a row: base64, a list of it, or the index of the row that has the image."""
    text = table["image"][place]
    if len(text) <= 64:
        return images_of(table, table.index[table["index"] == int(text)][0])
    return [base64.b64decode(each) for each in (ast.literal_eval(text) if text[0] == "[" else [text])]


def test_every_question_is_there_byte_for_byte(tmp_path: Path) -> None:
    task = exported(tmp_path)
    (path,) = task.paths
    assert path.name == "llavamed_my_set_test_all_openended.tsv"
    assert task.names == (path.stem,)
    table = pd.read_csv(path, sep="\t")
    assert list(table["index"]) == list(range(5))
    assert not {"A", "B"} & set(table.columns)  # by which the kit tells multiple choice
    for place, row in enumerate(VQA_ROWS):
        line = table.iloc[place]
        assert line["question_id"] == row["id"]
        assert line["question"] == row["messages"][0]["content"][-1]["text"]
        assert images_of(table, place) == [image["bytes"] for image in row["images"]]
        assert (line["answer_type"], line["language"]) == (row["answer_type"], row["language"])
    assert list(table["answer"]) == [
        "No",
        "axial",
        "None ",
        "两个",
        "yes",
    ]  # pandas takes "None" for a missing value
    assert task.changed == 1
    assert list(table["image"].str.len() <= 64) == [
        False,
        True,
        False,
        False,
        True,
    ]  # each image is stored once


def test_multiple_choice_has_its_options_in_columns(tmp_path: Path) -> None:
    task = exported(tmp_path, CHOICE_ROWS)
    (path,) = task.paths
    assert path.name == "llavamed_my_set_test_all.tsv"
    table = pd.read_csv(path, sep="\t")
    assert list(table["question"]) == ["Which scan?", "Which organ?"]  # the kit puts the options behind it
    assert list(table["answer"]) == ["B", "A"]
    assert list(table["A"]) == ["MRI", "liver"]
    assert list(table["B"]) == ["CT", "10"]
    assert list(table["C"].fillna("-")) == ["None ", "-"]
    assert [len(images_of(table, place)) for place in (0, 1)] == [1, 2]
    assert ast.literal_eval(table["image_path"][1]) == ["1_0.png", "1_1.png"]


def test_a_mixed_set_becomes_two_files_that_hold_all_of_it(tmp_path: Path) -> None:
    task = exported(tmp_path, [*CHOICE_ROWS, *VQA_ROWS])
    assert [len(pd.read_csv(path, sep="\t")) for path in task.paths] == [2, 5]
    assert (task.questions, task.written, task.types) == (7, 7, {"CHOICE": 2, "CLOSED": 2, "OPEN": 3})


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)
hostile = texts | st.sampled_from(
    ["NA", "nan", "=1+1", "1.50", "007", "True", "a\tb", 'say "yes"', "a\r\nb", "!function x", "[1]"]
)


@settings(max_examples=25, deadline=None)
@given(
    questions=st.lists(st.tuples(hostile, hostile), min_size=1, max_size=4),
    options=st.lists(hostile, min_size=2, max_size=5, unique=True),
)
def test_any_text_survives_or_is_refused(questions: list[tuple[str, str]], options: list[str]) -> None:
    """What pandas makes of the file is the text (with a blank behind a missing value), or the export is refused."""
    missing = {"NA", "nan", "None", "null", "n/a", "N/A", "NULL", "NaN", "<NA>"}

    def kept(text: str) -> str:
        return f"{text} " if text in missing else text

    with TemporaryDirectory() as folder:
        rows = [asked(f"q{at}", *texts, "OPEN", [drawn(1)]) for at, texts in enumerate(questions)]
        rows += [
            asked("c", "Which?", "A", "CHOICE", [drawn(1)], options),
            asked("c2", "What?", "B", "CHOICE", [drawn(1)], ["x", "y"]),
        ]
        refused = ""
        try:
            choice, other = exported(Path(folder), rows).paths
        except LlavaMedError as error:
            refused = str(error)
        if refused:
            assert "export to lmms-eval" in refused
            assert not list((Path(folder) / "LMUData").glob("*"))
            return
        table = pd.read_csv(other, sep="\t")
        found = [(str(line["question"]), str(line["answer"])) for _, line in table.iterrows()]
        assert found == [(kept(question), kept(answer)) for question, answer in questions]
        line = pd.read_csv(choice, sep="\t").iloc[0]
        assert [str(line[letter]) for letter in "ABCDE"[: len(options)]] == [
            kept(option) for option in options
        ]
        with other.open(encoding="utf-8", newline="") as file:
            assert [row["question"] for row in csv.DictReader(file, delimiter="\t")] == [
                kept(each) for each, _ in questions
            ]


def test_numbers_that_pandas_would_rewrite_are_refused(tmp_path: Path) -> None:
    rows = [
        asked(f"q{at}", "How long?", answer, "OPEN", [drawn(1)]) for at, answer in enumerate(["1.50", "2"])
    ]
    with pytest.raises(
        LlavaMedError, match=r"would read '1.5' for '1.50' in the column 'answer' of the question 'q0'"
    ):
        exported(tmp_path, rows)
    assert not list((tmp_path / "LMUData").iterdir())


def test_questions_that_the_kit_would_drop_are_refused(tmp_path: Path) -> None:
    rows = [*VQA_ROWS, asked("bare", "What is a CT?", "a scan", "OPEN", [])]
    with pytest.raises(UsageError, match="1 questions have no image, the first is 'bare'"):
        exported(tmp_path / "bare", rows)
    lost = [*VQA_ROWS, asked("lost", "What?", "a scan", "OPEN", [None])]
    with pytest.raises(UsageError, match="--lost-images skip"):
        exported(tmp_path / "lost", lost)
    with pytest.raises(UsageError, match="--lost-images skip"):
        exported(tmp_path / "ask", lost, lost_images="ask")
    task = exported(tmp_path / "skip", lost, lost_images="skip")
    assert (task.questions, task.written, task.left_out) == (6, 5, {"image lost": 1})


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        (["only"], "has 1 choices"),
        (["a", ""], "has an empty choice"),
        ([str(at) for at in range(27)], "has 27 choices"),
    ],
)
def test_choices_that_the_kit_cannot_show_are_refused(tmp_path: Path, choices: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        exported(tmp_path, [asked("c", "Which?", "A", "CHOICE", [drawn(1)], choices)])


def test_names_that_mean_something_to_the_kit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds 'mmbench'"):
        exported(tmp_path, CHOICE_ROWS, name="llavamed_MMBench")


def test_what_the_kit_unpacked_of_an_older_file_does_not_stay(tmp_path: Path) -> None:
    """VLMEvalKit keeps images that it has unpacked, and would show those of the older set."""
    source = write_set(tmp_path / "my-set", VQA_ROWS)
    out = tmp_path / "LMUData"
    options = ExportOptions(source, "vlmevalkit", language="zh")
    (path,) = export_task(out, options).paths
    unpacked = out / "images" / path.stem / "0.png"
    unpacked.parent.mkdir(parents=True)
    unpacked.write_bytes(drawn(1))
    path.unlink()
    with pytest.raises(UsageError, match="--replace"):
        export_task(out, options)
    export_task(out, ExportOptions(source, "vlmevalkit", language="zh", replace=True))
    assert path.exists()
    assert not unpacked.exists()
    with pytest.raises(UsageError, match="--replace"):
        export_task(out, options)

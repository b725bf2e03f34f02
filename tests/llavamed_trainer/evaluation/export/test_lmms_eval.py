"""Tasks for lmms-eval, read by tools of others: the YAML by PyYAML, the questions by `datasets`, the code by Python."""

import importlib.util
import io
import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import pytest
import yaml
from datasets import load_dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from typer.testing import CliRunner

from llavamed_data.errors import UsageError
from llavamed_trainer.cli.app import app
from llavamed_trainer.evaluation.export import ExportOptions, export_task
from llavamed_trainer.evaluation.questions import Prediction, load_questions
from llavamed_trainer.evaluation.scoring.scores import metric_values
from tests.llavamed_trainer.evaluation.benchmarks import drawn
from tests.llavamed_trainer.evaluation.export.sets import CHOICE_ROWS, VQA_ROWS, asked, write_set

NAME = "llavamed_my_set_test_all"


def exported(out: Path, rows: list[dict[str, Any]] = VQA_ROWS, **more: Any) -> Path:
    """The folder of the task; the set lies beside it."""
    options = {"language": "all", **more}
    task = export_task(out / "tasks", ExportOptions(write_set(out / "my-set", rows), "lmms-eval", **options))
    return task.paths[0]


class _AnyTag(yaml.SafeLoader):
    """Reads `!function` as its text, as lmms-eval does when it only looks for tasks."""


_AnyTag.add_constructor("!function", lambda loader, node: loader.construct_scalar(node))


def config_of(folder: Path) -> dict[str, Any]:
    """The task's YAML file."""
    config: dict[str, Any] = yaml.load((folder / f"{folder.name}.yaml").read_text(encoding="utf-8"), _AnyTag)
    return config


def utils_of(folder: Path) -> Any:
    """The task's code, loaded as lmms-eval loads it: from its path, under the name `utils`."""
    spec = importlib.util.spec_from_file_location("utils", folder / "utils.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def docs_of(folder: Path, split: str = "test") -> Any:
    """The questions of a task as `datasets` reads its folder."""
    return load_dataset(str(folder), split=split, cache_dir=str(folder.parent / "cache"))


def test_every_question_is_there_byte_for_byte(tmp_path: Path) -> None:
    """Ids, questions, answers and the bytes of the images, in their order; the prompt is the question."""
    folder = exported(tmp_path)
    (shard,) = config_of(folder)["dataset_kwargs"]["data_files"]["test"]
    read = load_dataset(
        "parquet", data_files=str(folder / shard), split="train", cache_dir=str(tmp_path / "c")
    )
    raw = read.with_format("arrow")[:].to_pylist()
    assert [row["id"] for row in raw] == [row["id"] for row in VQA_ROWS]
    for found, row in zip(raw, VQA_ROWS, strict=True):
        assert found["images"] == row["images"]
        assert found["prompt"] == found["question"] == row["messages"][0]["content"][-1]["text"]
        assert found["answer"] == row["messages"][1]["content"][0]["text"]
        assert (found["answer_type"], found["language"]) == (row["answer_type"], row["language"])


def test_the_yaml_names_functions_that_are_there_and_metrics_that_are_computed(tmp_path: Path) -> None:
    folder = exported(tmp_path)
    config, utils = config_of(folder), utils_of(folder)
    assert (config["task"], config["test_split"], config["output_type"]) == (NAME, "test", "generate_until")
    for name in ("doc_to_visual", "doc_to_text", "doc_to_target", "process_results"):
        assert config[name] == f"utils.{name}"
        assert callable(getattr(utils, name))
    computed = {metric for doc in docs_of(folder) for metric in utils.process_results(doc, ["no"])}
    assert {each["metric"] for each in config["metric_list"]} == computed
    assert not {"task", "doc_id", "split", "repeats"} & set(
        config["metadata"]
    )  # what requests know of themselves
    assert config["generation_kwargs"]["until"] == []


ANSWERS = [
    "No",
    "It is axial.",
    "**None**",
    "两个",
    "The size is normal, no",
    "",
    "I'm sorry, but I cannot",
    "yes",
]


@pytest.mark.parametrize("answer", ANSWERS)
def test_scores_are_those_of_score(tmp_path: Path, answer: str) -> None:
    folder = exported(tmp_path)
    utils = utils_of(folder)
    questions = load_questions(str(tmp_path / "my-set"), language="all").questions
    for doc, question in zip(docs_of(folder), questions, strict=True):
        wanted = metric_values(Prediction(question, question.text, "plain", answer, "m"))
        assert utils.process_results(doc, [answer]) == wanted


def test_the_task_needs_nothing_of_ours(tmp_path: Path) -> None:
    """Under a Python in which no import of this project succeeds, it asks and scores the same."""
    folder = exported(tmp_path)
    code = """
import importlib.util, json, sys
for name in ("llavamed_data", "llavamed_trainer", "hub_cards"):
    sys.modules[name] = None
spec = importlib.util.spec_from_file_location("utils", sys.argv[1])
utils = importlib.util.module_from_spec(spec)
spec.loader.exec_module(utils)
doc = {"answer": "No", "answer_type": "CLOSED", "prompt": "Is it?", "images": []}
print(json.dumps([utils.process_results(doc, ["No."]), utils.doc_to_text(doc), utils.doc_to_visual(doc)]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, folder / "utils.py"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=True,
    )
    scores, prompt, images = json.loads(done.stdout)
    assert scores == {"refusal_share": 0.0, "closed_accuracy": 1.0, "closed_word_accuracy": 1.0}
    assert (prompt, images) == ("Is it?", [])


def test_images_are_shown_upright_and_on_white(tmp_path: Path) -> None:
    """As `predict` shows them: what is transparent is white, and EXIF data turn the image."""
    turned, clear = io.BytesIO(), io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = Image.open(io.BytesIO(drawn(3)))
    picture.save(turned, "JPEG", exif=exif)
    Image.new("RGBA", (20, 20), (0, 0, 0, 0)).save(clear, "PNG")
    folder = exported(tmp_path, [asked("x", "What?", "this", "OPEN", [turned.getvalue(), clear.getvalue()])])
    first, second = utils_of(folder).doc_to_visual(docs_of(folder)[0])
    assert first == ImageOps.exif_transpose(Image.open(io.BytesIO(turned.getvalue())))
    assert second.mode == "RGB"
    assert second.getcolors() == [(400, (255, 255, 255))]


def test_prompt_forms_and_texts_around_the_prompt(tmp_path: Path) -> None:
    folder = exported(tmp_path, prompt="options")
    assert folder.name == f"{NAME}_options"
    utils, docs = utils_of(folder), docs_of(folder)
    assert utils.doc_to_text(docs[0]) == (
        "Is there a fracture? Please choose from the following two options: [yes, no]"
    )
    assert utils.doc_to_text(docs[1], {"pre_prompt": "<", "post_prompt": ">"}).startswith("<Which")
    assert [doc["prompt_form"] for doc in docs] == ["options", "plain", "plain", "plain", "options"]


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)


@settings(max_examples=20, deadline=None)
@given(questions=st.lists(st.tuples(texts, texts), min_size=1, max_size=4), name=texts)
def test_any_text_survives(questions: list[tuple[str, str]], name: str) -> None:
    """Tabs, quotes, `!function`, braces of templates, any script: question, answer and question type stay."""
    with TemporaryDirectory() as folder:
        rows = [
            asked(f"{at}{name}", question, answer, "OPEN", [drawn(1)], question_type=name)
            for at, (question, answer) in enumerate(questions)
        ]
        task = exported(Path(folder), rows)
        raw = pd.read_parquet(task / "data").to_dict("records")
        assert [(row["prompt"], row["answer"]) for row in raw] == questions
        assert [(row["id"], row["question_type"]) for row in raw] == [(row["id"], name) for row in rows]
        utils = utils_of(task)
        assert [(utils.doc_to_text(row), utils.doc_to_target(row)) for row in raw] == questions


def test_lost_and_damaged_images_are_refused_left_out_or_asked_without(tmp_path: Path) -> None:
    damaged = drawn(1)[:-200]
    rows = [
        asked("lost", "Where?", "there", "OPEN", [None]),
        asked("damaged", "Where?", "there", "OPEN", [damaged]),
        asked("whole", "Where?", "there", "OPEN", [drawn(1)]),
    ]
    source = write_set(tmp_path / "my-set", rows)
    with pytest.raises(UsageError, match="2 of 3 questions is lost or damaged, the first is 'lost'"):
        export_task(tmp_path / "tasks", ExportOptions(source, "lmms-eval"))
    assert not (tmp_path / "tasks").exists()
    skipped = export_task(tmp_path / "skip", ExportOptions(source, "lmms-eval", lost_images="skip"))
    assert (skipped.questions, skipped.written) == (3, 1)
    assert skipped.left_out == {"image lost": 1, "image damaged": 1}
    without = export_task(tmp_path / "ask", ExportOptions(source, "lmms-eval", lost_images="ask"))
    assert (without.written, without.without_image, without.images) == (3, 2, 1)
    assert [len(doc["images"]) for doc in docs_of(without.paths[0])] == [0, 0, 1]


def test_nothing_is_overwritten_unasked(tmp_path: Path) -> None:
    source = write_set(tmp_path / "my-set", VQA_ROWS)
    options = ExportOptions(source, "lmms-eval", language="zh")
    folder = export_task(tmp_path / "tasks", options).paths[0]
    (folder / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="--replace"):
        export_task(tmp_path / "tasks", options)
    assert (folder / "mine.txt").exists()
    again = ExportOptions(source, "lmms-eval", language="zh", replace=True)
    export_task(tmp_path / "tasks", again)
    assert not (folder / "mine.txt").exists()
    assert [path.name for path in (tmp_path / "tasks").iterdir()] == [folder.name]
    (folder / f"{folder.name}.yaml").unlink()
    with pytest.raises(UsageError, match="holds something else than a task"):
        export_task(tmp_path / "tasks", again)


def test_a_task_that_reads_the_hub_names_the_repository(tmp_path: Path) -> None:
    folder = exported(tmp_path, repo="me/my-set")
    config = config_of(folder)
    assert config["dataset_path"] == "me/my-set"
    assert "dataset_kwargs" not in config
    assert docs_of(folder).num_rows == len(VQA_ROWS)  # the folder is the repository as it lies


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"name": "slake"}, "begin with llavamed_"),
        ({"name": "llavamed_a,b"}, "no name for a task"),
        ({"name": "llavamed_../x"}, "no name for a task"),
        ({"repo": "not a repo"}, "OWNER/NAME"),
        ({"split": "train"}, "no split 'train'"),
        ({"prompt": "sung"}, "no prompt form 'sung'"),
    ],
)
def test_wrong_calls_are_refused_before_anything_is_written(
    tmp_path: Path, more: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        exported(tmp_path, **more)
    assert not (tmp_path / "tasks").exists()


def test_sets_without_answer_types_are_refused(tmp_path: Path) -> None:
    untyped = write_set(tmp_path / "untyped", VQA_ROWS, without=["answer_type"])
    with pytest.raises(UsageError, match="no column 'answer_type'"):
        export_task(tmp_path / "tasks", ExportOptions(untyped, "lmms-eval"))


def test_multiple_choice_is_asked_with_its_lettered_choices_and_scored_by_letter(tmp_path: Path) -> None:
    folder = exported(tmp_path, CHOICE_ROWS)
    docs, utils = docs_of(folder), utils_of(folder)
    assert docs[0]["prompt"].startswith("Which scan?\nA. MRI\nB. CT\nC. None")
    assert docs[1]["prompt"].startswith("Which organ?\nA. liver\nB. 10")
    assert [doc["answer"] for doc in docs] == ["B", "A"]
    assert [doc["choices"] for doc in docs] == [["MRI", "CT", "None"], ["liver", "10"]]
    assert [len(doc["images"]) for doc in docs] == [1, 2]
    questions = load_questions(str(tmp_path / "my-set"), language="all").questions
    for doc, question in zip(docs, questions, strict=True):
        for answer in ("B", "The answer is (A).", "liver", "I see a scan."):
            wanted = metric_values(Prediction(question, question.text, "plain", answer, "m"))
            assert utils.process_results(doc, [answer]) == wanted
    assert utils.process_results(docs[0], ["B."])["choice_accuracy"] == 1


def test_the_command_prints_counts_and_the_command_to_run(tmp_path: Path) -> None:
    source = write_set(tmp_path / "my-set", VQA_ROWS)
    call = ["export-task", source, "--kit", "lmms-eval", "--out", str(tmp_path / "tasks")]
    done = CliRunner().invoke(app, call)
    assert done.exit_code == 0
    assert "4 questions = 4 written + 0 left out" in done.output  # one of the five is Chinese
    assert "CLOSED 2, OPEN 2; images shown: 5" in done.output
    assert "--tasks llavamed_my_set_test --model llava_hf" in done.output
    assert CliRunner().invoke(app, call).exit_code != 0
    assert CliRunner().invoke(app, [*call, "--replace", "--quiet"]).output == ""

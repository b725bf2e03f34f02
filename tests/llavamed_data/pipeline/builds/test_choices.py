"""`build` of benchmarks of multiple choice: from their authors' files to splits that stock `load_dataset` reads."""

from pathlib import Path
from typing import Any

import mlcroissant
import pytest
from datasets import load_dataset
from huggingface_hub import HfApi
from rich.console import Console

from llavamed_data.cli.tables import show_build
from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.pipeline.builds.summary import BuildSummary
from llavamed_data.recipes import CHOICE_BENCHMARKS, Counts, load_benchmark
from llavamed_data.validation import validate
from tests.llavamed_data.pipeline.builds.test_benchmarks import counts, dropped, here, rows_of, run
from tests.llavamed_data.pipeline.builds.test_build import digests, llavamed
from tests.llavamed_data.sources.benchmarks import drawn_choices as drawn
from tests.llavamed_data.sources.benchmarks.drawn import picture, write
from tests.servers.hub import running_hub

__all__ = ["here"]


def built(name: str, source: Path | str, **options: Any) -> BuildSummary:
    """The summary of a build in which `validate` finds no fault."""
    summary = run(name, source, **options)
    report = validate(f"llava-med/{name}")
    assert report.ok, report.faults
    assert report.kind == "choice"
    return summary


def said(row: dict[str, Any]) -> tuple[int, str, str]:
    """The number of image parts, the text behind them, and the answer."""
    question, answer = row["messages"]
    *images, text = question["content"]
    assert {part["type"] for part in images} == {"image"}
    return len(images), text["text"], answer["content"][0]["text"]


def test_pmc_vqa_from_its_tables_and_archive(here: Path) -> None:
    summary = built("pmc-vqa", drawn.write_pmc(here / "pmc"))
    assert counts(summary) == {
        "train": Counts(1, 2, 0, None, 2),
        "test": Counts(1, 2, 0, None, 2),
        "test_clean": Counts(1, 1, 0, None, 1),
    }
    assert summary.datasets[0].counts[0].paper == Counts(None, 176948)
    first, second = rows_of("pmc-vqa", "train")
    assert said(first) == (
        1,
        "What is the uptake pattern in the breast?\nA. Diffuse uptake pattern\nB. Focal uptake pattern\n"
        "C. No uptake pattern\nD. Cannot determine from the information given",
        "B",
    )
    assert first["question"] == "What is the uptake pattern in the breast?"
    assert (first["id"], first["answer_type"], first["language"]) == ("pmc-vqa-train-00001", "CHOICE", "en")
    assert first["images"] == [{"bytes": picture(1), "path": "PMC1_F1.jpg"}]
    assert second["question"] == 'Which "mass", if any, is shown?'
    assert second["choices"] == ['a "ground-glass" opacity, small', "none, or a cyst", "C. difficile", "A: B"]


def test_version_2_of_pmc_vqa_takes_letters_and_texts_as_answers(here: Path) -> None:
    built("pmc-vqa-2", drawn.write_pmc_2(here / "pmc"))
    rows = rows_of("pmc-vqa-2", "test")
    assert [(row["id"], said(row)[2]) for row in rows] == [
        ("pmc-vqa-2-test-7", "A"),
        ("pmc-vqa-2-test-9", "C"),
    ]


def test_load_dataset_reads_every_split_of_what_was_built(here: Path) -> None:
    built("pmc-vqa", drawn.write_pmc(here / "pmc"))
    rows = load_dataset("llava-med/pmc-vqa", split="test_clean", cache_dir="cache")
    assert len(rows) == 1
    assert rows[0]["images"][0].size == (64, 48)
    assert rows[0]["choices"][1] == "Focal uptake pattern"
    assert len(load_dataset("llava-med/pmc-vqa", split="test", cache_dir="cache")) == 2


def test_mmmu_takes_its_five_subjects_and_counts_marks_of_images_without_gaps(here: Path) -> None:
    summary = built("mmmu-medical", drawn.write_mmmu_folder(here / "mmmu"))
    assert counts(summary) == {"dev": Counts(1, 1, 0, None, 1), "validation": Counts(3, 4, 1, None, 3)}
    assert summary.datasets[0].counts[1].paper == Counts(None, 150)
    rows = {
        row["id"].removeprefix("mmmu-medical-validation-"): row
        for row in rows_of("mmmu-medical", "validation")
    }
    assert list(rows) == ["Clinical_Medicine_1", "Pharmacy_1", "Pharmacy_2", "Pharmacy_3"]
    assert rows["Clinical_Medicine_1"]["question_type"] == "Clinical Medicine"
    assert rows["Pharmacy_1"]["choices"][1] == "Cell of Wright's stain"
    assert said(rows["Pharmacy_2"]) == (
        2,
        "Compare <image 1> with the others.\nA. <image 1>\nB. <image 2>",
        "B",
    )
    assert [image["bytes"] for image in rows["Pharmacy_2"]["images"]] == [picture(1), picture(3)]
    assert said(rows["Pharmacy_3"]) == (1, "How many ml? <image 1>", "1.75")
    assert (rows["Pharmacy_3"]["answer_type"], rows["Pharmacy_3"]["choices"]) == ("OPEN", [])
    assert any("answers are withheld" in note for note in summary.notes)


def test_mmmu_in_one_table_leaves_out_other_subjects_and_withheld_answers(here: Path) -> None:
    rows = [
        drawn.mmmu_row("validation_Pharmacy_1"),
        drawn.mmmu_row("validation_Art_1"),
        drawn.mmmu_row("validation_Pharmacy_2", answer="?"),
    ]
    shard = drawn.write_mmmu(here / "all" / "validation-00000-of-00001.parquet", rows)
    summary = built("mmmu-medical", shard)
    assert dropped(summary, "read") == {"answer withheld": 1, "subject excluded": 1}


def test_medxpertqa_reads_its_multimodal_part_with_the_choices_once(here: Path) -> None:
    summary = built("medxpertqa-mm", drawn.write_medxpert(here / "mx"))
    assert dropped(summary, "acquire") == {}
    (row,) = rows_of("medxpertqa-mm", "test")
    text = "Which artery labeled in Figure A supplies the cord?\nA. C\nB. D\nC. A\nD. B\nE. None"
    assert said(row) == (2, text, "C")
    assert row["id"] == "medxpertqa-mm-test-MM-2002"
    assert row["question_type"] == "Understanding, Basic Medicine, Cardiovascular"
    assert [image["bytes"] for image in row["images"]] == [picture(1), picture(2)]


def test_omnimedvqa_reads_its_open_part_and_finds_the_letter_of_an_answer(here: Path) -> None:
    summary = built("omni-medvqa", drawn.write_omni(here / "omni"))
    assert counts(summary) == {"test": Counts(1, 2, 0, None, 2)}
    first, second = rows_of("omni-medvqa", "test")
    assert said(first)[2] == "D"
    assert first["question_type"] == "Modality Recognition, Fundus Photography"
    assert (second["choices"], said(second)[2]) == (["No.", "Yes."], "A")
    with pytest.raises(UsageError, match=r"one archive, OmniMedVQA\.zip: fetch and unpack it"):
        run("omni-medvqa", "hub")


def test_medframeqa_has_several_images_a_question(here: Path) -> None:
    built("medframeqa", drawn.write_medframe(here / "frames"))
    (row,) = rows_of("medframeqa", "test")
    assert said(row) == (2, "What changes between the frames?\nA. The mass grows.\nB. The mass shrinks.", "B")
    card = Path("llava-med/medframeqa/README.md").read_text()
    assert "the picture above, the first of 2" in card


def test_pathmmu_reads_subsets_and_splits_and_counts_images_to_be_fetched(here: Path) -> None:
    summary = built("pathmmu", drawn.write_pathmmu(here / "path"))
    assert {split: each.rows for split, each in counts(summary).items()} == {
        "validation": 1,
        "test": 1,
        "test_tiny": 1,
    }
    assert dropped(summary, "acquire") == {"image missing": 1}
    (row,) = rows_of("pathmmu", "test_tiny")
    assert (row["id"], row["choices"][0], said(row)[2]) == (
        "pathmmu-test_tiny-PubMed-1",
        "Bi-lobed nuclei (eosinophilic)",
        "A",
    )


BAD = {
    "equal choices": {"Choice B": "A:Diffuse uptake pattern".replace("A:", "B:")},
    "empty choice": {"Choice C": " C: "},
    "answer is no choice": {"Answer_label": "E"},
    "image missing": {"Figure_path": "PMC9_F1.jpg"},
    "malformed row": {"Question": "   "},
    "image marker in text": {"Choice A": "A:<image>"},
    "image mark without image": {"Choice A": "A: <image 2>"},
}


@pytest.mark.parametrize("reason", BAD)
def test_a_row_that_cannot_be_scored_is_dropped_with_its_reason(here: Path, reason: str) -> None:
    row = dict(zip(drawn.PMC_COLUMNS, drawn.PMC_ROWS[0], strict=True)) | BAD[reason]
    folder = drawn.write_pmc(here / "pmc", [tuple(row.values()), drawn.PMC_ROWS[1]])
    summary = built("pmc-vqa", folder / "test.csv", images=str(folder / "images.zip"))
    step = "acquire" if reason == "image missing" else "read"
    assert dropped(summary, step) == {reason: 1}
    assert counts(summary) == {"test": Counts(1, 1, 0, None, 1)}


def test_a_question_with_one_choice_is_dropped(here: Path) -> None:
    rows = [
        drawn.mmmu_row("validation_Pharmacy_1", options="['only']", answer="A"),
        drawn.mmmu_row("validation_Pharmacy_2", options="['broken'", answer="A"),
        drawn.mmmu_row("validation_Pharmacy_3"),
    ]
    shard = drawn.write_mmmu(here / "all" / "validation-00000-of-00001.parquet", rows)
    assert dropped(built("mmmu-medical", shard), "read") == {"fewer than two choices": 1, "malformed row": 1}


def test_a_line_with_an_open_quotation_or_too_many_cells_is_never_read_as_another_row(here: Path) -> None:
    folder = drawn.write_pmc(here / "pmc")
    good = drawn.table(drawn.PMC_COLUMNS, drawn.PMC_ROWS)
    write(folder / "test.csv", good + b"PMC1_F1.jpg,q,a,A:x,B:y,C:z,D:u,A,one,more\n")
    summary = built("pmc-vqa", folder / "test.csv", images=str(folder / "images.zip"))
    assert dropped(summary, "read") == {"malformed row": 1}
    assert counts(summary)["test"].rows == 2
    write(folder / "test.csv", b"Figure_path,Question\n\xff\xfe,x\n")
    with pytest.raises(LlavaMedError, match="no sound table"):
        run("pmc-vqa", folder / "test.csv")


def test_the_summary_and_the_card_show_published_counts_and_licence(here: Path) -> None:
    summary = built("pmc-vqa", drawn.write_pmc(here / "pmc"))
    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    show_build(summary, console)
    shown = [" ".join(line.split()) for line in console.export_text().splitlines()]
    assert "split (published) images rows multiple choice open" in shown
    assert "train 1 2 (176,948) 2 0" in shown
    card = Path("llava-med/pmc-vqa/README.md").read_text()
    assert "| train | 1 | 2 (176,948) | 2 | 0 |" in card
    assert "what its authors state" in card
    assert "license: cc-by-sa-4.0" in card
    assert "@article{zhang2023pmcvqa," in card
    assert "- multiple-choice" in card
    assert "Rows of `test`, `test_clean` are for evaluation" in card
    assert not mlcroissant.Dataset("llava-med/pmc-vqa/croissant.json").metadata.issues.errors


def test_copies_on_the_hub_come_with_the_files_that_are_needed_alone(here: Path) -> None:
    """PMC-VQA's second version without the images of the first, and MMMU's five folders without the others."""
    drawn.write_pmc_2(here / "pmc")
    image = here / "pmc" / "figures" / "PMC2_F1_2.jpg"
    drawn.write_zip(here / "pmc" / "images_2.zip", {"figures/PMC2_F1_2.jpg": image.read_bytes()})
    image.unlink()
    write(here / "pmc" / "images.zip", b"not needed")
    drawn.write_mmmu_folder(here / "mmmu")
    with running_hub(here / "hub") as hub:
        api = HfApi(endpoint=hub.address, token=hub.token("ada"))
        environment = hub.environment(None, here / "home") | {"HF_HUB_OFFLINE": "0"}
        for name, folder in (("pmc-vqa-2", "pmc"), ("mmmu-medical", "mmmu")):
            api.create_repo(f"ada/{folder}", repo_type="dataset")
            api.upload_folder(repo_id=f"ada/{folder}", repo_type="dataset", folder_path=here / folder)
            done = llavamed("build", name, "--source", f"ada/{folder}", cwd=here, env=environment)
            assert done.returncode == 0, done.stderr
    assert [row["id"] for row in rows_of("pmc-vqa-2", "train")] == ["pmc-vqa-2-train-7"]
    assert len(rows_of("mmmu-medical", "validation")) == 4
    fetched = {path.name for path in (here / "home").rglob("snapshots/*/*")}
    assert "images_2.zip" in fetched
    assert not {"images.zip", "Art"} & fetched


def test_two_builds_give_the_same_bytes(here: Path) -> None:
    folder = drawn.write_mmmu_folder(here / "mmmu")
    built("mmmu-medical", folder)
    first = digests(Path("llava-med/mmmu-medical"))
    run("mmmu-medical", folder, out=here / "again", work=here / "other")
    assert digests(here / "again" / "mmmu-medical") == first


@pytest.mark.parametrize("name", CHOICE_BENCHMARKS)
def test_every_recipe_names_the_source_of_its_format_and_its_counts(name: str) -> None:
    benchmark = load_benchmark(name)
    assert benchmark.choices
    assert benchmark.sources
    assert benchmark.published_counts
    assert benchmark.schema == "choice"


def test_options_that_do_nothing_for_these_sets_are_refused(here: Path) -> None:
    folder = drawn.write_pmc(here / "pmc")
    with pytest.raises(UsageError, match="--original does nothing for pmc-vqa"):
        run("pmc-vqa", folder, original=str(folder))
    with pytest.raises(UsageError, match="no questions in 'zh'"):
        run("pmc-vqa", folder, language="zh")

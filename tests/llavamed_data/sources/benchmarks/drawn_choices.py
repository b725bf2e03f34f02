"""Benchmarks of multiple-choice questions in the forms in which users have them, with a few drawn images.

The columns, file names and ways of writing are those that the recipes name with their sources; the rows are made up.
"""

import csv
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Features, Image, Value

from tests.llavamed_data.sources.benchmarks.drawn import picture, write

PMC_COLUMNS = (
    "Figure_path",
    "Question",
    "Answer",
    "Choice A",
    "Choice B",
    "Choice C",
    "Choice D",
    "Answer_label",
)

PMC_ROWS: list[tuple[str, ...]] = [
    ("PMC1_F1.jpg", "What is the uptake pattern in the breast? ", "Focal uptake pattern",
     " A:Diffuse uptake pattern ", " B:Focal uptake pattern ", " C:No uptake pattern ",
     " D:Cannot determine from the information given ", "B"),
    ("PMC1_F1.jpg", 'Which "mass", if any, is shown?', "none, or a cyst", 'A: a "ground-glass" opacity, small',
     "B: none, or a cyst", "C: C. difficile", "D: A: B", " B "),
]  # fmt: skip
"""Rows as `train.csv` has them: blanks at the ends, letters in the choices, commas and quotation marks."""


def table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, end: str = "\n", bom: bool = False
) -> bytes:
    """A CSV file."""
    sink = io.StringIO(newline="")
    lines = csv.writer(sink, lineterminator=end)
    lines.writerow(columns)
    lines.writerows(rows)
    return (b"\xef\xbb\xbf" if bom else b"") + sink.getvalue().encode()


def write_pmc(folder: Path, rows: Sequence[Sequence[str]] = PMC_ROWS) -> Path:
    """`train.csv`, `test.csv`, `test_clean.csv` and `images.zip`, in the form of version 1."""
    write(folder / "train.csv", table(PMC_COLUMNS, rows, end="\r\n", bom=True))
    write(folder / "test.csv", table(PMC_COLUMNS, rows))
    write(folder / "test_clean.csv", table(PMC_COLUMNS, rows[:1]))
    return write_zip(
        folder / "images.zip", {"images/PMC1_F1.jpg": picture(1), "images/PMC2_F1.jpg": picture(2)}
    )


def write_pmc_2(folder: Path) -> Path:
    """`train_2.csv` and `test_2.csv` with `figures/`, in the form of version 2: an index, a caption, a letter."""
    columns = ("index", "Figure_path", "Caption", "Question", *PMC_COLUMNS[3:7], "Answer", "split")
    row = (
        "7",
        "PMC2_F1_2.jpg",
        "A caption, long",
        "Which plane?",
        "A:Axial",
        "B:Sagittal",
        "C:Coronal",
        "D:None",
    )
    write(folder / "train_2.csv", table(columns, [(*row, "B", "train")]))
    write(folder / "test_2.csv", table(columns, [(*row, "A", "test"), ("9", *row[1:], "Coronal", "test")]))
    write(folder / "figures" / "PMC2_F1_2.jpg", picture(3))
    return folder


def write_zip(path: Path, members: Mapping[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path.parent


def mmmu_row(identity: str, **fields: Any) -> dict[str, Any]:
    """A row of MMMU: the options are a list written as text."""
    images = {f"image_{number}": None for number in range(1, 8)}
    return {
        "id": identity,
        "question": "Which cell is shown in <image 1>?",
        "options": "['Neutrophil', \"Cell of Wright's stain\", 'Lymphocyte, small', 'Monocyte']",
        "explanation": "",
        **images,
        "image_1": {"bytes": picture(1, "PNG"), "path": f"{identity}_1.png"},
        "img_type": "['Microscopic Images']",
        "answer": "B",
        "topic_difficulty": "Easy",
        "question_type": "multiple-choice",
        "subfield": "Anatomy",
    } | fields


def write_mmmu(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """A shard in the form of `MMMU/MMMU`."""
    names = list(mmmu_row("x"))
    features = Features({name: Image() if name.startswith("image_") else Value("string") for name in names})
    made = pa.Table.from_pylist([dict(row) for row in rows], schema=features.arrow_schema)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(made, path)
    return path


def write_mmmu_folder(folder: Path) -> Path:
    """A clone of the repository: a folder a subject, of another field too, with a test split without answers."""
    two = {"image_1": {"bytes": picture(1), "path": "a"}, "image_3": {"bytes": picture(3), "path": "c"}}
    of_images = mmmu_row(
        "validation_Pharmacy_2",
        question="Compare <image 1> with the others.",
        options="['<image 1>', '<image 3>']",
        answer="B",
        **two,
    )
    an_open = mmmu_row(
        "validation_Pharmacy_3",
        question="How many ml? <image 1>",
        options="[]",
        answer="1.75",
        question_type="open",
    )
    for split, rows in {
        "dev": [mmmu_row("dev_Pharmacy_1")],
        "validation": [mmmu_row("validation_Pharmacy_1"), of_images, an_open],
        "test": [mmmu_row("test_Pharmacy_1", answer="?")],
    }.items():
        write_mmmu(folder / "Pharmacy" / f"{split}-00000-of-00001.parquet", rows)
    clinical = [mmmu_row("validation_Clinical_Medicine_1", answer="D")]
    write_mmmu(folder / "Clinical_Medicine" / "validation-00000-of-00001.parquet", clinical)
    write_mmmu(folder / "Art" / "validation-00000-of-00001.parquet", [mmmu_row("validation_Art_1")])
    return folder


def write_medxpert(folder: Path) -> Path:
    """`MM/test.jsonl` beside `Text/test.jsonl`, and `images.zip`."""
    row = {
        "id": "MM-2002",
        "question": "Which artery labeled in Figure A supplies the cord?\n"
        "Answer Choices: (A) C (B) D (C) A (D) B (E) None",
        "options": {"A": "C", "B": "D", "C": "A", "D": "B", "E": "None"},
        "label": "C",
        "images": ["MM-2002-a.jpeg", "MM-2002-b.jpeg"],
        "medical_task": "Basic Medicine",
        "body_system": "Cardiovascular",
        "question_type": "Understanding",
    }
    write(folder / "MM" / "dev.jsonl", json.dumps(row | {"id": "MM-1"}) + "\n")
    write(folder / "MM" / "test.jsonl", json.dumps(row) + "\n")
    write(folder / "Text" / "test.jsonl", json.dumps(row | {"id": "Text-1", "images": []}) + "\n")
    return write_zip(
        folder / "images.zip", {"images/MM-2002-a.jpeg": picture(1), "images/MM-2002-b.jpeg": picture(2)}
    )


def write_omni(folder: Path) -> Path:
    """`QA_information/Open-access/*.json` and `Images/`, with a restricted part that is left alone."""
    row = {
        "dataset": "ACRIMA",
        "question_id": "ACRIMA_0000",
        "question_type": "Modality Recognition",
        "question": "What imaging technique was employed?",
        "gt_answer": "Fundus imaging",
        "image_path": "Images/ACRIMA/Im553_g_ACRIMA.png",
        "option_A": "PET scan",
        "option_B": "CT scan",
        "option_C": "Blood test",
        "option_D": "Fundus imaging",
        "modality_type": "Fundus Photography",
    }
    two = {
        name: value for name, value in row.items() if name not in ("option_C", "option_D", "modality_type")
    }
    two |= {
        "question_id": "Chest_1",
        "gt_answer": "No.",
        "option_A": "No.",
        "option_B": "Yes.",
        "modality": "CT",
    }
    open_part = folder / "QA_information" / "Open-access"
    write(open_part / "ACRIMA.json", json.dumps([row]))
    write(open_part / "Chest CT Scan.json", json.dumps([two]))
    write(folder / "QA_information" / "Restricted-access" / "Other.json", json.dumps([row]))
    write(folder / "Images" / "ACRIMA" / "Im553_g_ACRIMA.png", picture(4, "PNG"))
    return folder


def write_medframe(folder: Path) -> Path:
    """`data/test-00000-of-00001.parquet` with two to five images a row."""
    names = [f"image_{number}" for number in range(1, 6)]
    row: dict[str, Any] = {
        "question_id": "q1",
        "system": "digestive system",
        "modality": "CT",
        "question": "What changes between the frames?",
        "options": ["The mass grows.", "The mass shrinks."],
        "correct_answer": "B",
        **dict.fromkeys(names),
        "image_1": {"bytes": picture(1), "path": None},
        "image_2": {"bytes": picture(2), "path": None},
    }
    features = Features(
        {name: Image() if name in names else Value("string") for name in row if name != "options"}
    )
    schema = features.arrow_schema
    schema = schema.append(pa.field("options", pa.list_(pa.string()))).remove_metadata()
    path = folder / "data" / "test-00000-of-00001.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist([row], schema=schema), path)
    return folder


def write_pathmmu(folder: Path) -> Path:
    """`data.json` of subsets and splits, and `images/`; the image of one subset has to be fetched elsewhere."""
    row = {
        "No": 1,
        "img": "9e48f8.jpg",
        "question": "Which feature is seen?",
        "options": ["A) Bi-lobed nuclei (eosinophilic)", "B) Macronucleoli", "C) Vacuoles", "D) Lobes"],
        "answer": "B) Macronucleoli",
        "explanation": "…",
    }
    data = {
        "PubMed": {
            "val": [row],
            "test": [row],
            "test_tiny": [row | {"answer": "A) Bi-lobed nuclei (eosinophilic)"}],
        },
        "PathCLS": {"val": [], "test": [row | {"img": "not_there.jpg"}], "test_tiny": []},
    }
    write(folder / "data.json", json.dumps(data))
    write(folder / "images" / "9e48f8.jpg", picture(5))
    return folder

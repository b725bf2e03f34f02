"""What a user may rely on: a caption that marks panels is recognised, and letters for something else are no marks."""

import json
from pathlib import Path

import pytest

from llavamed_data.figures import caption_is_single_plot
from tests.llavamed_data.figures.scores import score

COMPOUND = [
    "(A) Axial CT. (B) Coronal CT.",
    "Axial CT (a) before and (b) after treatment",
    "MRI of the knee. A: sagittal. B: coronal.",
    "Radiographs. A, preoperative; B, postoperative.",
    "Biopsy. a H&E staining, b PAS staining",
    "a) Axial view b) sagittal view",
    "CT (a-c) and MRI (d) of the mass",
    "Sections of the liver (A–D).",
    "T1 (a, b) and T2 images",
    "Chest X-ray. A and B, before and after drainage.",
    "The left panel shows the CT, the right panel the MRI.",
    "Histology. Upper row: controls.",
    "Panel A shows the tumour.",
    "Axial MRI (left) and CT (right)",
    "Left: CT. Right: MRI.",
    "Ultrasound (i) and CT (ii)",
    "Photographs from left to right: day 1, day 3, day 7",
    "Sub-figures of the four patients",
    "(A; ×100) and (B; ×400) H&E",
    "Growth of the tumour. (A) Mean body weight of the mice.",
    "Montage of axial slices",
    "Chest radiograph (A, posteroanterior view) and CT (B, axial)",
    "A. adult; B. larva; C. 3rd instar.",
    "A. 24 hours after infection. B. 48 hours after infection.",
    "Surfaces: A. as deposited and B. annealed.",
    "CT of the neck (A, axial plane, and B, coronal plane).",
    "Abdominal film (a; admission, b; second day).",
    "Structures of A, aspirin and B, heparin.",
    "MRI (a T2-weighted axial view, b T1-weighted axial view)",
    "(a.) Fluorescence in red. (b.) The same by electron microscopy.",
    "Staining of mice and rats.A) Controls; B) Treated",
    "Beetle, female. 2A Body, dorsal 2B Body, ventral",
    "Spider, male: A Palp, lateral view B Palp, dorsal view C Tibia of the first leg",
    "Posteroanterior and lateral chest radiographs.",
    "Axial and coronal CT of the orbit.",
    "Pre- and postoperative radiographs of the hip.",
    "CT scans before and after embolisation.",
    "Two chest radiographs, before and after drainage.",
    "The knee. Left, radiograph; right, MRI.",
    "Top, raw image; bottom, the segmented one.",
    "From left to right: control, sham, lesion.",
    "MRI of the spine at three visits. Time runs from left to right.",
]

SINGLE = [
    "Chest X-ray on admission.",
    "Axial CT shows the aorta (A).",
    "Reproduced from Smith et al. (C) 2010 Elsevier.",
    "Retina of a mouse fed without vitamin A, day 10.",
    "Hepatitis B, chronic stage, with ground-glass hepatocytes.",
    "Axial CT: the mass (arrow) displaces the kidney (K) and the liver (L).",
    "AP and lateral diameters of the canal measured on a CT image.",
    "A defect of the frontal and lateral walls in a CT scan.",
    "Lesion in the dorsal and ventral parts seen on an MR image.",
    "Axial CT: upper, middle and lower lobes, left, right and both.",
    "E. coli in the lumen of the gut.",
    "A 45-year-old man with a cough.",
    "The left lung and the right lung are clear.",
    "MRI in the A-P direction, from the head (H) down",
    "Doppler image of a left-to-right shunt",
    "Single layer of cells in two rows of cells along the duct",
    "Protein of the inner membrane (top view).",
    "Chest CT (arrows, nodules; arrowhead, effusion)",
    "CT with the innominate artery crossing the trachea from left to right.",
    "Bars are ordered from left to right by age.",
    "The medium flows from top to bottom.",
    "Each row represents a gene and each column a patient.",
    "Anteroposterior and lateral diameters of the pelvis.",
    "Scores before and after treatment.",
    "Inhibition of A. fumigatus and B. cinerea by the extract.",
    "Influenza A, H1N1 and B, Victoria, by week.",
    "Photograph by J. A. Smith and B. Jones.",
    "IgA nephropathy with mesangial deposits (H&E, ×400)",
    "",
]


@pytest.mark.parametrize("caption", COMPOUND)
def test_marks_of_panels_are_found(caption: str) -> None:
    assert not caption_is_single_plot(caption)


@pytest.mark.parametrize("caption", SINGLE)
def test_other_letters_and_places_are_no_marks(caption: str) -> None:
    assert caption_is_single_plot(caption)


def test_labelled_captions_are_told_apart_with_high_precision_and_recall(shared_data: Path) -> None:
    lines = (shared_data / "captions_labelled.jsonl").read_text("utf-8").splitlines()
    rows = [row for line in lines if (row := json.loads(line))["sure"]]
    found = score((not caption_is_single_plot(row["caption"]), row["compound"]) for row in rows)
    assert found.precision >= 0.95
    assert found.recall >= 0.8

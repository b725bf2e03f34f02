"""What a user may rely on: a caption's domains are those that its image shows, by rules with a reason each."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml

from llavamed_data.figures import domain_of, domains_of
from llavamed_data.recipes import DOMAINS
from tests.llavamed_data.figures.scores import Score, score

SHOWN = {
    "chest_xray": [
        "Chest X-ray on admission.",
        "CXR showing cardiomegaly.",
        "Portable AP chest radiograph with bilateral infiltrates",
        "Chest roentgenogram: miliary shadows.",
        "Posteroanterior radiograph of the chest reveals a coin lesion.",
        "X-ray chest PA view showing hydropneumothorax",
        "Plain film of the patient's chest",
        "Chest PA shows no active lesion.",
        "Initial x-ray demonstrating a large left pneumothorax (arrow)",
        "Radiographie du thorax montrant une opacité.",
        "Radiografía de tórax con infiltrado bilateral.",
        "Chest X‑ray, lateral view",
        "Chest skiagram showing cannon ball lesions",
        "Thoracic radiograph of the dog: lateral projection",
        "Chest radiograph with vertebral anomalies and dextrocardia.",
        "Chest X-ray shows the tip of the catheter at the level of the fifth thoracic vertebra.",
        "Fig. 1: Chest radiograph.",
        "Admission: chest X-ray.",
        "Portable radiograph demonstrating a right pneumothorax.",
    ],
    "mri": [
        "Sagittal T2-weighted image showing disc herniation at L4-5",
        "MRI of the brain.",
        "Axial MR image of the pelvis",
        "Magnetic resonance cholangiopancreatography shows a dilated duct.",
        "Cardiac magnetic resonance imaging with late enhancement",
        "Diffusion-weighted imaging shows restricted diffusion in the thalamus.",
        "Coronal FLAIR sequence with hyperintense lesions",
        "Post-gadolinium T1 axial view of the tumour",
        "MRCP image showing a stone (arrow)",
        "IRM cérébrale en coupe axiale",
        "Proton density weighted image of the meniscus",
        "T2* gradient echo showing microbleeds",
        "Apparent diffusion coefficient (ADC) map of the prostate",
        "MR cholangiography shows dilated ducts",
        "T2-weighted sagittal image shows a hemangioma of the L2 vertebra.",
        "Coronal T2 of the liver showing multiple cysts.",
        "T₂-weighted image of the prostate.",
        "Gradient echo image with blooming of the hemorrhage.",
        "Pelvic magnetic resonance: ovarian teratoma.",
        "Diffusion-weighted NMR imaging of the brain.",
        "Knee MR showing effusion.",
        "MRI showing correlation of the lesion with the motor cortex.",
        "Patient II: magnetic resonance imaging.",
    ],
    "histology": [
        "Photomicrograph of the tumor (H&E, ×200).",
        "Haematoxylin and eosin stained section of liver",
        "Histopathology showing non-caseating granulomas",
        "Masson's trichrome stain of the kidney biopsy",
        "Immunohistochemical staining for CD20 in the lymph node",
        "Microscopic examination of the biopsy shows spindle cells.",
        "Renal tissue stained with PAS.",
        "Spindle cell carcinoma with frequent mitoses (original magnification x400)",
        "Skin biopsy revealing a dense lymphocytic infiltrate",
        "Nests of tumour cells with clear cytoplasm (HE × 100)",
        "High-power view of tumor cells with prominent nucleoli",
        "Liver biopsy with bridging fibrosis (Masson trichrome)",
        "Bone marrow biopsy showing hypercellularity",
        "Tumour cells in nests, x 250.",
        "Adenocarcinoma infiltrating the muscularis propria (×40).",
        "Metastasis of a melanoma, tumour cells positive (S100 ×200)",
        "Biopsy of the nodule showing sheets of large atypical cells.",
        "Clinical course. (B) Histopathological examination confirmed a carcinoma (B).",
        "Architecture of the liver lobule (H&E).",
    ],
    "gross": [
        "Gross specimen of the uterus.",
        "Macroscopic appearance of the resected colon",
        "Cut surface of the tumour, yellow and lobulated",
        "Photograph of the excised specimen measuring 5 × 4 cm",
        "Surgical specimen of the right nephrectomy",
        "Gross photograph of the heart showing a thrombus",
        "Explanted liver with multiple nodules, 12 cm across",
        "Specimen of total thyroidectomy",
        "Photograph of the resected bowel segment",
        "Heart at autopsy with vegetations on the mitral valve",
        "Removed tumor.",
        "The resected tumor was 15 × 12 × 10 cm.",
        "The specimen after nephrectomy, 15 × 10 × 8 cm in size.",
        "Splenectomy specimen with an infarct.",
        "Macroscopic view of the excised polyp.",
    ],
    "ct_scan": [
        "Axial CT of the chest with a cavitating lesion",
        "Computed tomography scan of the abdomen.",
        "HRCT showing ground-glass opacities",
        "CT angiography reveals an aneurysm.",
        "PET/CT image with FDG uptake in the mediastinum",
        "Micro-CT of the mouse femur",
        "Non-contrast CT head",
        "Computerised tomography demonstrating free air",
        "TDM thoracique en coupe axiale",
        "CBCT sagittal view of the maxillary canine",
        "Follow-up CT 6 months after surgery shows no recurrence",
        "Chest CT after chemotherapy",
        "Dual-energy CT of the foot with tophi in green",
        "Axial CT shows a nodule in the right upper lobe. Histopathological examination confirmed adenocarcinoma.",
        "CT shows a 5.0 x 4.2 cm lobulated mass with necrosis in the mediastinum.",
        "Chest CT on day 30 showing marked regression of pulmonary nodules.",
        "CT scan of the pelvis after two cycles of treatment, in good performance status",
        "CT of the nodule that had been seen on chest X-ray",
        "Patient 5, computed tomography scan.",
    ],
}

NOT_SHOWN = {
    "PCR cycle threshold": "Amplification of the gene; Ct values were lower than 30 cycles in all samples.",
    "PCR, capitals": "CT value of each sample in the RT-PCR assay against the dilution.",
    "economy": "Gross domestic product per head and health spending, 1990–2010.",
    "ecology": "Gross primary production at the three sites.",
    "motor skill": "Gross motor function after twelve weeks.",
    "Mendelian randomisation": "MR estimates of the effect of body mass index on asthma.",
    "mitral regurgitation": "Severe MR by colour Doppler in the apical view.",
    "a paper's section": "The procedure is described in the Methods section.",
    "a section of a road": "A cross-section of the river bed at low water.",
    "survival by histology": "Overall survival according to histological type of carcinoma.",
    "Kaplan-Meier": "Kaplan–Meier curves for patients with and without CT evidence of emphysema.",
    "care pathway": "Clinical pathway for suspected stroke: CT, then MRI if needed.",
    "flow chart": "Flow chart of patient inclusion. Chest X-rays were read by two radiologists.",
    "schematic": "Schematic of the MRI acquisition protocol.",
    "network": "Architecture of the convolutional neural network for chest X-ray classification.",
    "ROC curve": "ROC curves of the model on chest CT images.",
    "Bland-Altman": "Bland-Altman plot of aortic diameters on CT and echocardiography.",
    "scatter": "Scatter plot of MRI scores against age.",
    "histological score": "Histological scores of the colon in each group (mean ± SD).",
    "abbreviation list": "Visits. CT, computed tomography; CXR, chest X-ray; MRI, magnetic resonance imaging.",
    "abbreviations with colons": "Number of visits. MRI: magnetic resonance imaging; CT: computed tomography.",
    "aortography": "Preoperative aortography demonstrating anatomy consistent with the computed tomography scan.",
    "SPECT": "Single photon emission computed tomography of the brain.",
    "OCT": "Optical coherence tomography of the macula.",
    "guided biopsy": "Ultrasound image of the lesion before CT-guided biopsy.",
    "confirmed elsewhere": "Transvaginal ultrasound of the mass, later confirmed by MRI.",
    "immunofluorescence": "Immunofluorescence staining of cultured cells with DAPI (blue) and anti-tubulin (green).",
    "cell culture": "Phase-contrast micrograph of the cell line after 48 h.",
    "electron microscopy": "Transmission electron micrograph of the kidney (uranyl acetate stain, ×8000).",
    "colonies": "Macroscopic appearance of colonies on blood agar.",
    "gel": "SDS-PAGE with silver staining of liver proteins.",
    "Western blot": "Western blot of tumour tissue and immunoreactivity of actin.",
    "NMR": "Proton NMR spectrum of the compound.",
    "knee X-ray": "Plain radiograph of the right knee with a fracture of the tibia.",
    "fracture healing": "X-ray four months after surgery showing the fracture consolidated.",
    "abdominal film": "Abdominal X-ray with dilated loops.",
    "X-ray diffraction": "X-ray diffraction pattern of the alloy.",
    "panoramic film": "Panoramic radiograph of the mandible.",
    "ultrasound": "Ultrasound of the liver with a hypoechoic mass (arrow).",
    "herbarium": "Photograph of a specimen of Spartina patens collected at the coast.",
    "operation": "Intraoperative view of the trocars.",
    "scanner": "Photograph of the CT scanner in the treatment room.",
    "counts": "Number of MRI scans per year.",
    "distribution": "Distribution of CT findings among the patients",
    "accuracy": "Segmentation accuracy (Dice) on CT images for each method.",
    "radioactivity": "Gross alpha activity in drinking water.",
    "seen elsewhere": "Bronchoscopic view of the mass seen on CT.",
    "made after a scan": "Three-dimensional printed model from CT.",
    "costs": "Comparison of costs of MRI and CT.",
    "rates": "Kidney transplantation rates after CT.",
    "a biopsy's diagnosis": "Colonoscopy image; biopsy showed adenocarcinoma.",
    "powers of ten": "Urinary leukocytes (×10⁴/mL) and epithelial cells in each sample.",
    "powers of ten, plain": "Haemoglobin and neutrophils (× 109/l) after infiltration of the marrow.",
    "powers of ten, with a sign": "Tumor cells with nuclear staining, ×10^6 per well and x10-3 per field",
    "measures": "Ultrasonogram: mass of 45 × 32 mm with cystic necrosis.",
    "a skin biopsy's diagnosis": "Erythematous plaque on the cheek. Skin biopsy showed granuloma annulare.",
    "a diagnosis in histology": "Smooth mass on the lip. Histopathology: pyogenic granuloma.",
    "sent to histology": "Solid, isoechogenic lesion (histopathological verification: fibroadenoma)",
    "correlation": "Correlation between CT attenuation and bone mineral density.",
    "relationship": "Relationship between tumour volume on MRI and time.",
    "regression": "Logistic regression of mortality on chest X-ray findings.",
    "vertebrae": "Lateral X-ray: osteophytes between T2 and T5 vertebrae.",
    "abbreviations without marks": "Scores by group. MRI magnetic resonance imaging, CT computed tomography.",
    "consolidated bone": "Digital radiography showing consolidation of fractures after seven months.",
    "another lobe": "X-ray with a bullet lodged in the left lobe of the liver.",
    "seen on an X-ray": "Sonogram of the neck mass (seen as a shadow on chest X-ray).",
    "an earlier X-ray": "Perfusion scintigram of the lungs; the chest X-ray had been normal.",
    "fungi": "Macroscopic view of C. neoformans on agar.",
    "fluids": "Gross stool sample with blood.",
    "specimen radiograph": "Radiograph of the excised breast specimen with a wire in situ.",
    "an operation's field": "Intraoperative photograph showing the resected margin of the tumour.",
    "plants": "Cut surface of an apple, brown after an hour.",
    "resonance, not an image": "Nuclear magnetic resonance spectrum of the liver extract.",
    "points in time": "Scores at T1 and T2; the contrast between sessions was significant.",
    "nothing": "",
}


@pytest.mark.parametrize(
    ("domain", "caption"), [(domain, caption) for domain, captions in SHOWN.items() for caption in captions]
)
def test_a_caption_that_names_what_it_shows_is_flagged(domain: str, caption: str) -> None:
    assert domains_of(caption) == (domain,)


@pytest.mark.parametrize("caption", NOT_SHOWN.values(), ids=NOT_SHOWN)
def test_a_caption_that_only_seems_to_name_a_domain_is_not_flagged(caption: str) -> None:
    assert domains_of(caption) == ()


def test_several_domains_come_in_the_order_of_table_1_and_the_first_counts() -> None:
    caption = "Axial CT shows a mass; gross specimen; H&E stained section; sagittal MRI; chest X-ray."
    assert domains_of(caption) == DOMAINS
    assert domain_of(caption) == "chest_xray"
    assert domain_of("Echocardiogram.") is None


def test_a_plot_in_one_panel_leaves_the_other_its_domain() -> None:
    caption = "(A) H&E staining of the colon. (B) Graph of the histological scores."
    assert domains_of(caption) == ("histology",)


def test_white_space_and_typographic_dashes_make_no_difference() -> None:
    assert domains_of("Chest\n  X–ray \t on admission") == ("chest_xray",)


def _rows(shared_data: Path) -> list[dict[str, Any]]:
    lines = (shared_data / "captions_labelled.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_labelled_captions_are_flagged_with_high_precision_and_recall(shared_data: Path) -> None:
    rows = [row for row in _rows(shared_data) if row["sure"]]
    total = sum(
        (score((domain in domains_of(row["caption"]), row[domain]) for row in rows) for domain in DOMAINS),
        Score(),
    )
    assert total.precision >= 0.95
    assert total.recall >= 0.85


def test_every_rule_states_its_reason_and_its_words() -> None:
    raw = yaml.safe_load(files("llavamed_data.figures").joinpath("domains.yaml").read_text("utf-8"))
    lists = [raw[name] for name in ("glossary", "drawn", "plotted", "referred_before", "referred_after")]
    rules = [rule for rules in [*lists, *raw["domains"].values()] for rule in rules]
    assert [rule for rule in rules if not rule.get("note")] == []
    filtered = [raw["glossary"], raw["drawn"], raw["plotted"], *raw["domains"].values()]
    assert [rule for rules in filtered for rule in rules if not rule.get("contains")] == []
    assert tuple(raw["domains"]) == DOMAINS

"""Answers as models of today write them, each with the verdict of a reader who knows radiology.

The verdicts are by hand. An answer that leaves open what it means is wrong.
"""

import pytest

from llavamed_trainer.evaluation.scoring import final_answer, is_exact_match, score_closed, score_open

YES_OR_NO = [
    # (answer, reference, whether a reader takes the answer for the reference)
    ("Yes", "yes", True),
    ("yes.", "Yes", True),
    ("No.", "no", True),
    ("**Yes**, there is a fracture.", "yes", True),
    ("Yes – the heart is enlarged.", "no", False),
    ("Yeah, it is.", "yes", True),
    ("Nope", "no", True),
    ("There is no fracture.", "no", True),
    ("There is no fracture.", "yes", False),
    ("No fracture is seen.", "no", True),
    ("No it is not", "no", True),
    ("No, there are no signs of pneumonia.", "no", True),
    ("The heart is not enlarged.", "no", True),
    ("The heart isn’t enlarged.", "no", True),
    ("It does not appear to be abnormal", "no", True),
    ("The lungs are clear, without infiltrates.", "no", False),  # two statements: of which was the question?
    ("The heart is enlarged, which is not normal.", "no", False),
    (
        "There is a fracture of the rib.",
        "yes",
        False,
    ),  # describes; whether it answers depends on the question
    ("The image shows a chest X-ray. Yes, there is.", "yes", True),
    ("The image shows no contrast. Yes, it is normal.", "yes", True),
    ("The image shows no contrast. Yes, it is normal.", "no", False),
    ("The lungs look fine.\n\nNo", "no", True),
    ("I cannot see the margins well, but yes.", "yes", True),
    ("I cannot determine this from the image.", "no", False),
    ("It is not possible to tell.", "no", False),
    ("It is unclear", "no", False),
    ("I do not have enough information to say.", "no", False),
    ("I am unable to give a yes or no answer.", "yes", False),
    ("I am unable to give a yes or no answer.", "no", False),
    ("yes or no? No.", "no", True),
    ("yes or no? No.", "yes", False),
    ("[yes, no] No", "no", True),
    ("Yes/No", "yes", False),
    ("Yes and no.", "yes", False),
    ("Is there a fracture? No.", "no", True),
    ("Is no fracture visible? Yes, one is.", "yes", True),
    ("There is no doubt that it is a fracture, so yes.", "yes", True),
    ("If yes, further images are needed.", "yes", False),
    ("Correct.", "yes", True),
    ("False", "no", True),
    ("absent", "no", True),
    ("The fracture is absent.", "no", True),
    ("Nothing abnormal", "no", True),
    ("The finding is abnormal", "no", False),
    ("Isn’t it abnormal?", "no", False),
    ("Ｎｏ．", "no", True),
    ("否", "no", True),  # an English question is answered in Chinese
    ("是的。", "yes", True),
    ("有骨折", "yes", True),
    ("没有骨折", "no", True),
    ("没有骨折", "yes", False),
    ("是的。", "no", False),
]

REASONED = [
    ("<think>Yes? There is a line. But no.</think>No", "no", True),
    ("<think>Yes? There is a line. But no.</think>No", "yes", False),
    ("<think>It may be yes", "yes", False),  # ends before the answer
    ("Answer: No", "no", True),
    ("**Answer**: no", "no", True),
    ("**Answer:** Yes\n\n**Explanation:** There is no normal tissue.", "yes", True),
    ("Yes, one may think so. Final answer: no", "no", True),
    ("Yes, one may think so. Final answer: no", "yes", False),
    ("### Reasoning\nYes would need a line.\n### Answer\nNo", "no", True),
    ("### Answer\n\nYes, there is.\n\n### Reasoning\nNo other cause.", "yes", True),
    ("No line is seen, so $\\boxed{\\text{Yes}}$", "yes", True),
    ("<reasoning>no?</reasoning><answer>yes</answer>", "yes", True),
    ("I first said yes. The answer to the question is no.", "no", True),
    ("The correct answer is **left**, not right.", "left", True),
    ('{"answer": "yes", "why": "no line"}', "yes", True),
    ("Answer: No. Explanation: MRI shows it, CT does not.", "MRI", False),
    ("答案：不是", "不是", True),
    ("图像显示有阴影。最终答案：没有", "没有", True),
    ("图像显示有阴影。最终答案：没有", "有", False),
    ("<think>是的？</think>不是", "不是", True),
]

NAMED = [
    ("It is an MRI.", "MRI", True),
    ("This is an MRI, not a CT.", "MRI", True),
    ("This is an MRI, not a CT.", "CT", False),
    ("No, it is an MRI", "MRI", True),
    ("No it is an MRI", "MRI", True),
    ("It is not an MRI but a CT.", "CT", True),
    ("It is not an MRI but a CT.", "MRI", False),
    ("CT or MRI", "MRI", False),
    ("It is either a CT or an MRI.", "CT", False),
    ("CT or MRI? It is a CT.", "CT", True),
    ("Both CT and MRI", "CT", False),
    ("It is an MRI. A CT would show the bone brighter.", "MRI", False),  # names both: left open
    ("It was made by MRI rather than CT.", "MRI", True),
    ("It was made by MRI rather than CT.", "CT", False),
    ("Computed tomography", "CT", False),  # other words: for the judge
    ("This isn't a chest X-ray", "x-ray", False),
    ("T2-weighted", "T1", False),
    ("T1 weighted image", "T1-weighted", True),
    ("a non-contrast CT", "contrast", False),
    ("The liver is not normal.", "normal", False),
    ("abnormal", "normal", False),
    ("It is normal, not abnormal.", "normal", True),
    ("It is not abnormal.", "normal", False),  # says what it is not
    ("normal and not abnormal", "abnormal", False),
    ("Left", "left", True),
    ("It is on the **left** side.", "left", True),
    ("On the right.", "left", False),
    ("left and right", "left", False),
    ("left or right", "right", False),
    ("Not on the left but on the right", "right", True),
    ("Not on the left but on the right", "left", False),
    ("left, upper lobe", "left upper lobe", True),
    ("leftover tissue", "left", False),
    ("3", "3", True),
    ("There are three.", "3", True),
    ("13", "3", False),
    ("2 or 3", "3", False),
    ("1,024 rows", "1024", True),
    ("axial plane, no doubt", "axial", True),
    ("This is the axial plane, coronal images are missing.", "axial", True),
    ("This is the axial plane, coronal images would help.", "axial", False),  # names both: left open
    ("It excludes pneumonia", "pneumonia", False),
    ("Without contrast", "contrast", False),
    ("Nothing abnormal is seen", "abnormal", False),
    ("Contrast is not visible.", "contrast", False),
    ("A midline shift isn't seen", "midline shift", False),
    ("Contrast agent is absent", "contrast", False),
    ("The MRI does not show a mass.", "MRI", True),
    ("The left side is not involved, the right is", "left", False),
    ("", "left", False),
]

CHINESE = [
    ("是", "是", True),
    ("是的。", "是的", True),
    ("不是", "是", False),
    ("没有。", "没有", True),
    ("图中没有异常", "没有", True),
    ("图中有异常", "没有", False),
    ("图中是否有肺？没有", "没有", True),
    ("无法判断", "没有", False),
    ("**不存在**", "不存在", True),
    ("Yes", "存在", True),
    ("这是CT图像。", "CT", True),
    ("这不是CT图像。", "CT", False),
    ("这不是CT，而是MRI。", "MRI", True),
    ("这不是CT而是MRI。", "MRI", True),
    ("这不是CT而是MRI。", "CT", False),
    ("CT或MRI", "CT", False),
    ("左侧", "左侧", True),
    ("右侧", "左侧", False),
    ("左侧和右侧", "左侧", False),
    ("位于左侧，不在右侧。", "左侧", True),
    ("不正常", "正常", False),
    ("肝脏。", "肝脏", True),
    ("没有看到肿瘤", "肿瘤", False),
    ("肿瘤不存在", "肿瘤", False),
]


@pytest.mark.parametrize(("answer", "reference", "right"), [*YES_OR_NO, *REASONED, *NAMED, *CHINESE])
def test_strict_accuracy_is_a_readers_verdict(answer: str, reference: str, right: bool) -> None:
    assert score_closed(answer, reference).word_accuracy is right


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Yes, there is.", "Yes, there is."),
        ("<think>Hm.</think>\n\nLeft lung", "Left lung"),
        ("<think>Hm.", ""),
        ("Answer: left\nright", "left\nright"),
        ("Answer: left\n\nIt is on the left.", "left"),
        ("**Final Answer:** left", "left"),
        ("Answer: a. The answer is b.", "b."),
        ("Left.\nAnswer:", "Left.\nAnswer:"),  # a label without an answer
        ("\\boxed{1}, so \\boxed{\\text{left}}", "left"),
        ("The answer is\nleft", "left"),
        ("Her answers differ: left", "Her answers differ: left"),
        ("结论：左肺", "左肺"),
        ("The answer is no.\n\nConclusion: see a doctor", "no."),
        ("Conclusion: no", "no"),
    ],
)
def test_the_final_answer_is_what_is_marked_as_the_answer(text: str, answer: str) -> None:
    assert final_answer(text) == answer


def test_open_strict_scores_are_those_of_the_final_answer() -> None:
    reasoned = "<think>The right lung?</think>Answer: left lung"
    assert is_exact_match(reasoned, "Left lung.")
    assert not is_exact_match("The left lung is shown", "left lung")
    assert not is_exact_match("", "")
    assert score_open(reasoned, "left lung").multiset_recall == 1
    assert score_open(reasoned, "right lung").multiset_recall == 1 / 2


def test_the_released_scores_see_the_whole_text() -> None:
    assert score_closed("<think>yes</think>no", "yes").accuracy is True
    assert score_open("<think>left</think> lung", "lung").recall == 1

"""Cleaning leaves nothing that points to the text, and leaves sentences whole."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.instruct.cleaning import CleaningRule, clean, find_leaks, load_cleaning_rules

QUESTION = "What is seen?"


@pytest.mark.parametrize("rule", load_cleaning_rules().rules, ids=lambda rule: rule.name)
def test_each_rule_turns_its_example_into_what_it_states(rule: CleaningRule) -> None:
    side = "answer" if "answer" in rule.sides else "question"
    before = rule.example.before
    turn = (QUESTION, before) if side == "answer" else (before, "A lung.")
    cleaned = clean([turn])
    assert [(edit.rule, edit.side) for edit in cleaned.edits] == [(rule.name, side)]
    if rule.example.after is None:
        assert rule.kind == "drop_round"
        assert cleaned.rounds == ()
    else:
        assert cleaned.rounds[0][side == "answer"] == rule.example.after


def test_rule_names_are_unique() -> None:
    names = [rule.name for rule in load_cleaning_rules().rules]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("According to the caption, pH was low.", "pH was low."),
        ("Based on the given context, p53 is stained.", "p53 is stained."),
        ("According to the information provided, there is no edema.", "There is no edema."),
        ("The mass (as stated in the caption) is round.", "The mass is round."),
        ("It shows a cyst, as described in the figure text, and edema.", "It shows a cyst and edema."),
        ("It is round. From the caption, it is also dark!", "It is round. It is also dark!"),
        ("First line.\n\nBased on the caption, second line.", "First line.\n\nSecond line."),
        ("A 1.5 cm mass, according to the caption, is seen.", "A 1.5 cm mass is seen."),
        ("As stated in the caption, according to the context, it is a cyst.", "It is a cyst."),
        ("It is a cyst. Its size adds context to the finding. It is thin.", "It is a cyst. It is thin."),
        ("The image is an MRI, offering context. It is a cyst.", None),
        ("In the context of the image, the vessel is wide.", "In the image, the vessel is wide."),
        ("In the context of depression, it is common.", "In depression, it is common."),
        ("The text mentions that it was cut.", "It was cut."),
        ("Based on the details given in the figure caption, it is a cyst.", "It is a cyst."),
        (
            "The arrows, which are mentioned in the caption, are red.",
            "The arrows, which are seen in the image, are red.",
        ),
        ("Overall, the caption highlights a cyst.", "Overall, the image highlights a cyst."),
        ("The caption, however, notes a fracture.", None),
        ("Yes, as indicated in the provided caption.", "Yes."),
        ("Based on the context and caption, the cells are pale.", "The cells are pale."),
    ],
)
def test_sentences_stay_whole(before: str, after: str | None) -> None:
    assert clean([(QUESTION, before)]).rounds == (((QUESTION, after),) if after else ())


@pytest.mark.parametrize(
    "text",
    [
        "The arrow points to the cyst, as shown in the image.",
        "From the image, the heart appears enlarged.",
        "The text in the image reads 'L'.",
        "I cannot make a diagnosis; please consult a healthcare professional.",
        "Sorry, that was unclear: the mass is on the right.",
        "The contextual cues and captivating colours differ.",
        "Given the dark signal, the disc has lost water.",
        "Contrast was given before the scan.",
        "Unfortunately, the tumour has spread.",
    ],
)
def test_sentences_about_the_image_are_not_changed(text: str) -> None:
    cleaned = clean([(QUESTION, text)])
    assert cleaned.rounds == ((QUESTION, text),)
    assert not cleaned.edits


def test_questions_are_cleaned_too() -> None:
    assert clean([("What type of tumor is mentioned in the context?", "A carcinoma.")]).rounds == (
        ("What type of tumor is seen in the image?", "A carcinoma."),
    )
    turns = [
        ("According to the caption, where is the mass?", "In the liver."),
        ("Is a caption given?", "Yes."),
    ]
    assert clean(turns).rounds == (("Where is the mass?", "In the liver."),)


def test_edits_tell_which_rule_changed_what_and_where() -> None:
    cleaned = clean([(QUESTION, "Fine."), (QUESTION, "As mentioned in the caption, it is a cyst.")])
    (edit,) = cleaned.edits
    assert (edit.round_index, edit.side, edit.rule) == (1, "answer", "as_said_in_text")
    assert edit.before == "As mentioned in the caption, it is a cyst."
    assert edit.after == "It is a cyst."
    assert cleaned.rule_counts == {"as_said_in_text": 1}


PHRASES = st.sampled_from(
    [
        "the caption",
        "in the context of",
        "Based on the caption,",
        "as mentioned in the figure text,",
        "the lesion is large",
        ".",
        ". ",
        ",",
        "(",
        ")",
        "\n\n",
        "caption",
        "contexts",
        "It is stated that",
        "pH",
        "1.5 cm",
        "The provided text",
        "not mentioned in the caption",
        " ",
    ]
)


@given(st.lists(PHRASES, min_size=1, max_size=12).map(" ".join), st.lists(PHRASES, max_size=12).map(" ".join))
def test_nothing_leaks_and_cleaning_twice_is_cleaning_once(question: str, answer: str) -> None:
    once = clean([(question, answer)])
    for turn in once.rounds:
        assert not any(find_leaks(side) for side in turn)
    assert clean(once.rounds).rounds == once.rounds


@given(st.text())
def test_no_text_leaks_once_it_is_cleaned(text: str) -> None:
    assert not any(find_leaks(answer) for _, answer in clean([(text, text)]).rounds)


def test_released_answers_are_clean_afterwards(shared_data: Path) -> None:
    lines = (shared_data / "llava_med_eval" / "llava_med_eval_qa50_qa.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in lines.splitlines()]
    turns = [(row["text"].removesuffix("\n<image>"), row["gpt4_answer"]) for row in rows]
    cleaned = clean(turns)
    assert len(cleaned.rounds) >= len(turns) - 8
    for _, answer in cleaned.rounds:
        assert not re.search(r"caption|\bcontext\b|figure text", answer, re.IGNORECASE)
        assert answer[0].isupper() or not answer[0].isalpha()
        assert not re.search(r" [,.;]|,,|,\.|\( *\)|  ", answer)


OWN_RULES = """\
rules:
  - name: arrow_in_brackets
    kind: cut_aside
    pattern: "\\\\(arrows?\\\\)"
    example: {before: "The mass (arrow) is round.", after: "The mass is round."}
  - name: disease_stage
    kind: drop_round
    in: answer
    pattern: "stage [IV]+"
    example: {before: "It is of stage IV."}
"""


def own_rules(folder: Path, text: str) -> Path:
    path = folder / "own.yaml"
    path.write_text(text)
    return path


def test_rules_of_a_user_s_own_are_tried_after_the_packaged_ones(tmp_path: Path) -> None:
    rules = load_cleaning_rules(own_rules(tmp_path, OWN_RULES))
    turns = [
        ("Is it of stage IV?", "According to the caption, the cyst (arrows) is small."),
        (QUESTION, "A cyst of stage IV."),
    ]
    cleaned = clean(turns, rules)
    assert cleaned.rounds == (("Is it of stage IV?", "The cyst is small."),)
    assert [edit.rule for edit in cleaned.edits][1:] == ["arrow_in_brackets", "disease_stage"]
    assert clean(turns[1:]).rounds == ((QUESTION, "A cyst of stage IV."),)


def test_the_version_of_the_rules_tells_the_content_of_a_user_s_own_file(tmp_path: Path) -> None:
    packaged, own = load_cleaning_rules(), load_cleaning_rules(own_rules(tmp_path, OWN_RULES))
    other = load_cleaning_rules(own_rules(tmp_path, OWN_RULES.replace("[IV]", "[IVX]")))
    assert re.fullmatch(rf"{packaged.version}\+[0-9a-f]{{12}}", own.version)
    assert len({packaged.version, own.version, other.version}) == 3


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            ('is round."}', 'is small."}'),
            "its example becomes 'The mass is round.', not 'The mass is small.'",
        ),
        (("name: disease_stage", "name: apology"), "another rule has this name"),
        (("kind: drop_round", "kind: drop"), "kind must be one of drop_round, cut_opening, cut_aside"),
        (("in: answer", "on: answer"), "a rule has no"),
        (("[IV]+", "[IV"), "unterminated character set"),
        (("[IV]+", "{stage}"), "'stage' is missing"),
        (('    pattern: "stage [IV]+"\n', ""), "'pattern' is missing"),
        (("rules:", "rule:"), "holds no list of cleaning rules"),
    ],
)
def test_a_faulty_rule_of_a_user_s_own_is_named(change: tuple[str, str], says: str, tmp_path: Path) -> None:
    assert change[0] in OWN_RULES
    path = own_rules(tmp_path, OWN_RULES.replace(*change))
    with pytest.raises(UsageError, match=re.escape(says)):
        load_cleaning_rules(path)


def test_rules_that_never_end_are_refused(tmp_path: Path) -> None:
    def rule(name: str, pattern: str, replacement: str) -> str:
        example = f'{{before: "A {pattern}.", after: "A {replacement}."}}'
        stated = f"name: {name}, kind: cut_aside, pattern: {pattern}, replacement: {replacement}"
        return f"  - {{{stated}, example: {example}}}\n"

    longer = own_rules(tmp_path, "rules:\n" + rule("longer", "scan", "CT-scan"))
    with pytest.raises(UsageError, match="changes what it has changed again"):
        load_cleaning_rules(longer)
    contrary = own_rules(tmp_path, "rules:\n" + rule("one", "scan", "image") + rule("two", "image", "scan"))
    with pytest.raises(LlavaMedError, match="again and again"):
        clean([(QUESTION, "A scan.")], load_cleaning_rules(contrary))


def test_a_missing_file_of_rules_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere.yaml cannot be read"):
        load_cleaning_rules(tmp_path / "nowhere.yaml")

"""The forms in which a question is put to a model: as it stands, as the authors did, and as other kits do.

A further form is a name in `PROMPT_FORMS`, its texts in `prompts.yaml`, and a case in `_kind`.
"""

from collections.abc import Mapping
from importlib.resources import files
from string import ascii_uppercase
from typing import Literal, TypeAlias

import yaml

from llavamed_data.errors import UsageError
from llavamed_trainer.evaluation.questions.question_set import Question

PromptForm: TypeAlias = Literal["plain", "options", "medevalkit", "lmms-eval"]
"""`plain` asks the question as it stands; `options` lists yes and no behind a closed question; the others ask as the
kits of these names do. Every form lists the choices of a multiple-choice question."""

PROMPT_FORMS: tuple[PromptForm, ...] = ("plain", "options", "medevalkit", "lmms-eval")

PromptName: TypeAlias = Literal["authors", "options", "medevalkit", "lmms-eval", "plain"]
"""What `--prompt` takes: a form, or `authors`, which is another name of `options`."""

OPTIONS = "Please choose from the following two options: [yes, no]"
"""What the authors put behind every closed question, those included whose answer is neither yes nor no (21 of
VQA-RAD's 272: "Is this a CT or an MRI?"); their answer files show it. Choices made from the answers would tell the
model more than theirs was told."""

_TEXTS: Mapping[str, Mapping[str, Mapping[str, str]]] = yaml.safe_load(
    files(__package__).joinpath("prompts.yaml").read_text(encoding="utf-8")
)


def form_named(name: PromptName) -> PromptForm:
    """The form that a value of `--prompt` names."""
    return "options" if name == "authors" else name


def prompt_of(question: Question, form: PromptForm, benchmark: str = "") -> tuple[str, PromptForm]:
    """The text of the prompt, and the form that it has.

    In the form `options` only a closed question has options, and others stay `plain`. MedEvalKit asks for yes or no
    where the *right answer* is yes or no, which tells the model so; this is what the kit does, and it is done here.

    >>> closed = Question("1", "Is there a fracture?", "no", answer_type="CLOSED")
    >>> prompt_of(closed, "options")[0]
    'Is there a fracture? Please choose from the following two options: [yes, no]'
    >>> prompt_of(closed, "medevalkit", "vqa-rad")
    ("Is there a fracture?\\nPlease output 'yes' or 'no'(no extra output).", 'medevalkit')

    Args:
        question: the question.
        form: the form that is wanted.
        benchmark: name of the benchmark, by which MedEvalKit chooses a loader and so a text: names with `slake`,
            `mmmu` or `medframeqa` in them have theirs, all others that of VQA-RAD.

    Raises:
        UsageError: a question has more choices than there are letters.
    """
    if form == "options":
        if question.answer_type == "CLOSED":
            return f"{question.text} {OPTIONS}", "options"
        form = "plain"
    if form == "plain" and not question.choices:
        return question.text, "plain"
    return _filled(question, form, _kind(question, form, benchmark.lower())), form


def forms_of(prompt: str, question: Question) -> dict[PromptForm, str]:
    """The forms that a prompt found in a file may have → its text in that form; empty if it asks another question.

    Two forms may have the same text: lmms-eval and MedEvalKit ask for a single word or phrase alike.

    Args:
        prompt: the text; how its words are separated does not count.
        question: the question that it should ask. Any list in square brackets behind it counts as options.
    """
    words, bare = without_image(prompt), without_image(question.text)
    if not question.choices:
        if words == bare:
            return {"plain": question.text}
        if words.startswith(f"{bare} ") and words.endswith("]"):
            return {"options": words}
    found = dict[PromptForm, str]()
    for form in PROMPT_FORMS:
        for kind in _TEXTS.get(form, ()):
            if ("choice" in kind) == bool(question.choices):
                text = _filled(question, form, kind)
                if text == prompt or (form not in found and without_image(text) == words):
                    found[form] = text
    return found


def without_image(text: str) -> str:
    """The text in one line, single blanks between its words, without the `<image>` markers of the released files."""
    return " ".join(text.replace("<image>", " ").split())


def lettered(choices: tuple[str, ...], option: str = "{letter}. {choice}") -> str:
    """The choices of a question, one a line behind its letter.

    >>> lettered(("CT", "MRI"))
    'A. CT\\nB. MRI'

    Raises:
        UsageError: there are more choices than letters.
    """
    if len(choices) > len(ascii_uppercase):
        raise UsageError(
            f"a question has {len(choices)} choices, the first is {choices[0]!r}: there are letters for "
            f"{len(ascii_uppercase)}"
        )
    return "\n".join(
        option.format(letter=letter, choice=choice)
        for letter, choice in zip(ascii_uppercase, choices, strict=False)
    )


def _kind(question: Question, form: PromptForm, benchmark: str) -> str:
    """Which of its texts a form has for a question: the choice that the kit's loader of the benchmark makes."""
    if question.choices:
        own = next((name for name in ("mmmu", "medframeqa") if name in benchmark), "")
        return f"{own}_choice" if f"{own}_choice" in _TEXTS[form] else "choice"
    if "mmmu" in benchmark:
        return "mmmu_open"
    if form == "lmms-eval":
        return "short"
    if "slake" in benchmark:
        return "open" if question.answer_type == "OPEN" else "short"
    return "yes_no" if question.reference.lower() in ("yes", "no") else "open"


def _filled(question: Question, form: PromptForm, kind: str) -> str:
    texts = _TEXTS[form][kind]
    text = question.text.strip() if (form, kind) == ("lmms-eval", "short") else question.text
    return texts.get(question.language, texts["en"]).format(
        question=text, choices=lettered(question.choices, texts.get("option", ""))
    )

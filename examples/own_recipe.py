"""Builds a dataset with a recipe and with cleaning rules of your own.

    pip install -e .
    python examples/own_recipe.py
    python examples/own_recipe.py --model gpt-4o

The recipe `ct_and_mri.yaml` beside this file varies `60k-im`: only CT and MRI, and at most one figure of each article.
The rules in `cleaning_rules.yaml` cut arrows in brackets and drop rounds about the stage of a disease. They apply to
whatever generates the conversations: without `--model` that is a set of fixed rules, with it a model on any server that
speaks OpenAI's API (`OPENAI_API_KEY`, `OPENAI_BASE_URL`), for at most 5 dollars.

It prints an invented conversation before and after cleaning, how often each rule touched the dataset, and what was
drawn from the bundled sample corpus. The command line takes the same two files:

    python -m llavamed_data build examples/ct_and_mri.yaml --cleaning-rules examples/cleaning_rules.yaml
"""

import argparse
from pathlib import Path

from llavamed_data import BuildOptions, build, validate
from llavamed_data.instruct import GenerationOptions, clean, load_cleaning_rules

RECIPE = Path(__file__).with_name("ct_and_mri.yaml")
RULES = Path(__file__).with_name("cleaning_rules.yaml")

CONVERSATION = [
    ("What does the image show?", "According to the caption, a mass of 5 cm (white arrow) is seen."),
    ("How far has the disease gone?", "The findings suggested stage IIB disease."),
]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", help="the model that writes the conversations, by its name on the server")
    model = parser.parse_args().model

    for edit in clean(CONVERSATION, load_cleaning_rules(RULES)).edits:
        print(f"{edit.rule}\n  - {edit.before}\n  + {edit.after or '(the round is dropped)'}")

    generation = GenerationOptions(cleaning_rules=RULES)
    if model:
        generation = GenerationOptions("openai", model, cleaning_rules=RULES, max_cost=5.0)
    summary = build([RECIPE], BuildOptions(writing=generation))
    print("", *summary.notes, sep="\n")
    [dataset] = summary.datasets
    domains = ", ".join(f"{count} {domain}" for domain, count in dataset.domains.items())
    print(f"{dataset.folder}: {dataset.rows} rows ({domains})\n{dataset.shortage}")

    faults = validate(str(dataset.folder)).faults
    print(*faults or ["validated: no fault"], sep="\n")


# The guard is needed: articles are read by processes that import this file, and must not build in their turn.
if __name__ == "__main__":
    main()

"""Times the search for verbs and nouns: each first sentence parsed once, against every text parsed whole."""

import random
from collections import Counter

from llavamed_data.stats.verb_noun import count_verb_nouns, first_sentence, load_parser, verb_noun_of
from tests.benchmarks.side_by_side import medians, show

CONVERSATIONS = 400
_QUESTIONS = ("Describe the {} in the image.", "What does the {} show?", "Where is the {} located?")
_ANSWERS = (
    "The image shows a {} in the right upper lobe. It has a smooth outline and measures about three centimetres. "
    "There is no sign of invasion of the chest wall. Further tests, such as a biopsy, would be needed to be certain.",
    "The {} displays irregular nuclei. Their size varies, and several mitoses are present in each field of view.",
)
_THINGS = ("lesion", "mass", "nodule", "effusion", "tumour", "vessel", "cyst", "gland", "infarct", "oedema")


def main() -> None:
    """Prints the table."""
    choose = random.Random(0)
    texts = [
        choose.choice(kind).format(f"{choose.choice(_THINGS)} {choose.randrange(60)}")
        for _ in range(CONVERSATIONS)
        for kind in (_QUESTIONS, _ANSWERS) * 4
    ]
    parser = load_parser()
    seconds = medians(
        {
            "first sentences, once each": lambda: count_verb_nouns(
                Counter(map(first_sentence, texts)), parser
            ),
            "every text, whole": lambda: Counter(map(verb_noun_of, parser.pipe(texts, batch_size=256))),
        },
        rounds=5,
    )
    show(f"{len(texts):,} turns", seconds, amount=len(texts), unit="turns", ours="first sentences, once each")


if __name__ == "__main__":
    main()

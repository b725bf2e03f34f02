"""Loads exported files with VLMEvalKit itself, and prints as JSON what it asks.

    LMUData=FOLDER python load_vlmevalkit.py CHECKOUT NAME…

It runs under the Python of an environment that has what VLMEvalKit imports, and imports nothing of this project.
"""

import hashlib
import json
import sys


def main(checkout: str, *names: str) -> None:
    sys.path.insert(0, checkout)
    from PIL import Image
    from vlmeval.dataset import DATASET_TYPE, build_dataset

    loaded = {}
    for name in names:
        dataset = build_dataset(name)
        asked = []
        for place in range(len(dataset)):
            line = dataset.data.iloc[place]
            parts = dataset.build_prompt(line)
            images = [Image.open(part["value"]).convert("RGB") for part in parts if part["type"] == "image"]
            (text,) = (part["value"] for part in parts if part["type"] == "text")
            asked.append(
                {
                    "question_id": str(line["question_id"]),
                    "index": int(line["index"]),
                    "text": text,
                    "answer": str(line["answer"]),
                    "images": [
                        [*image.size, hashlib.sha256(image.tobytes()).hexdigest()] for image in images
                    ],
                }
            )
        loaded[name] = {"class": type(dataset).__name__, "type": DATASET_TYPE(name), "asked": asked}
    print(json.dumps(loaded))


if __name__ == "__main__":
    main(*sys.argv[1:])

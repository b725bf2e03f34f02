"""Builds a dataset from articles in Python, and looks at it with stock `datasets`.

    pip install -e .
    python examples/build_dataset.py

It builds the instruct set `60k-im` (section 3 of the paper) from the bundled sample corpus, 28 invented articles with
drawn figures: no network, key or GPU is needed. It prints what each step of the pipeline kept and dropped, the number
of rows of each domain, and the first conversation, whose image it saves as `figure.png`.

For articles of PubMed Central, name another source and say which articles:

    BuildOptions(source="pmc-cloud", query="radiography[ti] AND 2023[dp]", limit=5000)
"""

from collections import Counter

from datasets import load_dataset

from llavamed_data import BuildOptions, build


def main() -> None:
    summary = build(["60k-im"], BuildOptions(source="sample", seed=0))

    print(f"{'step':10} {'unit':9} {'in':>4} {'kept':>5}  dropped")
    for step in summary.steps:
        dropped = ", ".join(f"{count} {reason}" for reason, count in step.dropped.items())
        print(f"{step.name:10} {step.unit:9} {step.tally.entered:4} {step.tally.kept:5}  {dropped or '-'}")

    # The folder is a dataset repository of the Hub as it is: reading it needs nothing of this package.
    rows = load_dataset("llava-med/60k-im", split="train")
    print(f"\n{rows.num_rows} rows with the columns {', '.join(rows.column_names)}")
    for domain, count in Counter(rows["domain"]).most_common():
        print(f"  {domain:10} {count}")

    row = rows[0]
    image = row["images"][0]
    image.save("figure.png")
    print(f"\n{row['id']}: {image.width} × {image.height} pixels, {row['license']}, saved as figure.png")
    for turn in row["messages"]:
        print(f"  {turn['role']}: {turn['content'][-1]['text']}")


# The guard is needed: articles are read by processes that import this file, and must not build in their turn.
if __name__ == "__main__":
    main()

"""Publishes a built dataset on the Hugging Face Hub, and loads it from there.

    pip install -e .
    python -m llavamed_data build 60k-im
    hf auth login
    python examples/publish_dataset.py ORG/60k-im --dry-run
    python examples/publish_dataset.py ORG/60k-im

`--dry-run` prints what would be sent, and sends nothing. Otherwise the dataset is validated, its data is sent, one
commit makes all of it visible, and a tag names this version. If that breaks off, run it again: it sends the rest.

To try it without an account, run a Hub on this machine, which prints the settings to use in a second terminal:

    python -m tests.servers.hub --port 8080 --data hub-data
    python examples/publish_dataset.py med-lab/60k-im
"""

import argparse

from datasets import load_dataset

from llavamed_data.publish import publish


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("repo_id", metavar="OWNER/NAME", help="the repository; created if it does not exist")
    parser.add_argument("--folder", default="llava-med/60k-im", help="the dataset's folder")
    parser.add_argument("--tag", default="v1.0", help="name of this version")
    parser.add_argument("--dry-run", action="store_true", help="send nothing")
    options = parser.parse_args()

    report = publish(options.folder, options.repo_id, tag=options.tag, dry_run=options.dry_run)
    for change in report.changes:
        print(f"{change.status:10} {change.size:>10,} bytes  {change.name}")
    if options.dry_run:
        print("a dry run: nothing was sent")
        return
    print(f"commit {report.commit}, tagged {options.tag}")

    # Streaming reads the first rows without downloading the rest; the tag names the version that will never change.
    rows = load_dataset(options.repo_id, split="train", revision=options.tag, streaming=True)
    row = next(iter(rows))
    print(
        f"first row on the Hub: {row['id']}, {row['images'][0].size}, {row['messages'][0]['content'][-1]['text']}"
    )


if __name__ == "__main__":
    main()

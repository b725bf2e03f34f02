"""A Hugging Face Space for the review of a dataset; README.md beside this file lists its settings.

The same on one's own machine, with the decisions in this folder:

    LLAVAMED_DATASET=llava-med/60k-im LLAVAMED_PAGE_PASSWORD=secret LLAVAMED_DATA=. python examples/spaces/review/app.py
"""

import os
import sys
from pathlib import Path

from llavamed_data.pages import PASSWORD
from llavamed_data.review.page import serve_review
from llavamed_data.review.review_set import ReviewSet

dataset = os.environ.get("LLAVAMED_DATASET", "")
kept = Path(os.environ.get("LLAVAMED_DATA", "/data"))
if not dataset:
    sys.exit("set LLAVAMED_DATASET to the dataset, ORG/NAME")
if not os.environ.get(PASSWORD):
    sys.exit(f"set {PASSWORD}: whoever opens the page can change the dataset's review")
if not kept.is_dir():
    sys.exit(f"there is no {kept}: give the Space persistent storage, or decisions are lost when it restarts")

# a Space reaches the page at this port, from outside of the container
host, port = ("0.0.0.0", 7860) if "SPACE_ID" in os.environ else ("127.0.0.1", 0)  # noqa: S104
review = ReviewSet(dataset, kept / "decisions.jsonl")
server = serve_review(review, host=host, port=port)
print(f"{server.address} shows {len(review):,} rows of {review.name}", flush=True)
server.wait()

"""Runs the LLM generator as a process that tests can kill: `run_generator URL FOLDER PAIRS`."""

import json
import sys
from pathlib import Path

from llavamed_data.instruct.conversation import Conversation
from llavamed_data.llm import ChatModel, Endpoint, Journal, RunLimits
from llavamed_data.llm.chat import ChatClient
from tests.llavamed_data.instruct.conftest import make_generator, make_pairs


def main(url: str, folder: Path, count: int) -> None:
    """Writes `journal.jsonl` and `set.jsonl`, one line per pair, into a folder."""
    limits = RunLimits(backoff=0.01, attempts=12, concurrency=32)
    with Journal(folder / "journal.jsonl") as journal, (folder / "set.jsonl").open("w") as out:
        client = ChatClient(
            ChatModel("gpt-4o", max_tokens=200), Endpoint(url, timeout=2.0), journal, limits=limits
        )
        for outcome in make_generator(client).generate(make_pairs(count)):
            if isinstance(outcome, Conversation):
                row = [outcome.pair_id, outcome.rounds, outcome.model, dict(outcome.rule_counts)]
            else:
                row = [outcome[0], str(outcome[1])]
            out.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))

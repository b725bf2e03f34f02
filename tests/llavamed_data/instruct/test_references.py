"""Reference answers come from a figure's caption and mentions."""

from llavamed_data.instruct import ReferenceAnswer, ReferenceWriter, reference_request
from llavamed_data.reasons import Reason
from tests.llavamed_data.instruct.conftest import make_pairs
from tests.llavamed_data.llm.conftest import MakeClient
from tests.servers.openai import Server


def test_reference_answers_come_from_caption_and_mentions(make_client: MakeClient, server: Server) -> None:
    server.settings.triggers = {"Where is it?": "content-filter"}
    client = make_client()
    (pair,) = make_pairs(1)
    references = ReferenceWriter(client)
    assert "Figure Context" in reference_request(client.model, pair, "What?").body["messages"][1]["content"]
    found = list(references.answers([(pair, "What is it?"), (pair, "Where is it?")]))
    assert isinstance(found[0], ReferenceAnswer)
    assert (found[0].question, found[0].model) == ("What is it?", "gpt-4o-2026-01-01")
    assert found[0].answer.startswith("The image shows finding")
    assert isinstance(found[1], tuple)
    assert found[1][1].reason == Reason.CONTENT_FILTER

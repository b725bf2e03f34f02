"""The client for chat models on any server that speaks OpenAI's API.

`open_client` opens it. What it stands on: requests (`request`) and answers (`answer`), the journal of answers, rate
limits, the budget and price table (`costs`), estimates of tokens, and what a failed request calls for (`failures`).
"""

from llavamed_data.llm.answer import Answer, Outcome, Usage
from llavamed_data.llm.client import (
    AnswerCounts,
    FollowUp,
    LlmClient,
    RunLimits,
    chat_model,
)
from llavamed_data.llm.costs import Budget
from llavamed_data.llm.endpoint import Endpoint
from llavamed_data.llm.journal import Journal
from llavamed_data.llm.open import open_client
from llavamed_data.llm.request import ChatModel, JsonObject, Message, Request

__all__ = [
    "Answer",
    "AnswerCounts",
    "Budget",
    "ChatModel",
    "Endpoint",
    "FollowUp",
    "Journal",
    "JsonObject",
    "LlmClient",
    "Message",
    "Outcome",
    "Request",
    "RunLimits",
    "Usage",
    "chat_model",
    "open_client",
]

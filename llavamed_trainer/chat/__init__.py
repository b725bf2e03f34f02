"""Talks with a model about an image: in the terminal, by a file of questions, and on a page."""

from llavamed_trainer.chat.answers import (
    AnswerSettings,
    AnswerStream,
    Assistant,
    LocalAssistant,
    ServerAssistant,
)
from llavamed_trainer.chat.conversation import (
    Chat,
    ChatImage,
    ChatTurn,
    Conversation,
    Ending,
    chat_of,
    load_chat,
)

__all__ = [
    "AnswerSettings",
    "AnswerStream",
    "Assistant",
    "Chat",
    "ChatImage",
    "ChatTurn",
    "Conversation",
    "Ending",
    "LocalAssistant",
    "ServerAssistant",
    "chat_of",
    "load_chat",
]

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
)
from llavamed_trainer.chat.saving import chat_as_json, chat_as_markdown, chat_of, load_chat, save_chat

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
    "chat_as_json",
    "chat_as_markdown",
    "chat_of",
    "load_chat",
    "save_chat",
]

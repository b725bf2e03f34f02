"""A server on 127.0.0.1 with OpenAI's API (Chat Completions, Files, Batches) that fails on request.

To use it from a shell, start `python -m tests.servers.openai --port 8001 --latency 0.3 --rpm 3000 --faults 0.3`, set
`OPENAI_API_KEY=sk-test`, and pass `--base-url http://127.0.0.1:8001/v1` to a command.

An answer depends only on the content of its request.
"""

import argparse
import asyncio
import base64
import collections
import hashlib
import json
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.parser import BytesParser
from typing import Any

PASSING_FAULTS = (
    "429",
    "429-bare",
    "500",
    "503",
    "hang",
    "reset",
    "malformed",
    "empty-choices",
)
ERRORS = {
    "429": (429, "Rate limit reached", "rate_limit_exceeded"),
    "429-bare": (429, "Rate limit reached", "rate_limit_exceeded"),
    "quota": (429, "You exceeded your current quota", "insufficient_quota"),
    "500": (500, "The server had an error", "server_error"),
    "503": (503, "The server is overloaded", "overloaded"),
    "503-wait": (503, "The server is overloaded", "overloaded"),
    "content-filter-400": (400, "The response was filtered", "content_filter"),
    "too-long": (400, "This model's maximum context length is 10", "context_length_exceeded"),
    "no-images": (400, "This model does not support image input", "invalid_request_error"),
    "bad-parameter": (400, "Unsupported value: 'temperature' does not support 0", "unsupported_value"),
    "wrong-model": (404, "The model does not exist", "model_not_found"),
}
PROSE = {
    "prose": "It is a fine image.",
    "apology": "User: What is it?\nAssistant: I'm sorry, but I cannot see the image.",
}
BODIES: dict[str, tuple[int, object]] = {
    "context-llama.cpp": (
        400,
        {
            "error": {
                "code": 400,
                "message": "the request exceeds the available context size, try increasing it",
                "type": "exceed_context_size_error",
                "n_ctx": 4096,
            }
        },
    ),
    "context-vllm": (
        400,
        {
            "object": "error",
            "message": "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens.",
            "type": "BadRequestError",
            "param": None,
            "code": 400,
        },
    ),
    "context-500": (500, {"error": "litellm.APIError: ContextWindowExceededError: prompt is too long"}),
    "filter-proxy": (
        400,
        {
            "error": {
                "message": "BadRequestError: the prompt triggered the content management policy. Please modify it.",
                "type": None,
                "code": "400",
                "provider_specific_fields": {"innererror": {"code": "ResponsibleAIPolicyViolation"}},
            }
        },
    ),
    "filter-403": (
        403,
        {"error": {"code": 403, "message": "your input was flagged", "metadata": {"reasons": ["x"]}}},
    ),
    "filter-list": (400, [{"error": {"code": 400, "message": "", "status": "PROHIBITED_CONTENT"}}]),
    "odd-400": (400, {"error": {"message": "no way with this caption", "type": "odd", "code": None}}),
    "odd-422": (
        422,
        {"detail": [{"loc": ["body", "messages"], "msg": "odd", "input": "temperature unsupported"}]},
    ),
    "odd-418-html": (418, "<html><body>I am a teapot</body></html>"),
    "too-large-429": (
        429,
        {"error": {"message": "Request too large for m on tokens per min", "type": "tokens"}},
    ),
    "context-200": (
        200,
        {
            "error": {
                "message": "Provider returned error",
                "code": 400,
                "metadata": {"raw": "prompt is too long"},
            }
        },
    ),
    "filter-200": (200, {"error": {"message": "flagged", "code": "content_policy_violation"}}),
    "filter-200-bare": (200, {"choices": [{"finish_reason": "content_filter"}]}),
    "failed-200": (200, {"choices": [{"message": {"content": "User: ha"}, "finish_reason": "error"}]}),
    "no-money": (402, {"error": {"message": "Insufficient Balance", "code": "invalid_request_error"}}),
}
"""Errors of requests as other servers send them."""

REFUSED_PARTS: dict[str, tuple[int, object]] = {
    "system": (
        400,
        {"object": "error", "message": "System role not supported", "type": "BadRequestError", "code": 400},
    ),
    "max_tokens": (
        400,
        {
            "error": {
                "message": "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
                "'max_completion_tokens' instead.",
                "type": "invalid_request_error",
                "param": "max_tokens",
                "code": "unsupported_parameter",
            }
        },
    ),
    "max_completion_tokens": (
        400,
        {"message": "Unrecognized request argument supplied: max_completion_tokens"},
    ),
    "temperature": (
        400,
        {
            "error": {
                "message": "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) "
                "value is supported.",
                "param": "temperature",
                "code": "unsupported_value",
            }
        },
    ),
    "seed": (
        422,
        {
            "detail": [
                {"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}
            ]
        },
    ),
}
"""How servers refuse a part of a request that their model does not take."""

DRAFT = "First a draft.\nUser: What is a draft?\nAssistant: Perhaps a tumour; no, not that.\nNow the answer."
THINKING: dict[str, Callable[[str], dict[str, Any]]] = {
    "think": lambda text: {"content": f"<think>\n{DRAFT}\n</think>\n\n{text}"},
    "think-closed-only": lambda text: {"content": f"{DRAFT}\n</think>\n\n{text}"},
    "channels": lambda text: {
        "content": f"<|channel|>analysis<|message|>{DRAFT}<|end|><|start|>assistant<|channel|>final<|message|>{text}"
    },
    "parts": lambda text: {
        "content": [
            {"type": "thinking", "thinking": [{"type": "text", "text": DRAFT}]},
            {"type": "text", "text": text[: len(text) // 2]},
            {"type": "text", "text": text[len(text) // 2 :]},
        ]
    },
    "reasoning-field": lambda text: {"content": text, "reasoning_content": DRAFT},
}
"""How servers send the reasoning of a model together with its answer."""

CUT_THINKING: dict[str, dict[str, Any]] = {
    "think-cut": {"content": f"<think>\n{DRAFT}"},
    "think-closed-only-cut": {"content": DRAFT},
    "channels-cut": {"content": f"<|channel|>analysis<|message|>{DRAFT}"},
    "reasoning-field-cut": {"content": None, "reasoning_content": DRAFT},
    "empty-cut": {},
}
"""Messages that reached the limit of tokens within the reasoning, as requests for less than 4,096 tokens do."""

COUNTED = object()
KEY = "sk-test"


@dataclass
class Settings:
    """What the server does; it may be changed while the server runs.

    Attributes:
        latency: seconds before an answer.
        rpm, tpm: requests and tokens per minute; None sets no limit.
        window: seconds of unused rate that are saved up.
        filled: share of the window that is saved up at the start.
        headers: state the limits in the headers of answers.
        models: the models that there are.
        fault_share: share of all requests that fail.
        fault_kinds: the faults that these requests draw from.
        seed: of the draw.
        retry_after: the header that comes with the faults `429` and `503-wait`.
        queue: faults of the next requests, in turn.
        triggers: text → the fault of every request whose last message holds it.
        usage: what answers state as their usage in place of the right counts; `COUNTED` leaves these.
        refuses: parts of requests that the model does not take, of `REFUSED_PARTS`.
        refusal_latency: seconds before such a refusal, for each request that was in flight at once so far.
        thinks: how the model's reasoning comes with each answer, of `THINKING`.
        needs_room: answers to requests for less than 4,096 tokens end within the reasoning, for `triggers` of
            `CUT_THINKING`; False cuts them at any limit.
        hang: seconds that the fault `hang` takes.
        pause: seconds between the words of an answer that is streamed.
        batch_polls: how often a batch is looked at until it ends.
        batch_requests, batch_bytes: most requests and bytes of a batch.
        batch_faults: faults of the next batches, in turn.
        call_latency: seconds before a call that uploads, submits or looks at files and batches is answered.
        call_faults: faults of the next calls that upload, submit or look at files and batches, in turn.
        record: keep lists of the requests that were asked and answered.
    """

    latency: float = 0.0
    rpm: float | None = None
    tpm: float | None = None
    window: float = 60.0
    filled: float = 1.0
    headers: bool = True
    models: tuple[str, ...] = ("gpt-4o", "gpt-4o-mini", "judge")
    fault_share: float = 0.0
    fault_kinds: tuple[str, ...] = PASSING_FAULTS
    seed: int = 0
    retry_after: str = "0.05"
    queue: list[str] = field(default_factory=list)
    triggers: dict[str, str] = field(default_factory=dict)
    usage: object = COUNTED
    refuses: frozenset[str] = frozenset()
    refusal_latency: float = 0.0
    thinks: str | None = None
    needs_room: bool = True
    hang: float = 30.0
    pause: float = 0.0
    batch_polls: int = 1
    batch_requests: int = 50_000
    batch_bytes: int = 200_000_000
    batch_faults: list[str] = field(default_factory=list)
    call_latency: float = 0.0
    call_faults: list[str] = field(default_factory=list)
    record: bool = True


@dataclass
class Reply:
    """A response; with `cut`, the connection breaks after that many bytes of its body, or that many of its events."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    events: Sequence[bytes] = ()


def body_key(body: dict[str, Any]) -> str:
    """The name of a request in `Server.asked` and `Server.answered`: equal requests have equal names."""
    text = json.dumps(body, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


class Server:
    """Requests that were asked and answered, files and batches."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.asked: list[str] = []
        self.answered: list[str] = []
        self.statuses: collections.Counter[int] = collections.Counter()
        self.tokens = 0
        self.answers = 0
        self.in_flight = 0
        self.most_in_flight = 0
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.url = ""
        self._random = random.Random(settings.seed)
        self._levels: dict[str, tuple[float, float]] = {}

    async def respond(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Reply:
        if headers.get("authorization") != f"Bearer {KEY}":
            return error(
                401, f"Incorrect API key provided: {headers.get('authorization')}", "invalid_api_key"
            )
        path = path.split("?")[0]
        if (method, path) == ("POST", "/v1/chat/completions"):
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
            try:
                return await self._chat(json.loads(body))
            finally:
                self.in_flight -= 1
        await asyncio.sleep(self.settings.call_latency)
        if self.settings.call_faults:
            return error(*ERRORS[self.settings.call_faults.pop(0)])
        return self._files_and_batches(method, path, headers, body)

    # Chat Completions -------------------------------------------------------------------------

    async def _chat(self, body: dict[str, Any]) -> Reply:
        key = body_key(body) if self.settings.record else ""
        if self.settings.record:
            self.asked.append(key)
        if part := self._refused_part(body):
            await asyncio.sleep(self.settings.refusal_latency * self.most_in_flight)
            return failing_body(*REFUSED_PARTS[part])
        fault = self._fault(body)
        if self.settings.latency:
            await asyncio.sleep(self.settings.latency)
        breaks = fault == "reset" and "stream" in body
        if fault and not breaks:
            reply = await self._faulty(fault, body)
            if reply:
                return reply
        refused = self._over_limit(body)
        if refused:
            return refused
        answer = completion(body, self.settings.models)
        if isinstance(answer, Reply):
            return answer
        self.tokens += answer["usage"]["total_tokens"]
        self._think(fault, body, answer)
        if fault == "length":
            answer["choices"][0]["finish_reason"] = "length"
            answer["choices"][0]["message"]["content"] = answer["choices"][0]["message"]["content"][:-20]
        self.answers += 1
        if self.settings.record:
            self.answered.append(key)
        return streamed(answer, breaks=breaks) if body.get("stream") else self._whole(answer)

    def _whole(self, answer: dict[str, Any]) -> Reply:
        return Reply(200, json.dumps(answer).encode(), self._limit_headers())

    def _refused_part(self, body: dict[str, Any]) -> str | None:
        roles = {message["role"] for message in body["messages"]}
        return next((part for part in self.settings.refuses if part in body or part in roles), None)

    def _think(self, fault: str | None, body: dict[str, Any], answer: dict[str, Any]) -> None:
        """Puts the model's reasoning into an answer, or cuts the message off within it; and states its usage."""
        if self.settings.usage is not COUNTED:
            answer["usage"] = self.settings.usage
        choice = answer["choices"][0]
        text = choice["message"]["content"]
        limit = body.get("max_tokens") or body.get("max_completion_tokens") or 0
        if fault in CUT_THINKING and not (self.settings.needs_room and limit >= 4096):
            choice["message"] = {"role": "assistant", **CUT_THINKING[fault]}
            choice["finish_reason"] = "length"
            return
        kind = fault if fault in THINKING else self.settings.thinks
        if kind:
            choice["message"] = {"role": "assistant", **THINKING[kind](text)}

    def _fault(self, body: dict[str, Any]) -> str | None:
        if kind := self._trigger(body):
            return kind
        if self.settings.queue:
            return self.settings.queue.pop(0)
        if self.settings.fault_share and self._random.random() < self.settings.fault_share:
            return self._random.choice(self.settings.fault_kinds)
        return None

    def _trigger(self, body: dict[str, Any]) -> str | None:
        text = text_of(body["messages"][-1]["content"])
        return next((kind for trigger, kind in self.settings.triggers.items() if trigger in text), None)

    async def _faulty(self, kind: str, body: dict[str, Any]) -> Reply | None:
        """The faulty reply; None if the fault needs the reply of a sound request."""
        if kind in ERRORS:
            after = {"retry-after": self.settings.retry_after} if kind in ("429", "503-wait") else None
            return error(*ERRORS[kind], headers=after)
        if kind in BODIES:
            return failing_body(*BODIES[kind])
        if kind in ("hang", "slow"):
            await asyncio.sleep(self.settings.hang if kind == "hang" else 1.0)
        if kind in ("slow", "length") or kind in THINKING or kind in CUT_THINKING:
            return None
        return damaged(kind, json.dumps(completion(body, (body["model"],))).encode())

    def _over_limit(self, body: dict[str, Any]) -> Reply | None:
        """Token buckets, as OpenAI describes its limits; each holds the units of `window` seconds."""
        wanted = {
            "requests": (self.settings.rpm, 1),
            "tokens": (self.settings.tpm, prompt_tokens(body) + 100),
        }
        now, wait = time.monotonic(), 0.0
        for name, (limit, units) in wanted.items():
            if not limit:
                continue
            rate, holds = limit / 60, limit / 60 * self.settings.window
            level, since = self._levels.get(name, (holds * self.settings.filled, now))
            level = min(holds, level + (now - since) * rate)
            self._levels[name] = level, now
            wait = max(wait, (units - level) / rate)
        if wait > 0:
            after = {"retry-after": f"{wait:.3f}"} | self._limit_headers()
            return error(429, "Rate limit reached", "rate_limit_exceeded", after)
        for name, (level, since) in self._levels.items():
            self._levels[name] = level - wanted[name][1], since
        return None

    def _limit_headers(self) -> dict[str, str]:
        limits = {"requests": self.settings.rpm, "tokens": self.settings.tpm} if self.settings.headers else {}
        return {f"x-ratelimit-limit-{name}": str(int(limit)) for name, limit in limits.items() if limit}

    # Files and Batches ------------------------------------------------------------------------

    def _files_and_batches(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Reply:
        parts = path.removeprefix("/v1/").split("/")
        match method, parts:
            case "POST", ["files"]:
                return self._upload(headers, body)
            case "GET", ["files", name, "content"] if name in self.files:
                return Reply(200, self.files[name], {"content-type": "application/octet-stream"})
            case "POST", ["batches"]:
                return self._submit(json.loads(body))
            case "GET", ["batches"]:
                found = [self._shown(batch) for batch in reversed(self.batches.values())]
                return ok({"object": "list", "data": found, "has_more": False})
            case "GET", ["batches", name] if name in self.batches:
                self._advance(self.batches[name])
                return ok(self._shown(self.batches[name]))
        return error(404, f"No {method} {path} here", "not_found")

    def _upload(self, headers: dict[str, str], body: bytes) -> Reply:
        head = f"Content-Type: {headers['content-type']}\r\n\r\n".encode()
        parts = BytesParser().parsebytes(head + body).get_payload()
        content = b""
        for part in parts:
            if part.get_filename():  # type: ignore[union-attr]
                content = part.get_payload(decode=True)  # type: ignore[union-attr,assignment]
        if len(content) > self.settings.batch_bytes:
            return error(400, "File is too large", "file_too_large")
        name = f"file-{len(self.files)}"
        self.files[name] = content
        return ok(
            {
                "id": name,
                "object": "file",
                "bytes": len(content),
                "created_at": 0,
                "purpose": "batch",
                "filename": "requests.jsonl",
                "status": "processed",
            }
        )

    def _submit(self, body: dict[str, Any]) -> Reply:
        name = f"batch_{len(self.batches)}"
        self.batches[name] = {
            "id": name,
            "object": "batch",
            "endpoint": body["endpoint"],
            "completion_window": "24h",
            "input_file_id": body["input_file_id"],
            "status": "validating",
            "created_at": 0,
            "metadata": body.get("metadata"),
            "polls": 0,
            "fault": self.settings.batch_faults.pop(0) if self.settings.batch_faults else None,
        }
        return ok(self._shown(self.batches[name]))

    @staticmethod
    def _shown(batch: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in batch.items() if name not in ("polls", "fault")}

    def _advance(self, batch: dict[str, Any]) -> None:
        batch["polls"] += 1
        if batch["status"] in ("completed", "failed", "expired"):
            return
        batch["status"] = "in_progress"
        if batch["polls"] < self.settings.batch_polls:
            return
        lines = [json.loads(line) for line in self.files[batch["input_file_id"]].splitlines()]
        if batch["fault"] == "failed" or len(lines) > self.settings.batch_requests:
            message = "too many requests" if batch["fault"] != "failed" else "validation failed"
            batch.update(status="failed", errors={"data": [{"code": "invalid", "message": message}]})
            return
        self._work(batch, lines)

    def _work(self, batch: dict[str, Any], lines: list[dict[str, Any]]) -> None:
        done, failed = [], []
        stop = len(lines) // 2 if batch["fault"] == "expired" else len(lines)
        for number, line in enumerate(lines):
            key = body_key(line["body"])
            head = {"id": f"r{number}", "custom_id": line["custom_id"]}
            if number >= stop:
                fault = {"code": "batch_expired", "message": "The batch expired"}
                failed.append({**head, "response": None, "error": fault})
                continue
            self.asked.append(key)
            if batch["fault"] == "partial" and number % 3 == 0:
                response = {"status_code": 500, "body": {"error": {"message": "oops"}}}
                failed.append({**head, "response": response, "error": None})
                continue
            kind = self._trigger(line["body"])
            answer: Reply | dict[str, Any]
            if part := self._refused_part(line["body"]):
                answer = failing_body(*REFUSED_PARTS[part])
            elif kind in ERRORS:
                answer = error(*ERRORS[kind])
            else:
                answer = completion(line["body"], self.settings.models)
            if isinstance(answer, Reply):
                response = {"status_code": answer.status, "body": json.loads(answer.body)}
                failed.append({**head, "response": response, "error": None})
                continue
            self._think(kind, line["body"], answer)
            self.answered.append(key)
            self.answers += 1
            done.append({**head, "response": {"status_code": 200, "body": answer}, "error": None})
        batch["status"] = "expired" if batch["fault"] == "expired" else "completed"
        for name, rows in (("output_file_id", reversed(done)), ("error_file_id", failed)):
            text = "".join(json.dumps(row) + "\n" for row in rows)
            if text:
                batch[name] = f"file-{len(self.files)}"
                self.files[batch[name]] = text.encode()


def damaged(kind: str, whole: bytes) -> Reply:
    answer = json.loads(whole)
    if kind == "content-filter":
        answer["choices"][0].update(finish_reason="content_filter", message={"content": None})
    if kind in PROSE:
        answer["choices"][0]["message"]["content"] = PROSE[kind]
    if kind == "empty-choices":
        answer["choices"] = []
    text = json.dumps(answer).encode()
    if kind in ("reset", "hang"):
        return Reply(200, text, cut=len(text) // 2)
    return Reply(200, text[: len(text) // 2] if kind == "malformed" else text)


def streamed(answer: dict[str, Any], *, breaks: bool) -> Reply:
    """An answer as events: one a word, then how it ended, then the mark of the end; or the first half of them."""
    events = list(events_of(answer))
    return Reply(200, b"", cut=len(events) // 2 if breaks else None, events=events)


def events_of(answer: dict[str, Any]) -> Iterator[bytes]:
    choice = answer["choices"][0]
    words = re.findall(r"\S+\s*", choice["message"]["content"])
    deltas = [({"content": word}, None) for word in words] + [({}, choice["finish_reason"])]
    about = {name: answer[name] for name in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    for delta, ended in deltas:
        event = about | {"choices": [{"index": 0, "delta": delta, "finish_reason": ended}]}
        yield f"data: {json.dumps(event)}\n\n".encode()
    yield b"data: [DONE]\n\n"


def ok(value: object) -> Reply:
    return Reply(200, json.dumps(value).encode())


def error(status: int, message: str, code: str, headers: dict[str, str] | None = None) -> Reply:
    body = {"error": {"message": message, "type": code, "param": None, "code": code}}
    return Reply(status, json.dumps(body).encode(), headers or {})


def failing_body(status: int, body: object) -> Reply:
    return Reply(status, body.encode() if isinstance(body, str) else json.dumps(body).encode())


def prompt_tokens(body: dict[str, Any]) -> int:
    return sum(len(text_of(message["content"])) for message in body["messages"]) // 4


def text_of(content: str | list[dict[str, Any]]) -> str:
    """The text of a message, with the hash of an image's bytes in place of its data URL."""
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] if part["type"] == "text" else seen(part) for part in content)


def seen(part: dict[str, Any]) -> str:
    head, data = part["image_url"]["url"].split(",", 1)
    assert re.fullmatch(r"data:image/(jpeg|png|gif|webp);base64", head), head
    return hashlib.sha256(base64.b64decode(data, validate=True)).hexdigest()


def completion(body: dict[str, Any], models: tuple[str, ...]) -> dict[str, Any] | Reply:
    """The answer to a request, which depends only on its content."""
    if body["model"] not in models:
        return error(404, f"The model `{body['model']}` does not exist", "model_not_found")
    text = answer_text(body["messages"], body["model"])
    used = prompt_tokens(body), len(text) // 4
    return {
        "id": "chatcmpl-0",
        "object": "chat.completion",
        "created": 0,
        "model": f"{body['model']}-2026-01-01",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
        "usage": {"prompt_tokens": used[0], "completion_tokens": used[1], "total_tokens": sum(used)},
    }


STYLES: tuple[Callable[[str, str], str], ...] = (
    lambda question, answer: f"User: {question}\nAssistant: {answer}\n",
    lambda question, answer: f"**User:** {question}\n\n**Assistant:** {answer}\n\n",
    lambda question, answer: f"1. User: {question}\n   Assistant: {answer}\n",
)


def answer_text(messages: list[dict[str, Any]], model: str = "") -> str:
    system, query = text_of(messages[0]["content"]), text_of(messages[-1]["content"])
    chance = random.Random(hashlib.sha256(query.encode()).digest())
    if system.startswith("You check training data"):
        return f"{chance.randint(1, 10)}\nThe size is a guess."
    if system.startswith("You compare two answers"):
        return f"{chance.randint(1, 10)} {chance.randint(1, 10)}\nBoth are guesses."
    if system.startswith("You decide whether two short answers"):
        return short_verdict(text_of(messages[1]["content"]), strict=model == "judge")
    if not system.startswith("You are an AI assistant") or "Answer the question" in system:
        return f"The image shows finding {chance.randint(100, 999)}."
    reminded = "again as plain text in rounds" in query
    if not reminded and chance.random() < 0.05:
        return "I can describe the image if you like. It is interesting."
    words = re.findall(r"[a-z]{4,}", query.lower()) or ["nothing"]
    style = chance.choice(STYLES)
    rounds = []
    for number in range(chance.randint(2, 4)):
        word = chance.choice(words)
        opening = chance.choice(("", "", "", "Based on the caption, ", "As mentioned in the context, "))
        answer = (
            f"{opening}{'t' if opening else 'T'}he image shows {word} with sign {chance.randint(10, 99)}."
        )
        rounds.append(style(f"What about {word} in place {number}?", answer))
    return "".join(rounds)


def short_verdict(quoted: str, *, strict: bool) -> str:
    """Whether two answers are the same: if one holds the other, or only if they are equal for the strict judge.

    A candidate that says "perhaps" is the same only where it stands first.
    """
    data = json.loads(quoted)
    reference, candidate = (
        data[f"{whose} answer"].lower().rstrip(".") for whose in ("reference", "candidate")
    )
    if "perhaps" in candidate:
        same = list(data)[1] == "candidate answer"
    else:
        same = reference == candidate or (not strict and (reference in candidate or candidate in reference))
    return json.dumps({"verdict": "same" if same else "different", "reason": "The words say so."})


# The sockets ----------------------------------------------------------------------------------


class _Connection(asyncio.Protocol):
    def __init__(self, server: Server) -> None:
        self.server = server
        self.buffer = bytearray()
        self.busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        self._next()

    def _next(self) -> None:
        end = self.buffer.find(b"\r\n\r\n")
        if self.busy or end < 0:
            return
        first, *lines = self.buffer[:end].decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", 0))
        if len(self.buffer) < end + 4 + length:
            return
        body = bytes(self.buffer[end + 4 : end + 4 + length])
        del self.buffer[: end + 4 + length]
        method, path, _ = first.split(" ")
        self.busy = True
        self.task = asyncio.ensure_future(self._answer(method, path, headers, body))

    async def _answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        reply = await self.server.respond(method, path, headers, body)
        self.server.statuses[reply.status] += 1
        if self.transport.is_closing():
            return
        if reply.events:
            await self._stream(reply)
            return
        fields = {"content-type": "application/json", "content-length": str(len(reply.body))} | reply.headers
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        sent = reply.body if reply.cut is None else reply.body[: reply.cut]
        self.transport.write(f"HTTP/1.1 {reply.status} X\r\n{head}\r\n".encode() + sent)
        if reply.cut is not None:
            self.transport.close()
        self.busy = False
        self._next()

    async def _stream(self, reply: Reply) -> None:
        head = b"HTTP/1.1 200 X\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        self.transport.write(head)
        for event in reply.events[: reply.cut]:
            await asyncio.sleep(self.server.settings.pause)
            if self.transport.is_closing():
                return
            self.transport.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
        if reply.cut is not None:
            self.transport.close()
            return
        self.transport.write(b"0\r\n\r\n")
        self.busy = False
        self._next()


async def _serve(server: Server, port: int, ready: Callable[[], None], stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(lambda: _Connection(server), "127.0.0.1", port, backlog=1024)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
    ready()
    await stop.wait()
    listening.close()


@contextmanager
def running(settings: Settings | None = None, *, port: int = 0) -> Iterator[Server]:
    """A server in a thread of its own, on a free port unless one is named."""
    server = Server(settings or Settings())
    ready, stop = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(
        target=lambda: loop.run_until_complete(_serve(server, port, ready.set, stop)), daemon=True
    )
    thread.start()
    ready.wait()
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


def main() -> None:
    """Serves until it is stopped."""
    parser = argparse.ArgumentParser(description="A local server that speaks the OpenAI API.")
    parser.add_argument("--port", type=int, default=8001)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before an answer")
    parser.add_argument("--rpm", type=float, help="requests a minute")
    parser.add_argument("--tpm", type=float, help="tokens a minute")
    parser.add_argument("--window", type=float, default=60.0, help="seconds whose share may come at once")
    parser.add_argument("--filled", type=float, default=1.0, help="how full that share is at the start")
    parser.add_argument("--faults", type=float, default=0.0, help="share of requests that fail")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--forget", action="store_true", help="keep no list of requests")
    args = parser.parse_args()
    settings = Settings(
        latency=args.latency,
        rpm=args.rpm,
        tpm=args.tpm,
        window=args.window,
        filled=args.filled,
        fault_share=args.faults,
        seed=args.seed,
        record=not args.forget,
    )
    with running(settings, port=args.port) as server:
        print(server.url, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()

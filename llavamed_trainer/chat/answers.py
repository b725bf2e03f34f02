"""Answers as they are written, piece by piece: of a checkpoint on this machine, or of an OpenAI-compatible server."""

import copy
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from llavamed_data.errors import LlavaMedError, UsageError, one_line
from llavamed_data.llm import Endpoint, chat_model
from llavamed_trainer.chat.conversation import ChatImage, ChatTurn, Ending

_LOOK = 0.05
"""Seconds after which who waits, for a silent server or for another answer, looks whether it was asked to stop."""


@dataclass(frozen=True, slots=True)
class AnswerSettings:
    """How answers are written.

    Attributes:
        max_new_tokens: tokens of an answer at most.
        temperature: 0 for the likeliest token at each place; the higher, the more varied.
    """

    max_new_tokens: int = 512
    temperature: float = 0.0

    def check(self) -> None:
        """Raises UsageError for settings that no model takes."""
        if self.max_new_tokens < 1:
            raise UsageError(f"an answer of {self.max_new_tokens} tokens at most is none: give 1 or more")
        if not 0 <= self.temperature <= 2:
            raise UsageError(f"a temperature is between 0 and 2, not {self.temperature:g}")


class AnswerStream(Protocol):
    """The pieces of an answer, in order. Iterating raises LlavaMedError where the model or its server fails.

    Attributes:
        ended: how it ended; known when the iteration is over.
    """

    ended: Ending

    def __iter__(self) -> Iterator[str]:
        """Yields the pieces."""

    def stop(self) -> None:
        """Ends the answer soon; may be called from another thread."""


class Assistant(Protocol):
    """A model that answers questions about an image.

    Attributes:
        name: of the model, for people.
    """

    name: str

    def answer(
        self, image: ChatImage | None, turns: Sequence[ChatTurn], question: str, settings: AnswerSettings
    ) -> AnswerStream:
        """Begins to answer a question that follows some turns.

        Raises:
            UsageError: the question cannot be asked, or the model does not take the image.
        """


class LocalAssistant:
    """A checkpoint of any family that the trainer takes, or a LoRA adapter, on this machine.

    It writes one answer at a time: a second waits for the first.

    Args:
        model: a folder, or a name on the Hub.

    Attributes:
        name: the same.

    Raises:
        UsageError: there is no such model, or it cannot chat.
    """

    def __init__(self, model: str) -> None:
        import torch

        from llavamed_trainer.collate.processor_batches import check_processor, image_tokens_of
        from llavamed_trainer.evaluation.predict.generation import stop_tokens
        from llavamed_trainer.evaluation.predict.local import load_checkpoint

        self.name = model
        device = torch.accelerator.current_accelerator() or torch.device("cpu")
        self._model, self._processor = load_checkpoint(model, device)
        check_processor(self._processor)
        self._reserved = image_tokens_of(self._processor)
        self._stops = stop_tokens(self._model, self._processor)
        self._reading, self._writing = threading.Lock(), threading.Lock()
        # a tokenizer serves one thread at a time, and the processor's may be at work on the next question
        self._tokenizer = copy.deepcopy(self._processor.tokenizer)

    def answer(
        self, image: ChatImage | None, turns: Sequence[ChatTurn], question: str, settings: AnswerSettings
    ) -> AnswerStream:
        """Begins to answer a question; see `Assistant`."""
        settings.check()
        with self._reading:
            inputs = self._inputs(image, turns, question)
        return _LocalAnswer(self._model, self._tokenizer, inputs, settings, self._stops, self._writing)

    def _inputs(self, image: ChatImage | None, turns: Sequence[ChatTurn], question: str) -> dict[str, Any]:
        from llavamed_trainer.collate.bad_rows import BadRowError
        from llavamed_trainer.collate.pixels import read_image
        from llavamed_trainer.evaluation.predict.inputs import adds_first_token

        if not question.strip():
            raise UsageError("the question is empty: write one")
        texts = [question, *(text for turn in turns for text in (turn.question, turn.answer))]
        if written := [token for token in self._reserved if any(token in text for text in texts)]:
            raise UsageError(
                f"{written[0]} stands for an image and cannot be written in a text: leave it out"
            )
        messages = _messages(turns, question, [{"type": "image"}] if image else [])
        try:
            pictures = [[read_image({"bytes": image.data})]] if image else None
            prompt = self._processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
            made = self._processor(
                text=[prompt],
                images=pictures,
                add_special_tokens=adds_first_token(self._processor, prompt),
                return_tensors="pt",
            )
        except BadRowError as error:
            raise UsageError(f"the image cannot be read: {error.detail}") from error
        except Exception as error:  # templates and processors raise what they like
            raise UsageError(
                f"{self.name} does not take this question and image: {one_line(error, 200)}"
            ) from error
        inputs: dict[str, Any] = made.to(self._model.device, self._model.dtype)
        return inputs


class _LocalAnswer:
    """An answer that a thread generates; see `AnswerStream`."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        inputs: dict[str, Any],
        settings: AnswerSettings,
        stops: Sequence[int],
        writing: threading.Lock,
    ) -> None:
        from transformers import StoppingCriteriaList, TextIteratorStreamer

        self.ended = Ending.STOPPED
        self._asked_to_stop = threading.Event()
        self._pieces: Any = TextIteratorStreamer(tokenizer, skip_prompt=True, skip_special_tokens=True)
        self._failure: BaseException | None = None
        self._inputs, self._settings, self._stops, self._writing = inputs, settings, stops, writing
        sampling: dict[str, Any] = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
        if settings.temperature:
            sampling = {"do_sample": True, "temperature": settings.temperature, "top_p": 1.0, "top_k": 0}
        self._arguments = {
            **sampling,
            "num_beams": 1,
            "max_new_tokens": settings.max_new_tokens,
            "eos_token_id": list(stops) or None,
            "pad_token_id": next(each for each in (tokenizer.pad_token_id, *stops, 0) if each is not None),
            "streamer": self._pieces,
            "stopping_criteria": StoppingCriteriaList([lambda *_: self._asked_to_stop.is_set()]),
        }
        self._model = model
        self._thread = threading.Thread(target=self._generate, name="answer", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[str]:
        try:
            for piece in self._pieces:
                if piece:
                    yield piece
        except GeneratorExit:  # nobody reads on
            self.stop()
            raise
        self._thread.join()
        if self._failure is not None:
            self.ended = Ending.FAILED
            raise LlavaMedError(f"the model failed: {one_line(self._failure, 200)}") from self._failure

    def stop(self) -> None:
        self._asked_to_stop.set()

    def _generate(self) -> None:
        import torch

        while not self._writing.acquire(timeout=_LOOK):
            if self._asked_to_stop.is_set():  # while another answer was being written
                self._pieces.on_finalized_text("", stream_end=True)
                return
        try:
            with torch.inference_mode():
                made = self._model.generate(**self._inputs, **self._arguments)
            new = made[0, self._inputs["input_ids"].shape[1] :].tolist()
            if not self._asked_to_stop.is_set():
                self.ended = Ending.COMPLETE if set(new) & set(self._stops) else Ending.CUT_OFF
        except BaseException as error:  # whatever it is, whoever waits for the answer must learn of it
            self._failure = error
            self._pieces.on_finalized_text("", stream_end=True)
        finally:
            self._writing.release()


class ServerAssistant:
    """A model behind an OpenAI-compatible server that takes images, such as vLLM's.

    Args:
        model: its name on the server.
        base_url: the address of the server.
        timeout: seconds that it may be silent.

    Attributes:
        name: of the model.

    Raises:
        UsageError: the address is none, or it needs a key and there is none.
    """

    def __init__(self, model: str, base_url: str | None, *, timeout: float = 120.0) -> None:
        self.name = model
        self._endpoint = Endpoint(base_url, timeout)
        self._client = self._endpoint.connect_blocking()

    def answer(
        self, image: ChatImage | None, turns: Sequence[ChatTurn], question: str, settings: AnswerSettings
    ) -> AnswerStream:
        """Begins to answer a question; see `Assistant`."""
        from llavamed_data.reasons import Drop
        from llavamed_trainer.evaluation.predict.served import data_url

        settings.check()
        if not question.strip():
            raise UsageError("the question is empty: write one")
        try:
            shown = [{"type": "image_url", "image_url": {"url": data_url(image.data)}}] if image else []
        except Drop as drop:
            raise UsageError(f"the image cannot be read: {drop}") from drop
        model = chat_model(self.name)  # says how the models of OpenAI that reason are asked
        request = {
            "model": self.name,
            "messages": _messages(turns, question, shown),
            model.length_parameter: settings.max_new_tokens,
            "stream": True,
        }
        if model.temperature is not None:
            request["temperature"] = settings.temperature
        return _ServedAnswer(self._client, self._endpoint, request)


class _ServedAnswer:
    """An answer that a server sends as events, which a thread reads; see `AnswerStream`."""

    def __init__(self, client: Any, endpoint: Endpoint, request: dict[str, Any]) -> None:
        self.ended = Ending.STOPPED
        self._client, self._endpoint, self._request = client, endpoint, request
        self._asked_to_stop = threading.Event()
        self._read: SimpleQueue[str | Ending | Exception] = SimpleQueue()
        threading.Thread(target=self._read_events, name="read-answer", daemon=True).start()

    def __iter__(self) -> Iterator[str]:
        try:
            while not self._asked_to_stop.is_set():
                try:
                    read = self._read.get(timeout=_LOOK)
                except Empty:
                    continue
                if isinstance(read, Ending):
                    self.ended = read
                    return
                if isinstance(read, Exception):
                    self.ended = Ending.FAILED
                    raise self._failure(read) from read
                yield read
        finally:
            self.stop()  # for the thread, where nobody reads on

    def stop(self) -> None:
        self._asked_to_stop.set()

    def _read_events(self) -> None:
        ended: Ending | Exception = LlavaMedError(
            f"the server at {self._endpoint} ended its answer in the middle"
        )
        try:
            with self._client.chat.completions.create(**self._request) as events:
                for event in events:
                    if self._asked_to_stop.is_set():
                        return
                    for choice in event.choices:
                        if choice.delta.content:
                            self._read.put(choice.delta.content)
                        if choice.finish_reason:
                            ended = Ending.CUT_OFF if choice.finish_reason == "length" else Ending.COMPLETE
        except Exception as error:  # of openai, and of the transport below it once the answer has begun
            ended = error
        self._read.put(ended)

    def _failure(self, error: Exception) -> LlavaMedError:
        import openai

        if isinstance(error, LlavaMedError):
            return error
        if isinstance(error, openai.AuthenticationError):
            return LlavaMedError(self._endpoint.key_refused())
        return LlavaMedError(f"the server at {self._endpoint} failed: {one_line(error, 200)}")


def _messages(turns: Sequence[ChatTurn], question: str, image: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The conversation as chat templates and servers take it; the image comes before the first question."""
    messages: list[dict[str, Any]] = []
    for turn in turns:
        messages.append({"role": "user", "content": [{"type": "text", "text": turn.question}]})
        messages.append({"role": "assistant", "content": [{"type": "text", "text": turn.answer}]})
    messages.append({"role": "user", "content": [{"type": "text", "text": question}]})
    messages[0]["content"] = [*image, *messages[0]["content"]]
    return messages

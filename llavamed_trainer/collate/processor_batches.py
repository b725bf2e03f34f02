"""Batches for any vision–language model: its processor makes ids and pixel values, and labels are found by offsets."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor
from transformers import ProcessorMixin

from llavamed_data.errors import LlavaMedError, UsageError, one_line
from llavamed_trainer.collate.bad_rows import BadRow, BadRowError, BadRowReason, BadRows
from llavamed_trainer.collate.image_texts import ImageTexts, Size
from llavamed_trainer.collate.messages import Row, count_images, read_messages, row_images, row_name
from llavamed_trainer.collate.pixels import image_size, read_image
from llavamed_trainer.collate.rendering import IGNORED, PROBE, Ids, Renderer, Span, TextChoice, inside

BY_TOKEN = ("input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids")
"""The keys of a batch that have a value for each token: [rows, length]."""

_BLANK_SIZE = (64, 64)
"""The width and height in pixels of the image of a blank row."""


@dataclass(frozen=True, slots=True)
class _ReadRow:
    """A row whose text is rendered and whose images are read.

    Attributes:
        name: by which it is counted if it is left out.
        text: with one token for each image.
        answers: the spans in `text` of what is learnt.
        images: in the order of their tokens.
    """

    name: str
    text: str
    answers: list[Span]
    images: list[Image.Image]


class ProcessorBatches:
    """Makes the batches of `ConversationCollator` with the processor of any model, in one call for a batch.

    The processor writes the tokens of each image in the place of the one in the text and says where; the spans of the
    answers are moved by what it wrote before them. Rows without images come last in a batch.

    Args:
        processor: with a fast tokenizer.
        max_length: as for the collator.
        pad_to_multiple_of: as for the collator.
        bad_rows: counts the rows that are left out.
        text: as for the collator.
        left: whether rows are padded on the left.

    Attributes:
        end_ids: the tokens that end an answer and are learnt with it.

    Raises:
        UsageError: the processor cannot be used, `max_length` has no room for an image, or as `Renderer`.
    """

    def __init__(
        self,
        processor: ProcessorMixin,
        *,
        max_length: int | None,
        pad_to_multiple_of: int,
        bad_rows: BadRows,
        text: TextChoice,
        left: bool,
    ) -> None:
        check_processor(processor)
        self._processor: Any = cast("Any", processor)
        self._tokenizer: Any = self._processor.tokenizer
        if self._tokenizer.pad_token is None:
            self._tokenizer.pad_token = self._tokenizer.unk_token or self._tokenizer.eos_token
        self._image_token: str = self._processor.image_token
        image_ids = [each for each in self._processor.image_token_ids if each is not None]
        self._image_ids = np.array(image_ids, dtype=np.int64)
        self._reserved = image_tokens_of(processor)
        self._renderer = Renderer(processor, text)
        self.end_ids = self._renderer.end_ids
        self._max_length, self._multiple = max_length, pad_to_multiple_of
        self._bad_rows, self._left = bad_rows, left
        self._image_texts = ImageTexts(self._processor, self._written_for)
        self._blank = self._blank_batch()

    def make(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        """Makes one batch; see `ConversationCollator.__call__`."""
        usable = []
        for row in rows:
            try:
                usable.append(self._read(row))
            except BadRowError as error:
                self._bad_rows.add(BadRow(row_name(row), error.reason, error.detail))
        # Idefics3Processor fails on a batch that begins with a row without images.
        usable.sort(key=lambda row: not row.images)
        while usable:
            batch, bad = self._process(usable)
            for left_out, why in bad:
                self._bad_rows.add(BadRow(left_out.name, why.reason, why.detail))
            if batch is not None:
                return batch
            usable = [row for row in usable if all(row is not other for other, _ in bad)]
        return {name: values.clone() for name, values in self._blank.items()}

    def length(self, row: Row) -> int:
        """The number of tokens that a row takes; 0 if it cannot be trained on. Of its images the size alone is read."""
        try:
            sources = row_images(row)
            text, answers = self._render(row, len(sources))
            labels, images = self._label(text, answers, [image_size(source) for source in sources])
            self._check_ends(row_name(row), labels, text, answers)
            self._check(labels, images)
        except BadRowError:
            return 0
        return len(labels) if self._max_length is None else min(len(labels), self._max_length)

    def _label(
        self, text: str, answers: Sequence[Span], sizes: Sequence[Size]
    ) -> tuple[Ids, npt.NDArray[np.bool_]]:
        """The labels of a row of which the sizes of the images are known, and which tokens its images bring in."""
        if (counts := self._image_texts.counts(sizes)) is not None:
            ids, labels, _ = self._renderer.tokenize(text, answers)
            is_image = ids == self._tokenizer.convert_tokens_to_ids(self._image_token)
            labels[is_image] = IGNORED
            times = np.ones(len(ids), dtype=np.int64)
            times[is_image] = counts
            return np.repeat(labels, times), np.repeat(is_image, times)
        written = self._image_texts.texts(sizes)
        between = text.split(self._image_token)
        whole = "".join(chain.from_iterable(zip_longest(between, written, fillvalue="")))
        places, lengths = _places_of(self._image_token, text), [len(each) for each in written]
        tokens = [(place, place + len(self._image_token)) for place in places]
        images = _moved(tokens, places, lengths, len(self._image_token))
        _, labels, starts = self._renderer.tokenize(
            whole, _moved(answers, places, lengths, len(self._image_token))
        )
        return labels, inside(starts, starts + 1, images)

    def _render(self, row: Row, images: int) -> tuple[str, list[Span]]:
        read = read_messages(row.get("messages"), self._reserved, images)
        text, answers = self._renderer.render(read)
        if (tokens := text.count(self._image_token)) != count_images(read):
            raise LlavaMedError(
                f"row {row_name(row)}: the chat template makes {tokens} image tokens of {count_images(read)} image "
                f"parts: it must write {self._image_token} once for each"
            )
        return text, answers

    def _read(self, row: Row) -> _ReadRow:
        sources = row_images(row)
        text, answers = self._render(row, len(sources))
        return _ReadRow(row_name(row), text, answers, [read_image(source) for source in sources])

    def _process(
        self, rows: Sequence[_ReadRow]
    ) -> tuple[dict[str, Tensor] | None, list[tuple[_ReadRow, BadRowError]]]:
        """A batch of the rows; or None, and the rows that must be left out."""
        try:
            made = self._call([row.text for row in rows], [row.images for row in rows])
        except MemoryError:
            raise
        except Exception as error:
            # processors raise what they like on an image of a shape that they do not take
            return None, self._refused(rows, error)
        offsets, replaced = made.pop("offset_mapping"), made.pop("text_replacement_offsets")
        if len(replaced) != len(rows):  # some processors give nothing for text alone
            replaced = [[] for _ in rows]
        ids, mask = made["input_ids"].numpy(), made["attention_mask"].numpy()
        labels = np.full_like(ids, IGNORED)
        bad = []
        for number, row in enumerate(rows):
            starts, ends = offsets[number, :, 0], offsets[number, :, 1]
            answers = _moved(
                row.answers,
                [each["span"][0] for each in replaced[number]],
                [len(each["replacement"]) for each in replaced[number]],
                len(self._image_token),
            )
            images = inside(starts, ends, [each["new_span"] for each in replaced[number]])
            learnt = inside(starts, ends, answers) & ~images & ~np.isin(ids[number], self._image_ids)
            labels[number, learnt] = ids[number, learnt]
            self._check_ends(row.name, labels[number], row.text, row.answers)
            length = int(mask[number].sum())
            try:
                self._check(labels[number, :length], images[:length])
            except BadRowError as error:
                bad.append((row, error))
        if bad:
            return None, bad
        made["labels"] = torch.from_numpy(labels)
        return self._fit(made), []

    def _call(self, texts: list[str], images: list[list[Image.Image]]) -> dict[str, Any]:
        """What the processor makes: tensors, `offset_mapping` [rows, length, 2], and `text_replacement_offsets`."""
        made = self._processor(
            text=texts,
            images=images if any(images) else None,
            padding=True,
            padding_side="right",
            add_special_tokens=self._renderer.adds_first_token(texts[0]),
            return_offsets_mapping=True,
            return_text_replacement_offsets=True,
            # Gemma3's processor searches the ids as lists, and numpy reads lists several times as fast as torch does.
            text_kwargs={"return_tensors": None},
            images_kwargs={"return_tensors": "pt"},
        )
        replaced = made.pop("text_replacement_offsets", ())
        offsets = made.pop("offset_mapping")
        flat = chain.from_iterable(chain.from_iterable(offsets))
        for name in BY_TOKEN:
            if name in made:
                made[name] = torch.from_numpy(np.array(made[name], dtype=np.int64))
        made.convert_to_tensors("pt", skip_tensor_conversion=self._processor.skip_tensor_conversion)
        return dict(made) | {
            "offset_mapping": np.fromiter(flat, dtype=np.int64).reshape(len(texts), -1, 2),
            "text_replacement_offsets": replaced,
        }

    def _refused(self, rows: Sequence[_ReadRow], error: Exception) -> list[tuple[_ReadRow, BadRowError]]:
        """The rows that the processor does not take by themselves.

        Raises:
            LlavaMedError: it takes each by itself, but not all together.
        """
        bad = []
        for row in rows:
            try:
                if len(rows) > 1:
                    self._call([row.text], [row.images])
                    continue
                told = error
            except Exception as alone:  # as above
                told = alone
            reason = BadRowReason.IMAGE_UNREADABLE if row.images else BadRowReason.MALFORMED
            detail = f"{type(self._processor).__name__} does not take it: {one_line(told, 200)}"
            bad.append((row, BadRowError(reason, detail)))
        if not bad:
            raise LlavaMedError(
                f"{type(self._processor).__name__} takes each of the rows {', '.join(row.name for row in rows)}, but "
                f"not all of them in one batch ({one_line(error, 200)}): use --per_device_train_batch_size 1"
            ) from error
        return bad

    def _check_ends(self, name: str, labels: Ids, text: str, answers: Sequence[Span]) -> None:
        try:
            self._renderer.check_ends(labels, text, answers)
        except UsageError as error:
            raise LlavaMedError(f"row {name}: {error}") from error

    def _check(self, labels: Ids, images: npt.NDArray[np.bool_]) -> None:
        """Checks that a row has something to learn, and its images whole, after it is cut.

        Args:
            labels: of the whole row, [tokens].
            images: which tokens an image brought in, [tokens].

        Raises:
            BadRowError: it has not.
        """
        limit = len(labels) if self._max_length is None else self._max_length
        if images[limit:].any():
            raise BadRowError(
                BadRowReason.IMAGE_CUT_OFF, f"the text before an image fills the {limit} tokens of a row"
            )
        if (labels[1:limit] == IGNORED).all():
            raise BadRowError(
                BadRowReason.ANSWER_CUT_OFF,
                f"it has {len(labels):,} tokens, and no answer is in the first {limit:,}"
                if limit < len(labels)
                else "the chat template marks nothing in it as an answer",
            )

    def _fit(self, made: dict[str, Any]) -> dict[str, Tensor]:
        """Cuts and pads what has a value for each token: rows end on the right, or begin on the left."""
        lengths = made["attention_mask"].sum(dim=1)
        if self._max_length is not None:
            lengths = lengths.clamp(max=self._max_length)
        longest = int(lengths.max())
        width = -(-longest // self._multiple) * self._multiple
        batch = {name: values for name, values in made.items() if isinstance(values, Tensor)}
        fills = dict.fromkeys(BY_TOKEN, 0) | {"input_ids": self._tokenizer.pad_token_id, "labels": IGNORED}
        for name, fill in fills.items():
            if name not in batch:
                continue
            values = batch[name].new_full((len(lengths), width), fill)
            for number, length in enumerate(lengths.tolist()):
                place = slice(width - length, width) if self._left else slice(length)
                values[number, place] = batch[name][number, :length]
            batch[name] = values
        return batch

    def _blank_batch(self) -> dict[str, Tensor]:
        """A row with a blank image and no labels, for a batch of which no row can be used."""
        image = Image.new("RGB", _BLANK_SIZE, "grey")
        try:
            text, _ = self._renderer.render(PROBE[:2])
        except BadRowError:  # the template does not take it, but may take rows
            text = self._image_token
        name = type(self._processor).__name__
        if text.count(self._image_token) != 1:
            raise UsageError(
                f"the chat template writes no {self._image_token} for an image, as a {name} needs it: leave out "
                "--template, or give a file that does"
            )
        try:
            made = self._call([text], [[image]])
            replaced = made.pop("text_replacement_offsets")[0]
        except Exception as error:  # code of any processor runs here
            raise UsageError(
                f"the collator cannot use a {name} ({type(error).__name__}: {one_line(error, 200)})"
            ) from error
        if [each["span"][0] for each in replaced] != _places_of(self._image_token, text):
            raise UsageError(
                f"the collator cannot use a {name}, which changes the text around images: train with TRL's collator"
            )
        del made["offset_mapping"]
        tokens = made["input_ids"].shape[1]
        if self._max_length is not None and self._max_length < tokens:
            raise UsageError(
                f"max_length {self._max_length} has no room for an image, whose row takes {tokens} tokens or more: "
                f"give {tokens + 128} or more"
            )
        made["labels"] = torch.full_like(made["input_ids"], IGNORED)
        return self._fit(made)

    def _written_for(self, images: list[Image.Image]) -> list[str]:
        """What the processor writes for the images of a row, which it takes together."""
        made = self._call([self._image_token * len(images)], [images])
        return [each["replacement"] for each in made["text_replacement_offsets"][0]]


def check_processor(processor: Any) -> None:
    """Checks that batches can be made with a processor.

    Raises:
        UsageError: it is none for images and text, does not say how many tokens an image takes, or its tokenizer does
            not give the character offsets of its tokens.
    """
    name = type(processor).__name__
    missing = [part for part in ("image_processor", "tokenizer") if getattr(processor, part, None) is None]
    if missing:
        raise UsageError(
            f"the collator cannot use a {name} without {' and '.join(missing)}: give the model's processor"
        )
    if getattr(processor, "image_token", None) is None or (
        type(processor).replace_image_token is ProcessorMixin.replace_image_token
    ):
        raise UsageError(
            f"the collator cannot use a {name}, which does not say which tokens an image takes: train with TRL's "
            "collator"
        )
    if not getattr(processor.tokenizer, "is_fast", False):
        raise UsageError(
            "the tokenizer is a slow one, which gives no character offsets: load it with use_fast=True"
        )


def image_tokens_of(processor: Any) -> set[str]:
    """The tokens that stand for images, or for other pictures and sounds, in the text that a processor is given."""
    image_ids = [each for each in processor.image_token_ids if each is not None]
    return {*processor.all_special_multimodal_tokens, *processor.tokenizer.convert_ids_to_tokens(image_ids)}


def _moved(spans: Sequence[Span], places: Sequence[int], written: Sequence[int], token: int) -> list[Span]:
    """Spans of a text after each image token in it is replaced by a longer text.

        _moved([(9, 12)], places=[2], written=[50], token=5) == [(54, 57)]

    Args:
        spans: of the text with one token for each image.
        places: where image tokens begin.
        written: the lengths of the texts in their places.
        token: the length of an image token.
    """
    if not places:
        return list(spans)
    ends = np.array(places, dtype=np.int64) + token
    gained = np.concatenate([[0], np.cumsum(np.array(written, dtype=np.int64) - token)])

    def moved(place: int) -> int:
        return int(place + gained[np.searchsorted(ends, place, side="right")])

    return [(moved(start), moved(stop)) for start, stop in spans]


def _places_of(token: str, text: str) -> list[int]:
    found, at = [], text.find(token)
    while at >= 0:
        found.append(at)
        at = text.find(token, at + len(token))
    return found

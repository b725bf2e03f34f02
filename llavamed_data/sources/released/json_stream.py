"""The records of JSON files that are too large for memory: a list, JSON Lines, or lists under the names of domains."""

import codecs
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from llavamed_data.errors import LlavaMedError
from llavamed_data.recipes import DOMAINS
from llavamed_data.sources.released.content import Content

MAX_RECORD = 16 << 20
"""Characters of one record; the longest released one has some ten thousand."""

_BEGINS_GROUPS = re.compile(rf'\s*\{{\s*"({"|".join(DOMAINS)})"\s*:\s*\['.encode())
_Record = TypeVar("_Record")

_BLANKS = re.compile(r"[ \t\r\n]*")
_SCALAR_END = re.compile(r"[\s,\]}]")
_QUOTE_OR_ESCAPE = re.compile(r'["\\]')
_STRUCTURE = re.compile(r'["\[\]{}]')


def read_records(content: Content) -> Iterator[Any]:
    """Yields the records of a JSON list or of JSON Lines, told apart by the first character; some may be `Unreadable`.

    Raises:
        LlavaMedError: the file is neither, is broken or breaks off; the message names the byte.
    """
    if _BEGINS_GROUPS.match(content.head):
        raise LlavaMedError(
            f"{content.location} holds figure captions by domain, the input of generation, and no conversations"
        )
    is_lines = content.head.lstrip()[:1] == b"{"
    return _located(content, (line_values if is_lines else _whole_list)(content.chunks()))


def read_groups(content: Content) -> Iterator[tuple[str, Any]]:
    """Yields the records of an object of lists, each with the name of its list.

    Raises:
        LlavaMedError: the file is no such object, is broken or breaks off.
    """
    if not _BEGINS_GROUPS.match(content.head):
        raise LlavaMedError(
            f"{content.location} does not hold figure captions by domain ({{domain: [figure, …]}})"
        )
    return _located(content, _groups(JsonStream(content.chunks())))


def _located(content: Content, values: Iterator[_Record]) -> Iterator[_Record]:
    try:
        yield from values
    except BrokenJsonError as error:
        raise LlavaMedError(
            f"{content.location} is broken at byte {content.start + error.position:,}: {error.what};"
            " fetch the file again"
        ) from None


def _whole_list(chunks: Iterator[bytes]) -> Iterator[Any]:
    stream = JsonStream(chunks)
    yield from list_values(stream)
    end_of_text(stream)


def _groups(stream: "JsonStream") -> Iterator[tuple[str, Any]]:
    mark = "{"
    while stream.peek() == mark:
        stream.take(mark)
        name = stream.value()
        if not isinstance(name, str):
            raise BrokenJsonError("a name in quotes belongs here", stream.position)
        stream.take(":")
        for record in list_values(stream):
            yield name, record
        mark = ","
    stream.take("}")
    end_of_text(stream)


class BrokenJsonError(Exception):
    """The text is not the JSON that it should be; `position` is the byte at which that shows."""

    def __init__(self, what: str, position: int) -> None:
        super().__init__(what)
        self.what = what
        self.position = position


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Takes the place of a record whose end is found but which cannot be read as a value; `why` says so."""

    why: str


class _NotFiniteError(ValueError):
    pass


def _refuse_constant(name: str) -> NoReturn:
    raise _NotFiniteError(f"holds {name}, which JSON has no word for")


_decoder = json.JSONDecoder(parse_constant=_refuse_constant)


def _decode(text: str) -> Any:
    """The value of a whole record, or `Unreadable` if it is well-formed but beyond what Python takes."""
    try:
        return _decoder.decode(text)
    except json.JSONDecodeError:
        raise
    except RecursionError:
        return Unreadable("nested too deeply")
    except ValueError as error:
        return Unreadable(str(error) if isinstance(error, _NotFiniteError) else "holds a number too long")


class _Extent:
    """Finds the end of one JSON value in text that arrives in pieces, without building the value."""

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = False
        self._escaped = False
        self._begun = False

    @property
    def is_scalar(self) -> bool:
        """Whether the value is a number or a word, whose end shows only by what follows it."""
        return self._depth < 0

    def end(self, text: str, start: int) -> int | None:
        """The index just after the value in `text`, searched from `start`; None if the value goes on beyond `text`."""
        at = start
        while at < len(text):
            if not self._begun:
                self._begun = True
                if text[at] not in '"[{':
                    self._depth = -1
            if self._depth < 0:
                scalar = _SCALAR_END.search(text, at)
                return scalar.start() if scalar else None
            at = self._in_quotes(text, at) if self._in_string else self._between_quotes(text, at)
            if self._depth == 0 and not self._in_string:
                return at
        return None

    def _in_quotes(self, text: str, at: int) -> int:
        if self._escaped:
            self._escaped = False
            return at + 1
        mark = _QUOTE_OR_ESCAPE.search(text, at)
        if mark is None:
            return len(text)
        self._escaped = mark[0] == "\\"
        self._in_string = self._escaped
        return mark.end()

    def _between_quotes(self, text: str, at: int) -> int:
        mark = _STRUCTURE.search(text, at)
        if mark is None:
            return len(text)
        if mark[0] == '"':
            self._in_string = True
        else:
            self._depth += 1 if mark[0] in "[{" else -1
        return mark.end()


class JsonStream:
    """A JSON text that is read piece by piece: punctuation character by character, values at once.

    Bytes that are not UTF-8 become lone surrogates, so that one bad record does not cost the others.

    Args:
        chunks: the bytes of the text, in pieces of any size.
    """

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._text = ""
        self._at = 0
        self._bytes_before = 0
        self._ended = False

    @property
    def position(self) -> int:
        """Bytes before the point reached."""
        return self._position(self._at)

    def _position(self, at: int) -> int:
        return self._bytes_before + len(self._text[:at].encode("utf-8", "surrogateescape"))

    def _read_on(self) -> bool:
        """Drops the text before the point reached and appends the next piece; false at the end."""
        if self._ended:
            return False
        piece = next(self._chunks, b"")
        self._ended = not piece
        added = self._decoder.decode(piece, final=self._ended)
        self._bytes_before = self.position
        self._text = self._text[self._at :] + added
        self._at = 0
        return bool(added) or not self._ended

    def peek(self) -> str:
        """Returns the next character that is not blank, or an empty string at the end."""
        while True:
            blanks = _BLANKS.match(self._text, self._at)
            assert blanks is not None  # the pattern also matches nothing
            self._at = blanks.end()
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._read_on():
                return ""

    def take(self, mark: str) -> None:
        """Skips `mark`.

        Raises:
            BrokenJsonError: something else stands there.
        """
        found = self.peek()
        if found != mark:
            what = f"{found!a} where '{mark}' belongs" if found else f"the text ends where '{mark}' belongs"
            raise BrokenJsonError(what, self.position)
        self._at += 1

    def value(self) -> Any:
        """Returns the next value; `Unreadable` if it is nested too deeply or holds NaN.

        Raises:
            BrokenJsonError: it is malformed or longer than `MAX_RECORD`, or the text ends inside it.
        """
        if self.peek() in ("{", "[", '"'):
            try:
                value, self._at = _decoder.raw_decode(self._text, self._at)
            except (ValueError, RecursionError):
                pass  # malformed, or cut by the end of this piece: `_delimited_value` finds out
            else:
                return value
        return self._delimited_value()

    def _delimited_value(self) -> Any:
        start, extent, searched = self.position, _Extent(), self._at
        while (end := extent.end(self._text, searched)) is None:
            held = len(self._text) - self._at
            if held > MAX_RECORD:
                what = f"a value longer than {MAX_RECORD >> 20} MiB, or a quotation mark that nothing closes"
                raise BrokenJsonError(what, start)
            if not self._read_on():
                if extent.is_scalar:
                    end = len(self._text)
                    break
                what = f"the text ends inside the value that begins at byte {start:,}"
                raise BrokenJsonError(what, self.position + held)
            searched = held
        text, self._at = self._text[self._at : end], end
        try:
            return _decode(text)
        except json.JSONDecodeError as error:
            within = len(text[: error.pos].encode("utf-8", "surrogateescape"))
            raise BrokenJsonError(error.msg, start + within) from None


def list_values(stream: JsonStream) -> Iterator[Any]:
    """Yields every value of the list that comes next in the stream, as `JsonStream.value` returns it."""
    stream.take("[")
    if stream.peek() == "]":
        stream.take("]")
        return
    yield stream.value()
    while stream.peek() == ",":
        stream.take(",")
        yield stream.value()
    stream.take("]")


def end_of_text(stream: JsonStream) -> None:
    """Checks that only blanks are left.

    Raises:
        BrokenJsonError: something else follows.
    """
    if stream.peek():
        raise BrokenJsonError("text goes on where it should end", stream.position)


def line_values(chunks: Iterator[bytes]) -> Iterator[Any]:
    """Yields the value of each line that is not blank; `Unreadable` if a line holds none.

    Raises:
        BrokenJsonError: the last line breaks off, or the first one begins a value that is not whole in it.
    """
    position = 0
    first = True
    for line, ended in _lines(chunks):
        text = line.decode("utf-8", "surrogateescape") if line is not None else ""
        if line is None:
            yield Unreadable(f"longer than {MAX_RECORD >> 20} MiB")
        elif text.strip():
            try:
                yield _decode(text)
            except json.JSONDecodeError as error:
                if not ended:
                    raise BrokenJsonError("the last line breaks off", position + len(line)) from None
                if first and not text.rstrip().endswith("}"):
                    what = "neither a JSON list nor JSON Lines: the first line is not a whole object"
                    raise BrokenJsonError(what, position) from None
                yield Unreadable(f"not JSON: {error.msg} at column {error.colno:,}")
        first = first and not text.strip()
        position += len(line) + 1 if line is not None else 0


def _lines(chunks: Iterator[bytes]) -> Iterator[tuple[bytes | None, bool]]:
    """Yields each line, None for one longer than `MAX_RECORD`, and whether a line break ends it."""
    held: bytes | None = b""
    for piece in chunks:
        *whole, rest = piece.split(b"\n")
        for line in whole:
            yield (held + line if held is not None else None), True
            held = b""
        if held is not None:
            held = held + rest if len(held) + len(rest) <= MAX_RECORD else None
    if held is None or held:
        yield held, False

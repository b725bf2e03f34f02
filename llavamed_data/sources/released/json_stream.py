"""JSON too large to hold: a list, an object of lists, or lines, one record at a time."""

import codecs
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

MAX_RECORD = 16 << 20
"""Characters of one record; the longest released one has some ten thousand."""

_BLANKS = re.compile(r"[ \t\r\n]*")
_SCALAR_END = re.compile(r"[\s,\]}]")
_QUOTE_OR_ESCAPE = re.compile(r'["\\]')
_STRUCTURE = re.compile(r'["\[\]{}]')


class BrokenJsonError(Exception):
    """The text is not the JSON that it should be; `position` is the byte at which that shows."""

    def __init__(self, what: str, position: int) -> None:
        super().__init__(what)
        self.what = what
        self.position = position


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Stands in place of a record that is delimited soundly but cannot be taken as a value."""

    why: str


class _NotFiniteError(ValueError):
    pass


def _refuse_constant(name: str) -> NoReturn:
    raise _NotFiniteError(f"holds {name}, which JSON has no word for")


_decoder = json.JSONDecoder(parse_constant=_refuse_constant)


def _decode(text: str) -> Any:
    """Value of a whole record, or `Unreadable` where it is well-formed but beyond what Python takes."""
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
        """The value is a number or a word: nothing but what follows it marks its end."""
        return self._depth < 0

    def end(self, text: str, start: int) -> int | None:
        """Index just after the value in `text`, looked for from `start`; none when it goes on beyond."""
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
    """A JSON text read piece by piece: marks of structure singly, values whole.

    Bytes that are not UTF-8 come out as lone surrogates, so that one bad record does not cost the others.

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
        """Let go of the text behind the point reached and add a piece ahead; false at the end."""
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
        """The next character that is not blank, or an empty string at the end."""
        while True:
            self._at = _BLANKS.match(self._text, self._at).end()  # type: ignore[union-attr]
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._read_on():
                return ""

    def take(self, mark: str) -> None:
        """Step over `mark`.

        Raises:
            BrokenJsonError: something else stands there.
        """
        found = self.peek()
        if found != mark:
            what = f"{found!a} where '{mark}' belongs" if found else f"the text ends where '{mark}' belongs"
            raise BrokenJsonError(what, self.position)
        self._at += 1

    def value(self) -> Any:
        """The next value; `Unreadable` where it is nested too deeply or holds NaN.

        Raises:
            BrokenJsonError: it is malformed or longer than `MAX_RECORD`, or the text ends inside it.
        """
        if self.peek() in ("{", "[", '"'):
            try:
                value, self._at = _decoder.raw_decode(self._text, self._at)
            except (ValueError, RecursionError):
                pass  # malformed, or cut by the end of the piece at hand: the slow way tells
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
    """Every value of the list that comes next in the stream, as `JsonStream.value` gives it."""
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
    """Check that nothing but blanks is left.

    Raises:
        BrokenJsonError: something is.
    """
    if stream.peek():
        raise BrokenJsonError("text goes on where it should end", stream.position)


def line_values(chunks: Iterator[bytes]) -> Iterator[Any]:
    """The value of each line that is not blank; `Unreadable` where a line holds none.

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
    """Each line and whether a line break ends it; none for a line longer than `MAX_RECORD`."""
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

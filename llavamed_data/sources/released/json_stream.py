"""The records of JSON files that are too large for memory: a list, JSON Lines, or lists under the names of domains.

A record whose end is found but which cannot be read comes as a `Drop`, so that one bad record does not cost the others.
"""

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn, TypeVar

from llavamed_data.errors import LlavaMedError
from llavamed_data.reasons import Drop, Reason
from llavamed_data.recipes import DOMAINS
from llavamed_data.sources.released.content import Content

MAX_RECORD = 16 << 20
"""Characters of one record; the longest released one has some ten thousand."""

_BEGINS_GROUPS = re.compile(rf'\s*\{{\s*"({"|".join(DOMAINS)})"\s*:\s*\['.encode())
_Record = TypeVar("_Record")

_BLANKS = re.compile(r"[ \t\r\n]*")
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]++|\\.)*+"|["\[\]{}]', re.DOTALL)
"""A whole string, a quotation mark that nothing closes, or a bracket."""

_SCALAR_END = re.compile(r"(?=[\s,\]}])")
_DEPTH = {"[": 1, "{": 1, "]": -1, "}": -1}


class BrokenJsonError(Exception):
    """The text is not the JSON that it should be; `position` is the byte at which that shows."""

    def __init__(self, what: str, position: int) -> None:
        super().__init__(what)
        self.what = what
        self.position = position


def read_records(content: Content) -> Iterator[Any]:
    """Yields the records of a JSON list or of JSON Lines, told apart by the first character.

    Raises:
        LlavaMedError: the file is neither, is broken or breaks off; the message names the byte.
    """
    if _BEGINS_GROUPS.match(content.head):
        raise LlavaMedError(
            f"{content.location} holds figure captions by domain, the input of generation, and no conversations"
        )
    is_lines = content.head.lstrip()[:1] == b"{"
    return _located(content, (line_values if is_lines else list_values)(content.chunks()))


def read_groups(content: Content) -> Iterator[tuple[str, Any]]:
    """Yields the records of an object of lists, each with the name of its list.

    Raises:
        LlavaMedError: the file is no such object, is broken or breaks off.
    """
    if not _BEGINS_GROUPS.match(content.head):
        raise LlavaMedError(
            f"{content.location} does not hold figure captions by domain ({{domain: [figure, …]}})"
        )
    return _located(content, _groups(_JsonText(content.chunks())))


def _located(content: Content, values: Iterator[_Record]) -> Iterator[_Record]:
    try:
        yield from values
    except BrokenJsonError as error:
        raise LlavaMedError(
            f"{content.location} is broken at byte {content.start + error.position:,}: {error.what};"
            " fetch the file again"
        ) from None


def list_values(chunks: Iterator[bytes]) -> Iterator[Any]:
    """Yields every value of a JSON list; a `Drop` for one that is nested too deeply or holds NaN.

    Args:
        chunks: the bytes of the text, in pieces of any size.

    Raises:
        BrokenJsonError: the text is no list, is broken or breaks off, or a value is longer than `MAX_RECORD`.
    """
    text = _JsonText(chunks)
    yield from text.items()
    text.end()


def _groups(text: "_JsonText") -> Iterator[tuple[str, Any]]:
    mark = "{"
    while text.peek() == mark:
        text.take(mark)
        name = text.value()
        if not isinstance(name, str):
            raise BrokenJsonError("a name in quotes belongs here", text.position())
        text.take(":")
        for record in text.items():
            yield name, record
        mark = ","
    text.take("}")
    text.end()


class _JsonText:
    """A JSON text that is read piece by piece: punctuation character by character, values at once.

    Bytes that are not UTF-8 become lone surrogates.
    """

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._text = ""
        self._at = 0
        self._bytes_before = 0
        self._ended = False

    def position(self, at: int | None = None) -> int:
        """The number of bytes before the character `at`, by default the one reached."""
        return self._bytes_before + _size(self._text[: self._at if at is None else at])

    def _read_on(self) -> bool:
        """Drops the text before the point reached and appends the next piece; false at the end."""
        if self._ended:
            return False
        piece = next(self._chunks, b"")
        self._ended = not piece
        added = self._decoder.decode(piece, final=self._ended)
        self._bytes_before = self.position()
        self._text = self._text[self._at :] + added
        self._at = 0
        return bool(added) or not self._ended

    def peek(self) -> str:
        """The next character that is not blank, or an empty string at the end."""
        while True:
            blanks = _BLANKS.match(self._text, self._at)
            assert blanks is not None  # the pattern also matches nothing
            self._at = blanks.end()
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._read_on():
                return ""

    def take(self, mark: str) -> None:
        """Skips `mark`; raises BrokenJsonError if something else stands there."""
        found = self.peek()
        if found != mark:
            what = f"{found!a} where '{mark}' belongs" if found else f"the text ends where '{mark}' belongs"
            raise BrokenJsonError(what, self.position())
        self._at += 1

    def end(self) -> None:
        """Raises BrokenJsonError if more than blanks is left."""
        if self.peek():
            raise BrokenJsonError("text goes on where it should end", self.position())

    def items(self) -> Iterator[Any]:
        """The values of the list that comes next."""
        self.take("[")
        if self.peek() != "]":
            yield self.value()
            while self.peek() == ",":
                self.take(",")
                yield self.value()
        self.take("]")

    def value(self) -> Any:
        """The next value."""
        if self.peek() in ("{", "[", '"'):
            try:
                value, self._at = _decoder.raw_decode(self._text, self._at)
            except (ValueError, RecursionError, Drop):
                pass  # malformed, or cut by the end of this piece: `_delimited_value` finds out
            else:
                return value
        return self._delimited_value()

    def _delimited_value(self) -> Any:
        """The next value, whose end is looked for first: brackets are counted, and nothing is built."""
        start, is_scalar = self.position(), self.peek() not in ("{", "[", '"', "")
        marks = _SCALAR_END if is_scalar else _STRING_OR_BRACKET
        depth = searched = 0
        while True:
            mark = marks.search(self._text, self._at + searched)
            if mark is not None and mark[0] != '"':
                depth += _DEPTH.get(mark[0], 0)
                searched = mark.end() - self._at
                if depth <= 0:
                    break
                continue
            held = len(self._text) - self._at
            searched = mark.start() - self._at if mark else held
            if held > MAX_RECORD:
                what = f"a value longer than {MAX_RECORD >> 20} MiB, or a quotation mark that nothing closes"
                raise BrokenJsonError(what, start)
            if not self._read_on():
                if is_scalar:
                    break
                what = f"the text ends inside the value that begins at byte {start:,}"
                raise BrokenJsonError(what, self.position(len(self._text)))
        text = self._text[self._at : self._at + searched]
        self._at += searched
        try:
            return _decode(text)
        except json.JSONDecodeError as error:
            raise BrokenJsonError(error.msg, start + _size(text[: error.pos])) from None


def line_values(chunks: Iterator[bytes]) -> Iterator[Any]:
    """Yields the value of each line that is not blank; a `Drop` if a line holds none.

    Args:
        chunks: the bytes of the text, in pieces of any size.

    Raises:
        BrokenJsonError: the last line breaks off, or the first one begins a value that is not whole in it.
    """
    position = 0
    first = True
    for line, ended in _lines(chunks):
        text = line.decode("utf-8", "surrogateescape") if line is not None else ""
        if line is None:
            yield _unreadable(f"longer than {MAX_RECORD >> 20} MiB")
        elif text.strip():
            try:
                yield _decode(text)
            except json.JSONDecodeError as error:
                if not ended:
                    raise BrokenJsonError("the last line breaks off", position + len(line)) from None
                if first and not text.rstrip().endswith("}"):
                    what = "neither a JSON list nor JSON Lines: the first line is not a whole object"
                    raise BrokenJsonError(what, position) from None
                yield _unreadable(f"not JSON: {error.msg} at column {error.colno:,}")
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


def _decode(text: str) -> Any:
    """The value of a whole record, or a `Drop` if Python cannot hold it: NaN, deep nesting, a very long number."""
    try:
        return _decoder.decode(text)
    except json.JSONDecodeError:
        raise
    except Drop as drop:
        return drop
    except RecursionError:
        return _unreadable("nested too deeply")
    except ValueError:
        return _unreadable("holds a number too long")


def _refuse_constant(name: str) -> NoReturn:
    raise _unreadable(f"holds {name}, which JSON has no word for")


def _unreadable(why: str) -> Drop:
    return Drop(Reason.MALFORMED_ROW, why)


def _size(text: str) -> int:
    """The number of bytes of `text` in the file."""
    return len(text.encode("utf-8", "surrogateescape"))


_decoder = json.JSONDecoder(parse_constant=_refuse_constant)

"""What is no file is refused and never waited for: named pipes, sockets, devices and folders."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from llavamed_data.io.regular_files import NotAFileError, open_file, read_settings, require_file

KINDS: dict[str, Callable[[Path], object]] = {
    "a named pipe": os.mkfifo,
    "a socket": lambda path: os.mknod(path, stat.S_IFSOCK | 0o600),
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a folder": lambda path: path.mkdir(),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_is_refused_by_its_kind(kind: str, tmp_path: Path) -> None:
    place = tmp_path / "here"
    KINDS[kind](place)
    for read in (require_file, open_file, read_settings):
        with pytest.raises(NotAFileError) as refused:
            read(place)
        assert refused.value.strerror == f"it is {kind} and not a file"
        assert refused.value.filename == str(place)


def test_files_and_links_to_them_are_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text", encoding="utf-8")
    (tmp_path / "link").symlink_to("file")
    assert read_settings(tmp_path / "link") == "text"
    with open_file(tmp_path / "link") as opened:
        assert opened.read() == b"text"
    require_file(tmp_path / "missing")
    with pytest.raises(FileNotFoundError):
        open_file(tmp_path / "missing")


def test_settings_may_come_from_a_pipe_of_the_shell() -> None:
    """As `--few-shots <(cat a.yaml b.yaml)` gives one."""
    reading, writing = os.pipe()
    os.write(writing, b"text")
    os.close(writing)
    assert read_settings(Path(f"/dev/fd/{reading}")) == "text"
    os.close(reading)

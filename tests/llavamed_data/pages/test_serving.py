"""Pages are served to this machine alone unless there is a password, and no file can be read through them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from llavamed_data.errors import UsageError
from llavamed_data.pages import (
    PASSWORD,
    RESEARCH_ONLY,
    PageServer,
    check_host,
    import_gradio,
    new_page,
    serve,
)
from tests.conftest import CHECKOUT
from tests.llavamed_data.pages.browsing import LOOKS, SIZES, console_errors, scrolls_sideways, serious_faults
from tests.llavamed_data.show.hostile import browser


def small_page() -> PageServer:
    gradio = import_gradio()
    with new_page("A small page") as page:
        gradio.HTML(f'<main><h1>A small page</h1><p class="research-only">{RESEARCH_ONLY}</p></main>')
        text = gradio.Textbox(label="Words", placeholder="any words", info="what is looked for")
        with gradio.Row():
            gradio.Dropdown(["mri", "gross"], label="Domain", value="mri")
            gradio.Checkbox(label="Only mine")
            gradio.Radio(["a", "b"], label="Choice", value="a")
            gradio.Slider(0, 1, 0.5, label="Temperature")
        gradio.Button("Search", variant="primary").click(str.upper, text, text)
        gradio.Button("Leave")
        gradio.Button("Stop", variant="stop")
    return serve(page)


@pytest.fixture(scope="module")
def served() -> Iterator[PageServer]:
    server = small_page()
    try:
        yield server
    finally:
        server.close()


def test_a_page_is_served_at_this_machine_alone(served: PageServer) -> None:
    assert served.address.startswith("http://127.0.0.1:")
    assert httpx.get(served.address, timeout=30).status_code == 200
    for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example"):
        assert httpx.get(served.address, headers={"Host": host}, timeout=30).status_code == 403
    assert served.page.share is False
    assert served.page.analytics_enabled is False
    assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"


@pytest.mark.parametrize(
    "path",
    [
        "gradio_api/file=/etc/passwd",
        "gradio_api/file=pyproject.toml",
        "gradio_api/file=../../../../etc/passwd",
        "gradio_api/file/etc/passwd",
        "file=/etc/passwd",
        "static/../../../../etc/passwd",
        "gradio_api/file=http://127.0.0.1:1/",
        "gradio_api/file=https://example.com/",
        "gradio_api/proxy=https://x.hf.space/",
    ],
)
def test_no_file_and_no_other_address_is_read_through_a_page(served: PageServer, path: str) -> None:
    # `path` is sent as it stands: httpx would shorten "..", so that the server would never see it
    url = httpx.URL(served.address).copy_with(raw_path=b"/" + path.encode())
    answer = httpx.get(url, timeout=30)
    assert answer.status_code in (403, 404)
    assert "root:" not in answer.text
    assert "hatchling" not in answer.text


def test_uploads_lie_in_a_folder_of_this_program_alone_that_does_not_outlive_it() -> None:
    script = (
        "import os, stat; from llavamed_data.pages import import_gradio; import_gradio()\n"
        "folder = os.environ['GRADIO_TEMP_DIR']; print(folder, oct(stat.S_IMODE(os.stat(folder).st_mode)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=CHECKOUT)
    folder, mode = done.stdout.split()
    assert mode == "0o700"
    assert not Path(folder).exists()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "my.machine"])
def test_another_host_needs_a_password(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PASSWORD, raising=False)
    monkeypatch.delenv("SPACE_ID", raising=False)
    with pytest.raises(
        UsageError, match=f"--host {host} lets others open the page: set a password .*{PASSWORD}"
    ):
        check_host(host)
    monkeypatch.setenv(PASSWORD, "a word")
    check_host(host)


def test_a_password_is_asked_of_everyone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD, "pässword")
    server = small_page()
    try:
        with httpx.Client(base_url=server.address, timeout=30) as client:
            assert client.get("/config").status_code == 401
            wrong = client.post("/login", data={"username": "anna", "password": "pass"})
            assert wrong.status_code == 400
            client.post("/login", data={"username": "anna", "password": "pässword"})
            assert client.get("/config").json()["username"] == "anna"
    finally:
        server.close()


def test_a_port_that_is_in_use_is_named(served: PageServer) -> None:
    port = httpx.URL(served.address).port
    with new_page("second") as page, pytest.raises(UsageError, match=f"port {port} .*give another --port"):
        serve(page, port=port or 0)


def test_without_gradio_the_error_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "gradio.py").write_text("raise ImportError('No module named gradio')")
    script = (
        "from llavamed_data.pages import import_gradio\ntry: import_gradio()\nexcept Exception as e: print(e)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": f"{tmp_path}:{CHECKOUT}"},
        capture_output=True,
        text=True,
    )
    assert 'pip install "llavamed-data[pages]"' in done.stdout


@pytest.mark.parametrize(("size", "scheme"), LOOKS)
def test_the_theme_has_no_serious_fault(served: PageServer, size: str, scheme: str) -> None:
    width, height = SIZES[size]
    with browser(viewport={"width": width, "height": height}, color_scheme=scheme) as watched:
        errors = console_errors(watched.page)
        watched.page.goto(served.address)
        watched.page.get_by_role("button", name="Search").wait_for()
        assert serious_faults(watched.page) == []
        assert not scrolls_sideways(watched.page)
        assert errors == []
        assert watched.is_inert(served.address)

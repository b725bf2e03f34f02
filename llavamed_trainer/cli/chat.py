"""`chat`: talks with a model about an image."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from llavamed_trainer.chat import AnswerSettings, Assistant, ChatImage
    from llavamed_trainer.chat.examples import ChatExample


def chat(
    model: Annotated[
        str,
        typer.Option(help="Checkpoint or LoRA adapter; with --base-url, the server's name for the model."),
    ],
    against: Annotated[
        str | None,
        typer.Option(help="A second model that answers the same questions.", show_default=False),
    ] = None,
    base_url: Annotated[
        str | None,
        typer.Option(help="OpenAI-compatible server that has --model, such as vLLM's.", show_default=False),
    ] = None,
    image: Annotated[
        Path | None,
        typer.Option(
            help="Talk about this image in the terminal; without it a page opens.", show_default=False
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            help="Built dataset (folder or Hub repository) whose images can be chosen on the page, with its answers.",
            show_default=False,
        ),
    ] = None,
    script: Annotated[
        Path | None,
        typer.Option(help="Ask the questions in this file instead, and write --out.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="The table that --script writes: .md, .html or .tex.", show_default=False),
    ] = None,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longest answer, in tokens.")] = 512,
    temperature: Annotated[
        float, typer.Option(min=0.0, max=2.0, help="0 for the likeliest answer; higher for more varied ones.")
    ] = 0.0,
    timeout: Annotated[float, typer.Option(help="Seconds that a server may be silent.")] = 120.0,
    host: Annotated[
        str, typer.Option(help="Address of the page; one that others reach needs a password (docs/chat.md).")
    ] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port of the page.", show_default="a free one")
    ] = None,
) -> None:
    """Talk with one model, or two side by side, about images: on a page, in the terminal, or by a file of questions.

    With --base-url, --model is asked there, and --against stays a model on this machine.

    Example: python -m llavamed_trainer chat --model runs/stage2-60k-im --image figure.jpg
    """
    from llavamed_data.errors import UsageError
    from llavamed_data.pages import LOCAL_HOST, check_host, import_gradio
    from llavamed_trainer.chat import AnswerSettings, ChatImage
    from llavamed_trainer.chat.examples import examples_of

    if (script is None) != (out is None):
        raise UsageError(
            "--script FILE and --out TABLE go together: give both, or neither to talk with the model"
        )
    if image is not None and script is not None:
        raise UsageError("--script names its own images: leave out --image")
    if (image or script) and (dataset or host != LOCAL_HOST or port is not None):
        raise UsageError(
            f"--dataset, --host and --port are for the page: leave them out with {'--image' if image else '--script'}"
        )
    settings = AnswerSettings(max_new_tokens, temperature)
    if script is not None and out is not None:
        _run_script(script, out, model, against, base_url, timeout, settings)
    elif image is not None:
        shown = ChatImage.read(image)
        _talk_in_terminal(_assistants(model, against, base_url, timeout), shown, settings)
    else:
        check_host(host)
        import_gradio()
        examples = examples_of(dataset) if dataset else []
        assistants = _assistants(model, against, base_url, timeout)  # last, because it takes longest
        _serve_page(assistants, settings, examples, host, port or 0)


def _talk_in_terminal(assistants: list["Assistant"], image: "ChatImage", settings: "AnswerSettings") -> None:
    from llavamed_trainer.chat.terminal import TerminalChat

    with suppress(ImportError):  # it gives the prompt a history, where there is one
        import readline  # noqa: F401
    TerminalChat(assistants, image, settings, Console()).run(lambda: input("> "))


def _serve_page(
    assistants: list["Assistant"],
    settings: "AnswerSettings",
    examples: list["ChatExample"],
    host: str,
    port: int,
) -> None:
    from llavamed_trainer.chat.page import serve_chat

    server = serve_chat(assistants, None, settings, examples, host=host, port=port)
    names = " and ".join(each.name for each in assistants)
    print(f"{server.address} talks with {names}; stop with Ctrl-C", flush=True)
    server.wait()


def _run_script(
    script: Path,
    out: Path,
    model: str,
    against: str | None,
    base_url: str | None,
    timeout: float,
    settings: "AnswerSettings",
) -> None:
    from llavamed_trainer.chat.script import check_table_name, read_script, run_script, write_script_table

    check_table_name(out)
    examples = read_script(script)
    assistants = _assistants(model, against, base_url, timeout)
    total = len(assistants) * sum(len(each.questions) for each in examples)
    with Console(stderr=True).status("asking") as status:
        answered = run_script(
            examples, assistants, settings, lambda done: status.update(f"{done:,} of {total:,} answers")
        )
    write_script_table(out, answered)
    print(
        f"{out}: {total:,} answers about {len(examples):,} images. For research only, not for clinical use."
    )


def _assistants(model: str, against: str | None, base_url: str | None, timeout: float) -> list["Assistant"]:
    from llavamed_trainer.chat import LocalAssistant, ServerAssistant

    first: Assistant = (
        ServerAssistant(model, base_url, timeout=timeout) if base_url else LocalAssistant(model)
    )
    return [first, LocalAssistant(against)] if against else [first]

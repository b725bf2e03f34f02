"""How much of a server's rate the chat client uses, what it costs the CPU, and whether memory stays flat.

The server (tests/servers/openai.py) runs as a process of its own. Share of the theoretical rate = (requests a
minute that the limits allow) ÷ (requests a minute that were answered), from the first request sent to the last
answer. So that a run stays short, some 30 seconds of requests are made; the server's bucket of saved-up rate is
empty at the start, for a full one would answer them all at once.

    python -m tests.benchmarks.bench_instruct [--quick]
"""

import argparse
import asyncio
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import openai
from rich.console import Console
from rich.table import Table

from llavamed_data.instruct import LlmGenerator, Pair, Prompt, load_few_shots
from llavamed_data.llm import ChatModel, Endpoint, Journal, Request, RunLimits
from llavamed_data.llm.chat import ChatClient
from tests.servers.openai import KEY, prompt_tokens

RPM, TPM, LATENCY = 3000.0, 400_000.0, 0.3
MODEL = ChatModel("gpt-4o", max_tokens=300)
Run = Callable[[str, list[Request]], None]


@contextmanager
def serving(*flags: str) -> Iterator[str]:
    """The address of a server process."""
    command = [sys.executable, "-m", "tests.servers.openai", "--port", "0", "--forget", *flags]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


def requests(count: int, *, words: int) -> list[Request]:
    """Short or long requests of about `words` words."""
    filler = " ".join(["nodule"] * words)
    messages = "You are an AI assistant.", "Figure Caption:\nFigure {}: " + filler
    return [
        MODEL.request(
            [
                {"role": "system", "content": messages[0]},
                {"role": "user", "content": messages[1].format(number)},
            ]
        )
        for number in range(count)
    ]


def ours(url: str, asked: list[Request]) -> None:
    with tempfile.TemporaryDirectory() as folder, Journal(Path(folder) / "j.jsonl") as journal:
        client = ChatClient(MODEL, Endpoint(url), journal, limits=RunLimits(rpm=RPM, tpm=TPM))
        assert sum(1 for _ in client.complete(enumerate(asked))) == len(asked)


def three_at_a_time(url: str, asked: list[Request]) -> None:
    """As the paper's released script works: three requests together, then the next three."""

    async def run() -> None:
        async with openai.AsyncOpenAI(base_url=url, api_key=KEY) as client:
            for start in range(0, len(asked), 3):
                some = asked[start : start + 3]
                await asyncio.gather(*(client.chat.completions.create(**request.body) for request in some))

    asyncio.run(run())


def gathered(url: str, asked: list[Request]) -> None:
    """asyncio.gather under a semaphore, the openai client's own retries left to deal with 429."""

    async def run() -> None:
        slots = asyncio.Semaphore(64)
        async with openai.AsyncOpenAI(base_url=url, api_key=KEY, max_retries=10_000) as client:

            async def one(request: Request) -> None:
                async with slots:
                    await client.chat.completions.create(**request.body)

            await asyncio.gather(*map(one, asked))

    asyncio.run(run())


PEERS: dict[str, Run] = {
    "llavamed_data": ours,
    "asyncio.gather, semaphore of 64": gathered,
    "three at a time": three_at_a_time,
}


def share_of_rate(seconds: float) -> None:
    """Both limits in turn: short requests run into requests a minute, long ones into tokens a minute."""
    table = Table(
        title=f"{RPM:,.0f} requests and {TPM:,.0f} tokens a minute, {LATENCY * 1000:.0f} ms latency"
    )
    for column in ("limit", "peer", "requests", "seconds", "share of the rate", "CPU s / 1,000"):
        table.add_column(column, justify="left" if column in ("limit", "peer") else "right")
    for name, words in (("requests", 5), ("tokens", 560)):
        rate = min(RPM, TPM / server_tokens(words)) / 60
        for peer, run in PEERS.items():
            # three requests a round trip are far below the first limit: a part of the run tells as much
            share = 0.25 if (name, peer) == ("requests", "three at a time") else 1.0
            asked = requests(round(seconds * rate * share), words=words)
            flags = {"--rpm": RPM, "--tpm": TPM, "--latency": LATENCY, "--filled": 0.0}
            with serving(*(str(part) for flag in flags.items() for part in flag)) as url:
                cpu, start = time.process_time(), time.perf_counter()
                run(url, asked)
                took, cpu = time.perf_counter() - start, time.process_time() - cpu
            table.add_row(
                name,
                peer,
                f"{len(asked):,}",
                f"{took:.1f}",
                f"{len(asked) / took / rate:.3f}",
                f"{cpu / len(asked) * 1000:.2f}",
            )
    Console(width=110).print(table)


def server_tokens(words: int) -> int:
    """What the server counts for a request of `requests`."""
    return prompt_tokens(dict(requests(1, words=words)[0].body)) + 100


def pairs(count: int) -> Iterator[Pair]:
    for number in range(count):
        yield Pair(f"{number}_F1", "Figure 1", f"Axial CT number {number} with a nodule.", (), "ct_scan")


def memory(count: int) -> None:
    """Limits and latency off: CPU and the process's memory as the set grows, journal and cleaning included."""
    table = Table(title=f"{count:,} conversations, no limits, no latency")
    for column in ("conversations", "memory MB", "CPU s / 1,000", "per second"):
        table.add_column(column, justify="right")
    with (
        tempfile.TemporaryDirectory() as folder,
        Journal(Path(folder) / "j.jsonl") as journal,
        serving() as url,
    ):
        client = ChatClient(MODEL, Endpoint(url), journal, limits=RunLimits())
        generator = LlmGenerator("openai", client, Prompt.build(load_few_shots(), mentions=False))
        cpu, start = time.process_time(), time.perf_counter()
        for number, _ in enumerate(generator.generate(pairs(count)), start=1):
            if number % (count // 6) == 0:
                table.add_row(
                    f"{number:,}",
                    f"{resident():,.0f}",
                    f"{(time.process_time() - cpu) / number * 1000:.2f}",
                    f"{number / (time.perf_counter() - start):,.0f}",
                )
    Console().print(table)
    Console().print(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB")


def resident() -> float:
    """Megabytes of this process in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    """Runs both parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="a third of the seconds, 6,000 conversations instead of 60,000"
    )
    quick = parser.parse_args().quick
    os.environ["OPENAI_API_KEY"] = KEY
    share_of_rate(10 if quick else 30)
    memory(6_000 if quick else 60_000)


if __name__ == "__main__":
    main()

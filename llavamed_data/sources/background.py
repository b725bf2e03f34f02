"""Runs an asynchronous generator beside code that is not asynchronous."""

import asyncio
import sys
import threading
from collections.abc import AsyncGenerator, Iterator
from typing import TypeVar

T = TypeVar("T")


def in_background(items: AsyncGenerator[T, None]) -> Iterator[T]:
    """The items of `items`, whose event loop runs in a thread: what it started goes on while the caller works."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="in-background", daemon=True)
    thread.start()
    end = object()

    async def step() -> T | object:
        return await anext(items, end)

    try:
        while True:
            item = asyncio.run_coroutine_threadsafe(step(), loop).result()
            if item is end:
                return
            yield item  # type: ignore[misc]
    finally:
        if not sys.is_finalizing():  # then the thread is gone, and nothing would answer
            asyncio.run_coroutine_threadsafe(_close(items), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()


async def _close(items: AsyncGenerator[T, None]) -> None:
    """Ends the generator, and before it a step of it that an interrupt left running."""
    running = asyncio.all_tasks() - {asyncio.current_task()}
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    await items.aclose()

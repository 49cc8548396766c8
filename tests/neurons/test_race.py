"""Several pieces of work, the first end, and the order in which the others end."""

from __future__ import annotations

import asyncio

import pytest

from subnet.race import race


async def forever(name: str, log: list[str], delay: float = 0.0) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(delay)
        log.append(name)


async def test_the_others_end_last_to_first() -> None:
    log: list[str] = []
    await race(asyncio.sleep(0.01), forever("model", log), forever("server", log, delay=0.05))
    assert log == ["server", "model"]


async def test_an_error_comes_as_it_is() -> None:
    async def fail() -> None:
        raise KeyError("x")

    log: list[str] = []
    with pytest.raises(KeyError):
        await race(forever("a", log), fail())
    assert log == ["a"]


async def test_cancelling_the_race_ends_all_in_order() -> None:
    log: list[str] = []
    task = asyncio.create_task(race(forever("a", log), forever("b", log, delay=0.02)))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log == ["b", "a"]

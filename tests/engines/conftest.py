"""The engine that a class of `EngineSuite` shares."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.engines.suite import Subject


@pytest_asyncio.fixture(scope="class", loop_scope="class")
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    """What `cls.open()` yields, open for all tests of the class."""
    assert request.cls is not None
    async with request.cls.open() as opened:
        yield opened

"""How long weights have not landed does not depend on who sets the machine's clock."""

from __future__ import annotations

import time

import pytest

from subnet.errors import WeightsNotLanded
from validators.landing import Landing
from validators.steady import steady


@pytest.mark.parametrize("jump", [0.0, -86400.0, 86400.0])
def test_a_clock_that_is_set_changes_no_duration(jump: float) -> None:
    unix, gone = 1.7e9, 50.0
    now = steady(lambda: unix, lambda: gone)
    landing = Landing(most=2, least_s=600.0)
    landing.could(5, now())
    unix += jump
    gone += 599.0
    landing.ensure(50, now(), grace=0)
    gone += 1.0
    with pytest.raises(WeightsNotLanded):
        landing.ensure(50, now(), grace=0)


def test_it_is_unix_time() -> None:
    before = time.time()
    assert before <= steady(time.time)() <= time.time() + 1.0

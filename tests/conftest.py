"""For all tests: what a random search finds depends neither on a busy machine nor on luck."""

from __future__ import annotations

import os

from hypothesis import settings

from tests import sdk_sessions

# Never timed: the machine may be busy. A developer's run looks in new places every time;
# continuous integration in the same ones, so that it judges the change and not its luck.
settings.register_profile("house", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("house")

sdk_sessions.install()

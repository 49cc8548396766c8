"""The only writer to stdout and stderr. stdout is the result, stderr is talk.

A command's result goes out once, with `result` or `data`; everything else a person may want to
read goes through `say`, `fail`, the log, or a live view, all on stderr. Much of it was written by
strangers: characters that would steer a terminal are shown as JSON escapes them.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live

_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters but tab and newline; those that turn the direction of writing around; halves
of a pair, which UTF-8 has no bytes for (a file name may have them)."""


def result(text: str) -> None:
    """What the command was asked for, as text."""
    print(_plain(text), file=sys.stdout, flush=True)


def data(value: Any) -> None:
    """What the command was asked for, as one JSON document."""
    print(_plain(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)), flush=True)


def say(text: str) -> None:
    """One line of talk."""
    print(_plain(text), file=sys.stderr, flush=True)


def fail(text: str) -> None:
    """Why the command failed, in one line that says what and what to do."""
    say("error: " + " ".join(text.split()))


def _plain(text: str) -> str:
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class _OneLine(logging.Formatter):
    """One line a record, whatever it quotes: what looks like a record is one."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  logging's name
        return _plain(super().formatMessage(record).replace("\n", "\\n"))


def log_to_stderr(level: int = logging.INFO) -> None:
    """Send this process's log to stderr, one line a record, times in UTC."""
    formatter = _OneLine(
        "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S"
    )
    formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.basicConfig(level=level, handlers=[handler], force=True)


def is_live() -> bool:
    """Whether stderr is a terminal that can be redrawn."""
    return console().is_terminal and not console().is_dumb_terminal


def console() -> Console:
    """stderr, for what rich draws."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=not sys.stderr.isatty())


def live(draw: Callable[[], Any]) -> Live:
    """A view on stderr that `draw` makes anew several times a second, while the context lasts."""
    from rich.live import Live

    return Live(
        console=console(),
        get_renderable=draw,
        refresh_per_second=4,
        redirect_stdout=False,
        redirect_stderr=False,
    )


@contextmanager
def busy(what: str) -> Iterator[None]:
    """Something that moves on stderr while `what` goes on, where a person is looking."""
    # Asked of the stream: rich takes longer to import than most of this takes.
    if not (sys.stderr.isatty() and is_live()):
        yield
        return
    from rich.live import Live
    from rich.spinner import Spinner

    spinner = Spinner("dots", what)
    with Live(spinner, console=console(), transient=True, redirect_stdout=False):
        yield


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int | None], None]]:
    """A bar on stderr for `what`; the yielded function takes bytes done and bytes in all."""
    if not is_live():
        say(f"{what} ...")
        yield lambda done, total: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, TransferSpeedColumn(), console=console(), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def counted(what: str, total: int, *, lines: bool = True) -> Iterator[Callable[[int], None]]:
    """A bar on stderr for `what`; the yielded function takes how many of `total` are done.

    Where nothing can be redrawn, a line for every tenth, or none without `lines`.
    """
    if not is_live() and not lines:
        yield lambda done: None
        return
    if not is_live():
        said = 0

        def tell(done: int) -> None:
            nonlocal said
            if done * 10 // total > said:
                said = done * 10 // total
                say(f"{what}: {done} of {total}")

        say(f"{what} ...")
        yield tell
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Remaining())
    with Progress(*columns, console=console(), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], right: set[int]) -> str:
    """Columns as wide as they need; those in `right` are aligned to the right."""
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    lines = []
    for row in (heads, *rows):
        cells = [
            cell.rjust(width) if place in right else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)

"""What a person sees while it runs: a table redrawn in place, or plain lines in a pipe or a log.

Everything goes to stderr; the result is printed by the command at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from subnet.cli import output


@dataclass(frozen=True, slots=True)
class Row:
    """One neuron as it stands. `weight` is the validators' mean share, `earned` whole alpha."""

    uid: int
    kind: str
    score: float | None
    weight: float
    incentive: float
    earned: float


@dataclass(frozen=True, slots=True)
class Scene:
    """The whole subnet as it stands."""

    block: int
    next_epoch: int | None
    epochs: int
    paying: int
    wanted: int
    rounds: Mapping[str, int]
    rows: tuple[Row, ...]


class View:
    """Tells lines, and shows the newest scene while `showing`."""

    def __init__(self, log: Path) -> None:
        """Lines are kept in `log` too."""
        self._log = log.open("a", buffering=1)
        self._print: Callable[[str], None] = output.say
        self.scene: Scene | None = None

    def tell(self, line: str) -> None:
        """One line, above the table if there is one."""
        self._log.write(line + "\n")
        self._print(line)

    @contextmanager
    def showing(self) -> Iterator[None]:
        """Show scenes as they change, where stderr is a terminal."""
        if not output.is_live():
            yield
            return
        with output.live(self._draw) as live:
            self._print = lambda line: live.console.print(line, markup=False)
            try:
                yield
            finally:
                self._print = output.say

    def close(self) -> None:
        """Close the log."""
        self._log.close()

    def _draw(self) -> Any:
        from rich.box import SIMPLE_HEAD
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        scene = self.scene
        if scene is None:
            return ""
        epoch = "" if scene.next_epoch is None else f", next epoch at {scene.next_epoch}"
        rounds = ", ".join(f"{name} {count}" for name, count in scene.rounds.items())
        head = Text(
            f"block {scene.block}{epoch}   "
            f"paying epochs: {scene.paying} of {scene.wanted}   rounds: {rounds}"
        )
        table = Table(box=SIMPLE_HEAD)
        for name in ("uid", "kind", "last score", "weight", "incentive", "alpha earned"):
            table.add_column(name, justify="left" if name == "kind" else "right")
        for row in scene.rows:
            table.add_row(
                str(row.uid),
                row.kind,
                "-" if row.score is None else f"{row.score:.3f}",
                f"{row.weight:.3f}",
                f"{row.incentive:.3f}",
                f"{row.earned:.3f}",
            )
        return Group(head, table)

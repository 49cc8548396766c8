"""Writes what the conformance run showed into docs/chain.md.

    python -m tests.conformance.table         # runs everything, then writes
    python -m tests.conformance.table --text  # writes only what needs no run

A test says which row and column it stands for by the mark `feature(row, client)`. A cell is `yes`
when all its tests passed; a row may also be `not run` (its client could not be installed) or `no`.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path

import pytest
from bittensor._generated import calls as sdk_calls

from chain.devnet.rpc.devnet import HANDLERS
from chain.runtime.construct import PALLETS
from chain.runtime.pallets.absent import ABSENT

__all__ = ["CLIENTS", "DOC", "claimed", "declared", "missing_calls", "render", "section"]

HERE = Path(__file__).parent
DOC = HERE.parent.parent / "docs" / "chain.md"
CLIENTS = {
    "bittensor": f"`bittensor` {version('bittensor')}",
    "btcli": "`btcli` of it",
    "substrate-interface": f"`substrate-interface` {version('substrate-interface')}",
    "@polkadot/api": "`@polkadot/api` 16.4.6",
    "turbobt": "`turbobt` 1.3.0",
}
ROWS = (
    "connect: versions, properties, metadata",
    "storage: values, maps, several at once",
    "the state of a past block",
    "runtime APIs",
    "subscriptions: heads, storage",
    "a block's hash, computed by the client",
    "events of a block",
    "a signed transfer, followed until it is final",
    "a fee, quoted and paid",
    "batches",
    "errors by their names",
    "a MEV-shielded call, opened by the author",
    "the 56 reads that running a subnet takes",
    "the other 46 reads: a value, nothing, or a refusal",
    "every fourth of the 102 reads by its command",
    "calls that are not here, refused by name",
    "wallets: balance, overview, registrations",
    "subnets: list, metagraph, prices",
    "subnets: register, start, name",
    "hyperparameters: read and set",
    "serving: axon, TLS, prometheus",
    "stake: add, remove, move, swap, transfer",
    "weights: plain",
    "weights: timelocked, salted commit and reveal",
    "identity, takes, children",
    "auto-stake, hotkey and coldkey swaps",
)

Cell = tuple[str, str]


def declared() -> set[Cell]:
    """Row and client of every mark in the tests here."""
    found: set[Cell] = set()
    for path in sorted(HERE.glob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.feature":
                row, *clients = (ast.literal_eval(argument) for argument in node.args)
                found |= {(row, client) for client in clients}
    return found


class _Recorder:
    """Outcomes by cell."""

    def __init__(self) -> None:
        self.outcomes: defaultdict[Cell, set[str]] = defaultdict(set)
        self._cells: dict[str, list[Cell]] = {}

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        self._cells[item.nodeid] = [
            (mark.args[0], client)
            for mark in item.iter_markers("feature")
            for client in mark.args[1:]
        ]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or not report.passed:
            for cell in self._cells[report.nodeid]:
                self.outcomes[cell].add(report.outcome)


def render(outcomes: Mapping[Cell, Iterable[str]]) -> str:
    """The table of clients."""
    lines = [f"| | {' | '.join(CLIENTS.values())} |", "|---" * (len(CLIENTS) + 1) + "|"]
    for row in ROWS:
        cells = [_cell(set(outcomes.get((row, client), ()))) for client in CLIENTS]
        lines.append(f"| {row} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(outcomes: set[str]) -> str:
    if not outcomes:
        return ""
    if "failed" in outcomes:
        return "no"
    return "yes" if outcomes == {"passed"} else "not run"


def claimed(text: str) -> dict[Cell, str]:
    """The filled cells of the table in the document."""
    found: dict[Cell, str] = {}
    for line in section(text, "clients").splitlines()[2:]:
        row, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        found |= {(row, client): cell for client, cell in zip(CLIENTS, cells, strict=True) if cell}
    return found


def reads() -> str:
    """What is answered with nothing, and what is refused, of the SDK's reads."""
    from tests.conformance.test_sdk_reads import EMPTY, OTHERS, REFUSED, TIER_1

    refused = ", ".join(f"`{name}` ({missing})" for name, (_, missing) in sorted(REFUSED.items()))
    return "\n".join(
        (
            f"- {len(TIER_1) + len(OTHERS)} answer with a value.",
            f"- {len(EMPTY)} answer that there is nothing, as nobody made it or nobody can: "
            f"{_names(EMPTY)}.",
            f"- {len(REFUSED)} are refused with the name of the missing storage item: {refused}.",
        )
    )


def missing_calls() -> dict[str, list[str]]:
    """By pallet, the calls of the SDK's catalogue that are not in our metadata."""
    missing = {}
    for pallet, catalogue in inspect.getmembers(sdk_calls, inspect.isclass):
        names = [n for n, _ in inspect.getmembers(catalogue, inspect.isfunction) if n[0] != "_"]
        here = PALLETS.by_name.get(pallet)
        absent = sorted(set(names) - set(here.calls if here else ()))
        if absent and pallet != "Call":
            missing[pallet] = absent if here else []
    return missing


def calls() -> str:
    """The calls that are refused, and those that are missing: whole pallets first."""
    missing = missing_calls()
    whole = ", ".join(sorted(pallet for pallet, names in missing.items() if not names))
    lines = ["Known, and refused with the words that they need the real-runtime engine:", ""]
    for pallet in sorted({pallet for pallet, _ in ABSENT}):
        lines.append(f"- {pallet}: {_names(name for of, name in ABSENT if of == pallet)}.")
    lines += ["", "Not in the metadata at all:", "", f"- Whole pallets: {whole}."]
    for pallet, names in sorted(missing.items()):
        if names:
            lines.append(f"- {pallet}: {_names(names)}.")
    return "\n".join(lines)


def control() -> str:
    """The control methods as their docstrings show them, in the order of the source."""
    parts = []
    for name, handler in sorted(HANDLERS.items(), key=lambda item: inspect.findsource(item[1])[1]):
        lines = (inspect.getdoc(handler) or "").splitlines()
        shown = [line.strip() for line in lines if line.strip().startswith(("-->", "<--", "("))]
        told = "\n".join(line for line in lines if line.strip() not in shown)
        told = re.sub(r"\n{3,}", "\n\n", told).strip()
        first, _, rest = told.partition("\n\n")
        example = "\n".join(("```text", *shown, "```"))
        parts.append("\n\n".join(part for part in (f"### `{name}`", first, example, rest) if part))
    return "\n\n".join(parts)


def _names(found: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(found))


def section(text: str, name: str) -> str:
    """What stands between the markers of a written part."""
    found = re.search(rf"<!-- {name}: written[^>]*-->\n(.*?)\n<!-- end -->", text, re.DOTALL)
    if found is None:
        raise ValueError(f"no markers of {name}")
    return found.group(1)


def _replace(text: str, name: str, content: str) -> str:
    old = section(text, name)
    start = text.index(f"<!-- {name}: written")
    at = text.index(old, start)
    return text[:at] + content + text[at + len(old) :]


def main(arguments: list[str]) -> int:
    """Write the document; the exit status is the run's."""
    recorder, status = _Recorder(), 0
    if "--text" not in arguments:
        everything = ["-m", "slow or not slow", "-q", "-p", "no:xdist", str(HERE)]
        everything += ["--ignore", str(HERE / "test_doc.py")]
        status = int(pytest.main(everything, plugins=[recorder]))
    text = DOC.read_text()  # after the run, which takes minutes
    if recorder.outcomes:
        text = _replace(text, "clients", render(recorder.outcomes))
    text = _replace(_replace(text, "reads", reads()), "calls", calls())
    text = _replace(text, "control", control())
    DOC.write_text(text)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

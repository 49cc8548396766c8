"""What happened in each block, in one line: whose extrinsics, how they ended, what ran by itself.

Reads blocks as any client would, through the metadata, so it works with every engine. Blocks in
which nothing happened are shown at first and then no more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bittensor_core import Runtime

    from chain.devnet.node import Node
    from chain.devnet.store import Block

EMPTY_SHOWN = 10
"""Blocks without anything that are shown before silence."""
ITEMS_SHOWN = 6
MECHANISM_STRIDE = 4096  # an index of a subnet's mechanism is mechanism * 4096 + netuid


class BlockLog:
    """Says a line for each new block of `node`; `names` are accounts by their address."""

    def __init__(self, node: Node, names: Mapping[str, str], say: Callable[[str], None]) -> None:
        self._node = node
        self._names = names
        self._say = say
        self._empty = 0
        self._decoder: Runtime | None = None

    def show(self, block: Block) -> None:
        """Say what happened in `block`."""
        items = list(self._items(block))
        if not items:
            self._empty += 1
            if self._empty > EMPTY_SHOWN:
                return
            items = ["empty"]
            if self._empty == EMPTY_SHOWN:
                items.append("more empty blocks are not shown")
        more = len(items) - ITEMS_SHOWN
        tail = [f"and {more} more"] if more > 0 else []
        self._say(f"#{block.number:<6} {', '.join(items[:ITEMS_SHOWN] + tail)}")

    def _items(self, block: Block) -> Iterator[str]:
        events = self._events(block)
        failures = {
            record["extrinsic_idx"]: self._reason(record["attributes"]["dispatch_error"])
            for record in events
            if record["event_id"] == "ExtrinsicFailed"
        }
        for record in events:
            if record["phase"] == "Initialization":
                yield _own_work(record)
        for index, raw in enumerate(block.extrinsics):
            extrinsic = self._core.decode_extrinsic(raw)
            if "address" in extrinsic:  # else it is the block's own, such as its date
                address = str(extrinsic["address"])
                call = extrinsic["call"]
                who = self._names.get(address, f"{address[:8]}..")
                failed = f" failed: {failures[index]}" if index in failures else ""
                yield f"{who} {call['call_module']}.{call['call_function']}{failed}"

    @property
    def _core(self) -> Runtime:
        if self._decoder is None:
            from bittensor_core import Runtime

            engine = self._node.engine
            version = engine.runtime_version()
            self._decoder = Runtime(
                engine.metadata(15), version.spec_version, version.transaction_version
            )
        return self._decoder

    def _events(self, block: Block) -> list[dict[str, Any]]:
        key = bytes(self._core.storage_key("System", "Events", []))
        raw = self._node.state(block.hash).get(key)
        if raw is None:
            return []
        kind = self._core.storage_entry("System", "Events").value_type
        return list(self._core.decode(kind, raw))

    def _reason(self, error: Any) -> str:
        if isinstance(error, dict) and "Module" in error:
            code = bytes.fromhex(error["Module"]["error"][2:])
            return str(self._core.module_error(error["Module"]["index"], code[0])[0])
        if isinstance(error, dict):
            return " ".join(f"{kind} {detail}" for kind, detail in error.items())
        return str(error)


def _own_work(record: Mapping[str, Any]) -> str:
    if record["event_id"] == "IncentiveAlphaEmittedToMiners":
        return f"epoch of subnet {record['attributes']['netuid'] % MECHANISM_STRIDE}"
    return f"{record['module_id']}.{record['event_id']}"

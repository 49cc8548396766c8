"""The default engine: our runtime in Python, embedded, behind the protocol a node speaks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from chain.devnet.engine import (
    BuiltBlock,
    Cheat,
    Header,
    Impersonate,
    RevealWeights,
    RuntimeVersion,
    SetBalance,
    StateReader,
    Validity,
    extrinsics_root,
    state_root,
)
from chain.runtime import cheats
from chain.runtime.frame import Ctx
from chain.runtime.runtime import Built, Parent, Runtime, RuntimeConfig
from chain.runtime.state import State
from chain.types import AccountId, NetUid, Rao

__all__ = ["PythonEngine"]


class PythonEngine:
    """`chain.runtime` as an engine. Holds no chain state, only caches.

    One is of the block built last: most blocks are built on it, and read what it has read. It
    holds for that very Header object, since a header of the same hash may come from another chain.
    """

    def __init__(self, config: RuntimeConfig) -> None:
        self._runtime = Runtime(config)
        self._last: tuple[Header, State] | None = None
        self._head: tuple[Header, Parent] | None = None

    def runtime_version(self) -> RuntimeVersion:
        """Name and versions."""
        v = self._runtime.version
        return RuntimeVersion(
            v.spec_name,
            v.impl_name,
            v.authoring_version,
            v.spec_version,
            v.impl_version,
            tuple(v.apis),
            v.transaction_version,
            v.system_version,
        )

    def metadata(self, version: int = 14) -> bytes:
        """The metadata blob of `version`."""
        return self._runtime.metadata(version)

    def genesis(self) -> Mapping[bytes, bytes]:
        """The state of block 0."""
        return self._runtime.genesis()

    def call(self, state: StateReader, method: str, args: bytes) -> bytes:
        """Run a runtime API."""
        return self._runtime.call(state, method, args)

    def validate(self, state: StateReader, head: Header, extrinsic: bytes) -> Validity:
        """Whether the pool may take `extrinsic`."""
        if self._head is None or self._head[0] is not head:
            self._head = (head, Parent(head.number, head.hash()))
        verdict = self._runtime.validate(state, self._head[1], extrinsic)
        return Validity(verdict.requires, verdict.provides, verdict.longevity, verdict.priority)

    def build_block(
        self, state: StateReader, parent: Header, extrinsics: Sequence[bytes], timestamp_ms: int
    ) -> BuiltBlock:
        """The block after `parent`."""
        return self._build(state, parent, extrinsics, timestamp_ms)

    def cheat_block(
        self, state: StateReader, parent: Header, cheat: Cheat, timestamp_ms: int
    ) -> BuiltBlock:
        """The block after `parent` in which `cheat` is done."""
        return self._build(state, parent, (), timestamp_ms, _doing(cheat))

    def _build(
        self,
        state: StateReader,
        parent: Header,
        extrinsics: Sequence[bytes],
        timestamp_ms: int,
        cheat: Callable[[Ctx], None] | None = None,
    ) -> BuiltBlock:
        on = Parent(parent.number, parent.hash())
        last, self._last = self._last, None  # a view is written into once
        view = last[1].onto(state) if last is not None and last[0] is parent else State(state)
        built = self._runtime.build_block(view, on, extrinsics, timestamp_ms, cheat)
        sealed = _sealed(parent, on, built)
        self._last = (sealed.header, view)
        return sealed


def _sealed(parent: Header, on: Parent, built: Built) -> BuiltBlock:
    header = Header(
        on.hash,
        on.number + 1,
        state_root(parent.state_root, built.changes),
        extrinsics_root(built.extrinsics),
    )
    return BuiltBlock(header, header.hash(), built.extrinsics, built.changes, built.rejected)


def _doing(cheat: Cheat) -> Callable[[Ctx], None]:
    match cheat:
        case SetBalance(account, rao):
            return partial(cheats.set_balance, who=AccountId(account), amount=Rao(rao))
        case Impersonate(account, enabled):
            return partial(cheats.impersonate, who=AccountId(account), enabled=enabled)
        case RevealWeights(netuid, mecid, hotkey, uids, weights):
            return partial(
                cheats.reveal_weights,
                netuid=NetUid(netuid),
                mecid=mecid,
                hotkey=AccountId(hotkey),
                dests=uids,
                values=weights,
            )

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
    state_root,
)
from chain.runtime import cheats
from chain.runtime.frame import Ctx
from chain.runtime.runtime import Built, Parent, Runtime, RuntimeConfig
from chain.types import AccountId, NetUid, Rao, blake2_256

__all__ = ["PythonEngine"]


class PythonEngine:
    """`chain.runtime` as an engine. Holds no chain state, only caches of what never changes."""

    def __init__(self, config: RuntimeConfig) -> None:
        self._runtime = Runtime(config)

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
        verdict = self._runtime.validate(state, Parent(head.number, head.hash()), extrinsic)
        return Validity(verdict.requires, verdict.provides, verdict.longevity, verdict.priority)

    def build_block(
        self, state: StateReader, parent: Header, extrinsics: Sequence[bytes], timestamp_ms: int
    ) -> BuiltBlock:
        """The block after `parent`."""
        built = self._runtime.build_block(
            state, Parent(parent.number, parent.hash()), extrinsics, timestamp_ms
        )
        return _sealed(parent, built)

    def cheat_block(
        self, state: StateReader, parent: Header, cheat: Cheat, timestamp_ms: int
    ) -> BuiltBlock:
        """The block after `parent` in which `cheat` is done."""
        built = self._runtime.build_block(
            state, Parent(parent.number, parent.hash()), (), timestamp_ms, _doing(cheat)
        )
        return _sealed(parent, built)


def _sealed(parent: Header, built: Built) -> BuiltBlock:
    header = Header(
        parent.hash(),
        parent.number + 1,
        state_root(parent.state_root, built.changes),
        blake2_256(b"".join(blake2_256(raw) for raw in built.extrinsics)),
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

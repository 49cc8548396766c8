"""A devnet whose subnets are full of neurons, for benchmarks.

Registering thousands of neurons would take minutes and is not what is measured: seats, stake and
permits are written straight into the state, as those extrinsics would leave them. All that comes
after is blocks as the engine builds them, with weights in signed extrinsics.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import bittensor_core
import numpy as np
from bittensor_core import Keypair
from numpy.typing import NDArray

from chain.devnet.database import Database
from chain.devnet.engine import BuiltBlock, state_root
from chain.devnet.genesis import dev_engine
from chain.devnet.node import genesis_block
from chain.devnet.store import Block, Store
from chain.runtime import frame
from chain.runtime.frame import Ctx
from chain.runtime.pallets import balances, system
from chain.runtime.pallets.subtensor import epoch, hotkeys, shares, subnets, tempo
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.pallets.subtensor.accounts import subnet_account
from chain.runtime.pallets.subtensor.records import StorageIndex
from chain.runtime.state import State
from chain.runtime.yuma import EpochInput
from chain.types import RAO_PER_TAO, AccountId, Alpha, NetUid, Rao, blake2_256

__all__ = ["Chain", "Shape"]

ROOT = NetUid(0)
SLOT_MS = 250


@dataclass(frozen=True)
class Shape:
    """A subnet: the first `validators` of its `uids` weigh `per_row` of them each."""

    uids: int
    validators: int
    per_row: int
    yuma3: bool = True
    liquid_alpha: bool = True

    @property
    def weights(self) -> int:
        """How many weights there are."""
        return self.validators * self.per_row


class Chain:
    """The engine and the store of a devnet, and a way to write state between blocks."""

    def __init__(self, path: Path | None = None) -> None:
        self.engine = dev_engine()
        state = dict(self.engine.genesis())
        database = None if path is None else Database(path)
        self.store = Store.open(genesis_block(self.engine, state), state, database)
        version = self.engine.runtime_version()
        self._core = bittensor_core.Runtime(
            self.engine.metadata(15), version.spec_version, version.transaction_version
        )
        self._rng = np.random.default_rng(7)
        self._validators: dict[NetUid, list[Keypair]] = {}
        self._targets: dict[NetUid, list[NDArray[np.int64]]] = {}
        self._merit: dict[NetUid, NDArray[np.float64]] = {}

    def ctx(self) -> Ctx:
        """The head's state, to read, or to write for `mine`."""
        head = self.store.head
        return Ctx(frame.Block(State(self.store.state(head)), head.number))

    def mine(
        self,
        count: int = 1,
        *,
        extrinsics: Sequence[bytes] = (),
        changes: Mapping[bytes, bytes | None] | None = None,
    ) -> None:
        """Build and store `count` blocks, with `extrinsics` or `changes` on top in each."""
        for _ in range(count):
            built = self.build(extrinsics)
            if changes:
                root = self.store.head.header.state_root
                changes = {**built.changes, **changes}
                header = replace(built.header, state_root=state_root(root, changes))
                built = replace(built, header=header, hash=header.hash(), changes=changes)
            self.keep(built)

    def build(self, extrinsics: Sequence[bytes] = ()) -> BuiltBlock:
        """The next block, which is not stored."""
        head = self.store.head
        stamp = head.timestamp_ms + SLOT_MS
        built = self.engine.build_block(self.store.state(head), head.header, extrinsics, stamp)
        assert not built.rejected, built.rejected[0]
        return built

    def keep(self, built: BuiltBlock) -> None:
        """Make a block the head."""
        stamp = self.store.head.timestamp_ms + SLOT_MS
        self.store.append(Block(built.header, built.hash, built.extrinsics, stamp), built.changes)

    # Founding

    def add_subnet(self, shape: Shape, *, every: int) -> NetUid:
        """A subnet of `shape` that emits, with an epoch `every` so many blocks."""
        ctx = self.ctx()
        netuid = NetUid(s.TotalNetworks.get(ctx))
        subnets.initialise(ctx, netuid)
        s.SubnetOwner.put(ctx, netuid, _account(netuid, "owner"))
        s.SubnetOwnerHotkey.put(ctx, netuid, _account(netuid, "owner's hotkey"))
        pool = Rao(10_000 * RAO_PER_TAO)
        s.SubnetTAO.put(ctx, netuid, pool)
        s.SubnetAlphaIn.put(ctx, netuid, Alpha(int(pool)))
        balances.mint_into(ctx, subnet_account(netuid), pool)
        s.TotalStake.put(ctx, s.TotalStake.get(ctx) + pool)
        s.Tempo.put(ctx, netuid, every)
        s.LastEpochBlock.put(ctx, netuid, max(ctx.block - int(netuid) % every, 0))
        s.ActivityCutoffFactorMilli.put(ctx, netuid, 5_000_000)
        s.FirstEmissionBlockNumber.put(ctx, netuid, 1)
        s.SubtokenEnabled.put(ctx, netuid, True)
        s.SubnetEmissionEnabled.put(ctx, netuid, True)
        s.CommitRevealWeightsEnabled.put(ctx, netuid, False)
        s.WeightsSetRateLimit.put(ctx, netuid, 0)
        s.SubnetMovingPrice.put(ctx, netuid, 1 << 31)
        s.MaxAllowedUids.put(ctx, netuid, shape.uids)
        s.MaxAllowedValidators.put(ctx, netuid, shape.validators)
        s.Yuma3On.put(ctx, netuid, shape.yuma3)
        s.LiquidAlphaOn.put(ctx, netuid, shape.liquid_alpha)
        self._seat(ctx, netuid, shape)
        s.TotalIssuance.put(ctx, balances.TotalIssuance.get(ctx))
        self._targets[netuid] = [
            np.sort(self._rng.choice(shape.uids, shape.per_row, replace=False))
            for _ in range(shape.validators)
        ]
        self._merit[netuid] = self._rng.pareto(1.2, shape.uids) + 1
        self.mine(changes=ctx.state.changes())
        return netuid

    def _seat(self, ctx: Ctx, netuid: NetUid, shape: Shape) -> None:
        n = shape.uids
        self._validators[netuid] = [
            Keypair.create_from_uri(f"//{int(netuid)}//{uid}") for uid in range(shape.validators)
        ]
        stake = self._rng.integers(10**12, 10**14, n)
        stake[shape.validators :] //= 10**6
        for uid in range(n):
            hotkey, coldkey = _account(netuid, f"{uid} hot"), _account(netuid, f"{uid} cold")
            if uid < shape.validators:
                hotkey = AccountId(self._validators[netuid][uid].public_key)
                balances.mint_into(ctx, coldkey, Rao(RAO_PER_TAO))  # for fees
            hotkeys.adopt(ctx, coldkey, hotkey)
            s.Keys.put(ctx, netuid, uid, hotkey)
            s.Uids.put(ctx, netuid, hotkey, uid)
            s.BlockAtRegistration.put(ctx, netuid, uid, ctx.block)
            s.IsNetworkMember.put(ctx, hotkey, netuid, True)
            shares.increase(ctx, hotkey, coldkey, netuid, Alpha(int(stake[uid])))
            if uid < shape.validators:
                shares.increase(ctx, hotkey, coldkey, ROOT, Alpha(int(stake[uid])))
        s.SubnetAlphaOut.put(ctx, netuid, Alpha(int(stake.sum())))
        root = Rao(int(stake[: shape.validators].sum()))
        s.SubnetTAO.put(ctx, ROOT, s.SubnetTAO.get(ctx, ROOT) + root)
        s.SubnetworkN.put(ctx, netuid, n)
        s.Active.put(ctx, netuid, [True] * n)
        s.Emission.put(ctx, netuid, [Alpha(0)] * n)
        for column in (s.Consensus, s.Dividends, s.ValidatorTrust):
            column.put(ctx, netuid, [0] * n)
        s.ValidatorPermit.put(ctx, netuid, [uid < shape.validators for uid in range(n)])
        s.Incentive.put(ctx, StorageIndex.of(netuid), [0] * n)
        s.LastUpdate.put(ctx, StorageIndex.of(netuid), [ctx.block] * n)

    # Epochs

    def set_weights(self, *netuids: NetUid) -> None:
        """Mine a block in which every validator of these subnets sets new weights."""
        extrinsics = []
        for netuid in netuids:
            merit = self._merit[netuid]
            for key, uids in zip(self._validators[netuid], self._targets[netuid], strict=True):
                scores = merit[uids] * self._rng.uniform(0.8, 1.2, len(uids))
                values = (scores * (65_535 / scores.max())).astype(int)
                args = {"netuid": int(netuid), "dests": uids.tolist(), "weights": values.tolist()}
                extrinsics.append(self._signed(key, "set_weights", args | {"version_key": 0}))
        self.mine(extrinsics=extrinsics)

    def _signed(self, key: Keypair, name: str, args: dict[str, object]) -> bytes:
        call = self._core.compose_call("SubtensorModule", name, args)
        nonce = system.Account.get(self.ctx(), AccountId(key.public_key)).nonce
        common = {"era": "00", "nonce": nonce, "tip": 0, "tip_asset_id": None}
        genesis = self.store.genesis.hash
        payload = self._core.signature_payload(
            call, genesis_hash=genesis, era_block_hash=genesis, **common
        )
        raw, _ = self._core.encode_signed_extrinsic(
            call,
            public_key=key.public_key,
            signature=key.sign(payload),
            signature_version=key.crypto_type,
            **common,
        )
        return bytes(raw)

    def mine_until_due(self, netuid: NetUid) -> EpochInput:
        """Mine until the next block runs an epoch; returns what that epoch will start from."""
        while True:
            head = self.store.head
            ctx = Ctx(frame.Block(State(self.store.state(head)), head.number + 1))
            if tempo.should_run_epoch(ctx, netuid):
                seats = epoch.Seats.of(ctx, netuid)
                return epoch.gather(ctx, netuid, StorageIndex.of(netuid), seats, 0)
            self.mine()


def _account(netuid: NetUid, name: str) -> AccountId:
    return AccountId(blake2_256(f"{int(netuid)} {name}".encode()))

"""A small chain in memory for tests of the pallets: accounts by name, calls, blocks, events."""

from __future__ import annotations

from typing import Any

import pytest

from chain.errors import DispatchError
from chain.runtime.construct import PALLETS
from chain.runtime.frame import ROOT, Block, Call, Ctx, Origin, dispatch, run_guards, signed
from chain.runtime.genesis import GenesisConfig, write_genesis
from chain.runtime.pallets import balances, system
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.pallets.subtensor import uids
from chain.runtime.state import EmptyState, State
from chain.types import RAO_PER_TAO, AccountId, NetUid, Rao, blake2_256

RICH = Rao(1_000_000 * RAO_PER_TAO)


def account(name: str) -> AccountId:
    """The account that stands for `name`, the same in every test."""
    return AccountId(blake2_256(name.encode()))


class World:
    """A chain after genesis, at block 1. Everybody in `rich` starts with a million TAO."""

    def __init__(self, *rich: str, preset: Any = "devnet", author: AccountId | None = None) -> None:
        state = State(EmptyState())
        self.block = Block(state, 0, author=author)
        self.ctx = Ctx(self.block)
        config = GenesisConfig(
            balances=tuple((account(name), RICH) for name in rich),
            sudo=account("sudo"),
            preset=preset,
        )
        write_genesis(self.ctx, config)
        self.block.number = 1
        self.block.events.clear()

    # Acting

    def call(self, who: str | Origin, call: str, **args: Any) -> list[Any]:
        """Dispatch `Pallet.call` by an account's name or an origin; returns its events.

        They are events a block could carry: each is encoded.
        """
        origin = who if isinstance(who, Origin) else signed(account(who))
        before = len(self.block.events)
        dispatch(self.ctx.as_origin(origin), self._call(call, args))
        events = [event for _, event in self.block.events[before:]]
        for event in events:
            PALLETS.encode_event(event)
        return events

    def root(self, call: str, **args: Any) -> list[Any]:
        """Dispatch as root."""
        return self.call(ROOT, call, **args)

    def refuse(self, error: str, who: str | Origin, call: str, **args: Any) -> None:
        """Dispatch and expect the refusal named `error`, which leaves no write and no event."""
        state, events = dict(self.block.state.changes()), len(self.block.events)
        with pytest.raises(DispatchError) as caught:
            self.call(who, call, **args)
        assert type(caught.value).__name__ == error
        assert self.block.state.changes() == state
        assert len(self.block.events) == events

    def refuse_in_block(self, error: str, who: str | Origin, call: str, **args: Any) -> None:
        """Expect the call itself to refuse what its guards keep out, as the two have to agree."""
        origin = who if isinstance(who, Origin) else signed(account(who))
        wanted = self._call(call, args)
        with pytest.raises(DispatchError) as caught, self.ctx.transaction():
            PALLETS.spec(wanted).function(self.ctx.as_origin(origin), **args)
        assert type(caught.value).__name__ == error

    def guard(self, error: str | None, who: str, call: str, **args: Any) -> None:
        """Ask the pool's guards, and expect `error` or that they let the call pass."""
        ctx = self.ctx.as_origin(signed(account(who)))
        if error is None:
            run_guards(ctx, self._call(call, args))
            return
        with pytest.raises(DispatchError) as caught:
            run_guards(ctx, self._call(call, args))
        assert type(caught.value).__name__ == error

    def _call(self, call: str, args: dict[str, Any]) -> Call:
        pallet, name = call.split(".") if "." in call else ("SubtensorModule", call)
        return Call(pallet, name, args)

    def skip(self, blocks: int) -> None:
        """Go `blocks` on without doing the blocks' own work."""
        self.block.number += blocks

    def advance(self, blocks: int = 1) -> None:
        """Go `blocks` on, each with its own work at its start."""
        for _ in range(blocks):
            self.block.number += 1
            for pallet in PALLETS:
                for hook in pallet.initialize_hooks:
                    hook(self.ctx)

    def events(self, kind: type[Any]) -> list[Any]:
        """All events of one kind so far."""
        return [event for _, event in self.block.events if isinstance(event, kind)]

    # Common beginnings

    def create_subnet(self, owner: str = "owner", hotkey: str | None = None) -> NetUid:
        """Have `owner` create a subnet with its hotkey `owner/hotkey` as uid 0."""
        self.call(owner, "register_network", hotkey=account(hotkey or f"{owner}/hotkey"))
        return max(netuid for netuid, _ in s.NetworksAdded.items(self.ctx))

    def register(self, netuid: NetUid, name: str) -> int:
        """Register the hotkey `name`, paid by its own coldkey `name/cold`; returns its uid."""
        coldkey = account(f"{name}/cold")
        balances.mint_into(self.ctx, coldkey, RICH)
        s.TotalIssuance.put(self.ctx, balances.TotalIssuance.get(self.ctx))
        self.call(f"{name}/cold", "burned_register", netuid=netuid, hotkey=account(name))
        return s.Uids.get(self.ctx, netuid, account(name))

    # Laws

    def check_issuance(self) -> None:
        """What all accounts hold is what both pallets count."""
        held = sum(int(info.data.free) for _, info in system.Account.items(self.ctx))
        assert held == balances.TotalIssuance.get(self.ctx) == s.TotalIssuance.get(self.ctx)

    def check_seats(self) -> None:
        """Uids are dense, each seat's hotkey knows its uid and no other, and only they serve."""
        for netuid, _ in s.NetworksAdded.items(self.ctx):
            n = s.SubnetworkN.get(self.ctx, netuid)
            assert n <= s.MaxAllowedUids.get(self.ctx, netuid)
            keys = dict(s.Keys.row(self.ctx, netuid))
            assert sorted(keys) == list(range(n))
            seats = dict(s.Uids.row(self.ctx, netuid))
            assert seats == {hotkey: uid for uid, hotkey in keys.items()}
            for column in (s.Active, s.Emission, s.ValidatorPermit, s.Dividends, s.Consensus):
                assert len(column.get(self.ctx, netuid)) == n
            rows = (s.Axons, s.Prometheus, s.NeuronCertificates)
            assert all(hotkey in seats for item in rows for hotkey, _ in item.row(self.ctx, netuid))
        members = {(netuid, who) for (who, netuid), _ in s.IsNetworkMember.items(self.ctx)}
        assert members == {seat for seat, _ in s.Uids.items(self.ctx)}

    def check_owners(self) -> None:
        """Each hotkey has one coldkey, which lists it once."""
        listed = s.OwnedHotkeys.items(self.ctx)
        owned = [(hotkey, coldkey) for coldkey, mine in listed for hotkey in mine]
        assert len(owned) == len(set(owned))
        assert set(owned) == set(s.Owner.items(self.ctx))

    def check_weights(self) -> None:
        """Weights are of seats and speak of seats, of each once."""
        for netuid, _ in s.NetworksAdded.items(self.ctx):
            n = s.SubnetworkN.get(self.ctx, netuid)
            for index in uids.indices(self.ctx, netuid):
                for uid, row in s.Weights.row(self.ctx, index):
                    targets = [to for to, _ in row]
                    assert all(seat < n for seat in (uid, *targets))
                    assert len(set(targets)) == len(targets)

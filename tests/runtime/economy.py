"""A small chain for tests of what stake and emission do: real storage and rules, no extrinsics.

Nothing but root exists at first, and amounts come from nowhere where a test needs them. `Laws`
says what must hold after every block whatever happened in it; it needs only a `Ctx`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chain.runtime.frame import Block, Ctx, signed
from chain.runtime.pallets import alpha_assets, balances, system
from chain.runtime.pallets.subtensor import blockstep, hotkeys, shares, subnets, uids
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.pallets.subtensor.accounts import subnet_account
from chain.runtime.state import EmptyState, State
from chain.types import RAO_PER_TAO, AccountId, Alpha, NetUid, Rao, blake2_256

ROOT = NetUid(0)


def account(name: str) -> AccountId:
    """An account of its own for every name."""
    return AccountId(blake2_256(name.encode()))


class Economy:
    """Pallets over an empty state; block 1 is being built. A neuron is named by its coldkey."""

    def __init__(self, author: AccountId | None = None) -> None:
        self.ctx = Ctx(Block(State(EmptyState()), number=1, author=author))
        self.laws = Laws(self.ctx)
        s.NetworksAdded.put(self.ctx, ROOT, True)
        s.SubtokenEnabled.put(self.ctx, ROOT, True)
        s.Tempo.put(self.ctx, ROOT, 100)

    @property
    def events(self) -> list[Any]:
        """Events of the current block, in order."""
        return [event for _, event in self.ctx.block_env.events]

    def run_block(self, count: int = 1) -> None:
        """End the block and begin `count` new ones; the laws are checked at each end."""
        for _ in range(count):
            self.laws.check()
            self.ctx.block_env.number += 1
            self.ctx.block_env.events.clear()
            blockstep.block_step(self.ctx)
        self.laws.check()

    def fund(self, who: AccountId, tao: float) -> AccountId:
        """New TAO for `who`."""
        self._mint(who, Rao(round(tao * RAO_PER_TAO)))
        return who

    def call(self, who: AccountId, function: Callable[..., None], *args: Any) -> None:
        """Call a pallet as `who`; a refusal is raised and leaves nothing behind."""
        with self.ctx.transaction():
            function(self.ctx.as_origin(signed(who)), *args)

    def subnet(
        self,
        owner: str = "owner",
        *,
        tao: float = 1000,
        alpha: float = 1000,
        tempo: int = 360,
        price: float | None = None,
    ) -> NetUid:
        """A subnet that is open, started and emitting, its owner's neuron on uid 0.

        Weights are set plainly and at any time. `price` is the moving price to begin with.
        """
        ctx = self.ctx
        netuid = NetUid(s.TotalNetworks.get(ctx) + 1)
        subnets.initialise(ctx, netuid)
        s.SubnetOwner.put(ctx, netuid, account(owner))
        s.SubnetOwnerHotkey.put(ctx, netuid, account(f"{owner}/hotkey"))
        s.SubnetTAO.put(ctx, netuid, Rao(round(tao * RAO_PER_TAO)))
        s.SubnetAlphaIn.put(ctx, netuid, Alpha(round(alpha * RAO_PER_TAO)))
        self._mint(subnet_account(netuid), s.SubnetTAO.get(ctx, netuid))
        s.TotalStake.put(ctx, s.TotalStake.get(ctx) + s.SubnetTAO.get(ctx, netuid))
        s.Tempo.put(ctx, netuid, tempo)
        s.LastEpochBlock.put(ctx, netuid, ctx.block)
        s.FirstEmissionBlockNumber.put(ctx, netuid, ctx.block + 1)
        s.SubtokenEnabled.put(ctx, netuid, True)
        s.SubnetEmissionEnabled.put(ctx, netuid, True)
        s.CommitRevealWeightsEnabled.put(ctx, netuid, False)
        s.WeightsSetRateLimit.put(ctx, netuid, 0)
        if price is not None:
            s.SubnetMovingPrice.put(ctx, netuid, round(price * 2**32))
        self.seat(netuid, owner)
        return netuid

    def seat(self, netuid: NetUid, coldkey: str) -> int:
        """The uid of a new neuron, whose hotkey is "<coldkey>/hotkey"."""
        return uids.append(self.ctx, netuid, self.hotkey(coldkey))

    def hotkey(self, coldkey: str) -> AccountId:
        """The hotkey of a neuron; it comes to exist if need be."""
        hotkey = account(f"{coldkey}/hotkey")
        hotkeys.adopt(self.ctx, account(coldkey), hotkey)
        return hotkey

    def give_stake(
        self, netuid: NetUid, coldkey: str, alpha: float, *, through: str | None = None
    ) -> None:
        """Alpha from nowhere for a coldkey, through its own hotkey or another's; on root TAO."""
        amount = Alpha(round(alpha * RAO_PER_TAO))
        hotkey = self.hotkey(through or coldkey)
        shares.increase(self.ctx, hotkey, account(coldkey), netuid, amount)
        s.SubnetAlphaOut.put(self.ctx, netuid, s.SubnetAlphaOut.get(self.ctx, netuid) + amount)
        if netuid == ROOT:
            tao = Rao(int(amount))
            self._mint(subnet_account(ROOT), tao)
            s.SubnetTAO.put(self.ctx, ROOT, s.SubnetTAO.get(self.ctx, ROOT) + tao)

    def stake(self, netuid: NetUid, coldkey: str, *, through: str | None = None) -> int:
        """Units of alpha a coldkey holds, through its own hotkey or another's."""
        hotkey = self.hotkey(through or coldkey)
        return int(shares.value(self.ctx, hotkey, account(coldkey), netuid))

    def _mint(self, who: AccountId, amount: Rao) -> None:
        balances.mint_into(self.ctx, who, amount)
        s.TotalIssuance.put(self.ctx, s.TotalIssuance.get(self.ctx) + amount)


class Laws:
    """Conservation. Alpha that the rules leave to nobody is remembered: it never comes back.

    By rounding that is up to 4 units a block, and in an epoch a few for each hotkey, plus for root
    dividends what a rate of 32 fractional bits cannot express of the stake behind it. It is more
    where an epoch finds nobody to take a pot, so only a `tight` check bounds it.
    """

    def __init__(self, ctx: Ctx, *, tight: bool = True) -> None:
        self.ctx = ctx
        self.tight = tight
        self._lost: dict[NetUid, tuple[int, int]] = {}

    def check(self) -> None:
        """Raise AssertionError where a law is broken."""
        self.tao_is_conserved()
        for netuid, _ in s.NetworksAdded.items(self.ctx):
            self.pool_is_backed(netuid)
            self.stakes_are_shared_out(netuid)
            if netuid != ROOT:
                self.alpha_is_conserved(netuid)

    def tao_is_conserved(self) -> None:
        """The issuance, both pallets' count of it, is what accounts hold."""
        held = sum(
            int(info.data.free) + int(info.data.reserved)
            for _, info in system.Account.items(self.ctx)
        )
        assert held == int(balances.TotalIssuance.get(self.ctx))
        assert held == int(s.TotalIssuance.get(self.ctx))

    def pool_is_backed(self, netuid: NetUid) -> None:
        """The TAO a pool counts lies in the subnet's account; a fee of a registration besides."""
        held = balances.free(self.ctx, subnet_account(netuid))
        assert held >= s.SubnetTAO.get(self.ctx, netuid)

    def stakes_are_shared_out(self, netuid: NetUid) -> None:
        """Coldkeys hold what their hotkeys hold, to less than a unit each."""
        holders: dict[AccountId, list[int]] = {}
        for (hotkey, coldkey, on), _ in s.AlphaV2.items(self.ctx):
            if on == netuid:
                value = shares.value(self.ctx, hotkey, coldkey, netuid)
                holders.setdefault(hotkey, []).append(int(value))
        staked = 0
        for (hotkey, on), total in s.TotalHotkeyAlpha.items(self.ctx):
            if on == netuid:
                staked += int(total)
                values = holders.get(hotkey, [])
                assert values, "stake without a holder"
                assert 0 <= int(total) - sum(values) <= len(values)
        assert staked == int(s.TotalAlphaStaked.get(self.ctx, netuid))

    def alpha_is_conserved(self, netuid: NetUid) -> None:
        """`SubnetAlphaOut` is staked, pending, the protocol's, burned, owed to root, or lost."""
        lost = int(s.SubnetAlphaOut.get(self.ctx, netuid)) - self.accounted(netuid)
        before, epochs = self._lost.get(netuid, (0, 0))
        now = s.SubnetEpochIndex.get(self.ctx, netuid)
        allowed = 4
        if now != epochs:
            n = s.SubnetworkN.get(self.ctx, netuid)
            root_stake = int(s.TotalAlphaStaked.get(self.ctx, ROOT))
            allowed += 8 * n + (root_stake >> 32)
        assert lost - before >= -2, f"{before - lost} alpha of {netuid} came from nowhere"
        assert not self.tight or lost - before <= allowed, f"{lost - before} alpha are gone"
        self._lost[netuid] = lost, now

    def accounted(self, netuid: NetUid) -> int:
        """Alpha outside the pool that is somebody's, or is counted as nobody's."""
        ctx = self.ctx
        pending = (
            s.PendingServerEmission,
            s.PendingValidatorEmission,
            s.PendingRootAlphaDivs,
            s.PendingOwnerCut,
        )
        return (
            int(s.TotalAlphaStaked.get(ctx, netuid))
            + sum(int(pot.get(ctx, netuid)) for pot in pending)
            + int(s.SubnetProtocolAlpha.get(ctx, netuid))
            + int(alpha_assets.AlphaBurned.get(ctx, netuid))
            + self._owed_to_root(netuid)
        )

    def _owed_to_root(self, netuid: NetUid) -> int:
        owed = 0
        for hotkey, rates in s.RootClaimable.items(self.ctx):
            stake = int(s.TotalHotkeyAlpha.get(self.ctx, hotkey, ROOT))
            owed += rates.get(netuid, 0) * stake >> 32
        claimed = sum(amount for _, amount in s.RootClaimed.rows(self.ctx, netuid))
        return owed - claimed

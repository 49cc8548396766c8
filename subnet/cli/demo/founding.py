"""From an empty chain to a subnet that pays, in signed extrinsics, each of them told.

On a fresh chain a dozen defaults make everybody earn nothing; the order here is the order in which
they must go. Nothing is set behind the chain's back: what works here works on any node whose sudo
key one holds.
"""

from __future__ import annotations

from collections.abc import Callable

from chain.client import Chain, Signer
from chain.client.calls import Call, admin, batch, transfer
from chain.types import RAO_PER_TAO, Rao
from subnet.cli.demo.cast import Cast

TEMPO = 100
"""Blocks in an epoch: 25 seconds at 0.25 s, so that a round with several questions fits, also on
two busy cores."""
SEAT_MONEY = Rao(50 * RAO_PER_TAO)
"""For a seat and fees; a seat costs about 1 TAO on a fresh subnet, and 26% more after each sale."""
OWNER_FEES = Rao(10 * RAO_PER_TAO)

Tell = Callable[[str], None]


class Founding:
    """Founds one subnet with one cast on one chain."""

    def __init__(self, chain: Chain, cast: Cast, tell: Tell, *, mainnet: bool = False) -> None:
        """With `mainnet` every rule stays as the chain has it; else what costs time is lifted."""
        self._chain = chain
        self._cast = cast
        self._mainnet = mainnet
        self.tell = tell

    async def open_chain(self) -> None:
        """Lift what would refuse the rest, and give everybody money."""
        if not self._mainnet:
            await self._lift_limits()
        cost = await self._chain.network_cost()
        owner = self._cast.owner_coldkey.ss58_address
        gifts = [transfer(owner, cost + OWNER_FEES)]
        gifts += [
            transfer(player.coldkey.ss58_address, SEAT_MONEY + player.stake)
            for player in self._cast.everybody
        ]
        await self._send(batch(gifts), self._cast.bank)

    async def _lift_limits(self) -> None:
        # First of all: the freeze window of 10 blocks before an epoch would cover most of a short
        # tempo, and nearly every setter is refused inside it, root's too.
        await self._root("sudo_set_admin_freeze_window", window=0)
        # A second subnet could otherwise be made only 7,200 blocks after the first.
        await self._root("sudo_set_network_rate_limit", rate_limit=0)

    async def create_subnet(self) -> int:
        """Create the subnet and make it one that pays; its netuid, which is never assumed."""
        owner = self._cast.owner_coldkey
        netuid = await self._chain.register_network(owner, self._cast.owner_hotkey.ss58_address)
        self.tell(f"register_network: this is subnet {netuid}")
        if not self._mainnet:
            await self._send(
                Call(
                    "AdminUtils",
                    "sudo_set_commit_reveal_weights_enabled",
                    {"netuid": netuid, "enabled": False},
                ),
                owner,
            )
            # A seat counts as an update: its first weights would be refused for 100 blocks.
            await self._root(
                "sudo_set_weights_set_rate_limit", netuid=netuid, weights_set_rate_limit=0
            )
        # Miners earn stake too. With a permit and no weights of their own they would be votes for
        # nobody, until the honest majority is none. Over a mainnet tempo the owner's share grows
        # past a validator's stake, and so takes one of the permits.
        permits = len(self._cast.of("validator")) + self._mainnet
        await self._root(
            "sudo_set_max_allowed_validators", netuid=netuid, max_allowed_validators=permits
        )
        await self._root("sudo_set_subnet_emission_enabled", netuid=netuid, enabled=True)
        await self._chain.start_call(owner, netuid)
        self.tell(f"start_call(netuid={netuid})")
        return netuid

    async def seat(self, netuid: int) -> dict[str, int]:
        """Buy a seat for every player, in the order of the cast; uid by hotkey (ss58)."""
        seats = {}
        for player in self._cast.players:
            hotkey = player.hotkey.ss58_address
            seats[hotkey] = await self._chain.register(player.coldkey, netuid, hotkey)
            self.tell(f"burned_register: {player.name} has uid {seats[hotkey]}")
        return seats

    async def fill(self, netuid: int) -> None:
        """Leave no seat free, so that who comes now takes somebody's. The owner decides how many
        seats there are, down to a least number that is root's.
        """
        seats = len(self._cast.players) + 1  # and the owner's own
        await self._root("sudo_set_min_allowed_uids", netuid=netuid, min_allowed_uids=seats - 1)
        await self._send(
            Call(
                "AdminUtils",
                "sudo_set_max_allowed_uids",
                {"netuid": netuid, "max_allowed_uids": seats},
            ),
            self._cast.owner_coldkey,
        )

    async def stake(self, netuid: int) -> None:
        """Let every validator's coldkey stake on its hotkey: permits go to the largest stakes."""
        # The price rises with each purchase: the largest first gets the most in every sense, the
        # smallest first about as much as the others.
        for player in sorted(
            self._cast.of("validator"),
            key=lambda player: int(player.stake),
            reverse=not self._mainnet,
        ):
            # One purchase this large moves the price of a young pool by more than the SDK's 5%.
            await self._chain.add_stake(
                player.coldkey, player.hotkey.ss58_address, netuid, player.stake, tolerance=None
            )
            self.tell(f"add_stake: {player.name} stakes {int(player.stake) // RAO_PER_TAO} TAO")

    async def set_tempo(self, netuid: int) -> int:
        """Start the clock, last of all: the first epoch comes TEMPO blocks later. The block."""
        return await self._root("sudo_set_tempo", netuid=netuid, tempo=TEMPO)

    async def _root(self, function: str, **args: object) -> int:
        return await self._send(admin(function, **args), self._cast.bank)

    async def _send(self, call: Call, signer: Signer) -> int:
        receipt = await self._chain.submit(call, signer)
        self.tell(f"block {receipt.block}: {call}")
        return receipt.block

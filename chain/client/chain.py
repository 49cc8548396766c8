"""One connection to a chain: typed reads of one block, and one path for everything signed.

Thin over the SDK (`bittensor.Client`, its intents, its wallets): no transport and no key handling
of its own. The SDK costs half a second to import, so it is imported when a connection opens.
"""

from __future__ import annotations

import asyncio
import dataclasses
import ipaddress
from collections import defaultdict
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Mapping,
)
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from chain.client.calls import Call, quantize, storage_index
from chain.client.commitment import Commitment, commitment_call
from chain.client.commits import SaltedCommit, WaitingCommit
from chain.client.faults import EXPIRED, refusal, translated
from chain.client.metagraph import EXPLAINS, Metagraph, from_record, tls_key
from chain.client.subnet import Hyperparameters, Schedule
from chain.errors import ChainAway, ChainError, ChainRefused
from chain.types import Alpha, Rao

__all__ = ["SIGN_ANEW", "Chain", "Event", "Receipt", "Signer", "WeightsReceipt"]

T = TypeVar("T")

ERA_BLOCKS = 128  # how long the SDK's signatures live; after that an extrinsic can never land
SIGN_ANEW_ATTEMPTS = 4
ANSWER_TIMEOUT_S = 20.0
"""Longest wait for a read. The SDK's own session can wait for ever once a node has hung up."""
QUIET_S = 15.0
"""Longest wait for a next block before asking whether the chain is still there."""
CLOSE_S = 2.0
"""Longest wait for a subscription to end."""

SIGN_ANEW = frozenset(
    {
        EXPIRED,
        "AncientBirthBlock",
        "ExtrinsicExpired",
        "Invalid",
        "PriorityTooLow",
        "Stale",
        "Usurped",
    }
)
"""Refusals after which an extrinsic has had no effect, and the same one never will: it can be
signed anew. Most of them mean that somebody else signs with the same key."""


class Signer(Protocol):
    """What can sign: a Keypair of the SDK, or anything the SDK takes as a signer."""

    @property
    def ss58_address(self) -> str:
        """Its address."""

    @property
    def public_key(self) -> bytes:
        """The 32 bytes in it."""

    @property
    def crypto_type(self) -> int:
        """0 for ed25519, 1 for sr25519."""

    def sign(self, payload: bytes) -> bytes:
        """The signature for `payload`, 64 bytes."""


@dataclass(frozen=True, slots=True)
class Event:
    """One System.Events record; `extrinsic` is None for what the block itself did."""

    pallet: str
    name: str
    attributes: Any
    extrinsic: int | None


@dataclass(frozen=True, slots=True)
class Receipt:
    """An extrinsic that ran: where, its fee, the events it made, and what the SDK adds."""

    block: int
    index: int
    block_hash: str
    fee: Rao
    events: tuple[Event, ...]
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class WeightsReceipt:
    """Weights that were accepted: `row` is what to expect when they are read back.

    `reveal_round` is the drand round that opens them, None when they were sent in plain and hold
    from `block` on.
    """

    block: int
    row: Mapping[int, int]
    reveal_round: int | None


class Chain:
    """An open connection. Every method raises ChainAway or ChainRefused."""

    def __init__(
        self,
        endpoint: str,
        make: Callable[[], tuple[Any, Any]],
        answer_timeout_s: float = ANSWER_TIMEOUT_S,
        quiet_s: float = QUIET_S,
    ) -> None:
        """`make` gives a new client of the SDK, not connected, and its substrate."""
        self.endpoint = endpoint
        self._answer_timeout_s = answer_timeout_s
        self._quiet_s = quiet_s
        self._make = make
        self._client, self._substrate = make()
        self._silent = False
        self._replacing = asyncio.Lock()
        self._one_in_flight: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        network: str,
        *,
        answer_timeout_s: float = ANSWER_TIMEOUT_S,
        quiet_s: float = QUIET_S,
    ) -> AsyncIterator[Chain]:
        """Open `network`: a ws:// or wss:// endpoint, or the SDK's name of one (finney, test)."""
        from bittensor import Client, RpcSubstrate
        from bittensor.settings import (
            default_archive_endpoints,
            default_fallback_endpoints,
            resolve_endpoint,
        )

        try:
            label, endpoint = resolve_endpoint(network)
        except ValueError as error:
            raise ChainRefused("UnknownNetwork", str(error)) from error

        def make() -> tuple[Any, Any]:
            substrate = RpcSubstrate(
                endpoint,
                fallback_endpoints=default_fallback_endpoints(label),
                archive_endpoints=default_archive_endpoints(label),
            )
            return Client(network, substrate=substrate), substrate

        chain = cls(endpoint, make, answer_timeout_s, quiet_s)
        with translated(endpoint):
            await _within(answer_timeout_s, chain._client.connect())
        try:
            yield chain
        finally:
            await chain._hang_up()

    async def _hang_up(self) -> None:
        # The SDK's close waits for ever when a frame comes in just as it cancels its reader.
        with suppress(Exception):  # whatever it says, the connection is not used any more
            await _within(CLOSE_S, self._client.close())

    async def _ensure_heard(self) -> None:
        """Replace a connection on which an answer stayed out: it may be open, and dead.

        Raises ChainAway; whatever else waits on the old connection ends with ChainAway too.
        """
        if not self._silent:
            return
        async with self._replacing:
            if not self._silent:
                return
            await self._hang_up()
            self._client, self._substrate = self._make()
            with translated(self.endpoint):
                await _within(self._answer_timeout_s, self._client.connect())
            self._silent = False

    # The chain itself

    @asynccontextmanager
    async def _answer(self) -> AsyncIterator[None]:
        """A read: it ends in time, and what goes wrong is ChainAway or ChainRefused."""
        await self._ensure_heard()
        with translated(self.endpoint):
            try:
                async with asyncio.timeout(self._answer_timeout_s):
                    yield
            except TimeoutError as error:
                self._silent = True
                raise TimeoutError(f"no answer within {self._answer_timeout_s:g} s") from error

    async def block(self) -> int:
        """Number of the newest block."""
        async with self._answer():
            return int(await self._client.block())

    async def finalized_block(self) -> int:
        """Number of the newest block that cannot be undone."""
        async with self._answer():
            return int(await self._client.finalized_block())

    async def block_hash(self, block: int | None = None) -> str:
        """Hash of `block`, or of the newest one; 0x and 64 hex digits."""
        async with self._answer():
            found = await self._substrate.block_hash(block)
        if found is None:
            raise ChainRefused("BlockNotFound", f"there is no block {block}")
        return str(found)

    async def block_time(self) -> float:
        """Seconds between blocks, as the chain declares it."""
        async with self._answer():
            return float(await self._client.block_time())

    async def spec_version(self) -> int:
        """Version of the runtime at the newest block."""
        async with self._answer():
            return int(await self._client.spec_version())

    async def blocks(self, *, finalized: bool = False) -> AsyncGenerator[int, None]:
        """Block numbers as they come, the current one first; slow readers may miss some.

        A subscription that falls silent is checked against the chain and opened anew: the SDK's
        can die with its session and say nothing.
        """
        newest = -1
        while True:
            headers = self._client.blocks(finalized=finalized)
            try:
                while True:
                    with translated(self.endpoint):
                        header = await _within(self._quiet_s, anext(headers, None))
                    if header is None:
                        raise ChainAway(self.endpoint, "the block subscription ended")
                    newest = int(header.number)
                    yield newest
            except ChainAway as away:
                if not isinstance(away.__cause__, TimeoutError):
                    raise
            finally:
                with suppress(Exception):  # whatever ends a subscription, it is over
                    await _within(CLOSE_S, headers.aclose())
            number = await (self.finalized_block() if finalized else self.block())
            if number > newest:
                newest = number
                yield newest

    async def wait_for_block(self, block: int) -> int:
        """Wait until `block` is there; the number of the newest one."""
        async with aclosing(self.blocks()) as numbers:
            async for number in numbers:
                if number >= block:
                    return number
        raise ChainAway(self.endpoint, "the block subscription ended")

    async def events(self, block: int) -> tuple[Event, ...]:
        """Everything that happened in `block`, in order."""
        block_hash = await self.block_hash(block)
        async with self._answer():
            return tuple(_event(record) for record in await self._substrate.events(block_hash))

    async def query(self, pallet: str, item: str, *keys: object, block: int | None = None) -> Any:
        """One storage value, decoded by the chain's metadata; None when it has no default."""
        at = None if block is None else await self.block_hash(block)
        async with self._answer():
            return await self._substrate.query(pallet, item, list(keys), block_hash=at)

    async def query_map(
        self, pallet: str, item: str, *keys: object, block: int | None = None
    ) -> list[tuple[Any, Any]]:
        """All (key, value) of a storage map below `keys`."""
        at = None if block is None else await self.block_hash(block)
        async with self._answer():
            rows = await self._substrate.query_map(pallet, item, list(keys), block_hash=at)
            return list(rows)

    # A subnet

    async def metagraph(self, netuid: int, block: int | None = None) -> Metagraph:
        """All seats of `netuid` at `block`, or at the newest one."""
        from bittensor import runtime_api

        async with self._answer():
            record = await self._client.runtime(
                runtime_api.SubnetInfoRuntimeApi.get_metagraph, [int(netuid)], block=block
            )
        if not isinstance(record, dict):
            raise ChainRefused("SubnetNotExists", f"there is no subnet {netuid}")
        return from_record(netuid, record, await self._tls_keys(netuid, int(record["block"])))

    async def _tls_keys(self, netuid: int, block: int) -> dict[str, bytes]:
        """What hotkeys (ss58) published with their axons: an algorithm byte and a public key."""
        rows = await self.query_map(
            "SubtensorModule", "NeuronCertificates", int(netuid), block=block
        )
        return {str(hotkey): tls_key(certificate) for hotkey, certificate in rows}

    async def hyperparameters(self, netuid: int, block: int | None = None) -> Hyperparameters:
        """The settings of `netuid`, all read at one block."""
        at = await self.block() if block is None else block
        names = (
            "Tempo",
            "WeightsSetRateLimit",
            "CommitRevealWeightsEnabled",
            "RevealPeriodEpochs",
            "MinAllowedWeights",
            "WeightsVersionKey",
            "MaxAllowedValidators",
            "ImmunityPeriod",
            "ServingRateLimit",
        )
        values = await asyncio.gather(
            *(self.query("SubtensorModule", name, int(netuid), block=at) for name in names)
        )
        tempo, rate, commit, reveal, minimum, version, validators, immunity, serving = (
            int(value or 0) for value in values
        )
        return Hyperparameters(
            tempo=tempo,
            weights_rate_limit=rate,
            commit_reveal_weights_enabled=bool(commit),
            reveal_period_epochs=reveal,
            min_allowed_weights=minimum,
            weights_version=version,
            max_validators=validators,
            immunity_period=immunity,
            serving_rate_limit=serving,
        )

    async def schedule(self, netuid: int, block: int | None = None) -> Schedule:
        """When epochs of `netuid` ran and will run, seen from `block`."""
        at = await self.block() if block is None else block
        names = ("Tempo", "SubnetEpochIndex", "LastEpochBlock", "PendingEpochAt")
        values = await asyncio.gather(
            *(self.query("SubtensorModule", name, int(netuid), block=at) for name in names)
        )
        tempo, epochs, last, pending = (int(value or 0) for value in values)
        automatic = last + tempo
        return Schedule(
            block=at,
            tempo=tempo,
            epochs=epochs,
            last_block=last,
            next_block=(min(automatic, pending) if pending else automatic) if tempo else None,
        )

    async def find_uid(self, netuid: int, hotkey: str) -> int | None:
        """The seat of `hotkey` (ss58) on `netuid`, or None."""
        uid = await self.query("SubtensorModule", "Uids", int(netuid), hotkey)
        return None if uid is None else int(uid)

    async def weights(
        self, netuid: int, uid: int, block: int | None = None, *, mechanism: int = 0
    ) -> dict[int, int]:
        """The row that `uid` has set in one mechanism, {uid: u16}; empty when it has set none."""
        index = storage_index(netuid, mechanism)
        row = await self.query("SubtensorModule", "Weights", index, int(uid), block=block)
        return {int(target): int(value) for target, value in row or ()}

    async def last_update(
        self, netuid: int, uid: int, block: int | None = None, *, mechanism: int = 0
    ) -> int:
        """Block of the last row, or commit to one, of `uid` in one mechanism.

        That of its registration until it sets one; 0 where the chain knows of none.
        """
        index = storage_index(netuid, mechanism)
        blocks = await self.query("SubtensorModule", "LastUpdate", index, block=block)
        return int(blocks[uid]) if blocks and uid < len(blocks) else 0

    async def commitment(
        self, netuid: int, hotkey: str, block: int | None = None
    ) -> Commitment | None:
        """What `hotkey` (ss58) last published with `set_commitment`, as seen from `block`."""
        record = await self.query("Commitments", "CommitmentOf", int(netuid), hotkey, block=block)
        return None if record is None else Commitment.from_record(record)

    async def waiting_commits(
        self, netuid: int, hotkey: str, block: int | None = None, *, mechanism: int = 0
    ) -> tuple[WaitingCommit, ...]:
        """What `hotkey` (ss58) has committed in one mechanism and the chain holds, oldest first.

        A salted commit is held until it is revealed or, once its epoch to be revealed in is over,
        until the next commit; a sealed one until it is opened or that epoch is over.
        """
        at = await self.block() if block is None else block
        index = storage_index(netuid, mechanism)
        salted, sealed = await asyncio.gather(
            self.query("SubtensorModule", "WeightCommits", index, hotkey, block=at),
            self.query_map("SubtensorModule", "TimelockedWeightCommits", index, block=at),
        )
        found = [WaitingCommit.salted(entry) for entry in salted or ()]
        found += [
            WaitingCommit.sealed(epoch, entry)
            for epoch, entries in sealed
            for entry in entries
            if entry[0] == hotkey
        ]
        return tuple(sorted(found, key=lambda commit: commit.block))

    # Accounts

    async def balance(self, coldkey: str) -> Rao:
        """Free TAO of `coldkey` (ss58)."""
        async with self._answer():
            return Rao((await self._client.balances.get(coldkey)).rao)

    async def stake(self, coldkey: str, hotkey: str, netuid: int) -> Alpha:
        """What `coldkey` has staked on `hotkey` (both ss58) on `netuid`."""
        async with self._answer():
            return Alpha((await self._client.staking.get(coldkey, hotkey, int(netuid))).rao)

    async def nonce(self, account: str, block: int | None = None) -> int:
        """How many extrinsics of `account` (ss58) had run after `block`; its next one's number.

        What waits in a pool is not in it.
        """
        record = await self.query("System", "Account", account, block=block)
        return 0 if record is None else int(record["nonce"])

    async def network_cost(self) -> Rao:
        """What `register_network` would lock now."""
        async with self._answer():
            return Rao((await self._client.subnets.subnet_registration_cost()).rao)

    # Everything signed

    async def submit(
        self, request: Any, signer: Signer, *, role: str = "coldkey", nonce: int | None = None
    ) -> Receipt:
        """Sign and send a Call or an SDK intent; wait until it is final.

        At most one extrinsic a key is under way: a shielded call uses the nonces n and n+1, so a
        second one beside it would take one of them. What cannot have had an effect (an outdated
        nonce or era, a shielded call that was not opened in time) is signed anew.

        With `nonce` it is signed once, with that one: of all extrinsics with it the chain takes
        one. If it was not this one, ChainRefused has a name in `SIGN_ANEW`.
        """
        address = signer.ss58_address
        async with self._one_in_flight[address]:
            if nonce is not None:
                return await self._send(request, signer, role, nonce)
            for attempt in range(1, SIGN_ANEW_ATTEMPTS + 1):
                try:
                    return await self._send(request, signer, role)
                except ChainRefused as refused:
                    if refused.name not in SIGN_ANEW or attempt == SIGN_ANEW_ATTEMPTS:
                        raise
            raise AssertionError("unreachable")

    async def _send(
        self, request: Any, signer: Signer, role: str, nonce: int | None = None
    ) -> Receipt:
        era_s = ERA_BLOCKS * await self.block_time()
        with translated(self.endpoint):
            # The SDK caches next nonces, and after a shielded pair n, n+1 it remembers n.
            self._substrate.raw.clear_nonce_cache_for_account(signer.ss58_address)
        with translated(self.endpoint):
            result = await self._while_heard(self._executed(request, signer, role, nonce), era_s)
        if not result.success:
            raise self._refusal(result)
        block, _, index = str(result.extrinsic_id).partition("-")
        return Receipt(
            block=int(block),
            index=int(index),
            block_hash=str(result.block_hash),
            fee=Rao(result.fee.rao if result.fee is not None else 0),
            events=tuple(_event(record) for record in result.events),
            data=dict(result.data),
        )

    async def _executed(
        self, request: Any, signer: Signer, role: str, nonce: int | None = None
    ) -> Any:
        if nonce is not None:
            return await self._numbered(request, signer, nonce)
        if isinstance(request, Call):
            return await self._client.submit_call(
                await self._composed(request), signer, signer=role
            )
        return await self._client.execute(request, signer)

    async def _numbered(self, request: Any, signer: Signer, nonce: int) -> Any:
        """As the SDK executes a request that is not shielded, which takes no nonce there."""
        if isinstance(request, Call):
            composed = await self._client.compose(await self._composed(request))
            return await self._substrate.submit(composed, signer, nonce=nonce)
        plan = await self._client.plan(request, signer)
        result = await self._substrate.submit(plan.call, signer, nonce=nonce)
        return dataclasses.replace(result, data={**result.data, **plan.extras})

    async def _while_heard(self, work: Coroutine[Any, Any, T], limit_s: float) -> T:
        """The result of `work`, which may take many blocks; ChainAway once no read is answered.

        The SDK's own pings find a dead socket after most of a minute, and never a node that
        answers pings and nothing else: there an extrinsic was waited for to the end of its era.
        After `limit_s` it is waited for no more; the read under way then still says whether the
        connection is dead, and to be replaced.
        """
        clock = asyncio.get_running_loop().time
        end = clock() + limit_s
        task = asyncio.create_task(work)
        try:
            while not task.done():
                left = end - clock()
                if left <= 0:
                    raise TimeoutError(
                        f"an extrinsic was not final within its era of {limit_s:g} s"
                    )
                await asyncio.wait({task}, timeout=min(left, self._quiet_s))
                if not task.done():
                    with suppress(ChainRefused):  # an answer too, and none about the extrinsic
                        await self.block()
            return task.result()
        finally:
            task.add_done_callback(lambda late: late.cancelled() or late.exception())
            if not task.done():
                task.cancel()
                await asyncio.wait({task}, timeout=CLOSE_S)

    async def _composed(self, call: Call) -> tuple[str, str, dict[str, Any]]:
        """`call` for the SDK: calls among its arguments must be encoded first."""
        args = {}
        for name, value in call.args.items():
            if isinstance(value, Call):
                value = await self._client.compose(await self._composed(value))
            elif isinstance(value, list) and value and isinstance(value[0], Call):
                value = [await self._client.compose(await self._composed(item)) for item in value]
            args[name] = value
        return call.pallet, call.function, args

    def _refusal(self, result: Any) -> ChainError:
        if result.error is None:
            return ChainRefused("Failed", result.message)
        return refusal(self.endpoint, result.error)

    async def register_network(self, coldkey: Signer, hotkey: str) -> int:
        """Create a subnet with `hotkey` (ss58) in its first seat; its netuid."""
        from bittensor.intents import RegisterSubnet

        receipt = await self.submit(RegisterSubnet(hotkey_ss58=hotkey), coldkey)
        # Never assume the number: a fresh chain has subnet 1 already, and numbers are re-used.
        return int(receipt.data["netuid"])

    async def start_call(self, coldkey: Signer, netuid: int) -> Receipt:
        """Let `netuid` trade its token and earn; its owner signs, once."""
        return await self.submit(
            Call("SubtensorModule", "start_call", {"netuid": int(netuid)}), coldkey
        )

    async def register(self, coldkey: Signer, netuid: int, hotkey: str) -> int:
        """Buy a seat for `hotkey` (ss58); its uid. The SDK sends it shielded."""
        from bittensor.intents import BurnedRegister

        await self.submit(BurnedRegister(netuid=int(netuid), hotkey_ss58=hotkey), coldkey)
        uid = await self.find_uid(netuid, hotkey)
        if uid is None:
            raise ChainRefused("HotKeyNotRegisteredInSubNet", f"{hotkey} was pruned at once")
        return uid

    async def serve_axon(
        self, hotkey: Signer, netuid: int, host: str, port: int, *, tls_key: bytes | None = None
    ) -> Receipt:
        """Publish where `hotkey` listens; `host` is an IP address (the chain refuses 127.0.0.1).

        `tls_key` is one algorithm byte and the public key it answers with, 64 bytes at most. The
        chain keeps the last one published when there is none here; one byte alone withdraws it.
        """
        from bittensor.intents import ServeAxon, ServeAxonTls

        where: dict[str, Any] = {"netuid": int(netuid), "ip": host, "port": port}
        if tls_key is None:
            return await self.submit(ServeAxon(**where), hotkey, role="hotkey")
        intent = ServeAxonTls(**where, certificate="0x" + tls_key.hex())
        return await self.submit(intent, hotkey, role="hotkey")

    async def serve_explanations(
        self, hotkey: Signer, netuid: int, host: str, port: int, *, tls_key: bytes
    ) -> Receipt:
        """Publish where `hotkey` explains scores, in the place of an axon, and marked as none."""
        address = ipaddress.ip_address(host)
        args = {
            "netuid": int(netuid),
            "version": 1,
            "ip": int(address),
            "port": port,
            "ip_type": address.version,
            "protocol": 4,
            "placeholder1": EXPLAINS,
            "placeholder2": 0,
            "certificate": tls_key,
        }
        call = Call("SubtensorModule", "serve_axon_tls", args)
        return await self.submit(call, hotkey, role="hotkey")

    async def set_commitment(self, hotkey: Signer, netuid: int, *fields: bytes) -> Receipt:
        """Publish up to three fields of 128 bytes under `hotkey`, instead of those before.

        It costs nothing; a hotkey may publish 3100 bytes an epoch, and each time counts for 100
        at least (refused: SpaceLimitExceeded).
        """
        return await self.submit(commitment_call(netuid, fields), hotkey, role="hotkey")

    async def set_weights(
        self,
        hotkey: Signer,
        netuid: int,
        weights: Mapping[int, float],
        *,
        version: int = 0,
        mechanism: int = 0,
        nonce: int | None = None,
    ) -> WeightsReceipt:
        """Set the row of `hotkey` in one mechanism from shares {uid: float}; floats end here.

        Sent in plain or as a timelocked commit, as the subnet asks; `nonce` as for `submit`.
        Raises ValueError when the weights are no weights.
        """
        from bittensor.intents import SetWeights

        row = quantize(weights)
        intent = SetWeights(
            netuid=int(netuid),
            uids=list(row),
            weights=[float(weights[uid]) for uid in row],
            version_key=version,
            mechid=mechanism,
        )
        receipt = await self.submit(intent, hotkey, role="hotkey", nonce=nonce)
        reveal = receipt.data.get("reveal_round")
        return WeightsReceipt(receipt.block, row, None if reveal is None else int(reveal))

    async def commit_weights(
        self, hotkey: Signer, commit: SaltedCommit, *, nonce: int | None = None
    ) -> Receipt:
        """Put the hash of `commit` on the chain; its row and salt must be safe by now.

        Refused here, as the SDK does for sealed rows, when the row is too short: the chain would
        only say so at the reveal. `nonce` as for `submit`.
        """
        settings = await self.hyperparameters(commit.netuid)
        least = settings.min_allowed_weights
        if len(commit.row) < least:
            uid = await self.find_uid(commit.netuid, commit.hotkey)
            if list(commit.row) != [uid]:
                text = f"{len(commit.row)} weights, and the subnet wants {least} at least"
                raise ChainRefused("WeightVecLengthIsLow", text)
        return await self.submit(commit.commit(), hotkey, role="hotkey", nonce=nonce)

    async def reveal_weights(self, hotkey: Signer, commit: SaltedCommit) -> Receipt:
        """Show the row of `commit`, which holds from the receipt's block on.

        The chain takes it in one epoch only: `reveal_period_epochs` after that of the commit.
        """
        return await self.submit(commit.reveal(), hotkey, role="hotkey")

    async def add_stake(
        self,
        coldkey: Signer,
        hotkey: str,
        netuid: int,
        amount: Rao,
        *,
        tolerance: float | None = 0.05,
    ) -> Receipt:
        """Buy alpha for `amount` and put it on `hotkey` (ss58).

        Refused when that would move the price by more than `tolerance`; None takes any price.
        """
        from bittensor import Balance
        from bittensor.intents import AddStake

        intent = AddStake(
            hotkey_ss58=hotkey,
            netuid=int(netuid),
            amount_tao=Balance.from_rao(int(amount)),
            slippage_protection=tolerance is not None,
            rate_tolerance=tolerance or 0.0,
        )
        return await self.submit(intent, coldkey)

    async def remove_stake(
        self,
        coldkey: Signer,
        hotkey: str,
        netuid: int,
        amount: Alpha,
        *,
        tolerance: float | None = 0.05,
    ) -> Receipt:
        """Take `amount` of alpha from `hotkey` (ss58) and sell it; `tolerance` as above."""
        from bittensor import Balance
        from bittensor.intents import RemoveStake

        intent = RemoveStake(
            hotkey_ss58=hotkey,
            netuid=int(netuid),
            amount_alpha=Balance.from_rao(int(amount), int(netuid)),
            slippage_protection=tolerance is not None,
            rate_tolerance=tolerance or 0.0,
        )
        return await self.submit(intent, coldkey)


async def _within(seconds: float, work: Awaitable[T]) -> T:
    """The result of `work`, or TimeoutError; work that ignores its cancellation is left behind."""
    task = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        task.cancel()
        raise
    if done:
        return task.result()
    task.cancel()
    task.add_done_callback(lambda late: late.cancelled() or late.exception())
    await asyncio.wait({task}, timeout=CLOSE_S)
    raise TimeoutError(f"nothing within {seconds:g} s")


def _event(record: Any) -> Event:
    event = record["event"]
    index = record.get("extrinsic_idx")
    return Event(
        pallet=str(event["module_id"]),
        name=str(event["event_id"]),
        attributes=event.get("attributes"),
        extrinsic=None if index is None else int(index),
    )

"""The runtime as a whole: blocks from extrinsics, verdicts for the pool, answers to API calls.

Pure: the same state, parent, extrinsics and timestamp give the same block. Which runtime this is:
names, indices and types are those that SDK 11.3 was generated from; rules are those of spec 425.
"""

from __future__ import annotations

import functools
import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from chain.errors import DispatchError, InvalidTransaction, ModuleError, ScaleError
from chain.runtime import extrinsic as envelope
from chain.runtime.apis import APIS
from chain.runtime.construct import PALLETS
from chain.runtime.extrinsic import Extrinsic, Implicit, Signing
from chain.runtime.frame import (
    NONE,
    Block,
    Call,
    ConstantSpec,
    Ctx,
    dispatch,
    run_guards,
    signed,
)
from chain.runtime.genesis import GenesisConfig, write_genesis
from chain.runtime.metadata import metadata
from chain.runtime.outcome import DispatchClass, DispatchInfo, Pays, Weight
from chain.runtime.pallets import absent, devnet, drand, payment, shield, sudo, system
from chain.runtime.state import EmptyState, State, StateReader
from chain.scale import U64, Tagged, codec
from chain.types import H256, AccountId

_log = logging.getLogger(__name__)

SPEC_NAME = "node-subtensor"
SPEC_VERSION = 425
"""The version whose rules are followed, and what clients key their caches of metadata by."""
TRANSACTION_VERSION = 1

CUSTOM_CODES: Mapping[str, int] = {
    "ColdkeySwapAnnounced": 0,
    "AmountTooLow": 1,
    "NotEnoughStakeToSetWeights": 1,
    "NotEnoughBalanceToStake": 2,
    "SubnetNotExists": 3,
    "HotKeyAccountNotExists": 4,
    "NotEnoughStakeToWithdraw": 5,
    "CommittingWeightsTooFast": 6,
    "SettingWeightsTooFast": 6,
    "NetworkTxRateLimitExceeded": 6,
    "InsufficientLiquidity": 7,
    "SlippageTooHigh": 8,
    "TransferDisallowed": 9,
    "HotKeyNotRegisteredInNetwork": 10,
    "InvalidIpAddress": 11,
    "ServingRateLimitExceeded": 12,
    "InvalidPort": 13,
    "InvalidRevealRound": 15,
    "NoWeightsCommitFound": 16,
    "RevealTooEarly": 17,
    "InputLengthsUnequal": 18,
    "HotKeyNotRegisteredInSubNet": 19,
    "EvmKeyAssociateRateLimitExceeded": 20,
    "ColdkeySwapDisputed": 21,
    "NonAssociatedColdKey": 25,
    "DelegateTakeTooLow": 26,
    "DelegateTakeTooHigh": 27,
}
"""What a guard's refusal is called in the pool; any other is 255."""
BAD_REQUEST = 255
FAILED_SHIELDED_PARSING = 23


@dataclass(frozen=True)
class RuntimeConfig:
    """What a chain is born with. `shield_seed` is the 64-byte seed of the MEV-shield key."""

    genesis: GenesisConfig
    author: AccountId
    slot_duration_ms: int = 250
    shield_seed: bytes = bytes(64)


@dataclass(frozen=True)
class Parent:
    """What a block or a verdict needs to know of the block before it."""

    number: int
    hash: bytes


@dataclass(frozen=True)
class Verdict:
    """A valid extrinsic: tags it needs and gives, blocks it lives, and its rank."""

    requires: tuple[bytes, ...]
    provides: tuple[bytes, ...]
    longevity: int
    priority: int


@dataclass(frozen=True)
class Built:
    """A block: its extrinsics, what it changes, and the candidates it left out."""

    extrinsics: tuple[bytes, ...]
    changes: Mapping[bytes, bytes | None]
    rejected: tuple[tuple[bytes, InvalidTransaction], ...]


@dataclass(frozen=True)
class _Applied:
    """An extrinsic that went into the block, and what it carried sealed."""

    carried: bytes | None = None


class Runtime:
    """The state transition, for one configuration. Holds no chain state."""

    def __init__(self, config: RuntimeConfig) -> None:
        self.config = config
        self._last_opened: tuple[StateReader, Parent, Ctx] | None = None

    @functools.cached_property
    def version(self) -> system.RuntimeVersion:
        """Names, numbers, and the APIs by the hash of their names."""
        apis = [
            (hashlib.blake2b(api.name.encode(), digest_size=8).digest(), api.version)
            for api in APIS.apis
        ]
        return system.RuntimeVersion(
            SPEC_NAME, SPEC_NAME, 1, SPEC_VERSION, 1, apis, TRANSACTION_VERSION, 1
        )

    @functools.cache  # noqa: B019  a runtime lives as long as its node
    def metadata(self, version: int = 14) -> bytes:
        """The metadata blob of `version` 14 or 15; ValueError for others."""
        own = {
            "System": (ConstantSpec("Version", codec(system.RuntimeVersion), self.version, ""),),
            "Aura": (ConstantSpec("SlotDuration", codec(U64), self.config.slot_duration_ms, ""),),
        }
        return metadata(version, tuple(api.describe() for api in APIS.apis), own)

    def genesis(self) -> dict[bytes, bytes]:
        """The state of block 0."""
        state = State(EmptyState())
        ctx = Ctx(Block(state, 0, self.config.author, self))
        write_genesis(ctx, self.config.genesis)
        shield.NextKey.put(ctx, shield.public_key(self.config.shield_seed))
        shield.CurrentKey.put(ctx, shield.public_key(self.config.shield_seed))
        system.LastRuntimeUpgrade.put(ctx, system.LastRuntimeUpgradeInfo(SPEC_VERSION, SPEC_NAME))
        return {key: value for key, value in state.changes().items() if value is not None}

    def call(self, state: StateReader, method: str, args: bytes) -> bytes:
        """Run a runtime API over `state`. Raises UnknownApi and ScaleError."""
        view = State(state)
        number_raw = view.get(system.Number.prefix)
        number = int.from_bytes(number_raw or b"", "little")
        ctx = Ctx(Block(view, number, self.config.author, self))
        return APIS.call(ctx, method, args)

    # The pool's question

    def validate(self, state: StateReader, parent: Parent, raw: bytes) -> Verdict:
        """Whether the block after `parent` or a later one could take the extrinsic.

        Raises ScaleError for what is no extrinsic and InvalidTransaction for one that cannot run.
        """
        ctx = self._opened(state, parent)
        xt = envelope.decode(raw)
        if xt.signing is None:  # a pulse of the beacon; inherents are made here, never submitted
            tag = drand.ensure_unsigned(ctx, xt.call)
            return Verdict((), (tag,), drand.LONGEVITY, drand.PRIORITY)
        self._ensure_signed(ctx, xt, xt.signing)
        account, nonce = xt.signing.account, xt.signing.nonce
        expected = system.Account.get(ctx, account).nonce
        if nonce < expected:
            raise InvalidTransaction("Stale")
        requires = (_tag(account, nonce - 1),) if nonce > expected else ()
        self._ensure_admitted(ctx, xt, xt.signing, future=nonce > expected)
        longevity = min(xt.signing.era.death(parent.number + 1) - parent.number - 1, 2**63)
        operational = PALLETS.spec(xt.call).operational
        return Verdict(
            requires, (_tag(account, nonce),), longevity, 10_000_000_000 if operational else 1
        )

    def _opened(self, state: StateReader, parent: Parent) -> Ctx:
        """The block after `parent` as its first extrinsic finds it; the last one is remembered.

        Nothing that the pool asks writes, so it serves all extrinsics that come to one head.
        """
        last = self._last_opened
        if last is None or last[0] is not state or last[1] != parent:
            last = self._last_opened = (state, parent, self._open(state, parent))
        return last[2]

    # The author's question

    def build_block(
        self,
        state: StateReader,
        parent: Parent,
        candidates: Sequence[bytes],
        timestamp_ms: int,
        cheat: Callable[[Ctx], None] | None = None,
    ) -> Built:
        """The block after `parent`: hooks, the time, then the candidates in order.

        Where `state` is a `State`, that is what the block is written into.
        `cheat` is done by root before the candidates, in the phase of the hooks; what it raises
        is raised here, and there is no block.
        """
        ctx = self._open(state, parent)
        env = ctx.block_env
        for pallet in PALLETS:
            for hook in pallet.initialize_hooks:
                hook(ctx)
        included: list[bytes] = []
        rejected: list[tuple[bytes, InvalidTransaction]] = []
        now = Call("Timestamp", "set", {"now": timestamp_ms})
        self._apply_inherent(ctx, now)
        included.append(envelope.unsigned(now))
        if cheat is not None:
            env.extrinsic_index = None
            cheat(ctx)
        size = 0
        for raw in candidates:
            if size + len(raw) > system.MAX_BLOCK_BYTES * 3 // 4:
                rejected.append((raw, InvalidTransaction("ExhaustsResources")))
                continue
            env.extrinsic_index = len(included)
            try:
                carried = self._apply(ctx, raw)
            except InvalidTransaction as error:
                rejected.append((raw, error))
                continue
            except ScaleError:
                rejected.append((raw, InvalidTransaction("Call")))
                continue
            included.append(raw)
            size += len(raw)
            if carried is not None:
                included.extend(self._apply_carried(ctx, carried, len(included)))
        env.extrinsic_index = None
        for pallet in PALLETS:
            for hook in pallet.finalize_hooks:
                hook(ctx)
        self._close(ctx, len(included))
        return Built(tuple(included), env.state.changes(), tuple(rejected))

    def _open(self, state: StateReader, parent: Parent) -> Ctx:
        number = parent.number + 1
        view = state if isinstance(state, State) else State(state)
        env = Block(view, number, self.config.author, self, parent.hash, extrinsic_index=None)
        ctx = Ctx(env)
        system.Number.put(ctx, number)
        system.ParentHash.put(ctx, H256(parent.hash))
        system.BlockHash.put(ctx, parent.number, H256(parent.hash))
        if number > system.BLOCK_HASH_COUNT + 1:
            # Genesis stays: every signature is bound to it.
            oldest = number - system.BLOCK_HASH_COUNT - 1
            if oldest:
                system.BlockHash.remove(ctx, oldest)
        return ctx

    def _close(self, ctx: Ctx, extrinsics: int) -> None:
        env = ctx.block_env
        records = [
            system.EventRecord(
                _INITIALIZATION if index is None else Tagged("ApplyExtrinsic", index), event, []
            )
            for index, event in env.events
        ]
        system.Events.put(ctx, records)
        system.EventCount.put(ctx, len(records))
        system.ExtrinsicCount.put(ctx, extrinsics)

    def _apply_inherent(self, ctx: Ctx, call: Call) -> None:
        ctx.block_env.extrinsic_index = 0
        dispatch(ctx.as_origin(NONE), call)
        ctx.deposit(system.ExtrinsicSuccess(_info(call, DispatchClass.Mandatory)))

    def _apply(self, ctx: Ctx, raw: bytes) -> bytes | None:
        """Run one extrinsic; returns what a shielded carrier holds, still sealed."""
        xt = envelope.decode(raw)
        if xt.signing is None:
            drand.ensure_unsigned(ctx, xt.call)
            _tell(ctx, xt.call, _outcome(ctx.as_origin(NONE), xt.call))
            return None
        signing, call = xt.signing, xt.call
        self._ensure_signed(ctx, xt, signing)
        nonce = system.Account.get(ctx, signing.account).nonce
        if signing.nonce != nonce:
            raise InvalidTransaction("Stale" if signing.nonce < nonce else "Future")
        bill = self._ensure_admitted(ctx, xt, signing, future=False)
        payment.charge(ctx, bill)
        system.inc_nonce(ctx, signing.account)
        failure = _outcome(ctx.as_origin(signed(signing.account)), call)
        payment.settle(ctx, bill)
        _tell(ctx, call, failure)
        if failure is None and (call.pallet, call.name) == ("MevShield", "submit_encrypted"):
            sealed: bytes = call.args["ciphertext"]
            return sealed
        return None

    def _apply_carried(self, ctx: Ctx, sealed: bytes, index: int) -> list[bytes]:
        """Open a carrier and run what is inside; a bad inner extrinsic is left out, and logged."""
        try:
            raw = shield.unseal(self.config.shield_seed, sealed)
            ctx.block_env.extrinsic_index = index
            self._apply(ctx, raw)
        except (ValueError, InvalidTransaction) as error:
            _log.info("a shielded extrinsic was not applied: %s", error)
            return []
        return [raw]

    # What both ask

    def _ensure_signed(self, ctx: Ctx, xt: Extrinsic, signing: Signing) -> None:
        if signing.account == bytes(32):
            raise InvalidTransaction("BadSigner")
        birth = signing.era.birth(ctx.block)
        birth_hash = system.BlockHash.find(ctx, birth)
        genesis_hash = system.BlockHash.get(ctx, 0)
        if birth_hash is None:
            raise InvalidTransaction("AncientBirthBlock")
        if envelope.is_blank(signing) and devnet.Impersonated.get(ctx, signing.account):
            return  # a cheat of development chains; nobody can be impersonated on any other
        implicit = Implicit(SPEC_VERSION, TRANSACTION_VERSION, genesis_hash, birth_hash)
        envelope.ensure_signature(xt, implicit)

    def _ensure_admitted(
        self, ctx: Ctx, xt: Extrinsic, signing: Signing, *, future: bool
    ) -> payment.Bill:
        """The extensions after the nonce: payment, sudo, shield, guards. Returns what is due."""
        who, call = signing.account, xt.call
        absent.ensure_here(call)
        bill = payment.bill(ctx, who, call, len(xt.raw), signing.tip)
        payment.ensure_payable(ctx, bill)
        if call.pallet == "Sudo" and who != sudo.Key.find(ctx):
            raise InvalidTransaction("BadSigner")
        if (call.pallet, call.name) == ("MevShield", "submit_encrypted"):
            period = signing.era.period
            if not period or period > shield.MAX_ERA_PERIOD:
                raise InvalidTransaction("Custom", FAILED_SHIELDED_PARSING)
            shield.ensure_known_key(ctx, call.args["ciphertext"])
            self._ensure_carried_is_here(call.args["ciphertext"])
        if not future:  # what an extrinsic before it may still change is not judged yet
            try:
                run_guards(ctx.as_origin(signed(who)), call)
            except ModuleError as error:
                code = CUSTOM_CODES.get(error.name, BAD_REQUEST)
                raise InvalidTransaction("Custom", code) from error
        return bill

    def _ensure_carried_is_here(self, sealed: bytes) -> None:
        """Tell of a call that is not here before its carrier is paid for, while it can be told."""
        try:
            inner = envelope.decode(shield.unseal(self.config.shield_seed, sealed))
        except ValueError:
            return  # the carrier is taken all the same, as where nobody can look inside
        absent.ensure_here(inner.call)


_INITIALIZATION = Tagged("Initialization")


def _tag(account: AccountId, nonce: int) -> bytes:
    return account + nonce.to_bytes(4, "little")


def _outcome(ctx: Ctx, call: Call) -> DispatchError | None:
    try:
        dispatch(ctx, call)
    except DispatchError as error:
        return error
    return None


def _tell(ctx: Ctx, call: Call, failure: DispatchError | None) -> None:
    """Deposit the event that says how the extrinsic ended."""
    info = _info(call, DispatchClass.Normal)
    if failure is None:
        ctx.deposit(system.ExtrinsicSuccess(info))
    else:
        ctx.deposit(system.ExtrinsicFailed(failure, info))


def _info(call: Call, dispatch_class: DispatchClass) -> DispatchInfo:
    weight = system.BASE_EXTRINSIC_WEIGHT + payment.weight(call)
    return _dispatch_info(weight, dispatch_class, payment.pays(call))


@functools.lru_cache(maxsize=256)
def _dispatch_info(weight: int, dispatch_class: DispatchClass, pays: bool) -> DispatchInfo:
    return DispatchInfo(Weight(weight, 0), dispatch_class, Pays.Yes if pays else Pays.No)

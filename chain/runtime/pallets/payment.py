"""TransactionPayment: what a signed extrinsic costs, who pays it, and who receives it.

Fee = encoded length x 1 rao + weight x 0.0005 rao, and the tip; the multiplier is always one.
Weights are flat stand-ins for the benchmarks: fees have the chain's form, not its digits.
"""

from __future__ import annotations

from dataclasses import dataclass

from chain.errors import InvalidTransaction
from chain.runtime.fixed import U64_MAX
from chain.runtime.frame import PALLETS, Call, Ctx, Pallet
from chain.runtime.pallets import balances, system
from chain.runtime.pallets.subtensor import storage
from chain.scale import U8, Integer, Newtype, Variants
from chain.types import AccountId, Rao

pallet = Pallet("TransactionPayment", 6, path="pallet_transaction_payment")

FIXED_U128 = Newtype(("sp_arithmetic", "fixed_point", "FixedU128"), Integer(128), int)
NextFeeMultiplier = pallet.value("NextFeeMultiplier", FIXED_U128, default=10**18)
_RELEASES = Variants(
    ("pallet_transaction_payment", "Releases"), ((0, "V1Ancient", None), (1, "V2", None))
)
StorageVersion = pallet.value("StorageVersion", _RELEASES)
pallet.constant("OperationalFeeMultiplier", U8, 5)


@pallet.event(0)
@dataclass(frozen=True)
class TransactionFeePaid:
    """A transaction fee `actual_fee`, of which `tip` was added to the minimum inclusion fee."""

    who: AccountId
    actual_fee: Rao
    tip: Rao


COLDKEY_PAYS = frozenset(
    {
        ("SubtensorModule", "set_weights"),
        ("SubtensorModule", "set_mechanism_weights"),
        ("SubtensorModule", "batch_set_weights"),
        ("SubtensorModule", "commit_weights"),
        ("SubtensorModule", "commit_mechanism_weights"),
        ("SubtensorModule", "batch_commit_weights"),
        ("SubtensorModule", "commit_crv3_mechanism_weights"),
        ("SubtensorModule", "commit_timelocked_weights"),
        ("SubtensorModule", "commit_timelocked_mechanism_weights"),
        ("SubtensorModule", "reveal_weights"),
        ("SubtensorModule", "reveal_mechanism_weights"),
        ("SubtensorModule", "batch_reveal_weights"),
        ("SubtensorModule", "serve_axon"),
        ("SubtensorModule", "serve_axon_tls"),
        ("SubtensorModule", "serve_prometheus"),
        ("SubtensorModule", "associate_evm_key"),
        ("Commitments", "set_commitment"),
    }
)
"""Calls a hotkey signs and its owning coldkey pays for."""
BATCHES = frozenset({"batch", "batch_all", "force_batch"})


def leaves(call: Call) -> list[Call]:
    """The calls inside batches, or the call itself."""
    if call.pallet == "Utility" and call.name in BATCHES:
        return [leaf for inner in call.args["calls"] for leaf in leaves(inner)]
    return [call]


def payer(ctx: Ctx, who: AccountId, call: Call) -> AccountId:
    """Who pays for `call` signed by `who`."""
    if any((leaf.pallet, leaf.name) in COLDKEY_PAYS for leaf in leaves(call)):
        return storage.Owner.find(ctx, who) or who
    return who


def pays(call: Call) -> bool:
    """Whether `call` costs a fee; a batch does when anything in it does."""
    if call.pallet == "Utility" and call.name in BATCHES:
        return any(pays(inner) for inner in call.args["calls"])
    return PALLETS.spec(call).pays or (call.pallet, call.name) in COLDKEY_PAYS


def weight(call: Call) -> int:
    """ref_time of `call` and of the calls inside it."""
    own = PALLETS.spec(call).weight
    inner = [*call.args.get("calls", ()), call.args.get("call")]
    return own + sum([weight(c) for c in inner if isinstance(c, Call)])


def fee(call: Call, length: int, tip: int) -> Rao:
    """The fee of `call` in an extrinsic of `length` bytes, tip included; 0 for a free call."""
    if not pays(call):
        return Rao(tip)
    due = length + (system.BASE_EXTRINSIC_WEIGHT + weight(call)) * 5 // 10_000 + tip
    return Rao(min(due, U64_MAX))


@dataclass(frozen=True)
class Bill:
    """What one extrinsic costs: `fee`, of which `tip` is the tip, to be paid by `payer`."""

    payer: AccountId
    fee: Rao
    tip: Rao


def bill(ctx: Ctx, who: AccountId, call: Call, length: int, tip: int) -> Bill:
    """The bill of `call`, signed by `who` in an extrinsic of `length` bytes."""
    return Bill(payer(ctx, who, call), fee(call, length, tip), Rao(tip))


def ensure_payable(ctx: Ctx, due: Bill) -> None:
    """Raise InvalidTransaction.Payment unless the payer can pay and live on."""
    if due.fee and balances.reducible(ctx, due.payer) < due.fee:
        raise InvalidTransaction("Payment")


def charge(ctx: Ctx, due: Bill) -> None:
    """Take the fee from the payer."""
    if due.fee:
        balances.withdraw(ctx, due.payer, due.fee)
        ctx.deposit(balances.Withdraw(due.payer, due.fee))


def settle(ctx: Ctx, due: Bill) -> None:
    """Pay the fee that was charged on to the block's author."""
    author = ctx.block_env.author
    if due.fee and author is not None:
        balances.deposit(ctx, author, due.fee)
        ctx.deposit(balances.Deposit(author, due.fee))
    elif due.fee:  # nobody to receive it: it leaves the issuance, on both books
        balances.rescind(ctx, due.fee)
        total = storage.TotalIssuance.get(ctx)
        storage.TotalIssuance.put(ctx, total.saturating_sub(due.fee))
    ctx.deposit(TransactionFeePaid(due.payer, due.fee, due.tip))

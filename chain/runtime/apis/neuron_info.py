"""NeuronInfoRuntimeApi: the neurons of a subnet, one by one or all, with or without weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from chain.runtime.apis.api import RuntimeApi
from chain.runtime.apis.fields import (
    ACCOUNT,
    AXON,
    BOOL,
    C16,
    C64,
    C_ALPHA,
    C_NETUID,
    PROMETHEUS,
)
from chain.runtime.frame import Ctx
from chain.runtime.pallets.subtensor import records
from chain.runtime.pallets.subtensor import storage as s
from chain.scale import U16, Record, Tuple, Vector
from chain.types import NetUid

api = RuntimeApi("NeuronInfoRuntimeApi")

_LITE = (
    ("hotkey", ACCOUNT),
    ("coldkey", ACCOUNT),
    ("uid", C16),
    ("netuid", C_NETUID),
    ("active", BOOL),
    ("axon_info", AXON),
    ("prometheus_info", PROMETHEUS),
    ("stake", Vector(Tuple((ACCOUNT, C_ALPHA)))),
    ("rank", C16),
    ("emission", C_ALPHA),
    ("incentive", C16),
    ("consensus", C16),
    ("trust", C16),
    ("validator_trust", C16),
    ("dividends", C16),
    ("last_update", C64),
    ("validator_permit", BOOL),
)
_PAIRS = Vector(Tuple((C16, C16)))
_PATH = ("pallet_subtensor", "rpc_info", "neuron_info")
NEURON_LITE = Record((*_PATH, "NeuronInfoLite"), (*_LITE, ("pruning_score", C16)))
NEURON = Record(
    (*_PATH, "NeuronInfo"), (*_LITE, ("weights", _PAIRS), ("bonds", _PAIRS), ("pruning_score", C16))
)

NO_PRUNING_SCORE = 65_535
"""Pruning scores, ranks and trust are no longer computed; clients still read the fields."""


def at(column: Sequence[Any], uid: int) -> Any:
    """A uid's entry of a stored column; a column shorter than the subnet reads as zeros."""
    return column[uid] if uid < len(column) else 0


class Columns:
    """The stored columns of one subnet, read once for all its neurons."""

    def __init__(self, ctx: Ctx, netuid: NetUid) -> None:
        index = records.StorageIndex.of(netuid)
        self.active = s.Active.get(ctx, netuid)
        self.emission = s.Emission.get(ctx, netuid)
        self.incentive = s.Incentive.get(ctx, index)
        self.consensus = s.Consensus.get(ctx, netuid)
        self.validator_trust = s.ValidatorTrust.get(ctx, netuid)
        self.dividends = s.Dividends.get(ctx, netuid)
        self.last_update = s.LastUpdate.get(ctx, index)
        self.validator_permit = s.ValidatorPermit.get(ctx, netuid)


def _neuron(ctx: Ctx, netuid: NetUid, uid: int, columns: Columns) -> dict[str, Any]:
    hotkey = s.Keys.get(ctx, netuid, uid)
    coldkey = s.Owner.get(ctx, hotkey)
    return {
        "hotkey": hotkey,
        "coldkey": coldkey,
        "uid": uid,
        "netuid": netuid,
        "active": bool(at(columns.active, uid)),
        "axon_info": s.Axons.find(ctx, netuid, hotkey) or records.NO_AXON,
        "prometheus_info": s.Prometheus.find(ctx, netuid, hotkey) or records.NO_PROMETHEUS,
        "stake": [(coldkey, s.TotalHotkeyAlpha.get(ctx, hotkey, netuid))],
        "rank": 0,
        "emission": at(columns.emission, uid),
        "incentive": at(columns.incentive, uid),
        "consensus": at(columns.consensus, uid),
        "trust": 0,
        "validator_trust": at(columns.validator_trust, uid),
        "dividends": at(columns.dividends, uid),
        "last_update": at(columns.last_update, uid),
        "validator_permit": bool(at(columns.validator_permit, uid)),
        "pruning_score": NO_PRUNING_SCORE,
    }


def _with_pairs(ctx: Ctx, netuid: NetUid, uid: int, neuron: dict[str, Any]) -> dict[str, Any]:
    index = records.StorageIndex.of(netuid)
    weights = [pair for pair in s.Weights.get(ctx, index, uid) if pair[1] > 0]
    return {**neuron, "weights": weights, "bonds": s.Bonds.get(ctx, index, uid)}


def _uids(ctx: Ctx, netuid: NetUid) -> range:
    if not s.NetworksAdded.get(ctx, netuid):
        return range(0)
    return range(s.SubnetworkN.get(ctx, netuid))


@api.method
def get_neurons(ctx: Ctx, netuid: NetUid) -> list[Annotated[dict[str, Any], NEURON]]:
    """All neurons with their weights and bonds."""
    columns = Columns(ctx, netuid)
    return [
        _with_pairs(ctx, netuid, uid, _neuron(ctx, netuid, uid, columns))
        for uid in _uids(ctx, netuid)
    ]


@api.method
def get_neuron(ctx: Ctx, netuid: NetUid, uid: U16) -> Annotated[dict[str, Any], NEURON] | None:
    """One neuron, None where there is none."""
    if uid not in _uids(ctx, netuid):
        return None
    return _with_pairs(ctx, netuid, uid, _neuron(ctx, netuid, uid, Columns(ctx, netuid)))


@api.method
def get_neurons_lite(ctx: Ctx, netuid: NetUid) -> list[Annotated[dict[str, Any], NEURON_LITE]]:
    """All neurons without weights and bonds."""
    columns = Columns(ctx, netuid)
    return [_neuron(ctx, netuid, uid, columns) for uid in _uids(ctx, netuid)]


@api.method
def get_neuron_lite(
    ctx: Ctx, netuid: NetUid, uid: U16
) -> Annotated[dict[str, Any], NEURON_LITE] | None:
    """One neuron without weights and bonds, None where there is none."""
    if uid not in _uids(ctx, netuid):
        return None
    return _neuron(ctx, netuid, uid, Columns(ctx, netuid))

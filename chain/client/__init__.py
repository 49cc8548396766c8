"""The chain as a client sees it: thin over the SDK, which is imported when a connection opens."""

from chain.client.calls import Call, quantize
from chain.client.chain import Chain, Event, Receipt, Signer, WeightsReceipt
from chain.client.commits import SaltedCommit, WaitingCommit
from chain.client.laws import AlphaSupply, Issuance, alpha_supply, issuance
from chain.client.metagraph import Metagraph, Neuron
from chain.client.subnet import Hyperparameters, Schedule

__all__ = [
    "AlphaSupply",
    "Call",
    "Chain",
    "Event",
    "Hyperparameters",
    "Issuance",
    "Metagraph",
    "Neuron",
    "Receipt",
    "SaltedCommit",
    "Schedule",
    "Signer",
    "WaitingCommit",
    "WeightsReceipt",
    "alpha_supply",
    "issuance",
    "quantize",
]

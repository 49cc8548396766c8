"""What a subnet says about itself: what is asked, who judges, and where the pay goes.

Made of the author's class and the public settings, which everybody on the subnet shares; what the
chain says beside it is read from the chain. Knows nothing of how it is shown.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chain.client.chain import Chain
from chain.client.metagraph import Metagraph
from chain.client.subnet import Hyperparameters
from scoring.shaping import burn
from subnet.config import Settings
from subnet.definition import Subnet
from subnet.errors import DefinitionError
from validators.record import code_of

EXAMPLE = tuple(number / 10 for number in range(10, -1, -1))
"""Scores of the miners for whom it is worked out who would be paid how much."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a subnet pays for and how. `pay[m][i]` is the share of mechanism m's row, 0..1, for the
    miner whose score is `EXAMPLE[i]`; `burn` is the share that goes to the owner's seat instead.
    """

    definition: str
    sha256: str | None
    """Of the definition's source file."""
    says: str
    """First line of the definition's docstring."""
    path: str
    timeout_s: float
    challenge: Mapping[str, Any]
    """JSON schema, as `answer` is."""
    answer: Mapping[str, Any]
    model_sha256: str | None
    seed_locked: bool
    groups: int | str
    canaries: bool
    audit_rate: float
    """Share of the answers that are looked at."""
    memory: str
    coldkey_seats: int | None
    burn: float
    pay: Mapping[int, tuple[float, ...]]
    hyperparameters: Mapping[str, int | bool]
    """What the chain should say, where the settings say so."""


@dataclass(frozen=True, slots=True)
class OnChain:
    """What the chain says at `block`.

    `owner_share` is the part (0..1) of the last epoch's incentive that fell to hotkeys of the
    owner's coldkey, which the chain burns; None where nobody had any. `differences` are
    hyperparameters that are not what the manifest says: (name, meant, found).
    """

    netuid: int
    block: int
    seats: int
    hyperparameters: Hyperparameters
    owner_share: float | None
    differences: tuple[tuple[str, int | bool, int | bool], ...]


def manifest(subnet: Subnet[Any, Any], settings: Settings) -> Manifest:
    """The manifest of `subnet` under `settings`.

    Raises DefinitionError when its own code makes no weights of the example's scores.
    """
    kind, code = type(subnet), code_of(subnet)
    return Manifest(
        definition=code["definition"],
        sha256=code["sha256"],
        says=(inspect.getdoc(kind) or "").partition("\n")[0],
        path=subnet.path,
        timeout_s=subnet.timeout_s,
        challenge=subnet.challenge.model_json_schema(),
        answer=subnet.answer.model_json_schema(),
        model_sha256=subnet.model_sha256,
        seed_locked=subnet.seed_locked,
        groups=subnet.groups,
        canaries=kind.canary is not Subnet.canary,
        audit_rate=subnet.audit_rate,
        memory=str(
            subnet.memory
            or f"the mean, a score counting half after {settings.weights.half_life_rounds:g} rounds"
        ),
        coldkey_seats=settings.weights.coldkey_seats,
        burn=settings.weights.burn,
        pay=_pay(subnet, settings.weights.burn),
        hyperparameters=settings.hyperparameters.model_dump(exclude_none=True),
    )


async def on_chain(chain: Chain, netuid: int, meant: Mapping[str, int | bool]) -> OnChain:
    """What `chain` says of subnet `netuid`. Raises ChainAway and ChainRefused."""
    metagraph = await chain.metagraph(netuid)
    found = await chain.hyperparameters(netuid, metagraph.block)
    return OnChain(
        netuid=netuid,
        block=metagraph.block,
        seats=len(metagraph.neurons),
        hyperparameters=found,
        owner_share=_owner_share(metagraph),
        differences=tuple(
            (name, value, getattr(found, name))
            for name, value in meant.items()
            if getattr(found, name) != value
        ),
    )


def _owner_share(metagraph: Metagraph) -> float | None:
    whole = sum(neuron.incentive for neuron in metagraph.neurons)
    return None if whole == 0 else 1.0 - metagraph.incentive / whole


def _pay(subnet: Subnet[Any, Any], share: float) -> dict[int, tuple[float, ...]]:
    # The owner has uid 0, the example's miners those after it.
    scores = dict(enumerate(EXAMPLE, start=1))
    try:
        rows = subnet.mechanisms(scores)
        burned = {number: burn(row, 0, share) for number, row in rows.items()}
    except Exception as error:  # an author's code
        name = f"{type(subnet).__module__}:{type(subnet).__qualname__}"
        raise DefinitionError(
            name, f"makes no weights of scores like {scores}: {error!r}"
        ) from error
    return {number: tuple(row.get(uid, 0.0) for uid in scores) for number, row in burned.items()}

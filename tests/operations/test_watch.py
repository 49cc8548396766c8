"""On a real chain: the gate, what the chain makes of a row, who else writes it, and epochs without.

What is meant, what is found and why goes into the journal; what must not go unsaid is told.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bittensor_core import Keypair

from chain.client.calls import admin
from chain.errors import ChainAway, ChainRefused
from chain.runtime.pallets.subtensor import storage as s
from chain.types import RAO_PER_TAO, NetUid
from subnet.errors import WeightsNotLanded
from tests.neurons.ground import ALICE, Stage, alices_subnet, open_bench, settings_of
from tests.neurons.unanswered import Unanswered
from validators import rows
from validators.health import health, readiness
from validators.landing import Gate, Landing
from validators.ledger import Outcome
from validators.status import read_status
from validators.watch import Watch
from validators.weights import Code, WeightsReport

TEMPO = 20
HOTKEY = Keypair.create_from_uri("//Alice//validator")
MINER = Keypair.create_from_uri("//Alice//miner")
OTHER = Keypair.create_from_uri("//Alice//other")


class Paying(Stage):
    """A validator that pays what it is told."""

    @property
    def watch(self) -> Watch:
        return self.bench.watch

    async def look(self) -> None:
        moment = await self.moment()
        me = moment.metagraph.find(str(HOTKEY.ss58_address))
        assert me is not None
        await self.watch.look(self.chain, moment.metagraph, moment.schedule, me, self.bench.note)

    async def pay(self, **shares: float) -> WeightsReport:
        keys = {"miner": MINER, "other": OTHER}
        scores = {keys[name].ss58_address: share for name, share in shares.items()}
        moment = await self.moment()
        report = await rows.set_weights_if_due(self.bench, moment, scores)
        self.watch.set_weights(report, moment.schedule.epochs)
        return report


@pytest.fixture
async def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Paying]:
    async with alices_subnet(
        tmp_path, monkeypatch, stakes=[(HOTKEY, 100)], miners=[MINER, OTHER], hidden=False,
        tempo=TEMPO, weights_set_rate_limit=0,
    ) as (node, chain, netuid):  # fmt: skip
        watch = Watch(landing=Landing(2), clock=lambda: 7.0)
        settings = settings_of(netuid, network={"chain": node.url})
        with open_bench(
            tmp_path, settings, HOTKEY, chain, Unanswered(), clock=lambda: 7.0, watch=watch
        ) as bench:
            stage = Paying(node, chain, netuid, bench)
            await stage.next_epoch()
            yield stage


async def test_no_row_before_enough_miners_are_known(stage: Paying) -> None:
    await stage.chain.serve_axon(MINER, stage.netuid, "127.0.0.2", 9)
    stage.watch.gate = Gate(0.5)
    await stage.look()
    report = await stage.pay(miner=1.0)
    assert (report.set, report.code) == (False, Code.GATE)
    assert report.problem is not None and "0 of 1 miners are known" in report.problem
    assert await stage.chain.weights(stage.netuid, 1) == {}
    outcome = Outcome(MINER.ss58_address, 1.0, True)
    stage.bench.ledger.remember(1, block=1, epoch=1, digests=(), outcomes=[outcome])
    assert (await stage.pay(miner=1.0)).landed
    assert stage.watch.gate.passed


async def test_a_row_that_was_retracted_and_lands_is_not_said_to_be_refused(
    stage: Paying, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is in the pool again, and what is sent in its place comes too soon after it."""
    limit = admin("sudo_set_weights_set_rate_limit", netuid=stage.netuid, weights_set_rate_limit=5)
    await stage.chain.submit(limit, ALICE)
    send, sent = stage.chain.set_weights, 0

    async def retracted(*args: Any, **how: Any) -> Any:
        nonlocal sent
        sent += 1
        if sent == 1:
            raise ChainAway("ws://there", "the extrinsic was retracted")
        await send(*args, **how)
        return await send(*args, **how)

    monkeypatch.setattr(stage.chain, "set_weights", retracted)
    monkeypatch.setattr(rows, "RETRY_S", (0.0,))
    scores = {MINER.ss58_address: 1.0}
    report = await rows.set_weights_at_last(stage.bench, await stage.moment(), scores)
    assert (sent, report.landed, report.problem) == (2, True, None)


async def test_what_the_limit_cuts_has_landed_and_is_explained(stage: Paying) -> None:
    key = s.MaxWeightsLimit._key(NetUid(stage.netuid))
    stage.node.set_storage({key: s.MaxWeightsLimit.value.encode(40_000)})
    report = await stage.pay(miner=0.9, other=0.1)
    assert (report.read_back, report.landed) == (False, True)
    assert {(item.uid, item.cause) for item in report.differences} == {
        (2, "clipped"), (3, "clipped"),
    }  # fmt: skip
    assert stage.watch.landing.epoch is not None


async def test_zeros_are_burned_and_what_is_no_weight_is_a_reason(
    stage: Paying, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Unanswered, "weights", lambda self, scores: dict.fromkeys(scores, 0.0))
    nothing = await stage.pay(miner=1.0)
    assert nothing.burned and set(nothing.found or {}) == {0}  # never an all-zero row
    monkeypatch.setattr(Unanswered, "weights", lambda self, scores: dict.fromkeys(scores, math.nan))
    report = await stage.pay(miner=1.0)
    assert (report.set, report.code) == (False, Code.INVALID)
    # Nothing stands in for it: least of all what the chain holds.
    assert await stage.chain.weights(stage.netuid, 1) == nothing.found


@pytest.mark.parametrize(
    ("most", "row"), [(65_535, {2: 65535, 3: 7282}), (40_000, {2: 65535, 3: 41836})]
)
async def test_a_row_that_seemed_to_fail_and_is_there_is_not_set_twice(
    most: int, row: dict[int, int], stage: Paying, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the chain's limit has cut it."""
    limit = admin("sudo_set_weights_set_rate_limit", netuid=stage.netuid, weights_set_rate_limit=99)
    key = s.MaxWeightsLimit._key(NetUid(stage.netuid))
    stage.node.set_storage({key: s.MaxWeightsLimit.value.encode(most)})
    send = stage.chain.set_weights
    attempts = 0

    async def lose_the_answer(*arguments: Any, **more: Any) -> Any:
        nonlocal attempts
        attempts += 1
        await send(*arguments, **more)
        await stage.chain.submit(limit, ALICE)  # a second one would be refused
        raise ChainAway("ws://there", "it sent no answer")

    monkeypatch.setattr(stage.chain, "set_weights", lose_the_answer)
    monkeypatch.setattr(rows, "RETRY_S", (0.0,))
    scores = {MINER.ss58_address: 0.9, OTHER.ss58_address: 0.1}
    report = await rows.set_weights_at_last(stage.bench, await stage.moment(), scores)
    assert (report.set, report.landed, attempts) == (True, True, 1)
    assert report.found == await stage.chain.weights(stage.netuid, 1) == row
    assert report.meant == {2: 65535, 3: 7282}


async def test_a_row_that_is_said_to_be_refused_and_is_there_has_landed(
    stage: Paying, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that fails after the row was taken, when its events are read."""
    send = stage.chain.set_weights

    async def refused(*arguments: Any, **more: Any) -> Any:
        await send(*arguments, **more)
        raise ChainRefused("Failed", "State already discarded")

    monkeypatch.setattr(stage.chain, "set_weights", refused)
    report = await stage.pay(miner=1.0)
    assert (report.landed, report.problem, report.found) == (True, None, {2: 65535})


async def test_every_mechanism_has_a_row_of_its_own(
    stage: Paying, monkeypatch: pytest.MonkeyPatch
) -> None:
    netuid = stage.netuid
    for call in (
        admin("sudo_set_max_allowed_uids", netuid=netuid, max_allowed_uids=64),
        admin("sudo_set_mechanism_count", netuid=netuid, mechanism_count=2),
    ):
        await stage.chain.submit(call, ALICE)
    rows = {0: {2: 1.0}, 1: {3: 1.0}}
    monkeypatch.setattr(Unanswered, "mechanisms", lambda self, scores: rows)
    report = await stage.pay(miner=1.0)
    assert report.landed and report.others[1].landed
    assert await stage.chain.weights(netuid, 1) == {2: 65535}
    assert await stage.chain.weights(netuid, 1, mechanism=1) == {3: 65535}
    rows[2] = {2: 1.0}
    report = await stage.pay(miner=1.0)
    assert report.read_back and not report.landed  # there is no such mechanism
    assert report.others[2].code is Code.REFUSED
    del rows[0]
    assert (await stage.pay(miner=1.0)).code is Code.INVALID


@pytest.mark.parametrize("kind", [np.int64, float, bool])
async def test_uids_are_plain_whatever_numbers_an_author_has(
    kind: Callable[[int], int], stage: Paying, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the row is on the chain, and the journal cannot be written, or not be read again."""
    made: dict[int, Any] = {kind(0): {kind(1): 1.0}}
    monkeypatch.setattr(Unanswered, "mechanisms", lambda self, scores: made)
    metagraph = await stage.chain.metagraph(stage.netuid)
    found = rows.rows_for(stage.bench, metagraph, {})
    assert json.dumps(found) == '{"0": {"1": 1.0}}'
    for uid in (1.5, -1, 65_536, "1"):
        made[kind(0)] = {uid: 1.0}
        with pytest.raises(ValueError, match=f"{uid!r} is no uid"):
            rows.rows_for(stage.bench, metagraph, {})


async def test_an_epoch_s_standing_is_in_the_journal(stage: Paying) -> None:
    await stage.look()
    await stage.pay(miner=0.5, other=0.5)
    await stage.next_epoch()
    await stage.look()
    await stage.look()  # once an epoch
    first, second = (line for line in stage.lines() if line["kind"] == "standing")
    assert first["landed_epoch"] is None
    assert second["vtrust"] == pytest.approx(1.0, abs=1e-3)  # it is the only validator
    assert second["distance"] == pytest.approx(0.0, abs=1e-3)
    assert (second["missed"], second["differences"], second["above"]) == (0, [], [])
    assert 0 < second["balance_rao"] <= RAO_PER_TAO
    status = read_status(stage.lines())
    assert status.vtrust == second["vtrust"] and status.rao_per_day is None


async def test_another_row_of_the_same_key_is_told(
    stage: Paying, caplog: pytest.LogCaptureFixture
) -> None:
    await stage.look()
    await stage.pay(miner=1.0)
    await stage.chain.set_weights(HOTKEY, stage.netuid, {3: 1.0})  # a second validator
    await stage.next_epoch()
    await stage.look()
    line = stage.lines()[-1]
    assert {item["cause"] for item in line["differences"]} == {"superseded"}
    assert "row_superseded" in caplog.text


async def test_two_whole_epochs_without_weights_end_it(
    stage: Paying, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    await stage.look()
    assert readiness(stage.watch).reasons == ("no weights have landed yet",)
    await stage.pay(miner=1.0)
    assert readiness(stage.watch).reasons == ()
    await stage.next_epoch()
    await stage.look()
    assert health(stage.watch).reasons == ()
    await stage.next_epoch()
    await stage.look()
    assert health(stage.watch).reasons == ("no weights have landed for 1 epochs",)
    assert "weights_not_landed: no weights landed for 1 epochs" in caplog.text
    await stage.next_epoch()
    with pytest.raises(WeightsNotLanded) as ended:
        await stage.look()
    assert ended.value.epochs == 2
    assert stage.lines()[-1]["missed"] == 2
    assert read_status(stage.lines()).missed == 2

"""The copier sets what the others revealed, by the chain's rules, an epoch behind them."""

from __future__ import annotations

from pathlib import Path

import pytest
from bittensor_core import Keypair

from chain.client.calls import admin
from chain.client.commits import SaltedCommit
from subnet.cli.demo.copier import PATIENCE_BLOCKS, Copier, mean_row
from tests.neurons.ground import ALICE, alices_subnet, settings_of
from validators import journal
from validators.commits import Commits
from validators.journal import Journal

JUDGE, COPIER = (Keypair.create_from_uri(f"//Alice//{name}") for name in ("judge", "copier"))
TEMPO = 60


def test_the_mean_of_rows_by_stake() -> None:
    assert mean_row([]) == {}
    assert mean_row([(5, {}), (7, {1: 0})]) == {}
    assert mean_row([(1, {1: 10, 2: 30})]) == {1: 0.25, 2: 0.75}
    assert mean_row([(3, {1: 65535}), (1, {1: 1, 2: 1}), (9, {})]) == {1: 0.875, 2: 0.125}


OLD = {0: 0.5, 4: 0.17, 5: 0.17, 6: 0.16}
NEW = {0: 0.5, 4: 0.14, 5: 0.14, 6: 0.08, 7: 0.14}
ROWS = (OLD, OLD, OLD, NEW, NEW, NEW)
"""What two validators set in six epochs; a miner comes in the fourth."""


@pytest.mark.parametrize("delay", [0, 1, 2])
async def test_what_copying_earns_is_a_matter_of_delay(
    delay: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dividends per stake beside the honest: with plain weights the same, hidden ones cost."""
    judges = [Keypair.create_from_uri(f"//Alice//{n}") for n in (1, 2)]
    miners = [Keypair.create_from_uri(f"//Alice//{n}") for n in (4, 5, 6, 7)]
    validators = list(zip([*judges, COPIER], (300, 500, 1000), strict=True))
    async with alices_subnet(
        tmp_path, monkeypatch, stakes=validators, miners=miners, hidden=False,
        tempo=TEMPO, max_allowed_validators=4,
    ) as (node, chain, netuid):  # fmt: skip
        emission = admin("sudo_set_subnet_emission_enabled", netuid=netuid, enabled=True)
        await chain.submit(emission, ALICE)
        ratios = []
        for epoch in range(-1, len(ROWS)):  # the first one gives permits
            if epoch >= 0:
                for key in judges:
                    await chain.set_weights(key, netuid, ROWS[epoch])
                if epoch >= delay:
                    await chain.set_weights(COPIER, netuid, ROWS[epoch - delay])
            schedule = await chain.schedule(netuid)
            assert schedule.next_block is not None
            await node.mine(schedule.next_block - node.head.number)
            seats = (await chain.metagraph(netuid)).neurons
            rates = [seats[uid].dividends / int(seats[uid].stake) for uid in (1, 2, 3)]
            if epoch >= 0:
                ratios.append(2 * rates[2] / (rates[0] + rates[1]))
    if delay == 0:
        assert ratios == pytest.approx([1.0] * len(ROWS), rel=1e-3)
    else:
        assert ratios[:delay] == [0.0] * delay
        assert max(ratios) < 0.85
        # It catches up while rows stay as they are, and falls behind when they change.
        assert ratios[delay + 1] > ratios[delay]
        young = {1: 0.52, 2: 0.37}  # a bond of 0.1 against 0.19, or against 0.271
        assert ratios[delay] == pytest.approx(young[delay], abs=0.03)


async def test_it_reads_commits_and_reveals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with alices_subnet(
        tmp_path, monkeypatch, stakes=[(JUDGE, 9), (COPIER, 9)], miners=[], hidden=True, tempo=TEMPO
    ) as (node, chain, netuid):

        async def reach(offset: int) -> None:
            """Let the next epoch run, and `offset` blocks more."""
            schedule = await chain.schedule(netuid)
            assert schedule.next_block is not None
            await node.mine(schedule.next_block + offset - node.head.number)

        await reach(0)
        settings = settings_of(netuid, network={"chain": node.url})
        path = tmp_path / "journal.jsonl"
        with Journal(path) as book:
            commits = Commits(tmp_path / "commits.json")
            copier = Copier(settings, COPIER, chain, commits, book)
            commit = SaltedCommit(JUDGE.ss58_address, netuid, {0: 65535, 1: 21845}, (1, 2))
            await chain.commit_weights(JUDGE, commit)
            await node.mine(PATIENCE_BLOCKS)
            await copier.look()
            await reach(0)
            await chain.reveal_weights(JUDGE, commit)
            await node.mine(PATIENCE_BLOCKS)
            await copier.look()
            assert await chain.weights(netuid, 2) == {}
            await reach(PATIENCE_BLOCKS)
            await copier.look()
            assert await chain.weights(netuid, 2) == commit.row
        lines = list(journal.read(path))
    assert [line["kind"] for line in lines] == ["round", "round", "reveal", "round"]
    assert lines[0]["weights"]["problem"] == "nobody has set weights yet"
    assert lines[2]["ending"] == "revealed"
    assert all(line["replies"] == [] for line in lines if line["kind"] == "round")

"""kill -9 a real validator at 50 random points of its rounds: nothing that was shown is lost.

A devnet, miners on sockets, and one validator process after the other on the same folder. A fifth
of the kills each falls into the start, into the asking, between the held line and the ledger, into
the weights, and at any moment. `KILL_SEED` in the environment draws the same points again.
"""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from tests.chaos.grader import grade
from tests.chaos.siege import (
    AIMS,
    Crew,
    Ledger,
    Outcomes,
    aim,
    ensure_agree,
    held_in,
    lines_in,
    points,
    saved_by,
    settings_of,
    shorten_epochs,
    stage,
    told_by,
)
from tests.neurons.test_neuron_processes import World, founded, player, world
from validators.landing import SILENT_QUESTIONS
from validators.weights import Code

__all__ = ["world"]

ANSWERING = 3
SILENT = 4
"""Published one after the other: each shuts the gate of the next start for some rounds."""
KILLS = 50


def ensure_gate(ledger: Ledger, set_at: list[int], published: Mapping[str, int]) -> int:
    """No row of a run landed before all who could be asked were known: how many were the first."""
    passed: set[int] = set()
    for block in set_at:
        number = max(n for n, (_, begun) in ledger.rounds.items() if begun < block)
        run, begun = ledger.rounds[number]
        if run in passed:
            continue
        passed.add(run)
        for hotkey in (hotkey for hotkey, since in published.items() if since <= begun):
            past = [ledger.outcomes[n][hotkey] for n in range(1, number + 1)
                    if hotkey in ledger.outcomes[n]]  # fmt: skip
            heard = any(reason == "scored" for _, reason in past)
            assert heard or len(past) >= SILENT_QUESTIONS, (block, number, hotkey, past)
    return len(passed)


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_killed_at_random_points(world: World) -> None:  # noqa: F811
    rng = points()
    aims = list(AIMS * (KILLS // len(AIMS)))
    rng.shuffle(aims)
    state = world.folder / "state"
    settings = settings_of(state)
    players = [player(world, 2 + n, f"miner{n}", "miner") for n in range(ANSWERING + SILENT)]
    answering, silent = players[:ANSWERING], players[ANSWERING:]
    boss = player(world, 20, "validator", "validator", stake=100)
    crew = Crew()
    published: dict[str, int] = {}
    met: Counter[str] = Counter()
    shown: list[dict[str, Any]] = []
    remembered: Outcomes = {}
    async with (
        founded(world, *players, boss) as (chain, netuid),
        crew.serving(answering, chain, netuid),
    ):
        begun = await chain.block()

        async def publish_silent() -> None:
            one = silent.pop()
            await chain.serve_axon(one.hotkey, netuid, one.host, 9)  # nobody listens there
            published[str(one.hotkey.ss58_address)] = await chain.block()

        published |= {str(one.hotkey.ss58_address): begun for one in answering}
        await publish_silent()
        await shorten_epochs(chain, netuid)
        for attempt, at in enumerate(aims):
            if attempt in (KILLS // 3, 2 * KILLS // 3):  # while no validator runs
                await publish_silent()
            name, heard = f"run{attempt}", crew.heard.copy()
            await world.neuron(name, "validator", netuid, **settings)
            await aim(at, rng, world, name, state, crew)
            assert await world.end(name, signal.SIGKILL) == -signal.SIGKILL

            lines, held = lines_in(state), held_in(state)
            told, ledger = told_by(lines), Ledger.read(state, world.folder / "copy")
            asked = {text for _, text in crew.heard - heard}
            kept = {task["challenge"]["text"] for line in [*lines, held or {}]
                    for task in line.get("tasks", ())}  # fmt: skip
            log = world.log(name)
            met[stage(log, held, ledger, told, bool(asked - kept), state / "sealed.json")] += 1
            # What was on the disk once stays as it was, in the journal and in the ledger.
            assert lines[: len(shown)] == shown
            assert {n: ledger.outcomes.get(n) for n in remembered} == remembered
            shown, remembered = lines, ledger.outcomes
            # What the log shows as saved is in both.
            assert saved_by(log) <= set(told) & set(ledger.rounds)
            # They agree on all but the round that was under way, which is held.
            under_way = {} if held is None else told_by([{**held, "kind": "round"}])
            assert told == {n: ledger.outcomes[n] for n in told}
            assert all(under_way[n] == ledger.outcomes[n] for n in set(ledger.rounds) - set(told))
        await publish_silent()
        await world.neuron("last", "validator", netuid, **settings)

        def has_set_weights() -> bool:
            new = [line["weights"] for line in lines_in(state)[len(shown) :]
                   if line["kind"] == "round"]  # fmt: skip
            shut = [weights["code"] == Code.GATE for weights in new]
            return any(shut) and new[-1]["set"] and new[-1]["read_back"]

        await world.until(has_set_weights)
        assert await world.end("last") == 0
        uids = {n.hotkey: n.uid for n in (await chain.metagraph(netuid)).neurons}
        own = uids[boss.hotkey.ss58_address]
        set_at = [
            block
            for block in range(begun, await chain.block() + 1)
            for event in await chain.events(block)
            if event.name == "WeightsSet" and tuple(event.attributes) == (netuid, own)
        ]
    lines, ledger = lines_in(state), Ledger.read(state, world.folder / "copy")
    rounds = [line for line in lines if line["kind"] == "round"]
    runs = {line["run"] for line in rounds}
    recovered = sum(line.get("recovered", False) for line in rounds)
    first = ensure_gate(ledger, set_at, published)
    print(  # noqa: T201
        f"{len(rounds)} rounds in {len(runs)} runs, {recovered} recovered; {len(set_at)} rows set, "
        f"{first} of them the first of a run; kills met {dict(met)}"
    )
    # The points were of many kinds, by what was found and not by what was aimed at.
    assert {"asking", "weighing"} <= set(met) and len(met) >= 4, met

    assert lines[: len(shown)] == shown and held_in(state) is None
    ensure_agree(lines, ledger)
    # The scores are what the answers are worth, and nobody was asked anything twice.
    assert set(crew.heard.values()) == {1}
    answers: Counter[str] = Counter()
    for line in rounds:
        for reply in line["replies"]:
            if reply["ok"]:
                (task,) = line["tasks"]
                said = f"{task['challenge']['text']} {reply['hotkey']}"
                assert (reply["answer"], reply["score"]) == ({"text": said}, grade(said))
                answers[reply["hotkey"]] += 1
            else:
                assert reply["score"] == 0.0
    assert answers == ledger.answered == +answers
    assert answers <= Counter(hotkey for hotkey, _ in crew.heard)
    # No row without merit, and none for who was not judged.
    judged: set[int] = set()
    for line in rounds:
        judged |= {reply["uid"] for reply in line["replies"] if reply["score"] > 0}
        if line["weights"]["set"] and not line["weights"]["burned"]:
            assert {int(uid) for uid in line["weights"]["meant"]} <= judged
    assert "a bug" not in "".join(world.log(f"run{n}") for n in range(KILLS))

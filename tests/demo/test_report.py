"""The report's arithmetic, its laws, and the verdict on it."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from chain.client import AlphaSupply, Issuance, Metagraph, Neuron
from chain.types import Alpha, Rao
from subnet.cli.demo.cast import Cast, Player, assemble
from subnet.cli.demo.game import judge_epochs
from subnet.cli.demo.mainnet import Story
from subnet.cli.demo.report import (
    DUST_PER_BLOCK,
    DUST_PER_PAYOUT,
    Epoch,
    Facts,
    compose,
    is_only_dust,
    table,
    verdict,
)
from subnet.cli.demo.rounds import Question, Round

EARNED = {
    "honest": 900, "flaky": 400, "downgraded": 10, "canned": 0, "validator": 700, "copier": 0,
    "newcomer": 300,
}  # fmt: skip
SCORE = {"honest": 1.0, "flaky": 0.5, "downgraded": 0.1, "canned": 0.0}


def metagraph(cast: Cast, block: int, earned: bool) -> Metagraph:
    neurons = tuple(
        Neuron(
            uid=uid,
            hotkey=player.hotkey.ss58_address,
            coldkey=player.coldkey.ss58_address,
            active=True,
            permit=player.role == "validator",
            stake=Alpha(0),
            alpha=Alpha(1000 * (player.role == "validator") + earned * EARNED[player.kind]),
            consensus=0,
            incentive=100 * uid,
            dividends=0,
            emission=Alpha(0),
            last_update=0,
            registered_at=0,
            host=None,
            port=None,
        )
        for uid, player in enumerate(cast.players)
    )
    return Metagraph(2, block, 90, block, "", "", neurons)


def played(cast: Cast) -> dict[str, tuple[Round, ...]]:
    questions = tuple(
        Question(
            player.hotkey.ss58_address,
            SCORE[player.kind],
            answered=not (player.kind == "flaky" and odd),
        )
        for odd in (False, True)
        for player in cast.of("miner")
    )
    return {
        player.name: tuple(
            Round(number, 90 * number + 1, questions, True, True, 90 * number + 60, {})
            for number in (1, 2, 3)
        )
        for player in cast.of("validator")
    }


def facts(**changes: Any) -> Facts:
    cast = assemble(7, guest=False)
    dust = 5
    given: dict[str, Any] = {
        "genesis": "0x00",
        "spec_version": 425,
        "block_time_s": 0.25,
        "before": metagraph(cast, 90, earned=False),
        "after": metagraph(cast, 450, earned=True),
        "epochs": [Epoch(180, 0, True), *(Epoch(b, 65535, True) for b in (270, 360, 450))],
        "players": cast.players,
        "rounds": played(cast),
        "read_back": {player.name: 3 for player in cast.of("validator")},
        "issuance": Issuance(450, Rao(5), Rao(5), Rao(5)),
        "alpha": AlphaSupply(2, 450, Alpha(10), Alpha(2), Alpha(1), Alpha(4), Alpha(17 + dust)),
        "seconds": {"start_to_first_block": 1.0, "start_to_first_emission": 60.0, "total": 120.5},
        "versions": {"python": "3.11.7"},
    }
    return Facts(**{**given, **changes})


def test_a_good_run() -> None:
    report = compose(facts())
    assert verdict(report, epochs=3) == []
    assert report == json.loads(json.dumps(report, allow_nan=False))
    assert set(report) == {
        "schema", "regime", "chain", "neurons", "validators", "laws", "mainnet", "seconds",
        "versions",
    }  # fmt: skip
    assert (report["schema"], report["regime"], report["mainnet"]) == (2, "devnet", None)
    assert report["chain"] == {
        "genesis": "0x00",
        "spec_version": 425,
        "netuid": 2,
        "blocks": 450,
        "epochs": 4,
        "paying_epochs": 3,
        "block_time_s": 0.25,
    }
    assert [neuron["uid"] for neuron in report["neurons"]] == list(range(7))
    by_kind = {neuron["kind"]: neuron for neuron in report["neurons"]}
    assert set(by_kind["flaky"]) == {
        "uid", "hotkey", "role", "kind", "score_mean", "answers", "failures", "incentive",
        "dividends", "stake_rao", "emission_alpha_rao", "seated",
    }  # fmt: skip
    assert by_kind["flaky"]["score_mean"] == 0.5
    assert (by_kind["flaky"]["answers"], by_kind["flaky"]["failures"]) == (6, 6)
    assert by_kind["validator"]["score_mean"] is None
    assert by_kind["validator"]["stake_rao"] == 1700
    assert by_kind["validator"]["emission_alpha_rao"] == 700
    assert [(v["rounds"], v["weights_set"], v["weights_read_back"]) for v in report["validators"]]\
        == [(3, 3, 3), (3, 3, 3)]  # fmt: skip
    assert report["laws"]["honest_over_dishonest_min_ratio"] == 90.0
    assert report["laws"]["emission_conserved"] is True


def test_the_ratio_is_null_when_the_dishonest_earned_nothing() -> None:
    report = compose(facts())
    for neuron in report["neurons"]:
        if neuron["kind"] == "downgraded":
            neuron["emission_alpha_rao"] = 0
    from subnet.cli.demo.report import min_ratio

    assert min_ratio(report["neurons"]) is None
    assert verdict(report, epochs=3) == []


def spoil(report: dict[str, Any], kind: str, earned: int) -> None:
    for neuron in report["neurons"]:
        if neuron["kind"] == kind:
            neuron["emission_alpha_rao"] = earned


@pytest.mark.parametrize(
    ("kind", "earned", "complaints"),
    [
        ("downgraded", 301, 1),  # honest 900 is less than three times that
        ("downgraded", 300, 0),  # exactly three times is enough
        ("canned", 500, 2),  # and flaky is not above it
        ("flaky", 10, 1),
        ("flaky", 900, 1),
        ("honest", 0, 3),
    ],
)
def test_pay_that_does_not_follow_behaviour(kind: str, earned: int, complaints: int) -> None:
    report = compose(facts())
    spoil(report, kind, earned)
    assert len(verdict(report, epochs=3)) == complaints


def test_every_law_has_a_complaint() -> None:
    good = compose(facts())

    def broken(change: Any) -> list[str]:
        report = copy.deepcopy(good)
        change(report)
        return verdict(report, epochs=3)

    assert broken(lambda r: r["chain"].update(paying_epochs=2)) == ["2 of 3 epochs paid"]
    assert broken(lambda r: r["laws"].update(emission_conserved=False)) == [
        "issuance is not conserved"
    ]
    assert "read them back as meant 2 times" in " ".join(
        broken(lambda r: r["validators"][0].update(weights_read_back=2))
    )
    assert "set no weights" in " ".join(
        broken(lambda r: r["validators"][1].update(weights_set=0, weights_read_back=0))
    )


@pytest.mark.parametrize(
    "issuance",
    [Issuance(1, Rao(5), Rao(5), Rao(6)), Issuance(1, Rao(4), Rao(5), Rao(5))],
)
def test_issuance_counted_three_times(issuance: Issuance) -> None:
    assert compose(facts(issuance=issuance))["laws"]["emission_conserved"] is False


def test_alpha_out_of_nothing_and_alpha_lost() -> None:
    most = DUST_PER_BLOCK * 450 + DUST_PER_PAYOUT * 4 * 8

    def supply(dust: int) -> AlphaSupply:
        return AlphaSupply(2, 450, Alpha(10), Alpha(2), Alpha(1), Alpha(4), Alpha(17 + dust))

    assert is_only_dust(facts(alpha=supply(0)))
    assert is_only_dust(facts(alpha=supply(most)))
    assert not is_only_dust(facts(alpha=supply(-1)))
    assert not is_only_dust(facts(alpha=supply(most + 1)))


def test_an_epoch_pays_for_its_own_answers() -> None:
    def round(block: int, weights_block: int | None, is_set: bool = True) -> Round:
        return Round(1, block, (), is_set, is_set, weights_block, {})

    ran = [(180, 0), (270, 65535), (360, 65535)]

    def paying(*rounds: Round) -> list[bool]:
        return [epoch.paying for epoch in judge_epochs(90, ran, {"v": rounds})]

    assert paying(round(181, 260), round(271, 350)) == [False, True, True]
    assert paying(round(91, 170)) == [False, False, False]  # old weights go on paying, uncounted
    assert paying(round(179, 260)) == [False, False, False]  # asked before the epoch before
    assert paying(round(181, 270)) == [False, False, False]  # accepted too late for it
    assert paying(round(181, None, is_set=False)) == [False, False, False]


def test_hidden_weights_pay_an_epoch_later() -> None:
    def round(block: int, revealed: int | None) -> Round:
        return Round(1, block, (), True, revealed is not None, revealed, {}, commit_block=block + 9)

    ran = [(180, 0), (270, 65535), (360, 65535)]

    def paying(*rounds: Round) -> list[bool]:
        epochs = judge_epochs(90, ran, {"v": rounds}, hidden=True)
        return [epoch.paying for epoch in epochs]

    assert paying(round(91, 181), round(181, 271)) == [False, True, True]
    assert paying(round(181, None)) == [False, False, False]
    assert paying(round(89, 181)) == [False, False, False]  # asked two epochs before
    assert paying(round(91, 170)) == [False, False, False]  # held before the epoch before
    assert paying(round(181, 360)) == [False, False, False]  # revealed too late for it


def mainnet_facts(**changes: Any) -> Facts:
    """Six epochs: two without pay, the kill in the third, the sale in the fourth."""
    cast = assemble(7, guest=False, mainnet=True)
    (newcomer,) = cast.late
    loser = next(player for player in cast.players if player.kind == "canned")
    victim = cast.judges[0]
    sold_uid = cast.players.index(loser)

    def seats(number: int, of: Sequence[Player]) -> Metagraph:
        paid = max(number - 2, 0)
        copied = {0: 0, 1: 0, 2: 500, 3: 700, 4: 750}.get(paid, 0)
        neurons = []
        for uid, player in enumerate(of):
            judges = player.role == "validator"
            by_stake = 50 * min(number, 2)  # before anybody's weights count
            alpha = (1000 + by_stake) * judges + paid * EARNED[player.kind]
            if player.kind == "copier":
                alpha += sum((0, 300, 400, 500)[:paid])
            dividends = copied if player.kind == "copier" else 1000 * judges * (paid > 0)
            neurons.append(
                replace(
                    metagraph(cast, 0, earned=False).neurons[0],
                    uid=uid,
                    hotkey=player.hotkey.ss58_address,
                    alpha=Alpha(alpha),
                    stake=Alpha(1000),
                    incentive=10 * (paid > 0),
                    dividends=dividends,
                )
            )
        return Metagraph(2, 360 * number, 360, 0, "", "owner", tuple(neurons))

    after = [newcomer if player is loser else player for player in cast.players]
    history = [seats(n, cast.players if n < 5 else after) for n in range(1, 7)]

    def rounds(player: Player) -> tuple[Round, ...]:
        made = []
        for n in range(1, 7):
            row = {1: 100, **({sold_uid: 100} if n > 4 else {})}
            revealed = 360 * n + 2 if n < 6 else None
            ending = None if revealed is None else "revealed"
            made.append(Round(n, 360 * n - 350, (), True, n < 6, revealed, row, n,
                              360 * n - 300, ending))  # fmt: skip
        return tuple(made)

    story = Story(
        jumped=1234,
        killed=victim.name,
        killed_round=3,
        killed_block=800,
        sold_uid=sold_uid,
        sold_block=1200,
        seller=loser.hotkey.ss58_address,
    )
    given: dict[str, Any] = {
        "before": seats(0, cast.players),
        "after": history[-1],
        "history": history,
        "epochs": [Epoch(360 * n, 65535, n > 2) for n in range(1, 7)],
        "players": cast.everybody,
        "rounds": {player.name: rounds(player) for player in cast.of("validator")},
        "read_back": {player.name: 5 for player in cast.of("validator")},
        "story": story,
    }
    return facts(**{**given, **changes})


def test_a_good_run_on_mainnet() -> None:
    report = compose(mainnet_facts())
    assert verdict(report, epochs=4) == []
    assert report["regime"] == "mainnet"
    assert {v["weights_waiting"] for v in report["validators"]} == {1}
    mainnet = report["mainnet"]
    assert mainnet["copier"]["by_epoch"] == [0.0, 0.5, 0.7, 0.75]
    # From the second epoch on, the last that paid nobody: 1200 of 2800 on the same stake.
    assert mainnet["copier"]["ratio"] == pytest.approx(1200 / 2800)
    assert (mainnet["kill"]["commit_block"], mainnet["kill"]["revealed_block"]) == (780, 1082)
    assert (mainnet["sale"]["share_before"], mainnet["sale"]["share_after"]) == (0.0, 0.5)
    seats = {n["kind"]: (n["uid"], n["seated"]) for n in report["neurons"]}
    uid = mainnet["sale"]["uid"]
    assert (seats["canned"], seats["newcomer"]) == ((uid, False), (uid, True))
    assert "copier: 0.429 of the pay per stake" in table(report)


def test_a_mainnet_run_that_was_given_up() -> None:
    cast = assemble(7, guest=False, mainnet=True)
    report = compose(mainnet_facts(story=Story(), players=cast.players))
    assert set(verdict(report, epochs=4)) >= {
        "the validator that was killed did not reveal what it had committed",
        "no seat changed hands between two rounds",
    }
    assert "sale: uid None" in table(report)


def test_every_rule_of_mainnet_has_a_complaint() -> None:
    good = compose(mainnet_facts())

    def broken(change: Any) -> list[str]:
        report = copy.deepcopy(good)
        change(report)
        return verdict(report, epochs=4)

    def of(kind: str, report: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = next(n for n in report["neurons"] if n["kind"] == kind)
        return found

    assert broken(lambda r: r["mainnet"]["copier"].update(ratio=1.0)) == [
        "copying weights paid as well as judging"
    ]
    assert broken(lambda r: r["mainnet"]["kill"].update(revealed_block=None)) == [
        "the validator that was killed did not reveal what it had committed"
    ]
    assert broken(lambda r: r["mainnet"]["sale"].update(share_after=None)) == [
        "no seat changed hands between two rounds"
    ]
    inherited = ["the newcomer was judged by who sat there before"]
    assert broken(lambda r: r["mainnet"]["sale"].update(share_before=0.5)) == inherited
    assert broken(lambda r: of("newcomer", r).update(emission_alpha_rao=0)) == inherited
    assert broken(lambda r: of("honest", r).update(emission_alpha_rao=4000)) == [
        "honest miners did not earn the same"
    ]
    assert "has not revealed weights 2 times" in " ".join(
        broken(lambda r: r["validators"][0].update(weights_waiting=2, weights_read_back=4))
    )
    assert "read them back as meant 4 times" in " ".join(
        broken(lambda r: r["validators"][0].update(weights_read_back=4))
    )


def test_the_table_is_plain() -> None:
    text = table(compose(facts()))
    lines = text.split("\n")
    assert lines[0].split() == [
        "uid", "kind", "score", "answers", "failed", "incentive", "dividends", "alpha", "earned",
    ]  # fmt: skip
    assert len(lines) == 1 + 7 + 4
    assert lines[-3:] == [
        "subnet 2: 3 paying epochs of 4, 450 blocks, 120 s",
        "honest over dishonest: at least 90.0 times",
        "issuance: conserved",
    ]
    assert "\x1b" not in text

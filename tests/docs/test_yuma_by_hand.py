"""docs/yuma.md is true: its tables against the runtime, and against exact fractions.

The fractions are computed here from the words of the page, by code that shares nothing with the
runtime: no fixed point, no arrays, no masks.
"""

from __future__ import annotations

import dataclasses
import math
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from chain.runtime.pallets.subtensor import blockstep, weights
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.yuma import EpochInput, EpochOutput, epoch
from chain.types import NetUid
from tests.runtime.economy import Economy, account

PAGE = Path(__file__).parents[2] / "docs" / "yuma.md"
TABLE = re.compile(r"<!-- table: (.+?) -->\n((?:\|.*\n)+)")
HALF_A_DIGIT = Fraction(1, 20_000)
U16_MAX = 65_535
TOKEN = 10**9


def tables() -> dict[str, list[list[str]]]:
    """The cells of each table, without its head."""
    return {
        name: [[cell.strip() for cell in line.strip("|\n").split("|")] for line in lines[2:]]
        for name, body in TABLE.findall(PAGE.read_text())
        if (lines := body.splitlines())
    }


PRINTED = tables()


def numbers(name: str) -> list[list[Fraction]]:
    """The numbers of a table, row by row, names and empty cells left out."""
    rows = [
        [Fraction(cell) for cell in row if re.fullmatch(r"\d+(\.\d+)?", cell)]
        for row in PRINTED[name]
    ]
    return [row for row in rows if row]


def assert_printed(name: str, expected: list[list[Any]], tolerance: Fraction) -> None:
    """The table prints these numbers, each rounded to its last digit."""
    printed = numbers(name)
    assert [len(row) for row in printed] == [len(row) for row in expected], name
    for row, wanted in zip(printed, expected, strict=True):
        for shown, value in zip(row, wanted, strict=True):
            assert abs(shown - Fraction(value)) <= tolerance, (name, shown, float(value))


# By hand


@dataclasses.dataclass
class Hand:
    """One epoch of two validators and two miners, in fractions."""

    stake: list[Fraction]
    weights: list[list[Fraction]]
    bonds: list[list[Fraction]]
    penalty: int = 1
    alpha: Fraction = Fraction(1, 10)

    def __post_init__(self) -> None:
        kappa = Fraction(32_767, 65_535)
        self.share = [own / sum(self.stake) for own in self.stake]
        self.weights = [[w / sum(row) for w in row] for row in self.weights]
        self.consensus = []
        for miner in (0, 1):
            given = sorted({row[miner] for row in self.weights}, reverse=True)
            supported = [
                w
                for w in given
                if sum(
                    a for a, row in zip(self.share, self.weights, strict=True) if row[miner] >= w
                )
                >= kappa
            ]
            self.consensus.append(max(supported, default=Fraction(0)))
        self.clipped = [
            [min(w, c) for w, c in zip(row, self.consensus, strict=True)] for row in self.weights
        ]
        self.trust = [sum(row) for row in self.clipped]
        self.by = [
            [a * row[j] for a, row in zip(self.share, self.clipped, strict=True)] for j in (0, 1)
        ]
        self.ranks = [sum(parts) for parts in self.by]
        self.incentive = [rank / sum(self.ranks) for rank in self.ranks]
        followed = self.clipped if self.penalty else self.weights
        self.new_bonds = [
            [self.alpha * w + (1 - self.alpha) * b for w, b in zip(row, held, strict=True)]
            for row, held in zip(followed, self.bonds, strict=True)
        ]
        columns = [sum(row[j] for row in self.new_bonds) for j in (0, 1)]
        self.parts = [[row[j] / columns[j] for j in (0, 1)] for row in self.new_bonds]
        self.earned = [
            sum(part * i for part, i in zip(row, self.incentive, strict=True)) for row in self.parts
        ]
        self.by_stake = [e * a for e, a in zip(self.earned, self.share, strict=True)]
        self.dividends = [e / sum(self.by_stake) for e in self.by_stake]


NONE = [[Fraction(0)] * 2] * 2
BOBS = [[Fraction(1), Fraction(3)]] * 2


def subnet() -> tuple[list[Fraction], list[list[Fraction]]]:
    rows = numbers("subnet")
    return [row[1] for row in rows[:2]], [row[2:] for row in rows[:2]]


def first(penalty: int = 1, alpha: Fraction = Fraction(1, 10)) -> Hand:
    stake, weights = subnet()
    return Hand(stake, weights, NONE, penalty, alpha)


def second(penalty: int = 1) -> Hand:
    stake, _ = subnet()
    return Hand(stake, BOBS, first(penalty).new_bonds, penalty)


def liquid(apart: float) -> Fraction:
    low, high = Fraction(45_875, 65_535), Fraction(58_982, 65_535)
    return low + (high - low) / (1 + Fraction(math.exp(-10 * (apart - 0.5))))


def test_every_table_of_the_page_is_tested() -> None:
    assert set(PRINTED) == {
        *("subnet", "stake", "weights", "consensus", "incentive", "bonds", "dividends", "pots"),
        *("pay", "later", "later without penalty", "alpha", "liquid"),
    }


def test_by_hand() -> None:
    hand, zero = first(), Fraction(0)
    shares = [[a, a] for a in hand.share]
    assert_printed("stake", [*shares, [zero, zero], [zero, zero]], HALF_A_DIGIT)
    assert_printed("weights", hand.weights, HALF_A_DIGIT)
    kept = [[*row, trust] for row, trust in zip(hand.clipped, hand.trust, strict=True)]
    assert_printed("consensus", [hand.consensus, *kept], HALF_A_DIGIT)
    incentive = [
        [*hand.by[j], hand.ranks[j], hand.incentive[j], int(hand.incentive[j] * U16_MAX)]
        for j in (0, 1)
    ]
    assert_printed("incentive", incentive, HALF_A_DIGIT)
    assert_printed("bonds", hand.new_bonds, HALF_A_DIGIT)
    dividends = [
        [*hand.parts[i], hand.earned[i], hand.by_stake[i], hand.dividends[i]]
        + [int(hand.dividends[i] * U16_MAX)]
        for i in (0, 1)
    ]
    assert_printed("dividends", dividends, HALF_A_DIGIT)
    for name, penalty in (("later", 1), ("later without penalty", 0)):
        later = second(penalty)
        rows = [[*later.new_bonds[i], *later.parts[i], later.dividends[i]] for i in (0, 1)]
        assert_printed(name, rows, HALF_A_DIGIT)


def test_pay_by_hand() -> None:
    hand = first()
    made = Fraction(360)
    owner = made * 11_796 / 65_535
    half = (made - owner) / 2
    assert_printed("pots", [[owner], [half], [half]], HALF_A_DIGIT)
    validators = [
        [d * half, d * half / a * 100] for d, a in zip(hand.dividends, hand.stake, strict=True)
    ]
    miners = [[i * half] for i in hand.incentive]
    assert_printed("pay", [*validators, *miners], HALF_A_DIGIT)


def test_liquid_alpha_by_hand() -> None:
    aparts = (0.0, 0.25, 0.5, 0.75, 1.0)
    expected = [[Fraction(apart), liquid(apart)] for apart in aparts]
    assert_printed("alpha", expected, HALF_A_DIGIT)
    assert_printed("liquid", first(alpha=liquid(0)).new_bonds, HALF_A_DIGIT)


# By the runtime

A_DIGIT = Fraction(1, 10_000)


def given(**changes: Any) -> EpochInput:
    """The subnet of the page, as the chain hands it to its epoch."""
    rows = [[int(number) for number in row] for row in numbers("subnet")]
    plain = EpochInput(
        block=361,
        tempo=360,
        activity_cutoff=5_000,
        last_update=[300] * 4,
        block_at_registration=[0] * 4,
        last_step_block=0,
        stake=[row[1] * TOKEN << 64 for row in rows],
        stake_threshold=0,
        owner_uid=None,
        validator_permit=[True, True, False, False],
        max_validators=64,
        weights=[[(2, row[2]), (3, row[3])] for row in rows[:2]],
        bonds=[],
        kappa=32_767,
        bonds_penalty=U16_MAX,
        bonds_moving_average=900_000,
        yuma3=True,
        liquid_alpha=False,
        alpha_low=45_875,
        alpha_high=58_982,
        alpha_sigmoid_steepness=1_000,
        commit_block=None,
        emission=TOKEN,
    )
    return dataclasses.replace(plain, **changes)


def shares(column: list[int]) -> list[Fraction]:
    return [Fraction(number, U16_MAX) for number in column]


def bonds(output: EpochOutput) -> list[list[Fraction]]:
    held = [dict(row) for row in output.bonds]
    return [[Fraction(held[i].get(j, 0), U16_MAX) for j in (2, 3)] for i in (0, 1)]


def test_the_runtime_says_the_same() -> None:
    output = epoch(given())
    assert output.validator_permit == [True, True, False, False]
    stake = shares(output.stake_weight)
    assert_printed("stake", [[a, a] for a in stake], A_DIGIT)
    consensus = shares(output.consensus)[2:]
    assert_printed("bonds", bonds(output), A_DIGIT)
    printed = numbers("consensus")
    assert all(abs(a - b) <= A_DIGIT for a, b in zip(printed[0], consensus, strict=True))
    trust = shares(output.validator_trust)[:2]
    assert all(abs(row[-1] - b) <= A_DIGIT for row, b in zip(printed[1:], trust, strict=True))
    for name, column in (("incentive", output.incentive[2:]), ("dividends", output.dividends[:2])):
        assert [int(row[-1]) for row in numbers(name)] == column
        shown = [row[-2] for row in numbers(name)]
        assert all(abs(a - b) <= A_DIGIT for a, b in zip(shown, shares(column), strict=True))


@pytest.mark.parametrize(("name", "penalty"), [("later", U16_MAX), ("later without penalty", 0)])
def test_the_runtime_goes_on_the_same(name: str, penalty: int) -> None:
    before = epoch(given(bonds_penalty=penalty))
    bobs = [(2, 21_845), (3, 65_535)]
    state = given(bonds_penalty=penalty, bonds=before.bonds, weights=[bobs, bobs])
    output = epoch(dataclasses.replace(state, block=721, last_step_block=361))
    held, dividends = bonds(output), shares(output.dividends)
    columns = [held[0][j] + held[1][j] for j in (0, 1)]
    rows = [[*held[i], *(held[i][j] / columns[j] for j in (0, 1)), dividends[i]] for i in (0, 1)]
    assert_printed(name, rows, A_DIGIT)


def test_half_is_enough_and_a_minority_is_not() -> None:
    even = epoch(given(stake=[500 * TOKEN << 64] * 2 + [0, 0]))
    assert even.consensus[2:] == [int(0.75 * U16_MAX)] * 2
    lonely = epoch(given(weights=[[], [(2, 1), (3, 3)]]))
    assert lonely.consensus == lonely.incentive == [0] * 4
    assert [round(amount / TOKEN, 6) for amount in lonely.emission] == [0.6, 0.4, 0, 0]


def test_the_runtimes_liquid_alpha_is_the_same() -> None:
    assert_printed("liquid", bonds(epoch(given(liquid_alpha=True))), A_DIGIT)
    # Alpha by itself: all weight on Cid, whom Bob held not at all or more and more.
    for apart, alpha in numbers("alpha"):
        held = int(apart * U16_MAX)
        # Ann gives Cid nothing and holds `apart` of him: what is left of it is 1 - alpha.
        state = given(
            weights=[[(2, 0), (3, U16_MAX)], [(3, U16_MAX)]],
            bonds=[[(2, held)]],
            liquid_alpha=True,
        )
        left = Fraction(dict(epoch(state).bonds[0]).get(2, 0), held) if held else 1 - alpha
        assert abs(1 - left - alpha) <= A_DIGIT


def test_the_chain_pays_the_same() -> None:
    """360 blocks of a real subnet whose owner has no seat."""
    world = Economy()
    ctx = world.ctx
    netuid: NetUid = world.subnet("Ann", tempo=360)
    for name in ("Bob", "Cid", "Dee"):
        world.seat(netuid, name)
    s.SubnetOwner.put(ctx, netuid, account("owner"))
    s.SubnetOwnerHotkey.put(ctx, netuid, world.hotkey("owner"))
    rows = numbers("subnet")
    for name, row in zip(("Ann", "Bob"), rows, strict=False):
        world.give_stake(netuid, name, float(row[1]))
    s.ValidatorPermit.put(ctx, netuid, [True, True, False, False])
    ctx.block_env.number += 1
    s.LastEpochBlock.put(ctx, netuid, ctx.block)
    for name, row in zip(("Ann", "Bob"), rows, strict=False):
        values = [int(number) for number in row[2:]]
        world.call(world.hotkey(name), weights.set_weights, netuid, [2, 3], values, 0)
    names = ("Ann", "Bob", "Cid", "Dee", "owner")
    before = [world.stake(netuid, name) for name in names]
    for _ in range(360):
        ctx.block_env.number += 1
        blockstep.block_step(ctx)
    assert s.LastEpochBlock.get(ctx, netuid) == ctx.block
    gained = [
        Fraction(world.stake(netuid, name) - b, TOKEN)
        for name, b in zip(names, before, strict=True)
    ]
    shown = [row[0] for row in numbers("pay")]
    assert all(abs(a - b) <= A_DIGIT for a, b in zip(shown, gained[:4], strict=True))
    assert abs(numbers("pots")[0][0] - gained[4]) <= A_DIGIT

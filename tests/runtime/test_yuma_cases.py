"""Small epochs with known results, most of them the runtime's own test cases."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from chain.runtime.yuma import Csr, EpochInput, EpochOutput, Rows, epoch

TOKEN = 10**9
U16_MAX = 65_535
U64_MAX = 2**64 - 1


def given(stake: list[int], weights: Rows, **changes: Any) -> EpochInput:
    """Everybody registered at block 0, active and permitted; Yuma2, full penalty; 1 to share."""
    n = len(stake)
    plain = EpochInput(
        block=100,
        tempo=10,
        activity_cutoff=5_000,
        last_update=[50] * n,
        block_at_registration=[0] * n,
        last_step_block=0,
        stake=[units << 64 for units in stake],
        stake_threshold=0,
        owner_uid=None,
        validator_permit=[True] * n,
        max_validators=n,
        weights=weights,
        bonds=[],
        kappa=32_767,
        bonds_penalty=U16_MAX,
        bonds_moving_average=900_000,
        yuma3=False,
        liquid_alpha=False,
        alpha_low=45_875,
        alpha_high=58_982,
        alpha_sigmoid_steepness=1_000,
        commit_block=None,
        emission=TOKEN,
    )
    return dataclasses.replace(plain, **changes)


def later(before: EpochInput, output: EpochOutput, **changes: Any) -> EpochInput:
    """The next epoch's input: bonds and permits carried over."""
    return dataclasses.replace(
        before, bonds=output.bonds, validator_permit=output.validator_permit, **changes
    )


def column(output: EpochOutput, uid: int, validators: int) -> list[int]:
    return [dict(output.bonds[i]).get(uid, 0) for i in range(validators)]


# One and ten nodes that weigh only themselves earn nothing and are paid by stake.


@pytest.mark.parametrize(("n", "emission"), [(1, TOKEN), (10, 99_999_999)])
def test_self_weights_pay_stake(n: int, emission: int) -> None:
    output = epoch(given([1] * n, [[(i, U16_MAX)] for i in range(n)]))
    assert output.incentive == output.consensus == output.dividends == [0] * n
    assert output.emission == output.validator_emission == [emission] * n
    assert output.server_emission == [0] * n


def test_an_empty_subnet() -> None:
    output = epoch(given([], []))
    assert output.emission == [] and output.bonds == Csr.of([])


def test_512_nodes_64_validators() -> None:
    row = [(j, U16_MAX) for j in range(64, 512)]
    state = given([328_125 * TOKEN] * 64 + [0] * 448, [row] * 64, max_validators=64)
    for _ in range(3):
        output = epoch(state)
        state = later(state, output)
    assert output.dividends == [1_023] * 64 + [0] * 448
    assert output.incentive == output.consensus == [0] * 64 + [146] * 448
    assert output.emission == [7_812_500] * 64 + [1_116_071] * 448
    assert all(list(output.bonds[i]) == row for i in range(64))


# A validator with all stake and a server, in four states of the validator's weights.


@pytest.mark.parametrize(
    ("row", "last_update", "registered", "emission"),
    [
        pytest.param([], 1, 0, [TOKEN, 0], id="none"),
        pytest.param([(0, U16_MAX)], 1, 0, [TOKEN, 0], id="self-only"),
        pytest.param([(1, U16_MAX)], 2, 2, [TOKEN, 0], id="outdated"),
        pytest.param([(1, U16_MAX)], 3, 2, [TOKEN // 2, TOKEN // 2], id="valid-again"),
    ],
)
def test_zero_weights(
    row: list[tuple[int, int]], last_update: int, registered: int, emission: list[int]
) -> None:
    output = epoch(
        given(
            [1, 0],
            [row],
            last_update=[last_update, 0],
            block_at_registration=[0, registered],
        )
    )
    assert output.emission == emission


def test_outdated_weights() -> None:
    pair = [(2, 65_535), (3, 32_768)]
    weights = [pair, pair, [(2, U16_MAX)], [(3, U16_MAX)]]
    state = given([1] * 4, weights, block=1, tempo=0, last_update=[1] * 4)
    first = epoch(state)
    assert first.emission == [250_000_000, 250_000_000, 333_331_637, 166_668_361]

    # Another hotkey takes uid 3, and only validator 0 notices. The stake of the old one is gone.
    output = epoch(
        later(
            state,
            first,
            block=2,
            last_update=[2, 1, 1, 1],
            block_at_registration=[0, 0, 0, 1],
            stake=[1 << 64, 1 << 64, 1 << 64, 0],
            weights=[pair, [(2, 65_535), (3, 0)], [(2, U16_MAX)], []],
        )
    )
    assert output.consensus == [0, 0, int(0.6666632756 * U16_MAX), 0]
    assert output.incentive == [0, 0, U16_MAX, 0]
    assert output.dividends == [32_767, 32_767, 0, 0]
    assert output.emission == [250_000_000, 250_000_000, 500_000_000, 0]
    assert dict(output.bonds[0]) == {2: U16_MAX, 3: U16_MAX}


@pytest.mark.parametrize("n", [1, 2, 5, 10, 24])
def test_permits_go_to_the_largest_stakes(n: int) -> None:
    for permits in range(n + 1):
        for threshold in (0, 3, n // 2):
            stake = [(i * 7) % n + 1 if n % 7 else i + 1 for i in range(n)]
            bonds = [[(0, 1)]] * n
            output = epoch(
                given(stake, [], max_validators=permits, stake_threshold=threshold, bonds=bonds)
            )
            eligible = sorted((units for units in stake if units >= threshold), reverse=True)
            chosen = set(eligible[:permits])
            assert output.validator_permit == [units in chosen for units in stake]
            assert [bool(row) for row in output.bonds] == output.validator_permit


# Yuma2 bonds over eight epochs.

WEIGHTS = [(4, 16_383), (5, 32_767), (6, 49_149), (7, 65_535)]
SERVERS = [49_998_779, 100_000_610, 149_996_337, 200_004_272]
YUMA2_EPOCHS: list[tuple[dict[int, list[tuple[int, int]]], list[int], list[int]]] = [
    (
        dict.fromkeys(range(4), WEIGHTS),
        [49_999_998, 99_999_999, 150_000_000, 200_000_001, *SERVERS],
        [16_383, 32_767, 49_151, 65_535],
    ),
    (
        {0: [(0, U16_MAX)]},
        [44_998_351, 101_110_561, 151_667_215, 202_223_870, *SERVERS],
        [14_582, 32_767, 49_151, 65_535],
    ),
    (
        {1: [(1, U16_MAX)]},
        [40_496_805, 90_999_783, 157_929_636, 210_573_773, *SERVERS],
        [12_603, 28_321, 49_151, 65_535],
    ),
    (
        {2: [(2, U16_MAX)]},
        [99_999_999, 199_999_999, 299_999_999, 399_999_999, 0, 0, 0, 0],
        [12_602, 28_320, 49_150, 65_535],
    ),
    (
        {2: [(7, U16_MAX)]},
        [36_443_733, 81_898_628, 163_565_493, 218_092_144, 0, 0, 0, 500_000_000],
        [10_951, 24_609, 49_150, 65_535],
    ),
    (
        {},
        [32_799_427, 73_706_612, 168_638_129, 224_855_830, 0, 0, 0, 500_000_000],
        [9_559, 21_482, 49_150, 65_535],
    ),
    (
        {},
        [29_518_068, 66_336_137, 173_203_134, 230_942_659, 0, 0, 0, 500_000_000],
        [8_376, 18_824, 49_150, 65_535],
    ),
    (
        {},
        [26_565_175, 59_701_871, 177_311_856, 236_421_095, 0, 0, 0, 500_000_000],
        [7_363, 16_549, 49_150, 65_535],
    ),
]


def test_yuma2_bonds() -> None:
    rows: dict[int, list[tuple[int, int]]] = {}
    state = given([1, 2, 3, 4, 0, 0, 0, 0], [])
    for number, (changes, emission, bonds) in enumerate(YUMA2_EPOCHS):
        rows |= changes
        state = dataclasses.replace(state, weights=[rows[i] for i in range(4)])
        output = epoch(state)
        assert output.emission == emission, number
        assert column(output, 7, 4) == bonds, number
        if number == 0:
            assert output.consensus == output.incentive
            assert output.dividends == [6_553, 13_106, 19_660, 26_214, 0, 0, 0, 0]
            assert all(column(output, uid, 4) == bonds for uid in range(4, 8))
        if number == 3:
            # Support of 0.4 is below the majority: nobody earns, stake is paid.
            assert output.consensus == output.incentive == output.dividends == [0] * 8
        if number == 4:
            assert output.incentive == [0, 0, 0, 0, 0, 0, 0, U16_MAX]
            shares = (0.0728874663, 0.1637972582, 0.3271309866, 0.4361842885)
            assert output.dividends[:4] == [int(share * U16_MAX) for share in shares]
        state = later(state, output)


def test_inactive_stake() -> None:
    half = [(2, 65_535), (3, 65_535)]
    state = given([1] * 4, [half, half], block=1, tempo=1, last_update=[1, 1, 0, 0])
    output = epoch(state)
    assert output.active == [True] * 4
    assert output.dividends == [32_767, 32_767, 0, 0]
    assert output.emission == [250_000_000] * 4
    assert output.bonds == Csr.of([half, half, [], []])

    state = later(state, output, block=5_002, last_update=[5_002, 1, 0, 0])
    output = epoch(state)
    assert output.active == [True, False, False, False]
    assert output.dividends == [36_044, 29_490, 0, 0]
    assert output.emission == [274_999_999, 224_999_999, 250_000_000, 250_000_000]
    assert output.bonds == Csr.of([half, [(2, 53_619), (3, 53_619)], [], []])

    state = later(state, output, block=5_003, last_update=[5_002, 5_002, 0, 0])
    output = epoch(state)
    assert output.dividends == [35_716, 29_818, 0, 0]
    assert output.emission == [272_501_132, 227_498_866, 250_000_000, 250_000_000]
    assert output.bonds == Csr.of([half, [(2, 54_712), (3, 54_712)], [], []])


# Yuma3, three validators A, B, C and servers S1, S2 (S3): who changes its mind when.
# A schedule names, epoch by epoch, the validators whose weight is on S2.

ALL = {0, 1, 2}
KAPPA_FIRST: list[set[int]] = [set(), {0}, {0, 1}, ALL, ALL, ALL]
KAPPA_SECOND: list[set[int]] = [set(), {1}, {0, 1}, ALL, ALL, ALL]
KAPPA_LAST: list[set[int]] = [set(), {1}, {1, 2}, ALL, ALL, ALL]
ONE_SWITCH: list[set[int]] = [set(), set(), {2}, set(), set(), set()]

LARGE_A = [8 * TOKEN, TOKEN, TOKEN]
EVEN = [33 * TOKEN, 33 * TOKEN, 34 * TOKEN]
TOLERANCE = 2e-4  # the tables give four digits


def run_yuma3(
    stake: list[int],
    schedule: list[set[int]],
    *,
    liquid: bool = True,
    stable: bool = False,
    reset_before: int | None = None,
) -> list[EpochOutput]:
    """Run one epoch per entry; `stable` puts half of every weight on a third server."""
    servers = 3 if stable else 2
    state = given(
        stake + [0] * servers,
        [],
        max_validators=3,
        bonds_penalty=0,
        bonds_moving_average=975_000,
        yuma3=True,
        liquid_alpha=liquid,
        alpha_low=6_553,
        alpha_high=19_660,
    )
    outputs = []
    for number, moved in enumerate(schedule):
        weights = []
        for validator in range(3):
            # Explicit zeros: without them liquid alpha would drop the other bond at once.
            first, second = (0, U16_MAX) if validator in moved else (U16_MAX, 0)
            weights.append([(3, first), (4, second), *([(5, U16_MAX)] if stable else [])])
        state = dataclasses.replace(state, weights=weights)
        if number == reset_before:
            kept = [[pair for pair in row if pair[0] != 3] for row in state.bonds]
            state = dataclasses.replace(state, bonds=kept)
        outputs.append(epoch(state))
        state = later(state, outputs[-1])
    return outputs


def dividends(output: EpochOutput) -> list[float]:
    return [value / U16_MAX for value in output.dividends[:3]]


def bonds(output: EpochOutput, validator: int, servers: int = 2) -> list[float]:
    row = dict(output.bonds[validator])
    return [row.get(3 + server, 0) / U16_MAX for server in range(servers)]


def near(*values: float) -> Any:
    return pytest.approx(list(values), abs=TOLERANCE)


def test_yuma3_kappa_moves_first() -> None:
    table = [
        ((0.1013, 0), (0.1013, 0), (0.1013, 0), (0.8, 0.1, 0.1)),
        ((0.0908, 0.1013), (0.3697, 0), (0.3697, 0), (1, 0, 0)),
        ((0.0815, 0.1924), (0.3170, 0.1013), (0.5580, 0), (0.9382, 0.0618, 0)),
        ((0.0731, 0.2742), (0.2765, 0.1924), (0.4306, 0.1013), (0.8819, 0.0773, 0.0407)),
        ((0.0656, 0.3478), (0.2435, 0.2742), (0.3589, 0.1924), (0.8564, 0.0844, 0.0592)),
        ((0.0588, 0.4139), (0.2157, 0.3478), (0.3089, 0.2742), (0.8418, 0.0884, 0.0697)),
    ]
    for output, (a, b, c, shares) in zip(run_yuma3(LARGE_A, KAPPA_FIRST), table, strict=True):
        assert [bonds(output, v) for v in range(3)] == [near(*a), near(*b), near(*c)]
        assert dividends(output) == near(*shares)


def test_yuma3_kappa_moves_second() -> None:
    table = [
        ((0.1013, 0), (0.1013, 0), (0.1013, 0), (0.8, 0.1, 0.1)),
        ((0.1924, 0), (0.0908, 0.2987), (0.1924, 0), (0.8446, 0.0498, 0.1056)),
        ((0.1715, 0.1013), (0.0815, 0.3697), (0.4336, 0), (0.6868, 0.3132, 0)),
        ((0.1531, 0.1924), (0.0730, 0.4336), (0.3608, 0.1013), (0.7421, 0.2090, 0.0489)),
        ((0.1368, 0.2742), (0.0655, 0.4910), (0.3103, 0.1924), (0.7625, 0.1706, 0.0669)),
        ((0.1224, 0.3478), (0.0588, 0.5426), (0.2712, 0.2742), (0.7730, 0.1508, 0.0762)),
    ]
    for output, (a, b, c, shares) in zip(run_yuma3(LARGE_A, KAPPA_SECOND), table, strict=True):
        assert [bonds(output, v) for v in range(3)] == [near(*a), near(*b), near(*c)]
        assert dividends(output) == near(*shares)


def test_yuma3_kappa_moves_last() -> None:
    table = [
        ((0.1013, 0), (0.1013, 0), (0.1013, 0), (0.8, 0.1, 0.1)),
        ((0.1924, 0), (0.0908, 0.2987), (0.1924, 0), (0.8446, 0.0498, 0.1056)),
        ((0.2742, 0), (0.0815, 0.5081), (0.1715, 0.2987), (0.8966, 0.0333, 0.0701)),
        ((0.2416, 0.1013), (0.0731, 0.5580), (0.1531, 0.3697), (0.4663, 0.3210, 0.2127)),
        ((0.2141, 0.1924), (0.0655, 0.6027), (0.1368, 0.4336), (0.5976, 0.2340, 0.1683)),
        ((0.1903, 0.2742), (0.0588, 0.6430), (0.1224, 0.4910), (0.6592, 0.1932, 0.1475)),
    ]
    for output, (a, b, c, shares) in zip(run_yuma3(LARGE_A, KAPPA_LAST), table, strict=True):
        assert [bonds(output, v) for v in range(3)] == [near(*a), near(*b), near(*c)]
        assert dividends(output) == near(*shares)


def test_yuma3_one_epoch_switch() -> None:
    shares = [
        (0.33, 0.33, 0.34),
        (0.33, 0.33, 0.34),
        (0.3782, 0.3782, 0.2436),
        (0.3628, 0.3628, 0.2745),
        (0.3541, 0.3541, 0.2917),
        (0.3487, 0.3487, 0.3026),
    ]
    outputs = run_yuma3(EVEN, ONE_SWITCH)
    assert [dividends(output) for output in outputs] == [near(*row) for row in shares]
    held = [bonds(output, 0)[0] for output in outputs]
    assert held == near(0.1013, 0.1924, 0.2742, 0.3478, 0.4139, 0.4733)
    assert bonds(outputs[2], 2) == near(0.1715, 0.2987)
    assert bonds(outputs[3], 2) == near(0.2554, 0.2618)


def test_yuma3_one_epoch_switch_without_liquid_alpha() -> None:
    shares = [
        (0.33, 0.33, 0.34),
        (0.33, 0.33, 0.34),
        (0.3734, 0.3734, 0.2532),
        (0.3611, 0.3611, 0.2779),
        (0.3541, 0.3541, 0.2919),
        (0.3495, 0.3495, 0.3009),
    ]
    outputs = run_yuma3(EVEN, ONE_SWITCH, liquid=False)
    assert [dividends(output) for output in outputs] == [near(*row) for row in shares]
    held = [bonds(output, 0)[0] for output in outputs]
    assert held == near(0.0250, 0.0494, 0.0731, 0.0963, 0.1189, 0.1409)
    assert bonds(outputs[2], 2) == near(0.0481, 0.0250)
    assert bonds(outputs[3], 2) == near(0.0719, 0.0244)


def test_yuma3_stable_miner() -> None:
    shares = [
        (0.8, 0.1, 0.1),
        (0.8226, 0.0745, 0.1028),
        (0.7750, 0.1685, 0.0565),
        (0.7864, 0.1372, 0.0764),
        (0.7912, 0.1241, 0.0847),
        (0.7937, 0.1173, 0.0890),
    ]
    outputs = run_yuma3(LARGE_A, KAPPA_SECOND, stable=True)
    assert bonds(outputs[0], 0, servers=3) == near(0.0507, 0, 0.0507)
    assert [dividends(output) for output in outputs] == [near(*row) for row in shares]


def test_yuma3_bonds_reset() -> None:
    schedule = [set(), {1, 2}, *[ALL] * 18, ALL, {0}, *[set[int]()] * 19]
    outputs = run_yuma3(LARGE_A, schedule, reset_before=20)
    expected = {
        0: (0.8, 0.1, 0.1),
        1: (0.8944, 0.0528, 0.0528),
        2: (0.5230, 0.2385, 0.2385),
        19: (0.7919, 0.1040, 0.1040),
        20: (0.7928, 0.1036, 0.1036),
        21: (0.8467, 0.0766, 0.0766),
        40: (0.7928, 0.1036, 0.1036),
    }
    for number, shares in expected.items():
        assert dividends(outputs[number]) == near(*shares), number
    held = {
        19: ((0.0269, 0.8539), (0.0131, 0.8975)),
        20: ((0, 0.8687), (0, 0.9079)),
        21: ((0, 0.8820), (0.2987, 0.6386)),
    }
    for number, (a, b) in held.items():
        assert bonds(outputs[number], 0) == near(*a), number
        assert bonds(outputs[number], 1) == near(*b), number


# Masks and owner rules, one at a time.


@pytest.mark.parametrize(("registered", "paid"), [(39, True), (40, True), (41, False)])
def test_a_server_registered_after_the_commit_earns_nothing(registered: int, paid: bool) -> None:
    state = given([1, 0], [[(1, U16_MAX)]], block_at_registration=[0, registered])
    committed = dataclasses.replace(state, commit_block=[40, U64_MAX])
    assert bool(epoch(committed).incentive[1]) == paid
    assert epoch(state).incentive[1]
    assert epoch(dataclasses.replace(state, commit_block=[U64_MAX] * 2)).incentive[1]


def test_the_owner_needs_neither_threshold_nor_permit() -> None:
    state = given(
        [1, 9, 0],
        [[(2, U16_MAX)], [(2, U16_MAX)], []],
        stake_threshold=5,
        validator_permit=[False] * 3,
        max_validators=1,
    )
    assert epoch(state).stake_weight == [0, U16_MAX, 0]
    assert epoch(state).incentive == [0, 0, 0]
    owned = epoch(dataclasses.replace(state, owner_uid=0))
    assert owned.stake_weight == [6_553, 58_981, 0]
    assert owned.validator_permit == [True, True, False]
    assert owned.incentive == [0, 0, U16_MAX]
    assert owned.dividends == [U16_MAX, 0, 0]


def test_only_the_owner_may_weigh_itself() -> None:
    state = given([1, 1], [[(0, U16_MAX)], [(0, U16_MAX)]], validator_permit=[True, False])
    assert epoch(state).incentive == [0, 0]
    assert epoch(dataclasses.replace(state, owner_uid=0)).incentive == [U16_MAX, 0]


def test_bonds_to_a_newcomer_are_forgotten() -> None:
    held = [[(1, U16_MAX), (2, U16_MAX)]]
    state = given([1, 0, 0], [], bonds=held, yuma3=True, bonds_moving_average=1_000_000)
    cases: list[tuple[dict[str, Any], list[tuple[int, int]]]] = [
        ({"block_at_registration": [0, 89, 90]}, [(1, U16_MAX)]),  # 90 is block - tempo
        ({"block_at_registration": [0, 91, 90], "last_step_block": 90}, [(2, U16_MAX)]),
        ({"block": 5}, []),  # no tempo has passed: everybody is a newcomer
    ]
    for changes, kept in cases:
        assert list(epoch(dataclasses.replace(state, **changes)).bonds[0]) == kept


@pytest.mark.parametrize(
    ("liquid", "kept"), [(False, [(1, 6_553), (2, 58_981)]), (True, [(1, 6_552)])]
)
def test_a_bond_without_weight_fades_or_with_liquid_alpha_vanishes(
    liquid: bool, kept: list[tuple[int, int]]
) -> None:
    state = given(
        [1, 0, 0],
        [[(1, U16_MAX)]],
        bonds=[[(2, U16_MAX)]],
        yuma3=True,
        liquid_alpha=liquid,
        alpha_low=6_553,
        alpha_high=6_553,
    )
    assert list(epoch(state).bonds[0]) == kept


def test_a_row_of_zeros_stays_one() -> None:
    output = epoch(given([1, 0], [[(1, 0)]]))
    assert output.consensus == output.incentive == output.validator_trust == [0, 0]


def test_liquid_alpha_stumbles_over_unsorted_bonds() -> None:
    """A uid out of order hides the smaller ones after it from alpha, but not from the average."""
    state = given(
        [1, 0, 0],
        [[(1, U16_MAX), (2, U16_MAX)]],
        yuma3=True,
        liquid_alpha=True,
        bonds=[[(1, U16_MAX), (2, 100)]],
    )
    ordered, stumbling = (
        epoch(state),
        epoch(dataclasses.replace(state, bonds=[[(2, 100), (1, U16_MAX)]])),
    )
    past_the_end = epoch(dataclasses.replace(state, bonds=[[(9, 5), (1, U16_MAX), (2, 100)]]))
    assert dict(ordered.bonds[0])[2] == dict(stumbling.bonds[0])[2]
    assert dict(ordered.bonds[0])[1] != dict(stumbling.bonds[0])[1]
    assert past_the_end.bonds == stumbling.bonds


def test_rows_may_be_packed() -> None:
    rows = [[(2, 7), (1, 0)], [], [(0, U16_MAX)]]
    packed = Csr.of(rows)
    assert [list(row) for row in packed] == rows
    assert packed[-1] == ((0, U16_MAX),) and packed[:2] == [((2, 7), (1, 0)), ()]
    assert packed == Csr.of(packed) and packed != Csr.of(rows[:2])
    assert epoch(given([1, 2, 3], packed)) == epoch(given([1, 2, 3], rows))
    with pytest.raises(IndexError):
        packed[3]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"validator_permit": [True]}, "validator_permit has 1 entries for 2 uids"),
        ({"last_update": [1, 2, 3]}, "last_update entries is 3, more than 2"),
        ({"owner_uid": 2}, "owner_uid is 2, more than 1"),
        ({"weights": [[]] * 3}, "weights rows is 3, more than 2"),
        ({"stake": [1 << 126, 1 << 126]}, "sum of stake"),
        ({"bonds_moving_average": 1_000_001}, "bonds_moving_average is 1000001"),
        ({"alpha_low": 50_000, "alpha_high": 40_000}, "alpha_low is 50000, more than 40000"),
        ({"emission": 2**64}, "emission is"),
    ],
)
def test_impossible_states_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(given([1, 1], []), **changes)

"""The epoch once more, written from the text of the rules: scalars, loops, Python's big integers.

Slow and literal on purpose, and sharing no line with the library: every fixed-point operation is
spelled out here, every matrix is a list of rows of pairs, the median bisects as the runtime does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chain.runtime.yuma import EpochInput

Row = list[tuple[int, int]]

ONE = 1 << 32
I32F32_MIN, I32F32_MAX = -(1 << 63), (1 << 63) - 1
E_CONSTANT = int(2.71828174591064453125 * 2**23) << 9


def clamp32(raw: int) -> int:
    return max(I32F32_MIN, min(I32F32_MAX, raw))


def mul(a: int, b: int) -> int:
    return clamp32((a * b) >> 32)


def trunc_div(a: int, b: int) -> int:
    q = abs(a) // abs(b)
    return q if (a >= 0) == (b >= 0) else -q


def safe_div(a: int, b: int) -> int:
    if b == 0:
        return 0
    q = trunc_div(a << 32, b)
    return q if I32F32_MIN <= q <= I32F32_MAX else 0


def from_int(value: int) -> int:
    return clamp32(value << 32)


def proportion(value: int) -> int:
    return safe_div(from_int(value), from_int(65535))


def to_u16(raw: int) -> int:
    return max(0, min(65535, mul(raw, from_int(65535)) >> 32))


def exp(x: int) -> int | None:
    if x == 0:
        return ONE
    if x == ONE:
        return E_CONSTANT
    operand = abs(x)
    result, term = operand + ONE, operand
    for i in range(2, 32):
        term = (term * operand) >> 32
        if term > I32F32_MAX:
            return None
        term = trunc_div(term << 32, i << 32)
        result += term
        if result > I32F32_MAX:
            return None
    return trunc_div(ONE << 32, result) if x < 0 else result


def exp_safe(x: int) -> int:
    x = max(-20 * ONE, min(20 * ONE, x))
    value = exp(x)
    if value is None:
        return 0 if x <= 0 else I32F32_MAX
    return value


def normalize(vector: list[int]) -> list[int]:
    total = sum(vector)
    return list(vector) if total == 0 else [safe_div(v, total) for v in vector]


def is_topk_nonzero(vector: list[int], k: int) -> list[bool]:
    n = len(vector)
    result = [v != 0 for v in vector]
    if n < k:
        return result
    for index in sorted(range(n), key=lambda i: vector[i])[: n - k]:
        result[index] = False
    return result


def weighted_median(u: list[int], v: list[int], minority: int, total: int) -> int:
    idx, lo, hi = list(range(len(u))), 0, total
    for _ in range(len(u) + 1):
        if not idx:
            return 0
        if len(idx) == 1:
            return v[idx[0]]
        pivot = v[idx[len(idx) // 2]]
        lower = [k for k in idx if v[k] < pivot]
        higher = [k for k in idx if v[k] > pivot]
        sl, sh = sum(u[k] for k in lower), sum(u[k] for k in higher)
        if minority < lo + sl and lower:
            idx, hi = lower, lo + sl
        elif hi - sh <= minority and higher:
            idx, lo = higher, hi - sh
        else:
            return pivot
    return 0


def weighted_median_col(stake: list[int], rows: list[Row], n: int, majority: int) -> list[int]:
    kept = [i for i in range(len(stake)) if stake[i] > 0]
    u = normalize([stake[i] for i in kept])
    total = sum(u)
    medians = []
    for j in range(n):
        scores = []
        for i in kept:
            score = 0
            for col, value in rows[i]:
                if col == j:
                    score = value
            scores.append(score)
        medians.append(weighted_median(u, scores, clamp32(total - majority), total))
    return medians


def col_sums(rows: list[Row], n: int) -> list[int]:
    sums = [0] * n
    for row in rows:
        for j, value in row:
            if j < n:
                sums[j] = clamp32(sums[j] + value)
    return sums


def col_normalize(rows: list[Row], n: int) -> list[Row]:
    sums = col_sums(rows, n)
    return [
        [(j, safe_div(v, sums[j]) if j < n and sums[j] != 0 else v) for j, v in row] for row in rows
    ]


def mat_ema(new: list[Row], old: list[Row], n: int, alpha: int) -> list[Row]:
    result = []
    for new_row, old_row in zip(new, old, strict=True):
        dense = [0] * n
        for j, v in new_row:
            dense[j] = clamp32(dense[j] + mul(alpha, v))
        for j, v in old_row:
            if j < n:
                dense[j] = clamp32(dense[j] + mul(ONE - alpha, v))
        result.append([(j, v) for j, v in enumerate(dense) if v > 0])
    return result


def walk(row: Row, n: int) -> list[int]:
    """Read a row as the two-pointer pass does: one pointer, never moved back."""
    values, at = [], 0
    for j in range(n):
        while at < len(row) and row[at][0] < j:
            at += 1
        values.append(row[at][1] if at < len(row) and row[at][0] == j else 0)
    return values


def liquid_ema(
    given: EpochInput, new: list[Row], old: list[Row], consensus: list[int]
) -> list[Row]:
    n = len(consensus)
    low, high = proportion(given.alpha_low), proportion(given.alpha_high)
    steepness = from_int(given.alpha_sigmoid_steepness)
    result = []
    for new_row, old_row in zip(new, old, strict=True):
        alphas = []
        for weight, bond, c in zip(walk(new_row, n), walk(old_row, n), consensus, strict=True):
            diff_buy = max(0, min(ONE, weight - c))
            diff_sell = max(0, min(ONE, bond - weight))
            diff = diff_buy if weight >= bond else diff_sell
            slope = clamp32(trunc_div(steepness << 32, from_int(-100)))
            sigmoid = trunc_div(ONE << 32, ONE + exp_safe(mul(slope, diff - ONE // 2)))
            alphas.append(max(low, min(high, low + mul(sigmoid, high - low))))
        decayed = [0] * n
        for j, v in old_row:
            if j < n:
                decayed[j] = mul(ONE - alphas[j], v)
        row = [(j, min(ONE, decayed[j] + max(0, mul(alphas[j], v)))) for j, v in new_row]
        result.append([(j, v) for j, v in row if v > 0])
    return result


def interpolate(weights: list[Row], clipped: list[Row], n: int, ratio: int) -> list[Row]:
    if ratio == 0:
        return weights
    if ratio == ONE:
        return clipped
    result = []
    for row1, row2 in zip(weights, clipped, strict=True):
        dense1, dense2 = dict(row1), dict(row2)
        row = []
        for j in range(n):
            v1, v2 = dense1.get(j, 0), dense2.get(j, 0)
            value = v1 + mul(ratio, v2 - v1)
            if value > 0:
                row.append((j, value))
        result.append(row)
    return result


def epoch(given: EpochInput) -> dict[str, Any]:
    """Run one epoch; the keys are the fields of EpochOutput, bonds a list of rows."""
    n, owner, block = len(given.stake), given.owner_uid, given.block
    last_update = [*given.last_update, *[0] * n][:n]
    registered = given.block_at_registration

    # 1. Activity.
    inactive = [min(u + given.activity_cutoff, 2**64 - 1) < block for u in last_update]

    # 2. Stake filter, normalised in I64F64.
    filtered = [
        0 if i != owner and (s >> 64) < given.stake_threshold else s
        for i, s in enumerate(given.stake)
    ]
    total = sum(filtered)
    if total:
        filtered = [(s << 64) // total for s in filtered]
    stake = [clamp32(s >> 32) for s in filtered]

    # 3. Permits.
    permits = [bool(p) or i == owner for i, p in enumerate(given.validator_permit)]
    new_permits = [
        p or i == owner for i, p in enumerate(is_topk_nonzero(stake, given.max_validators))
    ]

    # 4. Active stake.
    active_stake = normalize([0 if inactive[i] or not permits[i] else stake[i] for i in range(n)])

    # 5. Weight masks.
    weights: list[Row] = []
    for i in range(n):
        stored = given.weights[i] if i < len(given.weights) else ()
        row = [(j, from_int(v)) for j, v in stored if j < n]
        if not permits[i]:
            row = []
        row = [(j, v) for j, v in row if j != i or i == owner]
        row = [(j, v) for j, v in row if not last_update[i] <= registered[j]]
        if given.commit_block is not None:
            row = [(j, v) for j, v in row if not given.commit_block[i] < registered[j]]
        weights.append(row)

    # 6. Row normalise.
    for i, row in enumerate(weights):
        row_sum = sum(v for _, v in row)
        if row_sum > 0:
            weights[i] = [(j, safe_div(v, row_sum)) for j, v in row]

    # 7.-9. Consensus, clip, validator trust.
    consensus = weighted_median_col(active_stake, weights, n, proportion(given.kappa))
    clipped: list[Row] = []
    for row in weights:
        kept: Row = []
        for j, v in row:
            if consensus[j] < v:
                if consensus[j] > 0:
                    kept.append((j, consensus[j]))
            else:
                kept.append((j, v))
        clipped.append(kept)
    trust = [sum(v for _, v in row) for row in clipped]

    # 10. Ranks and incentive.
    ranks = [0] * n
    for i, row in enumerate(clipped):
        for j, v in row:
            ranks[j] = clamp32(ranks[j] + mul(active_stake[i], v))
    incentive = normalize(ranks)

    # 11. Weights for bonds.
    bond_weights = interpolate(weights, clipped, n, proportion(given.bonds_penalty))

    # 12. Old bonds.
    if given.last_step_block == 0:
        last_tempo = max(0, block - given.tempo)
    else:
        last_tempo = min(given.last_step_block + 1, 2**64 - 1)
    old: list[Row] = []
    for i in range(n):
        stored = given.bonds[i] if i < len(given.bonds) else ()
        old.append(
            [
                (j, from_int(v))
                for j, v in stored
                if not last_tempo <= (registered[j] if j < n else 0)
            ]
        )

    # 13. Bonds and dividends.
    moving_average = (given.bonds_moving_average << 64) // 1_000_000
    alpha = clamp32(ONE - clamp32(moving_average >> 32))
    if given.yuma3:
        old = [[(j, safe_div(v, from_int(65535))) for j, v in row] for row in old]
        if given.liquid_alpha and any(consensus):
            ema = liquid_ema(given, bond_weights, old, consensus)
        else:
            ema = mat_ema(bond_weights, old, n, alpha)
        shares = col_normalize(ema, n)
        totals = [sum(mul(v, incentive[j]) for j, v in row) for row in shares]
        dividends = normalize([mul(totals[i], active_stake[i]) for i in range(n)])
    else:
        old = col_normalize(old, n)
        delta = col_normalize(
            [[(j, mul(v, active_stake[i])) for j, v in row] for i, row in enumerate(bond_weights)],
            n,
        )
        ema = col_normalize(mat_ema(delta, old, n, alpha), n)
        dividends = normalize([sum(mul(incentive[j], v) for j, v in row) for row in ema])
        largest = [max((v for row in ema for j, v in row if j == c), default=0) for c in range(n)]
        ema = [[(j, safe_div(v, largest[j])) for j, v in row] for row in ema]

    # 14. Emission.
    combined = [clamp32(i + d) for i, d in zip(incentive, dividends, strict=True)]
    emission_sum = sum(combined)
    if emission_sum == 0:
        server = incentive
        validator = both = stake if sum(active_stake) == 0 else active_stake
    else:
        server = [safe_div(v, emission_sum) for v in incentive]
        validator = [safe_div(v, emission_sum) for v in dividends]
        both = normalize(combined)

    def rao(shares: list[int]) -> list[int]:
        return [((share * (given.emission << 32)) >> 32) >> 32 for share in shares]

    return {
        "active": [not x for x in inactive],
        "consensus": [to_u16(x) for x in consensus],
        "incentive": [to_u16(x) for x in incentive],
        "dividends": [to_u16(x) for x in dividends],
        "validator_trust": [to_u16(x) for x in trust],
        "validator_permit": new_permits,
        "stake_weight": [to_u16(x) for x in stake],
        "emission": rao(both),
        "server_emission": rao(server),
        "validator_emission": rao(validator),
        "bonds": [[(j, to_u16(v)) for j, v in ema[i]] if new_permits[i] else [] for i in range(n)],
    }

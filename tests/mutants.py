"""Planted faults: each changes one line of the runtime, and a test must fail for it.

`python -m tests.mutants` tries all of them in a copy of the tree and writes the table of
`mutants.md`; names after the command try only the files that contain them.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUNTIME = "chain/runtime"
PALLETS = f"{RUNTIME}/pallets"
SUBTENSOR = f"{PALLETS}/subtensor"
SUITE = "tests/runtime"
COPIED = ("chain", SUITE, "tests/vectors", "pyproject.toml")


@dataclass(frozen=True)
class Mutant:
    """One fault: in `file`, `old` (which is there once) becomes `new`; `test` is where it shows."""

    fault: str
    file: str
    old: str
    new: str
    test: str

    def apply(self, tree: Path) -> None:
        """Plant the fault in a copy of the tree. Raises ValueError when the source has changed."""
        path = tree / self.file
        source = path.read_text()
        if source.count(self.old) != 1:
            raise ValueError(f"{self.file} has {source.count(self.old)} times: {self.old}")
        path.write_text(source.replace(self.old, self.new))


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant: the first test that failed, or None."""

    mutant: Mutant
    caught_by: str | None


MUTANTS = (
    Mutant(
        "a refused call keeps what it wrote before",
        f"{RUNTIME}/frame.py",
        "    with ctx.transaction():\n        run_guards",
        "    if True:\n        run_guards",
        "test_coldkeyswap.py",
    ),
    Mutant(
        "a refused call keeps its events",
        f"{RUNTIME}/frame.py",
        "            del self.block_env.events[kept:]\n",
        "",
        "test_laws.py",
    ),
    Mutant(
        "a dead account loses its nonce",
        f"{PALLETS}/balances.py",
        "    if info.nonce:\n",
        "    if False:\n",
        "test_laws.py",
    ),
    Mutant(
        "dust is lost without leaving the issuance",
        f"{PALLETS}/balances.py",
        "                rescind(ctx, amount)\n                ctx.deposit(DustLost",
        "                ctx.deposit(DustLost",
        "test_laws.py",
    ),
    Mutant(
        "recycled TAO stays in the issuance",
        f"{SUBTENSOR}/recycling.py",
        "    balances.rescind(ctx, amount)\n",
        "",
        "test_hotkeyswap.py",
    ),
    Mutant(
        "a buyer pays no fee",
        f"{PALLETS}/swap.py",
        "    rate = 0 if drop_fees else FeeRate.get(ctx, netuid)\n    fee = int(tao)",
        "    rate = 0\n    fee = int(tao)",
        "test_swap.py",
    ),
    Mutant(
        "sold alpha is still counted as out of the pool",
        f"{PALLETS}/swap.py",
        "s.SubnetAlphaOut.get(ctx, netuid).saturating_sub(paid)",
        "s.SubnetAlphaOut.get(ctx, netuid)",
        "test_staking.py",
    ),
    Mutant(
        "a seller may sell what it does not hold",
        f"{SUBTENSOR}/staking.py",
        "    ensure(held >= alpha, er.NotEnoughStakeToWithdraw)\n",
        "",
        "test_staking.py",
    ),
    Mutant(
        "stake that leaves is still counted as staked",
        f"{SUBTENSOR}/shares.py",
        "    s.TotalAlphaStaked.put(ctx, netuid, staked.saturating_sub(min(alpha, now)))\n",
        "    s.TotalAlphaStaked.put(ctx, netuid, staked)\n",
        "test_laws.py",
    ),
    Mutant(
        "new root stake inherits past dividends",
        f"{SUBTENSOR}/staking.py",
        "        rootdividends.on_stake_added(ctx, hotkey, coldkey, bought)\n",
        "        pass\n",
        "test_staking.py",
    ),
    Mutant(
        "an epoch runs a block late",
        f"{SUBTENSOR}/tempo.py",
        "s.LastEpochBlock.get(ctx, netuid), 0) >= tempo",
        "s.LastEpochBlock.get(ctx, netuid), 0) > tempo",
        "test_coinbase.py",
    ),
    Mutant(
        "one epoch too many runs in a block",
        f"{SUBTENSOR}/coinbase.py",
        "        if len(drained) >= most:",
        "        if len(drained) > most:",
        "test_coinbase.py",
    ),
    Mutant(
        "root stakers are paid while subnets are worth no more than TAO",
        f"{SUBTENSOR}/coinbase.py",
        "for netuid in netuids) > U64F64.ONE",
        "for netuid in netuids) >= U64F64.ONE",
        "test_coinbase.py",
    ),
    Mutant(
        "the owner's own miners are paid",
        f"{SUBTENSOR}/payout.py",
        "        if hotkey in own:",
        "        if False:",
        "test_coinbase.py",
    ),
    Mutant(
        "a parent votes with what it lent",
        f"{SUBTENSOR}/epoch.py",
        "U96F32.add(U96F32.sub(own, given), taken)",
        "U96F32.add(own, taken)",
        "test_children.py",
    ),
    Mutant(
        "a registration does not raise the price",
        f"{SUBTENSOR}/registration.py",
        "    _raise_price(ctx, netuid, price)\n",
        "",
        "test_registration.py",
    ),
    Mutant(
        "alpha bought by a registration is not recycled",
        f"{SUBTENSOR}/registration.py",
        "    staking.recycle(ctx, netuid, trade.paid_out)\n",
        "",
        "test_registration.py",
    ),
    Mutant(
        "of equal neurons the youngest is pruned",
        f"{SUBTENSOR}/uids.py",
        "append((earned, born, uid))",
        "append((earned, -born, uid))",
        "test_registration.py",
    ),
    Mutant(
        "a seat that changes hands keeps the old neuron's record",
        f"{SUBTENSOR}/uids.py",
        "    _clear(ctx, netuid, uid)\n\n\ndef _seat",
        "\n\ndef _seat",
        "test_registration.py",
    ),
    Mutant(
        "trimming does not renumber the targets of weights",
        f"{SUBTENSOR}/uids.py",
        "entries = [(moved[to], value)",
        "entries = [(to, value)",
        "test_admin.py",
    ),
    Mutant(
        "weights are set without a permit",
        f"{SUBTENSOR}/weights.py",
        "        or s.ValidatorPermit.get(ctx, netuid)[uid],\n",
        "        or True,\n",
        "test_weights.py",
    ),
    Mutant(
        "a commit is revealed in any epoch",
        f"{SUBTENSOR}/weights.py",
        "    ensure(tempo.epoch_index(ctx, netuid) == due, er.RevealTooEarly)\n    return",
        "    return",
        "test_weights.py",
    ),
    Mutant(
        "an axon is served on port 0",
        f"{SUBTENSOR}/serving.py",
        "    ensure(port != 0, er.InvalidPort)\n\n\ndef _ensure_prometheus",
        "\n\ndef _ensure_prometheus",
        "test_serving.py",
    ),
    Mutant(
        "hyperparameters change inside the freeze window",
        f"{SUBTENSOR}/ratelimits.py",
        "        not tempo.in_freeze_window(ctx, netuid),\n",
        "        True,\n",
        "test_admin.py",
    ),
    Mutant(
        "commitments take no space",
        f"{PALLETS}/commitments.py",
        "    used += max(MIN_SPACE, sum(map(space, info.fields)))\n",
        "",
        "test_commitments.py",
    ),
    Mutant(
        "children come into force in the block that ends their cooldown",
        f"{SUBTENSOR}/children.py",
        "        if cooldown_block < ctx.block or not started:",
        "        if cooldown_block <= ctx.block or not started:",
        "test_children.py",
    ),
    Mutant(
        "two hotkeys are each other's child",
        f"{SUBTENSOR}/children.py",
        "    if wanted.keys() & parents.keys():",
        "    if False:",
        "test_children.py",
    ),
    Mutant(
        "a former child still counts the parent",
        f"{SUBTENSOR}/children.py",
        "            edges.pop(hotkey, None)",
        "            pass",
        "test_children.py",
    ),
    Mutant(
        "a dissolved subnet's spare rao are kept back",
        f"{SUBTENSOR}/dissolve.py",
        "    lucky = set(by_rest[:spare])",
        "    lucky: set[int] = set()",
        "test_dissolve.py",
    ),
    Mutant(
        "a dissolved subnet's TAO still counts as stake",
        f"{SUBTENSOR}/dissolve.py",
        "s.TotalStake.get(ctx).saturating_sub(pot)",
        "s.TotalStake.get(ctx)",
        "test_dissolve.py",
    ),
    Mutant(
        "what is stored under a hotkey and then a subnet outlives the subnet",
        f"{SUBTENSOR}/dissolve.py",
        "                if keys[position] == netuid:",
        "                if False:",
        "test_dissolve.py",
    ),
    Mutant(
        "root dividends of a dissolved subnet are owed by its successor",
        f"{SUBTENSOR}/dissolve.py",
        "    _forget_root_dividends(ctx, netuid)\n    _pay_out",
        "    _pay_out",
        "test_dissolve.py",
    ),
    Mutant(
        "one subnet too many is created",
        f"{SUBTENSOR}/subnets.py",
        "for netuid in netuids) >= s.SubnetLimit",
        "for netuid in netuids) > s.SubnetLimit",
        "test_dissolve.py",
    ),
    Mutant(
        "a hotkey is swapped a block too early",
        f"{SUBTENSOR}/hotkeyswap.py",
        "last + INTERVAL < ctx.block",
        "last + INTERVAL <= ctx.block",
        "test_hotkeyswap.py",
    ),
    Mutant(
        "a swapped hotkey's stakers claim their dividends twice",
        f"{SUBTENSOR}/hotkeyswap.py",
        "            s.RootClaimed.put(ctx, netuid, new, coldkey, before + claimed)\n",
        "",
        "test_hotkeyswap.py",
    ),
    Mutant(
        "a hotkey is swapped for somebody else's",
        f"{SUBTENSOR}/hotkeyswap.py",
        "not hotkeys.exists(ctx, new) or hotkeys.owns",
        "True or hotkeys.owns",
        "test_hotkeyswap.py",
    ),
    Mutant(
        "an announced coldkey goes on as before",
        f"{SUBTENSOR}/coldkeyswap.py",
        "    ensure(sealed or follows_up, er.ColdkeySwapAnnounced)\n",
        "",
        "test_coldkeyswap.py",
    ),
    Mutant(
        "guards are asked in another order",
        f"{RUNTIME}/construct.py",
        "subtensor.guards.sort(key=_GUARDS.index)\n",
        "subtensor.guards.sort(key=_GUARDS.index, reverse=True)\n",
        "test_coldkeyswap.py",
    ),
    Mutant(
        "a coldkey is swapped for any key, whatever was announced",
        f"{SUBTENSOR}/coldkeyswap.py",
        "    ensure(announced == blake2_256(new_coldkey), er.AnnouncedColdkeyHashDoesNotMatch)\n",
        "",
        "test_coldkeyswap.py",
    ),
    Mutant(
        "the draw of root stakers does not begin where the hash says",
        f"{SUBTENSOR}/rootclaims.py",
        '    position = int.from_bytes(block_hash[:8], "big")',
        "    position = 0",
        "test_rootclaims.py",
    ),
    Mutant(
        "a root staker that leaves the list leaves a gap",
        f"{SUBTENSOR}/rootclaims.py",
        "    s.StakingColdkeysByIndex.put(ctx, place, moved)\n",
        "",
        "test_rootclaims.py",
    ),
    Mutant(
        "a call that is not here passes inside another one",
        f"{PALLETS}/absent.py",
        "                yield from _within(inner)\n",
        "                continue\n",
        "test_absent.py",
    ),
    Mutant(
        "a call that is not here is paid for before it is refused",
        f"{RUNTIME}/runtime.py",
        "        absent.ensure_here(call)\n",
        "",
        "test_absent.py",
    ),
    Mutant(
        "a claim of everything claims of nothing",
        f"{SUBTENSOR}/rootdividends.py",
        "if subnets == {ROOT_NETUID} else subnets",
        "if not subnets else subnets",
        "test_rootclaims.py",
    ),
    Mutant(
        "root's threshold of claims binds nobody",
        f"{SUBTENSOR}/rootdividends.py",
        "        least = s.RootClaimableThreshold.get(ctx, ROOT_NETUID)\n",
        "        least = s.RootClaimableThreshold.get(ctx, netuid)\n",
        "test_rootclaims.py",
    ),
    Mutant(
        "a nomination is measured in alpha",
        f"{SUBTENSOR}/staking.py",
        "    price = U96F32.convert(swap.price(ctx, netuid), U64F64)\n    least",
        "    price = U96F32.ONE\n    least",
        "test_staking.py",
    ),
    Mutant(
        "lowering the least nomination sells nominations",
        f"{PALLETS}/admin.py",
        "    if raised:\n",
        "    if True:\n",
        "test_staking.py",
    ),
    Mutant(
        "a limited sale asks whether the token is open",
        f"{SUBTENSOR}/staking.py",
        "    most = swap.max_sell(",
        "    _ensure_open(ctx, netuid)\n    most = swap.max_sell(",
        "test_staking.py",
    ),
    Mutant(
        "a limit that the price has passed is no reason to refuse",
        f"{PALLETS}/swap.py",
        "    ensure(now.price > limit, PriceLimitExceeded)\n    if limit_price == 0:",
        "    if limit_price == 0:",
        "test_swap.py",
    ),
    Mutant(
        "within a subnet a move is weighed before whether it may be",
        f"{SUBTENSOR}/staking.py",
        "    if netuid != target_netuid:\n        value = _worth",
        "    ensure(_spot_value(ctx, netuid, alpha) >= MIN_STAKE, er.AmountTooLow)\n"
        "    if netuid != target_netuid:\n        value = _worth",
        "test_staking.py",
    ),
)
UNSHRUNK = """
from hypothesis import Phase, settings

settings.register_profile(
    "unshrunk", deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate]
)
settings.load_profile("unshrunk")
"""
"""Property tests of the copy: the same examples every time, and the first failure is enough."""
CONTROL = Mutant(
    "nothing: a comment",
    f"{SUBTENSOR}/dissolve.py",
    "# Paying out\n",
    "# Paying\n",
    "test_dissolve.py",
)
"""A change that no test may notice."""


@contextmanager
def copied_tree(parts: Sequence[str] = COPIED, suite: str = SUITE) -> Iterator[Path]:
    """A copy of what the tests in `suite` need, without compiled files."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as name:
        tree = Path(name)
        for part in parts:
            source, target = ROOT / part, tree / part
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)
        (tree / suite / "conftest.py").write_text(UNSHRUNK)
        yield tree


def run_tests(tree: Path, files: Sequence[str], suite: str = SUITE) -> tuple[int, str]:
    """Run test files of `suite` in `tree`, up to the first failure: exit status and output."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-m",
        "not slow",
        "-p",
        "no:cacheprovider",
    ]
    # A changed source of the same size and second would be taken for the compiled one.
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    paths = [f"{suite}/{file}" for file in files]
    done = subprocess.run(
        command + paths, cwd=tree, env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def try_mutant(tree: Path, mutant: Mutant) -> Outcome:
    """Plant the fault, run its tests, take it out again.

    Raises RuntimeError when the tests did not run: a fault that breaks an import proves nothing.
    """
    path = tree / mutant.file
    before = path.read_text()
    mutant.apply(tree)
    try:
        status, output = run_tests(tree, [mutant.test])
    finally:
        path.write_text(before)
    if status not in (0, 1):
        raise RuntimeError(f"{mutant.fault}: the tests did not run\n{output}")
    found = re.search(r"^FAILED \S*?tests/runtime/(\S+)", output, re.MULTILINE)
    return Outcome(mutant, found.group(1) if status == 1 and found else None)


def table(outcomes: Sequence[Outcome]) -> str:
    """The rows of `mutants.md`."""
    lines = ["| Fault | Planted in | Caught by |", "|---|---|---|"]
    for outcome in outcomes:
        file = outcome.mutant.file.removeprefix(f"{RUNTIME}/")
        caught_by = f"`{outcome.caught_by}`" if outcome.caught_by else "**survived**"
        lines.append(f"| {outcome.mutant.fault} | `{file}` | {caught_by} |")
    return "\n".join(lines) + "\n"


def main(wanted: Sequence[str]) -> int:
    """Try the mutants and write their table; 1 when one survives."""
    chosen = [m for m in MUTANTS if not wanted or any(word in m.file for word in wanted)]
    with copied_tree() as tree:
        outcomes = [try_mutant(tree, mutant) for mutant in chosen]
    sys.stdout.write(table(outcomes))
    return int(any(outcome.caught_by is None for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

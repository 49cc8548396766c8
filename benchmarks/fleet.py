"""A whole subnet of 256 seats, for epochs on end: rounds a minute, memory, processor time.

One process holds the devnet, two the validators, and this one all miners, each a real axon at a
port of its own. Seats are written straight into the genesis; what happens later is extrinsics: in
the middle newcomers take seats and answer wrongly, others take theirs and answer well, a miner
swaps its hotkey for another, and then the subnet is made smaller.
Afterwards the journals are read: every score must have followed its hotkey. Memory is what the
kernel calls anonymous (heaps and stacks, not the code of libraries), after each round; what is
compared are medians, of a fifth of the rounds after a warm-up and of the last fifth.

    python -m benchmarks.fleet --epochs 20
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from bittensor_core import Keypair, serialized_keypair_to_keyfile_data

from benchmarks import populated
from chain.client import Chain
from chain.client.calls import Call, admin
from chain.runtime.pallets.subtensor import hotkeys
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.pallets.subtensor.records import AxonInfo
from chain.types import AccountId, NetUid
from subnet.wire.auth import Caller
from subnet.wire.axon import Axon
from subnet.wire.policy import AnyPolicy
from tests.devnet.process import devnet_process
from tests.fleet.flock import HALF_LIFE_ROUNDS, Flock, worth
from tests.neurons.parrot import Said, Say
from validators import journal

HOST = "127.0.0.2"
VALIDATORS = 2
TEMPO = 60
BLOCK_S = 0.25
NEWCOMERS = 4
TRIMMED_TO = 200
DEFINITION = "tests.fleet.flock:Flock"
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Sample:
    """A validator after one of its rounds: anonymous MiB and processor seconds so far."""

    round: int
    memory: float
    cpu: float


@dataclass
class Run:
    """One validator process."""

    name: str
    state: Path
    process: subprocess.Popen[bytes]
    samples: list[Sample] = field(default_factory=list)

    def rounds(self) -> list[dict[str, Any]]:
        """The rounds in its journal so far."""
        path = self.state / "journal.jsonl"
        lines = journal.read(path) if path.exists() else ()
        return [line for line in lines if line["kind"] == "round"]

    def look(self) -> int:
        """Take a sample if there was another round; how many there were."""
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.name} ended with {self.process.returncode}")
        path = self.state / "journal.jsonl"
        count = journal.last_round(path) if path.exists() else 0
        if count > len(self.samples):
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
            smaps = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
            memory = int(smaps.partition("Anonymous:")[2].split()[0]) / 1024
            cpu = (int(fields[11]) + int(fields[12])) / TICKS
            while len(self.samples) < count:
                self.samples.append(Sample(len(self.samples) + 1, memory, cpu))
        return count

    def memory(self) -> tuple[float, float]:
        """MiB after a warm-up of a quarter of the rounds, and at the end."""
        warm = [sample.memory for sample in self.samples[len(self.samples) // 4 :]]
        fifth = max(1, len(self.samples) // 5)
        return statistics.median(warm[:fifth]), statistics.median(warm[-fifth:])


def miner_key(number: int) -> Keypair:
    """The hotkey of one of the miners; those past the fleet are newcomers."""
    return Keypair.create_from_uri(f"//fleet//{number}")


@asynccontextmanager
async def serving(keys: Sequence[Keypair], wrong: Sequence[int]) -> AsyncIterator[list[int]]:
    """An axon for each key, in this process: their ports. Those in `wrong` answer wrongly."""

    def right(name: str) -> Callable[[Say, Caller], Awaitable[Said]]:
        async def answer(challenge: Say, caller: Caller) -> Said:
            return Said(text=f"{challenge.text} {name}")

        return answer

    async def other(challenge: Say, caller: Caller) -> Said:
        return Said(text="something else")

    async with AsyncExitStack() as stack:
        ports = []
        for number, key in enumerate(keys):
            axon = Axon(key, policy=AnyPolicy())
            handler = other if number in wrong else right(key.ss58_address)
            axon.handle(Flock.path, Say, Said, handler)
            _, port = await axon.start(HOST, 0)
            stack.push_async_callback(axon.stop, 0.1)
            ports.append(port)
        yield ports


def found(path: Path, seats: int, ports: Sequence[int], tempo: int) -> NetUid:
    """Write a chain with a subnet of `seats`, its validators first, all miners published."""
    chain = populated.Chain(path)
    shape = populated.Shape(seats, VALIDATORS, seats, yuma3=False, liquid_alpha=False)
    netuid = chain.add_subnet(shape, every=tempo)
    ctx = chain.ctx()
    for uid in range(VALIDATORS, seats):
        old = s.Keys.get(ctx, netuid, uid)
        new = AccountId(miner_key(uid - VALIDATORS).public_key)
        coldkey = AccountId(Keypair.create_from_uri("//Alice").public_key)
        hotkeys.adopt(ctx, coldkey, new)
        s.Uids.remove(ctx, netuid, old)
        s.IsNetworkMember.remove(ctx, old, netuid)
        s.Keys.put(ctx, netuid, uid, new)
        s.Uids.put(ctx, netuid, new, uid)
        s.IsNetworkMember.put(ctx, new, netuid, True)
        axon = AxonInfo(1, 1, int(IPv4Address(HOST)), ports[uid - VALIDATORS], 4, 4, 0, 0)
        s.Axons.put(ctx, netuid, new, axon)
    s.ImmunityPeriod.put(ctx, netuid, 1)
    s.MinAllowedUids.put(ctx, netuid, 8)
    s.AdminFreezeWindow.put(ctx, 0)  # it would cover a sixth of each epoch
    s.MaxAllowedUids.put(ctx, netuid, seats + NEWCOMERS // 2)
    chain.mine(changes=ctx.state.changes())
    chain.store.close()
    return netuid


def start_validator(folder: Path, url: str, netuid: NetUid, number: int) -> Run:
    """A validator process, with its wallet and a folder of its own."""
    name = f"validator{number}"
    key = folder / "wallets" / name / "hotkeys" / "default"
    key.parent.mkdir(parents=True)
    keypair = Keypair.create_from_uri(f"//{int(netuid)}//{number}")
    key.write_bytes(serialized_keypair_to_keyfile_data(keypair))
    state = folder / name
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SUBNET_")}
    environment["PYTHONPATH"] = str(Path(__file__).parents[1])
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            [
                sys.executable, "-m", "subnet.cli.app", "validator", "--network", url,
                "--netuid", str(int(netuid)), "--wallet", name, "--definition", DEFINITION,
                "--wallet-path", str(folder / "wallets"), "--state", str(state),
                "--in-flight", "64",
            ],
            stdout=log, stderr=log, cwd=folder, env=environment,
        )  # fmt: skip
    return Run(name, state, process)


async def watch(runs: Sequence[Run], rounds: int) -> None:
    """Until every validator has done so many rounds."""
    while min(run.look() for run in runs) < rounds:
        await asyncio.sleep(0.2)


async def seat_newcomers(
    chain: Chain, netuid: NetUid, numbers: Sequence[int], ports: Sequence[int]
) -> None:
    """These miners buy seats: free ones first, and then those of whoever earns least."""
    bank = Keypair.create_from_uri("//Alice")
    for number in numbers:
        key = miner_key(number)
        uid = await chain.register(bank, int(netuid), key.ss58_address)
        await chain.serve_axon(key, int(netuid), HOST, ports[number])
        print(f"a newcomer has seat {uid}", flush=True)


async def swap(chain: Chain, netuid: NetUid, old: Keypair, new: Keypair, port: int) -> None:
    """A miner goes on under another hotkey, in the same seat."""
    keys = {"hotkey": old.ss58_address, "new_hotkey": new.ss58_address, "netuid": int(netuid)}
    call = Call("SubtensorModule", "swap_hotkey", keys)
    await chain.submit(call, Keypair.create_from_uri("//Alice"))
    await chain.serve_axon(new, int(netuid), HOST, port)
    print("a miner has another hotkey", flush=True)


async def shrink(chain: Chain, netuid: NetUid, to: int) -> None:
    """Leave `to` seats."""
    bank = Keypair.create_from_uri("//Alice")
    await chain.submit(admin("sudo_trim_to_max_allowed_uids", netuid=int(netuid), max_n=to), bank)
    print(f"{to} seats are left", flush=True)


@dataclass(frozen=True)
class Fleet:
    """A run that is over: `wrong` are hotkeys that answered wrongly, `swapped` is (old, new)."""

    runs: list[Run]
    seconds: float
    wrong: frozenset[str]
    swapped: tuple[str, str]

    def check(self) -> None:
        """Every score followed its hotkey, into and out of any seat."""
        for run in self.runs:
            lines = run.rounds()
            seats: dict[int, set[str]] = {}
            for line in lines:
                texts = {task["id"]: task["challenge"]["text"] for task in line["tasks"]}
                for reply in line["replies"]:
                    seats.setdefault(reply["uid"], set()).add(reply["hotkey"])
                    said = reply["answer"]["text"] if reply["ok"] else ""
                    assert reply["score"] == worth(texts[reply["task"]], said), reply
                assert not any(line["scores"].get(hotkey, 0.0) for hotkey in self.wrong)
            self._ensure_own_past(lines)
            moved = [line["moved"] for line in lines if "moved" in line]
            old, new = self.swapped
            assert moved == [{new: old}], moved
            sizes = [len(line["replies"]) for line in lines]
            assert sizes[0] < max(sizes) > sizes[-1], sizes  # it grew, and shrank
            taken = [hotkeys for hotkeys in seats.values() if len(hotkeys) > 1]
            assert any(hotkeys & self.wrong and hotkeys - self.wrong for hotkeys in taken), taken
            print(f"{run.name}: {len(taken)} seats changed hands, and no score went with them")

    @staticmethod
    def _ensure_own_past(lines: Sequence[dict[str, Any]]) -> None:
        """Every standing is the mean of the answers of that hotkey, or of the one it replaced."""
        past: dict[str, list[tuple[int, float]]] = {}
        for line in lines:
            for new, old in line.get("moved", {}).items():
                past[new] = past.pop(old)
            for reply in line["replies"]:
                past.setdefault(reply["hotkey"], []).append((line["round"], reply["score"]))
            for hotkey, standing in line["scores"].items():
                weighed = [
                    (0.5 ** ((line["round"] - number) / HALF_LIFE_ROUNDS), score)
                    for number, score in past[hotkey]
                ]
                mean = sum(w * score for w, score in weighed) / sum(w for w, _ in weighed)
                assert math.isclose(standing, mean, rel_tol=1e-9, abs_tol=1e-12), hotkey

    def report(self) -> None:
        """Print the figures."""
        for run in self.runs:
            lines = run.rounds()
            warm = run.samples[len(run.samples) // 4 :]
            before, after = run.memory()
            cpu = (warm[-1].cpu - warm[0].cpu) / max(1, warm[-1].round - warm[0].round)
            answers = [sum(reply["ok"] for reply in line["replies"]) for line in lines]
            asked = [len(line["replies"]) for line in lines]
            landed = sum(line["weights"]["read_back"] is True for line in lines)
            size = sum(one.stat().st_size for one in run.state.glob("journal*"))
            print(
                f"{run.name}: {len(lines)} rounds, {60 * len(lines) / self.seconds:.1f} a minute; "
                f"{statistics.median(answers):g} of {statistics.median(asked):g} answered; "
                f"weights read back {landed} times; {cpu:.2f} processor seconds a round; "
                f"{before:.1f} -> {after:.1f} MiB ({after / before - 1:+.1%} after warm-up); "
                f"journal {size / 2**20:.1f} MiB"
            )


async def play(folder: Path, epochs: int, seats: int, *, tempo: int = TEMPO) -> Fleet:
    """Let a fleet run in `folder`; the validators have ended when it is returned."""
    fleet, half = seats - VALIDATORS, NEWCOMERS // 2
    keys = [miner_key(number) for number in range(fleet + NEWCOMERS + 1)]
    wrong, late = range(fleet, fleet + half), range(fleet + half, fleet + NEWCOMERS)
    runs: list[Run] = []
    async with serving(keys, wrong) as ports:
        netuid = found(folder / "chain.db", seats, ports, tempo)
        options = ("--db", str(folder / "chain.db"), "--block-time", str(BLOCK_S))
        with devnet_process(folder / "chain.log", *options) as devnet:
            try:
                begun = time.monotonic()
                for number in range(VALIDATORS):
                    runs.append(start_validator(folder, devnet.url, netuid, number))
                async with Chain.connect(devnet.url) as chain:
                    await watch(runs, epochs // 3)
                    await swap(chain, netuid, keys[0], keys[-1], ports[-1])
                    await watch(runs, epochs // 2)
                    await seat_newcomers(chain, netuid, wrong, ports)
                    await watch(runs, max(run.look() for run in runs) + 2)
                    await seat_newcomers(chain, netuid, late, ports)
                    await watch(runs, epochs * 3 // 4)
                    await shrink(chain, netuid, TRIMMED_TO * seats // 256)
                    await watch(runs, epochs)
                seconds = time.monotonic() - begun
            except BaseException:
                for run in runs:
                    print((folder / f"{run.name}.log").read_text()[-3000:])
                raise
            finally:
                for run in runs:
                    run.process.terminate()
                for run in runs:
                    run.process.wait(10)
    swapped = (keys[0].ss58_address, keys[-1].ss58_address)
    return Fleet(runs, seconds, frozenset(keys[number].ss58_address for number in wrong), swapped)


async def main(epochs: int, seats: int) -> None:
    """Run it."""
    with tempfile.TemporaryDirectory() as name:
        os.environ["BITTENSOR_RUNTIME_CACHE_DIR"] = str(Path(name) / "runtime")
        fleet = await play(Path(name), epochs, seats)
        fleet.report()
        fleet.check()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seats", type=int, default=256)
    given = parser.parse_args()
    asyncio.run(main(given.epochs, given.seats))

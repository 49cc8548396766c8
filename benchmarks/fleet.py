"""A whole subnet of 256 seats, for epochs on end: rounds a minute, memory, processor time.

One process holds the devnet, two the validators, and this one all miners, each a real axon at a
port of its own. Seats are written straight into the genesis; what happens later is extrinsics: in
the middle newcomers take seats and answer wrongly, others take theirs and answer well, and then the
subnet is made smaller.
Afterwards the journals are read: every score must have followed its hotkey.

    python -m benchmarks.fleet --epochs 20
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from bittensor_core import Keypair, serialized_keypair_to_keyfile_data

from benchmarks import populated
from chain.client import Chain
from chain.client.calls import admin
from chain.runtime.pallets.subtensor import hotkeys
from chain.runtime.pallets.subtensor import storage as s
from chain.runtime.pallets.subtensor.records import AxonInfo
from chain.types import AccountId, NetUid
from subnet.wire.auth import Caller
from subnet.wire.axon import Axon
from subnet.wire.policy import AnyPolicy
from tests.devnet.process import devnet_process
from tests.neurons.parrot import Parrot, Said, Say
from validators import journal

HOST = "127.0.0.2"
VALIDATORS = 2
TEMPO = 60
BLOCK_S = 0.25
NEWCOMERS = 4
TRIMMED_TO = 200
DEFINITION = "tests.neurons.parrot:Parrot"
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Sample:
    """A validator after one of its rounds: resident MiB and processor seconds so far."""

    round: int
    resident: float
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
            raise SystemExit(f"{self.name} ended with {self.process.returncode}")
        path = self.state / "journal.jsonl"
        count = journal.last_round(path) if path.exists() else 0
        if count > len(self.samples):
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
            status = Path(f"/proc/{self.process.pid}/status").read_text()
            resident = int(status.partition("VmRSS:")[2].split()[0]) / 1024
            cpu = (int(fields[11]) + int(fields[12])) / TICKS
            while len(self.samples) < count:
                self.samples.append(Sample(len(self.samples) + 1, resident, cpu))
        return count


def miner_key(number: int) -> Keypair:
    """The hotkey of one of the miners; those past the fleet are newcomers."""
    return Keypair.create_from_uri(f"//fleet//{number}")


@asynccontextmanager
async def serving(keys: Sequence[Keypair], wrong: Sequence[int]) -> AsyncIterator[list[int]]:
    """An axon for each key, in this process: their ports. Those in `wrong` answer wrongly."""

    async def right(challenge: Say, caller: Caller) -> Said:
        return Said(text=challenge.text)

    async def other(challenge: Say, caller: Caller) -> Said:
        return Said(text="something else")

    async with AsyncExitStack() as stack:
        ports = []
        for number, key in enumerate(keys):
            axon = Axon(key, policy=AnyPolicy())
            axon.handle(Parrot.path, Say, Said, other if number in wrong else right)
            _, port = await axon.start(HOST, 0)
            stack.push_async_callback(axon.stop, 0.1)
            ports.append(port)
        yield ports


def found(path: Path, seats: int, ports: Sequence[int]) -> NetUid:
    """Write a chain with a subnet of `seats`, its validators first, all miners published."""
    chain = populated.Chain(path)
    shape = populated.Shape(seats, VALIDATORS, seats, yuma3=False, liquid_alpha=False)
    netuid = chain.add_subnet(shape, every=TEMPO)
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


async def shrink(chain: Chain, netuid: NetUid, to: int) -> None:
    """Leave `to` seats."""
    bank = Keypair.create_from_uri("//Alice")
    await chain.submit(admin("sudo_trim_to_max_allowed_uids", netuid=int(netuid), max_n=to), bank)
    print(f"{to} seats are left", flush=True)


def check(runs: Sequence[Run], wrong: Sequence[str]) -> None:
    """Every score followed its hotkey: who answers wrongly never has any, in any seat."""
    for run in runs:
        seats: dict[int, set[str]] = {}
        for line in run.rounds():
            for reply in line["replies"]:
                seats.setdefault(reply["uid"], set()).add(reply["hotkey"])
                right = reply["hotkey"] not in wrong
                assert reply["score"] == float(right and reply["ok"]), reply
            for hotkey in wrong:
                assert line["scores"].get(hotkey, 0.0) == 0.0
            asked = {reply["hotkey"] for reply in line["replies"]}
            assert set(line["scores"]) <= asked
        taken = sum(len(hotkeys) > 1 for hotkeys in seats.values())
        print(f"{run.name}: {taken} seats changed hands, and no score went with them")


def report(runs: Sequence[Run], seconds: float) -> None:
    """Print the figures."""
    for run in runs:
        lines = run.rounds()
        warm = run.samples[len(run.samples) // 4 :]
        growth = warm[-1].resident / warm[0].resident - 1
        cpu = (warm[-1].cpu - warm[0].cpu) / max(1, warm[-1].round - warm[0].round)
        answers = [sum(reply["ok"] for reply in line["replies"]) for line in lines]
        asked = [len(line["replies"]) for line in lines]
        landed = sum(line["weights"]["read_back"] is True for line in lines)
        size = sum(one.stat().st_size for one in run.state.glob("journal*"))
        print(
            f"{run.name}: {len(lines)} rounds, {60 * len(lines) / seconds:.1f} a minute; "
            f"{statistics.median(answers):g} of {statistics.median(asked):g} answered (median); "
            f"weights read back {landed} times; {cpu:.2f} processor seconds a round; "
            f"{warm[0].resident:.0f} -> {warm[-1].resident:.0f} MiB ({growth:+.1%} after warm-up); "
            f"journal {size / 2**20:.1f} MiB"
        )


async def main(epochs: int, seats: int) -> None:
    """Run it."""
    keys = [miner_key(number) for number in range(seats - VALIDATORS + NEWCOMERS)]
    fleet, half = seats - VALIDATORS, NEWCOMERS // 2
    wrong, late = range(fleet, fleet + half), range(fleet + half, fleet + NEWCOMERS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["BITTENSOR_RUNTIME_CACHE_DIR"] = str(folder / "runtime")
        async with serving(keys, wrong) as ports:
            netuid = found(folder / "chain.db", seats, ports)
            options = ("--db", str(folder / "chain.db"), "--block-time", str(BLOCK_S))
            with devnet_process(folder / "chain.log", *options) as devnet:
                runs: list[Run] = []
                try:
                    begun = time.monotonic()
                    for number in range(VALIDATORS):
                        runs.append(start_validator(folder, devnet.url, netuid, number))
                    async with Chain.connect(devnet.url) as chain:
                        await watch(runs, epochs // 2)
                        await seat_newcomers(chain, netuid, wrong, ports)
                        await watch(runs, max(run.look() for run in runs) + 2)
                        await seat_newcomers(chain, netuid, late, ports)
                        await watch(runs, epochs * 3 // 4)
                        await shrink(chain, netuid, TRIMMED_TO * seats // 256)
                        await watch(runs, epochs)
                    report(runs, time.monotonic() - begun)
                    check(runs, [keys[number].ss58_address for number in wrong])
                except BaseException:
                    for run in runs:
                        print((folder / f"{run.name}.log").read_text()[-3000:])
                    raise
                finally:
                    for run in runs:
                        run.process.terminate()
                    for run in runs:
                        run.process.wait(10)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seats", type=int, default=256)
    given = parser.parse_args()
    asyncio.run(main(given.epochs, given.seats))

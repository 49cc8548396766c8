"""A large journal: time and memory of everything that reads one, and of a validator's start.

The journal is written by the validator's own writer, round by round, with 254 replies of 1,500
characters each; closed parts are packed as they are while a validator runs. Each reader is a
process of its own; its memory is the most that was resident at any moment.

    python -m benchmarks.journal --mib 2048
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import gzip
import json
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from subnet.protocol import Reply, Task
from subnet.wire.codec import encode
from tests.neurons.history import Double, Doubled, Doubling, History
from validators import journal
from validators.journal import MIB
from validators.ledger import FILE_NAME, Ledger, Outcome

SEATS = 254
TEXT = 1500
SAMPLE = 32
"""Rounds that are made; the others are the same under other numbers."""
HOTKEYS = tuple(f"5{number:047}" for number in range(SEATS))
ROOT = Path(__file__).parents[1]


class Essay(Doubled):
    """Twice the number, and an essay about it."""

    text: str


class Essays(Doubling):
    """Pays for the number."""

    answer = Essay  # type: ignore[assignment]  # the number in it is what is paid for


class Library(History):
    """A history whose answers are long."""

    def __init__(self, folder: Path, seats: int = SEATS, text: int = TEXT) -> None:
        super().__init__(folder, miners=HOTKEYS[:seats], subnet=Essays())
        rng = random.Random(1)
        words = ["".join(rng.choices("etaoinshrdlu", k=rng.randint(2, 9))) for _ in range(4000)]
        self._rng, self._text = rng, text
        self._words = " ".join(rng.choices(words, k=200_000))

    def _reply(self, task: Task[Double], uid: int, hotkey: str) -> Reply[Any]:
        reply: Reply[Any] = super()._reply(task, uid, hotkey)
        if reply.answer is None:
            return reply
        start = self._rng.randrange(len(self._words) - self._text)
        answer = Essay(number=reply.answer.number, text=self._words[start : start + self._text])
        return dataclasses.replace(reply, answer=answer, body=encode(answer))


async def write(folder: Path, mib: int) -> int:
    """A journal of so many MiB of lines, and a ledger that remembers the same: how many rounds."""
    with tempfile.TemporaryDirectory() as name:
        library = Library(Path(name))
        await library.write(SAMPLE)
        texts = library.path.read_text().splitlines()
    names = ["".join(re.findall(r'"tasks":\[{"id":"(\w+)', text)) for text in texts]
    stem = next(filter(None, names))  # what the ids of all questions begin with
    rounds = size = 0
    with (
        Ledger(folder / FILE_NAME, half_life_rounds=8, clock=lambda: 0.0) as ledger,
        journal.Journal(folder / "journal.jsonl") as book,
    ):
        while size < mib * MIB:
            for text in texts:
                text = text.replace(stem, f"{rounds // SAMPLE:08x}")
                line = json.loads(text)
                line["epoch"] += rounds // SAMPLE * SAMPLE
                if line["kind"] == "round":
                    line["round"] = line["epoch"]
                    remember(ledger, line["round"])
                book.append(line)
                size += len(text)
            rounds += SAMPLE
    with journal.Journal(folder / "journal.jsonl"):
        while list(folder.glob("*-*.jsonl")):  # until the last part is packed
            time.sleep(0.2)
    return rounds


def remember(ledger: Ledger, number: int) -> None:
    """Have round `number` in the ledger."""
    ledger.remember(
        number,
        block=100 * number,
        epoch=number,
        digests=[number.to_bytes(32, "little")],
        outcomes=[Outcome(hotkey, 0.5, True, "right") for hotkey in HOTKEYS],
    )


def unpack(folder: Path) -> None:
    """Have the closed parts as they are before they are packed."""
    for part in folder.glob("*.gz"):
        with gzip.open(part) as source, part.with_suffix("").open("wb") as target:
            shutil.copyfileobj(source, target, MIB)
        part.unlink()


def measure(name: str, *command: str) -> None:
    """Run it: seconds, and the most MiB that were resident."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SUBNET_")}
    environment["PYTHONPATH"] = str(ROOT)
    begun, most = time.monotonic(), 0
    process = subprocess.Popen(
        [sys.executable, *command], stdout=subprocess.DEVNULL, env=environment
    )
    # Not wait4's: that begins with what the parent had.
    status = Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        most = max(most, int((status.read_text().partition("VmHWM:")[2].split() or ["0"])[0]))
        time.sleep(0.02)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = used.ru_utime + used.ru_stime - measure_before[0]
    measure_before[0] += processor
    print(
        f"{name:24} {time.monotonic() - begun:7.1f} s, {processor:6.1f} s of a processor, "
        f"{most / 1024:6.0f} MiB, exit {process.returncode}",
        flush=True,
    )


measure_before = [0.0]


READ = "import sys; from pathlib import Path; from validators.journal import read; "
NOTHING = "import validators.validator"
READ_ALL = READ + "print(sum(1 for line in read(Path(sys.argv[1]))))"
AUDIT = READ + (
    "from validators.audit.epoch import needed; "
    "print(len(list(needed(read(Path(sys.argv[1])), int(sys.argv[2])))))"
)
START = """
import asyncio, sys, time
from pathlib import Path
from bittensor_core import Keypair
from validators import validator as v
from validators.explain import Recent
from validators.explaining import explaining

async def start(folder):
    recent = Recent()
    with v.Ledger(folder / v.FILE_NAME, half_life_rounds=8, clock=time.time) as ledger:
        with v.Journal(folder / "journal.jsonl", watch=recent.note) as journal:
            v.recover(journal, ledger, clock=time.time)
            keypair = Keypair.create_from_uri("//start")
            async with explaining(keypair, recent, journal.path, "127.0.0.1", 0):
                pass

asyncio.run(start(Path(sys.argv[1])))
"""


async def main(mib: int, replayed: bool) -> None:
    """Write it and measure."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        begun = time.monotonic()
        rounds = await write(folder, mib)
        size = sum(one.stat().st_size for one in folder.glob("journal*"))
        print(
            f"{rounds} rounds, {rounds * SEATS} replies, {mib} MiB of lines, "
            f"{size / MIB:.0f} MiB on the disk, written in {time.monotonic() - begun:.0f} s"
        )
        path, state = str(folder / "journal.jsonl"), ("--state", name)
        app = ("-m", "subnet.cli.app")
        netuid = ("--netuid", "1", "--definition", "benchmarks.journal:Essays")
        measure("(importing alone)", "-c", NOTHING)
        measure("(reading alone)", "-c", READ_ALL, path)
        measure("a validator's start", "-c", START, name)
        measure("subnet status", *app, "status", *state)
        measure("subnet explain HOTKEY", *app, "explain", HOTKEYS[7], "--netuid", "1", *state)
        measure("what subnet audit keeps", "-c", AUDIT, path, str(rounds))
        if replayed:
            measure("subnet replay", *app, "replay", *netuid, *state)
        unpack(folder)
        print("the same, with no part packed")
        measure("(reading alone)", "-c", READ_ALL, path)
        measure("subnet status", *app, "status", *state)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=2048)
    parser.add_argument("--no-replay", action="store_true")
    given = parser.parse_args()
    asyncio.run(main(given.mib, not given.no_replay))

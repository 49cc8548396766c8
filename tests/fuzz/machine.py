"""Laws under libFuzzer, guided by what of our decoders an input reaches.

`python -m tests.fuzz.machine scale,extrinsics,door RUNS SEED` tries so many inputs, whose first
byte says which of the laws they are for, and ends with "Done RUNS runs", or with a traceback.
"""

from __future__ import annotations

import resource
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import atheris

LONGEST = 2048  # bytes of an input
ROOM_MB = 1024
WATCHED = ["chain.scale", "chain.runtime.frame", "chain.runtime.extrinsic", "chain.devnet.rpc"]


Check = Callable[[bytes], None]


def prepare(law: str) -> tuple[Check, Iterable[bytes]]:
    """The check of a law, and inputs to begin with."""
    with atheris.instrument_imports(include=WATCHED):
        from tests.fuzz import laws, seeds
    if law == "scale":
        scale = laws.Scale()
        return scale.check, seeds.values(scale)
    if law == "extrinsics":
        extrinsics = laws.Extrinsics()
        return extrinsics.check, extrinsics.signed
    return laws.Door().check, seeds.requests()


def main(names: str, runs: str, seed: str) -> None:
    """Fuzz until `runs` inputs are tried; does not return."""
    checks: list[Check] = []
    with tempfile.TemporaryDirectory() as folder:
        for place, name in enumerate(names.split(",")):
            check, corpus = prepare(name)
            checks.append(check)
            for number, data in enumerate(corpus):
                Path(folder, f"{name}-{number:05}").write_bytes(bytes([place]) + data)
        # The kernel counts the peak of whoever started this process as its own: a run of the tests
        # that had a model open before must not look like a leak here.
        room = ROOM_MB + resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        options = (f"-runs={runs}", f"-seed={seed}", f"-max_len={LONGEST}", f"-rss_limit_mb={room}")

        def run(data: bytes) -> None:
            if data:
                checks[data[0] % len(checks)](data[1:])

        atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={folder}/", folder], run)
        atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Senseless input at the decoders and at the door: an answer, soon, and nothing taken wrongly.

Each test prints how many inputs it tried (`pytest -rP` shows it). The slow ones are the same with
many more: with them it is above a million.
"""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import product
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scalecodec.base import RuntimeConfigurationObject, ScaleBytes
from scalecodec.type_registry import load_type_registry_preset

from chain.errors import ScaleError
from chain.runtime import extrinsic
from chain.runtime.apis.metagraph import SELECTIVE_METAGRAPH
from chain.runtime.frame import PALLETS, RUNTIME_CALL, Call
from chain.scale import (
    MAX_DEPTH,
    SOME_NONE,
    Codec,
    Compact,
    Option,
    Text,
    Vector,
    codec,
    compact,
)
from tests.fuzz.declared import declared, sample
from tests.fuzz.laws import Calls, Extrinsics, Scale, blank

ROOT = Path(__file__).parents[2]


def told(what: str, inputs: int) -> None:
    """Say how much was tried."""
    print(f"{what}: {inputs:,} inputs")  # noqa: T201


# Guided by coverage


@pytest.mark.parametrize(
    ("laws", "runs"),
    [
        ("scale,extrinsics,door", 10_000),
        pytest.param("scale", 500_000, marks=pytest.mark.slow),
        pytest.param("extrinsics", 200_000, marks=pytest.mark.slow),
        pytest.param("door", 250_000, marks=pytest.mark.slow),
    ],
)
def test_what_a_guided_fuzzer_finds(laws: str, runs: int, tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="is there for Linux on x86-64 only")
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.machine", laws, str(runs), "1"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    ended = re.search(r"^Done (\d+) runs", done.stderr, re.MULTILINE)
    assert done.returncode == 0 and ended is not None, (done.stdout + done.stderr)[-4000:]
    assert int(ended[1]) >= runs
    told(f"libFuzzer, {laws}", int(ended[1]))


# SCALE

DAMAGE = st.lists(st.tuples(st.integers(0), st.binary(max_size=3)), max_size=4)


@pytest.mark.parametrize("examples", [50, pytest.param(500, marks=pytest.mark.slow)])
def test_values_of_every_type_damaged_or_not(examples: int) -> None:
    law = Scale()

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(seed=st.integers(0, 2**32), damage=DAMAGE)
    def run(seed: int, damage: list[tuple[int, bytes]]) -> None:
        rng = Random(seed)
        for name, kind in law.types:
            data = sample(kind, rng, Calls.KNOWN)
            law.check_one(name, kind, data)
            for place, patch in damage:
                at = place % (len(data) + 1)
                data = data[:at] + patch + data[at + len(patch) :]
            law.check_one(name, kind, data)

    run()
    told("values, damaged or not", law.runs)


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (Vector(codec(bool)), b"\xfe\xff\xff\xff"),  # a billion, in no bytes
        (codec(bytes), b"\x03\xff\xff\xff\xff"),
        (Text(), b"\x33" + b"\xff" * 16),
        (Vector(Vector(codec(bool))), b"\x28" + b"\xfe\xff\xff\xff" * 10),
        (Vector(codec(tuple[()])), b"\xfe\xff\xff\xff"),
    ],
)
def test_a_length_that_lies_costs_nothing(kind: Codec[object], data: bytes) -> None:
    law = Scale()
    law._has_one_form["it"] = True
    law.runs = 255  # the next one is measured
    law.check_one("it", kind, data)
    with pytest.raises(ScaleError):
        kind.decode(data)


def test_text_that_is_none_is_refused_as_such() -> None:
    with pytest.raises(ScaleError):
        Text().encode("\ud800")


def test_a_compact_unit_is_no_bytes() -> None:
    unit = Compact(codec(tuple[()]))
    assert unit.encode(()) == b"" and unit.decode(b"") == ()


def test_an_option_in_an_option_that_is_empty() -> None:
    outer = Option(Option(codec(bool)))
    forms = {b"\0": None, b"\1\0": SOME_NONE, b"\1\1\0": False}
    for raw, value in forms.items():
        assert (outer.decode(raw), outer.encode(value)) == (value, raw)
    chain = Calls()._chain
    chosen = b"\1\0" + b"\4" + b"\3\0"  # of subnet 1, field 3: the identity that it has not
    state = chain.store.state(chain.store.head)
    answer = chain.engine.call(state, "SubnetInfoRuntimeApi_get_selective_metagraph", chosen)
    found = Option(SELECTIVE_METAGRAPH).decode(answer)
    assert (found["identity"], found["name"]) == (SOME_NONE, None)


def test_all_types_are_known() -> None:
    assert len(declared()) > 150
    kinds = {type(kind).__name__ for _, kind in declared()}
    assert kinds >= {"Variants", "OrderedSet", "OrderedMap", "Described", "Record", "Struct"}


# Extrinsics


def nested(depth: int) -> bytes:
    """Batches of different kinds in each other, so many deep."""
    utility = PALLETS.by_name["Utility"]
    kinds = [utility.calls[name].index for name in ("batch", "batch_all", "force_batch")]
    found = RUNTIME_CALL.encode(Call("System", "remark", {"remark": b""}))
    for level in range(depth - 1):
        found = bytes([utility.index, kinds[level % 3], 4]) + found
    return found


def test_calls_nest_so_deep_and_no_deeper() -> None:
    chain = Calls()._chain
    deepest = blank(Calls.WHO, 1, nested(MAX_DEPTH))
    chain.validate(deepest)
    assert deepest in chain.build(deepest).extrinsics
    for depth in (MAX_DEPTH + 1, 10_000):
        deeper = blank(Calls.WHO, 1, nested(depth))
        with pytest.raises(ScaleError, match="deep"):
            chain.validate(deeper)
        (rejected,) = chain.build(deeper).rejected
        assert rejected[1].kind == "Call"


def test_eras_are_read_as_another_reads_them() -> None:
    config = RuntimeConfigurationObject()
    config.update_type_registry(load_type_registry_preset("legacy"))
    for first, second in product(range(0, 256, 3), range(0, 256, 5)):
        raw = bytes([first, second]) if first else b"\0"
        try:
            theirs = config.create_scale_object("Era", ScaleBytes(raw)).decode()
        except ValueError:
            theirs = "none"
        try:
            era = extrinsic.ERA.decode(raw)
        except ScaleError:
            assert theirs == "none", raw
            continue
        assert theirs == ((era.period, era.phase) if era.period else "00"), raw


@pytest.fixture(scope="module")
def extrinsics() -> Extrinsics:
    return Extrinsics()


def test_no_bit_of_a_signed_extrinsic_can_change(extrinsics: Extrinsics) -> None:
    tried = 0
    for raw in extrinsics.signed:
        for bit in range(len(raw) * 8):
            changed = bytearray(raw)
            changed[bit // 8] ^= 1 << bit % 8
            extrinsics.check(bytes(changed))
            tried += 1
    told("one bit changed", tried)


def test_no_part_of_one_extrinsic_fits_another(extrinsics: Extrinsics) -> None:
    """Signer, signature, extensions and call, each from any of the signed ones."""
    found = [extrinsic.decode(raw) for raw in extrinsics.signed]
    tried = 0
    for who, signature, extra, call in product(found, repeat=4):
        assert who.signing is not None and signature.signing is not None
        body = b"".join(
            (
                b"\x84\x00",
                who.signing.account,
                extrinsic.SIGNATURE.encode(signature.signing.signature),
                extra.extra_bytes,
                call.call_bytes,
            )
        )
        extrinsics.check(compact(len(body)) + body)
        tried += 1
    told("parts exchanged", tried)


def test_no_signature_without_the_key(extrinsics: Extrinsics) -> None:
    """Zeros, ones, and points of small order, in each of the three schemes."""
    tried = 0
    for raw in extrinsics.signed:
        found = extrinsic.decode(raw)
        assert found.signing is not None
        for byte, scheme in product((0, 1, 0x7F, 0x80, 0xFF), (0, 1, 2)):
            for signature in (bytes([byte]) * 64, bytes(63) + bytes([byte]), b"\1" + bytes(63)):
                signed = bytes([scheme]) + signature + bytes(scheme == 2)
                body = b"\x84\0" + found.signing.account + signed
                body += found.extra_bytes + found.call_bytes
                extrinsics.check(compact(len(body)) + body)
                tried += 1
    told("signatures without a key", tried)


@pytest.mark.parametrize("runs", [500, pytest.param(60_000, marks=pytest.mark.slow)])
def test_senseless_calls_that_somebody_signed(runs: int) -> None:
    law, rng = Calls(), Random(runs)
    for _ in range(runs):
        law.check(rng.getrandbits(64))
    assert law.valid > runs // 10
    told(f"senseless calls, {law.valid:,} of them valid", runs)

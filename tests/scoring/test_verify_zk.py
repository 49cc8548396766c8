"""Zero-knowledge proofs of a tiny network: made and checked here, offline."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("ezkl", reason="needs the zk extra")

from scoring.verify import zk
from scoring.verify.statement import Outcome, Statement
from tests.scoring.onnx_file import expected, tiny_network

INPUTS = (0.5, -1.0, 2.0)
FLOOR = zk.Floor()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("zk")


@pytest.fixture(scope="module")
def circuit(folder: Path) -> zk.Circuit:
    network = folder / "tiny.onnx"
    network.write_bytes(tiny_network())
    return zk.build(network, folder, (0.0, 0.0, 0.0))


@pytest.fixture(scope="module")
def proved(folder: Path, circuit: zk.Circuit) -> tuple[tuple[float, ...], bytes]:
    return zk.prove(folder, INPUTS)


def said(
    circuit: zk.Circuit, proof: object, outputs: object, inputs: tuple[float, ...] = INPUTS
) -> Statement:
    return zk.verify(proof, circuit, inputs=inputs, outputs=outputs, floor=FLOOR)  # type: ignore[arg-type]


def test_an_honest_proof_holds(
    circuit: zk.Circuit, proved: tuple[tuple[float, ...], bytes]
) -> None:
    outputs, proof = proved
    assert outputs == (expected(INPUTS),)
    statement = said(circuit, proof, outputs)
    assert statement.outcome is Outcome.MEASURED
    assert statement.log_ratio is not None and statement.log_ratio < -60


def test_nothing_else_holds(
    circuit: zk.Circuit, proved: tuple[tuple[float, ...], bytes], tmp_path: Path
) -> None:
    """Wrong acceptance: other outputs, other inputs, another network, another proof."""
    outputs, proof = proved
    other = tmp_path / "other.onnx"
    other.write_bytes(tiny_network((1.0, -0.5, 0.25, 0.25)))
    zk.build(other, tmp_path, (0.0, 0.0, 0.0))
    its_outputs, its_proof = zk.prove(tmp_path, INPUTS)
    assert len(its_proof) == circuit.proof_bytes
    flipped = bytes([proof[0] ^ 1]) + proof[1:]
    cheats = [
        said(circuit, proof, (outputs[0] + 2.0**-7,)),
        said(circuit, proof, outputs, (0.5, -1.0, 2.25)),
        said(circuit, its_proof, its_outputs),
        said(circuit, its_proof, outputs),
        said(circuit, flipped, outputs),
        said(circuit, bytes(len(proof)), outputs),
    ]
    for statement in cheats:
        assert statement.outcome is Outcome.MEASURED
        assert statement.log_ratio is not None and statement.log_ratio > math.log(1000)


@pytest.mark.parametrize(
    "outputs",
    [(), (1.0, 2.0), (math.nan,), (math.inf,), (1e300,), ("1",), (True,), None, [[1.0]]],
)
def test_outputs_that_are_none_are_invalid(
    circuit: zk.Circuit, proved: tuple[tuple[float, ...], bytes], outputs: object
) -> None:
    assert said(circuit, proved[1], outputs).outcome is Outcome.INVALID


def test_a_proof_of_another_length_is_invalid(
    circuit: zk.Circuit, proved: tuple[tuple[float, ...], bytes]
) -> None:
    outputs, proof = proved
    for bad in (b"", proof[:-1], proof + b"\0", "proof", None, bytes(1 << 20)):
        assert said(circuit, bad, outputs).outcome is Outcome.INVALID


def test_a_network_that_does_not_fit_is_no_circuit(tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no network")
    with pytest.raises(zk.NoCircuit):
        zk.build(broken, tmp_path, (0.0,))


def test_inputs_and_floors_are_the_judges_own_doing(circuit: zk.Circuit) -> None:
    with pytest.raises(ValueError, match="inputs"):
        said(circuit, b"", (1.0,), (math.nan, 0.0, 0.0))
    for bad in (0.0, 1.0, math.nan):
        with pytest.raises(ValueError, match="chances"):
            replace(FLOOR, fault=bad)

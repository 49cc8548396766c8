"""A small network proved to have run: EZKL's circuits, with the judge's own idea of what went in.

The judge compiles the network once, with its weights fixed in the circuit and inputs and outputs
public, and keeps three small pieces (`Circuit`). A miner sends outputs and a proof. The judge says
himself which inputs those outputs are of: nothing about them is read from the proof.

It shows that this network gives these outputs of these inputs, in fixed point: a difference below
2**-scale is none. It cannot see who computed it, or when, nor that the network is any good. And it
is for tiny networks: a model of language is out of reach by many orders of magnitude.

`build` makes the proving system's secret itself and forgets it: whoever runs it could have kept it
and forged every proof. So the judge builds; where others must believe too, take the SRS of a public
ceremony. Needs the `zk` extra. ezkl works on files, in a temporary folder here.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scoring.verify.statement import Outcome, Statement

CHECK = "zk"

SCALE = 7
"""Bits after the point."""

LARGEST = float(1 << 40)
"""No larger input or output: in the field it would come round again."""

ROWS_LOG = 9
"""Rows of the circuit, as a power of two; a network that needs more is refused by `build`."""

FILES = ("settings.json", "verifying.key", "srs.bin")
_PROVER = ("circuit.bin", "proving.key")


class NoCircuit(ValueError):
    """ezkl makes no circuit of this network, or no proof in it; what it said is the message."""


@dataclass(frozen=True, slots=True)
class Floor:
    """What honest machines do and the best forger can; both within (0, 1)."""

    fault: float = 1e-6
    """Chance that an honest proof fails all the same: memory, disks."""
    forged: float = 2.0**-100
    """Chance that a proof of something untrue passes; the proving system's, about."""

    def __post_init__(self) -> None:
        """Refuse certainty."""
        if not (0.0 < self.fault < 1.0 and 0.0 < self.forged < 1.0):
            raise ValueError(f"chances are within (0, 1): {self}")


@dataclass(frozen=True, slots=True)
class Circuit:
    """What the judge keeps of a network."""

    settings: bytes
    verifying_key: bytes
    srs: bytes
    inputs: int
    """How many numbers go in."""
    outputs: int
    proof_bytes: int
    """Bytes of every proof: one with more after it would pass as well."""


def build(
    network: Path, folder: Path, example: Sequence[float], rows_log: int = ROWS_LOG
) -> Circuit:
    """Compile the ONNX file `network`; leave in `folder` what `prove` needs, return what judges do.

    `example` are inputs to try it with. Seconds, and more with every row; the proving key is of
    megabytes. Raises NoCircuit, or ImportError without ezkl.
    """
    ezkl = _ezkl()
    arguments = ezkl.PyRunArgs()
    arguments.input_visibility = arguments.output_visibility = "public"
    arguments.param_visibility = "fixed"
    arguments.input_scale = arguments.param_scale = SCALE
    # Digits small enough that a table of them fits the rows.
    arguments.decomp_base, arguments.decomp_legs = 1 << (rows_log - 2), 4
    arguments.logrows = rows_log
    settings, key, srs = (folder / name for name in FILES)
    circuit, proving = (folder / name for name in _PROVER)
    try:
        ezkl.gen_settings(str(network), str(settings), arguments)
        ezkl.compile_circuit(str(network), str(circuit), str(settings))
        ezkl.gen_srs(str(srs), rows_log)
        ezkl.setup(str(circuit), str(key), str(proving), str(srs))
    except (RuntimeError, OSError) as error:
        raise NoCircuit(str(error)) from error
    outputs, proof = prove(folder, example)
    return Circuit(
        settings.read_bytes(),
        key.read_bytes(),
        srs.read_bytes(),
        len(example),
        len(outputs),
        len(proof),
    )


def prove(folder: Path, inputs: Sequence[float]) -> tuple[tuple[float, ...], bytes]:
    """Return (outputs, proof) of the network built in `folder`; raise NoCircuit if ezkl fails."""
    ezkl = _ezkl()
    with tempfile.TemporaryDirectory() as name:
        asked, witness, proof = (Path(name) / part for part in ("input", "witness", "proof"))
        asked.write_text(json.dumps({"input_data": [list(inputs)]}))
        circuit, proving = (str(folder / part) for part in _PROVER)
        try:
            ezkl.gen_witness(str(asked), circuit, str(witness))
            ezkl.prove(str(witness), circuit, proving, str(proof), str(folder / "srs.bin"))
        except (RuntimeError, OSError) as error:
            raise NoCircuit(str(error)) from error
        made = json.loads(proof.read_text())
    public = made["instances"][0][len(inputs) :]
    scale = json.loads((folder / "settings.json").read_text())["model_output_scales"][0]
    return tuple(ezkl.felt_to_float(felt, scale) for felt in public), bytes(made["proof"])


def verify(
    proof: bytes,
    circuit: Circuit,
    *,
    inputs: Sequence[float],
    outputs: Sequence[float],
    floor: Floor,
) -> Statement:
    """Return what `proof` says of the claim that the network gives `outputs` of `inputs`.

    Invalid: not that many bytes, outputs that are not that many finite numbers. Raises ValueError
    for inputs that are not the judge's to ask, and ImportError without ezkl.
    """
    wrong = _fault(inputs, circuit.inputs)
    if wrong is not None:
        raise ValueError(f"inputs: {wrong}")
    wrong = _fault(outputs, circuit.outputs)
    if wrong is not None:
        return Statement(CHECK, Outcome.INVALID, f"outputs: {wrong}")
    if not isinstance(proof, bytes) or len(proof) != circuit.proof_bytes:
        return Statement(CHECK, Outcome.INVALID, f"a proof is {circuit.proof_bytes} bytes")
    if not _holds(proof, circuit, inputs, outputs):
        against = math.log1p(-floor.forged) - math.log(floor.fault)
        return Statement(CHECK, Outcome.MEASURED, "the proof does not hold", against)
    ratio = math.log(floor.forged) - math.log1p(-floor.fault)
    return Statement(CHECK, Outcome.MEASURED, "the proof holds", ratio)


def _holds(
    proof: bytes, circuit: Circuit, inputs: Sequence[float], outputs: Sequence[float]
) -> bool:
    ezkl = _ezkl()
    settings = json.loads(circuit.settings)
    scales = settings["model_input_scales"][0], settings["model_output_scales"][0]
    public = [ezkl.float_to_felt(value, scales[0]) for value in inputs]
    public += [ezkl.float_to_felt(value, scales[1]) for value in outputs]
    with tempfile.TemporaryDirectory() as name:
        paths = [Path(name) / part for part in ("proof.json", *FILES)]
        paths[0].write_text(json.dumps({"instances": [public], "proof": list(proof)}))
        for path, kept in zip(
            paths[1:], (circuit.settings, circuit.verifying_key, circuit.srs), strict=True
        ):
            path.write_bytes(kept)
        try:
            return bool(ezkl.verify(*map(str, paths)))
        except RuntimeError:  # how ezkl says no
            return False


def _fault(values: Sequence[float], count: int) -> str | None:
    if not isinstance(values, (list, tuple)) or len(values) != count:
        return f"not {count} numbers"
    for at, value in enumerate(values):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return f"number {at} is none"
        # ezkl takes NaN for 0.
        if not -LARGEST <= value <= LARGEST:
            return f"number {at} is out of range"
    return None


def _ezkl() -> Any:
    try:
        import ezkl
    except ImportError as error:
        raise ImportError("ezkl is not installed; run: pip install 'subnetkit[zk]'") from error
    return ezkl

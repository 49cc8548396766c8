"""Our metadata beside the catalogue that the SDK was generated with: all that differs is listed.

The catalogue says of a pallet: its calls with the names and types of their arguments, its storage
items with the types of their values, its errors by index, its constants; and of a runtime API its
methods. `differences.toml` lists what is not the same, each with its reason, and nothing else. What
the catalogue does not say, such as how storage keys are hashed, is held by a vector of spec 425.
"""

from __future__ import annotations

import inspect
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bittensor._generated import calls as sdk_calls
from bittensor._generated import constants as sdk_constants
from bittensor._generated import errors as sdk_errors
from bittensor._generated import runtime_apis as sdk_apis
from bittensor._generated import storage as sdk_storage

from chain.runtime.construct import PALLETS
from chain.runtime.pallets.absent import ABSENT
from chain.scale import type_name
from tests.runtime.blocks import Chain

HERE = Path(__file__).parent
LISTED = HERE / "differences.toml"
KEYS = HERE.parent / "vectors" / "storage_keys.txt"
CALL_INDICES = HERE.parent / "vectors" / "call_indices.txt"
HASHERS = {"Identity": "I", "Blake2_128Concat": "B", "Twox64Concat": "T"}


def groups(module: Any) -> dict[str, dict[str, Any]]:
    """The catalogue's classes, by name: what each holds, by name, in its order."""
    return {
        name: {key: value for key, value in vars(cls).items() if key[0] != "_"}
        for name, cls in inspect.getmembers(module, inspect.isclass)
        if cls.__module__ == module.__name__ and not issubclass(cls, tuple)
    }


def words(text: str) -> str:
    return re.sub(r"\s", "", text)


def same_type(theirs: str, ours: str) -> bool:
    """The catalogue writes every type that is not a single name as `Any`."""
    if theirs == "Any":
        return re.search(r"[<(\[]", ours) is not None
    return words(theirs) == words(ours)


def pallets() -> set[str]:
    """Every pallet that the catalogue speaks of."""
    named = {error.pallet for error in sdk_errors.ERRORS.values()}
    return named.union(*(groups(m) for m in (sdk_calls, sdk_storage, sdk_constants)))


def differences(chain: Chain) -> Iterator[str]:
    """One line for each: what kind of thing, its name, and how it differs where both have it."""
    ir = chain.core.metadata_ir()
    ours = {pallet["name"]: pallet for pallet in ir["pallets"]}
    yield from (f"pallet {name}" for name in pallets() - set(ours))
    yield from (f"pallet {name}: not theirs" for name in set(ours) - pallets())
    for name, pallet in ours.items():
        yield from of_calls(name, pallet["calls"])
        yield from of_storage(name, pallet["storage"])
        yield from of_errors(name, pallet)
        theirs = groups(sdk_constants).get(name, {})
        yield from of_names("constant", name, theirs, pallet["constants"])
    yield from of_apis({api["name"]: api["methods"] for api in ir["runtime_apis"]})


def of_names(kind: str, group: str, theirs: Any, ours: Any) -> Iterator[str]:
    yield from (f"{kind} {group}.{name}" for name in set(theirs) - set(ours))
    yield from (f"{kind} {group}.{name}: not theirs" for name in set(ours) - set(theirs))


def of_calls(pallet: str, declared: list[dict[str, Any]]) -> Iterator[str]:
    theirs = groups(sdk_calls).get(pallet, {})
    ours = {call["name"]: call["args"] for call in declared}
    yield from of_names("call", pallet, theirs, ours)
    for name in set(theirs) & set(ours):
        parameters = inspect.signature(theirs[name].__func__).parameters.values()
        wanted = [(p.name, str(p.annotation).strip("'")) for p in parameters]
        found = [(a["name"], a["type_ident"]) for a in ours[name]]
        if [n.rstrip("_") for n, _ in wanted] != [n.rstrip("_") for n, _ in found]:
            yield f"call {pallet}.{name}: arguments {found}, there {wanted}"
        elif not all(same_type(t, o) for (_, t), (_, o) in zip(wanted, found, strict=True)):
            yield f"call {pallet}.{name}: types {found}, there {wanted}"


def of_storage(pallet: str, declared: list[dict[str, Any]]) -> Iterator[str]:
    theirs = groups(sdk_storage).get(pallet, {})
    ours = {entry["name"]: entry["value_type_ident"] for entry in declared}
    yield from of_names("storage", pallet, theirs, ours)
    for name in set(theirs) & set(ours):
        wanted = theirs[name].value_type_ident
        if words(wanted) != words(ours[name]):
            yield f"storage {pallet}.{name}: {ours[name]}, there {wanted}"


def of_errors(name: str, pallet: dict[str, Any]) -> Iterator[str]:
    theirs = {
        index: error.name for (_, index), error in sdk_errors.ERRORS.items() if error.pallet == name
    }
    ours = {error["index"]: error["name"] for error in pallet["errors"]}
    for index in set(theirs) | set(ours):
        if theirs.get(index) != ours.get(index):
            yield f"error {name} {index}: {ours.get(index)}, there {theirs.get(index)}"
    where = {i for (i, _), error in sdk_errors.ERRORS.items() if error.pallet == name}
    if where and where != {pallet["index"]}:
        yield f"pallet {name}: index {pallet['index']}, there {where}"


def of_apis(ours: dict[str, list[Any]]) -> Iterator[str]:
    theirs = groups(sdk_apis)
    yield from (f"api {name}" for name in set(theirs) - set(ours))
    yield from (f"api {name}: not theirs" for name in set(ours) - set(theirs))
    for name in set(theirs) & set(ours):
        methods = [m if isinstance(m, str) else m["name"] for m in ours[name]]
        yield from of_names("method", name, theirs[name], methods)


def listed() -> Iterator[tuple[str, str]]:
    """Each line of the file, and its reason."""
    for entry in tomllib.loads(LISTED.read_text())["difference"]:
        for name in entry["names"]:
            yield f"{entry['kind']} {name}", entry["reason"]


@pytest.fixture(scope="module")
def chain() -> Chain:
    return Chain.fresh()


def test_all_that_differs_is_listed_with_a_reason(chain: Chain) -> None:
    found = sorted(differences(chain))
    lines = [line for line, _ in listed()]
    assert [line for line, count in Counter(lines).items() if count > 1] == []
    assert sorted(set(found) - set(lines)) == [], "neither mended nor listed"
    assert sorted(set(lines) - set(found)) == [], "listed, and not so"
    assert all(len(reason) > 20 for _, reason in listed())


def test_the_gate_sees_each_kind_of_difference(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = set(differences(chain))
    ir = chain.core.metadata_ir()
    subtensor = next(p for p in ir["pallets"] if p["name"] == "SubtensorModule")
    call = next(c for c in subtensor["calls"] if c["name"] == "add_stake")
    call["args"][0], call["args"][1] = call["args"][1], call["args"][0]
    other = next(c for c in subtensor["calls"] if c["name"] == "remove_stake")
    other["args"][2]["type_ident"] = "TaoBalance"
    item = next(i for i in subtensor["storage"] if i["name"] == "Tempo")
    item["value_type_ident"] = "u32"
    subtensor["storage"] = [i for i in subtensor["storage"] if i["name"] != "Uids"]
    subtensor["errors"][3], subtensor["errors"][4] = (
        {**subtensor["errors"][4], "index": 3},
        {**subtensor["errors"][3], "index": 4},
    )
    subtensor["constants"].remove("InitialTempo")
    ir["runtime_apis"][-1]["methods"].pop()
    ir["pallets"] = [p for p in ir["pallets"] if p["name"] != "Swap"]
    next(p for p in ir["pallets"] if p["name"] == "AdminUtils")["index"] = 20

    class Changed:
        core = type("Core", (), {"metadata_ir": staticmethod(lambda: ir)})

    after: set[str] = set(differences(Changed()))  # type: ignore[arg-type]
    seen = {line.split(":")[0].split(" ")[0] + " " + line.split(":")[0].split(" ")[1]
            for line in after - before}  # fmt: skip
    assert {
        "call SubtensorModule.add_stake", "call SubtensorModule.remove_stake",
        "storage SubtensorModule.Tempo", "storage SubtensorModule.Uids", "error SubtensorModule",
        "constant SubtensorModule.InitialTempo", "pallet Swap", "pallet AdminUtils",
    } <= seen  # fmt: skip
    assert any(line.startswith("method ") for line in seen)


def rows(path: Path) -> Iterator[list[str]]:
    """The lines of a vector, without its comments, as words."""
    for line in path.read_text().splitlines():
        if line and line[0] != "#":
            yield line.split(" ", 1)


def test_storage_keys_are_hashed_as_on_the_chain() -> None:
    """And the items whose absence is None are the chain's: the others read as their default."""
    short = {"AccountId32": "Acc", "NetUidStorageIndex": "NSI", "RateLimitKey": "RateLimitKey<Acc>"}
    found = {}
    for name, item in PALLETS.by_name["SubtensorModule"].storage.items():
        keys = [
            f"{HASHERS[hasher.name]}({short.get(type_name(key), type_name(key))})"
            for hasher, key in item.keys
        ]
        found[name] = " ".join(keys or ["-"]) + ("?" if item.default is None else "")
    wanted = {name: keys for name, keys in rows(KEYS)}
    later = {
        "TotalAlphaStaked", "SubnetEpochConsensus", "RootStakeUnlockInterval",
        "CollateralLockShare", "CollateralDrainRatio", "MinerCollateral", "BasketClaimed",
    }  # fmt: skip
    assert set(found) - set(wanted) == later, "of a runtime later than the vector's"
    assert {name: found[name] for name in wanted if name in found} == {
        name: keys for name, keys in wanted.items() if name in found
    }


def test_calls_have_the_chains_indices() -> None:
    wanted = {name: int(index) for name, index in rows(CALL_INDICES)}
    for pallet in PALLETS:
        for name, spec in pallet.calls.items():
            known = wanted.get(f"{pallet.name}.{name}")
            if pallet.name in ("SubtensorModule", "AdminUtils") and name != "pow_register":
                assert known is not None, name
            assert known in (None, spec.index), name
    assert wanted["SubtensorModule.claim_root_with_hotkey"] == 148


def test_what_is_refused_by_name_is_declared() -> None:
    for pallet, name in ABSENT:
        assert name in PALLETS.by_name[pallet].calls

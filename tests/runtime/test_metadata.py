"""Metadata as strangers read it, and the layout that the SDK was generated with."""

from __future__ import annotations

import inspect
import re

import pytest
from bittensor._generated import calls as sdk_calls
from bittensor._generated import errors as sdk_errors
from bittensor._generated import runtime_apis as sdk_apis
from bittensor._generated import storage as sdk_storage
from scalecodec.base import RuntimeConfigurationObject, ScaleBytes
from scalecodec.type_registry import load_type_registry_preset

from chain.runtime.construct import PALLETS
from tests.runtime.blocks import Chain


@pytest.fixture(scope="module")
def chain() -> Chain:
    return Chain.fresh()


def test_scalecodec_reads_v14(chain: Chain) -> None:
    config = RuntimeConfigurationObject()
    config.update_type_registry(load_type_registry_preset("core"))
    blob = ScaleBytes(chain.engine.metadata(14))
    metadata = config.create_scale_object("MetadataVersioned", data=blob)
    metadata.decode()
    assert [p.name for p in metadata.pallets] == [p.name for p in PALLETS]


def test_pallets_have_the_chains_indices(chain: Chain) -> None:
    indices = {p["name"]: p["index"] for p in chain.core.metadata_ir()["pallets"]}
    assert indices == {
        "System": 0,
        "Timestamp": 2,
        "Aura": 3,
        "Balances": 5,
        "TransactionPayment": 6,
        "SubtensorModule": 7,
        "Utility": 11,
        "Sudo": 12,
        "Commitments": 18,
        "AdminUtils": 19,
        "Swap": 28,
        "MevShield": 30,
        "AlphaAssets": 31,
    }


def test_errors_are_the_sdks_by_index() -> None:
    for pallet in PALLETS:
        for name, cls in pallet.errors.items():
            assert sdk_errors.ERRORS[(pallet.index, cls.index)].name == name
    names = {e.name for key, e in sdk_errors.ERRORS.items() if key[0] == 7}
    assert names == set(PALLETS.by_name["SubtensorModule"].errors)


def test_calls_have_the_sdks_names_and_arguments() -> None:
    for pallet in PALLETS:
        theirs = getattr(sdk_calls, pallet.name, None)
        for name, spec in pallet.calls.items():
            assert theirs is not None, pallet.name
            builder = getattr(theirs, name, None)
            assert builder is not None, f"{pallet.name}.{name} is not a call of the SDK's chain"
            wanted = [p.rstrip("_") for p in inspect.signature(builder).parameters]
            ours = [n.rstrip("_") for n, _ in spec.params]
            assert ours == wanted, f"{pallet.name}.{name}"


def test_storage_items_have_the_sdks_names_and_value_types(chain: Chain) -> None:
    ours = {
        (pallet["name"], entry["name"]): entry
        for pallet in chain.core.metadata_ir()["pallets"]
        for entry in pallet["storage"]
    }
    different = []
    for (pallet, name), entry in ours.items():
        theirs = getattr(getattr(sdk_storage, pallet), name, None)
        if theirs is None:
            different.append(f"{pallet}.{name} is not an item of the SDK's chain")
            continue
        ident = entry.get("value_type_ident") or entry.get("type") or ""
        if re.sub(r"\s", "", ident) != re.sub(r"\s", "", theirs.value_type_ident):
            different.append(f"{pallet}.{name}: {ident} here, {theirs.value_type_ident} there")
    assert different == []


def test_runtime_apis_have_the_sdks_names(chain: Chain) -> None:
    for api in chain.core.metadata_ir()["runtime_apis"]:
        theirs = getattr(sdk_apis, api["name"])
        for method in api["methods"]:
            assert hasattr(theirs, method["name"] if isinstance(method, dict) else method)

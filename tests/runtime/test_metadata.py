"""Metadata as strangers read it. The layout is held to the SDK's by the gate of conformance."""

from __future__ import annotations

import pytest
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
        "Multisig": 13,
        "Proxy": 16,
        "Commitments": 18,
        "AdminUtils": 19,
        "EVM": 22,
        "Drand": 26,
        "Crowdloan": 27,
        "Swap": 28,
        "MevShield": 30,
        "AlphaAssets": 31,
    }

"""JSON-RPC parameters by the names that a real node gives them, as turbobt sends them."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import pytest

from tests.conformance.stored import Stored
from tests.conformance.town import Town


def ask(url: str, method: str, **params: object) -> Any:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    request = urllib.request.Request(url.replace("ws://", "http://"), json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.loads(response.read())


@pytest.fixture
def key(stored: Stored) -> str:
    item = stored.chain.create_storage_key("SubtensorModule", "TotalNetworks", [])
    return str(item.to_hex())


def test_a_real_nodes_words_are_understood(town: Town, key: str) -> None:
    genesis = ask(town.url, "chain_getBlockHash", hash=0)["result"]
    assert genesis == town.rpc("chain_getBlockHash", 0)
    at_genesis = ask(town.url, "state_getStorage", key=key, hash=genesis)["result"]
    assert at_genesis == "0x0200"
    assert ask(town.url, "state_getStorage", key=key, hash=None)["result"] != at_genesis
    called = ask(town.url, "state_call", name="Core_version", bytes="", hash=genesis)
    assert called["result"] == town.rpc("state_call", "Core_version", "0x", genesis)
    assert ask(town.url, "state_getKeys", prefix=key, hash=genesis)["result"] == [key]
    paged = ask(town.url, "state_getKeysPaged", prefix=key, count=9, startKey=None, hash=genesis)
    assert paged["result"] == [key]


def test_an_unknown_name_is_refused_with_the_known_ones(town: Town) -> None:
    error = ask(town.url, "state_call", name="Core_version", data="0x")["error"]
    assert error["code"] == -32602
    assert "'data'" in error["message"]

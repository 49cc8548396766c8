"""What must hold for any input whatever, at each of the three doors that strangers knock at.

A law raises AssertionError with the input in it, or lets any other exception through: both are
findings. Each also holds a bound against hangs: 100 ms of this process's own time for one input.
"""

from __future__ import annotations

import asyncio
import json
import time
import tracemalloc
from collections.abc import Callable, Iterable
from random import Random
from typing import Any

from bittensor_core import CRYPTO_ED25519, Keypair

from chain.devnet.engine import BuiltBlock, Cheat, Impersonate, SetBalance
from chain.devnet.genesis import dev_engine
from chain.devnet.node import Node, NodeConfig
from chain.devnet.rpc import devnet as control
from chain.devnet.rpc.dispatch import Dispatcher
from chain.devnet.rpc.errors import INTERNAL_ERROR
from chain.devnet.rpc.methods import METHODS
from chain.devnet.rpc.session import Context, Session
from chain.devnet.schedule import Manual
from chain.devnet.store import Block
from chain.errors import InvalidTransaction, ScaleError
from chain.runtime import extrinsic
from chain.runtime.frame import RUNTIME_CALL
from chain.scale import (
    Array,
    Codec,
    Compact,
    Newtype,
    Option,
    OrderedMap,
    OrderedSet,
    Record,
    Struct,
    Tuple,
    Variants,
    Vector,
    compact,
)
from tests.devnet.signer import Signer
from tests.fuzz.declared import call, declared

HANG_S = 0.1
ALICE, CHARLIE = Keypair.create_from_uri("//Alice"), Keypair.create_from_uri("//Charlie")
REMARK = {"System": {"remark": {"remark": b"a"}}}
HOTKEY = Keypair.create_from_uri("//Bob/hotkey")


def ensure_prompt(run: Callable[[], object], what: object) -> None:
    """Run it; only what takes too long three times in a row is a hang, and not a busy machine."""
    spent = []
    for _ in range(3):
        began = time.process_time()
        run()
        spent.append(time.process_time() - began)
        if spent[-1] <= HANG_S:
            return
    raise AssertionError(f"took {min(spent):.3f} s: {what!r:.2000}")


# SCALE


def _parts(codec: Codec[Any]) -> Iterable[Codec[Any]]:
    match codec:
        case Newtype(inner=inner) | Compact(inner=inner):
            return (inner,)
        case Vector(item=item) | Array(item=item) | Option(item=item):
            return (item,)
        case Tuple(items=items):
            return items
        case Struct():
            return [inner for _, inner in codec.members]
        case Record(fields=fields):
            return [inner for _, inner in fields]
        case Variants(variants=variants):
            return [inner for _, _, inner in variants if inner is not None]
    return ()


def has_one_form(codec: Codec[Any]) -> bool:
    """Whether each value has one encoding: sets and maps may come in any order."""
    if isinstance(codec, OrderedSet | OrderedMap) or codec is RUNTIME_CALL:
        return False
    return all(map(has_one_form, _parts(codec)))


class Scale:
    """Bytes are a value or a ScaleError; a value is the same value when written and read again."""

    MEMORY = 2**16
    MEMORY_A_BYTE = 2**10

    def __init__(self) -> None:
        self.types = declared()
        self._has_one_form = {name: has_one_form(codec) for name, codec in self.types}
        self.runs = 0

    def check(self, data: bytes) -> None:
        """The first byte says which type the others are."""
        if data:
            name, codec = self.types[data[0] % len(self.types)]
            ensure_prompt(lambda: self.check_one(name, codec, data[1:]), (name, data[1:]))

    def check_one(self, name: str, codec: Codec[Any], data: bytes) -> None:
        """One input; of every 256th, the memory it takes as well."""
        self.runs += 1
        if self.runs % 256:
            self._check(name, codec, data)
            return
        tracemalloc.start()
        try:
            self._check(name, codec, data)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        room = self.MEMORY + self.MEMORY_A_BYTE * len(data)
        assert peak <= room, f"{name} took {peak} bytes of memory for {data!r}"

    def _check(self, name: str, codec: Codec[Any], data: bytes) -> None:
        try:
            value = codec.decode(data)
        except ScaleError:
            return
        written = codec.encode(value)
        assert codec.decode(written) == value, f"{name} reads {data!r} but not what it writes"
        if self._has_one_form[name]:
            assert written == data, f"{name} reads {data!r} and writes {written!r}"
        else:
            assert codec.encode(codec.decode(written)) == written, f"{name} has no last form"


# Extrinsics


class Chain:
    """A chain that grows block by block, without a node's clock and pool."""

    def __init__(self, *funded: bytes) -> None:
        self.node = Node(dev_engine(), NodeConfig(Manual()))
        self.engine, self.store = self.node.engine, self.node.store
        for account in funded:
            self.cheat(SetBalance(account, 10**15))

    def build(self, *raws: bytes) -> BuiltBlock:
        """The next block."""
        head = self.store.head
        time = head.timestamp_ms + 250
        return self.engine.build_block(self.store.state(head), head.header, raws, time)

    def cheat(self, cheat: Cheat) -> None:
        """Let a block pass in which `cheat` is done."""
        head = self.store.head
        time = head.timestamp_ms + 250
        self.keep(self.engine.cheat_block(self.store.state(head), head.header, cheat, time))

    def keep(self, built: BuiltBlock) -> None:
        """Make a built block the head."""
        time = self.store.head.timestamp_ms + 250
        self.store.append(Block(built.header, built.hash, built.extrinsics, time), built.changes)

    def validate(self, raw: bytes) -> None:
        """Raises what the pool would say."""
        head = self.store.head
        self.engine.validate(self.store.state(head), head.header, raw)


class Extrinsics:
    """Of all bytes, only what its signer signed is taken; nothing else of it may differ."""

    SIGNERS = (
        Keypair.create_from_uri("//Alice"),
        Keypair.create_from_uri("//Ed", crypto_type=CRYPTO_ED25519),
    )
    CALLS: tuple[tuple[str, dict[str, Any]], ...] = (
        ("Balances.transfer_keep_alive", {"dest": CHARLIE.ss58_address, "value": 10**9}),
        ("System.remark", {"remark": b"\x05\x00" * 150}),  # long: it is signed by its hash
        ("SubtensorModule.register_network", {"hotkey": HOTKEY.ss58_address}),
        ("Utility.force_batch", {"calls": [REMARK, REMARK]}),
    )

    def __init__(self) -> None:
        self._chain = Chain(*(bytes(key.public_key) for key in self.SIGNERS))
        signer = Signer(self._chain.node)
        self.signed: list[bytes] = []
        for key in self.SIGNERS:
            for name, arguments in self.CALLS:
                signer.nonces.clear()
                self.signed.append(signer.sign(key, name, **arguments))
        for raw in self.signed:
            self._chain.validate(raw)

    def check(self, data: bytes) -> None:
        """One input."""
        ensure_prompt(lambda: self._check(data), data)

    def _check(self, data: bytes) -> None:
        extrinsic.decode.cache_clear()  # the measure of one input is not that of a memory
        try:
            found = extrinsic.decode(data)
        except ScaleError:
            found = None
        if found is not None:
            assert found.raw == data
            assert RUNTIME_CALL.decode(found.call_bytes) == found.call, f"more than it: {data!r}"
            assert RUNTIME_CALL.decode(RUNTIME_CALL.encode(found.call)) == found.call
            signed = found.extra_bytes + found.call_bytes
            assert data.endswith(signed), f"signed is not what was sent: {data!r}"
        try:
            self._chain.validate(data)
        except (InvalidTransaction, ScaleError):
            assert data not in self.signed, f"refused: {data!r}"
            return
        assert data in self.signed, f"nobody signed {data!r}"


class Calls:
    """Somebody signs a well-formed call without sense: verdict and block come all the same."""

    WHO = bytes(Keypair.create_from_uri("//Bob").public_key)
    KNOWN = tuple(bytes(key.public_key) for key in (ALICE, CHARLIE, HOTKEY)) + (WHO,)
    A_CHAIN = 100

    def __init__(self) -> None:
        self._chain = Chain(self.WHO)
        self._chain.cheat(Impersonate(self.WHO, True))
        owned = call_bytes(self._chain, "register_network", hotkey=HOTKEY.ss58_address)
        self._chain.keep(self._chain.build(blank(self.WHO, 0, owned)))
        self._chain.store.snapshot(0)
        self._runs = 0
        self.valid = 0

    def check(self, seed: int) -> None:
        """One input; what is valid stays, for some inputs, so that others meet it."""
        self._runs += 1
        if self._runs % self.A_CHAIN == 0:
            self._chain.store.revert(1)
        raw = blank(self.WHO, self._nonce(), call(Random(seed), self.KNOWN))
        ensure_prompt(lambda: self._check(raw), raw)

    def _nonce(self) -> int:
        state = self._chain.store.state(self._chain.store.head)
        raw = self._chain.engine.call(state, "AccountNonceApi_account_nonce", self.WHO)
        return int.from_bytes(raw, "little")

    def _check(self, raw: bytes) -> None:
        extrinsic.decode.cache_clear()
        try:
            self._chain.validate(raw)
        except (InvalidTransaction, ScaleError):
            self._chain.build(raw)
            return
        built = self._chain.build(raw)
        assert raw in built.extrinsics, "the pool takes it, a block does not"
        if self.valid % 2:
            self._chain.keep(built)
        self.valid += 1


def call_bytes(chain: Chain, name: str, **arguments: Any) -> bytes:
    """A call of SubtensorModule as the SDK composes it."""
    return bytes(Signer(chain.node).core.compose_call("SubtensorModule", name, arguments))


def blank(account: bytes, nonce: int, call: bytes) -> bytes:
    """An extrinsic of an account that is impersonated."""
    head = b"\x84\x00" + account + b"\x01" + bytes(64) + b"\x00" + compact(nonce) + b"\x00\x00"
    return compact(len(head) + len(call)) + head + call


# JSON-RPC


class Door:
    """Every text is answered as JSON-RPC says, and no handler fails in a way of its own."""

    A_NODE = 2000

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._dispatcher = Dispatcher(METHODS)
        self._runs = 0
        control.BLOCKS_A_CALL = 2  # to make many blocks takes long, and is no hang
        self._open()

    def _open(self) -> None:
        node = Node(dev_engine(), NodeConfig(Manual()))
        node.store.snapshot(0)
        self._context = Context(node, Session(lambda text: None), may_control=True)

    def check(self, data: bytes) -> None:
        """One message."""
        self._runs += 1
        if self._runs % self.A_NODE == 0:
            self._open()
        answers: list[str | None] = []
        ensure_prompt(lambda: answers.append(self._answer(data)), data)
        for answer in answers:
            ensure_proper(data, answer)

    def _answer(self, data: bytes) -> str | None:
        answer = self._dispatcher.answer(data, self._context)
        return self._loop.run_until_complete(answer)

    def close(self) -> None:
        """End the loop."""
        self._loop.close()


def ensure_proper(message: bytes | str, answer: str | None) -> None:
    """Whether `answer` is one that JSON-RPC allows to `message`."""
    if answer is None:
        return
    found = json.loads(answer)
    assert found != [], message
    for one in found if isinstance(found, list) else [found]:
        assert set(one) in ({"jsonrpc", "id", "result"}, {"jsonrpc", "id", "error"}), message
        assert one["jsonrpc"] == "2.0", message
        assert isinstance(one["id"], str | int | float | None) and one["id"] is not True, message
        if "error" in one:
            assert one["error"]["code"] != INTERNAL_ERROR, (message, answer)
            assert one["error"]["message"], message

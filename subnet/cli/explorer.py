"""Blocks as they were: what was in them and what came of it, from any node, by its metadata.

Over `substrate-interface`, so it knows no pallet but System and Timestamp. Reads only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from chain.errors import ChainAway, ChainRefused

if TYPE_CHECKING:
    from substrateinterface import SubstrateInterface

__all__ = ["BlockRecord", "EventRecord", "Explorer", "ExtrinsicRecord", "Item"]

ANSWER_TIMEOUT_S = 30.0
KEYS_A_PAGE = 1000  # as many as any node gives
PALLET_BYTES, PREFIX_BYTES = 16, 32
"""What keys begin with: the hash of the pallet's name, and with it that of the item's."""
HASH_BYTES = {"Blake2_128Concat": 16, "Twox64Concat": 8, "Identity": 0}
"""What stands before a key that is there in full; under other hashers keys cannot be read."""


@dataclass(frozen=True, slots=True)
class EventRecord:
    """Something that happened; `extrinsic` is None for what the block did by itself."""

    extrinsic: int | None
    pallet: str
    name: str
    attributes: Any


@dataclass(frozen=True, slots=True)
class ExtrinsicRecord:
    """One extrinsic. `signer`, `nonce`, `tip` and `fee` (rao) are None for a block's own.

    `failure` is the chain's name of the rule that refused the call, None when it was done.
    """

    block: int
    index: int
    hash: str
    signer: str | None
    nonce: int | None
    tip: int | None
    pallet: str
    call: str
    args: Mapping[str, Any]
    fee: int | None
    failure: str | None
    events: tuple[EventRecord, ...]


@dataclass(frozen=True, slots=True)
class BlockRecord:
    """A block and all that happened in it; `time` is None for genesis, which has no date."""

    number: int
    hash: str
    parent: str
    time: datetime | None
    extrinsics: tuple[ExtrinsicRecord, ...]
    events: tuple[EventRecord, ...]


@dataclass(frozen=True, slots=True)
class Item:
    """A storage item as the metadata has it; `keys` are (hasher, type) of each."""

    pallet: str
    name: str
    keys: tuple[tuple[str, str], ...]
    value: str

    def __str__(self) -> str:
        return f"{self.pallet}.{self.name}"


class Explorer:
    """An open connection. Every method raises ChainAway or ChainRefused."""

    def __init__(self, endpoint: str, chain: SubstrateInterface) -> None:
        self._endpoint = endpoint
        self._chain = chain
        self._items: dict[bytes, Item] | None = None

    @classmethod
    @contextmanager
    def connect(cls, endpoint: str) -> Iterator[Explorer]:
        """Open a ws:// or wss:// endpoint."""
        from substrateinterface import SubstrateInterface

        options = {"timeout": ANSWER_TIMEOUT_S}
        with _translated(endpoint):
            chain = SubstrateInterface(endpoint, ss58_format=42, ws_options=options)
        with chain:
            yield cls(endpoint, chain)

    @property
    def endpoint(self) -> str:
        """Where the node is."""
        return self._endpoint

    def ask(self, method: str, *params: object) -> Any:
        """The result of a JSON-RPC method. Raises ChainRefused with the node's own words."""
        with _translated(self._endpoint):
            answer = self._chain.rpc_request(method, list(params))
        if "error" in answer:
            error = answer["error"]
            detail = f": {error['data']}" if error.get("data") else ""
            raise ChainRefused("RequestRefused", f"{error['message']}{detail}", error["code"])
        return answer["result"]

    def hash(self, number: int) -> str:
        """The hash of the block at a height. Raises ChainRefused where there is none."""
        found = self.ask("chain_getBlockHash", number)
        if found is None:
            raise ChainRefused("BlockNotFound", f"there is no block {number}")
        return str(found)

    def state(self, block_hash: str, prefix: bytes = b"") -> dict[bytes, bytes]:
        """All keys under a prefix with their values, after a block."""
        found: dict[bytes, bytes] = {}
        last: str | None = None
        while True:
            page = self.ask(
                "state_getKeysPaged", f"0x{prefix.hex()}", KEYS_A_PAGE, last, block_hash
            )
            if page:
                (answer,) = self.ask("state_queryStorageAt", page, block_hash)
                for key, value in answer["changes"]:
                    found[_bytes(key)] = _bytes(value)
                last = page[-1]
            if len(page) < KEYS_A_PAGE:
                return found

    def items(self) -> Mapping[bytes, Item]:
        """Every storage item by its prefix."""
        if self._items is None:
            from substrateinterface.utils.hasher import xxh128

            with _translated(self._endpoint):
                self._chain.init_runtime()
                self._items = {}
                for pallet in self._chain.metadata.pallets:
                    for item in pallet.storage or ():
                        place = pallet.value["storage"]["prefix"]
                        key = xxh128(place.encode()) + xxh128(item.value["name"].encode())
                        self._items[bytes(key)] = _item(pallet.name, item)
        return self._items

    def read_keys(self, item: Item, key: bytes) -> tuple[Any, ...] | None:
        """The keys that lead to a value of `item`; None where they stand hashed only."""
        hashers = [hasher for hasher, _ in item.keys]
        if not set(hashers) <= HASH_BYTES.keys():
            return None
        types = [(f"[u8; {HASH_BYTES[hasher]}]", kind) for hasher, kind in item.keys]
        names = [name for pair in types for name in pair]
        value = self._decode(f"({', '.join(names)})", key[PREFIX_BYTES:]) if names else ()
        return None if value is None else tuple(value[1::2])

    def read_value(self, item: Item, raw: bytes) -> Any:
        """What a stored value says; None where this metadata cannot tell."""
        return self._decode(item.value, raw)

    def _decode(self, kind: str, raw: bytes) -> Any:
        with _translated(self._endpoint):
            try:
                return plain(self._chain.decode_scale(kind, f"0x{raw.hex()}"))
            except (ValueError, NotImplementedError):  # of another runtime, or written by hand
                return None

    def head(self) -> int:
        """The number of the newest block."""
        with _translated(self._endpoint):
            return int(self._chain.get_block_number(None))

    def block(self, number: int) -> BlockRecord:
        """The block at a height. Raises ChainRefused where there is none."""
        with _translated(self._endpoint):
            block_hash = self._chain.get_block_hash(number)
            if block_hash is None:
                raise ChainRefused("BlockNotFound", f"there is no block {number}")
            block = self._chain.get_block(block_hash, include_author=False)
            events = tuple(_event(record.value) for record in self._chain.get_events(block_hash))
            extrinsics = tuple(
                self._extrinsic(number, index, extrinsic.value, events)
                for index, extrinsic in enumerate(block["extrinsics"])
            )
        return BlockRecord(
            number, block_hash, block["header"]["parentHash"], _time(extrinsics), extrinsics, events
        )

    def extrinsic(self, block: int, index: int) -> ExtrinsicRecord:
        """The extrinsic at a place. Raises ChainRefused where there is none."""
        found = self.block(block).extrinsics
        if not 0 <= index < len(found):
            raise ChainRefused("ExtrinsicNotFound", f"block {block} has no extrinsic {index}")
        return found[index]

    def find_extrinsic(self, extrinsic_hash: str, newest: int, blocks: int) -> ExtrinsicRecord:
        """The extrinsic of this hash, looked for in so many blocks back from `newest`."""
        oldest = max(newest - blocks + 1, 0)
        for number in range(newest, oldest - 1, -1):
            for extrinsic in self.block(number).extrinsics:
                if extrinsic.hash == extrinsic_hash.lower():
                    return extrinsic
        raise ChainRefused("ExtrinsicNotFound", f"not in the blocks {oldest} to {newest}")

    def _extrinsic(
        self, block: int, index: int, value: Mapping[str, Any], events: tuple[EventRecord, ...]
    ) -> ExtrinsicRecord:
        own = tuple(event for event in events if event.extrinsic == index)
        fees = [event.attributes for event in own if event.name == "TransactionFeePaid"]
        failures = [event.attributes for event in own if event.name == "ExtrinsicFailed"]
        call = value["call"]
        return ExtrinsicRecord(
            block=block,
            index=index,
            hash=str(value["extrinsic_hash"]),
            signer=value.get("address"),
            nonce=value.get("nonce"),
            tip=value.get("tip"),
            pallet=call["call_module"],
            call=call["call_function"],
            args={arg["name"]: plain(arg["value"]) for arg in call["call_args"]},
            fee=int(fees[0]["actual_fee"]) if fees else None,
            failure=self._reason(failures[0]["dispatch_error"]) if failures else None,
            events=own,
        )

    def _reason(self, error: Any) -> str:
        if isinstance(error, dict) and "Module" in error:
            module = error["Module"]
            code = module["error"]
            index = bytes.fromhex(code[2:])[0] if isinstance(code, str) else int(code)
            return str(self._chain.metadata.get_module_error(module["index"], index).name)
        if isinstance(error, dict):
            return " ".join(f"{kind} {detail}" for kind, detail in error.items())
        return str(error)


@contextmanager
def _translated(endpoint: str) -> Iterator[None]:
    from substrateinterface.exceptions import SubstrateRequestException
    from websocket import WebSocketException

    try:
        yield
    except (OSError, WebSocketException) as error:
        raise ChainAway(endpoint, " ".join(str(error).split()) or type(error).__name__) from error
    except SubstrateRequestException as error:
        message = error.args[0] if error.args else error
        text = message.get("message", message) if isinstance(message, dict) else message
        raise ChainRefused("RequestRefused", str(text)) from error


def _event(value: Mapping[str, Any]) -> EventRecord:
    attributes = plain(value["attributes"])
    return EventRecord(value["extrinsic_idx"], value["module_id"], value["event_id"], attributes)


def _time(extrinsics: tuple[ExtrinsicRecord, ...]) -> datetime | None:
    for extrinsic in extrinsics:
        if (extrinsic.pallet, extrinsic.call) == ("Timestamp", "set"):
            return datetime.fromtimestamp(int(extrinsic.args["now"]) / 1000, UTC)
    return None


def _item(pallet: str, item: Any) -> Item:
    types = item.get_params_type_string()
    hashers = item.get_param_hashers()[: len(types)]
    return Item(
        pallet,
        item.value["name"],
        tuple(zip(hashers, types, strict=True)),
        item.get_value_type_string(),
    )


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def plain(value: Any) -> Any:
    """A decoded value as JSON has it."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain(item) for item in value]
    if isinstance(value, bytes | bytearray):
        return f"0x{value.hex()}"
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)

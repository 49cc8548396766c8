"""A whole engine in a hundred lines: accounts without signatures that write to a map.

An extrinsic is account (32) | nonce (u32) | priority (u8) | dies at block (u32) | key length (u8)
| key | value. Some keys misbehave on purpose: b"crash" is a bug of the engine while it builds,
b"doubt" one while it validates, b"huge" never fits, b"poor" cannot pay, b"seven" is Custom(7).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from chain.devnet.engine import (
    BuiltBlock,
    Cheat,
    Header,
    RuntimeVersion,
    SetBalance,
    StateReader,
    Validity,
    extrinsics_root,
    nonce_tag,
    state_root,
)
from chain.errors import InvalidTransaction, OtherError, ScaleError, UnknownApi
from chain.scale import compact

NUMBER = b"number"
NOW = b"now"
FOREVER = 2**32 - 1


@dataclass(frozen=True)
class Write:
    """One parsed extrinsic."""

    account: bytes
    nonce: int
    priority: int
    dies: int
    key: bytes
    value: bytes

    @classmethod
    def parse(cls, raw: bytes) -> Write:
        if len(raw) < 42 or len(raw) < 42 + raw[41]:
            raise ScaleError(f"an extrinsic has at least 42 bytes, got {len(raw)}")
        integer = int.from_bytes
        return cls(
            raw[:32],
            integer(raw[32:36], "little"),
            raw[36],
            integer(raw[37:41], "little"),
            raw[42 : 42 + raw[41]],
            raw[42 + raw[41] :],
        )


def extrinsic(
    account: bytes,
    nonce: int,
    key: bytes = b"k",
    value: bytes = b"v",
    *,
    priority: int = 0,
    dies: int = FOREVER,
) -> bytes:
    return b"".join(
        (
            account,
            nonce.to_bytes(4, "little"),
            bytes([priority]),
            dies.to_bytes(4, "little"),
            bytes([len(key)]),
            key,
            value,
        )
    )


def data_key(key: bytes) -> bytes:
    return b"data:" + key


def nonce_key(account: bytes) -> bytes:
    return b"nonce:" + account


def nonce_of(state: StateReader, account: bytes) -> int:
    return int.from_bytes(state.get(nonce_key(account)) or b"", "little")


class TinyEngine:
    """An `Engine`."""

    def __init__(self, spec_version: int = 1) -> None:
        self._spec_version = spec_version

    def runtime_version(self) -> RuntimeVersion:
        return RuntimeVersion("tiny", "tiny", 1, self._spec_version, 1, ((b"\x01" * 8, 4),), 1, 1)

    def metadata(self, version: int = 14) -> bytes:
        return b"meta" + bytes([version, self._spec_version])

    def genesis(self) -> Mapping[bytes, bytes]:
        return {NUMBER: bytes(4), data_key(b"genesis"): b"yes"}

    def call(self, state: StateReader, method: str, args: bytes) -> bytes:
        match method:
            case "AccountNonceApi_account_nonce":
                if len(args) != 32:
                    raise ScaleError("an account has 32 bytes")
                return nonce_of(state, args).to_bytes(4, "little")
            case "TransactionPaymentApi_query_info":
                return compact(1000) + compact(7) + b"\x00" + len(args).to_bytes(8, "little")
            case "Tiny_crash":
                raise ZeroDivisionError("a bug")
        raise UnknownApi(method)

    def validate(self, state: StateReader, head: Header, extrinsic: bytes) -> Validity:
        write = Write.parse(extrinsic)
        if write.key == b"doubt":
            raise ZeroDivisionError("a bug")
        self._ensure_valid(state, write, head.number)
        requires = (
            (nonce_tag(write.account, write.nonce - 1),)
            if write.nonce > nonce_of(state, write.account)
            else ()
        )
        return Validity(
            requires,
            (nonce_tag(write.account, write.nonce),),
            write.dies - head.number - 1,
            write.priority,
        )

    def _ensure_valid(self, state: StateReader, write: Write, head: int) -> None:
        if write.dies <= head + 1:
            raise InvalidTransaction("AncientBirthBlock")
        if write.nonce < nonce_of(state, write.account):
            raise InvalidTransaction("Stale")
        if write.key == b"poor":
            raise InvalidTransaction("Payment")
        if write.key == b"seven":
            raise InvalidTransaction("Custom", 7)

    def build_block(
        self, state: StateReader, parent: Header, extrinsics: Sequence[bytes], timestamp_ms: int
    ) -> BuiltBlock:
        number = parent.number + 1
        changes: dict[bytes, bytes | None] = {
            NUMBER: number.to_bytes(4, "little"),
            NOW: timestamp_ms.to_bytes(8, "little"),
        }
        nonces: dict[bytes, int] = {}
        included = [b"inherent" + changes[NOW]]  # type: ignore[operator]
        rejected: list[tuple[bytes, InvalidTransaction]] = []
        for raw in extrinsics:
            write = Write.parse(raw)
            nonce = nonces.get(write.account, nonce_of(state, write.account))
            if write.key == b"crash":
                raise ZeroDivisionError("a bug")
            if write.nonce != nonce:
                kind = "Future" if write.nonce > nonce else "Stale"
                rejected.append((raw, InvalidTransaction(kind)))
            elif write.key == b"huge":
                rejected.append((raw, InvalidTransaction("ExhaustsResources")))
            else:
                nonces[write.account] = nonce + 1
                changes[nonce_key(write.account)] = (nonce + 1).to_bytes(4, "little")
                changes[data_key(write.key)] = write.value or None
                included.append(raw)
        header = Header(
            parent.hash(),
            number,
            state_root(parent.state_root, changes),
            extrinsics_root(included),
            (b"\x06test" + compact(1) + b"\x01",),
        )
        return BuiltBlock(header, header.hash(), tuple(included), changes, tuple(rejected))

    def cheat_block(
        self, state: StateReader, parent: Header, cheat: Cheat, timestamp_ms: int
    ) -> BuiltBlock:
        """Note the cheat under b"cheat"; a balance of 13 is refused."""
        if isinstance(cheat, SetBalance) and cheat.rao == 13:
            raise OtherError("unlucky")
        built = self.build_block(state, parent, (), timestamp_ms)
        return replace(built, changes={**built.changes, data_key(b"cheat"): repr(cheat).encode()})

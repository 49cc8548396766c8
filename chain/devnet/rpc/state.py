"""state_*: storage, metadata and runtime APIs at any block of the chain."""

from __future__ import annotations

from collections.abc import Iterable

from chain.devnet.engine import StateReader
from chain.devnet.rpc.errors import CLIENT_ERROR, INVALID_PARAMS, OVERSIZED_RESPONSE, RpcError
from chain.devnet.rpc.params import Handler, Hash, hexed
from chain.devnet.rpc.session import Context, unsubscribe
from chain.devnet.store import Block
from chain.errors import ScaleError
from chain.types import blake2_256

__all__ = ["HANDLERS"]

KEYS_A_PAGE = 1000
"""What `state_getKeysPaged` gives at most, as Substrate does."""
KEYS_A_QUERY = 16_384
KEYS_A_SUBSCRIPTION = 4096
BYTES_A_QUERY = 32 * 2**20
"""All values together: one large one can be asked for many times."""


def _optional(value: bytes | None) -> str | None:
    return None if value is None else hexed(value)


def _changes(state: StateReader, keys: Iterable[bytes]) -> list[list[str | None]]:
    return [[hexed(key), _optional(state.get(key))] for key in keys]


async def state_getStorage(ctx: Context, key: bytes, at: Hash | None = None) -> str | None:
    """The value under a key, null where there is none. Params: ["0x3a636f6465", "0x<hash>"]."""
    return _optional(ctx.node.state(at).get(key))


async def state_getStorageHash(ctx: Context, key: bytes, at: Hash | None = None) -> str | None:
    """BLAKE2b-256 of the value under a key. Params: ["0x3a636f6465", "0x<hash>"]."""
    value = ctx.node.state(at).get(key)
    return None if value is None else hexed(blake2_256(value))


async def state_getStorageSize(ctx: Context, key: bytes, at: Hash | None = None) -> int | None:
    """Bytes of the value under a key. Params: ["0x3a636f6465", "0x<hash>"]."""
    value = ctx.node.state(at).get(key)
    return None if value is None else len(value)


async def state_queryStorageAt(
    ctx: Context, keys: list[bytes], at: Hash | None = None
) -> list[dict[str, object]]:
    """The values of many keys, null where there is none. Params: [["0x01", "0x02"], "0x<hash>"]."""
    _ensure_few(keys, KEYS_A_QUERY)
    block = ctx.node.store.get(at)
    state = ctx.node.store.state(block)
    if sum(len(state.get(key) or b"") for key in keys) > BYTES_A_QUERY:
        excess = f"Exceeded max limit of {BYTES_A_QUERY}"
        raise RpcError(OVERSIZED_RESPONSE, "Response is too big", excess)
    return [{"block": hexed(block.hash), "changes": _changes(state, keys)}]


async def state_getKeysPaged(
    ctx: Context,
    prefix: bytes,
    count: int,
    start_key: bytes | None = None,
    at: Hash | None = None,
) -> list[str]:
    """Up to `count` keys under a prefix in byte order, after `start_key`.

    Params: ["0x26aa394eea5630e07c48ae0c9558cef7", 100, null, "0x<hash>"].
    """
    if not 0 <= count <= KEYS_A_PAGE:
        raise RpcError(INVALID_PARAMS, f"parameter 2 (count): from 0 to {KEYS_A_PAGE}, got {count}")
    return [hexed(key) for key in ctx.node.state(at).keys(prefix, start_key, count)]


async def state_getKeys(ctx: Context, prefix: bytes, at: Hash | None = None) -> list[str]:
    """All keys under a prefix, for clients from before pages. Params: ["0x26aa394eea5630e0"]."""
    return [hexed(key) for key in ctx.node.state(at).keys(prefix)]


async def state_getMetadata(ctx: Context, at: Hash | None = None) -> str:
    """The metadata, version 14. Params: ["0x<hash>"]."""
    ctx.node.store.get(at)
    return hexed(ctx.node.engine.metadata(14))


def _version(ctx: Context) -> dict[str, object]:
    version = ctx.node.engine.runtime_version()
    return {
        "specName": version.spec_name,
        "implName": version.impl_name,
        "authoringVersion": version.authoring_version,
        "specVersion": version.spec_version,
        "implVersion": version.impl_version,
        "apis": [[hexed(api), number] for api, number in version.apis],
        "transactionVersion": version.transaction_version,
        "systemVersion": version.system_version,
        "stateVersion": version.system_version,
    }


async def state_getRuntimeVersion(ctx: Context, at: Hash | None = None) -> dict[str, object]:
    """Names and versions of the runtime. Params: ["0x<hash>"]."""
    ctx.node.store.get(at)
    return _version(ctx)


async def state_call(ctx: Context, method: str, args: bytes, at: Hash | None = None) -> str:
    """Run a runtime API. Params: ["Metadata_metadata_at_version", "0x0f000000", "0x<hash>"]."""
    try:
        return hexed(ctx.node.call(method, args, at))
    except ScaleError as error:
        raise RpcError(
            CLIENT_ERROR, f"Client error: Execution failed: {method}: bad arguments: {error}"
        ) from error


async def state_subscribeStorage(ctx: Context, keys: list[bytes] | None = None) -> str:
    """Changes of keys (of all for null) as `state_storage`, their present values at once.

    Params: [["0x01", "0x02"]].
    """
    _ensure_few(keys or [], KEYS_A_SUBSCRIPTION)
    subscription = ctx.subscribe("state_storage")
    wanted = None if keys is None else frozenset(keys)

    def send(block: Block, changed: Iterable[bytes]) -> None:
        changes = _changes(ctx.node.store.state(block), changed)
        subscription.send({"block": hexed(block.hash), "changes": changes})

    def on_head(block: Block) -> None:
        changed = [key for key in ctx.node.store.changed(block) if wanted is None or key in wanted]
        if changed:
            send(block, changed)

    send(ctx.node.head, dict.fromkeys(keys or ()))
    subscription.on_close(ctx.node.heads.listen(on_head))
    return subscription.id


async def state_subscribeRuntimeVersion(ctx: Context) -> str:
    """The runtime's version as `state_runtimeVersion`, once: it does not change. Params: []."""
    subscription = ctx.subscribe("state_runtimeVersion")
    subscription.send(_version(ctx))
    return subscription.id


def _ensure_few(keys: list[bytes], most: int) -> None:
    if len(keys) > most:
        raise RpcError(INVALID_PARAMS, f"parameter 1 (keys): at most {most}, got {len(keys)}")


HANDLERS: dict[str, Handler] = {
    "chain_getRuntimeVersion": state_getRuntimeVersion,
    "chain_subscribeRuntimeVersion": state_subscribeRuntimeVersion,
    "chain_unsubscribeRuntimeVersion": unsubscribe,
    "state_call": state_call,
    "state_callAt": state_call,
    "state_getKeys": state_getKeys,
    "state_getKeysPaged": state_getKeysPaged,
    "state_getKeysPagedAt": state_getKeysPaged,
    "state_getMetadata": state_getMetadata,
    "state_getRuntimeVersion": state_getRuntimeVersion,
    "state_getStorage": state_getStorage,
    "state_getStorageAt": state_getStorage,
    "state_getStorageHash": state_getStorageHash,
    "state_getStorageHashAt": state_getStorageHash,
    "state_getStorageSize": state_getStorageSize,
    "state_getStorageSizeAt": state_getStorageSize,
    "state_queryStorageAt": state_queryStorageAt,
    "state_subscribeRuntimeVersion": state_subscribeRuntimeVersion,
    "state_subscribeStorage": state_subscribeStorage,
    "state_unsubscribeRuntimeVersion": unsubscribe,
    "state_unsubscribeStorage": unsubscribe,
}

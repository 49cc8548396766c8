"""system_*: what this node is, and an account's next nonce."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from chain.devnet.engine import nonce_tag
from chain.devnet.rpc.params import Account, Handler
from chain.devnet.rpc.session import Context
from chain.types import SS58_FORMAT

__all__ = ["HANDLERS"]

NODE_NAME = "subnet-devnet"


async def system_chain(ctx: Context) -> str:
    """The name of the chain. Params: []."""
    return ctx.node.config.chain_name


async def system_name(ctx: Context) -> str:
    """The name of the node program. Params: []."""
    return NODE_NAME


async def system_version(ctx: Context) -> str:
    """The version of the node program. Params: []."""
    try:
        return version("subnetkit")
    except PackageNotFoundError:  # run from a source tree that is not installed
        return "0"


async def system_chainType(ctx: Context) -> str:
    """What the chain is for. Params: []."""
    return "Development"


async def system_properties(ctx: Context) -> dict[str, object]:
    """How amounts and addresses are shown. Params: []."""
    return {
        "isEthereum": False,
        "ss58Format": SS58_FORMAT,
        "tokenDecimals": 9,
        "tokenSymbol": "TAO",
    }


async def system_health(ctx: Context) -> dict[str, object]:
    """Always well and alone. Params: []."""
    return {"peers": 0, "isSyncing": False, "shouldHavePeers": False}


async def system_localPeerId(ctx: Context) -> str:
    """A constant: there is no network to be known on. Params: []."""
    return "12D3KooWDevnetDevnetDevnetDevnetDevnetDevnetDevnet11"


async def system_localListenAddresses(ctx: Context) -> list[str]:
    """None: there is no network. Params: []."""
    return []


async def system_peers(ctx: Context) -> list[object]:
    """None: there is no network. Params: []."""
    return []


async def system_nodeRoles(ctx: Context) -> list[str]:
    """This node makes the blocks. Params: []."""
    return ["Authority"]


async def system_syncState(ctx: Context) -> dict[str, int]:
    """Where this node began and is. Params: []."""
    head = ctx.node.head.number
    return {"startingBlock": 0, "currentBlock": head, "highestBlock": head}


async def system_accountNextIndex(ctx: Context, account: Account) -> int:
    """The nonce of an account's next extrinsic, those in the pool counted.

    Params: ["5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"].
    """
    raw = ctx.node.call("AccountNonceApi_account_nonce", account)
    nonce = int.from_bytes(raw, "little")
    while ctx.node.pool.provides(nonce_tag(account, nonce)):
        nonce += 1
    return nonce


HANDLERS: dict[str, Handler] = {
    "account_nextIndex": system_accountNextIndex,
    "system_accountNextIndex": system_accountNextIndex,
    "system_chain": system_chain,
    "system_chainType": system_chainType,
    "system_health": system_health,
    "system_localListenAddresses": system_localListenAddresses,
    "system_localPeerId": system_localPeerId,
    "system_name": system_name,
    "system_nodeRoles": system_nodeRoles,
    "system_peers": system_peers,
    "system_properties": system_properties,
    "system_syncState": system_syncState,
    "system_version": system_version,
}

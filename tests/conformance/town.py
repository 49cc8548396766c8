"""A small subnet with everything a client may ask about, founded over the socket by the SDK.

Two validators and two miners on a subnet that has run two epochs, one of them after weights; a
nominator; a second subnet with commit-reveal on and a commit waiting; a third on which nothing is
as it would be by default. Its numbers are known here or can be read from raw storage: that is what
the clients' answers are compared with.
"""

from __future__ import annotations

import json
import urllib.request
from dataclasses import dataclass
from typing import Any

import bittensor
import xxhash
from bittensor import calls, intents
from bittensor._generated.storage import SubtensorModule as st
from bittensor_core import Keypair

TAO = 10**9
TEMPO = 20
"""Of the town until its block."""
REST = 360
"""Its tempo after that: stake and permits stand still while other tests go on."""
ALICE = Keypair.create_from_uri("//Alice")
"""Root, and the bank."""
AXON = ("10.1.2.3", 8091)
COMMITMENT = "town:v1"
REVEALED = ("opened", 7)
"""Content and block. Nothing here opens a sealed one: it is written into storage."""
WEIGHTS = {"//V1": {3: 3.0, 4: 1.0}, "//V2": {3: 1.0, 4: 1.0}}
"""Shares by uid: the miners have 3 and 4."""


def key(uri: str) -> Any:
    """The sr25519 pair of a derivation path."""
    return Keypair.create_from_uri(uri)


def ss58(uri: str) -> str:
    """The address of a derivation path."""
    return str(key(uri).ss58_address)


TUNED: dict[str, dict[str, Any]] = {
    "sudo_set_activity_cutoff_factor": {"factor_milli": 20_000},
    "sudo_set_adjustment_alpha": {"adjustment_alpha": 7},
    "sudo_set_adjustment_interval": {"adjustment_interval": 50},
    "sudo_set_alpha_sigmoid_steepness": {"steepness": 900},
    "sudo_set_bonds_moving_average": {"bonds_moving_average": 800_000},
    "sudo_set_bonds_reset_enabled": {"enabled": True},
    "sudo_set_burn_half_life": {"burn_half_life": 99},
    "sudo_set_burn_increase_mult": {"burn_increase_mult": {"bits": 3 << 63}},
    "sudo_set_commit_reveal_weights_interval": {"interval": 3},
    "sudo_set_difficulty": {"difficulty": 12_345},
    "sudo_set_immunity_period": {"immunity_period": 1234},
    "sudo_set_kappa": {"kappa": 40_000},
    "sudo_set_liquid_alpha_enabled": {"enabled": True},
    "sudo_set_alpha_values": {"alpha_low": 30_000, "alpha_high": 60_000},
    "sudo_set_max_allowed_validators": {"max_allowed_validators": 5},
    "sudo_set_max_allowed_uids": {"max_allowed_uids": 128},
    "sudo_set_max_burn": {"max_burn": 60 * TAO},
    "sudo_set_max_difficulty": {"max_difficulty": 12_347},
    "sudo_set_max_registrations_per_block": {"max_registrations_per_block": 2},
    "sudo_set_min_allowed_weights": {"min_allowed_weights": 3},
    "sudo_set_min_burn": {"min_burn": 700_000},
    "sudo_set_min_childkey_take_per_subnet": {"take": 655},
    "sudo_set_min_difficulty": {"min_difficulty": 12_346},
    "sudo_set_network_registration_allowed": {"registration_allowed": False},
    "sudo_set_owner_cut_auto_lock_enabled": {"enabled": True},
    "sudo_set_owner_cut_enabled": {"enabled": False},
    "sudo_set_rho": {"rho": 12},
    "sudo_set_serving_rate_limit": {"serving_rate_limit": 17},
    "sudo_set_subnet_emission_enabled": {"enabled": False},
    "sudo_set_target_registrations_per_interval": {"target_registrations_per_interval": 3},
    "sudo_set_tempo": {"tempo": 444},
    "sudo_set_toggle_transfer": {"toggle": False},
    "sudo_set_weights_set_rate_limit": {"weights_set_rate_limit": 55},
    "sudo_set_weights_version_key": {"weights_version_key": 4},
    "sudo_set_mechanism_count": {"mechanism_count": 2},
    "sudo_set_mechanism_emission_split": {"maybe_split": [45_535, 20_000]},
}
"""What root sets on the third subnet: each unlike the default, and unlike how a subnet begins."""


class KeyPairs:
    """What the SDK takes for a wallet: a coldkey and one hotkey of it, both open."""

    def __init__(self, uri: str) -> None:
        self.name = uri
        self.coldkey = key(uri)
        self.hotkey = key(f"{uri}//hot")
        self.coldkeypub = self.coldkey


@dataclass(frozen=True)
class Town:
    """Where the chain is and what was put into it. Reads are made at `block`.

    `uids` are the seats on subnet `netuid` by coldkey; the seat is its `//hot`. Subnet `secret`
    has commit-reveal on; subnet `tuned` has not started.
    """

    url: str
    netuid: int
    secret: int
    tuned: int
    registered_at: int
    block: int
    uids: dict[str, int]

    @property
    def block_hash(self) -> str:
        """The hash of `block`."""
        return str(self.rpc("chain_getBlockHash", self.block))

    def rpc(self, method: str, *params: object) -> Any:
        """The result of one JSON-RPC request over HTTP."""
        return rpc(self.url, method, *params)


def rpc(url: str, method: str, *params: object) -> Any:
    """The result of one JSON-RPC request over HTTP; a refusal raises AssertionError."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url.replace("ws://", "http://"), body, headers)
    with urllib.request.urlopen(request, timeout=30) as response:
        answer = json.loads(response.read())
    assert "error" not in answer, answer
    return answer["result"]


def key_of(pallet: str, item: str, netuid: int, account: bytes) -> str:
    """The storage key of a double map: the subnet as it is, the account Twox64Concat."""
    names = b"".join(_twox(name.encode(), 2) for name in (pallet, item))
    return f"0x{(names + netuid.to_bytes(2, 'little') + _twox(account, 1) + account).hex()}"


def _twox(data: bytes, words: int) -> bytes:
    return b"".join(
        xxhash.xxh64(data, seed=seed).intdigest().to_bytes(8, "little") for seed in range(words)
    )


async def sudo(sdk: Any, *inner: Any) -> None:
    """Calls with root's origin, all in one extrinsic."""
    wrapped = [calls.Sudo.sudo(call=await sdk.compose(call)) for call in inner]
    await batch(sdk, ALICE, *wrapped)


async def batch(sdk: Any, signer: Any, *inner: Any) -> None:
    """Calls of one signer, all or none."""
    composed = [await sdk.compose(call) for call in inner]
    await send(sdk, calls.Utility.batch_all(calls=composed), signer)


async def send(sdk: Any, call: Any, signer: Any, *, by: str = "coldkey") -> Any:
    """A raw call that must succeed, followed until it is in a block."""
    result = await sdk.submit_call(call, signer, signer=by, wait_for_finalization=False)
    assert result.success, result
    return result


async def execute(sdk: Any, intent: Any, signer: Any, *, final: bool = False) -> Any:
    """An intent that must succeed, followed until it is in a block, or until that is `final`.

    A shielded one lives for eight blocks from the finalized head, which here lags by 0.3 s: what
    goes before it must be final.
    """
    result = await sdk.execute(intent, signer, wait_for_finalization=final)
    assert result.success, (intent, result)
    return result


async def new_subnet(sdk: Any, owner: KeyPairs) -> int:
    """A subnet that pays, with plain weights and no waiting."""
    result = await execute(sdk, intents.RegisterSubnet(), owner)
    netuid = int(result.data["netuid"])
    admin = calls.AdminUtils
    await sudo(
        sdk,
        admin.sudo_set_commit_reveal_weights_enabled(netuid=netuid, enabled=False),
        admin.sudo_set_weights_set_rate_limit(netuid=netuid, weights_set_rate_limit=0),
        admin.sudo_set_serving_rate_limit(netuid=netuid, serving_rate_limit=0),
        admin.sudo_set_max_allowed_validators(netuid=netuid, max_allowed_validators=2),
        admin.sudo_set_subnet_emission_enabled(netuid=netuid, enabled=True),
    )
    return netuid


async def open_chain(sdk: Any, *uris: str, tao: int = 10_000) -> None:
    """Lift what makes a fresh chain slow, and give every coldkey money."""
    admin = calls.AdminUtils
    await sudo(
        sdk,
        admin.sudo_set_admin_freeze_window(window=0),
        admin.sudo_set_network_min_lock_cost(lock_cost=100 * TAO),
        admin.sudo_set_tx_rate_limit(tx_rate_limit=0),
        admin.sudo_set_owner_hparam_rate_limit(epochs=0),
    )
    transfer = calls.Balances.transfer_keep_alive
    gifts = [transfer(dest=ss58(uri), value=tao * TAO) for uri in uris]
    await batch(sdk, ALICE, *gifts)


set_weights: Any = intents.SetWeights  # takes a mapping too, which its types do not say


async def found(url: str) -> Town:
    """Found the town on the chain at `url`, whose blocks come with each extrinsic."""
    people = [
        "//Owner", "//V1", "//V2", "//M1", "//M2", "//Nominator", "//Secretary", "//Tuner",
        "//Changer",
    ]  # fmt: skip
    uids = {uri: uid for uid, uri in enumerate(people[:5])}
    owner, v1, v2, m1, m2, nominator, secretary, tuner, changer = map(KeyPairs, people)
    sdk: Any
    async with bittensor.Subtensor(url) as sdk:
        await open_chain(sdk, *people)
        netuid = await new_subnet(sdk, owner)
        registered_at = int(await sdk.query(st.NetworkRegisteredAt, [netuid]))
        secret = await new_subnet(sdk, secretary)
        tuned = await new_subnet(sdk, tuner)
        identity = intents.SetSubnetIdentity(netuid=netuid, subnet_name="Town", description="small")
        await execute(sdk, identity, owner)
        await execute(sdk, intents.StartCall(netuid=netuid), owner, final=True)
        for seat in (v1, v2, m1, m2):
            # The SDK forgets that a shielded call took two nonces: a connection of its own.
            async with bittensor.Subtensor(url) as own:
                await execute(own, intents.BurnedRegister(netuid=netuid), seat, final=True)
        for wallet, tao in ((v1, 20), (v2, 10), (nominator, 5)):
            hotkey = (v1 if wallet is nominator else wallet).hotkey.ss58_address
            await execute(sdk, intents.AddStake(hotkey, netuid, tao, False), wallet)
        await execute(sdk, intents.RootRegister(), v1)
        await execute(sdk, intents.AddStake(v1.hotkey.ss58_address, 0, 7), v1)
        await execute(sdk, intents.AddStake(m1.hotkey.ss58_address, 0, 1), m1)  # no seat there
        await execute(sdk, intents.ServeAxon(netuid, *AXON), m1)
        await execute(sdk, intents.ServePrometheus(netuid, *AXON), m1)
        await execute(sdk, intents.SetIdentity(name="Miner One"), m1)
        info = {"fields": [[{"Raw7": COMMITMENT.encode()}]]}
        commitment = calls.Commitments.set_commitment(netuid=netuid, info=info)
        await send(sdk, commitment, m1, by="hotkey")
        await sudo(sdk, calls.AdminUtils.sudo_set_tempo(netuid=netuid, tempo=TEMPO))
        rpc(url, "devnet_mine", TEMPO + 1)  # the first epoch gives permits
        for wallet in (v1, v2):
            weights = WEIGHTS[wallet.name]
            await execute(sdk, set_weights(netuid, weights=weights), wallet)
        hidden = calls.AdminUtils.sudo_set_commit_reveal_weights_enabled
        await sudo(sdk, hidden(netuid=secret, enabled=True))
        await execute(sdk, set_weights(secret, weights={0: 1.0}), secretary)
        content, at = REVEALED
        sealed = bytes([len(content) << 2]) + content.encode()
        row = bytes([1 << 2, len(sealed) << 2]) + sealed + at.to_bytes(8, "little")
        where = key_of("Commitments", "RevealedCommitments", netuid, m2.hotkey.public_key)
        rpc(url, "devnet_setStorage", [[where, f"0x{row.hex()}"]])
        rpc(url, "devnet_mine", TEMPO + 1)  # the second pays for weights
        tune = (getattr(calls.AdminUtils, name)(netuid=tuned, **to) for name, to in TUNED.items())
        threshold = calls.SubtensorModule.sudo_set_root_claim_threshold
        await sudo(sdk, *tune, threshold(netuid=0, new_value=600_000))
        # It has not started: children come into force at once. On the town's own they wait.
        hot = m1.hotkey.ss58_address
        await execute(sdk, intents.SetChildren(tuned, [[0.5, hot]]), v1)
        await execute(sdk, intents.SetChildren(netuid, [[0.25, hot]]), v1)
        await execute(sdk, intents.DecreaseTake(0.125), v1)
        await execute(sdk, intents.SetAutoStake(netuid, v1.hotkey.ss58_address), v2)
        await execute(sdk, intents.AnnounceColdkeySwap(ss58("//Changed")), changer)
        block = await sdk.block()
        await sudo(sdk, calls.AdminUtils.sudo_set_tempo(netuid=netuid, tempo=REST))
        return Town(url, netuid, secret, tuned, registered_at, block, uids)

"""What turbobt reads of a subnet and does to it, one JSON line; runs in an environment of its own.

Arguments: the ws:// address, the subnet, and an empty folder for a wallet.
"""

import asyncio
import json
import sys

import bittensor_wallet  # type: ignore[import-not-found]
from turbobt.client import Bittensor  # type: ignore[import-not-found]


async def main(url: str, netuid: int, wallets: str) -> dict[str, object]:
    wallet = bittensor_wallet.Wallet(name="M2", hotkey="default", path=wallets)
    open_key = {"use_password": False, "overwrite": True, "suppress": True}
    wallet.create_coldkey_from_uri("//M2", **open_key)
    wallet.create_hotkey_from_uri("//M2//hot", **open_key)
    async with Bittensor(url, wallet=wallet) as client:
        subnet = client.subnet(netuid)
        info = await subnet.get()
        neurons = await subnet.list_neurons()
        parameters = await subnet.get_hyperparameters()
        state = await subnet.get_state()
        commitments = await subnet.commitments.fetch()
        weights = await subnet.weights.fetch()
        await subnet.neurons.serve("10.7.7.7", 7777)
        served = await subnet.neuron(hotkey=wallet.hotkey.ss58_address).get()
        return {
            "networks": await client.subnets.count(),
            "subnet": [info.name, info.symbol, info.tempo, info.owner_coldkey],
            "neurons": [[neuron.uid, neuron.hotkey, neuron.coldkey] for neuron in neurons],
            "tempo": parameters["tempo"],
            "hotkeys": list(state["hotkeys"]),
            "commitments": {who: str(found["data"]) for who, found in commitments.items()},
            "weights": weights,
            "served": [str(served.axon_info.ip), served.axon_info.port],
        }


if __name__ == "__main__":
    arguments = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    sys.stdout.write(json.dumps(asyncio.run(main(*arguments))) + "\n")

"""A development node: blocks, pool, storage and JSON-RPC around an engine."""

from chain.devnet.devnet import Devnet

__all__ = ["Devnet"]

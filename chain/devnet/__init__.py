"""A development node: blocks, pool, storage and JSON-RPC around an engine."""

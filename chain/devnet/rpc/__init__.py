"""The JSON-RPC methods, one function each, named by wire name."""

"""Engines a node can run: what turns a state and extrinsics into the next state."""

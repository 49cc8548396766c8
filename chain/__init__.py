"""A Substrate chain from both sides: its client, its runtime in Python, and a development node."""

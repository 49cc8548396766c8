"""Run a miner: serve a subnet's answers to validators."""

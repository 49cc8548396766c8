"""A black-box suite for any miner's wire: what it must take, and what it must refuse."""

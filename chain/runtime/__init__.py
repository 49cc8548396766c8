"""The chain's state transition in Python: pure, without io, clock, threads or randomness."""

"""Run a validator: ask, judge, remember, set weights."""

"""Incentivized AI subnets: define, serve, ask, judge, and try it all on a local chain."""

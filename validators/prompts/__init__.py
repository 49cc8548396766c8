"""Where hidden tasks come from: the vault, which never gives out the same question twice."""

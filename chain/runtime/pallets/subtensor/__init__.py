"""SubtensorModule: subnets, neurons, weights, stake and emission."""

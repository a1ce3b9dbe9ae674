"""How a table runs: Flax Linen modules."""

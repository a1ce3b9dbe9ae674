"""State, step, loss, optimizer, checkpoints and the loop."""

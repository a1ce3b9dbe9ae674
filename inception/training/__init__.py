"""Training: state, step, loss, optimizer, schedule and the loop."""

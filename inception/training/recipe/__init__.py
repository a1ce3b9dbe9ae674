"""How a network learns: loss, optimizer, schedule, step, state."""

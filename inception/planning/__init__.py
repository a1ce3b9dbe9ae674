"""Plans a run on chips that this machine does not have."""

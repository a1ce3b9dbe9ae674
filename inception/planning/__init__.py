"""The compiled step of a run, for a chip that is not there."""

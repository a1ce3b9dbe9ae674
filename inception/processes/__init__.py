"""Multi-process runs: joining, agreeing, and detecting lost processes."""

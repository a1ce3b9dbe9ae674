"""Benchmarks: one script per claim. They print and never assert a time."""

"""Benchmarks: one script a claim; they print, they never assert a time."""

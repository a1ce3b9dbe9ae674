"""Benchmarks: one script per claim. They print times and never assert them."""

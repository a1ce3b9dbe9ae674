"""Network definitions: words, scopes, shapes, transforms and cost.

Plain data and plain functions; nothing here imports JAX.
"""

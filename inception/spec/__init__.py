"""How networks are written down: words, scopes, shapes, transforms, cost.

Plain data and plain functions; nothing here imports JAX.
"""

"""Quantization: from a trained network to one that computes in int8."""

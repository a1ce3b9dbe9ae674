"""Formats of weights files, read without executing anything."""

"""Configs: every field with its default, checks, comparison, upgrades."""

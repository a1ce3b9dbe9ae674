"""Importers of other projects' weights."""

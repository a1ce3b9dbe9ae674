"""Config files: one per network family, each with its full recipe."""

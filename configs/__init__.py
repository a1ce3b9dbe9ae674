"""Config files: one per network family, each with its whole recipe."""

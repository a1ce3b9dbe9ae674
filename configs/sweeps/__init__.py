"""Config files of sweeps: a config, and what is varied."""

"""Config files of sweeps: a base config, and the fields to vary."""

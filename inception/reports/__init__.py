"""Reports: pictures of runs, drawn from their JSON files. No JAX."""

"""Reports: charts of runs, drawn from their JSON files without JAX."""

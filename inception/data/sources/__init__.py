"""Data sets: each becomes a `Source`, an array of encoded examples."""

"""File helpers: JSON with digests, retries, locks."""

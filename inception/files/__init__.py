"""What files hold: JSON with digests, retries, locks."""

"""What files hold: JSON with digests; reading again after an error."""

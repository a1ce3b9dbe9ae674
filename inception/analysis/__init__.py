"""What came out of a run: tables and plots."""

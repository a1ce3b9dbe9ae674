"""Evaluation: scores of a whole split, for any predictor."""

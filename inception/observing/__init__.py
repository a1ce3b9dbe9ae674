"""What a run says of itself: rows of metrics, logs, trackers, profiles."""

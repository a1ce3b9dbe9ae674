"""What a run reports: metrics, logs, trackers, profiles."""

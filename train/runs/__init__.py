"""A run on disk: settings, checkpoints, metrics, locks, and going on after a kill."""

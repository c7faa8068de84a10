"""How long a step takes: measured and published profiles, fits, predictions."""

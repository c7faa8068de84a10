"""What is uncertain about a run: random runs of its jitter, and the shares of its variance."""

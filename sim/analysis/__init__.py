"""Questions about runs: critical path, what would help, jitter and uncertain inputs, sweeps, searches."""

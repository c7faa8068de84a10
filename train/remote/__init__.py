"""Local updates on the machines of a Ray cluster."""

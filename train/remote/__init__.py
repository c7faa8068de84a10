"""Local updates in other processes: of a Ray cluster, or one for each device of this machine."""

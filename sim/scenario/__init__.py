"""What a run is told: sections and their fields, units, reading files, and messages about mistakes."""

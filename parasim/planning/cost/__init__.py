"""What a run costs, and which other devices and links it could have."""

"""What an update needs of a device's memory, traced without running it."""

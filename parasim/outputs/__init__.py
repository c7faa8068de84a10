"""What runs leave in a folder, one file a kind: the same files whether a command or Python named the folder."""

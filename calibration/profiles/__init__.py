"""How long steps take: measured and published profiles, their files, and the fit from samples."""

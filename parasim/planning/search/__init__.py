"""What finds the least or the most of a quantity: by replay where that is exact, by simulation elsewhere."""

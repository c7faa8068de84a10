"""One local update, what becomes of it on the way, and the mean of many."""

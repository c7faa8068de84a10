"""Planning backwards: from a deadline, a budget or a rival method to what has to be bought or changed."""

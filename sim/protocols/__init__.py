"""The shapes in time that methods are made of."""

"""Models: building, reading, saving, adapting and cutting them into blocks."""

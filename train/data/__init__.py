"""Examples: reading them, who has which, tokens and batches, and how answers are judged."""

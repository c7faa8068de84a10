"""What is learned: real models, real deltas. Never a clock of its own."""

"""What is computed and sent: a model's architecture and blocks, their order, methods, and what messages weigh."""

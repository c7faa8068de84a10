"""People's own loggers: what a training measures, round by round, in TensorBoard, Weights & Biases or MLflow."""

"""What is watched of a model in use: whether its rows are still like those that judged it."""

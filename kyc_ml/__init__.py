"""Machine-learning risk prediction for knowing customers."""

"""Distributions that a model was evaluated on, and whether other rows resemble them."""

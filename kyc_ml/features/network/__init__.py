"""Payments as a network, and the money-flow patterns in it."""

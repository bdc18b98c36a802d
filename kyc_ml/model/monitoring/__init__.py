"""Monitoring of a model in use: whether its rows still resemble those it was evaluated on."""

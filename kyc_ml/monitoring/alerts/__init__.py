"""Alerts: one for one cause, sent by routes, kept until they are delivered."""

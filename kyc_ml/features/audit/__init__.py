"""The point-in-time proof on a user's own data."""

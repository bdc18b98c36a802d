"""Sign-off and promotion of a validated model."""

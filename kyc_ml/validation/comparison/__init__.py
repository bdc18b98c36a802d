"""A challenger against a champion on the same later rows. Pure: it writes nothing."""

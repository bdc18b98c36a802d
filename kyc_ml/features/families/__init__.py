"""Feature families: one file a family, each declaring its features."""

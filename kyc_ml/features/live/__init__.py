"""Features of one observation at a time, with rows that stay in memory by key."""

"""Features of one observation at a time, from rows of its keys that are held in memory."""

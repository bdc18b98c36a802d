"""Features of more rows than memory holds: by key buckets, on disk."""

"""Features of a few observations, from rows found by key: the plan of `buckets`, by looking up."""

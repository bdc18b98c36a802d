"""One validation: rows, models, checks, gates, and where the results are kept."""

"""One validation: which rows, which models, the checks and their gates, and what is kept."""

"""Jobs: read, call the stages, write. What the command line and the pipelines run."""

"""The code of the checks; one file a family."""

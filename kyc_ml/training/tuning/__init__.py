"""Search of LightGBM parameters on folds, and the trial of what it chose on rows it never saw."""

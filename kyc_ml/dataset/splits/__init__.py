"""Which rows a model is trained on, and which rows evaluate it.

A training run has parts in order of time (`plan_out_of_time`). Tuning and cross-validation
have folds: splitters after scikit-learn's protocol, which can also say what they left out.
"""

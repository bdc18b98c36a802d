"""scikit-learn's face of the project: features and the calibrated model as pipeline steps."""

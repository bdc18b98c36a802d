"""Behavioural features: declared in families, computed by compiled sweeps."""

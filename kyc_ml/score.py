"""The loader of registered models, which name this module: it must not move."""

from kyc_ml.registry import load_pyfunc

_load_pyfunc = load_pyfunc

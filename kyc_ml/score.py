"""The loader of registered models: each of them names this module, so it stays here.

`kyc_ml.registry.score` is where a bundle scores.
"""

from kyc_ml.registry import load_pyfunc

_load_pyfunc = load_pyfunc

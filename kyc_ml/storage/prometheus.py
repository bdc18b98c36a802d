"""The text format of Prometheus, as the textfile collector of node_exporter reads it."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
"""All that Prometheus reads in a label; another escape makes it refuse the whole file."""

_SUFFIX: Final = "suffix"
Sample = tuple[Mapping[str, str], float | None]
"""Labels and value of one time series; None is left out."""


def write_metrics(
    families: Iterable[tuple[str, str, Sequence[Sample]]], *, kind: str = "gauge"
) -> str:
    """Write families of one kind, each with its name, its help text and its samples.

    The label ``suffix``, such as _bucket of a histogram, is added to the name.

    Examples
    --------
    >>> print(write_metrics([("kyc_ml_open", "Open signals.", [({"model": "a"}, 2)])]), end="")
    # HELP kyc_ml_open Open signals.
    # TYPE kyc_ml_open gauge
    kyc_ml_open{model="a"} 2
    """
    lines = []
    for name, help_text, samples in families:
        lines += [f"# HELP {name} {help_text}", f"# TYPE {name} {kind}"]
        for labels, value in samples:
            if value is None:
                continue
            shown = ",".join(
                f'{each}="{text.translate(_ESCAPES)}"'
                for each, text in labels.items()
                if each != _SUFFIX
            )
            number = "NaN" if math.isnan(value) else value
            own = f"{name}{labels.get(_SUFFIX, '')}"
            lines.append(f"{own}{{{shown}}} {number}")
    return "\n".join(lines) + "\n"

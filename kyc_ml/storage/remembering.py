"""Keep what was computed from objects that never change, such as tables of a model's reference."""

from collections.abc import Callable
from typing import Final, TypeVar, TypeVarTuple

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")

_MOST: Final = 32
"""Results of one function that are kept: a process has few models and policies."""


def remember(function: Callable[[*_Ts], _T]) -> Callable[[*_Ts], _T]:
    """Compute once for the same objects, by identity: their content is neither compared nor hashed.

    The objects must never change; they are kept alive together with the result.
    """
    kept: dict[tuple[int, ...], tuple[object, _T]] = {}

    def remembered(*args: *_Ts) -> _T:
        key = tuple(map(id, args))
        found = kept.get(key)
        if found is None:
            if len(kept) >= _MOST:
                kept.clear()
            found = kept[key] = args, function(*args)
        return found[1]

    return remembered

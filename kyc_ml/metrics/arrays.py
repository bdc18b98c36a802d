"""Names of array types, the same in all modules."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

AnyArray: TypeAlias = npt.NDArray[Any]  # values of any kind
Bytes: TypeAlias = npt.NDArray[np.uint8]  # bytes
Codes: TypeAlias = npt.NDArray[np.uint16]  # codes of bins
Floats: TypeAlias = npt.NDArray[np.float64]  # numbers
Hashes: TypeAlias = npt.NDArray[np.uint64]  # hashes
Ints: TypeAlias = npt.NDArray[np.int64]  # whole numbers, counts, positions of rows
Ints32: TypeAlias = npt.NDArray[np.int32]  # small whole numbers
Mask: TypeAlias = npt.NDArray[np.bool_]  # which rows
Names: TypeAlias = npt.NDArray[np.object_]  # texts and other objects
Texts: TypeAlias = npt.NDArray[np.str_]  # texts of a fixed length
Times: TypeAlias = npt.NDArray[np.datetime64]  # instants or days
Values: TypeAlias = npt.NDArray[np.generic]  # values of any type

"""The two classes of an outcome, and which of them is the adverse one."""

import warnings
from typing import Any

from sklearn.utils.multiclass import type_of_target

from kyc_ml.errors import DatasetError
from kyc_ml.metrics import AnyArray


def list_classes(classes: AnyArray) -> str:
    """Return the classes as text for a message."""
    return ", ".join(repr(each) for each in classes.tolist())


def require_two(outcome: AnyArray, found: AnyArray) -> None:
    """Raise unless there are two classes; scikit-learn's checks need its exact words."""
    if found.size > 2:
        raise DatasetError(
            "Only binary classification is supported. The type of the target is "
            f"{type_of_target(outcome)}."
        )
    if found.size < 2:
        raise DatasetError(
            f"RiskClassifier needs rows of both classes, got {outcome.size} rows of one class: "
            "check the labels, or take a longer period"
        )


def find_adverse(classes: AnyArray, asked: object) -> Any:  # noqa: ANN401  any label
    """Return the label of the adverse outcome; None, with a warning, where it cannot be known."""
    if asked is None:
        if classes.dtype.kind in "OUT":  # numbers and flags have a natural order
            msg = (
                f"labels are text, {list_classes(classes)}, and no order shows the adverse one: "
                "name it with positive_label; predict_proba has its columns in this order"
            )
            warnings.warn(msg, stacklevel=4)
            return None
        return classes[1]
    if asked not in list(classes):
        raise DatasetError(
            f"positive_label of RiskClassifier is {asked!r}, but the classes are "
            f"{list_classes(classes)}: name one of them"
        )
    return asked

"""Split rows into those for training, early stopping, calibration and test."""

from typing import Annotated, Final, Literal

from pydantic import Field

from kyc_ml.config.section import Section

TRAIN: Final = "train"
EARLY_STOPPING: Final = "early_stopping"
CALIBRATION: Final = "calibration"
TEST: Final = "test"
PARTS: Final = (TRAIN, EARLY_STOPPING, CALIBRATION, TEST)
"""Parts of the rows of a training run, in order of time."""


class SplitConfig(Section):
    """Four parts in order of time: train, early stopping, calibration, test.

    The test ends where labels are mature on the training date. Its start less
    `embargo_days` is the development cut-off: the labels of the other parts are those
    known and mature then, as if the model had been built on that day.
    """

    method: Literal["out_of_time"] = "out_of_time"
    """The default."""
    train_days: int | None = Field(default=None, gt=0)
    """Days to train on, counted back from the next part; null trains on all the past."""
    early_stopping_days: int = Field(default=14, gt=0)
    """Days whose rows decide when boosting stops."""
    calibration_days: int = Field(default=14, gt=0)
    """Days whose rows fit the calibration."""
    test_days: int = Field(default=28, gt=0)
    """Days whose rows test the model."""
    embargo_days: int = Field(default=7, ge=0)
    """Days from the assumed training date to the test; see above."""
    inner_embargo_days: int = Field(default=1, ge=0)
    """Days left out between train, early stopping and calibration; a last fit on all rows
    (`model.refit`) learns from them too."""


class CustomerFoldsConfig(Section):
    """Cross-validation by customer, for data too small for a split in time.

    Every observation is predicted by a model that saw none of its customer. It says
    nothing of a change over time: prefer `out_of_time` where the data allow it.
    """

    method: Literal["customer_folds"]
    """For data too small for a split in time."""
    folds: int = Field(default=5, ge=2)
    """Parts of the customers."""
    early_stopping_folds: int | None = Field(default=None, ge=2)
    """Inner folds, by customer, that choose the number of trees: at most `model.n_estimators`, and
    none after `model.stopping_rounds` without a gain of their mean. They are drawn within the
    rows that each fold fits on, and once more from all rows for the final model: no row
    chooses the trees that are tested on it. null fits all of `model.n_estimators`."""


class PrequentialConfig(Section):
    """Folds with a rolling origin, counted back from the end; for tuning.

    Each trains on its own past, waits until the labels are known, and tests what follows.
    """

    method: Literal["prequential"]
    """The only method for tuning."""
    folds: int = Field(default=4, ge=1)
    """Number of test periods, each later than the one before."""
    train_days: int | None = Field(default=None, gt=0)
    """None trains on all the past."""
    delay_days: int | None = Field(default=None, ge=0)
    """None waits for the dataset's horizon and label maturity."""
    embargo_days: int = Field(default=0, ge=0)
    """Days left out between delay and test."""
    test_days: int = Field(default=28, gt=0)
    """Days that each test holds."""
    step_days: int | None = Field(default=None, gt=0)
    """Days from one test to the next; None is `test_days`."""


class OutOfTimeCustomersConfig(Section):
    """Folds by customer that are also split in time: later rows of customers not in training."""

    method: Literal["out_of_time_customers"]
    """Only from Python, for `splits.make_splitter`."""
    folds: int = Field(default=5, ge=2)
    """Parts of the customers."""
    train_days: int | None = Field(default=None, gt=0)
    """null trains on all the past."""
    delay_days: int | None = Field(default=None, ge=0)
    """None waits for the dataset's horizon and label maturity."""
    embargo_days: int = Field(default=0, ge=0)
    """Days left out between delay and test."""
    test_days: int = Field(default=28, gt=0)
    """Days of the test."""


FoldsConfig = Annotated[
    PrequentialConfig | CustomerFoldsConfig | OutOfTimeCustomersConfig,
    Field(discriminator="method"),
]
"""How a tuning study or a cross-validation parts its rows; see `splits.make_splitter`."""

"""The kinds of features and of row columns: one class each, which answers for itself.

A family's table writes them as sentences:

* ``sum of amount over transactions by customer_id where direction in (in), 7d``, with
  ``ending 7d before`` or ``half-life 7d`` after the period (`Window`);
* ``birth_date as years_since of the latest row of customers by customer_id`` (`Latest`);
* ``own amount`` or ``own time as hour`` (`Own`);
* ``ratio(amount, customer_amount_mean_7d)``, with a parameter after ``;`` (`Formula`);
* ``customer_count_30d compared with at least 20 customers alike in profile_segment`` (`Peer`).

A row column is a window or a latest row, both as known at the row's time (`LatestValue`),
arithmetic (`RowFormula`), or a `RowFunction` such as ``between(amount; 0, 10)``, or `Matched`:
``matched within 2h`` or ``dwell``.

A further kind is one module here and its entry in `KINDS` or `COLUMN_KINDS`.
"""

from typing import Final

from kyc_ml.features.how import How
from kyc_ml.features.kinds.formula import Formula, RowFormula
from kyc_ml.features.kinds.matched import Matched
from kyc_ml.features.kinds.own import Own
from kyc_ml.features.kinds.peer import Peer
from kyc_ml.features.kinds.row_function import RowFunction
from kyc_ml.features.kinds.rows_of_key import Latest, LatestValue, Window

KINDS: Final[tuple[type[How], ...]] = (Peer, Own, Formula, Window, Latest)
COLUMN_KINDS: Final[tuple[type[How], ...]] = (Matched, RowFormula, RowFunction, LatestValue)

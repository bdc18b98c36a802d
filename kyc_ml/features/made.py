"""Names of the tables that are made of contracted ones, and of their columns."""

from typing import Final

LABELS: Final = "labels"
"""Adverse outcomes: cases joined to the keys of their transaction."""

OUTCOMES: Final = "outcomes"
"""Outcomes of transactions: one row for each time over which a transaction was known to be
adverse, or was not, with the keys of the transaction.

`adverse` is 1 or 0; a 0 alone does not say that there was time to find out."""

PATTERNS: Final = "patterns"
"""Completed money-flow patterns, one row per participant; see `network`.

Its columns are customer_id, event_time, known_at, amount (of the closing payment), and the
following four."""
CURRENT_ACCOUNTS: Final = "current_accounts"
"""Accounts, each version until the account's next one, without closed accounts."""

ADVERSE: Final = "adverse"
PATTERN: Final = "pattern"
ROLE: Final = "role"
LENGTH: Final = "length"
WIDTH: Final = "width"

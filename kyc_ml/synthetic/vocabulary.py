"""Words of the synthetic bank. Inside the generator a word is its position here."""

from __future__ import annotations

from typing import Final

HOME: Final = 0
COUNTRIES: Final = (
    "CN", "HK", "MO", "SG", "JP", "US", "GB", "DE", "AU", "AE", "PA", "VG", "KH", "MM",
)  # fmt: skip
"""ISO 3166-1 alpha-2; the first is the bank's own."""
# Convention, not theory: countries that this bank regards as risky.
RISKY_COUNTRIES: Final = (9, 10, 11, 12, 13)

PROVINCES: Final = (
    "CN-BJ", "CN-SH", "CN-GD", "CN-JS", "CN-ZJ", "CN-SC",
    "CN-HB", "CN-LN", "CN-SD", "CN-FJ", "CN-YN", "CN-GX",
)  # fmt: skip
"""ISO 3166-2; the first are those of the customers' cities, one each."""

INSTRUMENTS: Final = ("card", "cash", "transfer", "cheque")
CARD, CASH, TRANSFER, CHEQUE = range(4)
CHANNELS: Final = ("online", "mobile", "branch", "atm", "pos")
ONLINE, MOBILE, BRANCH, ATM, POS = range(5)

EVENT_TYPES: Final = (
    "login", "failed_login", "device_change", "password_reset", "document_check",
)  # fmt: skip
LOGIN, FAILED_LOGIN, DEVICE_CHANGE, PASSWORD_RESET, DOCUMENT_CHECK = range(5)

TYPOLOGIES: Final = (
    "account_takeover", "stolen_card", "compromised_terminal", "single_misuse",
    "structuring", "fan_in", "fan_out", "flow_through", "dormant_reactivation", "cycle",
    "scatter_gather",
)  # fmt: skip
ACCOUNT_TAKEOVER, STOLEN_CARD, COMPROMISED_TERMINAL, SINGLE_MISUSE = range(4)
(
    STRUCTURING, FAN_IN, FAN_OUT, FLOW_THROUGH, DORMANT_REACTIVATION, CYCLE, SCATTER_GATHER,
) = range(4, 11)  # fmt: skip

SEGMENTS: Final = ("retail", "private", "sme", "corporate")
RETAIL, PRIVATE, SME, CORPORATE = range(4)

SALARIED, SELF_EMPLOYED, CASH_BUSINESS, TRADER, COMPANY = range(5)
"""How a customer earns: decides which kinds of payment it makes."""

OCCUPATIONS: Final = (
    ("employee", SALARIED, 0.40),
    ("civil_servant", SALARIED, 0.10),
    ("teacher", SALARIED, 0.08),
    ("nurse", SALARIED, 0.06),
    ("retired", SALARIED, 0.12),
    ("student", SALARIED, 0.06),
    ("freelancer", SELF_EMPLOYED, 0.10),
    ("shop_owner", SELF_EMPLOYED, 0.08),
)
"""Occupation of a person, how it earns, share of persons."""
TRADES: Final = (
    ("retail_trade", CASH_BUSINESS, 0.20),
    ("catering", CASH_BUSINESS, 0.15),
    ("jewellery", CASH_BUSINESS, 0.05),
    ("wholesale_trade", TRADER, 0.15),
    ("import_export", TRADER, 0.10),
    ("manufacturing", COMPANY, 0.15),
    ("software", COMPANY, 0.10),
    ("construction", COMPANY, 0.10),
)
"""Industry of an entity, how it earns, share of entities."""
INDUSTRIES: Final = tuple(word for word, _, _ in (*OCCUPATIONS, *TRADES))

DOCUMENT_TYPES: Final = ("resident_id", "company_code", "passport")
RESIDENT_ID, COMPANY_CODE, PASSPORT = range(3)
ONBOARDING_CHANNELS: Final = ("branch", "online", "agent")
PEP_STATUSES: Final = ("none", "domestic", "foreign")
OUTCOMES: Final = ("confirmed_fraud", "str_filed", "default", "cleared", "open")
CONFIRMED_FRAUD, STR_FILED, DEFAULT, CLEARED_OUTCOME, OPEN_OUTCOME = range(5)

"""Words of the synthetic bank, from ``words.yaml``; inside the generator a word is its position."""

from pathlib import Path
from typing import Any, Final

from kyc_ml.config import read_packaged

CONDUCT: Final[dict[str, Any]] = read_packaged(Path(__file__).with_name("conduct.yaml"))
"""Bursts, schemes, season and drift: see the file."""
_CONTENT: Final[dict[str, Any]] = read_packaged(Path(__file__).with_name("words.yaml"))


def _words(key: str) -> tuple[str, ...]:
    return tuple(_CONTENT[key].split())


COUNTRIES: Final = _words("countries")
HOME: Final = 0
RISKY_COUNTRIES: Final = tuple(COUNTRIES.index(word) for word in _words("risky_countries"))
PROVINCES: Final = _words("provinces")
INSTRUMENTS: Final = _words("instruments")
CARD, CASH, TRANSFER, CHEQUE = range(4)
CHANNELS: Final = _words("channels")
ONLINE, MOBILE, BRANCH, ATM, POS = range(5)
EVENT_TYPES: Final = _words("event_types")
LOGIN, FAILED_LOGIN, DEVICE_CHANGE, PASSWORD_RESET, DOCUMENT_CHECK = range(5)
TYPOLOGIES: Final = _words("typologies")
ACCOUNT_TAKEOVER, STOLEN_CARD, COMPROMISED_TERMINAL, SINGLE_MISUSE = range(4)
STRUCTURING, FAN_IN, FAN_OUT, FLOW_THROUGH = range(4, 8)
DORMANT_REACTIVATION, CYCLE, SCATTER_GATHER, AUTHORISED_SCAM = range(8, 12)
SEGMENTS: Final = _words("segments")
RETAIL, PRIVATE, SME, CORPORATE = range(4)
EARNINGS: Final = _words("earnings")
"""How a customer earns: decides which kinds of payment it makes."""
SALARIED, SELF_EMPLOYED, CASH_BUSINESS, TRADER, COMPANY = range(5)
OCCUPATIONS: Final = [
    (word, EARNINGS.index(how), float(share)) for word, how, share in _CONTENT["occupations"]
]
TRADES: Final = [
    (word, EARNINGS.index(how), float(share)) for word, how, share in _CONTENT["trades"]
]
INDUSTRIES: Final = tuple(word for word, _, _ in (*OCCUPATIONS, *TRADES))
DOCUMENT_TYPES: Final = _words("document_types")
RESIDENT_ID, COMPANY_CODE, PASSPORT = range(3)
ONBOARDING_CHANNELS: Final = _words("onboarding_channels")
PEP_STATUSES: Final = _words("pep_statuses")
OUTCOMES: Final = _words("outcomes")
CONFIRMED_FRAUD, STR_FILED, DEFAULT, CLEARED_OUTCOME, OPEN_OUTCOME = range(5)

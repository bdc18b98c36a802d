"""Names of time zones that mean one zone and no other: UTC, and IANA's of region and city."""

import re
from collections.abc import Collection
from typing import Final

from kyc_ml.errors import hint

REGION_AND_CITY: Final = (
    "(Africa|America|Antarctica|Arctic|Asia|Atlantic|Australia|Brazil|Canada|Chile|Europe|Indian|"
    "Mexico|Pacific|US)/[A-Za-z0-9_+/-]+"
)
"""Regular expression of IANA's names. Those below ``Etc`` are left out: Etc/GMT-8 is east."""
OFFSET: Final = r"[+-](0\d|1[0-4])(:?[0-5]\d)?"
"""Regular expression of an offset from UTC; no clock on earth is further off than 14 hours."""
ABBREVIATION: Final = r"([A-Z]{3,5}([+-]?\d[\d:]*)?|[A-Z]{3,4}\d[A-Z]{3,4}|Etc/\S+)"
"""Regular expression of a zone's short name, such as CST: each is the name of several zones."""
_MEANT: Final = {
    "CST": ("Asia/Shanghai", "America/Chicago"),
    "BST": ("Europe/London", "Asia/Dhaka"),
    "IST": ("Asia/Kolkata", "Europe/Dublin", "Asia/Jerusalem"),
    "AST": ("Asia/Riyadh", "America/Halifax"),
    "EST": ("America/New_York", "Australia/Sydney"),
    "PST": ("America/Los_Angeles", "Asia/Manila"),
    "MST": ("America/Denver", "Asia/Kuala_Lumpur"),
    "SST": ("Asia/Singapore", "Pacific/Pago_Pago"),
    "GMT": ("UTC", "Europe/London"),
    "Z": ("UTC",),
    "UTC": ("UTC",),
    "ZULU": ("UTC",),
    "CET": ("Europe/Berlin",),
    "EET": ("Europe/Helsinki",),
    "HKT": ("Asia/Hong_Kong",),
    "HONGKONG": ("Asia/Hong_Kong",),
    "JST": ("Asia/Tokyo",),
    "PRC": ("Asia/Shanghai",),
    "ROC": ("Asia/Taipei",),
    "SINGAPORE": ("Asia/Singapore",),
}
_CITIES: Final = {
    -8: "America/Los_Angeles",
    -7: "America/Denver",
    -6: "America/Chicago",
    -5: "America/New_York",
    -3: "America/Sao_Paulo",
    0: "UTC",
    1: "Europe/Berlin",
    2: "Europe/Helsinki",
    3: "Asia/Riyadh",
    4: "Asia/Dubai",
    5: "Asia/Tashkent",
    7: "Asia/Bangkok",
    8: "Asia/Shanghai",
    9: "Asia/Tokyo",
    10: "Australia/Brisbane",
}
"""A zone at a fixed number of hours from UTC, as an example."""


def zone_fault(name: str, known: Collection[str]) -> str | None:
    """Return why a name is not one time zone, with the likely correction; None if it is one.

    `known`: names that the converter of the times knows.

    Examples
    --------
    >>> zone_fault("CST", ["UTC", "CST"])
    "'CST' is not an IANA time zone: write Asia/Shanghai or America/Chicago"
    >>> zone_fault("GMT+8", ["UTC"])
    "'GMT+8' is not an IANA time zone: write a region and city, such as Asia/Shanghai"
    >>> zone_fault("Asia/Shangai", ["Asia/Shanghai"])
    "'Asia/Shangai' is not an IANA time zone (did you mean 'Asia/Shanghai'?)"
    """
    listed = re.fullmatch(REGION_AND_CITY, name) is not None
    if name in {"UTC", "Etc/UTC"} or (listed and name in known):
        return None
    said = f"{name!r} is not an IANA time zone"
    if name.upper() in _MEANT:
        return f"{said}: write {' or '.join(_MEANT[name.upper()])}"
    hours = _hours(name)
    city = _CITIES.get(8 if hours is None else hours, "Asia/Shanghai")
    sound = [each for each in known if re.fullmatch(REGION_AND_CITY, each)]
    near = hint(name, sound) if "/" in name and not name.startswith("Etc/") else ""
    return said + (near or f": write a region and city, such as {city}")


def _hours(name: str) -> int | None:
    """Hours east of UTC of names such as GMT+8, +08:00 or Etc/GMT-8; None for others."""
    found = re.fullmatch(r"(Etc/)?(?:GMT|UTC)?([+-])(\d{1,2})(?::?00)?", name)
    if found is None:
        return None
    hours = int(found[2] + found[3])
    return -hours if found[1] else hours

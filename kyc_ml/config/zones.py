"""Names of time zones that mean one zone and no other: UTC, and IANA's of region and city."""

import re
from collections.abc import Collection
from pathlib import Path
from typing import Final

from kyc_ml.config.text import read_packaged
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
    content = read_packaged(Path(__file__).with_suffix(".yaml"))
    if name.upper() in content["meant"]:
        return f"{said}: write {' or '.join(content['meant'][name.upper()])}"
    hours = _hours(name)
    city = content["cities"].get(8 if hours is None else hours, "Asia/Shanghai")
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

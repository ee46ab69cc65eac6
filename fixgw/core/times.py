"""Times as people and FIX read them, from integer ns since the epoch; plain arithmetic, since the core has no clock."""

from __future__ import annotations

SECOND_NS = 1_000_000_000
DAY_NS = 86_400 * SECOND_NS
# from 1 March of year 0 to the epoch; and 400 years
_EPOCH_DAYS, _ERA_DAYS = 719_468, 146_097


def utc_date(ns: int) -> str:
    """YYYYMMDD, as ExpireDate(432)."""
    # a year begins in March here, so that the leap day is its last
    era, day = divmod(ns // DAY_NS + _EPOCH_DAYS, _ERA_DAYS)
    year = (day - day // 1460 + day // 36_524 - day // 146_096) // 365
    day -= 365 * year + year // 4 - year // 100
    month = (5 * day + 2) // 153
    day -= (153 * month + 2) // 5
    january = month >= 10
    return f"{era * 400 + year + january:04d}{month - 9 if january else month + 3:02d}{day + 1:02d}"


def utc_text(ns: int) -> str:
    """YYYYMMDD-HH:MM:SS[.fraction], exact, as UTCTimestamp fields."""
    seconds, fraction = divmod(ns % DAY_NS, SECOND_NS)
    shown = f"{utc_date(ns)}-{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{shown}.{fraction:09d}".rstrip("0") if fraction else shown

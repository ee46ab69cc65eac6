"""Field types of the configuration files: exact decimals, names, times of day. TOML floats are refused for money."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

_DECIMAL = re.compile(r"[0-9]{1,24}(?:\.[0-9]{1,18})?")
_INSTRUMENT = re.compile(r"[A-Z0-9]{1,20}/[A-Z0-9]{1,20}(?::[A-Z0-9-]{1,30})?")
_ROLL_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")


class Model(BaseModel):
    """Frozen, no unknown keys, no silent conversions ("5" is no integer)."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def parse_decimal(value: Any) -> Decimal:
    """An exact, non-negative Decimal from text or an integer. Raises ValueError."""
    if isinstance(value, float):
        raise ValueError(f'a quoted number: a TOML float is not exact, write "{value!r}"')
    if isinstance(value, Decimal):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return Decimal(value)
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        return Decimal(value)
    raise ValueError('a number of zero or more, as text like "1.5" or as an integer')


def _positive(value: Decimal) -> Decimal:
    if not value:
        raise ValueError("a number above zero")
    return value


def _per_instrument(value: Any) -> Any:
    """A bare number holds for all instruments."""
    if value == {}:
        raise ValueError('a number, or numbers by instrument: an empty table limits nothing (leave the key out for that)')
    return value if isinstance(value, dict) else {"*": value}


def _instrument(value: str) -> str:
    if not _INSTRUMENT.fullmatch(value):
        raise ValueError('an instrument like "BTC/USDT"')
    return value


def _instrument_or_rest(value: str) -> str:
    return value if value == "*" else _instrument(value)


def _roll_time(value: str) -> str:
    if not _ROLL_TIME.fullmatch(value):
        raise ValueError('a time of day in UTC, "00:00" to "23:59"')
    return value


def as_tuple(value: Any) -> Any:
    """TOML knows lists only."""
    return tuple(value) if isinstance(value, list) else value


# zero or more / above zero
Money = Annotated[Decimal, BeforeValidator(parse_decimal)]
PositiveMoney = Annotated[Decimal, BeforeValidator(parse_decimal), AfterValidator(_positive)]
InstrumentName = Annotated[str, AfterValidator(_instrument)]
# {"BTC/USDT" = "10", "*" = "1"} or one number for all
PerInstrument = Annotated[dict[Annotated[str, AfterValidator(_instrument_or_rest)], Money], BeforeValidator(_per_instrument)]
# names of sessions, accounts and venues: they become file names, socket names and log fields
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$")]
CompId = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,64}$")]
# one line, without control characters
Text = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
RollTime = Annotated[str, AfterValidator(_roll_time)]
Port = Annotated[int, Field(ge=0, le=65535)]
Names = Annotated[tuple[Name, ...], BeforeValidator(as_tuple)]
# a name, or "*" for all
Scope = Annotated[
    tuple[Annotated[str, StringConstraints(pattern=r"^(\*|[A-Za-z0-9][A-Za-z0-9_-]{0,31})$")], ...],
    BeforeValidator(as_tuple),
]
Instruments = Annotated[tuple[InstrumentName, ...], BeforeValidator(as_tuple)]
Words = Annotated[tuple[str, ...], BeforeValidator(as_tuple)]


def roll_seconds(value: str) -> int:
    """Seconds after 00:00 UTC of a RollTime."""
    hours, minutes = value.split(":")
    return int(hours) * 3600 + int(minutes) * 60

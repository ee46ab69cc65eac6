"""One venue's configuration file (DIR/venues/NAME.toml) as a frozen model; keys are never written in it, only referred to."""

from __future__ import annotations

import os
import re
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from ..textfile import FileFault, read_text, read_toml
from .credentials import NAMES, OWN_KEYS, TABLE, Reference, behind, fault_in, form_fault, reference
from .option_credentials import credential_in

_SYMBOL = re.compile(r"^[A-Z0-9]+/[A-Z0-9]+(:[A-Z0-9-]+)?$")
_NUMBER = re.compile(r"[0-9]{1,24}(\.[0-9]{1,18})?")
_MAX_SECRET_BYTES = 16_384


class VenueConfigError(Exception):
    """A venue file is unusable; the text names file, key, value and what was expected. Crash: do not start the host."""


class CredentialFault(VenueConfigError):
    """One credential is of no use; `expected` says why without what names it. `missing`: an environment variable is not set."""

    def __init__(self, where: str, found: str, expected: str, missing: bool = False) -> None:
        super().__init__(f"{where}: {found}: {expected}")
        self.expected = expected
        self.missing = missing


class KeyFault(ValueError):
    """What is wrong with one key in the light of others; `key` names it, where pydantic knows the whole file only."""

    def __init__(self, key: str, text: str) -> None:
        super().__init__(text)
        self.key = key


class VenueFileSettings(BaseModel):
    """The keys of a venue file. Unknown keys are errors, and nothing is converted in silence ("5" is no integer)."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str = Field("", pattern=r"^[a-z0-9_-]{0,32}$", description="default: the file's name")
    kind: str = Field("ccxt", description="connector: see fixgw.venues.base.kinds()")
    exchange: str = Field("", description="ccxt exchange id, for kind ccxt")
    dialect: Literal["auto", "general"] = Field("auto", description='kind ccxt: "general" leaves tuning for the exchange out')
    account: str = Field("main", min_length=1, description="our name of the venue account whose keys these are")
    base_url: str = Field("", description="send every request to this host instead (the simulator): http://127.0.0.1:PORT")
    api_key_env: str = ""
    api_key_file: str = ""
    secret_env: str = ""
    secret_file: str = ""
    password_env: str = Field("", description="third credential of some venues (okx, kucoin)")
    password_file: str = ""
    credentials: dict[str, str] = Field({}, description='any credential by its name in ccxt: "env:NAME" or "file:PATH"')
    symbols: tuple[str, ...] = Field(min_length=1, description="instruments: spot, or linear contracts of 1 base unit")
    ws_orders: bool = Field(True, description="order entry over WebSocket where the connector has it")
    recv_window_ms: int = Field(5000, ge=100, le=60_000)
    request_timeout_ms: int = Field(10_000, ge=100, le=120_000)
    rate_weight_per_minute: int = Field(0, ge=0, description="request weight budget; 0: the connector's default")
    max_orders_per_10s: int = Field(0, ge=0, description="new orders in any 10 s; 0: what the venue says, if it does")
    cancel_reserve: int = Field(100, ge=0, description="weight that only cancels may use")
    keep_alive_ms: int = Field(1000, ge=100, le=60_000, description="WebSocket ping; two misses end the connection")
    down_grace_ms: int = Field(2000, ge=0, le=60_000, description="a loss shorter than this is healed without notice")
    sweep_s: float = Field(30.0, gt=0, description="how often open orders are compared with the venue's list")
    trade_streams: bool = Field(True, description="watch public trades too, for the last price")
    tick: Decimal = Field(Decimal("0.01"), gt=0, description="kind null: price step of its instruments")
    lot: Decimal = Field(Decimal("0.00001"), gt=0, description="kind null: quantity step of its instruments")
    price: Decimal = Field(Decimal("50000"), gt=0, description="kind null: the price it shows")
    options: dict[str, Any] = Field({}, description="passed to the connector (ccxt: exchange.options); no credentials")

    @field_validator("symbols", mode="before")
    @classmethod
    def _as_tuple(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value  # TOML knows lists only

    @field_validator("tick", "lot", "price", mode="before")
    @classmethod
    def _exact(cls, value: Any) -> Any:
        if isinstance(value, float):
            raise ValueError(f'expected a quoted number: a TOML float is not exact, write "{value!r}"')
        if isinstance(value, bool) or not isinstance(value, (int, str, Decimal)) or not _NUMBER.fullmatch(str(value)):
            raise ValueError('expected a number, as text like "0.01" or as an integer')
        try:
            return Decimal(value)
        except InvalidOperation:
            raise ValueError('expected a number, as text like "0.01" or as an integer') from None

    @field_validator("symbols")
    @classmethod
    def _symbols(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for symbol in value:
            if not _SYMBOL.match(symbol):
                raise ValueError(f"{symbol!r} is not a symbol; expected BASE/QUOTE such as BTC/USDT")
        if len(set(value)) != len(value):
            raise ValueError(f"{list(value)!r} names a symbol twice; expected each once")
        return value

    @field_validator("base_url")
    @classmethod
    def _base_url(cls, value: str) -> str:
        if value and not re.match(r"^https?://[^/\s]+$", value):
            raise ValueError("expected http://HOST:PORT without a path")
        if "@" in value:
            raise ValueError("expected http://HOST:PORT without a user or password")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> VenueFileSettings:
        if self.kind == "ccxt" and not self.exchange:
            raise KeyFault("exchange", "missing; kind ccxt: expected a ccxt exchange id such as binance")
        for what in OWN_KEYS.values():
            if getattr(self, f"{what}_env") and getattr(self, f"{what}_file"):
                raise KeyFault(f"{what}_env", f"{what}_file is set too; expected one of them")
        own = [f"{key}{ending}" for key in OWN_KEYS.values() for ending in ("_env", "_file") if getattr(self, f"{key}{ending}")]
        fault = fault_in(self.credentials, own, self.exchange if self.kind == "ccxt" else "")
        if fault is not None:
            raise KeyFault(*fault)
        misplaced = credential_in(self.options)
        if misplaced:
            files = f"api_key_env or api_key_file (and secret_..., password_...), or in the table [{TABLE}]"
            raise KeyFault(misplaced, f"expected no credential here: name where it stands by {files}")
        if self.recv_window_ms > self.request_timeout_ms:
            raise KeyFault(
                "recv_window_ms",
                f"{self.recv_window_ms} exceeds request_timeout_ms {self.request_timeout_ms}; "
                "expected a window that ends before the request is given up",
            )
        return self

    def references(self) -> tuple[Reference, ...]:
        """Where its credentials stand: those that are configured."""
        own = [(name, key, getattr(self, f"{key}_env"), getattr(self, f"{key}_file")) for name, key in OWN_KEYS.items()]
        found = [Reference(name, f"{key}_{'env' if env else 'file'}", env, file) for name, key, env, file in own if env or file]
        return (*found, *(reference(name, value) for name, value in self.credentials.items()))

    def credential(self, name: str) -> str:
        """The secret of ccxt's `name` ("apiKey", "secret", ...) from its environment variable or file; "" if none is
        configured. VenueConfigError when the reference leads nowhere."""
        found = next((one for one in self.references() if one.name == name), None)
        return "" if found is None else self.read(found)

    def read(self, place: Reference) -> str:
        """The credential that stands there, as `credential`."""
        where, found = f"{self.name}: {place.key}", repr(place.env or place.file)
        if place.env:
            value = os.environ.get(place.env, "").strip()
            if not value:
                raise CredentialFault(where, found, "the environment variable is unset or empty", missing=True)
        else:
            try:
                value = read_text(Path(place.file), _MAX_SECRET_BYTES).strip()
            except FileFault as fault:
                raise CredentialFault(where, found, f"expected {fault}") from None
            if not value:
                raise CredentialFault(where, found, "expected a file with the credential: it is empty")
        form = form_fault(place.name, value)
        if form:
            raise CredentialFault(where, found, form)
        return value


def load_venue_file(path: Path, name: str = "") -> VenueFileSettings:
    """Read and validate one file; VenueConfigError lists every fault. Relative credential files are made absolute."""
    try:
        raw = read_toml(path)
    except FileFault as fault:
        raise VenueConfigError(f"{path}: expected {fault}") from None
    return parse_venue(raw, str(path), name or path.stem, path.parent)


def parse_venue(raw: dict[str, Any], source: str, name: str, directory: Path | None = None) -> VenueFileSettings:
    """Validate the keys of one venue file; `source` names it in errors."""
    raw = dict(raw)
    raw.setdefault("name", name)
    if directory is not None:
        behind(directory, raw)
    try:
        return VenueFileSettings.model_validate(raw)
    except ValidationError as error:
        raise VenueConfigError("\n".join(_explain(source, e) for e in error.errors())) from None


def misplaced_name(key: str) -> str:
    """Of an unknown key: where it belongs, when it is a credential's name."""
    return f'expected it in the table [{TABLE}], as "env:NAME" or "file:PATH"' if key in NAMES else ""


def may_hold_secret(key: str, value: object) -> bool:
    """Of a key whose value is no credential: may there be one in it? In a URL, and anywhere in what is passed on."""
    return key.startswith("options") or (key == "base_url" and any(mark in str(value) for mark in "@?"))


def _explain(source: str, error: Any) -> str:
    key = ".".join(str(part) for part in error["loc"])
    key = key or getattr(error.get("ctx", {}).get("error"), "key", "(file)")
    if error["type"] == "extra_forbidden":
        known = ", ".join(sorted(VenueFileSettings.model_fields))
        return f"{source}: {key}: unknown key; {misplaced_name(key) or f'expected one of {known}'}"
    # whoever writes it into the wrong place must not find it in a log
    secret = key.startswith((*OWN_KEYS.values(), TABLE)) or may_hold_secret(key, error["input"])
    value = "" if error["type"] == "missing" or not error["loc"] or secret else f" {error['input']!r}:"
    return f"{source}: {key}:{value} {error['msg'].removeprefix('Value error, ')}"

"""What a simulator is started with: symbols, API accounts, liquidity, fees, limits. No I/O but reading named files."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from fixgw.sim.limits import LimitConfig
from fixgw.sim.model import HOUSE, STREET, SymbolRules

DEMO_BALANCES = {"BTC": Decimal(100), "ETH": Decimal(1000), "USDT": Decimal(10_000_000)}
_START = {"BTC": Decimal(60_000), "ETH": Decimal(3_000)}


class ConfigError(ValueError):
    """A start value is wrong: names the field, the value and what was expected."""


@dataclass(frozen=True, slots=True)
class ApiAccount:
    """One customer of the exchange; the secret is kept out of every repr."""

    name: str
    key: str
    secret: str = field(repr=False)
    balances: dict[str, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Market:
    """One symbol with the price at which synthetic liquidity begins."""

    rules: SymbolRules
    start: Decimal


@dataclass(frozen=True, slots=True)
class SimConfig:
    """Everything the server needs; port 0 = any free port; speed is the replay's factor."""

    directory: Path
    accounts: tuple[ApiAccount, ...]
    markets: tuple[Market, ...]
    host: str = "127.0.0.1"
    port: int = 0
    liquidity: str = "static"
    replay: Path | None = None
    speed: float = 1.0
    loop: bool = False
    seed: int = 1
    maker_fee: Decimal = Decimal("0.001")
    taker_fee: Decimal = Decimal("0.001")
    limits: LimitConfig = field(default_factory=LimitConfig)
    history: int = 100_000


def positive(name: str, text: Any) -> Decimal:
    """A finite decimal above zero. Raises ConfigError naming the field."""
    try:
        value = Decimal(str(text))
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or value <= 0:
        raise ConfigError(f"{name} {text!r}: expected a number above 0")
    return value


def parse_market(text: str) -> Market:
    """BASE/QUOTE with an optional start price, as in SOL/USDT:150. Raises ConfigError."""
    pair, _, start = text.partition(":")
    found = re.fullmatch(r"([A-Z0-9]{2,10})/([A-Z0-9]{2,10})", pair)
    if not found:
        raise ConfigError(f"symbol {text!r}: expected BASE/QUOTE or BASE/QUOTE:PRICE, such as BTC/USDT:60000")
    base, quote = found[1], found[2]
    price = positive(f"start price of {pair}", start) if start else _START.get(base, Decimal(100))
    step = Decimal("0.00001") if base == "BTC" else Decimal("0.0001")
    return Market(SymbolRules(base, quote, step=step, min_qty=step), price)


def parse_accounts(raw: Any, origin: str) -> tuple[ApiAccount, ...]:
    """Accounts from [{"name", "key", "secret", "balances": {asset: amount}}]. Raises ConfigError."""
    rows = raw.get("accounts") if isinstance(raw, dict) else raw
    if not isinstance(rows, list) or not rows:
        raise ConfigError(f"{origin}: expected a list of accounts (TOML: [[accounts]])")
    out: list[ApiAccount] = []
    for number, row in enumerate(rows, 1):
        where = f"{origin}: account {number}"
        if not isinstance(row, dict) or set(row) - {"name", "key", "secret", "balances"}:
            raise ConfigError(f"{where}: expected an object with name, key, secret and balances only")
        for name in ("name", "key", "secret"):
            if not isinstance(row.get(name), str) or not row[name]:
                raise ConfigError(f"{where}: {name} is missing or not a text")
        if row["name"] in (HOUSE, STREET):
            raise ConfigError(f"{where}: name {row['name']!r} is reserved")
        balances = row.get("balances", {})
        if not isinstance(balances, dict):
            raise ConfigError(f"{where}: balances: expected an object of asset to amount")
        amounts = {asset: positive(f"{where}: balances.{asset}", amount) for asset, amount in balances.items()}
        out.append(ApiAccount(row["name"], row["key"], row["secret"], amounts))
    for name in ("name", "key"):
        values = [getattr(account, name) for account in out]
        if len(set(values)) != len(values):
            raise ConfigError(f"{origin}: two accounts have the same {name}")
    return tuple(out)


def load_accounts(path: Path) -> tuple[ApiAccount, ...]:
    """Accounts from a .toml or .json file. Raises ConfigError naming the file."""
    try:
        text = path.read_text(encoding="utf-8")
        raw = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except (OSError, ValueError) as exc:
        raise ConfigError(f"accounts file {path}: {exc}") from None
    return parse_accounts(raw, f"accounts file {path}")

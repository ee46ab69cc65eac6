"""Credentials of a venue account, by ccxt's names: which there are, where they stand, which an exchange needs.

A venue file refers to them and never holds them: apiKey, secret and password by keys of their own (api_key_env, api_key_file,
...), any of them in the table [credentials] as "env:NAME" or "file:PATH".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote, quote_plus

# all that ccxt has (the base class's requiredCredentials)
NAMES: Final = (
    "apiKey", "secret", "password", "uid", "login", "accountId", "token", "twofa", "privateKey", "walletAddress"
)  # fmt: skip
# those with keys of their own in a venue file: KEY_env and KEY_file
OWN_KEYS: Final = {"apiKey": "api_key", "secret": "secret", "password": "password"}
FILE_KEYS: Final = tuple(f"{key}_file" for key in OWN_KEYS.values())
TABLE: Final = "credentials"
_REFERENCE = re.compile(r"(env:[A-Za-z_][A-Za-z0-9_]*|file:\S(?:.*\S)?)")
# what people choose
_FREE: Final = ("password", "login", "twofa")
# a part of a secret shorter than this is no trace of it
_TRACE_MIN = 16

# ccxt's requiredCredentials where they are not _USUAL (a test compares): `fixgw check` does not import ccxt
_USUAL: Final = ("apiKey", "secret")
_NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(
        ("apex", "bitget", "blofin", "coinbaseexchange", "deepcoin", "kucoin", "kucoinfutures", "myokx", "okx", "okxus", "weex"),
        (*_USUAL, "password"),
    ),
    **dict.fromkeys(("aster", "grvt", "lighter", "pacifica", "polymarket"), ("privateKey",)),
    **dict.fromkeys(("derive", "hyperliquid", "nado", "paradex"), ("privateKey", "walletAddress")),
    **dict.fromkeys(("blockchaincom", "mudrex"), ("secret",)),
    **dict.fromkeys(("coinmate", "woo"), (*_USUAL, "uid")),
    **dict.fromkeys(("extended", "revolutx"), ("apiKey", "privateKey")),
    **dict.fromkeys(("modetrade", "woofipro"), (*_USUAL, "accountId")),
    "bitopro": (*_USUAL, "login"),
    "cryptomus": ("secret", "uid"),
    "dydx": (),
    "hibachi": ("apiKey", "accountId", "privateKey"),
    "ndax": (*_USUAL, "uid", "login", "password"),
    "onetrading": ("apiKey",),
}


class Reference(NamedTuple):
    """Where a credential stands: `name` is ccxt's, `key` that of the venue file; `env` or `file`, the other is empty."""

    name: str
    key: str
    env: str
    file: str


def needed(exchange: str) -> tuple[str, ...]:
    """What ccxt requires of an exchange that it has."""
    return _NEEDED.get(exchange, _USUAL)


def missing_credential(exchange: str, name: str) -> str:
    """What is wrong, and what the venue file may say to give it."""
    own = f"{OWN_KEYS[name]}_env, {OWN_KEYS[name]}_file or " if name in OWN_KEYS else ""
    return f'missing: {exchange} needs it; expected {own}{TABLE}.{name} = "env:NAME" or "file:PATH"'


def key_for(name: str) -> str:
    """The key of a venue file that a credential is missed at."""
    return f"{OWN_KEYS[name]}_env" if name in OWN_KEYS else f"{TABLE}.{name}"


def fault_in(table: Mapping[str, str], own: Iterable[str], exchange: str) -> tuple[str, str] | None:
    """(key, what was expected) of the first entry of [credentials] that is of no use. `own`: keys such as secret_env that are
    set besides. Never shows what an entry holds: it may be the credential itself."""
    own = frozenset(own)
    for name, value in table.items():
        key = f"{TABLE}.{name:.60}"
        if name not in NAMES:
            takes = f"expected one of {', '.join(NAMES)}"
            return key, f"no credential of ccxt; {takes}{_needs(exchange)}"
        if not _REFERENCE.fullmatch(value):
            return key, 'expected "env:NAME" or "file:PATH", which say where the credential stands, and not itself'
        if name in OWN_KEYS:
            twice = [f"{OWN_KEYS[name]}{ending}" for ending in ("_env", "_file") if f"{OWN_KEYS[name]}{ending}" in own]
            if twice:
                return key, f"{twice[0]} is set too; expected one of them"
    return None


def _needs(exchange: str) -> str:
    return f" ({exchange} needs {', '.join(needed(exchange)) or 'none'})" if exchange else ""


def reference(name: str, value: str) -> Reference:
    """An entry of [credentials]."""
    kind, _, place = value.partition(":")
    return Reference(name, f"{TABLE}.{name}", place if kind == "env" else "", place if kind == "file" else "")


def behind(folder: Path, content: dict[str, Any]) -> None:
    """Make the files of a venue file's credentials absolute: they stand relative to it. What is no text is left alone."""
    for key in FILE_KEYS:
        if isinstance(content.get(key), str) and content[key]:
            content[key] = str(folder / content[key])
    table = content.get(TABLE)
    if isinstance(table, dict):
        content[TABLE] = {name: _moved(value, lambda file: str(folder / file)) for name, value in table.items()}


def without_folder(table: Mapping[str, str], root: Path) -> dict[str, str]:
    """[credentials] as it is written, where its files stand in `root`."""
    return {name: _moved(value, lambda file: file.removeprefix(f"{root}/")) for name, value in table.items()}


def _moved(value: Any, move: Any) -> Any:
    is_file = isinstance(value, str) and value.startswith("file:") and len(value) > len("file:")
    return f"file:{move(value.removeprefix('file:'))}" if is_file else value


def form_fault(name: str, value: str) -> str:
    """What is wrong with the form of ccxt's credential `name`; "" if nothing is. Never shows it. Only a key (PEM) may have
    several lines, and only what people choose may have any letter."""
    if name not in _FREE and not value.isascii():
        return "expected a credential of ASCII characters: it has others"
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in value if letter != "\n" or not _is_pem(value)):
        return "expected a credential of one line: it has several, or control characters"
    return ""


def _is_pem(value: str) -> bool:
    return value.startswith("-----BEGIN ")


def traces(values: Iterable[str]) -> tuple[str, ...]:
    """All that must not be seen of these credentials: themselves, as URLs and JSON write them, and the lines of a key file.
    The longest first."""
    found: set[str] = set()
    for value in values:
        found |= {value, quote(value, safe=""), quote_plus(value), json.dumps(value)[1:-1]}
        found |= {line for line in value.split() if len(line) >= _TRACE_MIN and not line.startswith("-----")}
    return tuple(sorted(found - {""}, key=lambda text: (-len(text), text)))

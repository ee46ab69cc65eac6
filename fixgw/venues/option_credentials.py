"""Credentials have no place in the [options] of a venue file: they would stand in it in the clear.

What is passed on to a connector (ccxt: exchange.options) is anything at all, so that only names tell. A name counts whatever
its case and its "-" or "_" are. walletAddress and accountId are public, and flags such as cacheSecretAsPem are no credential.
"""

from __future__ import annotations

from typing import Any, Final

# ccxt's own credentials (Exchange.requiredCredentials) and what venues call them
_NAMES: Final = frozenset(
    ("secret", "password", "passwd", "passphrase", "pwd", "token", "uid", "login", "twofa", "otp", "pin", "memo", "mnemonic",
     "seedphrase", "credentials")
)  # fmt: skip
_ENDINGS: Final = (
    "apikey", "secretkey", "privatekey", "apisecret", "clientsecret", "apipassword", "passphrase", "accesstoken", "authtoken",
    "sessiontoken", "bearertoken", "credentials",
)  # fmt: skip


def credential_in(value: Any, key: str = "options") -> str:
    """The dotted key of the first credential in a table of options, at any depth; "" if there is none. A flag, an empty text
    and a table are none (what is in the table is looked at)."""
    items: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        items = [(str(name), item) for name, item in value.items()]
    elif isinstance(value, list):
        items = [("", item) for item in value]
    for name, item in items:
        inner = f"{key}.{name}" if name else key
        if is_credential(name) and _holds_value(item):
            return inner
        found = credential_in(item, inner)
        if found:
            return found
    return ""


def is_credential(name: str) -> bool:
    """Is this (not dotted) name that of a credential?"""
    plain = name.lower().replace("_", "").replace("-", "")
    return plain in _NAMES or plain.endswith(_ENDINGS)


def _holds_value(item: Any) -> bool:
    if isinstance(item, list):
        return any(_holds_value(one) for one in item)
    return not isinstance(item, bool | dict) and item != ""

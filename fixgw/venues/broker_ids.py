"""Broker ids, referrals and builder fees that ccxt adds to our requests: taken out, because they name somebody else as the one
who brought the client, and may cost him money.

ccxt has three ways to add them: an option with a default in the code (`safe_string(options, "broker", "CCXT")`: an option that
is "" counts as missing), a header or a field written in the code, and requests of its own (hyperliquid: at the first order the
client's account approves a builder's fee and sets a referrer). So each is stopped where it begins: the options, the fields
before the request is signed, the headers after it (no exchange signs those), and the methods that send such requests.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from .credentials import NAMES

# exchange.options whose value is a broker's id
_OPTIONS = frozenset(("broker", "brokerId", "keyBrokerId", "partner", "builder", "builderCode", "builderName", "ref", "feeInt"))
# fields of a request that name a broker and nothing else
_FIELDS = frozenset(("broker", "brokerId", "broker_id", "order_tag", "media", "clientMedia", "channel_code", "referrer"))
# fields that may mean something else: only with a value of ccxt's
_SHARED_FIELDS = frozenset(("source", "tag"))
_HEADERS = frozenset((
    "apca-partner-id", "broker-id", "hibachi-client", "input-source", "kc-api-partner", "kc-api-partner-sign",
    "kc-api-partner-verify", "kc-broker-name", "open-api-partner", "paradex-partner", "partner-id", "referer", "referrer",
    "source", "x-bb-api-platform", "x-bitopro-api", "x-broker-id", "x-channel-api-code", "x-fb-client", "x-gate-channel-id",
    "x-source-key",
))  # fmt: skip
_CCXT = re.compile(r"(?i)ccxt")
# methods that send a request to the broker's benefit, and what they return when there is nothing to do
_APPROVALS = {
    "handle_builder_fee_approval": False, "approve_builder_fee": None, "approve_builder_code": None, "set_ref": True,
}  # fmt: skip
# these read ids from a table of their own (binance: a prefix per market type, and only for an order without an id of ours), which
# is emptied: their every call of safe_string, on the way of each order, need not be looked at
_TABLES_ONLY = frozenset(("binance", "binanceus", "binanceusdm", "binancecoinm"))


def without_broker(exchange: Any) -> None:
    """Take them out of everything that this instance of an exchange will send."""
    options = exchange.options
    for key in _OPTIONS & options.keys():
        options[key] = _emptied(options[key])
    # the fee is switched off, and never counts as approved: an approved one is attached to each order
    options["builderFee"] = False
    options["approvedBuilderFee"] = False
    options["refSet"] = True
    if exchange.id in _TABLES_ONLY:
        return
    exchange.headers = clean_headers(exchange.headers, exchange)
    ws_options = (options.get("ws") or {}).get("options") or {}
    if isinstance(ws_options.get("headers"), dict):
        ws_options["headers"] = clean_headers(ws_options["headers"], exchange)
    for name, answer in _APPROVALS.items():
        if hasattr(exchange, name):
            setattr(exchange, name, _no_request(answer))
    if hasattr(exchange, "set_broker_headers"):
        exchange.set_broker_headers = lambda: None
    exchange.safe_string = _empty_options(exchange, exchange.safe_string)
    for name in ("json", "urlencode", "rawencode"):  # some add the field while they sign: bodies and signatures are made of these
        setattr(exchange, name, _without_fields(getattr(exchange, name)))
    exchange.sign = _clean_sign(exchange, exchange.sign)


def clean_headers(headers: Any, exchange: Any) -> dict[str, Any]:
    """Without the headers that name a broker, those that say "ccxt", and those without a value (aiohttp fails on them)."""
    ours = {getattr(exchange, name, None) for name in NAMES}
    return {
        name: value
        for name, value in dict(headers or {}).items()
        if value is not None
        and name.lower() not in _HEADERS
        and (len(str(value)) > 64 or str(value) in ours or not _CCXT.search(str(value)))
    }


def clean_fields(params: Any) -> Any:
    """Parameters without fields that name a broker, at every level; what is not a dict or a list comes back as it is."""
    if isinstance(params, list):
        return [clean_fields(entry) for entry in params]
    if not isinstance(params, dict):
        return params
    return {key: clean_fields(value) for key, value in params.items() if not _names_a_broker(key, value)}


def _names_a_broker(key: Any, value: Any) -> bool:
    return key in _FIELDS or (key in _SHARED_FIELDS and (value in (None, "") or bool(_CCXT.search(str(value)))))


def _emptied(value: Any) -> Any:
    return {key: _emptied(inner) for key, inner in value.items()} if isinstance(value, dict) else ""


def _no_request(answer: Any) -> Callable[..., Any]:
    async def nothing(*args: Any, **named: Any) -> Any:
        return answer

    return nothing


def _empty_options(exchange: Any, inner: Callable[..., Any]) -> Callable[..., Any]:
    """`safe_string` that knows no default for a broker's id; "", because some put it before an id of their own."""

    def safe_string(dictionary: Any, key: Any, default_value: Any = None) -> Any:
        if dictionary is exchange.options and key in _OPTIONS:
            return ""
        return inner(dictionary, key, default_value)

    return safe_string


def _without_fields(inner: Callable[..., Any]) -> Callable[..., Any]:
    def encode(params: Any, *rest: Any, **named: Any) -> Any:
        return inner(clean_fields(params), *rest, **named)

    return encode


def _clean_sign(exchange: Any, inner: Callable[..., Any]) -> Callable[..., Any]:
    """`sign` without broker's fields before the signature, and without headers after it."""

    def sign(path: Any, *args: Any, **named: Any) -> Any:  # api, method, params
        args = (*args[:2], clean_fields(args[2]), *args[3:]) if len(args) > 2 else args
        named = {key: clean_fields(value) if key == "params" else value for key, value in named.items()}
        request = inner(path, *args, **named)
        if request.get("headers") is not None:
            request["headers"] = clean_headers(request["headers"], exchange)
        return request

    return sign

"""Definite, never sent or ambiguous: the table, one row per kind of failure."""

from __future__ import annotations

import ccxt
import pytest

from fixgw.venues.base import Ambiguous, DefiniteReject, NeverSent, VenueError
from fixgw.venues.dialect_binance import Dialect, WsRefused
from fixgw.venues.doctrine import Codes, Evidence, is_not_found, judge, scrub
from fixgw.venues.limiter import LimiterFull

BINANCE = Dialect.codes
ROWS: list[tuple[str, BaseException, Evidence, type[VenueError]]] = [
    # nothing left the process
    ("refused connection", ccxt.ExchangeNotAvailable("x"), Evidence(sent=False), NeverSent),
    ("limiter full", LimiterFull("x"), Evidence(sent=False), NeverSent),
    ("local argument error", ccxt.ArgumentsRequired("x"), Evidence(sent=False), NeverSent),
    # measured: the order was live
    ("drop", ccxt.ExchangeNotAvailable("x"), Evidence(sent=True), Ambiguous),
    ("hang", TimeoutError(), Evidence(sent=True), Ambiguous),
    ("truncated", ccxt.ExchangeError("x"), Evidence(sent=True, status=200), Ambiguous),
    ("empty 200", ccxt.BadResponse("x"), Evidence(sent=True, status=200), Ambiguous),
    ("502", ccxt.ExchangeNotAvailable("x"), Evidence(sent=True, status=502), Ambiguous),
    ("-1007", ccxt.RequestTimeout("x"), Evidence(sent=True, status=408, code="-1007"), Ambiguous),
    ("-1007 as a definite class", ccxt.InvalidOrder("x"), Evidence(sent=True, status=400, code="-1007"), Ambiguous),
    ("refusal class with 5xx", ccxt.InvalidOrder("x"), Evidence(sent=True, status=503), Ambiguous),
    ("unlisted code", ccxt.ExchangeError("x"), Evidence(sent=True, status=400, code="-9999"), Ambiguous),
    ("a bug", KeyError("x"), Evidence(sent=True), Ambiguous),
    ("duplicate id", ccxt.InvalidOrder("x"), Evidence(True, 400, "-2010", "Duplicate order sent."), Ambiguous),
    ("nonce", ccxt.InvalidNonce("x"), Evidence(sent=True), Ambiguous),
    # definite
    ("-2010 by code alone", ccxt.ExchangeError("x"), Evidence(sent=True, status=400, code="-2010"), DefiniteReject),
    ("-1021", ccxt.InvalidNonce("x"), Evidence(sent=True, status=400, code="-1021"), DefiniteReject),
    ("429", ccxt.DDoSProtection("x"), Evidence(sent=True, status=429), DefiniteReject),
    ("funds", ccxt.InsufficientFunds("x"), Evidence(sent=True, status=400), DefiniteReject),
    ("key", ccxt.PermissionDenied("x"), Evidence(sent=True, status=401), DefiniteReject),
    ("ws refusal", WsRefused(400, "-1013", "Filter failure"), Evidence(sent=True), DefiniteReject),
    ("ws 429", WsRefused(429, "-1003", "Too many"), Evidence(sent=True), DefiniteReject),
    ("ws 5xx", WsRefused(503, "-1000", "unknown"), Evidence(sent=True), Ambiguous),
    ("ws -1007", WsRefused(408, "-1007", "timeout"), Evidence(sent=True), Ambiguous),
]


@pytest.mark.parametrize(("error", "evidence", "expected"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_binance_table(error: BaseException, evidence: Evidence, expected: type[VenueError]) -> None:
    assert type(judge(error, evidence, BINANCE)) is expected


def test_a_rate_limit_is_told_as_the_reason() -> None:
    def limited(error: BaseException, **evidence: object) -> bool:
        return judge(error, Evidence(**evidence), BINANCE).rate_limited  # type: ignore[arg-type]

    assert limited(ccxt.DDoSProtection("x"), sent=True, status=429) and limited(ccxt.DDoSProtection("x"), sent=True, status=418)
    assert limited(ccxt.ExchangeError("x"), sent=True, status=400, code="-1003")
    assert limited(WsRefused(429, "-1003", "Too many"), sent=True) and limited(LimiterFull("x"), sent=False)
    assert not limited(ccxt.InvalidOrder("x"), sent=True, status=400, code="-2010")
    assert not limited(ccxt.ExchangeNotAvailable("x"), sent=False)


def test_a_rate_limit_refusal_is_ambiguous_where_the_venue_is_not_known() -> None:
    assert isinstance(judge(ccxt.DDoSProtection("x"), Evidence(sent=True, status=429), Codes()), Ambiguous)


def test_not_found_needs_the_definite_code() -> None:
    def found(error: BaseException, **evidence: object) -> bool:
        return is_not_found(judge(error, Evidence(sent=True, **evidence), BINANCE), BINANCE)  # type: ignore[arg-type]

    assert found(ccxt.OrderNotFound("x"), status=400, code="-2013")
    assert not found(ccxt.OrderNotFound("x"), status=400, code="-2011")
    assert not found(ccxt.OrderNotFound("x"), status=400)
    assert not found(ccxt.OrderNotFound("x"), status=503, code="-2013")
    assert not found(ccxt.ExchangeNotAvailable("Order does not exist."))
    assert is_not_found(judge(ccxt.OrderNotFound("x"), Evidence(sent=True), Codes()), Codes())


def test_secrets_are_scrubbed() -> None:
    raw = (
        "binance GET https://api.binance.com/api/v3/order?symbol=BTCUSDT&signature=abcdef0123 failed, "
        "X-MBX-APIKEY: mykey12345 body signature=feed99&x=1 s3cretvalue"
    )
    clean = scrub(raw, ("s3cretvalue",))
    for leak in ("abcdef0123", "mykey12345", "feed99", "s3cretvalue"):
        assert leak not in clean
    assert "api.binance.com/api/v3/order" in clean
    assert len(scrub("x" * 10_000)) < 400
    assert "topsecret" not in repr(Evidence(secrets=("topsecret",)))

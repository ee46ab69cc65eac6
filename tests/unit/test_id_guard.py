"""The guard of requests: what names an order, and what may leave without a name."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from fixgw.config.venuecheck import venue_problems
from fixgw.venues.base import Ambiguous, NeverSent
from fixgw.venues.client_ids import REFUSED, RULES, listed, refusal, rules_for
from fixgw.venues.id_guard import IdGuard
from fixgw.venues.settings import parse_venue

OURS = "ABCDE0010000001C01"
HOST = "https://exchange.example"


def guard(op: Any = "place", *more: str) -> IdGuard:
    return IdGuard(op, "someone", (OURS, *more))


@pytest.mark.parametrize(
    ("url", "body", "headers"),
    [
        (f"{HOST}/orders?id={OURS}", None, None),
        (f"{HOST}/orders?id=x%2D{OURS}%2Dy", None, None),
        (f"{HOST}/orders/{OURS}", None, None),
        (f"{HOST}/orders", json.dumps({"clOrdId": OURS}), None),
        (f"{HOST}/orders", f"a=1&id=t-{OURS}&b=2", None),
        (f"{HOST}/orders", f"a=t%2D{OURS}", None),
        (f"{HOST}/orders", f'{{"id": "{OURS}"}}'.encode(), None),
        (f"{HOST}/orders", {"params": [{"id": OURS}]}, None),
        (f"{HOST}/orders", None, {"X-PAYLOAD": base64.b64encode(json.dumps({"client_order_id": OURS}).encode()).decode()}),
    ],
)
def test_forms_in_which_our_id_is_seen(url: str, body: Any, headers: Any) -> None:
    one = guard()
    assert one.admit("POST", url, body, headers) and one.carried


@pytest.mark.parametrize(
    ("method", "url", "body"),
    [
        ("POST", f"{HOST}/orders", '{"client_order_id": "ccxt-1234"}'),
        ("POST", f"{HOST}/orders", f'{{"id": "{OURS}9"}}'),
        ("POST", f"{HOST}/orders", f'{{"id": "9{OURS}"}}'),
        ("GET", f"{HOST}/private/buy?amount=1", None),
        ("POST", f"{HOST}/account/mode", "{}"),
        ("SEND", "", {"method": "order.place"}),
        ("POST", f"{HOST}/orders", None),
    ],
)
def test_a_place_without_our_id_does_not_leave(method: str, url: str, body: Any) -> None:
    with pytest.raises(NeverSent, match="NO_CLIENT_ID: ccxt does not send our order id to someone"):
        guard().admit(method, url, body)


def test_questions_on_the_way_leave_and_prove_nothing() -> None:
    one = guard("query")
    assert not one.admit("GET", f"{HOST}/v5/account/info") and not one.carried
    with pytest.raises(NeverSent, match="NO_ORDER_ID"):
        one.admit("GET", f"{HOST}/orders/None")
    one.reading = True
    assert one.admit("GET", f"{HOST}/openOrders") and not one.carried


def test_a_cancel_or_a_query_may_name_the_venues_id() -> None:
    for op in ("cancel", "query"):
        assert guard(op, "123").admit("DELETE", f"{HOST}/orders/123")
        with pytest.raises(NeverSent, match="NO_ORDER_ID"):
            guard(op, "123").admit("DELETE", f"{HOST}/orders/1234")
        with pytest.raises(NeverSent, match="NO_ORDER_ID"):
            IdGuard(op, "someone", (OURS, "")).admit("DELETE", f"{HOST}/orders/")


@pytest.mark.parametrize(
    ("url", "body"),
    [
        (f"{HOST}/orders/None?clientOrderId={OURS}", None),
        (f"{HOST}/cancel?order_id=None&clientOrderId={OURS}", None),
        (f"{HOST}/cancel", f"id=None&clientOrderId={OURS}"),
        (f"{HOST}/cancel", f'{{"order_ids": [null], "clientOrderId": "{OURS}"}}'),
        (f"{HOST}/cancel", {"params": {"order_id": None, "clientOrderId": OURS}}),
    ],
)
def test_no_id_where_it_belongs_and_ours_elsewhere_names_nothing(url: str, body: Any) -> None:
    for op in ("cancel", "query"):
        with pytest.raises(NeverSent, match="NO_ORDER_ID"):
            guard(op).admit("POST", url, body)
    assert guard("cancel").admit("POST", f"{HOST}/cancel?id={OURS}&note=Nonesuch", '{"vault": null}')


def test_one_order_leaves_once() -> None:
    """ccxt has an option that sends a failed request again (maxRetriesOnFailure)."""
    one = guard()
    assert one.admit("POST", f"{HOST}/orders", f"id={OURS}")
    with pytest.raises(Ambiguous, match="SENT_ALREADY"):
        one.admit("POST", f"{HOST}/orders", f"id={OURS}")


def test_the_table() -> None:
    assert listed("kraken") and rules_for("okxus") is RULES["okx"] and not listed("nobody")
    assert refusal("nobody") == "" and refusal("binance") == ""
    assert all(refusal(name).startswith(f"{name} cannot be used: ") for name in REFUSED)
    # our ids have 18 characters, and 20 at most
    assert all(rules.max_len >= 18 for rules in RULES.values())


@pytest.mark.parametrize("exchange", ["hyperliquid", "bitfinex", "hitbtc"])
def test_check_names_an_exchange_that_cannot_be_used(exchange: str) -> None:
    settings = parse_venue({"exchange": exchange, "symbols": ["BTC/USDT"]}, "t", "t")
    (problem,) = venue_problems([("venues/t.toml", settings)])
    assert problem.key == "exchange" and f"{exchange} cannot be used: " in str(problem)
    assert not list(venue_problems([("venues/t.toml", parse_venue({"exchange": "phemex", "symbols": ["BTC/USDT"]}, "t", "t"))]))

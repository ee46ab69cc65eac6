"""Amends of the ccxt connector without a network: which answers are plain, what the stream says, what is not sent."""

from __future__ import annotations

from decimal import Decimal as D
from typing import Any

import pytest
from test_venue_binance import FakeClient, Sink, event, scene

from fixgw.core.commands import InstrumentSpec
from fixgw.venues.base import Ambiguous, DefiniteReject, Done, NeverSent
from fixgw.venues.ccxt_dialect import Amended
from fixgw.venues.ccxt_venue import CcxtVenue
from fixgw.venues.checks import check_amend
from fixgw.venues.dialect_binance import Dialect, _amended
from fixgw.venues.doctrine import Evidence, judge
from fixgw.venues.wire import AmendChild

ASKED = AmendChild(venue_cl_ord_id="OURS1", symbol="BTC/USDT", qty=D("0.001"), venue_order_id="42")
ORDER = {
    "symbol": "BTCUSDT", "orderId": 42, "orderListId": -1, "origClientOrderId": "OURS1", "clientOrderId": "OURS1",
    "price": "50000.00000000", "qty": "0.00100000", "executedQty": "0.00040000", "status": "PARTIALLY_FILLED",
}  # fmt: skip


def answer(**fields: Any) -> dict[str, Any]:
    return {"transactTime": 1, "executionId": 2, "amendedOrder": ORDER | fields}


def test_a_plain_answer() -> None:
    assert _amended(answer(), ASKED, "BTCUSDT") == Amended("42")
    nameless = AmendChild(venue_cl_ord_id="OURS1", symbol="BTC/USDT", qty=D("0.0010"))
    assert _amended(answer(status="NEW"), nameless, "BTCUSDT") == Amended("42")
    ended = _amended(answer(status="EXPIRED", executedQty="0.001"), ASKED, "BTCUSDT")
    assert ended == Amended("42", Done("OURS1", "42", "expired", D("0.001"), "ended by an amend"))


@pytest.mark.parametrize(
    "bad",
    [
        None, [], {}, "", {"amendedOrder": None}, {"amendedOrder": [ORDER]}, {"amendedOrder": {}},
        answer(clientOrderId="xyz"), answer(symbol="ETHUSDT"), answer(orderId=43), answer(orderId=None),
        answer(qty="0.002"), answer(qty="nothing"), answer(qty=None), answer(executedQty=None),
        answer(status="PENDING_CANCEL"), answer(status=None),
        {"amendedOrder": {k: v for k, v in ORDER.items() if k != "clientOrderId"}},
    ],
)  # fmt: skip
def test_any_other_answer_is_ambiguous(bad: Any) -> None:
    with pytest.raises(Ambiguous):
        _amended(bad, ASKED, "BTCUSDT")


@pytest.mark.parametrize(
    ("code", "text", "unknown"),
    [
        ("-2038", "Order amend (quantity increase) is not supported.", False),
        ("-2038", "Filter failure: MAX_NUM_ORDER_AMENDS", False),
        ("-2038", "Unknown order sent.", True),
        ("-2011", "Unknown order sent.", True),
        ("-2013", "Order does not exist.", True),
        ("-2039", "Client order ID is not correct for this order ID.", False),
        ("-1013", "Filter failure: NOTIONAL", False),
    ],
)
def test_refusals_are_definite(code: str, text: str, unknown: bool) -> None:
    refusal = judge(ValueError("x"), Evidence(sent=True, status=400, code=code, text=text), Dialect.codes)
    assert isinstance(refusal, DefiniteReject) and (refusal.code, refusal.unknown_order) == (code, unknown)


@pytest.mark.parametrize(("code", "status"), [("-1007", 408), ("-1000", 500), ("-9999", 400), ("-2038", 503)])
def test_what_is_not_a_listed_refusal_is_ambiguous(code: str, status: int) -> None:
    assert isinstance(judge(ValueError("x"), Evidence(sent=True, status=status, code=code), Dialect.codes), Ambiguous)


@pytest.mark.parametrize(
    ("qty", "code"),
    [("0", "INVALID"), ("-1", "INVALID"), ("NaN", "INVALID"), ("0.15", "BAD_LOT"), ("0.1", "BAD_LOT"), ("11", "BAD_LOT")],
)
def test_quantities_that_no_order_could_have(qty: str, code: str) -> None:
    spec = InstrumentSpec(
        symbol="BTC/USDT", venue_symbol="BTCUSDT", base="BTC", quote="USDT", tick=D("0.1"), lot=D("0.1"),
        min_qty=D("0.2"), max_qty=D(10),
    )  # fmt: skip
    with pytest.raises(NeverSent) as refusal:
        check_amend(AmendChild(venue_cl_ord_id="a", symbol="BTC/USDT", qty=D(qty)), spec)
    assert refusal.value.code == code and "BTC/USDT" in refusal.value.text
    check_amend(AmendChild(venue_cl_ord_id="a", symbol="BTC/USDT", qty=D("0.2")), spec)


@pytest.mark.parametrize("names", [{"c": "OURS1", "C": "OURS1"}, {"c": "OURS1", "C": ""}, {"c": "OURS1", "C": None}])
def test_a_replaced_report_shrinks_the_order_and_tells_nobody(names: dict[str, Any]) -> None:
    def body(venue: CcxtVenue, sink: Sink, client: FakeClient) -> None:
        tracked = venue.tracker.begin("OURS1", "BTC/USDT")
        tracked.qty = D("0.002")
        for total in ("0.00100000", "0.00150000"):  # the second is late
            assert venue._dialect.tap(client, event(x="REPLACED", X="NEW", q=total, **names))
        assert (tracked.total, tracked.qty, tracked.venue_order_id) == (D("0.001"), D("0.001"), "42")
        assert tracked.open and sink.told == []

    scene(body)


def test_an_order_that_somebody_else_amended_keeps_our_name(caplog: pytest.LogCaptureFixture) -> None:
    """Binance gives it a name of theirs; its trades and its end must not become a stranger's."""

    def body(venue: CcxtVenue, sink: Sink, client: FakeClient) -> None:
        venue.tracker.begin("OURS1", "BTC/USDT").qty = D("0.002")
        venue._dialect.tap(client, event())
        venue._dialect.tap(client, event(x="REPLACED", X="NEW", q="0.00100000", c="theirs", C="OURS1"))
        venue._dialect.tap(
            client, event(x="TRADE", X="FILLED", q="0.00100000", c="theirs", l="0.001", z="0.001", L="50000", t=7)
        )
        trade, done = sink.told
        assert (trade.venue_cl_ord_id, trade.qty) == ("OURS1", D("0.001"))
        assert done == Done("OURS1", "42", "filled", D("0.001"))

    scene(body)
    assert "OURS1: somebody else has reduced it to 0.001" in caplog.text

"""What lies between a request and its execution: the second leg of a replace, a stop at its trigger, a child of an ended
order. Limits and kill switches hold there too, and the money is kept."""

from __future__ import annotations

from decimal import Decimal as D
from typing import Any

import pytest
from core_world import ACCOUNT, SYMBOL, VENUE, VENUE_ACCOUNT, World, core_settings

from fixgw.core import commands as c
from fixgw.core import events as e
from fixgw.core import settings as s
from fixgw.core.reports import CancelReject, Message, Report

STAGES = ("session_state", "order_qty", "collar", "buying_power")


class Desk:
    """One buyer on one account."""

    def __init__(self, limits: s.Limits | None = None, free: str = "1000") -> None:
        account = s.AccountSettings(name=ACCOUNT, venue=VENUE, venue_account=VENUE_ACCOUNT, limits=limits or s.Limits())
        self.world = World(core_settings(risk_stages=STAGES, accounts={ACCOUNT: account}))
        self.balance(free)

    def balance(self, free: str) -> None:
        ts_ns = self.world.tick()
        both = {"USDT": D(free), "BTC": D(100)}
        self.world.run(c.BalancesReport(ts_ns=ts_ns, venue=VENUE, account=VENUE_ACCOUNT, asof_ns=ts_ns, free=both, total={}))

    def ask(self, kind: type[c.ClientCommand], session: str = "OMS44", **fields: Any) -> list[Message]:
        quotes = {"quotes": self.world.quotes}
        terms = {"symbol": SYMBOL, "side": "1", "ord_type": "2", **quotes, **fields}
        return messages(self.world.run(self.world.client(kind, session, **terms)))

    def new(self, name: str, qty: str | None = "1", px: str | None = "100", **fields: Any) -> list[Message]:
        return self.ask(c.NewOrder, cl_ord_id=name, tif="1", order_qty=qty and D(qty), price=px and D(px), **fields)

    def replace(self, name: str, old: str, qty: str, px: str = "100") -> list[Message]:
        return self.ask(c.ReplaceOrder, cl_ord_id=name, orig_cl_ord_id=old, order_qty=D(qty), price=D(px))

    def child(self, at: int = -1) -> str:
        return list(self.world.placed)[at]

    def venue(self, kind: type[c.Command], child: str, **fields: Any) -> list[e.AnyEvent]:
        return self.world.run(kind(ts_ns=self.world.tick(), venue=VENUE, venue_cl_ord_id=child, **fields))

    def ack(self) -> None:
        self.venue(c.ChildAck, self.child(), venue_order_id="v" + self.child())

    def canceled(self, child: str) -> list[Message]:
        fields = {"venue_order_id": "v" + child, "status": "canceled", "cum_qty": D(0)}
        return messages(self.venue(c.ChildDone, child, **fields))

    def trade(self, child: str, qty: str) -> None:
        item = c.VenueTrade(
            account=VENUE_ACCOUNT, symbol=SYMBOL, venue_cl_ord_id=child, venue_order_id="v" + child,
            venue_trade_id=f"t{self.world.tick()}", side="1", qty=D(qty), px=D(100),
        )  # fmt: skip
        self.world.run(c.ChildTrade(ts_ns=self.world.tick(), venue=VENUE, trade=item))

    @property
    def reserved(self) -> D:
        return self.world.state.accounts[ACCOUNT].reserved.get("USDT", D(0))


def messages(events: list[e.AnyEvent]) -> list[Message]:
    return [event.message for event in events if isinstance(event, e.Reported)]


@pytest.mark.parametrize(("scope", "target"), [("firm", ""), ("session", "OMS44"), ("venue", VENUE)])
@pytest.mark.parametrize(("level", "qty", "placed"), [("REDUCING", "9", 1), ("HALTED", "9", 1), ("REDUCING", "0.5", 2)])
def test_a_kill_switch_holds_for_the_second_leg(scope: str, target: str, level: str, qty: str, placed: int) -> None:
    """A replace that takes away goes on when only reducing is allowed; nothing does when trading is halted."""
    desk = Desk()
    desk.new("a")
    desk.ack()
    desk.replace("b", "a", qty)
    desk.world.run(
        c.AdminKill(ts_ns=desk.world.tick(), scope=scope, target=target, level=level, user="u", reason="r")
    )
    told = desk.canceled(desk.child(0))
    assert len(desk.world.placed) == placed
    if placed == 1:
        assert [type(message) for message in told] == [CancelReject, Report]
        if level == "REDUCING":
            for message in told:
                assert (message.reason, message.reason_tag, message.reason_value) == ("REPLACE_FAILED", 38, "9")  # type: ignore[union-attr]


def test_the_money_of_a_pending_replace_is_kept() -> None:
    desk = Desk(s.Limits(buying_power=True))
    desk.new("a")
    desk.ack()
    desk.balance("899.9")
    assert desk.replace("b", "a", "9")[0].exec_type == "E"  # type: ignore[union-attr]
    more = D(800) * (1 + desk.world.settings.venues[VENUE].taker_fee_bps / 10_000)
    assert desk.reserved == more
    (refused,) = desk.new("c", "8", session="OMS42")
    assert isinstance(refused, Report) and refused.reason == "BUYING_POWER"
    desk.canceled(desk.child(0))
    assert len(desk.world.placed) == 2
    assert desk.reserved == desk.world.placed[desk.child()].reserve_qty, "reserved once, by the new child"


def test_the_coins_of_a_pending_replace_are_kept() -> None:
    """A sell that gets larger keeps the base asset that it needs besides, no less and no more."""
    desk = Desk(s.Limits(buying_power=True))
    sell = {"side": "2", "ord_type": "2", "tif": "1"}
    desk.ask(c.NewOrder, cl_ord_id="a", order_qty=D(1), price=D(100), **sell)
    desk.ack()
    more = {"orig_cl_ord_id": "a", "price": D(100), **sell}
    reserved = desk.world.state.accounts[ACCOUNT].reserved
    assert reserved == {"BTC": 1}
    assert desk.ask(c.ReplaceOrder, cl_ord_id="b", order_qty=D(60), **more)[0].exec_type == "E"  # type: ignore[union-attr]
    assert reserved == {"BTC": 60}
    sells = (("c", D(41)), ("d", D(40)))
    told = [desk.ask(c.NewOrder, cl_ord_id=name, order_qty=qty, price=D(100), **sell)[-1] for name, qty in sells]
    assert [isinstance(message, Report) and message.reason for message in told] == ["BUYING_POWER", ""]


@pytest.mark.parametrize("end", ["refused", "canceled", "filled"])
def test_what_was_kept_goes_back(end: str) -> None:
    desk = Desk(s.Limits(buying_power=True))
    desk.new("a")
    desk.ack()
    desk.balance("899.9")
    desk.replace("b", "a", "9")
    old = desk.child()
    if end == "refused":
        desk.venue(c.ChildCancelReject, old, code="X", text="no", unknown_order=False)
    elif end == "canceled":
        desk.world.run(desk.world.client(c.CancelOrder, cl_ord_id="c", orig_cl_ord_id="a"))
    else:
        desk.trade(old, "1")
        return  # it goes on with the rest, which reserves for itself
    assert desk.reserved == 0


@pytest.mark.parametrize("collar", [None, D(500)])
def test_a_stop_by_cash_trades_above_its_stop_price(collar: D | None) -> None:
    """A triggered buy is a market buy: it must reach the ask, which is above its stop price by then."""
    desk = Desk(s.Limits(collar_bps={"*": collar} if collar else {}))
    desk.world.quotes = {VENUE: c.Quote(bid=D("99"), ask=D("99.5"), last=D(99), recv_ns=desk.world.now_ns)}
    desk.new("stop", None, None, ord_type="3", stop_px=D(100), cash_qty=D(1000))
    (order,) = desk.world.state.open_orders
    ask = D("101.5")
    quotes = {VENUE: c.Quote(bid=D("100.9"), ask=ask, last=D(101), recv_ns=desk.world.now_ns)}
    desk.world.run(c.TriggerStop(ts_ns=desk.world.tick(), order_id=order, trigger_px=D(101), quotes=quotes))
    placed = desk.world.placed[desk.child()]
    assert placed.px is not None and placed.px >= ask
    fee = 1 + desk.world.settings.venues[VENUE].taker_fee_bps / 10_000
    assert 900 < placed.qty * placed.px * fee <= 1000
    desk.ack()
    desk.trade(desk.child(), str(placed.qty))
    found = desk.world.state.orders[order]
    assert found.cum_qty == placed.qty and not found.is_open
    assert (found.status, found.reason) == (("2", "") if found.order_qty == placed.qty else ("4", "IOC_REMAINDER"))


def test_a_stop_whose_cash_pays_for_no_lot_any_more_is_refused_at_its_trigger() -> None:
    desk = Desk()
    desk.new("stop", None, None, ord_type="3", stop_px=D(105), cash_qty=D(11))
    (order,) = desk.world.state.open_orders
    quotes = {VENUE: c.Quote(bid=D(199), ask=D(200), last=D(200), recv_ns=desk.world.now_ns)}
    trigger = c.TriggerStop(ts_ns=desk.world.tick(), order_id=order, trigger_px=D(200), quotes=quotes)
    (report,) = messages(desk.world.run(trigger))
    assert isinstance(report, Report) and not desk.world.placed
    assert (report.exec_type, report.reason, report.reason_tag, report.reason_value) == ("4", "TRIGGER_DENIED", 152, "11")


def test_a_market_buy_by_cash_is_checked_for_what_it_reserves() -> None:
    desk = Desk(s.Limits(buying_power=True), free="995")
    (refused,) = desk.new("a", None, None, ord_type="1", cash_qty=D(1000))
    assert isinstance(refused, Report) and (refused.reason, refused.reason_tag) == ("BUYING_POWER", 152)


def test_a_market_order_without_a_quote_is_not_refused_for_its_price() -> None:
    desk = Desk(s.Limits(collar_bps={"*": D(500)}))
    desk.world.quotes = {}
    (refused,) = desk.new("a", "1", None, ord_type="1")
    assert isinstance(refused, Report) and (refused.reason_tag, refused.reason_value) == (55, SYMBOL)


def replaced() -> tuple[Desk, str, str]:
    """An order whose price was replaced: the venue has canceled the old child, the new one is placed; both ids."""
    desk = Desk()
    desk.new("a")
    desk.ack()
    desk.replace("b", "a", "1", "101")
    old = desk.child()
    desk.canceled(old)
    new = desk.child()
    return desk, old, new


def test_a_cancel_that_the_venue_refuses_is_tried_again_for_an_order_that_ended() -> None:
    desk, old, new = replaced()
    desk.ack()
    desk.trade(old, "1")  # the venue had said that nothing was executed
    desk.venue(c.ChildCancelReject, new, code="RATE_LIMIT", text="429", unknown_order=False)
    assert new in desk.world.state.inflight, "its time-out asks, and the cancel goes out again"


def test_the_new_child_of_a_replaced_order_that_filled_is_canceled_again() -> None:
    desk, old, new = replaced()
    desk.trade(old, "1")
    for op in ("cancel", "place"):
        desk.venue(c.ChildAmbiguous, new, op=op, code="T", text="time-out")
    listed = c.OpenOrder(
        venue_cl_ord_id=new, venue_order_id="v" + new, symbol=SYMBOL, side="1", qty=D(1), cum_qty=D(0), px=D(101)
    )
    ts_ns = desk.world.tick()
    picture = {"venue": VENUE, "account": VENUE_ACCOUNT, "asked_ns": ts_ns - 1, "open_orders": (listed,)}
    events = desk.world.run(c.VenueReconciled(ts_ns=ts_ns, **picture))
    assert any(isinstance(event, e.ChildCancelSent) and event.venue_cl_ord_id == new for event in events)


def test_a_replace_of_what_left_the_configuration_is_refused() -> None:
    desk = Desk()
    desk.new("a")
    desk.ack()
    others = {name: found for name, found in desk.world.settings.instruments.items() if name != SYMBOL}
    fewer = core_settings(hash="2", instruments=others)
    desk.world.run(c.LoadSettings(ts_ns=desk.world.tick(), settings=fewer))
    (refused,) = desk.replace("b", "a", "0.5")
    assert isinstance(refused, CancelReject) and (refused.reason, refused.reason_tag) == ("UNKNOWN_SYMBOL", 55)

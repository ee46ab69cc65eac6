"""Limits as a client meets them: from the request to the refusal, through the real valuation. How to read the stories:
core_script.py; bid 100, ask 101."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

import pytest
from core_script import Script, play
from core_world import ACCOUNT, SECOND, SYMBOL, VENUE, World, core_settings, session_settings

from fixgw.admin.views import limit_rows
from fixgw.config.models import LimitsTable
from fixgw.core.commands import NewOrder, Quote
from fixgw.core.events import Reported
from fixgw.core.reports import CancelReject, Report
from fixgw.core.settings import AccountSettings, CoreSettings, Entitlements, Limits
from fixgw.core.times import DAY_NS, utc_date, utc_text
from fixgw.risk.base import discover, limits_enforced

D = Decimal


def limited(*stages: str, **given: Any) -> CoreSettings:
    """Session OMS44 has these limits: a text is the limit of every instrument, a dict by instrument ("*": a plain number in
    the configuration), everything else as it is."""
    limits = {
        key: {"*": D(value)} if isinstance(value, str)
        else {name: D(limit) for name, limit in value.items()} if isinstance(value, dict)
        else value
        for key, value in given.items()
    }  # fmt: skip
    sessions = {"OMS44": session_settings("OMS44", limits=Limits(**limits)), "OMS42": session_settings("OMS42")}
    return core_settings(sessions=sessions, risk_stages=("session_state", "throttle", *stages))


def refused(script: Script) -> tuple[str, int, str, str]:
    """(code, tag, value, limit) of the last command's only message."""
    (message,) = (message for message in script.told if getattr(message, "reason", ""))
    return message.reason, message.reason_tag, message.reason_value, message.reason_limit  # type: ignore[union-attr]


# --- what is at fault ---


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("new b buy 1 @100 ord_type=P", ("UNSUPPORTED", 40, "P", "1 market, 2 limit, 3 stop, 4 stop limit")),
        ("new b buy 1 @100 tif=9", ("UNSUPPORTED", 59, "9", "0 day, 1 GTC, 3 IOC, 4 FOK, 6 GTD")),
        ("new b buy 1 ord_type=3", ("MISSING_FIELD", 99, "", "StopPx(99) with OrdType(40)=3")),
        ("new b buy 1 ord_type=3 stop_px=105.001", ("BAD_TICK", 99, "105.001", "0.01")),
        ("new b buy 1 @106 ord_type=4 stop_px=105.001", ("BAD_TICK", 99, "105.001", "0.01")),
        ("new b buy 1 ord_type=3 stop_px=0", ("INVALID_VALUE", 99, "0", "above 0")),
        ("cancel b zz", ("UNKNOWN_ORDER", 41, "zz", "a known ClOrdID")),
        ("new b buy 0.15 @100", ("BAD_LOT", 38, "0.15", "0.1")),
        ("cancel b a", ("TOO_LATE", 41, "a", "an open order")),
        ("replace b a 2 @100", ("TOO_LATE", 41, "a", "an open order")),
    ],
)
def test_a_refusal_names_tag_value_and_what_would_be_taken(line: str, fault: tuple[str, int, str, str]) -> None:
    script = play("new a buy 1 @100 | A A a 0/1; place C1 1@100 GTC\ntrade C1 t1 1 | 0 0 a 0/1; F 2 a 1/0")
    script.line(line)
    assert refused(script) == fault


def test_before_the_venue_is_up_orders_are_refused() -> None:
    script = Script(World(ready=False))
    assert script.line("new a buy 1 @100") == ["8 8 a 0/0 VENUE_DOWN"]
    assert refused(script) == ("VENUE_DOWN", 100, VENUE, "READY")


# --- what a sell may bring in ---


@pytest.mark.parametrize(
    ("terms", "value"),
    [
        ("2 @50", "200"),  # the bid is 100
        ("2 @50 ord_type=4 stop_px=90", "200"),
        ("2 @50 ord_type=4 stop_px=105", "210"),  # begins no lower than at its stop
        ("2 @110 ord_type=4 stop_px=105", "220"),
        ("2 ord_type=3 stop_px=90", "200"),
    ],
)
def test_a_sell_is_never_valued_below_what_it_may_bring_in(terms: str, value: str) -> None:
    script = Script(World(limited("notional", max_notional="199.99")))
    script.line(f"new a sell {terms}")
    assert refused(script) == ("MAX_NOTIONAL", 38, value, "199.99")
    assert script.line(f"new b sell {terms.replace('2', '1', 1)}")[-1] != ""
    order = script.world.state.orders[script.orders[-1]]
    assert order.is_open and order.risk_px == D(value) / 2
    assert script.world.state.exposure("s:OMS44", SYMBOL).open_notional == D(value) / 2


def test_a_sell_stop_limit_is_valued_at_the_market_when_it_triggers() -> None:
    world = World(limited("notional", max_notional="250"))
    script = play("new a sell 2 @50 ord_type=4 stop_px=95 | A A a 0/2; 0 0 a 0/2", world)
    world.quotes = {VENUE: Quote(bid=D(130), ask=D(131), last=D(95), recv_ns=world.now_ns)}
    assert script.line("trigger o1 95") == ["4 4 a 0/0 TRIGGER_DENIED"]
    # down again: worth the bid, no longer the stop price
    world.quotes = {VENUE: Quote(bid=D(94), ask=D(96), last=D(95), recv_ns=world.now_ns)}
    assert script.line("new b sell 2 @50 ord_type=4 stop_px=95") == ["A A b 0/2", "0 0 b 0/2"]
    assert script.line("trigger o2 95") == ["I 0 b 0/2", "place C1 2@50 GTC"]
    assert world.state.orders[script.orders[-1]].risk_px == D(94)


def test_a_buy_stop_limit_never_costs_more_than_its_limit() -> None:
    script = Script(World(limited("notional", max_notional="200")))
    assert script.line("new a buy 2 @100 ord_type=4 stop_px=99") == ["A A a 0/2", "0 0 a 0/2"]
    assert script.line("new b buy 2 @100.01 ord_type=4 stop_px=99") == ["8 8 b 0/0 MAX_NOTIONAL"]


def test_a_stop_that_may_be_placed_may_also_trigger_though_it_goes_out_as_a_market_order() -> None:
    stops = Entitlements(ord_types=frozenset({"3"}), tifs=frozenset({"1"}))
    sessions = {"OMS44": session_settings("OMS44", entitlements=stops)}
    script = Script(World(core_settings(sessions=sessions, risk_stages=("entitlements",))))
    script.line("new a sell 1")
    assert refused(script) == ("ENTITLEMENT", 40, "1", "3")
    assert script.line("new b sell 1 ord_type=3 stop_px=95 tif=1") == ["A A b 0/1", "0 0 b 0/1"]
    assert script.line("trigger o2 95") == ["place C1 1@market IOC"]


# --- what is open, over all instruments ---


def test_the_open_notional_of_all_instruments_of_a_quote_asset_counts_together() -> None:
    script = Script(World(limited("notional", max_open_notional="1000")))
    assert script.line("new a buy 5 @100")[0] == "A A a 0/5"
    assert script.line("new b buy 4 @100 symbol=ETH/USDT")[0] == "A A b 0/4"
    script.line("new c buy 1.1 @100 symbol=ETH/USDT")
    assert refused(script) == ("MAX_OPEN_NOTIONAL", 38, "1010.0", "1000")
    text = script.told[-1].text  # type: ignore[union-attr]
    assert "USDT" in text and "session OMS44" in text
    # what is done no longer counts, of either
    script.line("trade C2 t1 4 symbol=ETH/USDT")
    assert script.line("new d buy 5 @100")[0] == "A A d 0/5"
    assert script.world.state.open_notional("s:OMS44", "USDT") == 1000
    script.line("cancel e a")
    script.line("done C1 canceled 0")
    assert script.world.state.open_notional("firm", "USDT") == 500


def test_the_limit_of_one_instrument_leaves_the_others_alone_and_the_total_holds_besides() -> None:
    script = Script(World(limited("notional", max_open_notional={SYMBOL: "300", "*": "1000"})))
    script.line("new a buy 4 @100")
    assert refused(script) == ("MAX_OPEN_NOTIONAL", 38, "400", "300") and SYMBOL in script.told[-1].text  # type: ignore[union-attr]
    assert script.line("new b buy 8 @100 symbol=ETH/USDT")[0] == "A A b 0/8"
    assert script.line("new c buy 2 @100")[0] == "A A c 0/2"
    script.line("new d buy 0.5 @100")
    assert refused(script) == ("MAX_OPEN_NOTIONAL", 38, "1050.0", "1000")
    only = Script(World(limited("notional", max_open_notional={SYMBOL: "300"})))
    assert only.line("new a buy 80 @100 symbol=ETH/USDT")[0] == "A A a 0/80"


def test_nothing_open_leaves_no_entry_behind() -> None:
    script = Script(World())
    script.line("new a buy 5 @100.10")
    assert script.world.state.exposures["firm"].open_notional == {"USDT": D("500.50")}
    script.line("trade C1 t1 2")
    script.line("trade C1 t2 3")
    assert script.world.state.exposures["firm"].open_notional == {}


def test_the_limits_shown_are_those_that_are_checked() -> None:
    script = Script(World(limited("notional", max_open_notional={SYMBOL: "300", "*": "1000"})))
    script.line("new a buy 2 @100")
    script.line("new b buy 4 @100 symbol=ETH/USDT")
    rows = [row for row in limit_rows(script.world.state, "OMS44", script.world.now_ns) if row["limit"] == "max_open_notional"]
    assert [(row["symbol"], row["used"], row["max"]) for row in rows] == [(SYMBOL, 200, 300), ("*/USDT", 600, 1000)]


ANY = {"*": D(1000)}
EVERY = Limits(
    max_order_qty=ANY, max_notional=ANY, max_open_notional=ANY,
    max_gross=ANY, max_net=ANY, collar_bps=ANY,
    max_open_orders=9, msg_rate=5, repeat_max=5, max_quote_age_ns=10**9, buying_power=True,
)  # fmt: skip


@pytest.mark.parametrize("left_out", ["", *sorted(discover())])
def test_only_what_a_stage_enforces_is_shown_as_a_limit_in_force(left_out: str) -> None:
    stages = tuple(sorted(discover().keys() - {left_out}))
    accounts = {ACCOUNT: AccountSettings(name=ACCOUNT, venue=VENUE, venue_account="acc-1", limits=EVERY)}
    sessions = {"OMS44": session_settings("OMS44", limits=EVERY)}
    script = Script(World(core_settings(sessions=sessions, accounts=accounts, firm=EVERY, risk_stages=stages)))
    script.line("new a buy 1 @100")
    rows = limit_rows(script.world.state, "OMS44", script.world.now_ns)
    # what only says how another limit counts has no row
    expected = set(LimitsTable.model_fields) - {"repeat_window_ms"} - limits_enforced((left_out,))
    for scope in ("session", "account", "firm"):
        assert {row["limit"] for row in rows if row["scope"] == scope} == expected, scope


# --- what an order comes to by its replaces ---


def test_what_an_order_has_traded_counts_against_its_notional_limit() -> None:
    world = World(limited("notional", max_notional="1000"))
    script = play(
        """
        new a buy 8 @100          | A A a 0/8; place C1 8@100 GTC
        ack C1                    | 0 0 a 0/8
        trade C1 t1 7             | F 1 a 7/1
        replace b a 10.1 @100     | 9.2 1 b<a MAX_NOTIONAL
        replace b a 10 @100       | cancel C1; E E b<a 7/1
        done C1 canceled 7        | place C2 3@100 GTC
        ack C2                    | 5 1 b<a 7/3
        trade C2 t2 3             | F 2 b 10/0
        """,
        world,
    )
    script.line("new c buy 8 @100")
    script.line("trade C3 t3 7")
    script.line("replace d c 10.1 @100")
    assert refused(script) == ("MAX_NOTIONAL", 38, "1010.0", "1000")


@pytest.mark.parametrize(
    ("terms", "reason"),
    [
        # 600 traded at 100, 4 are open at 100
        ("9 @100", ""),  # only takes away
        ("10 @99", ""),
        ("11 @99", ""),
        ("11.1 @99", "MAX_NOTIONAL"),
        ("13.9 @50", "MAX_NOTIONAL"),
        ("11.9 @50", ""),  # 4 at 100 and 1.9 at 50
        ("12.1 @50", "MAX_NOTIONAL"),
    ],
)
def test_while_a_replace_is_pending_the_old_price_may_still_fill(terms: str, reason: str) -> None:
    script = Script(World(limited("notional", max_notional="1100")))
    script.line("new a buy 10 @100")
    script.line("trade C1 t1 6")
    assert script.line(f"replace b a {terms}")[-1] == (f"9.2 1 b<a {reason}" if reason else "E E b<a 6/4")


def test_a_replace_that_only_takes_away_passes_whatever_was_executed() -> None:
    """Sold dearer than it was valued at: nobody may be kept from making it smaller for that."""
    script = Script(World(limited("notional", max_notional="1000")))
    script.line("new a sell 10 @100")
    script.line("trade C1 t1 9@120")
    assert script.line("replace b a 9.9 @100 side=sell")[-1] == "E E b<a 9/1"
    script.line("done C1 canceled 9")
    script.line("ack C2")
    script.line("replace c b 10 @100 side=sell")
    assert refused(script) == ("MAX_NOTIONAL", 38, "1180", "1000")


# --- prices that bind nothing ---


@pytest.mark.parametrize(
    ("terms", "tag", "limit"),
    [
        ("1 @100 ord_type=1", 44, "no price"),
        ("1 @100 ord_type=3 stop_px=105", 44, "no price"),
        ("1 @100 stop_px=105", 99, "no stop price"),
        ("1 ord_type=1 stop_px=105", 99, "no stop price"),
    ],
)
def test_a_price_that_the_order_type_does_not_have_is_refused(terms: str, tag: int, limit: str) -> None:
    script = Script()
    assert script.line(f"new a buy {terms}") == ["8 8 a 0/0 INVALID_VALUE"]
    assert refused(script) == ("INVALID_VALUE", tag, "100" if tag == 44 else "105", limit)


def test_a_replace_gives_no_price_to_a_stop_and_no_stop_to_a_limit_order() -> None:
    script = play(
        """
        new a sell 1 ord_type=3 stop_px=95                 | A A a 0/1; 0 0 a 0/1
        replace b a 1 @94 ord_type=3 stop_px=96 side=sell  | 9.2 0 b<a INVALID_VALUE
        replace b a 2 ord_type=3 stop_px=96 side=sell      | 5 0 b<a 0/2
        new l buy 1 @100                                   | A A l 0/1; place C1 1@100 GTC
        ack C1                                             | 0 0 l 0/1
        replace m l 1 @101 stop_px=99                      | 9.2 0 m<l INVALID_VALUE
        """
    )
    assert refused(script) == ("INVALID_VALUE", 99, "99", "no stop price")


def test_a_stop_limit_that_has_triggered_keeps_its_stop_price() -> None:
    """Nothing would hold it at a new one: a stop that is moved away would trade at once."""
    script = play(
        """
        new a sell 1 @90 ord_type=4 stop_px=95             | A A a 0/1; 0 0 a 0/1
        replace b a 1 @89 ord_type=4 stop_px=94 side=sell  | 5 0 b<a 0/1
        trigger o1 94                                      | I 0 b 0/1; place C1 1@89 GTC
        ack C1                                             | -
        replace c b 1 @80 ord_type=4 stop_px=85 side=sell  | 9.2 0 c<b UNSUPPORTED
        """
    )
    assert refused(script) == ("UNSUPPORTED", 99, "85", "94 or none")
    assert script.line("replace d b 1 @88 ord_type=4 side=sell") == ["cancel C1", "E E d<b 0/1"]
    assert script.line("done C1 canceled 0") == ["place C2 1@88 GTC"]
    assert script.line("ack C2") == ["5 0 d<b 0/1"]
    assert script.line("trade C2 t1 0.4@88") == ["F 1 d 0.4/0.6"]
    assert script.line("replace e d 1 @87 ord_type=4 stop_px=94.0 side=sell") == ["cancel C2", "E E e<d 0.4/0.6"]
    assert script.line("done C2 canceled 0.4") == ["place C3 0.6@87 GTC"]
    assert script.line("ack C3") == ["5 1 e<d 0.4/0.6"]
    assert script.line("replace f e 2 @87 ord_type=4 stop_px=96 side=sell") == ["9.2 1 f<e UNSUPPORTED"]
    assert script.line("status e") == ["?I 1 e 0.4/0.6"]
    told = script.told[-1]
    assert isinstance(told, Report) and told.stop_px == D(94)


def test_market_orders_cannot_be_told_apart_by_prices_that_they_do_not_have() -> None:
    script = Script(World(limited("repeated_order", repeat_max=2)))
    codes = [script.line(f"new o{number} sell 1")[0].split()[-1] for number in range(3)]
    assert codes == ["0/1", "0/1", "REPEATED_ORDER"]
    assert script.line("new p sell 1 @60001 ord_type=1") == ["8 8 p 0/0 INVALID_VALUE"]


def test_a_stop_that_was_taken_in_with_a_price_is_judged_without_it() -> None:
    """Taken in before such a price was refused: a replace and the trigger still work."""
    world = World(limited("notional", "collar", collar_bps="100", max_notional="1000"))
    script = Script(world)
    script.line("new a sell 1 ord_type=3 stop_px=95")
    for state in (world.state, world.mirror):
        state.orders[script.orders[0]].price = D(10)
    assert script.line("replace b a 2 ord_type=3 side=sell") == ["5 0 b<a 0/2"]
    for state in (world.state, world.mirror):
        state.orders[script.orders[0]].price = D(10)
    assert script.line("trigger o1 95") == ["place C1 2@99.00 IOC"]


# --- the throttle comes first ---


@pytest.mark.parametrize(
    "again",
    [
        "new x buy 1 @100.001",  # BAD_TICK
        "new a buy 1 @100",  # DUPLICATE_CL_ORD_ID
        "new x buy 1 @100 symbol=NOPE",
        "new x buy 1 ord_type=2",
        "new x buy 1 @100 account=nosuch",
    ],
)
def test_a_bad_order_is_throttled_like_a_good_one(again: str) -> None:
    script = Script(World(limited(msg_rate=1, msg_burst=3)))
    script.line("new a buy 1 @100")
    for _ in range(2):
        (shown,) = script.line(again)
        assert shown.startswith("8 ") and "THROTTLE" not in shown
        again = again.replace("new x", "new y")
    count = len(script.world.state.orders)
    for number in range(5):
        assert script.line(again.replace("new y", f"new z{number}")) == ["j THROTTLE"]
    assert len(script.world.state.orders) == count
    assert refused(script) == ("THROTTLE", 35, "D", "1/s burst 3")
    # a possible resend of what is known is told how it stands
    assert script.line("new a buy 1 @100 poss_resend=1") == ["?I A a 0/1"]
    script.line("+1s")
    assert script.line(again.replace("new y", "new w")) != ["j THROTTLE"]


def test_a_replace_that_could_not_be_is_throttled_like_another() -> None:
    play(
        """
        new a buy 1 @100          | A A a 0/1; place C1 1@100 GTC
        replace b a 2 @100        | cancel C1; E E b<a 0/1
        replace c a 2 @100        | 9.2 E c<a PENDING
        replace d a 2 @100        | 9.2 E d<a THROTTLE
        replace e nosuch 2 @100   | 9.2 8 e<nosuch THROTTLE
        replace b a 2 @100 poss_dup=1 | ?I E b<a 0/1
        cancel f a                | 9.2 A b<a SUPERSEDED; 6 6 f<a 0/1
        status a                  | ?I 6 a 0/1
        cancel g nosuch           | 9.1 8 g<nosuch UNKNOWN_ORDER
        """,
        World(limited(msg_rate=1, msg_burst=3)),
    )


def test_a_throttle_that_is_not_among_the_stages_is_not_asked() -> None:
    settings = limited(msg_rate=1, msg_burst=1)
    script = Script(World(core_settings(sessions=settings.sessions, risk_stages=("session_state",))))
    assert [script.line(f"new a{number} buy 1 @100")[0][:3] for number in range(3)] == ["A A"] * 3


# --- a replace that names another account or venue ---


@pytest.mark.parametrize("given", ["", f"account={ACCOUNT}"])
def test_a_replace_stays_in_its_account_and_at_its_venue(given: str) -> None:
    accounts = {"": ACCOUNT, ACCOUNT: ACCOUNT, "spare": ACCOUNT}
    settings = core_settings(sessions={"OMS44": session_settings("OMS44", accounts=accounts)})
    script = Script(World(settings))
    script.line(f"new a buy 1 @100 {given}")
    for field, tag, value, expected in (
        ("account", 1, "nosuch", ACCOUNT), ("ex_destination", 100, "NASD", VENUE),
    ):  # fmt: skip
        assert script.line(f"replace b a 2 @100 {field}={value}") == ["9.2 A b<a MISMATCH"]
        assert refused(script) == ("MISMATCH", tag, value, expected)
    # by any name that the session has for it
    last = "a"
    for number, same in enumerate((f"account={ACCOUNT}", "account=spare", f"ex_destination={VENUE}", "")):
        (shown, *_) = [item for item in script.line(f"replace r{number} {last} 2 @{90 + number} {same}") if item[0] in "9E"]
        assert shown == f"E E r{number}<{last} 0/{1 if last == 'a' else 2}"
        script.line(f"done C{number + 1} canceled 0")
        script.line(f"ack C{number + 2}")
        last = f"r{number}"


# --- a refusal names tag, value and limit (that each has them: core_world.check_refusal) ---


@pytest.mark.parametrize(
    ("story", "told"),
    [
        (
            "ack C1 | 0 0 a 0/1\ncancel b a | cancel C1; 6 6 b<a 0/1\ntrade C1 t1 1 | F 6 a 1/0; 9.1 2 b<a TOO_LATE",
            "an open order",
        ),
        (
            "ack C1 | 0 0 a 0/1\nreplace b a 2 @99 | cancel C1; E E b<a 0/1\ncancel c a | 9.2 0 b<a SUPERSEDED; 6 6 c<a 0/1",
            "no cancel of the order",
        ),
        (
            "ack C1 | 0 0 a 0/1\ncancel b a | cancel C1; 6 6 b<a 0/1\ncancel-reject C1 | 9.1 0 b<a CANCEL_FAILED",
            "a cancel that the venue takes",
        ),
        (
            "replace b a 2 @99 | cancel C1; E E b<a 0/1\ndone C1 canceled 0 | 0 E a 0/1; place C2 2@99 GTC\n"
            "reject C2 | 9.2 0 b<a REPLACE_FAILED; 4 4 a 0/0 REPLACE_FAILED",
            "an order that the venue takes",
        ),
        ("replace b a 2 @99 | cancel C1; E E b<a 0/1\nreject C1 | 8 8 a 0/0 VENUE_REJECT; 9.2 8 b<a TOO_LATE", "an open order"),
    ],
)
def test_a_refused_cancel_or_replace_names_the_order_and_what_would_do(story: str, told: str) -> None:
    script = play("new a buy 1 @100 | A A a 0/1; place C1 1@100 GTC\n" + story)
    (reject,) = (message for message in script.told if isinstance(message, CancelReject))
    assert (reject.reason_tag, reject.reason_value, reject.reason_limit) == (41, "a", told)


def test_a_replace_whose_venue_is_gone_names_it() -> None:
    script = play(
        """
        new a buy 1 @100     | A A a 0/1; place C1 1@100 GTC
        replace b a 2 @99    | cancel C1; E E b<a 0/1
        link down            | DOWN; I E a 0/1 OUTCOME_UNKNOWN; query C1
        """
    )
    script.line("answer C1 canceled cum=0")
    (reject,) = (message for message in script.told if isinstance(message, CancelReject))
    assert (reject.reason, reject.reason_tag, reject.reason_value, reject.reason_limit) == ("REPLACE_FAILED", 100, VENUE, "READY")


def test_a_venue_reject_says_what_was_wanted() -> None:
    script = Script()
    script.line("new a buy 1 @100")
    script.line("reject C1")
    assert refused(script) == ("VENUE_REJECT", 11, "a", "an order that the venue takes")


def test_times_are_told_as_the_client_writes_them() -> None:
    """FIRST_NS is 2023-11-14 22:13:20 UTC; a few ms have passed."""
    script = Script()
    script.line("new a buy 1 @100 tif=6 expire_ns=-5")
    reason, tag, value, limit = refused(script)
    assert (reason, tag) == ("INVALID_VALUE", 126) and value.startswith("20231114-22:13:15.0")
    assert limit.startswith("later than now, 20231114-22:13:20.0")
    world = script.world
    day = world.now_ns // DAY_NS * DAY_NS
    order = {"symbol": SYMBOL, "side": "1", "ord_type": "2", "price": D(100), "order_qty": D(1), "quotes": world.quotes}
    past = world.client(NewOrder, cl_ord_id="b", tif="6", expire_ns=day, expire_tag=432, **order)
    (message,) = (event.message for event in world.run(past) if isinstance(event, Reported))
    assert isinstance(message, Report)
    assert (message.reason_tag, message.reason_value, message.reason_limit) == (432, "20231113", "20231114 or later")
    for tag in (122, 60):
        sent_ns = world.now_ns - 31 * SECOND
        old = world.client(NewOrder, cl_ord_id=f"o{tag}", tif="1", poss_resend=True, origin_ns=sent_ns, origin_tag=tag, **order)
        (message,) = (event.message for event in world.run(old) if isinstance(event, Reported))
        assert isinstance(message, Report) and (message.reason, message.reason_tag) == ("STALE_REQUEST", tag)
        assert (message.reason_value, message.reason_limit) == (utc_text(sent_ns), "at most 30 s old")


@pytest.mark.parametrize("seconds", [0, 951_782_400, 951_868_799, 4_107_542_400, 9_200_000_000])
@pytest.mark.parametrize("rest", [0, 1])
def test_utc_texts(seconds: int, rest: int) -> None:
    ns = seconds * SECOND + rest
    shown = time.strftime("%Y%m%d-%H:%M:%S", time.gmtime(ns // SECOND))
    assert utc_text(ns) == shown + (".000000001" if ns % SECOND else "")
    assert utc_date(ns) == shown[:8]
    days = range(0, 200_000, 37)
    assert [utc_date(day * DAY_NS) for day in days] == [time.strftime("%Y%m%d", time.gmtime(day * 86_400)) for day in days]


def test_the_age_of_the_market_data_and_its_limit_are_told() -> None:
    script = Script(World(limited("staleness", max_quote_age_ns=2 * SECOND)))
    script.world.tick(3 * SECOND)
    script.line("new a buy 1 @100")
    reason, tag, value, limit = refused(script)
    assert (reason, tag, limit) == ("STALE_MARKET_DATA", 55, "at most 2000 ms old")
    assert value.startswith("300") and value.endswith(" ms old")


# --- market sells go out as limits at the collar, and are valued there ---


def test_a_market_sell_that_the_venue_would_value_too_low_is_refused_at_once() -> None:
    """By a bid of 100 0.1 is valued at 4.9 at the collar of 51 %; the venue's minimum is 5."""
    script = Script(World(limited("collar", collar_bps="5100")))
    assert script.line("new a sell 0.1 ord_type=1") == ["8 8 a 0/0 MIN_NOTIONAL"]
    assert refused(script)[2:] == ("4.900", "5")
    assert script.line("new b sell 0.2 ord_type=1")[0].startswith("A A b")
    # it may come to the market at its stop price
    assert script.line("new c sell 0.1 ord_type=3 stop_px=98") == ["8 8 c 0/0 MIN_NOTIONAL"]
    # a limit is valued at its own price, a buy not below the market
    assert script.line("new d sell 0.1 @95")[0].startswith("A A d")
    assert script.line("new e buy 0.1 ord_type=1")[0].startswith("A A e")


@pytest.mark.parametrize("bps", ["10000", "1000000"])
def test_a_collar_of_the_whole_price_binds_no_sell(bps: str) -> None:
    script = Script(World(limited("collar", collar_bps=bps)))
    assert script.line("new a sell 1 ord_type=1")[-1] == "place C1 1@market IOC"

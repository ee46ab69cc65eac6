"""The quotes that a replace is stamped with: those of the order that is meant, whatever the message calls its instrument."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from core_world import (
    FIRST_NS,
    INSTALL,
    SYMBOL,
    VENUE,
    VENUE_ACCOUNT,
    core_settings,
    instrument_specs,
    session_settings,
)

from fixgw.core import commands as c
from fixgw.core import events as e
from fixgw.core.reports import CancelReject
from fixgw.core.settings import CoreSettings, Limits
from fixgw.core.state import new_state
from fixgw.engine import Engine
from fixgw.fix.inbound import Context, parse
from fixgw.journal.store import Journal
from fixgw.marketdata.edge import Edge
from fixgw.venues.wire import BookUpdate

WAIT_S = 20.0
D = Decimal
OTHER = "ETH/USDT"
ASK = {SYMBOL: D("60001"), OTHER: D("3001")}


def settings(**symbols: str) -> CoreSettings:
    """Session OMS44 calls BTC/USDT also what `symbols` says; at most 100,000 an order, nothing on data older than 5 s."""
    limits = Limits(max_notional={"*": D(100_000)}, max_quote_age_ns=5 * 10**9)
    names = {SYMBOL: SYMBOL, OTHER: OTHER, **symbols}
    sessions = {"OMS44": session_settings("OMS44", limits=limits, symbols=names), "OMS42": session_settings("OMS42")}
    return core_settings(sessions=sessions, risk_stages=("session_state", "staleness", "notional"), cl_ord_id_retention_ns=1)


class Rig:
    """An engine on a real journal, its edge with quotes of both instruments, and a FIX 5.0SP2 client."""

    def __init__(self, directory: Path) -> None:
        self.journal = Journal.open(directory, segment_bytes=1 << 20, reserve_bytes=1 << 20)
        self.engine = Engine(self.journal, new_state(), on_fatal=pytest.fail, clock=lambda: FIRST_NS)
        self.edge = Edge(self.engine)
        self.number = 0
        self.now_ns = FIRST_NS
        for command in (
            c.EngineStart(ts_ns=1, install=INSTALL, epoch=1, clean=True, rebooted=False),
            c.LoadSettings(ts_ns=1, settings=settings(COIN=SYMBOL)),
            c.InstrumentsReport(ts_ns=1, venue=VENUE, instruments=instrument_specs()),
            c.VenueLink(ts_ns=1, venue=VENUE, up=True),
            c.VenueReconciled(ts_ns=2, venue=VENUE, account=VENUE_ACCOUNT, asked_ns=1),
        ):
            self.engine.call(command, WAIT_S)
        for symbol, ask in ASK.items():
            quote = c.Quote(bid=ask - 1, ask=ask, last=ask, recv_ns=FIRST_NS)
            self.edge.on_book(BookUpdate(venue=VENUE, symbol=symbol, quote=quote))

    def read(self, msg_type: str, body: str, session: str = "OMS44") -> c.ClientCommand:
        """A message of the client as the edge makes it a command."""
        self.number += 1
        raw = f"8=FIXT.1.1|9=0|35={msg_type}|34={self.number}|{body}|10=000|".replace("|", "\x01")
        edge = self.edge
        context = Context(
            session=session, reset_epoch=0, ts_ns=self.now_ns,
            quotes=lambda symbol: edge.quotes_of(edge.instrument_of(session, symbol)), order_quotes=edge.quotes_of_order,
        )  # fmt: skip
        return parse(raw, context)

    def order(self, cl_ord_id: str, symbol: str = SYMBOL, side: str = "2", price: str = "62000") -> c.ClientCommand:
        return self.read("D", f"11={cl_ord_id}|55={symbol}|54={side}|40=2|59=1|38=0.1|44={price}")

    def replace(self, named: str, qty: str = "0.2", price: str = "62000", session: str = "OMS44") -> c.ClientCommand:
        return self.read("G", f"11=new|{named}|54=2|40=2|38={qty}|44={price}", session)

    def call(self, command: c.ClientCommand) -> list[object]:
        """What leaves because of it."""
        record = self.engine.call(command, WAIT_S)
        assert record is not None
        return [event.message for event in record.events if isinstance(event, e.Reported)]

    def finish(self, cl_ord_id: str) -> None:
        """The venue cancels the order."""
        child = self.engine.state.orders[order_id(self, cl_ord_id)].children[0]
        self.engine.call(
            c.ChildDone(
                ts_ns=self.now_ns, venue=VENUE, venue_cl_ord_id=child, venue_order_id="v", status="canceled", cum_qty=D(0)
            ),
            WAIT_S,
        )

    def close(self) -> None:
        self.engine.stop()
        self.journal.close(clean=True)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path / "journal")
    yield made
    made.close()


def asks(command: c.ClientCommand) -> list[Decimal | None]:
    assert isinstance(command, c.ReplaceOrder), command
    return [quote.ask for quote in command.quotes.values()]


def order_id(rig: Rig, cl_ord_id: str) -> str:
    found = rig.engine.state.order_of("OMS44", cl_ord_id)
    assert found is not None
    return found


def test_a_replace_without_symbol_is_valued_as_one_with_it(rig: Rig) -> None:
    """A sell for less than the market is worth the market: 10 at 9000 are 600,000 (and 200 for what may still fill at the old
    price), not 90,000."""
    rig.call(rig.order("a"))
    for named in (f"41=a|55={SYMBOL}", "41=a", f"37={order_id(rig, 'a')}"):
        command = rig.replace(named, "10", "9000")
        assert asks(command) == [ASK[SYMBOL]], named
        (reject,) = rig.call(command)
        # by OrderID alone no ClOrdID is named, which a replace needs
        expected = ("MAX_NOTIONAL", "600200.0") if "41=" in named else ("MISMATCH", "")
        assert isinstance(reject, CancelReject) and (reject.reason, reject.reason_value) == expected, named
    # the data is fresh: what is within the limits is taken
    (pending,) = rig.call(rig.replace("41=a"))
    assert pending.exec_type == "E"  # type: ignore[attr-defined]


def test_any_name_of_the_chain_leads_to_the_order(rig: Rig) -> None:
    rig.call(rig.order("a"))
    rig.call(rig.replace("41=a"))
    assert asks(rig.replace("41=new")) == asks(rig.replace("41=a")) == [ASK[SYMBOL]]


def test_what_it_calls_the_instrument_changes_no_quote(rig: Rig) -> None:
    """Another symbol than the order's is refused by the core. A name that came to mean another instrument is still the one that
    the order was sent with: the core takes it, so the quotes must be of the order's instrument."""
    rig.call(rig.order("a", "COIN"))
    other = rig.replace(f"41=a|55={OTHER}")
    assert asks(other) == [ASK[SYMBOL]]
    (reject,) = rig.call(other)
    assert isinstance(reject, CancelReject) and (reject.reason, reject.reason_tag) == ("MISMATCH", 55)
    rig.engine.call(c.LoadSettings(ts_ns=3, settings=settings(COIN=OTHER)), WAIT_S)
    renamed = rig.replace("41=a|55=COIN", "10", "9000")
    assert asks(renamed) == [ASK[SYMBOL]]
    (reject,) = rig.call(renamed)
    assert isinstance(reject, CancelReject) and (reject.reason, reject.reason_value) == ("MAX_NOTIONAL", "600200.0")


@pytest.mark.parametrize("reused", [False, True], ids=["a new name", "a name that was free again"])
def test_an_order_that_was_sent_just_before_and_is_not_decided_yet(rig: Rig, reused: bool) -> None:
    """Someone holds the lead, so that the order waits in the inbox while the connection brings its replace. A finished order of
    another instrument may have had its ClOrdID, and be still at hand after the retention time."""
    if reused:
        rig.call(rig.order("a", OTHER, price="4000"))
        rig.finish("a")
        assert asks(rig.replace("41=a")) == [ASK[OTHER]]
        rig.now_ns += 2
    held, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        with rig.engine.reading():
            held.set()
            assert let_go.wait(WAIT_S)

    found: list[c.ClientCommand] = []
    holder = threading.Thread(target=hold, daemon=True)
    holder.start()
    assert held.wait(WAIT_S)
    before = rig.engine.state.order_of("OMS44", "a")
    rig.engine.submit(rig.order("a"))
    assert rig.engine.state.order_of("OMS44", "a") == before
    client = threading.Thread(target=lambda: found.append(rig.replace("41=a", "10", "9000")), daemon=True)
    client.start()
    let_go.set()
    for thread in (client, holder):
        thread.join(WAIT_S)
    assert asks(found[0]) == [ASK[SYMBOL]] and order_id(rig, "a") != before
    (reject,) = rig.call(found[0])
    assert isinstance(reject, CancelReject) and reject.reason == "MAX_NOTIONAL"


def test_what_is_nobodys_order_has_no_quotes_and_is_unknown(rig: Rig) -> None:
    rig.call(rig.order("a"))
    for named, session in (("41=x", "OMS44"), ("37=nosuch", "OMS44"), (f"41=x|37={order_id(rig, 'a')}", "OMS42")):
        command = rig.replace(named, session=session)
        assert asks(command) == []
        (reject,) = rig.call(command)
        assert isinstance(reject, CancelReject) and (reject.reason, reject.order_id) == ("UNKNOWN_ORDER", "NONE")
    # with a symbol it has that one's, as ever
    assert asks(rig.replace(f"41=x|55={OTHER}")) == [ASK[OTHER]]


def test_no_lock_is_asked_for_where_the_order_is_at_hand(rig: Rig) -> None:
    rig.call(rig.order("a"))
    with rig.engine.reading():
        for named in ("41=a", f"37={order_id(rig, 'a')}", f"41=x|55={SYMBOL}"):
            assert asks(rig.replace(named)) == [ASK[SYMBOL]]

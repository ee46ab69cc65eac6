"""A small language for the life of orders: one line per command, and what came of it.

    new a buy 1 @100 | A A a 0/1; place C1 1@100 GTC       <- command | expectations, separated by ";"
    ack C1           | 0 0 a 0/1                           <- ExecType OrdStatus ClOrdID CumQty/LeavesQty
    replace b a 2 @99 | E E b<a 0/1; cancel C1             <- ClOrdID<OrigClOrdID; a line that starts with "|" continues

Reports: "EXEC STATUS CL[<ORIG] CUM/LEAVES [REASON]", "?" in front of a status reply; OrderCancelReject: "9.RESPONSE_TO STATUS
CL<ORIG REASON"; BusinessMessageReject: "j REASON"; effects: place, cancel, amend, query, orphan, reconcile; "!KIND" is an alert.
C1, C2... are children in the order of their placing, o1, o2... orders. Time passes by 1 ms a command, "+5s" waits and
lets the timers that are due come. Words with "=" are fields. "-" expects nothing.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from core_world import SECOND, SYMBOL, VENUE, VENUE_ACCOUNT, World

from fixgw.core import commands as c
from fixgw.core import events as e
from fixgw.core.draft import Refusal
from fixgw.core.reports import BusinessReject, CancelReject, Message, Report
from fixgw.marketdata.edge import due_timers

SIDES = {"buy": "1", "sell": "2"}
TIFS = {"0": "DAY", "1": "GTC", "3": "IOC", "4": "FOK", "6": "GTD"}
DECIMALS = ("order_qty", "cash_qty", "price", "stop_px", "qty", "px")


class Script:
    """Runs lines on a world and renders what came."""

    def __init__(self, world: World | None = None) -> None:
        self.world = world or World()
        self.children: list[str] = []
        self.orders: list[str] = []
        self.trades = 0
        # the messages of the last command, whole
        self.told: list[Message] = []

    def line(self, text: str) -> list[str]:
        """Run one command; what came of it, rendered."""
        word, *args = text.split()
        if word.startswith("+"):
            return self._wait(Decimal(word[1:].rstrip("s")))
        fields = dict(arg.split("=", 1) for arg in args if "=" in arg)
        plain = [arg for arg in args if "=" not in arg]
        command = getattr(self, "_" + word.replace("-", "_"))(plain, fields)
        try:
            events = self.world.run(command) if isinstance(command, c.Command) else command
        except Refusal as refusal:
            return ["refused: " + self._short(str(refusal))]
        self.world.check()
        return self._render(events)

    # --- commands ---

    def _wait(self, seconds: Decimal) -> list[str]:
        self.world.tick(int(seconds * SECOND))
        shown = []
        for key in due_timers(self.world.state, self.world.now_ns):
            shown += self._render(self.world.run(c.Timer(ts_ns=self.world.now_ns, key=key)))
            self.world.check()
        return shown

    def _client(self, kind: type[c.ClientCommand], fields: dict[str, str], **given: Any) -> c.Command:
        session = fields.pop("as", "OMS44")
        for key, value in fields.items():
            given[key] = Decimal(value) if key in DECIMALS else value == "1" if key.startswith("poss") else value
        if "expire_ns" in given:
            given["expire_ns"] = self.world.now_ns + int(given["expire_ns"]) * SECOND
        if "msg_seq" in given:
            given["msg_seq"] = int(given["msg_seq"])
        if "age" in given:
            given["origin_ns"] = self.world.now_ns - int(given.pop("age")) * SECOND
        return self.world.client(kind, session, **given)

    def _order_fields(self, words: list[str]) -> dict[str, Any]:
        """"1 @100": quantity, then the price of a limit order; a price makes it one."""
        found: dict[str, Any] = {"quotes": self.world.quotes}
        for word in words:
            found["price" if word.startswith("@") else "order_qty"] = Decimal(word.lstrip("@"))
        return found

    def _new(self, words: list[str], fields: dict[str, str]) -> c.Command:
        given = self._order_fields(words[2:])
        given["ord_type"] = "2" if "price" in given else "1"
        fields.setdefault("tif", "1")
        return self._client(c.NewOrder, fields, cl_ord_id=words[0], symbol=SYMBOL, side=SIDES[words[1]], **given)

    def _replace(self, words: list[str], fields: dict[str, str]) -> c.Command:
        side = SIDES[fields.pop("side", "buy")]
        given = self._order_fields(words[2:])
        given["ord_type"] = "2" if "price" in given else "1"
        given |= {"cl_ord_id": words[0], "orig_cl_ord_id": words[1], "symbol": SYMBOL, "side": side}
        return self._client(c.ReplaceOrder, fields, **given)

    def _cancel(self, words: list[str], fields: dict[str, str]) -> c.Command:
        return self._client(c.CancelOrder, fields, cl_ord_id=words[0], orig_cl_ord_id=words[1])

    def _status(self, words: list[str], fields: dict[str, str]) -> c.Command:
        return self._client(c.StatusRequest, fields, cl_ord_id=words[0])

    def _child(self, name: str) -> str:
        return self.children[int(name[1:]) - 1] if name[0] == "C" and name[1:].isdigit() else name

    def _order(self, name: str) -> str:
        return self.orders[int(name[1:]) - 1] if name[1:].isdigit() else name

    def _of_child(self, kind: type[c.VenueCommand], name: str, **fields: Any) -> c.Command:
        return kind(ts_ns=self.world.tick(), venue=VENUE, venue_cl_ord_id=self._child(name), **fields)

    def _ack(self, words: list[str], _fields: dict[str, str]) -> c.Command:
        return self._of_child(c.ChildAck, words[0], venue_order_id="v" + words[0])

    def _reject(self, words: list[str], _fields: dict[str, str]) -> c.Command:
        if "unsent" in words:
            return self._of_child(c.ChildReject, words[0], code="EXPIRED_IN_HOST", text="its deadline passed", sent=False)
        if "withdrawn" in words:
            fields = {"code": "WITHDRAWN", "text": "it was canceled while it waited", "sent": False, "withdrawn": True}
            return self._of_child(c.ChildReject, words[0], **fields)
        return self._of_child(c.ChildReject, words[0], code="-2010", text="insufficient balance")

    def _ambiguous(self, words: list[str], _fields: dict[str, str]) -> c.Command:
        return self._of_child(c.ChildAmbiguous, words[0], op=words[1], code="TIMEOUT", text="no answer")

    def _make_trade(self, name: str, trade_id: str, amount: str, **fields: str) -> c.VenueTrade:
        """`amount`: QTY or QTY@PX. "?C1" is a trade of C1 by the venue's number alone: its host does not know our id. `age`:
        seconds since it was made, else that is not told."""
        qty, _, px = amount.partition("@")
        if name.startswith("?"):
            name, fields = name[1:], {"venue_cl_ord_id": "", **fields}
        child = self.world.state.children.get(self._child(name))
        values: dict[str, Any] = {"account": VENUE_ACCOUNT, "symbol": SYMBOL, "venue_order_id": "v" + name}
        values |= {"venue_cl_ord_id": self._child(name), "side": child.side if child else "1", **fields}
        if "fee" in values:
            values |= {"fee": Decimal(values["fee"]), "fee_asset": values.get("fee_asset", "BTC")}
        if "age" in values:
            values["venue_ns"] = self.world.now_ns - int(values.pop("age")) * SECOND
        return c.VenueTrade(venue_trade_id=trade_id, qty=Decimal(qty), px=Decimal(px or 100), **values)

    def _trade(self, words: list[str], fields: dict[str, str]) -> c.Command:
        return c.ChildTrade(ts_ns=self.world.tick(), venue=VENUE, trade=self._make_trade(*words, **fields))

    def _trade_list(self, name: str, text: str) -> tuple[c.VenueTrade, ...]:
        """"t1:0.4,t2:0.6@99"; with a child in front where none is given: "C1:t1:0.4"."""
        items = [item.split(":") for item in text.split(",") if item]
        return tuple(self._make_trade(*(item if len(item) == 3 else [name, *item])) for item in items)

    def _done(self, words: list[str], _fields: dict[str, str]) -> c.Command:
        cum_qty = Decimal(words[2]) if len(words) > 2 else None
        return self._of_child(c.ChildDone, words[0], venue_order_id="v" + words[0], status=words[1], cum_qty=cum_qty)

    def _cancel_reject(self, words: list[str], _fields: dict[str, str]) -> c.Command:
        return self._of_child(c.ChildCancelReject, words[0], code="-2011", text="no", unknown_order="unknown" in words)

    def _amended(self, words: list[str], _fields: dict[str, str]) -> c.Command:
        return self._of_child(c.ChildAmended, words[0], qty=Decimal(words[1]))

    def _amend_reject(self, words: list[str], _fields: dict[str, str]) -> c.Command:
        return self._of_child(c.ChildAmendReject, words[0], code="-2038", text="no")

    def _answer(self, words: list[str], fields: dict[str, str]) -> c.Command:
        """The answer to a query, asked now or `asked` seconds ago."""
        found = words[1] not in ("not_found", "error")
        return self._of_child(
            c.ChildQueryResult, words[0], outcome=words[1], venue_order_id="v" + words[0] if found else "",
            asked_ns=self.world.now_ns - int(Decimal(fields.get("asked", "0")) * SECOND),
            cum_qty=Decimal(fields["cum"]) if "cum" in fields else None,
            trades=self._trade_list(words[0], fields.get("trades", "")), trades_checked=fields.get("checked", "1") == "1",
        )  # fmt: skip

    def _link(self, words: list[str], _fields: dict[str, str]) -> c.Command:
        return c.VenueLink(ts_ns=self.world.tick(), venue=VENUE, up=words[0] == "up", reason="lost")

    def _reconciled(self, _words: list[str], fields: dict[str, str]) -> c.Command:
        """open=C1:0.4,C2:0 trades=C1:t1:0.4"""
        listed = []
        for item in fields.get("open", "").split(","):
            name, _, cum = item.partition(":")
            if name:
                our_id = self._child(name)
                child = self.world.state.children.get(our_id)
                listed.append(
                    c.OpenOrder(
                        venue_cl_ord_id=our_id, venue_order_id="v" + name, symbol=SYMBOL, side="1",
                        qty=child.qty if child else Decimal(1), cum_qty=Decimal(cum or 0),
                    )
                )  # fmt: skip
        return c.VenueReconciled(
            ts_ns=self.world.tick(), venue=VENUE, account=VENUE_ACCOUNT, asked_ns=self.world.now_ns,
            open_orders=tuple(listed), trades=self._trade_list("", fields.get("trades", "")),
        )  # fmt: skip

    def _trigger(self, words: list[str], _fields: dict[str, str]) -> c.Command:
        px = Decimal(words[1])
        return c.TriggerStop(ts_ns=self.world.tick(), order_id=self._order(words[0]), trigger_px=px, quotes=self.world.quotes)

    def _kill(self, words: list[str], _fields: dict[str, str]) -> c.Command:
        target = words[2] if len(words) > 2 else ""
        return c.AdminKill(ts_ns=self.world.tick(), scope=words[1], target=target, level=words[0], user="ann", reason="test")

    def _resume(self, words: list[str], _fields: dict[str, str]) -> c.Command:
        target = words[1] if len(words) > 1 else ""
        return c.AdminResume(ts_ns=self.world.tick(), scope=words[0], target=target, user="ann", reason="test")

    def _admin_cancel(self, words: list[str], _fields: dict[str, str]) -> c.Command:
        return c.AdminCancel(ts_ns=self.world.tick(), order_id=self._order(words[0]), user="ann", reason="test")

    def _resolve(self, words: list[str], fields: dict[str, str]) -> c.Command:
        values: dict[str, Any] = {key: Decimal(value) if key in DECIMALS else value for key, value in fields.items()}
        return c.AdminResolve(
            ts_ns=self.world.tick(), order_id=self._order(words[0]), outcome=words[1], user="ann",
            **({"evidence": "mail"} | values),
        )  # fmt: skip

    def _logon(self, words: list[str], _fields: dict[str, str]) -> c.Command:
        number = self.world.number(words[0])
        return c.SessionLogon(ts_ns=self.world.tick(), session=words[0], reset=False, msg_seq=number)

    def _logout(self, words: list[str], _fields: dict[str, str]) -> c.Command:
        return c.SessionLogout(ts_ns=self.world.tick(), session=words[0], reason="lost")

    def _restart(self, _words: list[str], fields: dict[str, str]) -> list[e.AnyEvent]:
        read = {"sync": str, "projected": int}
        return self.world.start(**{key: read.get(key, lambda text: text == "1")(value) for key, value in fields.items()})

    # --- rendering ---

    def _render(self, events: list[e.AnyEvent]) -> list[str]:
        shown = []
        self.told = [event.message for event in events if isinstance(event, e.Reported)]
        for event in events:
            if isinstance(event, e.OrderReceived):
                self.orders.append(event.order_id)
            elif isinstance(event, e.ChildPlaced):
                self.children.append(event.venue_cl_ord_id)
            found = self._show(event)
            if found:
                shown.append(found)
        return shown

    def _short(self, text: str) -> str:
        for number, child in enumerate(self.children, 1):
            text = text.replace(child, f"C{number}")
        for number, order in enumerate(self.orders, 1):
            text = text.replace(order, f"o{number}")
        return text

    def _name(self, child: str) -> str:
        return f"C{self.children.index(child) + 1}" if child in self.children else child

    def _show(self, event: e.AnyEvent) -> str:
        match event:
            case e.Reported():
                return _show_message(event.message)
            case e.ChildPlaced():
                px = "market" if event.px is None else f"{event.px}"
                return f"place {self._name(event.venue_cl_ord_id)} {event.qty}@{px} {TIFS[event.tif]}"
            case e.ChildCancelSent():
                return "cancel " + self._name(event.venue_cl_ord_id)
            case e.ChildAmendSent():
                return f"amend {self._name(event.venue_cl_ord_id)} {event.qty}"
            case e.ChildQueried():
                return "query " + self._name(event.venue_cl_ord_id)
            case e.OrphanCancelSent():
                return "orphan " + self._name(event.order.venue_cl_ord_id)
            case e.ReconcileRequested():
                return "reconcile"
            case e.ExternalFill():
                return "external " + event.trade.venue_trade_id
            case e.VenueStateChanged():
                return event.state
            case e.KillSet():
                return f"{event.scope} {event.target} {event.level}".replace("  ", " ")
            case e.Alerted():
                return "!" + event.kind
            case _:
                return ""


def _show_message(message: Report | CancelReject | BusinessReject) -> str:
    if isinstance(message, BusinessReject):
        return "j " + message.reason
    if isinstance(message, CancelReject):
        return f"9.{message.response_to} {message.ord_status} {message.cl_ord_id}<{message.orig_cl_ord_id} {message.reason}"
    ids = message.cl_ord_id + (f"<{message.orig_cl_ord_id}" if message.orig_cl_ord_id else "")
    shown = f"{message.exec_type} {message.ord_status} {ids} {message.cum_qty}/{message.leaves_qty} {message.reason}".strip()
    return ("?" if message.status_reply else "") + shown


def parse(story: str) -> list[tuple[str, list[str]]]:
    """(command, expectations) of each line."""
    rows: list[tuple[str, list[str]]] = []
    for line in story.strip().splitlines():
        command, _, expected = line.partition("|")
        wanted = [item.strip() for item in expected.split(";") if item.strip() and item.strip() != "-"]
        if command.strip():
            rows.append((command.strip(), wanted))
        elif line.strip():
            rows[-1][1].extend(wanted)
    return rows


def play(story: str, world: World | None = None) -> Script:
    """Run a story; AssertionError shows the whole of it as it really went."""
    script = Script(world)
    went, wanted = [], []
    for command, expected in parse(story):
        came = script.line(command)
        went.append(f"{command:34} | {'; '.join(came) or '-'}")
        wanted.append(f"{command:34} | {'; '.join(expected) or '-'}")
        assert went == wanted, "the story went:\n" + "\n".join(went)
    script.world.check_snapshot(len(script.world.records) // 2)
    return script

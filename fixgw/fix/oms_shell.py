"""The commands of the small FIX client (`fixgw oms`), apart from screen and connection.

Each command is one method `do_<name>(words)`; its docstring is its help. A CommandError says what was expected and
the shell goes on; an ExpectationFailed is what a script is for.
"""

import re
import time
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Final

from fixgw.fix.client import ClientError, FixClient, FixMessage
from fixgw.fix.client_orders import OrderView
from fixgw.fix.dictionary import Dictionary

TIME_IN_FORCE: Final = {"day": "0", "gtc": "1", "ioc": "3", "fok": "4"}
STATUSES: Final = {
    "new": "0",
    "partial": "1",
    "filled": "2",
    "canceled": "4",
    "replaced": "5",
    "pendingcancel": "6",
    "rejected": "8",
    "pendingnew": "A",
    "expired": "C",
    "pendingreplace": "E",
}
_VIEW_FIELDS: Final = {
    "qty": "order_qty",
    "cum": "cum_qty",
    "leaves": "leaves_qty",
    "avg": "avg_px",
    "price": "price",
    "text": "text",
    "reports": "reports",
}
_MAX_WAIT_S: Final = 3600.0


class CommandError(Exception):
    """A command that cannot be understood or done."""


class ExpectationFailed(Exception):
    """`wait` or `expect` did not see what it should."""


class Shell:
    """Runs command lines on a FixClient. say(text) prints a line, table(orders) and log(messages) show lists."""

    def __init__(
        self,
        client: FixClient,
        names: Dictionary,
        say: Callable[[str], None],
        table: Callable[[list[OrderView]], None],
        log: Callable[[list[FixMessage]], None],
    ) -> None:
        self.client, self.names = client, names
        self.say, self.table, self.log = say, table, log
        self.labels: dict[str, str] = {}
        self.last = ""
        self._expected = 0  # number of the last message that an `expect TAG=VALUE` has taken

    def run(self, line: str) -> bool:
        """Runs one line; False: the user wants to leave. Raises CommandError, ExpectationFailed."""
        line = line.strip()
        if not line or line.startswith("#"):
            return True
        name, _, rest = line.partition(" ")
        if name in ("quit", "exit"):
            return False
        command: Callable[[str], None] | None = getattr(self, f"do_{name.lower()}", None)
        if command is None:
            raise CommandError(f"{name!r} is no command; try: help")
        try:
            command(rest.strip())
        except (ClientError, TypeError) as error:
            raise CommandError(str(error)) from error
        return True

    # -- orders

    def do_buy(self, rest: str) -> None:
        """buy QTY|cash AMOUNT SYMBOL [@ PRICE] [stop PX] [day|gtc|ioc|fok|gtd TIME] [postonly] [account A] [on
        VENUE] [as LABEL]: without @ a market order; gtd takes YYYYMMDD or YYYYMMDD-HH:MM:SS (UTC)"""
        self._new("buy", rest)

    def do_sell(self, rest: str) -> None:
        """sell ...: as buy"""
        self._new("sell", rest)

    def _new(self, side: str, rest: str) -> None:
        words = rest.split()
        cash = _take(words, "cash") if words and words[0] == "cash" else ""
        quantity = "" if cash else words.pop(0) if words else ""
        if not words:
            raise CommandError(f"expected: {side} QTY SYMBOL [@ PRICE] ...; see help")
        symbol = words.pop(0)
        price, stop, label = _take(words, "@"), _take(words, "stop"), _take(words, "as")
        extra: list[tuple[int, object]] = []
        time_in_force = self._time_in_force(words, extra)
        if "postonly" in words:
            words.remove("postonly")
            extra.append((18, "6"))
        extra += [(tag, value) for tag, word in ((1, "account"), (100, "on")) if (value := _take(words, word))]
        if words:
            raise CommandError(f"{' '.join(words)!r} is not understood; see help")
        order = self.client.new_order(
            side,
            _number("QTY", quantity) if quantity else None,
            symbol,
            price=_number("PRICE", price) if price else None,
            stop_px=_number("stop", stop) if stop else None,
            cash_order_qty=_number("cash", cash) if cash else None,
            time_in_force=time_in_force,
            extra=extra,
        )
        self._sent(order, label)

    def _time_in_force(self, words: list[str], extra: list[tuple[int, object]]) -> str:
        until = _take(words, "gtd")
        if until:
            if not re.fullmatch(r"\d{8}(-\d\d:\d\d:\d\d)?", until):
                raise CommandError(f"gtd: {until!r}, expected YYYYMMDD or YYYYMMDD-HH:MM:SS")
            extra.append((126 if "-" in until else 432, until))
            return "6"
        found = [word for word in words if word in TIME_IN_FORCE]
        if len(found) > 1:
            raise CommandError(f"{' '.join(found)!r}: expected one time in force")
        for word in found:
            words.remove(word)
        return TIME_IN_FORCE[found[0]] if found else ""

    def do_replace(self, rest: str) -> None:
        """replace ID [qty QTY] [price PRICE] [stop PX] [as LABEL]"""
        words = rest.split()
        order = self._id(words)
        qty, price, stop = _take(words, "qty"), _take(words, "price"), _take(words, "stop")
        label = _take(words, "as")
        if words or not (qty or price or stop):
            raise CommandError("expected: replace ID [qty QTY] [price PRICE] [stop PX]")
        new = self.client.replace(
            order,
            order_qty=_number("qty", qty) if qty else None,
            price=_number("price", price) if price else None,
            stop_px=_number("stop", stop) if stop else None,
        )
        self._sent(new, label)

    def do_cancel(self, rest: str) -> None:
        """cancel ID | cancel all"""
        words = rest.split()
        if words == ["all"]:
            for view in self.client.orders.all():
                if not view.terminal:
                    self.client.cancel(view.cl_ord_id)
            return
        self.say(f"sent cancel {self.client.cancel(self._id(words))}")

    def do_status(self, rest: str) -> None:
        """status ID: asks the gateway how the order stands"""
        self.client.status(self._id(rest.split()))

    def do_raw(self, rest: str) -> None:
        """raw 35=D|11=x|...: sends any message; fields apart by | (header, length, checksum are filled in)"""
        pairs = []
        for part in filter(None, rest.replace("\x01", "|").split("|")):
            tag, equals, value = part.partition("=")
            if not equals or not tag.isdecimal():
                raise CommandError(f"raw: {part!r}, expected TAG=VALUE")
            pairs.append((int(tag), value))
        self.client.send(pairs)

    # -- looking

    def do_orders(self, rest: str) -> None:
        """orders: a table of this client's orders, by the reports received"""
        self.table(self.client.orders.all())

    def do_log(self, rest: str) -> None:
        """log [N]: the last N messages received (20)"""
        if rest and not rest.isdecimal():
            raise CommandError(f"log: {rest!r}, expected a number")
        self.log(self.client.messages[-int(rest or 20) :])

    def do_help(self, rest: str) -> None:
        """help: this list"""
        for name in sorted(name for name in dir(self) if name.startswith("do_")):
            self.say("  " + " ".join((getattr(self, name).__doc__ or "").split()))
        self.say("  quit")
        self.say("  ID is a ClOrdID, a LABEL given by `as`, or `last`")

    # -- scripts

    def do_sleep(self, rest: str) -> None:
        """sleep SECONDS"""
        time.sleep(_seconds(rest))

    def do_wait(self, rest: str) -> None:
        """wait STATUS ID SECONDS: until the order has this status (new, partial, filled, canceled, rejected,
        expired, pendingnew, pendingcancel, pendingreplace; replaced: the replace ID, or the newest one of the order
        ID, is confirmed; done: any final one); or: wait logon SECONDS"""
        words = rest.split()
        if len(words) == 2 and words[0] == "logon":
            try:
                self.client.wait_logon(_seconds(words[1]))
            except ClientError as error:
                raise ExpectationFailed(str(error)) from error
            return
        if len(words) != 3 or words[0] not in (*STATUSES, "done"):
            raise CommandError(f"wait: {rest!r}, expected STATUS ID SECONDS with STATUS of {', '.join(STATUSES)}, done")
        wanted, limit_s = words.pop(0), _seconds(words.pop())
        order = self._id(words)
        view = self._view([order])
        deadline = time.monotonic() + limit_s
        while not self._has(view, wanted, order):
            left = deadline - time.monotonic()
            seen = self.client.last_number
            if self._has(view, wanted, order):
                return
            try:
                self.client.wait_for(lambda message: True, max(left, 0), after=seen)
            except TimeoutError:
                state = self.names.value_name(39, view.ord_status) or "no report yet"
                raise ExpectationFailed(f"wait: {view.cl_ord_id} is not {wanted} in {limit_s} s: {state}") from None

    @staticmethod
    def _has(view: OrderView, wanted: str, order: str) -> bool:
        """`order`: the ClOrdID by which the view was asked for."""
        if wanted == "replaced":
            return view.is_replaced(order)
        return view.terminal if wanted == "done" else view.ord_status == STATUSES[wanted]

    def do_expect(self, rest: str) -> None:
        """expect ID status|qty|cum|leaves|avg|price|text|reports VALUE (now), or: expect TAG=VALUE ... [within
        SECONDS] (a message after the one that the last such expect took; a value may be $LABEL)"""
        words = rest.split()
        if words and re.match(r"\d+=", words[0]):
            self._expect_message(words)
            return
        if len(words) < 3:
            raise CommandError(f"expect: {rest!r}, expected ID FIELD VALUE or TAG=VALUE ...")
        order = self._id(words)
        view, field, wanted = self._view([order]), words.pop(0), " ".join(words)
        if field == "status":
            if wanted not in STATUSES and wanted != "done":
                raise CommandError(f"expect: status {wanted!r}, expected one of {', '.join(STATUSES)}, done")
            good, have = self._has(view, wanted, order), self.names.value_name(39, view.ord_status)
        elif field in _VIEW_FIELDS:
            have = str(getattr(view, _VIEW_FIELDS[field]))
            good = wanted in have if field == "text" else _same_number(have, wanted)
        else:
            raise CommandError(f"expect: {field!r}, expected status, {', '.join(_VIEW_FIELDS)}")
        if not good:
            raise ExpectationFailed(f"expect: {view.cl_ord_id} {field} is {have!r}, expected {wanted!r}")

    def _expect_message(self, words: list[str]) -> None:
        limit_s = _seconds(_take(words, "within") or "5")
        pairs = [word.partition("=") for word in words]
        if any(not equals or not tag.isdecimal() for tag, equals, _ in pairs):
            raise CommandError(f"expect: {' '.join(words)!r}, expected TAG=VALUE ...")
        wanted = [(int(tag), self.labels.get(value[1:], value) if value[:1] == "$" else value) for tag, _, value in pairs]
        try:
            message = self.client.wait_for(
                lambda m: all(value in m.all(tag) for tag, value in wanted), limit_s, after=self._expected
            )
        except TimeoutError:
            raise ExpectationFailed(f"expect: no message with {' '.join(words)} in {limit_s} s") from None
        self._expected = message.number

    # -- ids

    def _sent(self, order: str, label: str) -> None:
        self.last = order
        self.labels["last"] = order
        if label:
            self.labels[label] = order
        self.say(f"sent {order}")

    def _id(self, words: list[str]) -> str:
        if not words:
            raise CommandError("an order's ID is missing (ClOrdID, label or last)")
        word = words.pop(0)
        return self.labels.get(word, word)

    def _view(self, words: list[str]) -> OrderView:
        order = self._id(words)
        view = self.client.orders.get(order)
        if view is None:
            raise CommandError(f"order: {order!r} is not known to this client")
        return view


def _take(words: list[str], name: str) -> str:
    """Takes `name VALUE` out of the words; "" if it is not there. Raises CommandError."""
    if name not in words:
        return ""
    place = words.index(name)
    if place + 1 >= len(words):
        raise CommandError(f"{name}: a value is missing")
    value = words[place + 1]
    del words[place : place + 2]
    return value


def _number(name: str, text: str) -> str:
    """The text as it was typed (the gateway judges its decimals), if it is a number."""
    try:
        good = Decimal(text).is_finite() and re.fullmatch(r"-?\d*\.?\d+|-?\d+\.", text) is not None
    except InvalidOperation:
        good = False
    if not good:
        raise CommandError(f"{name}: {text!r}, expected a number")
    return text


def _same_number(have: str, wanted: str) -> bool:
    try:
        return Decimal(have) == Decimal(wanted)
    except InvalidOperation:
        return have == wanted


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds <= _MAX_WAIT_S:
        raise CommandError(f"seconds: {text!r}, expected 0 to {_MAX_WAIT_S:.0f}")
    return seconds

"""A FIX initiator for people, tools and tests, on the real QuickFIX engine.

    with FixClient("127.0.0.1", 9880, "FIX.4.4", "OMS44", "FIXGW") as client:
        client.wait_logon(5)
        order = client.new_order("buy", "0.5", "BTC/USDT", price="60000")
        report = client.wait_for(lambda m: m.get(11) == order and m.get(39) == "2", 5)

Rules that the engine forces (each cost somebody a day):
- An exception that leaves a callback ends the process, so every callback is guarded and puts it into `errors`.
- A message kept beyond its callback turns into garbage, so only its text is kept.
- Each callback makes and destroys a Python thread state unless one is pinned to the engine's thread.
- Every object given to the engine must be kept alive, hence `_keep`.
Times are ns since 1970. Texts with SOH in them (raw data fields) are not supported.
"""

import atexit
import collections
import ctypes
import itertools
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import quickfix

from fixgw.fix.client_orders import OrderBook, OrderView
from fixgw.fix.dictionary import FILES, fix_specs_dir

SOH: Final = "\x01"
INBOX_MESSAGES: Final = 200_000
_MAX_ERRORS: Final = 100
_ADMIN: Final = frozenset(["0", "1", "2", "3", "4", "5", "A"])

Fields = Mapping[int, object] | Iterable[tuple[int, object]]


class ClientError(Exception):
    """What was asked cannot be done now: not logged on, no such order, a bad value."""


@dataclass(frozen=True, slots=True)
class FixMessage:
    """A message that came in: (tag, value) pairs in their order on the wire, and when it came."""

    pairs: tuple[tuple[int, str], ...]
    raw: str
    received_ns: int
    number: int

    def get(self, tag: int, default: str = "") -> str:
        """The first value of a tag, or the default."""
        return next((value for number, value in self.pairs if number == tag), default)

    def all(self, tag: int) -> list[str]:
        """All values of a tag (repeating groups)."""
        return [value for number, value in self.pairs if number == tag]

    def as_dict(self) -> dict[int, str]:
        """Tag -> value; of repeated tags the last one."""
        return dict(self.pairs)

    @property
    def msg_type(self) -> str:
        return self.get(35)


def parse_pairs(raw: str) -> tuple[tuple[int, str], ...]:
    """SOH-separated text to (tag, value) pairs; pieces without a numeric tag are left out."""
    parts = (part.partition("=") for part in raw.split(SOH))
    return tuple((int(tag), value) for tag, _, value in parts if tag.isascii() and tag.isdigit())


class FixClient:
    """One FIX session as initiator. It reconnects by itself (1 s) until stop()."""

    def __init__(
        self,
        host: str,
        port: int,
        begin_string: str,
        sender: str,
        target: str,
        *,
        store_dir: str | Path | None = None,
        reset: bool = False,
        heartbeat_s: int = 30,
        dictionary: str | Path | None = None,
        username: str = "",
        password: str = "",
        logon_fields: Fields = (),
        qualifier: str = "",
        on_message: Callable[[FixMessage], None] | None = None,
        inbox_max: int = INBOX_MESSAGES,
    ) -> None:
        """store_dir: where the sequence numbers live (None: in memory). reset: log on with 141=Y. dictionary: a
        folder of dictionaries instead of fix_specs; "" validates nothing. logon_fields: more fields for the Logon.
        on_message runs on the engine's thread. inbox_max: how many messages `messages` keeps."""
        if begin_string not in FILES:
            raise ClientError(f"begin_string: {begin_string!r}, expected one of {', '.join(FILES)}")
        self.begin_string, self.sender, self.target = begin_string, sender, target
        self.session_id = quickfix.SessionID(begin_string, sender, target, qualifier)
        self.orders = OrderBook()
        self.errors: collections.deque[BaseException] = collections.deque(maxlen=_MAX_ERRORS)
        self.logged_on = False
        self.logons = 0
        self._on_message = on_message
        self._logon_fields = list(_pairs(logon_fields))
        self._logon_fields += [(tag, value) for tag, value in ((553, username), (554, password)) if value]
        self._inbox: collections.deque[FixMessage] = collections.deque(maxlen=inbox_max)
        self._condition = threading.Condition()
        self._numbers = itertools.count(1)
        self._ids = itertools.count(1)
        self._id_prefix = f"{sender[:8]}-{time.time_ns() // 1_000_000 % 10**9}"
        folder = fix_specs_dir() if dictionary is None else Path(dictionary) if dictionary else None
        self._specs = [folder / f"{name}.xml" for name in FILES[begin_string]] if folder else []
        self._group_dictionaries: list[Any] = []
        self._settings_text = self._settings(host, port, store_dir, reset, heartbeat_s, qualifier)
        self._stored = store_dir is not None
        self._initiator: Any = None
        self._keep: tuple[Any, ...] = ()

    def _settings(self, host: str, port: int, store_dir: str | Path | None, reset: bool, heartbeat_s: int, qualifier: str) -> str:
        lines = ["[DEFAULT]", "ConnectionType=initiator", "ReconnectInterval=1", "NonStopSession=Y", "SocketNodelay=Y"]
        lines += ["LogonTimeout=10", "LogoutTimeout=2", "TimestampPrecision=6", "CheckLatency=N", "[SESSION]"]
        lines += [f"BeginString={self.begin_string}", f"SenderCompID={self.sender}", f"TargetCompID={self.target}"]
        lines += [f"SocketConnectHost={host}", f"SocketConnectPort={port}", f"HeartBtInt={heartbeat_s}"]
        lines += [f"ResetOnLogon={'Y' if reset else 'N'}"]
        if qualifier:
            lines.append(f"SessionQualifier={qualifier}")
        if self.begin_string == "FIXT.1.1":
            lines.append("DefaultApplVerID=FIX.5.0SP2")
        if store_dir:
            Path(store_dir).mkdir(parents=True, exist_ok=True)
            lines.append(f"FileStorePath={store_dir}")
        if not self._specs:
            lines.append("UseDataDictionary=N")
        elif len(self._specs) == 1:
            lines.append(f"DataDictionary={self._specs[0]}")
        else:
            lines += [f"TransportDataDictionary={self._specs[0]}", f"AppDataDictionary={self._specs[1]}"]
        return "\n".join(lines) + "\n"

    def __repr__(self) -> str:
        return f"FixClient({self.begin_string}:{self.sender}->{self.target}, logged_on={self.logged_on})"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    # -- connection

    def start(self) -> None:
        """Starts to connect; returns at once. Raises ClientError: this process has the session open already."""
        if self._initiator is not None:
            return
        key = self.session_id.toString()
        if key in _live:
            raise ClientError(f"{key}: is open in this process already; a second one needs a qualifier")
        settings = quickfix.SessionSettings()
        settings.setFromString(self._settings_text)
        application = _Application(self)
        store = quickfix.FileStoreFactory(settings) if self._stored else quickfix.MemoryStoreFactory()
        try:
            self._initiator = quickfix.ThreadedSocketInitiator(application, store, settings)
        except quickfix.FIXException as error:
            raise ClientError(f"{self!r}: the engine refuses its settings: {error}") from error
        self._keep = (application, store, settings)
        _live[key] = self
        self._initiator.start()

    def stop(self, *, logout: bool = True, timeout_s: float = 2.0) -> None:
        """Logs out (waits for the answer, at most timeout_s) and ends the engine's threads, which takes up to 1 s."""
        if self._initiator is None:
            return
        session = quickfix.Session.lookupSession(self.session_id)
        if logout and self.logged_on and session is not None:
            session.logout()  # bars a new logon, and asks for a Logout, which next() sends now and not in a second
            session.next(quickfix.UtcTimeStamp.now())
            with self._condition:
                self._condition.wait_for(lambda: not self.logged_on, timeout_s)
        self._initiator.stop(True)
        self._initiator = None  # only its end takes the session out of the engine's table
        self._keep = ()
        self.logged_on = False
        _live.pop(self.session_id.toString(), None)

    def wait_logon(self, timeout_s: float) -> None:
        """Raises ClientError with what the other side said when there is no Logon in time."""
        self._wait(lambda: self.logged_on, timeout_s, "no Logon")

    def set_next_sender(self, number: int) -> None:
        """The MsgSeqNum(34) of what is sent next. Raises ClientError when it is not started."""
        session = quickfix.Session.lookupSession(self.session_id)
        if session is None:
            raise ClientError(f"{self!r}: is not started")
        session.setNextSenderMsgSeqNum(number)

    def wait_logout(self, timeout_s: float) -> None:
        """Waits until the session is logged off. Raises ClientError when it is not in time."""
        self._wait(lambda: not self.logged_on, timeout_s, "no Logout")

    def _wait(self, condition: Callable[[], bool], timeout_s: float, failure: str) -> None:
        with self._condition:
            if not self._condition.wait_for(condition, timeout_s):
                said = next((m.get(58) for m in reversed(self._inbox) if m.msg_type in ("5", "3") and m.get(58)), "")
                raise ClientError(f"{self!r}: {failure} within {timeout_s} s" + (f"; it said: {said}" if said else ""))

    # -- inbox

    @property
    def messages(self) -> list[FixMessage]:
        """All messages received so far (the last 200,000), session messages too."""
        with self._condition:
            return list(self._inbox)

    @property
    def last_number(self) -> int:
        """Number of the newest message received; give it to wait_for as `after` to look only at what comes."""
        with self._condition:
            return self._inbox[-1].number if self._inbox else 0

    def wait_for(
        self, predicate: Callable[[FixMessage], bool], timeout_s: float, *, after: int = 0, what: str = "message"
    ) -> FixMessage:
        """The first message with number > after that the predicate accepts. Raises TimeoutError."""
        deadline = time.monotonic() + timeout_s
        seen = after
        with self._condition:
            while True:
                for message in self._newer(seen):
                    seen = message.number
                    if predicate(message):
                        return message
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError(f"{self!r}: no {what} within {timeout_s} s")
                self._condition.wait(left)

    def _newer(self, number: int) -> list[FixMessage]:
        newest = self._inbox[-1].number if self._inbox else 0
        count = min(newest - number, len(self._inbox))
        return list(itertools.islice(reversed(self._inbox), count))[::-1] if count > 0 else []

    def _received(self, raw: str) -> None:
        received_ns = time.time_ns()
        message = FixMessage(parse_pairs(raw), raw, received_ns, next(self._numbers))
        if message.msg_type in ("8", "9", "j"):
            self.orders.report(message.as_dict())
        with self._condition:
            self._inbox.append(message)
            self._condition.notify_all()
        if self._on_message is not None:
            self._on_message(message)

    # -- sending

    def next_id(self) -> str:
        """A ClOrdID that this client has not used."""
        return f"{self._id_prefix}-{next(self._ids)}"

    def send(self, fields: Fields, *, queue: bool = False) -> None:
        """Sends a message; header and trailer are filled in. fields must hold 35; groups in their order on the
        wire.

        Raises ClientError when not logged on, unless queue=True: then the engine resends it after the next Logon.
        """
        pairs = [(tag, _text(value)) for tag, value in _pairs(fields) if tag not in (8, 9, 10, 34, 49, 52, 56)]
        msg_type = next((value for tag, value in pairs if tag == 35), "")
        if not msg_type:
            raise ClientError("message: MsgType(35) is missing")
        bad = next((tag for tag, value in pairs if not value or SOH in value), None)
        if bad is not None:
            raise ClientError(f"message: tag {bad}: a value may not be empty nor hold SOH")
        if not (self.logged_on or queue):
            raise ClientError(f"{self!r}: not logged on")
        rest = [f"{tag}={value}" for tag, value in pairs if tag != 35]
        text = SOH.join([f"8={self.begin_string}", "9=0", f"35={msg_type}", *rest, "10=000", ""])
        tags = [tag for tag, _ in pairs]
        try:
            if len(set(tags)) < len(tags) and self._specs:  # only with the dictionary do groups keep their order
                message = quickfix.Message(text, *self._dictionaries(), False)
            else:
                message = quickfix.Message(text, False)
            quickfix.Session.sendToTarget(message, self.session_id)
        except (quickfix.FIXException, TypeError) as error:
            raise ClientError(f"message: the engine refuses it: {error}") from error

    def _dictionaries(self) -> list[Any]:
        if not self._group_dictionaries:
            self._group_dictionaries = [quickfix.DataDictionary(str(path)) for path in self._specs]
        return self._group_dictionaries

    def new_order(
        self,
        side: str,
        order_qty: object,
        symbol: str,
        *,
        price: object = None,
        stop_px: object = None,
        cash_order_qty: object = None,
        time_in_force: str = "",
        cl_ord_id: str = "",
        extra: Fields = (),
    ) -> str:
        """Sends a NewOrderSingle and returns its ClOrdID. side: buy, sell or the FIX code. The type follows from
        price and stop_px; order_qty is None with cash_order_qty; time_in_force is the FIX code (59)."""
        view = OrderView(cl_ord_id or self.next_id(), symbol, _side(side))
        view.ord_type = ("4" if stop_px is not None else "2") if price is not None else "3" if stop_px is not None else "1"
        view.time_in_force = time_in_force
        view.set_terms(order_qty, price, stop_px, cash_order_qty)
        self._order("D", view, [(11, view.cl_ord_id)], extra)
        return view.cl_ord_id

    def replace(
        self,
        orig_cl_ord_id: str,
        *,
        order_qty: object = None,
        price: object = None,
        stop_px: object = None,
        cl_ord_id: str = "",
        extra: Fields = (),
    ) -> str:
        """Sends an OrderCancelReplaceRequest (what is not given stays as it is) and returns its ClOrdID."""
        old = self._known(orig_cl_ord_id)
        new_id = cl_ord_id or self.next_id()
        wanted = OrderView(new_id, old.symbol, old.side, ord_type=old.ord_type, time_in_force=old.time_in_force)
        wanted.set_terms(
            old.order_qty if order_qty is None else order_qty,
            (old.price or None) if price is None else price,
            (old.stop_px or None) if stop_px is None else stop_px,
            old.cash_order_qty if order_qty is None and not old.order_qty else None,
        )
        ids = [(37, old.order_id)] if old.order_id else []
        self._order("G", wanted, [*ids, (41, orig_cl_ord_id), (11, new_id)], extra, same_as=old)
        return new_id

    def cancel(self, orig_cl_ord_id: str, *, cl_ord_id: str = "", extra: Fields = ()) -> str:
        """Sends an OrderCancelRequest and returns its ClOrdID."""
        old = self._known(orig_cl_ord_id)
        new_id = cl_ord_id or self.next_id()
        ids = [(37, old.order_id)] if old.order_id else []
        pairs = [
            (35, "F"),
            *ids,
            (41, orig_cl_ord_id),
            (11, new_id),
            (55, old.symbol),
            (54, old.side),
            (60, now_text()),
        ]
        quantity = [(38, old.order_qty)] if old.order_qty else []
        self.orders.alias(new_id, old)
        self.send([*pairs, *quantity, *_pairs(extra)])
        return new_id

    def status(self, cl_ord_id: str, *, extra: Fields = ()) -> None:
        """Sends an OrderStatusRequest."""
        view = self._known(cl_ord_id)
        ids = [(37, view.order_id)] if view.order_id else []
        self.send([(35, "H"), *ids, (11, cl_ord_id), (55, view.symbol), (54, view.side), *_pairs(extra)])

    def _order(
        self,
        msg_type: str,
        view: OrderView,
        ids: list[tuple[int, str]],
        extra: Fields,
        same_as: OrderView | None = None,
    ) -> None:
        pairs: list[tuple[int, object]] = [(35, msg_type), *ids]
        if self.begin_string == "FIX.4.2":
            pairs.append((21, "1"))  # HandlInst is required there: automated, no broker
        pairs += [(55, view.symbol), (54, view.side), (60, now_text()), (40, view.ord_type)]
        terms = ((38, view.order_qty), (152, view.cash_order_qty), (44, view.price), (99, view.stop_px))
        pairs += [(tag, value) for tag, value in (*terms, (59, view.time_in_force)) if value]
        more = list(_pairs(extra))
        given = {tag for tag, _ in more}
        # Known before it is sent: the first report may come before send() returns.
        if same_as is None:
            self.orders.add(view)
        else:
            self.orders.alias(view.cl_ord_id, same_as, replace=True)
        self.send([pair for pair in pairs if pair[0] not in given] + more)

    def _known(self, cl_ord_id: str) -> OrderView:
        view = self.orders.get(cl_ord_id)
        if view is None:
            raise ClientError(f"order: {cl_ord_id!r} is not known to this client")
        return view


# Clients that are started: kept alive, because the engine calls into them, and stopped before the interpreter ends.
_live: dict[str, FixClient] = {}


@atexit.register
def _stop_all() -> None:
    for client in list(_live.values()):
        client.stop(logout=False)


class _Application(quickfix.Application):  # type: ignore[misc]
    """QuickFIX's callbacks. Nothing may be raised from here."""

    def __init__(self, client: FixClient) -> None:
        super().__init__()
        self._client = client
        self._local = threading.local()

    def _guarded(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:  # an exception that escapes would end the process
            self._client.errors.append(error)

    def onCreate(self, session_id: Any) -> None:
        pass

    def onLogon(self, session_id: Any) -> None:
        if not hasattr(self._local, "pinned"):
            self._local.pinned = True
            ctypes.pythonapi.PyGILState_Ensure()
        self._guarded(lambda: self._change(True))

    def onLogout(self, session_id: Any) -> None:
        self._guarded(lambda: self._change(False))

    def _change(self, logged_on: bool) -> None:
        client = self._client
        with client._condition:
            client.logged_on = logged_on
            client.logons += logged_on
            client._condition.notify_all()

    def toAdmin(self, message: Any, session_id: Any) -> None:
        self._guarded(lambda: self._fill_logon(message))

    def _fill_logon(self, message: Any) -> None:
        fields = self._client._logon_fields
        if fields and message.getHeader().getField(35) == "A":
            for tag, value in fields:
                message.setField(tag, _text(value))

    def fromAdmin(self, message: Any, session_id: Any) -> None:
        self._guarded(lambda: self._client._received(message.toString()))

    def toApp(self, message: Any, session_id: Any) -> None:
        pass

    def fromApp(self, message: Any, session_id: Any) -> None:
        self._guarded(lambda: self._client._received(message.toString()))


def now_text() -> str:
    """UTC now as FIX writes it, with microseconds."""
    return datetime.now(UTC).strftime("%Y%m%d-%H:%M:%S.%f")


def _pairs(fields: Fields) -> Iterable[tuple[int, object]]:
    return fields.items() if isinstance(fields, Mapping) else fields


def _text(value: object) -> str:
    return ("Y" if value else "N") if isinstance(value, bool) else str(value)


def _side(side: str) -> str:
    return {"buy": "1", "sell": "2"}.get(side.lower(), side)

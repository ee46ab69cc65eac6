"""Fault switches: what the exchange does wrong on request, for tests, chaos runs and demonstrations.

A fault has a kind, a lifetime (count of uses, or seconds, or until cleared) and a match. Request faults hit REST and
the WebSocket API alike; unless the match says which requests, they hit new orders (order.place and
order.cancelReplace), and the rate-limit and outage kinds hit every request. Event faults hit user data events or
book diffs. Actions happen at once and leave nothing behind.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Container
from dataclasses import dataclass, field
from typing import Any

# kind -> the params it knows, with their defaults
REQUEST_KINDS: dict[str, dict[str, Any]] = {
    "drop_before": {},  # close the connection, the request was never accepted
    "drop_after": {},  # accept the request, close without a reply
    "hang": {"accept": True, "hold": 600.0},  # no reply for hold seconds
    "delay": {"accept": True, "delay": 1.0},  # a late reply; accept false: also executed late
    "http_5xx": {"accept": True, "status": 503},
    "empty_200": {"accept": True},
    "html_200": {"accept": True},
    # the first half of the reply; cut: the connection ends in the middle of the body, else a whole short body
    "truncated": {"accept": True, "cut": True},
    "code_1007": {"accept": True},  # execution status unknown
    # an answer about one order says that it has ended, with so much executed: not the truth
    "wrong_end": {"status": "FILLED", "executed": "99999"},
    "reply_429": {"retry_after": 1, "orders": False},  # orders: for too many new orders (-1015), else for weight (-1003)
    "reply_418": {"retry_after": 120},
    "outage": {"refuse": False},  # close everything that comes; refuse: stop listening at all
}
EVENT_KINDS: dict[str, dict[str, Any]] = {
    "ws_delay": {"delay": 0.5},
    "ws_duplicate": {},
    "ws_missing": {},
    "ws_wrong_end": {"status": "FILLED", "executed": "99999"},  # the same in an executionReport
    "book_gap": {},
    # of public streams (match: symbol, and event such as bookTicker): what happens is not told; a SUBSCRIBE is lost
    "stream_silent": {},
    "stream_deaf": {},
}
STREAM_KINDS = ("book_gap", "stream_silent", "stream_deaf")
ACTION_KINDS: dict[str, dict[str, Any]] = {
    "ws_terminate": {},  # eventStreamTerminated to every user data subscription (match: account)
    "ws_disconnect": {"target": "all"},  # cut sockets: all, api, streams
}
_ALL = REQUEST_KINDS | EVENT_KINDS | ACTION_KINDS
_ENTRY_OPS = ("order.place", "order.cancelReplace")
_EVERY_REQUEST = ("reply_429", "reply_418", "outage")
ENDS = ("FILLED", "CANCELED", "EXPIRED", "REJECTED")
# op: this simulator's name of the operation (its WebSocket API method); method: HTTP or WebSocket API method
MATCH_KEYS = ("op", "method", "path", "symbol", "account", "channel", "event", "execution")
_EVENT_ONLY = ("event", "execution")


@dataclass(slots=True)
class Fault:
    """One active switch."""

    fault_id: int
    kind: str
    left: int | None  # uses left; None: bounded by time only, or until cleared
    until_ns: int | None
    match: dict[str, tuple[str, ...]]
    params: dict[str, Any] = field(default_factory=dict)
    used: int = 0

    def view(self) -> dict[str, Any]:
        return {
            "id": self.fault_id, "kind": self.kind, "left": self.left, "until_ns": self.until_ns,
            "match": {key: list(values) for key, values in self.match.items()}, "params": self.params,
            "used": self.used,
        }  # fmt: skip


class FaultError(ValueError):
    """A fault was described wrongly: names the field, the value and what was expected."""


def parse_fault(body: Any, fault_id: int, now_ns: int) -> Fault:
    """Check and complete the description of a fault. Raises FaultError."""
    if not isinstance(body, dict):
        raise FaultError(f"fault {body!r}: expected an object")
    unknown = set(body) - {"kind", "count", "seconds", "match", "params"}
    if unknown:
        raise FaultError(f"unknown field {sorted(unknown)[0]!r}: expected kind, count, seconds, match, params")
    kind = body.get("kind")
    if not isinstance(kind, str) or kind not in _ALL:
        raise FaultError(f"kind {kind!r}: expected one of {', '.join(_ALL)}")
    count, seconds = body.get("count"), body.get("seconds")
    if count is not None and (type(count) is not int or count < 1):
        raise FaultError(f"count {count!r}: expected a whole number above 0")
    if seconds is not None and (type(seconds) not in (int, float) or not 0 < seconds <= 86_400):
        raise FaultError(f"seconds {seconds!r}: expected a number above 0, at most 86400")
    if count is None and seconds is None:
        if kind == "outage":
            raise FaultError("outage: expected seconds")
        count = 1
    params = _params(kind, body.get("params", {}))
    until_ns = now_ns + int(seconds * 1e9) if seconds is not None else None
    return Fault(fault_id, kind, count, until_ns, _match(kind, body.get("match", {})), params)


def _params(kind: str, given: Any) -> dict[str, Any]:
    known = _ALL[kind]
    if not isinstance(given, dict) or set(given) - set(known):
        raise FaultError(f"params {given!r}: {kind} knows {', '.join(known) or 'none'}")
    for name, value in given.items():
        default = known[name]
        wanted: tuple[type, ...] = (int, float) if type(default) is float else (type(default),)
        if type(value) not in wanted or (wanted != (str,) and value < 0):
            raise FaultError(f"params.{name} {value!r}: expected {wanted[0].__name__} like {default!r}")
    if kind == "ws_disconnect" and given.get("target", "all") not in ("all", "api", "streams"):
        raise FaultError(f"params.target {given['target']!r}: expected all, api or streams")
    if kind in ("wrong_end", "ws_wrong_end"):
        _check_end({"status": "FILLED", "executed": "0"} | given)
    if kind == "http_5xx" and not 500 <= given.get("status", 503) <= 599:
        raise FaultError(f"params.status {given['status']!r}: expected 500 to 599")
    return known | given


def _check_end(params: dict[str, Any]) -> None:
    if params["status"] not in ENDS:
        raise FaultError(f"params.status {params['status']!r}: expected one of {', '.join(ENDS)}")
    if re.fullmatch(r"\d{1,12}(\.\d{1,8})?", params["executed"]) is None:
        raise FaultError(f"params.executed {params['executed']!r}: expected a quantity like 0.01")


def wrong_order(order: Any, params: dict[str, Any]) -> Any:
    """An answer about one order with the false end of a wrong_end; anything else as it is."""
    if not isinstance(order, dict) or "executedQty" not in order:
        return order
    return {**order, "status": params["status"], "executedQty": params["executed"]}


def _match(kind: str, given: Any) -> dict[str, tuple[str, ...]]:
    if not isinstance(given, dict) or set(given) - set(MATCH_KEYS):
        raise FaultError(f"match {given!r}: expected an object with keys of {', '.join(MATCH_KEYS)}")
    out: dict[str, tuple[str, ...]] = {}
    for name, value in given.items():
        values = value if isinstance(value, list) else [value]
        if not values or not all(isinstance(v, str) and v for v in values):
            raise FaultError(f"match.{name} {value!r}: expected a text or a list of texts (* and ? are wild cards)")
        if name in _EVENT_ONLY and kind not in EVENT_KINDS:
            raise FaultError(f"match.{name}: only for {', '.join(EVENT_KINDS)}")
        out[name] = tuple(values)
    if kind in REQUEST_KINDS and kind not in _EVERY_REQUEST and not out.keys() & {"op", "method", "path"}:
        out["op"] = _ENTRY_OPS
    return out


class FaultBoard:
    """The active faults. At most 1000 at a time; each use counts."""

    def __init__(self) -> None:
        self._active: list[Fault] = []
        self._next_id = 1
        self.fired: dict[str, int] = {}

    def add(self, body: Any, now_ns: int) -> Fault:
        """Parse and (unless it is an action) switch on. Raises FaultError."""
        if len(self._active) >= 1000:
            raise FaultError("faults: 1000 are active already; clear them first")
        fault = parse_fault(body, self._next_id, now_ns)
        self._next_id += 1
        if fault.kind in ACTION_KINDS:
            self.count(fault)
        else:
            self._active.append(fault)
        return fault

    def count(self, fault: Fault) -> None:
        fault.used += 1
        self.fired[fault.kind] = self.fired.get(fault.kind, 0) + 1

    def take(self, kinds: Container[str], facts: dict[str, str], now_ns: int) -> Fault | None:
        """The first active fault of these kinds that the facts fit, counted as used."""
        if not self._active:
            return None
        self._active = [f for f in self._active if f.until_ns is None or now_ns < f.until_ns]
        for fault in self._active:
            if fault.kind not in kinds or not _fits(fault.match, facts):
                continue
            self.count(fault)
            if fault.left is not None:
                fault.left -= 1
                if not fault.left:
                    self._active.remove(fault)
            return fault
        return None

    def active(self, now_ns: int) -> list[Fault]:
        return [f for f in self._active if f.until_ns is None or now_ns < f.until_ns]

    def clear(self) -> int:
        """Switch everything off; returns how many were on."""
        count, self._active = len(self._active), []
        return count


def _fits(match: dict[str, tuple[str, ...]], facts: dict[str, str]) -> bool:
    return all(any(fnmatch.fnmatchcase(facts.get(key, ""), v) for v in values) for key, values in match.items())

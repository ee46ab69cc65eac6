"""The simulated exchange without its network side: engine, ledger, faults and the events that leave.

Every change goes through `commit`, which keeps the order that makes the ledger a judge: the ledger line is written
first, then user data and public events are handed out, then liquidity answers (and its trades are committed in turn).
"""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, Protocol

from fixgw.sim import dialect
from fixgw.sim.config import SimConfig
from fixgw.sim.faults import EVENT_KINDS, STREAM_KINDS, Fault, FaultBoard
from fixgw.sim.house import House
from fixgw.sim.ledger import TRADE_ID_BLOCK, Ledger, Remembered, plain, records_of, restore
from fixgw.sim.limits import RateLimiter
from fixgw.sim.matching import Engine
from fixgw.sim.model import BUY, SELL, Event, PublicTrade, Report, text8

log = logging.getLogger("fixgw.sim")
_RECENT_TRADES = 1000
_MAX_REFILLS = 1000  # rounds of liquidity answering its own trades; more would be a loop without end
_USER_EVENT_FAULTS = EVENT_KINDS.keys() - set(STREAM_KINDS)
Later = Callable[[float, Callable[[], None]], object]


class Liquidity(Protocol):
    """A source of house quantity. Books must be filled when start returns."""

    def start(self, at_ns: int) -> list[Event]: ...

    def after(self, symbol: str, at_ns: int) -> list[Event]:
        """Answer a change made by others (such as refilling a level)."""

    async def run(self) -> None:
        """What it does of its own, until cancelled."""


class UserSink(Protocol):
    """Somebody who reads an account's user data events."""

    def user_event(self, event: dict[str, Any]) -> None: ...


class MarketSink(Protocol):
    """The public streams."""

    def trade(self, trade: PublicTrade) -> None: ...

    def changed(self, symbol: str) -> None:
        """Something may have changed in this book."""


class Simulator:
    """One exchange. Single-threaded: all methods are called from the event loop's thread."""

    def __init__(self, config: SimConfig, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self.config = config
        self.clock_ns = clock_ns
        self.engine = Engine(
            [market.rules for market in config.markets],
            maker_fee=config.maker_fee,
            taker_fee=config.taker_fee,
            first_update_id=clock_ns() // 100_000,  # above those of an earlier run on the same directory
            history=config.history,
        )
        self.house = House(self.engine)
        self.faults = FaultBoard()
        self.limiter = RateLimiter(config.limits)
        self.ledger = Ledger(config.directory / "ledger.jsonl")
        self.keys = {account.key: account for account in config.accounts}
        self.recent_trades: dict[str, deque[PublicTrade]] = {
            symbol: deque(maxlen=_RECENT_TRADES) for symbol in self.engine.symbols
        }
        self.user_sinks: dict[str, list[UserSink]] = {}
        self.market_sink: MarketSink | None = None
        self.liquidity: Liquidity | None = None
        self.later: Later | None = None  # (seconds, call): set by the server, for delayed events
        self.counters: dict[str, int] = {"orders": 0, "rejected": 0, "canceled": 0, "fills": 0, "expired": 0, "amended": 0}
        self.remembered = Remembered()
        self._reserved_trade_id = 0

    def open(self) -> None:
        """Rebuild what the ledger holds and note the start in it; no liquidity yet. Raises LedgerError."""
        now_ns = self.clock_ns()
        self.remembered = restore(self.engine, self.ledger.recover())
        known = set(self.engine.accounts) if self.ledger.seq else set()
        self._reserved_trade_id = self.engine.next_trade_id
        lines: list[dict[str, Any]] = [
            {"ns": now_ns, "type": "start", "pid": os.getpid(), "liquidity": self.config.liquidity}
        ]
        for account in self.config.accounts:
            if account.name not in known:
                self.engine.add_account(account.name, account.balances)
                amounts = {asset: plain(amount) for asset, amount in account.balances.items()}
                lines.append(
                    {"ns": now_ns, "type": "account", "account": account.name, "balances": amounts, "unlimited": False}
                )
        self.ledger.append(lines)
        self._reserve_trade_ids(now_ns)

    def begin(self, liquidity: Liquidity) -> None:
        """Fill the books."""
        now_ns = self.clock_ns()
        self.liquidity = liquidity
        self._settle(liquidity.start(now_ns), now_ns)

    def _reserve_trade_ids(self, now_ns: int) -> None:
        """Trade ids of others are not in the ledger: a block is set aside, so that no id comes twice after a kill."""
        if self.engine.next_trade_id + TRADE_ID_BLOCK // 2 > self._reserved_trade_id:
            self._reserved_trade_id = self.engine.next_trade_id + TRADE_ID_BLOCK
            self.ledger.append([{"ns": now_ns, "type": "reserve", "trade_id": self._reserved_trade_id}])

    # ---- committing -----------------------------------------------------------------------------------------

    def commit(self, events: list[Event], symbol: str, now_ns: int) -> None:
        """Make events of the engine durable, hand them out, and let liquidity answer."""
        self._settle(events, now_ns)
        for _ in range(_MAX_REFILLS):
            answer = self.liquidity.after(symbol, now_ns) if self.liquidity else []
            if not answer:
                break
            self._settle(answer, now_ns)
        if self.market_sink:
            self.market_sink.changed(symbol)

    def _settle(self, events: list[Event], now_ns: int) -> None:
        if not events:
            return
        self.write(records_of(events))
        self._reserve_trade_ids(now_ns)
        touched: dict[str, list[str]] = {}
        for event in events:
            if isinstance(event, PublicTrade):
                self.recent_trades[event.symbol].append(event)
                if self.market_sink:
                    self.market_sink.trade(event)
            else:
                self._tell(event, now_ns, touched)
        for account, assets in touched.items():
            view = dialect.account_position(self.engine.accounts[account], assets, now_ns // 1_000_000)
            self._user_event(account, view, now_ns)

    def write(self, records: list[dict[str, Any]]) -> None:
        """Append to the ledger; a failed write ends the process, since nothing more may be answered."""
        if not records:
            return
        try:
            self.ledger.append(records)
        except OSError as exc:
            log.critical("ledger %s cannot be written (%s): stopping", self.ledger.path, exc)
            os._exit(74)

    _COUNTED = {  # noqa: RUF012
        "NEW": "orders", "TRADE": "fills", "CANCELED": "canceled", "EXPIRED": "expired", "REPLACED": "amended",
    }  # fmt: skip

    def _tell(self, report: Report, now_ns: int, touched: dict[str, list[str]]) -> None:
        self.counters[self._COUNTED[report.kind]] += 1
        order = report.order
        rules = self.engine.symbols[order.symbol]
        assets = touched.setdefault(order.account, [])
        assets += [asset for asset in (rules.base, rules.quote) if asset not in assets]
        self._user_event(order.account, dialect.execution_report(report, now_ns // 1_000_000), now_ns)

    def reject(self, record: dict[str, Any]) -> None:
        """Note a refused order in the ledger."""
        self.counters["rejected"] += 1
        self.write([record])

    # ---- user data ------------------------------------------------------------------------------------------

    def _user_event(self, account: str, event: dict[str, Any], now_ns: int) -> None:
        sinks = self.user_sinks.get(account)
        if not sinks:
            return
        facts = {
            "event": event["e"], "execution": event.get("x", ""), "symbol": event.get("s", ""), "account": account
        }  # fmt: skip
        fault = self.faults.take(_USER_EVENT_FAULTS, facts, now_ns)
        copies = 1
        if fault is not None:
            if fault.kind == "ws_missing":
                return
            if fault.kind == "ws_duplicate":
                copies = 2
            elif fault.kind == "ws_wrong_end":
                event = {**event, "X": fault.params["status"], "z": fault.params["executed"]}
            elif self.later is not None:
                self.later(fault.params["delay"], lambda: self._deliver(account, event, 1))
                return
        self._deliver(account, event, copies)

    def _deliver(self, account: str, event: dict[str, Any], copies: int) -> None:
        for sink in list(self.user_sinks.get(account, [])):
            for _ in range(copies):
                sink.user_event(event)

    def book_gap(self, symbol: str, now_ns: int) -> Fault | None:
        """The fault that swallows the next diff of a book, if one is on."""
        return self.faults.take(("book_gap",), {"symbol": symbol}, now_ns)

    def stream_fault(self, kind: str, stream: str) -> Fault | None:
        """The fault of this kind that hits a public stream ("btcusdt@bookTicker"), if one is on."""
        symbol, _, event = stream.partition("@")
        return self.faults.take((kind,), {"symbol": symbol.upper(), "event": event}, self.clock_ns())

    # ---- views ----------------------------------------------------------------------------------------------

    def state(self, depth: int) -> dict[str, Any]:
        """Books, open orders, balances, counters: what /sim/state answers."""
        engine = self.engine
        books = {}
        for symbol, book in engine.books.items():
            update_id, bids, asks = book.snapshot(depth)
            books[symbol] = {
                "update_id": update_id, "bids": dialect.levels(bids), "asks": dialect.levels(asks),
                "bid_levels": len(book.sides[BUY].keys), "ask_levels": len(book.sides[SELL].keys),
                "last_price": text8(book.last_price) if book.last_price is not None else None,
            }  # fmt: skip
        open_orders = (order for orders in engine.open_orders.values() for order in orders.values())
        return {
            "books": books,
            "orders": [{"account": o.account, **dialect.order_view(o)} for o in islice(open_orders, 1000)],
            "open_orders": sum(len(orders) for orders in engine.open_orders.values()),
            "balances": {
                name: {a: {"free": plain(b.free), "locked": plain(b.locked)} for a, b in account.balances.items()}
                for name, account in engine.accounts.items()
            },
            "fees": _plain_map(engine.fees.items()),
            "house_net": _plain_map(engine.house_net.items()),
            "counters": {**self.counters, "limited": self.limiter.refused},
            "faults_fired": dict(self.faults.fired),
            "ledger_seq": self.ledger.seq,
            "busted": sorted(self.remembered.busted),
        }  # fmt: skip


def _plain_map(items: Iterable[tuple[str, Any]]) -> dict[str, str]:
    return {name: plain(value) for name, value in items}

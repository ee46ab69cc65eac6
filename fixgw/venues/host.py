"""The venue host: a process that holds one venue account's keys and connections, and serves the gateway over a socket.

    python -m fixgw.venues.host --config venues/binance.toml --socket run/venues.sock --name binance [--ready-file FILE]

Order of things: connect to the venue at once and for ever; dial the gateway, say Hello and how the venue stands, serve
requests; when that link breaks keep the venue's connections and dial again. A place starts the moment its frame is
read. What waits for what of the same order: chains.py. A cancel cannot overtake its own order, nor waits for the place's
answer once the venue has shown the order. An order that has not left yet (it waits for a rate limit) never leaves once its
cancel is here: its place is answered with ChildReject, not sent and withdrawn, and that is the cancel's answer too.
Answers that find the link broken are lost on purpose: the gateway reconciles after each break.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import uvloop
from msgspec.structs import replace

from ..core import commands as c
from ..process import allow_files, die_with_parent, socket_address
from ..ready import write_ready
from . import host_clock, loop_errors
from .balances import BalanceDesk
from .base import Ambiguous, Balances, DefiniteReject, Done, NeverSent, Placed, Venue, VenueError, connect_venue, withdrawn
from .chains import Chains
from .host_link import HostLink
from .oddities import Oddities
from .settings import VenueConfigError, VenueFileSettings, load_venue_file
from .tasks import end_tasks, give_back_often
from .wire import (
    AmendChild,
    BookUpdate,
    CancelChild,
    FrameTooLarge,
    FromHost,
    Hello,
    PlaceChild,
    QueryChild,
    Reconcile,
    ToHost,
)  # fmt: skip

log = logging.getLogger("fixgw.venues.host")
MAX_PLACES = 10_000
MAX_REQUESTS = 50_000
TRADES_AT_ONCE = 500
_BACKOFF_S = (0.05, 0.1, 0.2, 0.5, 1.0)


@dataclass(slots=True)
class _Place:
    """One place from its frame to its end. `begun`: the venue knows of it; `never_sent`: it ended so."""

    begun: bool = False
    withdrawn: bool = False
    never_sent: bool = False


class VenueHost:
    """One venue behind one link (base.Sink for the venue)."""

    def __init__(self, settings: VenueFileSettings, socket_path: str, name: str = "") -> None:
        self.name = name or settings.name
        self._settings = settings
        self._socket_path = socket_path
        self._link: HostLink | None = None
        self._link_lost = asyncio.Event()
        self._venue_up = False
        self._venue_reason = "connecting"
        self._books: dict[str, c.Quote] = {}
        self._oddities = Oddities(lambda text: self._send(c.VenueOddity(ts_ns=host_clock.now_ns(), venue=self.name, text=text)))
        self.odd = self._oddities.tell
        self._venue: Venue = connect_venue(settings, self)
        self._desk = BalanceDesk(
            settings.symbols,
            ask=lambda: self._venue.balances(),
            tell=self._tell_balances,
            ready=lambda: self._venue_up and self._link is not None,
            name=self.name,
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self._chains = Chains(self._spawn)
        self._places = 0
        # by our id; a second one for the same id is never here
        self._under_way: dict[str, _Place] = {}
        self._reconcile: asyncio.Task[None] | None = None
        # on this link the gateway was told the open orders of the whole account
        self._told_everything = False
        self.ready = asyncio.Event()

    # --- life ---

    async def run(self) -> None:
        """Serve until cancelled."""
        await self._venue.start()
        beside = [asyncio.ensure_future(self._desk.run()), asyncio.ensure_future(give_back_often())]
        try:
            attempt = 0
            while True:
                started = time.monotonic()
                await self._serve_once()
                attempt = 0 if time.monotonic() - started > 2 else attempt + 1
                await asyncio.sleep(_BACKOFF_S[min(attempt, len(_BACKOFF_S) - 1)])
        finally:
            await end_tasks((*beside, *self._tasks))
            if self._link is not None:
                self._link.abort("the host stops")
            await self._venue.close()

    async def _serve_once(self) -> None:
        """One connection to the gateway from dial to loss."""
        loop = asyncio.get_running_loop()
        self._link_lost = asyncio.Event()
        link = HostLink(self._receive, self._on_link_lost)
        try:
            await loop.create_unix_connection(lambda: link, socket_address(Path(self._socket_path)))
        except OSError as error:
            log.debug("%s: gateway not reachable: %s", self.name, error)
            return
        self._link = link
        self._told_everything = False
        self._desk.forget()
        link.send(
            Hello(
                venue=self.name, account=self._settings.account, pid=os.getpid(), capabilities=self._venue.capabilities
            )
        )
        self._send_link()
        self._oddities.tell_all()
        for symbol, quote in self._books.items():
            link.book(BookUpdate(venue=self.name, symbol=symbol, quote=_by_gateway(quote)))
        self.ready.set()
        await self._link_lost.wait()

    def _on_link_lost(self, reason: str) -> None:
        log.warning("%s: link to the gateway lost: %s", self.name, reason)
        self._link = None
        if self._reconcile is not None:
            self._reconcile.cancel()
        self._link_lost.set()

    def _send(self, message: FromHost) -> None:
        if self._link is not None:
            self._link.send(message)

    def _send_link(self) -> None:
        reason = "" if self._venue_up else self._venue_reason
        self._send(c.VenueLink(ts_ns=host_clock.now_ns(), venue=self.name, up=self._venue_up, reason=reason))

    # --- base.Sink ---

    def ack(self, venue_cl_ord_id: str, venue_order_id: str) -> None:
        self._chains.shown(venue_cl_ord_id)
        self._send(
            c.ChildAck(
                ts_ns=host_clock.now_ns(), venue=self.name, venue_cl_ord_id=venue_cl_ord_id, venue_order_id=venue_order_id
            )
        )

    def trade(self, trade: c.VenueTrade) -> None:
        self._chains.shown(trade.venue_cl_ord_id)
        self._send(c.ChildTrade(ts_ns=host_clock.now_ns(), venue=self.name, trade=trade))

    def done(self, done: Done) -> None:
        self._chains.shown(done.venue_cl_ord_id)
        self._send(
            c.ChildDone(
                ts_ns=host_clock.now_ns(), venue=self.name, venue_cl_ord_id=done.venue_cl_ord_id,
                venue_order_id=done.venue_order_id, status=done.status, cum_qty=done.cum_qty, text=done.text,
            )
        )  # fmt: skip

    def book(self, symbol: str, quote: c.Quote) -> None:
        # kept for the next link with its true times, and without trades that are history by then
        self._books[symbol] = replace(quote, last_low=None, last_high=None)
        if self._link is not None:
            self._link.book(BookUpdate(venue=self.name, symbol=symbol, quote=_by_gateway(quote)))

    def balances(self, balances: Balances) -> None:
        self._desk.take(balances)

    def balances_changed(self) -> None:
        self._desk.refresh()

    def _tell_balances(self, balances: Balances) -> None:
        if self._link is not None:
            self._link.balances(self._balances_report(balances))

    def instruments(self, specs: tuple[c.InstrumentSpec, ...]) -> None:
        self._send(c.InstrumentsReport(ts_ns=host_clock.now_ns(), venue=self.name, instruments=specs))

    def link(self, up: bool, reason: str = "") -> None:
        self._venue_up, self._venue_reason = up, reason
        log.info("%s: venue %s %s", self.name, "up" if up else "down", reason)
        self._send_link()

    def _balances_report(self, balances: Balances) -> c.BalancesReport:
        return c.BalancesReport(
            ts_ns=host_clock.now_ns(), venue=self.name, account=self._settings.account, free=balances.free, total=balances.total,
            asof_ns=host_clock.of_steady(balances.asof_ns),
            later={asset: host_clock.of_steady(ns) for asset, ns in balances.later.items()},
        )  # fmt: skip

    # --- requests ---

    def _receive(self, message: ToHost) -> None:
        if len(self._tasks) >= MAX_REQUESTS and self._link is not None:
            self._link.abort(f"{len(self._tasks)} requests are unsettled; expected fewer than {MAX_REQUESTS}")
        elif isinstance(message, PlaceChild):
            if self._places >= MAX_PLACES:
                self._reject(message.venue_cl_ord_id, NeverSent("HOST_BUSY", f"{self._places} orders are being placed"))
                return
            self._places += 1
            place = _Place()
            message = replace(message, expires_ns=host_clock.deadline_ns(message.expires_ns))
            self._under_way.setdefault(message.venue_cl_ord_id, place)
            self._chains.place(message.venue_cl_ord_id, partial(self._place, message, place))
        elif isinstance(message, CancelChild):
            under_way = self._under_way.get(message.venue_cl_ord_id)
            if under_way is not None and not under_way.withdrawn:
                under_way.withdrawn = not under_way.begun or self._venue.withdraw(message.venue_cl_ord_id)
            self._chains.cancel(message.venue_cl_ord_id, partial(self._cancel, message, under_way))
        elif isinstance(message, AmendChild):
            self._spawn(self._amend(message))
        elif isinstance(message, QueryChild):
            # the gateway asks each second while much is unknown; were each question asked, they would pile up behind the
            # rate limit and everything would wait for minutes
            if not self._chains.is_asked(message.venue_cl_ord_id):
                self._chains.query(message.venue_cl_ord_id, partial(self._query, message))
        elif isinstance(message, Reconcile):
            if self._reconcile is not None:
                self._reconcile.cancel()
            self._reconcile = self._spawn(self._run_reconcile(message))

    def _spawn(self, work: Awaitable[None]) -> asyncio.Task[None]:
        async def guarded() -> None:
            try:
                await work
            except asyncio.CancelledError:
                raise
            except Exception:  # the outer edge of a request: our own bug must not take the other orders down
                log.exception("%s: a request failed in the host", self.name)

        task = asyncio.ensure_future(guarded())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _reject(self, our_id: str, refusal: DefiniteReject | NeverSent, withdrawn: bool = False) -> None:
        self._send(
            c.ChildReject(
                ts_ns=host_clock.now_ns(), venue=self.name, venue_cl_ord_id=our_id, code=refusal.code, text=refusal.text,
                sent=isinstance(refusal, DefiniteReject), withdrawn=withdrawn,
            )
        )  # fmt: skip

    def _ambiguous(self, our_id: str, op: str, code: str, text: str) -> None:
        self._send(
            c.ChildAmbiguous(
                ts_ns=host_clock.now_ns(), venue=self.name, venue_cl_ord_id=our_id, op=op, code=code, text=text
            )
        )

    async def _place(self, message: PlaceChild, place: _Place) -> None:
        our_id = message.venue_cl_ord_id
        try:
            if place.withdrawn:
                raise withdrawn()
            place.begun = True
            if message.expires_ns and host_clock.steady_ns() > message.expires_ns:
                raise NeverSent("EXPIRED_IN_HOST", "its deadline had passed when the host read it")
            self._tell_placed(our_id, await self._venue.place(message))
        except (DefiniteReject, NeverSent) as refusal:
            place.never_sent = isinstance(refusal, NeverSent)
            self._reject(our_id, refusal, withdrawn=place.withdrawn and place.never_sent)
        except Ambiguous as unknown:
            self._ambiguous(our_id, "place", unknown.code, unknown.text)
        except Exception as error:  # a bug of ours: the order may be out
            self._ambiguous(our_id, "place", "HOST_ERROR", type(error).__name__)
            raise
        finally:
            self._places -= 1
            if self._under_way.get(our_id) is place:
                del self._under_way[our_id]

    def _tell_placed(self, our_id: str, placed: Placed) -> None:
        if not placed.told:
            self.ack(our_id, placed.venue_order_id)
        for trade in placed.trades:
            self.trade(trade)
        if placed.done is not None:
            self.done(placed.done)

    async def _cancel(self, message: CancelChild, place: _Place | None) -> None:
        our_id = message.venue_cl_ord_id
        if place is not None and place.never_sent:
            return  # there is nothing to cancel, and the gateway has been told so
        try:
            done = await self._venue.cancel(message)
            if done is not None:
                self.done(done)
        except DefiniteReject as refusal:
            self._cancel_reject(our_id, refusal, refusal.unknown_order)
        except NeverSent as refusal:
            self._cancel_reject(our_id, refusal, False)
        except Ambiguous as unknown:
            self._ambiguous(our_id, "cancel", unknown.code, unknown.text)
        except Exception as error:
            self._ambiguous(our_id, "cancel", "HOST_ERROR", type(error).__name__)
            raise

    def _cancel_reject(self, our_id: str, refusal: VenueError, unknown_order: bool) -> None:
        self._send(
            c.ChildCancelReject(
                ts_ns=host_clock.now_ns(), venue=self.name, venue_cl_ord_id=our_id, code=refusal.code, text=refusal.text,
                unknown_order=unknown_order,
            )
        )  # fmt: skip

    async def _amend(self, message: AmendChild) -> None:
        our_id = message.venue_cl_ord_id
        try:
            await self._venue.amend(message)
        except (DefiniteReject, NeverSent) as refusal:
            self._send(
                c.ChildAmendReject(
                    ts_ns=host_clock.now_ns(), venue=self.name, venue_cl_ord_id=our_id, code=refusal.code, text=refusal.text
                )
            )
        except Ambiguous as unknown:
            self._ambiguous(our_id, "amend", unknown.code, unknown.text)
        except Exception as error:
            self._ambiguous(our_id, "amend", "HOST_ERROR", type(error).__name__)
            raise
        else:
            self._send(
                c.ChildAmended(ts_ns=host_clock.now_ns(), venue=self.name, venue_cl_ord_id=our_id, qty=message.qty)
            )

    async def _query(self, message: QueryChild) -> None:
        asked_ns = host_clock.steady_ns()
        try:
            found = await self._venue.query(message)
        except Exception as error:
            text = str(error) if isinstance(error, VenueError) else type(error).__name__
            self._send(
                c.ChildQueryResult(
                    ts_ns=host_clock.now_ns(), venue=self.name, venue_cl_ord_id=message.venue_cl_ord_id, outcome="error",
                    asked_ns=host_clock.of_steady(asked_ns), text=text,
                )
            )  # fmt: skip
            if not isinstance(error, VenueError):
                raise
            return
        await self._send_in_parts(
            c.ChildQueryResult(
                ts_ns=host_clock.now_ns(), venue=self.name, venue_cl_ord_id=message.venue_cl_ord_id,
                outcome=found.outcome, asked_ns=host_clock.of_steady(found.asked_ns or asked_ns),
                venue_order_id=found.venue_order_id, cum_qty=found.cum_qty, trades=found.trades,
                trades_checked=found.trades_checked, text=found.text,
            )
        )  # fmt: skip
        if found.outcome not in ("open", "not_found"):
            self._desk.refresh()

    async def _send_in_parts(self, message: c.ChildQueryResult | c.VenueReconciled) -> None:
        """Send; what does not fit into one frame goes ahead: each trade as ChildTrade. FrameTooLarge if that is not enough."""
        try:
            self._send(message)
            return
        except FrameTooLarge as error:
            log.warning("%s: %s of %s: its trades are sent ahead one by one", self.name, error, type(message).__name__)
        for start in range(0, len(message.trades), TRADES_AT_ONCE):
            for trade in message.trades[start : start + TRADES_AT_ONCE]:
                self.trade(trade)
            if self._link is not None:
                await self._link.drained()
        rest = replace(message, trades=())
        if isinstance(rest, c.VenueReconciled):
            try:
                self._send(rest)
                return
            except FrameTooLarge:
                # orders without a client's id are none of ours: the core has no use for them
                rest = replace(rest, open_orders=tuple(o for o in rest.open_orders if o.venue_cl_ord_id))
        self._send(rest)

    async def _run_reconcile(self, request: Reconcile) -> None:
        """Ask for everything until the venue answers all of it and the gateway is told."""
        attempt = 0
        while True:
            try:
                await self._reconcile_once(request)
                self._desk.refresh()  # as of a moment after all that closed
                return
            except VenueError as error:
                log.warning("%s: reconciliation will be tried again: %s", self.name, error)
            except Exception as error:  # whatever it is: without a full picture the venue takes no new orders
                log.warning(
                    "%s: reconciliation will be tried again after an unexpected %s", self.name, type(error).__name__,
                    exc_info=log.isEnabledFor(logging.DEBUG) or attempt == 0,
                )  # fmt: skip
            await asyncio.sleep(min(0.2 * 2 ** min(attempt, 5), 5.0))
            attempt += 1

    async def _reconcile_once(self, request: Reconcile) -> None:
        symbols = request.symbols or self._settings.symbols
        asked_ns = host_clock.steady_ns()
        instruments = await self._venue.instruments()
        balances = await self._venue.balances()
        # open orders first: what leaves the list after it was read shows up in the trades
        # until a picture was sent on this link, of the whole account: the gateway may not know of orders in other instruments
        open_orders = await self._venue.open_orders(symbols, everything=not self._told_everything)
        for order in open_orders:
            self._chains.shown(order.venue_cl_ord_id)
        trades = await self._venue.trades(request.since_ns, symbols)
        self.instruments(instruments)
        self._send(self._balances_report(self._desk.relevant(balances)))
        await self._send_in_parts(
            c.VenueReconciled(
                ts_ns=host_clock.now_ns(), venue=self.name, account=self._settings.account,
                asked_ns=host_clock.of_steady(asked_ns), open_orders=open_orders, trades=trades,
            )
        )  # fmt: skip
        self._told_everything = True


def _by_gateway(quote: c.Quote) -> c.Quote:
    """Its times, as a connector has them, as the gateway's."""
    return replace(quote, recv_ns=host_clock.of_steady(quote.recv_ns), last_ns=host_clock.of_steady(quote.last_ns))


async def _serve(host: VenueHost, ready_file: Path | None) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(loop_errors.handle)
    serving = asyncio.ensure_future(host.run())
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, serving.cancel)
    if ready_file is not None:
        ready = asyncio.ensure_future(host.ready.wait())
        await asyncio.wait({serving, ready}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if not serving.done():
            write_ready(ready_file, {"pid": os.getpid(), "venue": host.name})
    try:
        await serving
    except asyncio.CancelledError:
        pass


def main(arguments: list[str] | None = None) -> int:
    """Process entry; exit status 0 after SIGTERM, 2 for an unusable configuration."""
    parent = os.getppid()
    parser = argparse.ArgumentParser(prog="python -m fixgw.venues.host", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--config", required=True, type=Path, help="the venue's TOML file")
    parser.add_argument("--socket", required=True, help="the gateway's Unix socket")
    parser.add_argument("--name", default="", help="the venue's name (default: of the configuration)")
    parser.add_argument("--ready-file", type=Path, default=None, help="written once the gateway was greeted")
    parser.add_argument("--log-level", default="INFO", choices=("DEBUG", "INFO", "WARNING", "ERROR"))
    options = parser.parse_args(arguments)
    logging.basicConfig(level=options.log_level, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    die_with_parent(parent=parent)
    allow_files()

    async def run() -> None:
        host = VenueHost(settings, options.socket, options.name)
        # ccxt is 200,000 objects that stay: with them in it, a full collection holds the loop for a tenth of a second and
        # comes so seldom that the cycles of failed requests pile up
        gc.collect()
        gc.freeze()
        await _serve(host, options.ready_file)

    try:
        settings = load_venue_file(options.config, options.name)
        uvloop.run(run())
    except (VenueConfigError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

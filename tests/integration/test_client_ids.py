"""The table of client ids (client_ids.py) against what really leaves unmodified ccxt, recorded by a server in this process."""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
import re
import sys
import time
from collections.abc import Awaitable, Callable
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import ccxt.async_support
import pytest
from aiohttp import web
from venue_rig import SECRET, Sink, placed, run_venue

from fixgw.core.commands import InstrumentSpec
from fixgw.sim.binance import SimServer
from fixgw.venues.base import Ambiguous, DefiniteReject, NeverSent, VenueError, connect_venue
from fixgw.venues.ccxt_venue import CcxtVenue
from fixgw.venues.client_ids import REFUSED, RULES, SAME_AS
from fixgw.venues.settings import VenueConfigError, parse_venue
from fixgw.venues.wire import CancelChild, PlaceChild, QueryChild

OURS = "ABCDE0010000001C01"
THEIRS = "987654321"
SYMBOL = "BTC/USDT"
Body = Callable[[CcxtVenue, "Server"], Awaitable[None]]

# what must have left: method and path, then our id in its place. Place; query by our id; cancel by our id.
LEAVES: dict[str, tuple[str, str, str]] = {
    "binance": (
        rf"POST /api/v3/order .*newClientOrderId={OURS}", rf"GET /api/v3/order\?.*origClientOrderId={OURS}",
        rf"DELETE /api/v3/order.*origClientOrderId={OURS}",
    ),
    "okx": (
        rf'POST .*/trade/batch-orders .*"clOrdId":"{OURS}"', rf"GET .*/trade/order\?.*clOrdId={OURS}",
        rf'POST .*/trade/cancel-order .*"clOrdId":"{OURS}"',
    ),
    "bybit": (
        rf'POST /v5/order/create .*"orderLinkId":"{OURS}"', rf"GET /v5/order/realtime\?.*orderLinkId={OURS}",
        rf'POST /v5/order/cancel .*"orderLinkId":"{OURS}"',
    ),
    "kraken": (
        rf"POST /0/private/AddOrder .*cl_ord_id={OURS}", rf"POST /0/private/OpenOrders .*cl_ord_id={OURS}",
        rf"POST /0/private/CancelOrder .*cl_ord_id={OURS}",
    ),
    "deribit": (
        rf"GET .*/private/buy\?.*label={OURS}", rf"GET .*/get_order_state_by_label\?.*label={OURS}",
        rf"GET .*/cancel_by_label\?.*label={OURS}",
    ),
    "gate": (
        rf'POST .*/spot/orders .*"text":"t-{OURS}"', rf"GET .*/spot/orders/t-{OURS}\?", rf"DELETE .*/spot/orders/t-{OURS}\?"
    ),
    "coinbase": (
        rf'POST .*/brokerage/orders .*"client_order_id":"{OURS}"', r"GET .*/orders/historical/batch\?product_id=BTC-USDT",
        rf'POST .*/orders/batch_cancel .*"order_ids":\["{THEIRS}"\]',
    ),
    "bitget": (
        rf'POST .*/trade/place-order .*"clientOid":"{OURS}"', rf"GET .*/trade/orderInfo\?clientOid={OURS}",
        rf'POST .*/trade/cancel-order .*"clientOid":"{OURS}"',
    ),
    "kucoin": (
        rf'POST .*orders .*"clientOid":"{OURS}"', rf"GET .*/client-order/{OURS}", rf"DELETE .*/client-order/{OURS}"
    ),
    "cryptocom": (
        rf'POST .*/create-order .*"client_oid":"{OURS}"', rf'POST .*/get-order-detail .*{{"client_oid":"{OURS}"}}',
        rf'POST .*/cancel-order .*{{"client_oid":"{OURS}"}}',
    ),
    "bitstamp": (
        rf"POST .*/buy/BTCUSDT/ .*client_order_id={OURS}", rf"POST .*/order_status/ client_order_id={OURS}",
        rf"POST .*/cancel_order/ id={THEIRS}",
    ),
    "mexc": (
        rf"POST .*/order\?.*newClientOrderId={OURS}", rf"GET .*/order\?.*origClientOrderId={OURS}",
        rf"DELETE .*/order\?.*origClientOrderId={OURS}",
    ),
    "htx": (
        rf'POST .*/orders/place.*"client-order-id":"{OURS}"', rf"GET .*/getClientOrder\?.*clientOrderId={OURS}",
        rf'POST .*/submitCancelClientOrder.*"client-order-id":"{OURS}"',
    ),
}  # fmt: skip
# questions on the way to an order
BEFORE: dict[str, dict[str, Any]] = {
    "bybit": {"user/query-api": {"retCode": 0, "result": {"unified": 1, "uta": 1}}, "account/info": {"retCode": 0, "result": {}}},
    "kucoin": {"account/mode": {"code": "200000", "data": {"selfAccountMode": "CLASSIC"}}},
    "htx": {"account/accounts": {"status": "ok", "data": [{"id": 5, "type": "spot", "state": "working"}]}},
    # our id leads to the venue's, by which alone these cancel
    "coinbase": {
        "historical/batch": {"has_next": False, "orders": [{"order_id": THEIRS, "client_order_id": OURS, "status": "OPEN"}]}
    },
    "bitstamp": {"order_status": {"id": THEIRS, "client_order_id": OURS, "status": "Open"}},
}  # fmt: skip


class Server:
    """Records requests and answers what `say` says for the first part of a path that is found, else `{}`."""

    def __init__(self) -> None:
        self.got: list[str] = []
        self.say: dict[str, Any] = {}

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.got.append(f"{request.method} {request.path_qs} {await request.text()}")
        answer = next((value for part, value in self.say.items() if part in request.path), {})
        if callable(answer):
            answer = answer(request)
        return answer if isinstance(answer, web.Response) else web.json_response(answer)


def scene(exchange: str, body: Body, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connector of this exchange with one market, pointed at a Server."""
    for name, value in (("T_KEY", "apikey-1234567890"), ("T_SECRET", "c2VjcmV0c2VjcmV0c2VjcmV0"), ("T_PASS", "pass")):
        monkeypatch.setenv(name, value)

    async def main() -> None:
        server, app = Server(), web.Application()
        app.router.add_route("*", "/{rest:.*}", server.handle)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        fields = {
            "exchange": exchange, "dialect": "general", "base_url": f"http://127.0.0.1:{runner.addresses[0][1]}",
            "symbols": [SYMBOL], "api_key_env": "T_KEY", "secret_env": "T_SECRET", "password_env": "T_PASS",
            "request_timeout_ms": 5000, "rate_weight_per_minute": 6_000_000,
        }  # fmt: skip
        venue = CcxtVenue(parse_venue(fields, "t", exchange), Sink())
        try:
            _one_market(venue, exchange)
            async with asyncio.timeout(60):
                await body(venue, server)
        finally:
            await venue.close()
            await runner.cleanup()

    asyncio.run(main())


def _one_market(venue: CcxtVenue, exchange: str) -> None:
    made = venue._exchange
    made.uid, made.options["broker"], made.options["uta"] = "1", "ours", False
    ids = {"kraken": "XBTUSDT", "okx": "BTC-USDT", "coinbase": "BTC-USDT", "kucoin": "BTC-USDT", "deribit": "BTC_USDT",
           "gate": "BTC_USDT", "htx": "btcusdt"}  # fmt: skip
    steps = ("0.00001", "0.01") if made.precisionMode == 4 else ("5", "2")
    market = {
        "id": ids.get(exchange, "BTCUSDT"), "symbol": SYMBOL, "base": "BTC", "quote": "USDT", "baseId": "BTC", "quoteId": "USDT",
        "type": "spot", "spot": True, "active": True, "swap": False, "future": False, "option": False, "contract": False,
        "margin": False, "precision": {"amount": steps[0], "price": steps[1]}, "info": {"instIdCode": 1, "orderTypes": ["LIMIT"]},
        "limits": {"amount": {}, "price": {}, "cost": {}},
    }  # fmt: skip
    made.set_markets([made.safe_market_structure(market)])

    async def load_markets(*_: Any, **__: Any) -> Any:
        return made.markets

    made.load_markets = load_markets
    zero = D(0)
    venue.listing.specs = {
        SYMBOL: InstrumentSpec(
            symbol=SYMBOL, venue_symbol="x", base="BTC", quote="USDT", tick=D("0.01"), lot=D("0.00001"), min_qty=zero,
            max_qty=zero, min_px=zero, max_px=zero, min_notional=zero,
        )
    }  # fmt: skip


def order(**fields: Any) -> PlaceChild:
    base = {"venue_cl_ord_id": OURS, "symbol": SYMBOL, "side": "1", "ord_type": "2", "tif": "1", "qty": D("0.01")}
    return PlaceChild(**{**base, "px": D("60000"), **fields})


def question(our_id: str = OURS) -> QueryChild:
    return QueryChild(venue_cl_ord_id=our_id, symbol=SYMBOL, side="1", qty=D("0.01"), sent_ns=time.time_ns())


async def outcome(work: Awaitable[Any]) -> Any:
    try:
        return await asyncio.wait_for(work, 8)
    except VenueError as failure:
        return failure


def left(server: Server, expected: str) -> bool:
    return any(re.search(expected, line) for line in server.got)


def test_every_row_is_tested() -> None:
    assert set(LEAVES) == set(RULES)


@pytest.mark.parametrize("exchange", sorted(LEAVES))
def test_what_leaves_ccxt_names_the_order(exchange: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place, query, cancel = LEAVES[exchange]

    async def body(venue: CcxtVenue, server: Server) -> None:
        server.say = BEFORE.get(exchange, {})
        answer = await outcome(venue.place(order()))
        assert left(server, place), (answer, server.got)
        venue.tracker.drop(OURS)
        server.got.clear()
        answer = await outcome(venue._look_up(question()))
        assert left(server, query), (answer, server.got)
        server.got.clear()
        venue.tracker.drop(OURS)
        venue._confirm_cancel = None  # type: ignore[method-assign,assignment]  what follows a cancel is not looked at
        try:
            answer = await outcome(venue.cancel(CancelChild(venue_cl_ord_id=OURS, symbol=SYMBOL)))
        except TypeError:
            answer = "taken"
        assert left(server, cancel), (answer, server.got)
        assert not [line for line in server.got if re.search(r"=None\b|/None\b|null", line)], server.got
        server.got.clear()
        try:
            await outcome(venue.cancel(CancelChild(venue_cl_ord_id=OURS, symbol=SYMBOL, venue_order_id=THEIRS)))
        except TypeError:
            pass
        assert left(server, THEIRS), server.got

    scene(exchange, body, monkeypatch)


@pytest.mark.parametrize("exchange", sorted(LEAVES))
@pytest.mark.parametrize("known", ["", THEIRS])
def test_an_empty_answer_is_no_proof_that_there_is_no_order(exchange: str, known: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(venue: CcxtVenue, server: Server) -> None:
        found = await outcome(venue._look_up(QueryChild(venue_cl_ord_id=OURS, symbol=SYMBOL, venue_order_id=known, sent_ns=1)))
        assert isinstance(found, VenueError), found

    scene(exchange, body, monkeypatch)


def test_an_exchange_that_drops_our_id_gets_no_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """As ccxt does for coinbase when it is given clientOrderId: a random id leaves instead."""
    import fixgw.venues.client_ids as table

    for name in ("coinbase", "deribit", "cryptocom"):
        monkeypatch.setitem(RULES, name, table.IdRules(place="dropped"))

    async def body(venue: CcxtVenue, server: Server) -> None:
        monkeypatch.setattr(venue._exchange, "omit", lambda params, *keys: {k: v for k, v in params.items() if k != "dropped"})
        refused = await outcome(venue.place(order()))
        assert isinstance(refused, NeverSent) and refused.code == "NO_CLIENT_ID", refused
        assert venue._settings.exchange in refused.text and server.got == []

    for name in ("coinbase", "cryptocom", "deribit"):
        scene(name, body, monkeypatch)


def _reads_client_ids(exchange_class: type) -> bool:
    """ccxt's code that makes orders asks its parameters for clientOrderId."""
    for owner in exchange_class.__mro__:
        if ".base." in owner.__module__ or not owner.__module__.startswith("ccxt.async_support."):
            continue
        functions = [
            f for f in ast.walk(ast.parse(inspect.getsource(sys.modules[owner.__module__])))
            if isinstance(f, ast.FunctionDef | ast.AsyncFunctionDef) and re.search(r"^create_.*order|order_request$", f.name)
        ]  # fmt: skip
        if any(f.name == "create_order" for f in functions):
            calls = [c for f in functions for c in ast.walk(f) if isinstance(c, ast.Call) and isinstance(c.func, ast.Attribute)]
            reads = [c for c in calls if c.func.attr.startswith("safe_")]  # type: ignore[attr-defined]
            return any(isinstance(n, ast.Constant) and n.value == "clientOrderId" for c in reads for n in ast.walk(c))
    raise AssertionError(f"{exchange_class}: no create_order")


def test_exchanges_to_which_ccxt_hands_client_ids_unread_are_refused() -> None:
    exchanges = {name: getattr(ccxt.async_support, name) for name in ccxt.async_support.exchanges}
    unread = {name for name, made in exchanges.items() if not _reads_client_ids(made)}
    numbers = {"bitfinex", "hyperliquid"}
    own_names = {name for name, rules in RULES.items() if rules.place != "clientOrderId"}
    assert set(REFUSED) - numbers == unread - own_names
    parents = {name: made.__mro__[1].__name__ for name, made in exchanges.items()}
    assert {name: parent for name, parent in parents.items() if parent in RULES} == SAME_AS
    assert not set(REFUSED) & (set(RULES) | set(SAME_AS))


def test_an_exchange_that_is_known_not_to_work_is_not_connected_to() -> None:
    fields = {"exchange": "bitfinex", "symbols": [SYMBOL]}
    with pytest.raises(VenueConfigError, match="bitfinex cannot be used: it takes integers"):
        connect_venue(parse_venue(fields, "t", "t"), Sink())


class Deribit:
    """Orders with labels; `lost`: the answer to an order is."""

    def __init__(self, server: Server) -> None:
        self.orders: list[dict[str, Any]] = []
        self.lost = True
        server.say = {
            "private/buy": self.buy, "get_order_state_by_label": self.by_label, "cancel_by_label": self.cancel,
            "get_open_orders": lambda request: self.result([o for o in self.orders if o["order_state"] == "open"]),
            "trades": lambda request: self.result({"trades": [], "has_more": False}),
            "get_order_state": lambda request: web.json_response({"error": {"code": 10004, "message": "x"}}, status=400),
        }  # fmt: skip

    @staticmethod
    def result(value: Any) -> web.Response:
        return web.json_response({"jsonrpc": "2.0", "result": value})

    def buy(self, request: web.Request) -> web.Response:
        query = request.query
        self.orders.append({
            "order_id": f"BTC_USDT-{len(self.orders) + 1}", "order_state": "open", "label": query.get("label", ""),
            "instrument_name": "BTC_USDT", "direction": "buy", "price": float(query["price"]), "amount": float(query["amount"]),
            "filled_amount": 0, "order_type": "limit", "creation_timestamp": int(time.time() * 1000),
        })  # fmt: skip
        return web.Response(status=502) if self.lost else self.result({"order": self.orders[-1], "trades": []})

    def by_label(self, request: web.Request) -> web.Response:
        usdt = request.query["currency"] == "USDT"
        return self.result([o for o in self.orders if usdt and o["label"] == request.query["label"]])

    def cancel(self, request: web.Request) -> web.Response:
        found = [o for o in self.orders if o["label"] == request.query["label"] and o["order_state"] == "open"]
        for one in found:
            one["order_state"] = "cancelled"
        return self.result(len(found))


def test_deribit_an_order_whose_answer_was_lost_is_found_and_canceled(monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(venue: CcxtVenue, server: Server) -> None:
        deribit = Deribit(server)
        assert isinstance(await outcome(venue.place(order())), Ambiguous)
        found = await venue.query(question())
        assert (found.outcome, found.venue_order_id) == ("open", "BTC_USDT-1")
        assert [o.venue_cl_ord_id for o in await venue.open_orders((SYMBOL,))] == [OURS]
        venue.tracker.drop(OURS)
        done = await venue.cancel(CancelChild(venue_cl_ord_id=OURS, symbol=SYMBOL))
        assert done is not None and done.status == "canceled" and deribit.orders[0]["order_state"] == "cancelled"
        gone = await outcome(venue.cancel(CancelChild(venue_cl_ord_id="ABCDE0010000001C09", symbol=SYMBOL)))
        assert isinstance(gone, DefiniteReject) and gone.unknown_order
        absent = await venue.query(question("ABCDE0010000001C09"))
        assert absent.outcome == "not_found" and absent.trades_checked
        deribit.lost = False
        placed = await venue.place(order(venue_cl_ord_id="ABCDE0010000001C02"))
        assert placed.venue_order_id == "BTC_USDT-2"

    scene("deribit", body, monkeypatch)


def test_coinbase_an_order_is_placed_under_our_id_and_found_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    live: list[dict[str, Any]] = []

    async def body(venue: CcxtVenue, server: Server) -> None:
        def pages(request: web.Request) -> web.Response:
            start = int(request.query.get("cursor") or 0)
            page = {"orders": live[start : start + 1], "has_next": start + 1 < len(live), "cursor": str(start + 1)}
            return web.json_response(page)

        async def place() -> Any:
            server.say["brokerage/orders"] = {
                "success": True, "success_response": {"order_id": THEIRS, "client_order_id": OURS, "product_id": "BTC-USDT"}
            }  # fmt: skip
            return await venue.place(order())

        server.say = {"historical/fills": {"fills": []}, "historical/batch": pages}
        assert (await place()).venue_order_id == THEIRS
        sent = json.loads(next(line for line in server.got if line.startswith("POST")).split(" ", 2)[2])
        assert sent["client_order_id"] == OURS
        venue.tracker.drop(OURS)
        absent = await venue.query(question())
        assert absent.outcome == "not_found" and absent.trades_checked
        raw = {"product_id": "BTC-USDT", "side": "BUY", "status": "OPEN", "filled_size": "0"}
        live.extend([raw | {"order_id": "1", "client_order_id": "other"}, raw | {"order_id": THEIRS, "client_order_id": OURS}])
        found = await venue.query(question())
        assert (found.outcome, found.venue_order_id) == ("open", THEIRS)

    scene("coinbase", body, monkeypatch)


def test_an_order_that_the_exchange_forgot_by_our_id_is_found_among_the_open_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """gate knows a custom id for a while only."""

    async def body(venue: CcxtVenue, server: Server) -> None:
        missing = web.json_response({"label": "CLIENT_ID_NOT_FOUND", "message": "x"}, status=404)
        raw = {"id": THEIRS, "text": f"t-{OURS}", "status": "open", "currency_pair": "BTC_USDT", "side": "buy", "amount": "0.01",
               "left": "0.01", "price": "1", "create_time_ms": "1"}  # fmt: skip
        server.say = {f"t-{OURS}": lambda request: missing, "spot/open_orders": [{"orders": [raw]}]}
        found = await venue.query(question())
        assert (found.outcome, found.venue_order_id) == ("open", THEIRS)

    scene("gate", body, monkeypatch)


def test_an_unlisted_exchange_is_believed_only_by_its_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(venue: CcxtVenue, server: Server) -> None:
        assert "bingx" not in RULES
        raw = {"orderId": THEIRS, "clientOrderID": "", "symbol": "BTCUSDT", "side": "BUY", "status": "NEW", "origQty": "0.01",
               "executedQty": "0", "price": "1", "type": "LIMIT"}  # fmt: skip
        listed: list[dict[str, Any]] = []
        server.say = {
            "trade/openOrders": lambda request: web.json_response({"code": 0, "data": {"orders": listed}}),
            "historyOrders": {"code": 0, "data": {"orders": []}},
            "trade/query": {"code": 80016, "msg": "order does not exist"},
            "myTrades": {"code": 0, "data": {"fills": []}},
        }  # fmt: skip
        found = await venue.query(question())
        assert found.outcome == "not_found", found
        assert not left(server, "trade/query"), "asked by an id that is not known to work"
        listed.append(raw)
        doubt = await outcome(venue.query(question()))
        assert isinstance(doubt, Ambiguous) and doubt.code == "NOT_PROVEN", doubt
        listed[:] = [raw | {"clientOrderID": f"other{n}"} for n in range(10)]
        doubt = await outcome(venue.query(question()))
        assert isinstance(doubt, Ambiguous) and "may be more" in doubt.text, doubt
        listed[:] = [raw | {"clientOrderID": OURS}]
        assert (await venue.query(question())).venue_order_id == THEIRS

    scene("bingx", body, monkeypatch)


def test_a_frame_without_our_id_does_not_leave_and_the_connection_lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIG_KEY", "demo-key")
    monkeypatch.setenv("RIG_SECRET", SECRET)

    async def body(sim: SimServer, venue: CcxtVenue, sink: Sink) -> None:
        made = venue._exchange
        clients = set(made.clients.values())
        sign = made.sign_params
        made.sign_params = lambda params: sign({k: v for k, v in params.items() if k != "newClientOrderId"})
        refused = await outcome(placed(venue, "OURS1"))
        assert isinstance(refused, NeverSent) and refused.code == "NO_CLIENT_ID", refused
        made.sign_params = sign
        assert await placed(venue, "OURS2")
        assert {order.venue_cl_ord_id for order in await venue.open_orders((SYMBOL,))} == {"OURS2"}
        assert clients <= set(made.clients.values()), "the connection was made anew"

    run_venue(tmp_path, True, body)

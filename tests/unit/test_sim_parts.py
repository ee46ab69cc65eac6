"""The simulator's ledger, limits, faults, configuration and parameters, each alone."""

from __future__ import annotations

from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from fixgw.sim import client, launch
from fixgw.sim.cli import sim
from fixgw.sim.config import ConfigError, load_accounts, parse_accounts, parse_market
from fixgw.sim.faults import REQUEST_KINDS, FaultBoard, FaultError
from fixgw.sim.house import House
from fixgw.sim.ledger import Ledger, LedgerError, records_of, restore
from fixgw.sim.limits import LimitConfig, RateLimiter, parse_limits
from fixgw.sim.matching import Engine
from fixgw.sim.model import BUY, SELL, OrderRequest, Refused, SymbolRules
from fixgw.sim.params import ApiError, Params

SYM = "BTCUSDT"
RULES = SymbolRules("BTC", "USDT", min_notional=D(1))
SEC = 1_000_000_000


# ---- ledger ---------------------------------------------------------------------------------------------------


def test_ledger_reads_pages_and_cuts_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    ledger = Ledger(path)
    for n in range(700):
        ledger.append([{"ns": n, "type": "x"}])
    with pytest.raises(LedgerError, match="another simulator"):
        Ledger(path)
    assert [r["seq"] for r in ledger.read(300, 5)] == [301, 302, 303, 304, 305]
    assert [r["seq"] for r in ledger.read(255, 3)] == [256, 257, 258]
    assert ledger.read(700, 5) == [] and len(ledger.read(0, 10_000)) == 700
    ledger.close()
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"seq":701,"ns')
    again = Ledger(path)
    assert sum(1 for _ in again.recover()) == 700
    again.append([{"ns": 1, "type": "y"}, {"ns": 2, "type": "y"}])
    assert path.read_bytes().startswith(whole) and [r["seq"] for r in again.read(699, 9)] == [700, 701, 702]
    again.close()
    path.write_bytes(whole.replace(b'"seq":5,', b'"seq":6,'))
    broken = Ledger(path)
    with pytest.raises(LedgerError, match="line 5 has seq 6"):
        list(broken.recover())
    broken.close()


_order = st.tuples(
    st.just("order"), st.sampled_from("ab"), st.sampled_from((BUY, SELL)), st.sampled_from(("LIMIT", "MARKET", "QUOTE")),
    st.integers(1, 300), st.integers(97, 103), st.sampled_from(("GTC", "IOC", "FOK")),
)  # fmt: skip
_other = st.tuples(
    st.sampled_from(("cancel", "amend", "house")), st.sampled_from("ab"), st.sampled_from((BUY, SELL)), st.integers(1, 40),
    st.integers(97, 103),
)  # fmt: skip


def play(engine: Engine, house: House, n: int, action: tuple[Any, ...]) -> list[dict[str, Any]]:
    try:
        if action[0] == "order":
            _, who, side, kind, qty, price, tif = action
            limit = kind == "LIMIT"
            request = OrderRequest(
                who, SYM, side, "LIMIT" if limit else "MARKET", f"i{n}", None if kind == "QUOTE" else D(qty) / 100,
                D(price) if limit else None, D(qty) if kind == "QUOTE" else None, tif if limit else "GTC",
            )  # fmt: skip
            return records_of(engine.place(request, n))
        if action[0] == "cancel":
            return records_of(engine.cancel(action[1], SYM, n, order_id=action[3]))
        if action[0] == "amend":
            named = f"r{n}" if action[4] % 2 else ""
            return records_of(engine.amend(action[1], SYM, D(action[4]) / 100, n, order_id=action[3], new_cl_ord_id=named))
        return records_of(house.set_level(SYM, action[2], D(action[4]), D(action[3]), n))
    except Refused:
        return []


@settings(max_examples=80)
@given(st.lists(st.one_of(_order, _other), max_size=50))
def test_a_ledger_restores_the_same_exchange(actions: list[tuple[Any, ...]]) -> None:
    engine, again = Engine([RULES]), Engine([RULES])
    for made in (engine, again):
        for name in "ab":
            made.add_account(name, {"BTC": D(10), "USDT": D(2000)})
    records: list[dict[str, Any]] = []
    house = House(engine)
    for n, action in enumerate(actions, 1):
        records += play(engine, house, n, action)
    restore(again, [{"seq": n, **record} for n, record in enumerate(records, 1)])
    assert again.accounts == engine.accounts
    assert again.orders == engine.orders and again.open_orders == engine.open_orders
    assert again.trades == engine.trades and again.by_client == engine.by_client
    assert (again.fees, again.house_net, again.next_order_id) == (engine.fees, engine.house_net, engine.next_order_id)
    for side in (BUY, SELL):
        house.clear(SYM, side)
        levels = [
            [[order.order_id for order in level.orders.values()] for level in made.books[SYM].sides[side].walk()]
            for made in (engine, again)
        ]
        assert levels[0] == levels[1]  # price and time priority survive


# ---- limits ---------------------------------------------------------------------------------------------------


def test_weight_limit_then_ban() -> None:
    limiter = RateLimiter(LimitConfig(weight_1m=100, strikes=2, ban_s=90))
    now = 600 * SEC + 15 * SEC
    assert limiter.charge(100, now) is None
    seen = [limiter.charge(1, now) for _ in range(4)]
    assert [s and s.status for s in seen] == [429, 429, 418, 418]
    assert [s and s.retry_after_s for s in seen] == [45, 45, 90, 90]
    later = limiter.charge(1, now + 60 * SEC)
    assert later is not None and (later.status, later.retry_after_s) == (418, 30)
    assert limiter.charge(1, now + 91 * SEC) is None
    assert limiter.refused == 5


def test_order_limits_are_per_account_and_window() -> None:
    limiter = RateLimiter(LimitConfig(orders_10s=2, orders_1d=3))
    assert [limiter.charge_order("a", n) is None for n in range(3)] == [True, True, False]
    assert limiter.charge_order("b", 3) is None
    assert limiter.headers("a", True, 4)["X-MBX-ORDER-COUNT-10S"] == "2"
    assert limiter.charge_order("a", 10 * SEC) is None
    refused = limiter.charge_order("a", 20 * SEC)
    assert refused is not None and refused.code == -1015 and "1 DAY" in refused.msg
    off = RateLimiter(parse_limits("off"))
    assert off.charge(10**9, 1) is off.charge_order("a", 1) is None


@pytest.mark.parametrize("text", ["weight=0", "weights=5", "fast", "weight=5;orders10s=1", ""])
def test_bad_limits(text: str) -> None:
    with pytest.raises(ValueError, match="expected off, high, binance"):
        parse_limits(text)


# ---- faults ---------------------------------------------------------------------------------------------------


def test_fault_lifetimes_and_matches() -> None:
    board = FaultBoard()
    board.add({"kind": "hang", "count": 2}, 0)
    place = {"op": "order.place", "symbol": "BTCUSDT"}
    assert board.take(REQUEST_KINDS, {"op": "order.status"}, 1) is None
    assert [bool(board.take(REQUEST_KINDS, place, 1)) for _ in range(3)] == [True, True, False]
    board.add({"kind": "reply_429", "seconds": 2}, 0)
    assert board.take(REQUEST_KINDS, {"op": "depth"}, SEC) and not board.take(REQUEST_KINDS, place, 2 * SEC)
    board.add({"kind": "drop_after", "match": {"op": ["order.c*"], "symbol": "ETH*"}}, 0)
    assert not board.take(REQUEST_KINDS, {"op": "order.cancel", "symbol": "BTCUSDT"}, 1)
    assert board.take(REQUEST_KINDS, {"op": "order.cancel", "symbol": "ETHUSDT"}, 1)
    assert board.fired == {"hang": 2, "reply_429": 1, "drop_after": 1}
    board.add({"kind": "ws_missing", "seconds": 5}, 0)
    assert board.clear() == 1 and board.active(1) == []


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ([], "expected an object"),
        ({"kind": ["hang"]}, "expected one of"),
        ({"kind": "hang", "often": 1}, "often"),
        ({"kind": "hang", "count": True}, "count True"),
        ({"kind": "hang", "seconds": -1}, "seconds -1"),
        ({"kind": "http_5xx", "params": {"status": 404}}, "404"),
        ({"kind": "hang", "params": {"accept": "no"}}, "accept"),
        ({"kind": "ws_disconnect", "params": {"target": "moon"}}, "moon"),
        ({"kind": "hang", "match": {"event": "executionReport"}}, "match.event"),
        ({"kind": "hang", "match": {"op": []}}, "match.op"),
    ],
)
def test_bad_faults(body: Any, text: str) -> None:
    with pytest.raises(FaultError, match=text):
        FaultBoard().add(body, 0)


# ---- configuration and parameters ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ({}, "list of accounts"),
        ([{"name": "a", "key": "k"}], "secret is missing"),
        ([{"name": "house", "key": "k", "secret": "s"}], "reserved"),
        ([{"name": "a", "key": "k", "secret": "s", "balances": {"BTC": "-1"}}], "balances.BTC '-1'"),
        ([{"name": "a", "key": "k", "secret": "s"}, {"name": "b", "key": "k", "secret": "s"}], "same key"),
        ([{"name": "a", "key": "k", "secret": "s", "pin": 1}], "account 1"),
    ],
)
def test_bad_accounts(raw: Any, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        parse_accounts(raw, "accounts")


def test_accounts_keep_their_secret(tmp_path: Path) -> None:
    path = tmp_path / "accounts.json"
    path.write_text('[{"name": "a", "key": "k", "secret": "hush", "balances": {"BTC": "1.5"}}]')
    (account,) = load_accounts(path)
    assert account.balances == {"BTC": D("1.5")} and "hush" not in repr(account)
    with pytest.raises(ConfigError, match=r"missing\.toml"):
        load_accounts(tmp_path / "missing.toml")


def test_markets() -> None:
    assert parse_market("SOL/USDT:150").start == 150
    for text in ("SOLUSDT", "sol/usdt", "SOL/USDT:0", "SOL/USDT:x"):
        with pytest.raises(ConfigError, match=r"SOL|sol"):
            parse_market(text)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("-1", -1100), ("1e5", -1100), ("NaN", -1100), ("0.123456789", -1111), (".5", -1100), ("1" * 21, -1100),
        ("٣", -1100), ("", -1102),
    ],
)  # fmt: skip
def test_bad_decimals(text: str, code: int) -> None:
    with pytest.raises(ApiError) as caught:
        Params({"price": text}).required_decimal("price")
    assert caught.value.code == code and "price" in caught.value.msg


def test_good_params() -> None:
    params = Params({"price": "00061837.63000000", "limit": "99999", "newClientOrderId": "x-1_A", "omit": "true"})
    assert params.required_decimal("price") == D("61837.63")
    assert params.limit(100, 5000) == 5000 and params.client_id("newClientOrderId") == "x-1_A" and params.flag("omit")
    with pytest.raises(ApiError, match="Illegal"):
        Params({"newClientOrderId": "x" * 37}).client_id("newClientOrderId")


def test_help_has_an_example_and_local_urls_are_pure() -> None:
    result = CliRunner().invoke(sim, ["--help"])
    assert result.exit_code == 0 and "Example:" in result.output and "/sim/faults" in result.output
    urls = {"public": "https://api.x.com/api/v3", "ws": {"spot": "wss://s.x.com:9443/ws", "ws-api": {"spot": "wss://w/ws-api/v3"}}}
    assert launch.local_urls(urls, "127.0.0.1", 9) == {
        "public": "http://127.0.0.1:9/api/v3",
        "ws": {"spot": "ws://127.0.0.1:9/stream/ws", "ws-api": {"spot": "ws://127.0.0.1:9/ws-api/v3"}},
    }
    assert urls["public"] == "https://api.x.com/api/v3"
    with pytest.raises(client.SimError, match="/sim/state"):
        client.SimClient("127.0.0.1", 9, timeout_s=0.5).state()

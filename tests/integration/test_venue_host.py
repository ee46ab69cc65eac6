"""The venue host: the link's bounds and heartbeats, restarts, and the death of its parent."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from decimal import Decimal as D
from pathlib import Path

import pytest
from venue_rig import in_process, until

import fixgw.venues.host_link as host_link
from fixgw.core import commands as c
from fixgw.sim.launch import launch
from fixgw.venues.base import Ambiguous, Queried
from fixgw.venues.ccxt_trades import TradeReader
from fixgw.venues.conformance import Bench
from fixgw.venues.fake_gateway import FakeGateway
from fixgw.venues.host import VenueHost
from fixgw.venues.settings import parse_venue
from fixgw.venues.wire import CancelChild, PlaceChild, QueryChild

NULL = 'kind = "null"\nsymbols = ["BTC/USDT"]\n'
LIMIT = {"symbol": "BTC/USDT", "side": "1", "ord_type": "2", "tif": "1", "qty": D(1), "px": D(100)}


def host_process(directory: Path, config: str, *more: str) -> subprocess.Popen[bytes]:
    file = directory / "venue.toml"
    file.write_text(config, encoding="utf-8")
    environment = dict(os.environ, FIXGW_TEST_KEY="demo-key", FIXGW_TEST_SECRET="demo-secret")
    command = [sys.executable, "-m", "fixgw.venues.host", "--config", str(file), "--socket", str(directory / "g.sock")]
    return subprocess.Popen([*command, *more], env=environment, stderr=subprocess.PIPE)


def test_hello_and_link_come_first(tmp_path: Path) -> None:
    async def body(gate: FakeGateway, host: VenueHost) -> None:
        await gate.until(lambda: len(gate.received) >= 2, "two messages")
        hello, link = gate.received[:2]
        assert hello == gate.hellos[0] and hello.pid == os.getpid() and hello.venue == "nil"  # type: ignore[union-attr]
        assert isinstance(link, c.VenueLink) and link.up

    in_process(tmp_path, body)


def test_a_silent_gateway_is_taken_for_dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_link, "SILENCE_S", 0.3)
    monkeypatch.setattr(host_link, "HEARTBEAT_S", 0.1)

    async def body(gate: FakeGateway, host: VenueHost) -> None:
        await gate.until(lambda: len(gate.hellos) >= 2, "a second dial")

    in_process(tmp_path, body, heartbeats=False)


def test_heartbeats_keep_the_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_link, "SILENCE_S", 3.5)
    monkeypatch.setattr(host_link, "HEARTBEAT_S", 0.2)

    async def body(gate: FakeGateway, host: VenueHost) -> None:
        await asyncio.sleep(4.5)
        assert len(gate.hellos) == 1

    in_process(tmp_path, body)


def test_a_gateway_that_does_not_read_is_cut_and_not_fed_from_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_link, "MAX_BUFFER", 100_000)

    async def run() -> None:
        connections = 0
        first, second = asyncio.Event(), asyncio.Event()
        release = asyncio.Event()

        async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal connections
            connections += 1
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            (second if first.is_set() else first).set()
            await release.wait()

        server = await asyncio.start_unix_server(deaf, str(tmp_path / "g.sock"), limit=1024)
        host = VenueHost(parse_venue({"kind": "null", "symbols": ["BTC/USDT"]}, "test", "nil"), str(tmp_path / "g.sock"))
        serving = asyncio.ensure_future(host.run())
        try:
            await asyncio.wait_for(first.wait(), 20)
            for number in range(100_000):
                host.done(c_done(number))
                if host._link is None:
                    break
                if number % 500 == 0:
                    await asyncio.sleep(0)
            await asyncio.wait_for(second.wait(), 20)
            assert connections == 2
        finally:
            release.set()
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
            server.close()

    asyncio.run(asyncio.wait_for(run(), 110))


def c_done(number: int):  # type: ignore[no-untyped-def]
    from fixgw.venues.base import Done

    return Done(f"ORDER{number}", str(number), "canceled", D(0), "x" * 50)


def test_garbage_from_the_gateway_breaks_the_link_only(tmp_path: Path) -> None:
    async def body(gate: FakeGateway, host: VenueHost) -> None:
        assert gate._writer is not None
        gate._writer.write(b"\x00\x00\x00\x03abc")
        await gate.until(lambda: len(gate.hellos) >= 2, "a second dial")
        assert gate._writer is not None
        gate._writer.write(b"\xff\xff\xff\xff")
        await gate.until(lambda: len(gate.hellos) >= 3, "a third dial")
        gate.send(PlaceChild(venue_cl_ord_id="A1", **LIMIT))
        await gate.answer("A1", c.ChildAck)

    in_process(tmp_path, body)


def test_a_thousand_orders_at_once_are_each_answered_once(tmp_path: Path) -> None:
    async def body(gate: FakeGateway, host: VenueHost) -> None:
        for number in range(1000):
            gate.send(PlaceChild(venue_cl_ord_id=f"B{number}", **LIMIT))
            gate.send(CancelChild(venue_cl_ord_id=f"B{number}", symbol="BTC/USDT"))
            gate.send(QueryChild(venue_cl_ord_id=f"B{number}", symbol="BTC/USDT"))
        await gate.until(lambda: sum(isinstance(m, c.ChildQueryResult) for m in gate.received) == 1000, "all queries")
        for number in range(1000):
            words = gate.of(f"B{number}")
            kinds, end = [type(m) for m in words], words[-1]
            assert isinstance(end, c.ChildQueryResult)
            if end.outcome == "not_found":  # its cancel was read before it had begun
                assert kinds == [c.ChildReject, c.ChildQueryResult] and getattr(words[0], "withdrawn", False), words
            else:
                assert kinds == [c.ChildAck, c.ChildDone, c.ChildQueryResult] and end.outcome == "canceled", words
        assert not any((host._under_way, host._chains.newest, host._chains.places, host._chains.cancels, host._places))

    in_process(tmp_path, body)


def test_queries_for_one_order_do_not_pile_up(tmp_path: Path) -> None:
    """Behind an exhausted rate limit an answer takes long, and the gateway asks each second: one question waits, not all."""

    async def body(gate: FakeGateway, host: VenueHost) -> None:
        asked: list[str] = []
        go = asyncio.Event()

        async def slow(request: QueryChild) -> Queried:
            asked.append(request.venue_cl_ord_id)
            await go.wait()
            return Queried("open", time.time_ns(), "1")

        host._venue.query = slow  # type: ignore[method-assign]

        def answers() -> int:
            return sum(isinstance(message, c.ChildQueryResult) for message in gate.received)

        for _ in range(50):
            gate.send(QueryChild(venue_cl_ord_id="a", symbol="BTC/USDT"))
        gate.send(QueryChild(venue_cl_ord_id="b", symbol="BTC/USDT"))
        await until(lambda: len(asked) == 2)
        first = host._chains.queries["a"]
        # a cancel behind the question makes the next question a new one
        gate.send(CancelChild(venue_cl_ord_id="a", symbol="BTC/USDT"))
        gate.send(QueryChild(venue_cl_ord_id="a", symbol="BTC/USDT"))
        gate.send(QueryChild(venue_cl_ord_id="a", symbol="BTC/USDT"))
        await until(lambda: host._chains.queries.get("a") not in (None, first) and host._chains.is_asked("a"))
        go.set()
        await gate.until(lambda: answers() == 3, "three answers")
        assert sorted(asked) == ["a", "a", "b"] and not host._chains.queries
        gate.send(QueryChild(venue_cl_ord_id="a", symbol="BTC/USDT"))
        await gate.until(lambda: answers() == 4, "a later question is asked again")

    in_process(tmp_path, body)


def test_many_look_ups_of_one_order_are_one_request() -> None:
    """After a restart several scans of trades run side by side and need our ids of the same orders."""
    venue = object.__new__(TradeReader)
    venue._lookups = {}
    asked: list[str] = []

    async def look_up(symbol: str, order_id: str) -> str:
        asked.append(order_id)
        await asyncio.sleep(0)
        if order_id == "bad":
            raise Ambiguous("X", "no answer")
        return f"our-{order_id}"

    venue._look_up = look_up  # type: ignore[method-assign]

    async def run() -> list[str | BaseException]:
        wanted = [venue._lookup("BTC/USDT", order_id) for order_id in ("1", "2", "1", "bad", "bad")]
        found = await asyncio.gather(*wanted, return_exceptions=True)
        assert await venue._lookup("BTC/USDT", "1") == "our-1"
        return found

    found = asyncio.run(run())
    assert found[:3] == ["our-1", "our-2", "our-1"] and all(isinstance(error, Ambiguous) for error in found[3:])
    assert asked == ["1", "2", "bad", "1"] and not venue._lookups


def test_bad_configuration_ends_with_status_2_and_says_why(tmp_path: Path) -> None:
    for config, expected in (
        ('kind = "null"\nsymbols = ["BTC/USDT"]\nsymbol = 1\n', b"symbol: unknown key"),
        ('kind = "none"\nsymbols = ["BTC/USDT"]\n', b"'none' is not a known venue kind"),
        ('exchange = "nosuch"\nsymbols = ["BTC/USDT"]\n', b"'nosuch' is not an exchange"),
    ):
        process = host_process(tmp_path, config)
        _, err = process.communicate(timeout=40)
        assert process.returncode == 2 and expected in err and b"Traceback" not in err, err


def test_the_host_dies_with_its_parent(tmp_path: Path) -> None:
    """The parent is killed without a chance to clean up."""
    (tmp_path / "venue.toml").write_text(NULL, encoding="utf-8")
    arguments = ["--config", str(tmp_path / "venue.toml"), "--socket", str(tmp_path / "g.sock")]
    script = (
        "import subprocess, sys, time\n"
        f"p = subprocess.Popen([sys.executable, '-m', 'fixgw.venues.host', *{arguments!r}])\n"
        "print(p.pid, flush=True)\ntime.sleep(60)\n"
    )

    async def run() -> None:
        gate = FakeGateway(str(tmp_path / "g.sock"))
        await gate.start()
        parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)  # noqa: ASYNC220
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        try:
            await gate.until(lambda: gate.hellos, "Hello", 60.0)
            assert gate.hellos[0].pid == pid
            parent.kill()
            await gate.until(lambda: not gate.connected.is_set(), "the end of the host", 20.0)
        finally:
            parent.kill()
            parent.wait()
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            await gate.stop()

    asyncio.run(asyncio.wait_for(run(), 110))


def test_a_killed_host_comes_back_and_knows_orders_it_never_placed(tmp_path: Path) -> None:
    """kill -9 between place and fill: the new host tells the fill by our id, from the stream and from reconciliation."""

    async def run(port: int, bench_of: Callable[[FakeGateway], Bench]) -> None:
        gate = FakeGateway(str(tmp_path / "g.sock"))
        await gate.start()
        config = (
            f'exchange = "binance"\nbase_url = "http://127.0.0.1:{port}"\nsymbols = ["BTC/USDT"]\n'
            'api_key_env = "FIXGW_TEST_KEY"\nsecret_env = "FIXGW_TEST_SECRET"\n'
        )
        bench = bench_of(gate)
        ready = tmp_path / "ready.json"
        process = host_process(tmp_path, config, "--ready-file", str(ready))
        try:
            await bench.ready(60.0)
            assert str(process.pid) in ready.read_text()
            started_ns = time.time_ns()
            qty = bench.qty("500")
            first, ack = await bench.placed(qty=qty)
            second, other = await bench.placed(qty=qty)
            process.kill()
            process.communicate()
            await gate.until(lambda: not gate.connected.is_set(), "the link's end")
            bench.control.fill(int(ack.venue_order_id), qty)
            gate.received.clear()
            process = host_process(tmp_path, config)
            await bench.ready(60.0)
            bench.control.fill(int(other.venue_order_id), qty)
            told = await gate.answer(second, c.ChildTrade)
            assert told.trade.qty == qty and told.trade.venue_order_id == other.venue_order_id
            await gate.answer(second, c.ChildDone)
            picture = await bench.reconcile(started_ns)
            assert {t.venue_cl_ord_id for t in picture.trades} == {first, second}
            found = await bench.query(first)
            assert found.outcome == "filled" and found.trades_checked and found.cum_qty == qty
        finally:
            process.terminate()
            _, err = process.communicate(timeout=30)
            await gate.stop()
        assert process.returncode == 0 and b"Traceback" not in err, err.decode()[-3000:]

    with launch(tmp_path / "sim", "--liquidity", "static") as sim:
        abilities = frozenset({"fills", "ledger"})
        asyncio.run(
            asyncio.wait_for(run(sim.port, lambda gate: Bench(gate, "BTC/USDT", abilities, sim.client)), 110)
        )


def test_wrong_keys_leave_the_venue_down_and_leak_nothing(tmp_path: Path) -> None:
    async def run(port: int) -> None:
        gate = FakeGateway(str(tmp_path / "g.sock"))
        await gate.start()
        (tmp_path / "key").write_text("demo-key")
        (tmp_path / "secret").write_text("not-the-secret-at-all")
        config = (
            f'exchange = "binance"\nbase_url = "http://127.0.0.1:{port}"\nsymbols = ["BTC/USDT"]\n'
            'api_key_file = "key"\nsecret_file = "secret"\n'
        )
        process = host_process(tmp_path, config, "--log-level", "DEBUG")
        try:
            await gate.until(lambda: gate.hellos, "Hello", 60.0)
            gate.send(PlaceChild(venue_cl_ord_id="W1", **LIMIT | {"qty": D("0.1"), "px": D(50000)}))
            answer = await gate.answer("W1", c.ChildReject)
            assert answer.code
            await asyncio.sleep(1.0)
            assert not any(isinstance(m, c.VenueLink) and m.up for m in gate.received)
        finally:
            process.terminate()
            _, err = process.communicate(timeout=30)
            await gate.stop()
        assert process.returncode == 0
        assert b"-1022" in err and b"not-the-secret-at-all" not in err and b"demo-key" not in err, err.decode()[-3000:]
        assert not any(b"signature=" in line and b"signature=***" not in line for line in err.splitlines())

    with launch(tmp_path / "sim") as sim:
        asyncio.run(asyncio.wait_for(run(sim.port), 110))


def test_a_cancel_does_not_wait_behind_an_exhausted_rate_limit(tmp_path: Path) -> None:
    """ccxt's own limiter made a cancel wait 24.5 s behind 50 snapshots."""

    async def run(port: int) -> None:
        gate = FakeGateway(str(tmp_path / "g.sock"))
        await gate.start()
        config = (
            f'exchange = "binance"\nbase_url = "http://127.0.0.1:{port}"\nsymbols = ["BTC/USDT"]\n'
            'api_key_env = "FIXGW_TEST_KEY"\nsecret_env = "FIXGW_TEST_SECRET"\nrate_weight_per_minute = 1200\n'
        )
        process = host_process(tmp_path, config)
        try:
            bench = Bench(gate, "BTC/USDT", frozenset())
            await bench.ready(60.0)
            our_id, _ = await bench.placed()
            questions = [bench.new_id() for _ in range(50)]
            for question in questions:
                gate.send(QueryChild(venue_cl_ord_id=question, symbol="BTC/USDT"))
            await asyncio.sleep(0.3)
            assert sum(isinstance(m, c.ChildQueryResult) for m in gate.received) < 40, "the budget is not exhausted"
            started = time.monotonic()
            assert isinstance(await bench.cancel(our_id), c.ChildDone)
            assert time.monotonic() - started < 5.0
        finally:
            process.terminate()
            process.communicate(timeout=30)
            await gate.stop()

    with launch(tmp_path / "sim") as sim:
        asyncio.run(asyncio.wait_for(run(sim.port), 110))


def test_a_half_open_connection_is_noticed(tmp_path: Path) -> None:
    """The venue freezes (SIGSTOP): sockets stay open and nothing answers. ccxt's default notices after minutes."""

    async def run(port: int, pid: int) -> None:
        gate = FakeGateway(str(tmp_path / "g.sock"))
        await gate.start()
        config = (
            f'exchange = "binance"\nbase_url = "http://127.0.0.1:{port}"\nsymbols = ["BTC/USDT"]\n'
            'api_key_env = "FIXGW_TEST_KEY"\nsecret_env = "FIXGW_TEST_SECRET"\n'
            "keep_alive_ms = 700\ndown_grace_ms = 100\nrequest_timeout_ms = 1500\nrecv_window_ms = 1000\n"
        )
        process = host_process(tmp_path, config)
        try:
            bench = Bench(gate, "BTC/USDT", frozenset())
            await bench.ready(60.0)
            our_id, _ = await bench.placed()
            mark = len(gate.received)
            os.kill(pid, signal.SIGSTOP)
            try:
                await bench.seen(c.VenueLink, mark, lambda m: not m.up, timeout_s=20.0)
                late, answer = await bench.place()
                assert isinstance(answer, (c.ChildReject, c.ChildAmbiguous)), answer
            finally:
                os.kill(pid, signal.SIGCONT)
            await bench.seen(c.VenueLink, mark, lambda m: m.up, timeout_s=20.0)
            assert isinstance(await bench.cancel(our_id), c.ChildDone)
            found = await bench.query(late)
            assert found.outcome in ("not_found", "open")
            assert found.outcome == "not_found" or isinstance(answer, c.ChildAmbiguous)
        finally:
            process.terminate()
            process.communicate(timeout=30)
            await gate.stop()

    with launch(tmp_path / "sim") as sim:
        asyncio.run(asyncio.wait_for(run(sim.port, sim.process.pid), 110))

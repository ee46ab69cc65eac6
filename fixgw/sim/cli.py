"""The command `sim`: options to a SimConfig, run until SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from fixgw.outputs import check_ready_file
from fixgw.ready import write_ready
from fixgw.sim.config import (
    DEMO_BALANCES,
    ApiAccount,
    ConfigError,
    Market,
    SimConfig,
    load_accounts,
    parse_accounts,
    parse_market,
)
from fixgw.sim.limits import parse_limits

_EPILOG = """\b
Example:
  fixgw sim --dir /tmp/sim --port 8765 --liquidity static
  curl -s http://127.0.0.1:8765/api/v3/depth?symbol=BTCUSDT
  curl -s -X POST http://127.0.0.1:8765/sim/faults -d '{"kind": "drop_after", "count": 1}'
"""


@click.command(epilog=_EPILOG)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=0, show_default=True, type=click.IntRange(0, 65535), help="Port; 0 = any free one.")
@click.option(
    "--dir", "directory", required=True, type=click.Path(file_okay=False, path_type=Path),
    help="Where ledger.jsonl lives; the same directory again continues the same exchange.",
)  # fmt: skip
@click.option(
    "--liquidity", default=None, type=click.Choice(["static", "synthetic", "replay"]),
    help="Where the book comes from.  [default: static, or replay when --replay is given]",
)  # fmt: skip
@click.option("--replay", default=None, type=click.Path(path_type=Path), help="Recording to play (.gz or plain).")
@click.option("--speed", default=1.0, show_default=True, type=click.FloatRange(0.001, 10_000), help="Replay factor.")
@click.option("--loop", is_flag=True, help="Play the recording over and over.")
@click.option("--seed", default=1, show_default=True, type=int, help="Seed of quantities and of synthetic flow.")
@click.option(
    "--symbol", "symbols", multiple=True, default=("BTC/USDT", "ETH/USDT"), show_default=True,
    help="BASE/QUOTE or BASE/QUOTE:STARTPRICE; repeat for more.",
)  # fmt: skip
@click.option(
    "--accounts", default=None, type=click.Path(dir_okay=False, path_type=Path),
    help="TOML or JSON file of API accounts (name, key, secret, balances) instead of the demo account.",
)  # fmt: skip
@click.option(
    "--accounts-env", default=None, metavar="NAME", help="The same as JSON, from this environment variable."
)  # fmt: skip
@click.option("--demo-key", default="demo-key", show_default=True, help="API key of the account demo.")
@click.option("--demo-secret", default="demo-secret", show_default=True, help="Its secret (simulated money).")
@click.option("--maker-bps", default="10", show_default=True, help="Maker fee in basis points.")
@click.option("--taker-bps", default="10", show_default=True, help="Taker fee in basis points.")
@click.option(
    "--rate-limit", default="high", show_default=True,
    help="off, high, binance, or e.g. weight=1200,orders10s=50,strikes=10,ban=120.",
)  # fmt: skip
@click.option(
    "--history", default=100_000, show_default=True, type=click.IntRange(1), help="Closed orders to remember."
)
@click.option("--ready-file", default=None, type=click.Path(path_type=Path), help="Written when ready: host, port, pid.")
@click.option("--verbose", is_flag=True, help="Log more than warnings.")
def sim(**options: Any) -> None:
    """Run a simulated exchange that speaks the Binance spot dialect.

    REST under /api/v3, WebSocket API under /ws-api/v3, streams under /stream and /ws, fault switches and state under
    /sim/ (loopback only). Everything that happened is in DIR/ledger.jsonl.
    """
    logging.basicConfig(
        level=logging.INFO if options["verbose"] else logging.WARNING, format="%(asctime)s %(name)s %(message)s"
    )
    try:
        config = _config(options)
        if options["ready_file"] is not None:
            _check(options["ready_file"])
        _run(config, options["ready_file"])
    except (ConfigError, OSError) as exc:
        raise click.ClickException(str(exc)) from None


def _check(ready_file: Path) -> None:
    """Raises ConfigError."""
    try:
        check_ready_file(ready_file)
    except OSError as exc:
        raise ConfigError(f"--ready-file {ready_file}: {exc.strerror}: expected a file in a folder that can be written") from None


def _bps(name: str, text: str) -> Decimal:
    try:
        value = Decimal(text)
    except ArithmeticError:
        value = Decimal(-1)
    if not value.is_finite() or not 0 <= value <= 1000:
        raise ConfigError(f"{name} {text!r}: expected basis points from 0 to 1000")
    return value / 10_000


def _accounts(options: dict[str, Any]) -> tuple[ApiAccount, ...]:
    if options["accounts"] is not None:
        return load_accounts(options["accounts"])
    name = options["accounts_env"]
    if name is not None:
        try:
            raw = json.loads(os.environ.get(name, ""))
        except ValueError:
            raise ConfigError(f"environment variable {name}: expected a JSON list of accounts") from None
        return parse_accounts(raw, f"environment variable {name}")
    return (ApiAccount("demo", options["demo_key"], options["demo_secret"], DEMO_BALANCES),)


def _markets(texts: tuple[str, ...]) -> tuple[Market, ...]:
    markets = tuple(parse_market(text) for text in texts)
    names = [market.rules.symbol for market in markets]
    if len(set(names)) != len(names):
        raise ConfigError(f"symbol: one is given twice: {', '.join(texts)}")
    return markets


def _config(options: dict[str, Any]) -> SimConfig:
    """Raises ConfigError naming what is wrong."""
    replay = options["replay"]
    liquidity = options["liquidity"] or ("replay" if replay else "static")
    if replay is not None and not replay.is_file():
        raise ConfigError(f"recording {replay}: no such file")
    if replay is not None and liquidity != "replay":
        raise ConfigError(f"replay {replay}: expected only with --liquidity replay, not {liquidity}")
    try:
        limits = parse_limits(options["rate_limit"])
    except ValueError as exc:
        raise ConfigError(str(exc)) from None
    return SimConfig(
        directory=options["directory"], accounts=_accounts(options), markets=_markets(options["symbols"]),
        host=options["host"], port=options["port"], liquidity=liquidity, replay=replay, speed=options["speed"],
        loop=options["loop"], seed=options["seed"], maker_fee=_bps("maker-bps", options["maker_bps"]),
        taker_fee=_bps("taker-bps", options["taker_bps"]), limits=limits, history=options["history"],
    )  # fmt: skip


def _run(config: SimConfig, ready_file: Path | None) -> None:
    import uvloop

    from fixgw.sim.ledger import LedgerError

    try:
        uvloop.run(_serve(config, ready_file))
    except LedgerError as exc:
        raise ConfigError(str(exc)) from None


async def _serve(config: SimConfig, ready_file: Path | None) -> None:
    from fixgw.sim.binance import SimServer

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with SimServer(config) as server:
        ready = {"host": config.host, "port": server.port, "pid": os.getpid()}
        if ready_file is not None:
            write_ready(ready_file, ready)
        print(f"simulated exchange on http://{config.host}:{server.port} ({config.liquidity})", file=sys.stderr)
        waits = [asyncio.ensure_future(stop.wait()), asyncio.ensure_future(server.wait())]
        done, pending = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        for task in done:
            task.result()

"""The real, unmodified ccxt.pro binance client, connected to a simulator process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import ccxt.pro

from fixgw.sim.launch import RunningSim, local_urls


@asynccontextmanager
async def connected(sim: RunningSim, **settings: Any) -> AsyncIterator[Any]:
    """`settings`: ccxt's own (secret, timeout in ms) in place of those here."""
    exchange = ccxt.pro.binance(
        {
            "apiKey": "demo-key", "secret": "demo-secret", "enableRateLimit": False,
            "options": {"fetchMarkets": {"types": ["spot"]}, "fetchMargins": False}, **settings,
        }
    )  # fmt: skip
    exchange.urls["api"] = local_urls(exchange.urls["api"], sim.host, sim.port)
    exchange.number = str
    exchange.timeout_on_exit = 1  # ms that close() sleeps
    try:
        yield exchange
    finally:
        await exchange.close()

"""The real, unmodified ccxt.pro binance client, connected to a simulator process; and the exchange's windows."""

from __future__ import annotations

import asyncio
import time
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


async def within_a_window(length_s: int, left_s: float) -> None:
    """The exchange counts by whole windows of its clock: the present one has `left_s` to go, or it is waited for the next."""
    left = length_s - time.time() % length_s
    if left < left_s:
        await asyncio.sleep(left + 0.01)

"""Nothing that we send names ccxt or a broker of its choice: every exchange of ccxt that can sign an order without a network."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
from decimal import Decimal as D
from typing import Any

import ccxt
import pytest
from aiohttp import web
from ccxt_dry import EXCHANGES, OUR_ID, SPOT, SWAP, Dry, Sent, dry, market_of

from fixgw.venues.base import NeverSent
from fixgw.venues.broker_ids import clean_fields, clean_headers
from fixgw.venues.ccxt_exchange import CALL, Call, check_built
from fixgw.venues.limiter import Priority
from fixgw.venues.wire import PlaceChild

# exchange -> what may say "ccxt" in its requests, and why
EXCEPTIONS = {"bitteam": (re.compile(r"/trade/api/ccxt/"), "the exchange's own path of its order entry")}
# ids of brokers without "ccxt" in them, by which ccxt's authors are paid
OTHER_IDS = (
    "6b9ad766b55dBCDE", "p4sve", "AA03022abc", "ec6dd3a7dd982d0b", "bc830de7-50f3-460b-9ee0-f430f83f9dad", "177321641268789",
    "10000700011", "nfqkvdjp", "x-TKT5PX2F", "x-cvBPrNm9", "x-xcKtGhcu", "42ce8902-8585-448c-a1e8-0371a6ca7ca8",
    "0x6530512A6c89C7cfCEbC3BA7fcD9aDa5f30827a6", "0x1F5877C19e3777Cfd15F9d57253eA4aA5254Ec39",
    "0x21d2a053495994b1132a38cd1171acec40c6741e",
)  # fmt: skip
# cannot be made to sign an order with invented credentials, markets and answers: not proven (fixgw/README.md says so)
NOT_SIGNED = frozenset((
    "apex", "bittrade", "bullish", "coinbaseinternational", "coinone", "derive", "dydx", "extended", "grvt", "lbank", "lighter",
    "modetrade", "nado", "ndax", "pacifica", "paradex", "polymarket", "revolutx", "woofipro",
))  # fmt: skip


async def everything_sent(exchange_id: str) -> list[Sent]:
    found: list[Sent] = []
    for symbol in (SPOT, SWAP):
        made = dry(exchange_id, symbol)
        for kind, price in (("limit", "60000"), ("market", None), ("market", "60000")):
            found += await made.order(kind, price, clientOrderId=OUR_ID)
        await made.venue.close()
    return found


def test_no_request_of_any_exchange_names_ccxt_or_its_brokers() -> None:
    unsigned, faults = [], []
    for exchange_id in EXCHANGES:
        sent = asyncio.run(everything_sent(exchange_id))
        allowed = EXCEPTIONS.get(exchange_id, (re.compile("(?!)"), ""))[0]
        for request in sent:
            text = allowed.sub("", request.text)
            names = [name for name in ("ccxt", *OTHER_IDS) if name.lower() in text.lower()]
            faults += [f"{exchange_id}: {name} in {text}" for name in names]
            faults += [f"{exchange_id}: header {key}: None" for key, value in request.headers.items() if value is None]
        if not any("0.01" in request.text or "60000" in request.text for request in sent):
            unsigned.append(exchange_id)
    assert not faults, "\n".join(faults)
    assert len(EXCHANGES) > 100 and set(unsigned) <= NOT_SIGNED, set(unsigned) - NOT_SIGNED


def test_hyperliquid_sends_the_order_and_nothing_for_a_builder() -> None:
    async def body() -> None:
        made = dry("hyperliquid", SWAP)
        sent = await made.order("limit", "60000")
        text = " ".join(str(request.body) for request in sent)
        assert '"type":"order"' in text
        for word in ("approveBuilderFee", "setReferrer", "builder"):
            assert word not in text
        await made.venue.close()

    asyncio.run(body())


def test_what_ccxt_writes_while_it_signs_is_gone_and_the_signature_holds() -> None:
    """xt adds its field in sign(): the body and what is signed must be the same text."""

    async def body() -> None:
        made = dry("xt")
        sent = next(r for r in await made.order("limit", "60000", clientOrderId=OUR_ID) if r.method == "POST")
        assert "media" not in sent.body and OUR_ID in sent.body
        head = sent.headers
        payload = (
            f"xt-validate-algorithms=HmacSHA256&xt-validate-appkey={made.exchange.apiKey}&xt-validate-recvwindow="
            f"{head['xt-validate-recvwindow']}&xt-validate-timestamp={head['xt-validate-timestamp']}#POST#/v4/order#{sent.body}"
        )
        expected = hmac.new(made.exchange.secret.encode(), payload.encode(), hashlib.sha256).hexdigest()
        assert head["xt-validate-signature"] == expected
        await made.venue.close()

    asyncio.run(body())


def test_fields_before_the_signature() -> None:
    raw = {"id": "1", "broker_id": "x", "tag": "ccxt", "list": [{"order_tag": "CCXT", "tag": "mine"}], "source": "margin-api"}
    assert clean_fields(raw) == {"id": "1", "list": [{"tag": "mine"}], "source": "margin-api"}
    assert clean_fields("text") == "text"


def test_a_key_that_says_ccxt_stays() -> None:
    made = dry("kraken")
    made.exchange.apiKey = "my-ccxt-key"
    headers = {"API-Key": "my-ccxt-key", "X-Referral": "CCXT", "Referer": "x", "A": None, "B": ""}
    assert clean_headers(headers, made.exchange) == {"API-Key": "my-ccxt-key", "B": ""}


@pytest.mark.parametrize(
    ("url", "headers", "body"),
    [
        ("https://a/b", {"X-CHANNEL-API-CODE": None}, None),
        ("https://a/b", {None: "x"}, None),
        ("https://a/b", {"X": 5}, None),
        ("https://a/b", {"X": "a\r\nB: c"}, None),
        ("https://a/b", {}, 5),
        ("", {}, None),
    ],
)
def test_a_request_that_cannot_be_written_is_never_sent(url: str, headers: dict[Any, Any], body: Any) -> None:
    async def run() -> None:
        made = dry("bitget")
        call = Call(priority=Priority.PLACE)
        CALL.set(call)
        del made.exchange.fetch  # the real one
        with pytest.raises(NeverSent, match="BAD_REQUEST"):
            await made.exchange.fetch(url, "POST", headers, body)
        assert not call.sent
        await made.venue.close()

    with pytest.raises(NeverSent, match="BAD_REQUEST"):
        check_built(url, headers, body)
    asyncio.run(run())


async def _served(made: Dry, handler: Any) -> web.AppRunner:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    exchange = made.exchange
    exchange.urls["api"] = {key: f"http://127.0.0.1:{runner.addresses[0][1]}" for key in exchange.urls["api"]}
    del exchange.fetch
    return runner


def test_bitget_places_an_order() -> None:
    """It could not: ccxt gives the blanked id's header the value None."""

    async def body() -> None:
        made = dry("bitget")

        async def handler(request: web.Request) -> web.Response:
            text = await request.text()
            assert "X-CHANNEL-API-CODE" not in request.headers and OUR_ID in text
            return web.json_response({"code": "00000", "msg": "success", "data": {"orderId": "77", "clientOid": OUR_ID}})

        runner = await _served(made, handler)
        made.venue.listing.specs = {SPOT: made.venue._dialect.spec(market_of(made.exchange, SPOT))}
        order = PlaceChild(
            venue_cl_ord_id=OUR_ID, symbol=SPOT, side="1", ord_type="2", tif="1", qty=D("0.01"), px=D("60000")
        )
        placed = await made.venue.place(order)
        assert placed.venue_order_id == "77"
        await made.venue.close()
        await runner.cleanup()

    asyncio.run(body())


def test_a_refused_connection_after_an_order_left_does_not_unsend_it() -> None:
    async def body() -> None:
        made = dry("bitget")
        del made.exchange.fetch
        call = Call(priority=Priority.PLACE, sent=True)
        CALL.set(call)
        with pytest.raises(ccxt.NetworkError):
            await made.exchange.fetch("http://127.0.0.1:9/x", "GET", {}, None)
        assert call.sent
        fresh = Call(priority=Priority.PLACE)
        CALL.set(fresh)
        with pytest.raises(ccxt.NetworkError):
            await made.exchange.fetch("http://127.0.0.1:9/x", "GET", {}, None)
        assert not fresh.sent
        await made.venue.close()

    asyncio.run(body())

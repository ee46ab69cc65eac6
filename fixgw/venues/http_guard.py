"""What every HTTP session of a connector keeps to, REST and WebSocket handshakes alike: no redirect, no endless answer.

aiohttp follows redirects by itself. A POST that is answered 307 would be posted again, which is a second order; a 303 would
become a GET, whose answer says nothing of the order; and all headers, API keys too, would go to whatever host it names. So
an answer of 3xx is none: it is raised as soon as its head is there (a middleware sees each request before aiohttp looks at
the status), and what became of the request is not known.

An answer is read in pieces, after decompression, and given up beyond what an honest one can have: a list, once parsed, takes
up to twenty times its text, and parsing stops everything else.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Final

import aiohttp
import ccxt
from yarl import URL

# an order, its trades, balances, all open orders of an account: 1000 of them are some 0.5 MB
ANSWER_BYTES: Final = 8 << 20
# all markets of an exchange: 20 to 40 MB at the largest
MARKETS_BYTES: Final = 64 << 20
# a message of a stream, after decompression: as ccxt has it for frames (aiohttp: max_msg_size)
MESSAGE_BYTES: Final = 10 << 20
# of the request under way
most_bytes: ContextVar[int] = ContextVar("fixgw_venue_answer_bytes", default=ANSWER_BYTES)
_HOST_SHOWN = 80


class BrokenAnswer(aiohttp.ClientError, ccxt.BadResponse):  # type: ignore[misc]
    """The venue answered something that is no answer; the request may have been carried out. aiohttp's kind, so that it
    comes through it and ccxt unchanged, and ccxt's, so that it is judged as one (doctrine.py: ambiguous)."""


class Redirected(BrokenAnswer):
    """3xx."""


class AnswerTooLarge(BrokenAnswer):
    """More than `most_bytes`."""


async def _not_redirected(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    response = await handler(request)
    if 300 <= response.status < 400:
        response.close()
        text = f"{request.method}: HTTP {response.status}, {_target(response, request)}: redirects are not followed"
        raise Redirected(text)
    return response


def _target(response: aiohttp.ClientResponse, request: aiohttp.ClientRequest) -> str:
    """Where it points, by the host alone: paths and queries are the venue's to fill, with our keys if it likes."""
    place = response.headers.get("Location", "")
    try:
        url = request.url.join(URL(place)) if place else None
    except ValueError:
        url = None
    if url is None or url.host is None:
        return "a redirect to no usable place"
    where = "the same host" if url.origin() == request.url.origin() else f"{url.scheme}://{url.host}"
    return f"a redirect to {where[:_HOST_SHOWN].encode('ascii', 'backslashreplace').decode()}"


class _Response(aiohttp.ClientResponse):
    """Reads no more than `most_bytes`, as what JSON is."""

    def get_encoding(self) -> str:
        """Not what the answer names: some of Python's codecs (punycode) take the square of their input."""
        return "utf-8"

    async def read(self) -> bytes:
        if self._body is None:
            most = most_bytes.get()
            pieces, size = [], 0
            try:
                if (self.content_length or 0) > most:
                    raise AnswerTooLarge(f"{self.method}: an answer of {self.content_length} bytes, expected at most {most}")
                async for piece in self.content.iter_any():
                    size += len(piece)
                    if size > most:
                        raise AnswerTooLarge(f"{self.method}: an answer of more than {most} bytes")
                    pieces.append(piece)
            except BaseException:
                self.close()
                raise
            self._body = b"".join(pieces)
        return await super().read()


def guarded(session: aiohttp.ClientSession) -> aiohttp.ClientSession:
    """A session in the place of one that ccxt has just made, with its connections; the old one is of no more use."""
    made = aiohttp.ClientSession(
        connector=session.connector,
        trust_env=session.trust_env,
        middlewares=(_not_redirected,),
        response_class=_Response,
    )
    session.detach()
    return made


def broken(error: BaseException) -> BrokenAnswer | None:
    """What is behind an error of ccxt, if that is a broken answer."""
    inner: Any = error.__cause__ or (error.args[0] if error.args else None)
    return inner if isinstance(inner, BrokenAnswer) else None

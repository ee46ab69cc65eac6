"""Nothing leaves for an order unless it names the order: by our id, or by the venue's id that we gave.

An exchange class of ccxt may drop the id it is given (deribit knows `label`, not `clientOrderId`), send a random one instead
(coinbase) or write "None" where the id belongs. Then an order is live under a name that we do not know, and the venue's
"no such order" is about another order. So each request is looked at as it leaves: URL, body, headers or WebSocket frame.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias
from urllib.parse import unquote, urlsplit

from .base import Ambiguous, NeverSent, VenueError

# a GET whose path has none of these is a question on the way (account mode, markets, time)
_ORDER_WORDS = re.compile(r"order|buy|sell|trade|cancel|place|submit|execut", re.IGNORECASE)
# ccxt writes these where it was given no id: then ours stands in a parameter that the exchange does not read
_NO_ID = re.compile(
    r"[/=](?:None|null|undefined)(?=[/?&#]|$)|\[\s*(?:null|None)\s*\]|\"(?:ord|cl|tx)[\w-]*\"\s*:\s*(?:null|\"(?:None|null)\")",
    re.IGNORECASE,
)
Op: TypeAlias = Literal["place", "cancel", "query"]
# shorter headers hold no payload
_PAYLOAD_MIN = 40


@dataclass(slots=True)
class IdGuard:
    """Of one call. `ids`: any of them names the order, in the form in which the venue gets it. `carried`: the last request
    that mattered named it (or a complete list has been read): only then "not found" is about our order."""

    op: Op
    exchange: str
    ids: tuple[str, ...]
    carried: bool = False
    # a list is being read, which names no order
    reading: bool = False

    def admit(self, method: str, url: str, body: Any = None, headers: Mapping[str, Any] | None = None) -> bool:
        """True: the request is what was asked for. False: a question on the way to it. VenueError: it must not leave."""
        harmless = method == "GET" and not _ORDER_WORDS.search(urlsplit(url).path)
        shown = self._shown(url, body, headers)
        if self.op == "place" and self.carried and not harmless:
            raise Ambiguous("SENT_ALREADY", f"{self.exchange}: a second request for one order does not leave")
        if shown:
            self.carried = True
            return True
        if self.reading:
            self.carried = False
            return self.op == "query"
        if harmless:
            return False
        raise self.refusal()

    def refusal(self) -> VenueError:
        if self.op == "place":
            text = f"ccxt does not send our order id to {self.exchange}; this exchange cannot be used for orders"
            return NeverSent("NO_CLIENT_ID", text)
        return NeverSent("NO_ORDER_ID", f"the {self.op} would not name the order to {self.exchange}; it was not sent")

    def _shown(self, url: str, body: Any, headers: Mapping[str, Any] | None) -> bool:
        texts = (unquote(url), unquote(_text(body)), *_payloads(headers))
        if self.op != "place" and any(map(_NO_ID.search, texts)):
            return False
        return any(map(self._names, texts))

    def _names(self, text: str) -> bool:
        return any(_holds(text, one) for one in self.ids if one)


def _holds(text: str, name: str) -> bool:
    """`name` stands in `text` as a word: no letter or digit before or behind it."""
    start = text.find(name)
    while start >= 0:
        end = start + len(name)
        if not (start and text[start - 1].isalnum()) and not (end < len(text) and text[end].isalnum()):
            return True
        start = text.find(name, start + 1)
    return False


def _text(body: Any) -> str:
    if body is None or isinstance(body, str):
        return body or ""
    if isinstance(body, bytes):
        return body.decode(errors="replace")
    try:
        return json.dumps(body, default=str)
    except (TypeError, ValueError):
        return repr(body)


def _payloads(headers: Mapping[str, Any] | None) -> list[str]:
    """Headers that hold the request itself in base64 (gemini and its like)."""
    found = []
    for value in (headers or {}).values():
        if isinstance(value, str) and len(value) >= _PAYLOAD_MIN:
            try:
                found.append(base64.b64decode(value, validate=True).decode())
            except (binascii.Error, UnicodeDecodeError):
                continue
    return found

"""Request parameters, checked as Binance checks them: every refusal is an ApiError with its code and text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from fixgw.sim.model import Refused

_DECIMAL = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?")
_CLIENT_ID = re.compile(r"[a-zA-Z0-9_-]{1,36}")


class ApiError(Exception):
    """An error reply: HTTP status, Binance code, text, and data or headers where it has them."""

    def __init__(
        self, status: int, code: int, msg: str, *, data: Any = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(f"{status} {code}: {msg}")
        self.status = status
        self.code = code
        self.msg = msg
        self.data = data
        self.headers = dict(headers or {})

    @classmethod
    def refused(cls, refusal: Refused) -> ApiError:
        return cls(400, refusal.code, refusal.msg)

    def body(self) -> dict[str, Any]:
        out: dict[str, Any] = {"code": self.code, "msg": self.msg}
        if self.data is not None:
            out["data"] = self.data
        return out


def missing(name: str) -> ApiError:
    return ApiError(400, -1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


class Params:
    """Texts by name; each getter returns a checked value or raises ApiError."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def text(self, name: str) -> str | None:
        return self._values.get(name) or None

    def required(self, name: str) -> str:
        value = self._values.get(name)
        if not value:
            raise missing(name)
        return value

    def decimal(self, name: str) -> Decimal | None:
        text = self.text(name)
        if text is None:
            return None
        if not _DECIMAL.fullmatch(text):
            legal = "^([0-9]{1,20})(\\.[0-9]{1,20})?$"
            msg = f"Illegal characters found in parameter '{name}'; legal range is '{legal}'."
            raise ApiError(400, -1100, msg)
        value = Decimal(text)
        if value != round(value, 8):
            raise ApiError(400, -1111, f"Parameter '{name}' has too much precision.")
        return value

    def required_decimal(self, name: str) -> Decimal:
        self.required(name)
        value = self.decimal(name)
        if value is None:
            raise missing(name)
        return value

    def integer(self, name: str) -> int | None:
        text = self.text(name)
        if text is None:
            return None
        if not re.fullmatch(r"[0-9]{1,19}", text):
            raise ApiError(
                400, -1100, f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'."
            )
        return int(text)

    def limit(self, default: int, top: int) -> int:
        """The limit parameter; more than top is cut, as Binance does."""
        value = self.integer("limit")
        if value == 0:
            raise ApiError(400, -1100, "Illegal characters found in parameter 'limit'; legal range is '^[1-9][0-9]*$'.")
        return min(value or default, top)

    def client_id(self, name: str) -> str | None:
        text = self.text(name)
        if text is not None and not _CLIENT_ID.fullmatch(text):
            msg = f"Illegal characters found in parameter '{name}'; legal range is '^[a-zA-Z0-9-_]{{1,36}}$'."
            raise ApiError(400, -1100, msg)
        return text

    def forbid(self, *names: str) -> None:
        for name in names:
            if self.text(name) is not None:
                raise ApiError(400, -1106, f"Parameter '{name}' sent when not required.")

    def flag(self, name: str) -> bool:
        return (self.text(name) or "").lower() == "true"

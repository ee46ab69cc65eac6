"""Core messages -> FIX messages of each version. One file per message, found by listing this package: it has MESSAGE (the
core's type) and encode(message, version, *, copy_of, poss_resend)."""

from __future__ import annotations

from typing import Protocol

import quickfix as fix

from fixgw.core.reports import Message
from fixgw.fix.message_modules import by_message

from .versions import VERSIONS, Version, dictionaries, version_of


class Encoder(Protocol):
    def __call__(self, message: Message, version: Version, *, copy_of: str, poss_resend: bool) -> fix.Message: ...


ENCODERS: dict[type, Encoder] = by_message(__name__, "MESSAGE", "encode")


def encode(message: Message, version: Version, *, copy_of: str = "", poss_resend: bool = False) -> fix.Message:
    """The FIX message without the session's own header fields, which sendToTarget adds. `copy_of`: it is a drop copy of
    a report of that session (Reports only); `poss_resend`: PossResend(97)=Y."""
    return ENCODERS[type(message)](message, version, copy_of=copy_of, poss_resend=poss_resend)


__all__ = ["VERSIONS", "Version", "dictionaries", "encode", "version_of"]

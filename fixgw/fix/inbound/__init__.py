"""FIX application messages -> commands, for all versions alike (the versions' differences in these messages are only
which fields may be missing). One file per message, found by listing this package: it has MSG_TYPE and
parse(fields, common, context) -> command.

A message that cannot be used becomes the command Unsupported, so that its refusal is journaled like every decision.
"""

from __future__ import annotations

from collections.abc import Callable

from fixgw.core.commands import CancelOrder, NewOrder, ReplaceOrder, SeqSeen, StatusRequest, Unsupported
from fixgw.core.reasons import Reason
from fixgw.fix.message_modules import by_message

from .fields import Common, Context, FieldError, Fields, TermError, clean, common, sequence_number, split
from .salvage import salvage

ClientMessage = NewOrder | CancelOrder | ReplaceOrder | StatusRequest | Unsupported | SeqSeen
Parser = Callable[[Fields, Common, Context], ClientMessage]

# BusinessRejectReason(380)
OTHER = 0
UNSUPPORTED_TYPE = 3
MISSING = 5
NOT_AUTHORIZED = 6
# what a counterparty says about our own messages: never answered by another reject
_ANSWERS = frozenset({"j"})

PARSERS: dict[str, Parser] = by_message(__name__, "MSG_TYPE", "parse")


def parse(raw: str, context: Context) -> ClientMessage:
    """The command of an application message as QuickFIX's toString gives it. Raises FieldError only when the message has
    no usable MsgSeqNum, which QuickFIX never lets through."""
    fields = split(raw)
    seq = sequence_number(fields)
    msg_type = clean(fields.get("35", ""), 8)
    parser = PARSERS.get(msg_type)
    try:
        shared = common(fields, context, seq)
        if msg_type in _ANSWERS:
            return SeqSeen(**shared.named())
        if parser is not None and context.role == "trading":
            return parser(fields, shared, context)
    except FieldError as error:
        return _unusable(fields, context, seq, msg_type, error)
    if parser is None:
        refusal, business_reason, limit = Reason.UNSUPPORTED_MESSAGE, UNSUPPORTED_TYPE, ", ".join(sorted(PARSERS))
    else:
        refusal, business_reason, limit = Reason.READ_ONLY, NOT_AUTHORIZED, "no orders and no requests"
    return Unsupported(
        **shared.named(),
        msg_type=msg_type,
        reason=refusal.value,
        business_reason=business_reason,
        text=refusal.meaning,
        ref_id=clean(fields.get("11", ""), 64),
        tag=35,
        value=msg_type,
        limit=limit,
    )


def _unusable(fields: Fields, context: Context, seq: int, msg_type: str, error: FieldError) -> Unsupported:
    """What a field at fault makes of its message."""
    business_reason = OTHER
    if isinstance(error, TermError):
        refusal = Reason.UNSUPPORTED
    elif error.value:
        refusal = Reason.INVALID_VALUE
    else:
        refusal, business_reason = Reason.MISSING_FIELD, MISSING
    shared = common(fields, context, seq, with_origin=False)  # the times may be what is at fault
    return Unsupported(
        **shared.named(),
        msg_type=msg_type,
        reason=refusal.value,
        business_reason=business_reason,
        text=clean(str(error), 200),
        ref_id=clean(fields.get("11", ""), 64),
        tag=error.tag,
        value=error.value,
        limit=error.expected,
        request=salvage(msg_type, fields, shared) if context.role == "trading" else None,
    )


__all__ = ["PARSERS", "Context", "FieldError", "parse"]

"""FIX application messages -> commands, for all versions alike (the versions' differences in these messages are only
which fields may be missing). One file per message, found by listing this package: it has MSG_TYPE and
parse(fields, common, context) -> command.

A message that cannot be used becomes the command Unsupported, so that its refusal is journaled like every decision.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable

from fixgw.core.commands import CancelOrder, NewOrder, ReplaceOrder, SeqSeen, StatusRequest, Unsupported
from fixgw.core.reasons import Reason

from .fields import Common, Context, FieldError, Fields, TermError, clean, common, sequence_number, split

ClientMessage = NewOrder | CancelOrder | ReplaceOrder | StatusRequest | Unsupported | SeqSeen
Parser = Callable[[Fields, Common, Context], ClientMessage]

# BusinessRejectReason(380)
OTHER = 0
UNSUPPORTED_TYPE = 3
MISSING = 5
NOT_AUTHORIZED = 6
# what a counterparty says about our own messages: never answered by another reject
_ANSWERS = frozenset({"j"})


def _discover() -> dict[str, Parser]:
    found: dict[str, Parser] = {}
    for info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{info.name}")
        msg_type = getattr(module, "MSG_TYPE", None)
        if msg_type is not None:
            assert msg_type not in found, f"two modules parse {msg_type}"
            found[msg_type] = module.parse
    return found


PARSERS = _discover()


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
        refusal = Reason.UNSUPPORTED_MESSAGE if parser is None else Reason.READ_ONLY
        business_reason = UNSUPPORTED_TYPE if parser is None else NOT_AUTHORIZED
        tag, value, text = 35, msg_type, refusal.meaning
    except FieldError as error:
        tag, value, text = error.tag, error.value, str(error)
        if isinstance(error, TermError):
            refusal, business_reason = Reason.UNSUPPORTED, OTHER
        elif value:
            refusal, business_reason = Reason.INVALID_VALUE, OTHER
        else:
            refusal, business_reason = Reason.MISSING_FIELD, MISSING
        # its flags and times may be what is at fault
        shared = Common(context.ts_ns, context.session, context.reset_epoch, seq, False, False, None)
    return Unsupported(
        **shared.named(),
        msg_type=msg_type,
        reason=refusal.value,
        business_reason=business_reason,
        text=clean(text, 200),
        ref_id=clean(fields.get("11", ""), 64),
        tag=tag,
        value=value,
    )


__all__ = ["PARSERS", "Context", "FieldError", "parse"]

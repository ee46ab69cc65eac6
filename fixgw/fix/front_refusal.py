"""How the front tells a client why its Logon is refused.

Only whoever names one of our sessions is told; strangers get a bare close (and so must whoever will once fail to prove who it
is). The answer is a Logout with Text(58), and a FIX engine counts a Logout as received whatever its number: with a wrong one
the client would lose a number that it shares with QuickFIX and could not log on again. So there are two ways:
- With 141=Y the client counts from 1, and the front itself answers with number 1. QuickFIX never hears of it: it would wipe its
  store before it could refuse.
- Else only QuickFIX knows the number. It gets a Logon in the client's place, which has sane values, the client's MsgSeqNum, and
  the refusal in RawData(96); the acceptor refuses whatever Logon carries that (callbacks.py), and QuickFIX says Logout with the
  right number. Of the client's own Logon nothing but its number gets there.
"""

import time
from typing import Final

from fixgw.fix.frames import SOH
from fixgw.fix.front_logon import FrontSession, Logon

_MARK: Final = "fixgw front: logon refused: "


def logout(session: FrontSession, text: str) -> bytes:
    """A Logout with sequence number 1, for a client that asked to reset."""
    return _frame(session, "35=5", "34=1", (f"49={session.gateway_comp_id}", f"56={session.client_comp_id}"), f"58={text}")


def refused_logon(logon: Logon, text: str) -> bytes:
    """The Logon that QuickFIX gets in place of the client's, to be refused with `text`."""
    session = logon.session
    data = _MARK + text
    terms = ["98=0", "108=30", f"95={len(data)}", f"96={data}"]
    if session.begin_string == "FIXT.1.1":
        terms.append("1137=9")
    ids = (f"49={session.client_comp_id}", f"56={session.gateway_comp_id}")
    return _frame(session, "35=A", f"34={logon.sequence}", ids, *terms)


def refused_relogon(session: FrontSession, number: int, text: str) -> bytes:
    """The Logout that QuickFIX gets in place of a Logon in a live connection (front_relogon.py)."""
    ids = (f"49={session.client_comp_id}", f"56={session.gateway_comp_id}")
    return _frame(session, "35=5", f"34={number}", ids, f"58={_MARK}{text}")


def refusal_of(text: str) -> str:
    """Why a Logon with this RawData(96) is to be refused, or a Logout with this Text(58) stands for one that was; "" when the
    front said nothing of the kind."""
    return text.removeprefix(_MARK) if text.startswith(_MARK) else ""


def _frame(session: FrontSession, kind: str, number: str, ids: tuple[str, str], *terms: str) -> bytes:
    now = time.strftime("%Y%m%d-%H:%M:%S", time.gmtime())
    fields = (kind, number, ids[0], f"52={now}", ids[1], *terms)
    body = b"".join(field.encode("ascii", "replace") + SOH for field in fields)
    head = b"8=%s\x019=%d\x01" % (session.begin_string.encode(), len(body)) + body
    return head + b"10=%03d\x01" % (sum(head) & 0xFF)

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

import re
import time
from typing import Final

import msgspec

from fixgw.fix.frames import SOH
from fixgw.fix.front_data import DataFault
from fixgw.fix.front_logon import FrontSession, Logon

_MARK: Final = "fixgw front: logon refused: "
_NOT_PASSED: Final = "fixgw front: message refused: "
# of a message that is not passed on: what QuickFIX judges before it looks at anything else
_HEADER: Final = (b"49", b"56", b"34", b"52", b"43", b"97", b"122")
_LOGOUT: Final = b"5"
_TYPE: Final = re.compile(r"[A-Za-z0-9]{1,4}\Z")


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


class Refused(msgspec.Struct, frozen=True):
    """A message that the front did not pass on, as its stand-in tells it: what the Reject(3) names."""

    # 0: none
    tag: int
    reason: int
    # "" where it is not fit to be repeated
    msg_type: str
    text: str


def refused_message(frame: bytes, fault: DataFault) -> bytes:
    """What QuickFIX gets in place of a message that it must not see: a Heartbeat with the message's own header, so that its
    number is used up, asked for, or passed over as that of any other, and the refusal in TestReqID(112). The acceptor makes a
    Reject(3) of it (callbacks.py). A Logout stays one: what it had to say besides is left out."""
    header: dict[bytes, bytes] = {}
    for part in frame.split(SOH):
        tag, _, value = part.partition(b"=")
        header.setdefault(tag, value)
    msg_type = header.get(b"35", b"")
    if msg_type == _LOGOUT:
        kind, said = b"35=5", b"58=" + fault.text.encode()
    else:
        shown = msg_type.decode("latin-1")
        shown = shown if _TYPE.match(shown) else "?"
        kind, said = b"35=0", b"112=" + f"{_NOT_PASSED}{fault.tag} {fault.reason} {shown} {fault.text}".encode()
    fields = [kind, *(tag + b"=" + header[tag] for tag in _HEADER if tag in header), said]
    return _closed(header[b"8"], fields)


def message_refused(test_req_id: str) -> Refused | None:
    """What the TestReqID(112) of a stand-in says; None for any other."""
    parts = test_req_id.removeprefix(_NOT_PASSED).split(" ", 3)
    if not test_req_id.startswith(_NOT_PASSED) or len(parts) < 4:
        return None
    tag, reason, msg_type, text = parts
    if not (tag.isascii() and tag.isdigit() and len(tag) <= 9 and reason in ("0", "1", "3", "5", "6")):
        return None
    return Refused(int(tag), int(reason), msg_type if _TYPE.match(msg_type) else "", text)


def reject_text(begin_string: str, number: int, refused: Refused) -> str:
    """The Reject(3) of message `number`, for QuickFIX to complete."""
    fields = [f"8={begin_string}", "9=0", "35=3", f"45={number}", f"373={refused.reason}", f"58={refused.text}"]
    fields += [f"371={refused.tag}"] if refused.tag else []
    fields += [f"372={refused.msg_type}"] if refused.msg_type else []
    return "".join(f"{field}\x01" for field in (*fields, "10=000"))


def refusal_of(text: str) -> str:
    """Why a Logon with this RawData(96) is to be refused, or a Logout with this Text(58) stands for one that was; "" when the
    front said nothing of the kind."""
    return text.removeprefix(_MARK) if text.startswith(_MARK) else ""


def _frame(session: FrontSession, kind: str, number: str, ids: tuple[str, str], *terms: str) -> bytes:
    now = time.strftime("%Y%m%d-%H:%M:%S", time.gmtime())
    fields = (kind, number, ids[0], f"52={now}", ids[1], *terms)
    return _closed(session.begin_string.encode(), [field.encode("ascii", "replace") for field in fields])


def _closed(begin_string: bytes, fields: list[bytes]) -> bytes:
    body = b"".join(field + SOH for field in fields)
    head = b"8=%s\x019=%d\x01" % (begin_string, len(body)) + body
    return head + b"10=%03d\x01" % (sum(head) & 0xFF)

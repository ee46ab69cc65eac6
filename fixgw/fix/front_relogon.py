"""A Logon inside a connection that is logged on already.

FIX knows one such: with 141=Y and number 1 it begins the numbers anew. It is judged as a first Logon is, because QuickFIX wipes
its store before it looks at anything else of it. Every other, and one that is not sane, would make QuickFIX close without a
word. In its place QuickFIX gets a Logout of that number, which says why (front_refusal.py); the acceptor has our own Logout
repeat it, under the right number.
"""

import time
from typing import Final

from fixgw.fix.frames import SOH, FrameError, FrameSplitter, first_frame_end
from fixgw.fix.front_logon import FrontConfig, FrontSession, LogonRefused, judge_logon
from fixgw.fix.front_refusal import refused_relogon

# a run of frames without these bytes has no Logon in it, however its tags are written
LOGON: Final = b"35=A\x01"
# in place of a number that cannot be read: one too high uses up none
_NO_NUMBER: Final = 2**31 - 1


def relogon(
    run: bytes, splitter: FrameSplitter, session: FrontSession, config: FrontConfig
) -> tuple[bytes, LogonRefused | None]:
    """What of a run of whole frames QuickFIX may have, and why a Logon in it was refused. Nothing behind that goes there."""
    passed = bytearray()
    for frame in splitter.frames_of(run):
        if _is_logon(frame):
            try:
                _judge(frame, session, config)
            except LogonRefused as refused:
                number = refused.asker.sequence if refused.asker is not None else _number(frame)
                return bytes(passed) + refused_relogon(session, number, refused.text), refused
        passed += frame
    return bytes(passed), None


def _judge(frame: bytes, session: FrontSession, config: FrontConfig) -> None:
    try:
        end = first_frame_end(frame, config.logon_frame_cap)
    except FrameError as error:
        raise LogonRefused(error.code, detail=error.detail) from error
    if end != len(frame):
        raise LogonRefused("malformed", detail="BodyLength(9) does not lead to the end of the Logon")
    if not judge_logon(frame, {session.key: session}, time.time_ns(), config.max_latency_s).reset:
        raise LogonRefused("already_logged_on", detail="a Logon in a live connection needs 141=Y")


def _is_logon(frame: bytes) -> bool:
    """As QuickFIX sees it: by the third field, whose tag is a number to it."""
    fields = frame.split(SOH, 3)
    tag, _, value = fields[2].partition(b"=") if len(fields) > 3 else (b"", b"", b"")
    return value == b"A" and tag.lstrip(b"0") == b"35"


def _number(frame: bytes) -> int:
    for part in frame.split(SOH):
        tag, _, value = part.partition(b"=")
        if tag == b"34" and value.isdigit() and len(value.lstrip(b"0")) <= 10:
            return int(value.lstrip(b"0") or b"0")
    return _NO_NUMBER

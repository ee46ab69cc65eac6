"""What the front knows of sessions, and its judgement on the first message of a connection.

The front decides on the Logon BEFORE QuickFIX sees it, because ResetSeqNumFlag(141)=Y makes QuickFIX wipe its
store before any callback could refuse: whoever reaches QuickFIX with a session's CompIDs can reset that session.
So only the Logon of a known, enabled session passes, with sane values, and every field that is decided on may
stand in it only once (QuickFIX could read the other one). Certificates and passwords will be checked in
`judge_logon` too: it is the one place that lets a connection in. Whoever names one of our sessions and is refused is told
why (front_refusal.py); for that its number must be readable.
"""

import calendar
import re
from pathlib import Path
from typing import Any, Final

import msgspec

from fixgw.fix.dictionary import DictionaryError
from fixgw.fix.frames import SOH
from fixgw.fix.front_data import data_fault, data_fields
from fixgw.fix.front_dictionary import logon_fault, logon_fields

_DECIDED_TAGS: Final = frozenset((b"8", b"9", b"10", b"34", b"35", b"49", b"52", b"56", b"98", b"108", b"141", b"1137"))
# as QuickFIX has them without a dictionary
_HEADER_TAGS: Final = frozenset(
    b"8 9 34 35 43 49 50 52 56 57 90 91 97 115 116 122 128 129 142 143 144 145 212 213 347 369 370 627 1128 1129".split()
)
_TAG: Final = re.compile(rb"[0-9]{1,9}\Z")
_TIME: Final = re.compile(rb"(\d{4})(\d\d)(\d\d)-(\d\d):(\d\d):(\d\d)(?:\.(\d{3,9}))?\Z")

# DefaultApplVerID(1137) of FIX 5.0SP2, the only version that we speak over FIXT.1.1
_APPL_VER: Final = b"9"
_NAMES: Final = {34: "MsgSeqNum", 52: "SendingTime", 98: "EncryptMethod", 108: "HeartBtInt", 1137: "DefaultApplVerID"}
_SHOWN: Final = 40

SessionKey = tuple[str, str, str]


class FrontSession(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One FIX session that may log on. For FIX 5.0 and later begin_string is FIXT.1.1."""

    begin_string: str
    client_comp_id: str
    gateway_comp_id: str
    enabled: bool = True
    name: str = ""
    heartbeat_min_s: int = 1
    heartbeat_max_s: int = 3600
    user_defined_fields: str = "reject"

    @property
    def key(self) -> SessionKey:
        return (self.begin_string, self.client_comp_id, self.gateway_comp_id)


class FrontConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The sessions file. Sizes in bytes, times in seconds."""

    sessions: tuple[FrontSession, ...]
    frame_cap: int = 64 * 1024
    logon_frame_cap: int = 4096
    # until a client has sent its Logon
    logon_deadline_s: float = 5.0
    # until the gateway has answered one: more than it takes to say why not (callbacks.py: LOGON_DURABLE_S), else the client is
    # cut off without a word
    logon_answer_s: float = 5.0
    write_cap: int = 1024 * 1024
    slow_reader_s: float = 10.0
    max_connections: int = 512
    max_prelogon_per_address: int = 64
    backend_timeout_s: float = 2.0
    drain_s: float = 2.0
    # the gateway's goodbye takes up to 5 s (Acceptor.stop)
    goodbye_s: float = 8.0
    max_latency_s: float = 120.0

    def by_key(self) -> dict[SessionKey, FrontSession]:
        return {session.key: session for session in self.sessions}


class ConfigError(Exception):
    """The sessions file cannot be used; says file, field, value and what was expected."""


class Logon(msgspec.Struct, frozen=True):
    """What was decided on: the session, whether the client asked to reset its numbers (141=Y), and its MsgSeqNum(34)."""

    session: FrontSession
    reset: bool
    sequence: int = 1


class LogonRefused(Exception):
    """This first message is not let in. `code` is a short word for logs, `fields` what is safe to log of it (with `tag`,
    `value` and `expected` where a field is at fault); `asker`: who can be told why, None for strangers and garbage."""

    def __init__(self, code: str, *, asker: Logon | None = None, **fields: object) -> None:
        super().__init__(code)
        self.code = code
        self.asker = asker
        self.fields = fields

    @property
    def text(self) -> str:
        """For the Logout: printable ASCII."""
        tag, value, expected = (self.fields.get(name, "") for name in ("tag", "value", "expected"))
        if not isinstance(tag, int):
            detail = self.fields.get("detail", "")
            return self.code.replace("_", " ") + (f": {detail}" if detail else "")
        shown = "".join(char if char.isascii() and char.isprintable() else "?" for char in str(value)[:_SHOWN])
        return f"{_NAMES[tag]}({tag}) is {shown or 'missing'}, expected {expected}"


def load_config(path: Path) -> FrontConfig:
    """Reads and checks the sessions file. Raises ConfigError."""
    try:
        config = msgspec.json.decode(path.read_bytes(), type=FrontConfig)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise ConfigError(f"{path}: {error}") from error
    bounds = {
        "frame_cap": (1024, 16 * 1024 * 1024),
        "logon_frame_cap": (256, 64 * 1024),
        "logon_deadline_s": (0.01, 60),
        "logon_answer_s": (0.01, 60),
        "write_cap": (4096, 1024 * 1024 * 1024),
        "slow_reader_s": (0.01, 600),
        "max_connections": (1, 10_000),
        "max_prelogon_per_address": (1, 10_000),
        "backend_timeout_s": (0.01, 60),
        "drain_s": (0.01, 60),
        "goodbye_s": (0.01, 60),
        "max_latency_s": (1, 86_400),
    }
    for field, (low, high) in bounds.items():
        value = getattr(config, field)
        if not low <= value <= high:
            raise ConfigError(f"{path}: {field}: {value}, expected {low} to {high}")
    seen: set[SessionKey] = set()
    for session in config.sessions:
        for field in ("begin_string", "client_comp_id", "gateway_comp_id"):
            value = getattr(session, field)
            if not value or not value.isprintable():
                raise ConfigError(f"{path}: sessions: {field}: {value!r}, expected printable text")
        if not session.begin_string.startswith("FIX"):
            raise ConfigError(f"{path}: sessions: begin_string: {session.begin_string!r}, expected FIX.4.2 or alike")
        if session.key in seen:
            raise ConfigError(f"{path}: sessions: {session.key}: stands there twice, expected once")
        seen.add(session.key)
        try:
            data_fields(session.begin_string)  # kept: no client has to wait for it
            logon_fields(session.begin_string)
        except DictionaryError as error:
            raise ConfigError(str(error)) from error
    return config


def judge_logon(frame: bytes, sessions: dict[SessionKey, FrontSession], now_ns: int, max_latency_s: float) -> Logon:
    """Lets a first message in, or raises LogonRefused. frame: a well-formed frame (first_frame_end found it)."""
    fields: dict[bytes, bytes] = {}
    in_header = True
    for position, part in enumerate(frame[:-1].split(SOH)):
        tag, equals, value = part.partition(b"=")
        if in_header and not (equals and _TAG.match(tag)):
            # QuickFIX looks for the session in the header by itself, and ends the process where it cannot read a tag
            raise LogonRefused("malformed", detail="a field of the header is not a number, = and a value")
        in_header = in_header and tag in _HEADER_TAGS
        if position == 2 and tag != b"35":
            raise LogonRefused("malformed", detail="MsgType(35) is not the third field")
        if tag.startswith(b"0"):
            # QuickFIX reads tags as numbers: 0141=Y would be its 141=Y, and not ours
            raise LogonRefused("malformed", detail="a tag begins with 0")
        if tag in _DECIDED_TAGS:
            if tag in fields:
                raise LogonRefused("malformed", detail=f"tag {tag.decode()} stands in the Logon twice")
            if not equals or not value:
                raise LogonRefused("malformed", detail=f"tag {tag.decode()} has no value")
            fields[tag] = value
    if fields.get(b"35") != b"A":
        raise LogonRefused("not_logon", msg_type=_text(fields, b"35"))
    key = (_text(fields, b"8"), _text(fields, b"49"), _text(fields, b"56"))
    ids: dict[str, Any] = dict(zip(("begin_string", "client_comp_id", "gateway_comp_id"), key, strict=True))
    session = sessions.get(key)
    if session is None:
        raise LogonRefused("unknown_session", **ids)
    reset = fields.get(b"141") == b"Y"
    sequence = fields.get(b"34", b"").lstrip(b"0")  # FIX allows zeros before a number
    numbered = sequence.isdigit() and len(sequence) <= 10
    asker = Logon(session, reset, int(sequence) if numbered else 1) if numbered or reset else None
    if not numbered:
        raise _refused("sequence", 34, fields, "a positive number", asker, ids)
    fault = data_fault(frame, data_fields(session.begin_string))
    if fault is not None:
        raise LogonRefused("malformed", asker=asker, detail=fault.text, **ids)
    if not session.enabled:
        raise LogonRefused("session_disabled", asker=asker, **ids)
    heartbeat = fields.get(b"108", b"")
    least, most = session.heartbeat_min_s, session.heartbeat_max_s
    if not (heartbeat.isdigit() and len(heartbeat) <= 5 and least <= int(heartbeat) <= most):
        raise _refused("heartbeat", 108, fields, f"{least} to {most} s", asker, ids)
    if fields.get(b"98") != b"0":
        raise _refused("encryption", 98, fields, "0", asker, ids)
    if session.begin_string == "FIXT.1.1" and fields.get(b"1137") != _APPL_VER:
        raise _refused("appl_version", 1137, fields, f"{_APPL_VER.decode()} (FIX 5.0SP2)", asker, ids)
    # QuickFIX would close without a word, and with 141=Y it judges 52 and 34 only after it has wiped its store: an old
    # captured Logon must end here
    sent_ns = _time_ns(fields.get(b"52", b""))
    if sent_ns is None:
        raise _refused("sending_time", 52, fields, "YYYYMMDD-HH:MM:SS[.sss], a time that exists", asker, ids)
    if abs(now_ns - sent_ns) > max_latency_s * 1e9:
        raise _refused("sending_time", 52, fields, f"within {max_latency_s:g} s of now", asker, ids)
    if reset and int(sequence) != 1:
        raise _refused("sequence", 34, fields, "1 with 141=Y", asker, ids)
    wrong = logon_fault(frame, session.begin_string, session.user_defined_fields)
    if wrong:
        raise LogonRefused("not_in_dictionary", asker=asker, detail=wrong, **ids)
    return Logon(session, reset, int(sequence))


def _refused(
    code: str, tag: int, fields: dict[bytes, bytes], expected: str, asker: Logon | None, ids: dict[str, Any]
) -> LogonRefused:
    value = _text(fields, str(tag).encode())
    return LogonRefused(code, asker=asker, tag=tag, value=value, expected=expected, **ids)


def _text(fields: dict[bytes, bytes], tag: bytes) -> str:
    return fields.get(tag, b"").decode("latin-1")


def _time_ns(value: bytes) -> int | None:
    """UTCTimestamp to ns since 1970; None when it is none."""
    match = _TIME.match(value)
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second < 61 and year >= 1970):
        return None
    fraction = (match.group(7) or b"").ljust(9, b"0")
    return calendar.timegm((year, month, day, hour, minute, second)) * 1_000_000_000 + int(fraction)

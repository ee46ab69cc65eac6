"""Who is refused by the acceptor itself, whatever the front in front of it let through."""

from __future__ import annotations

import collections
import threading
from types import SimpleNamespace

import pytest

from fixgw.fix import callbacks
from fixgw.fix.front_logon import FrontSession, Logon
from fixgw.fix.front_refusal import refused_logon
from fixgw.fix.inbound.fields import split
from fixgw.fix.session_link import SessionLink

FIELDS = {"35": "A", "34": "1", "108": "30"}


def why_not(fields: dict[str, str], *, by_file: bool = True, by_operations: bool = True, barred: str = "") -> str | None:
    link = SimpleNamespace(held="", barred=barred, store_failed="", spec=SimpleNamespace(enabled=by_file))
    return callbacks.Application._why_not(link, by_operations, fields)  # type: ignore[arg-type]


def test_a_sane_logon_of_an_enabled_session_is_let_in() -> None:
    assert why_not(FIELDS) is None


@pytest.mark.parametrize("state", [{"by_file": False}, {"by_operations": False}, {"barred": "being reset"}])
def test_a_session_that_is_disabled_or_barred_is_not(state: dict[str, object]) -> None:
    assert why_not(FIELDS, **state)  # type: ignore[arg-type]


def test_the_stand_in_of_the_front_says_why() -> None:
    session = FrontSession(begin_string="FIX.4.4", client_comp_id="A", gateway_comp_id="FIXGW")
    frame = refused_logon(Logon(session=session, reset=False, sequence=7), "because")
    assert why_not(split(frame.decode())) == "because"


def test_a_connection_gets_one_try() -> None:
    """QuickFIX reads on behind a Logon that was refused, in the connection's own thread."""
    seen: list[str | None] = []

    def connection() -> None:
        callbacks.this_thread.refused = True
        seen.append(why_not(FIELDS))

    thread = threading.Thread(target=connection)
    thread.start()
    thread.join()
    assert seen == ["a Logon was refused on this connection"] and why_not(FIELDS) is None


def requests(*ranges: tuple[str, str], sent: int = 100_000) -> list[bool]:
    """What is said of ResendRequests one after the other, with `sent` messages out."""
    link = SessionLink.__new__(SessionLink)
    link.resends = collections.deque(maxlen=1000)
    session = SimpleNamespace(getExpectedSenderNum=lambda: sent + 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SessionLink, "session", session)
        return [link.resends_too_often(begin, end, 0.0) for begin, end in ranges]


def test_a_resend_request_counts_for_what_it_asks_for() -> None:
    """A client that is far behind and closes its gaps one by one asks for little each time."""
    assert not any(requests(*((str(number), str(number + 9)) for number in range(1, 1000, 10))))
    assert requests(*[("1", "0")] * 21) == [False] * 20 + [True]
    assert requests(*[("1", "999999999")] * 21) == [False] * 20 + [True]
    assert requests(*[("1", "50000")] * 21) == [False] * 20 + [True]
    # "to the end" as FIX 4.2 says it, also where there are more
    assert requests(*[("999999", "999999")] * 21, sent=1_200_000) == [False] * 20 + [True]
    assert not any(requests(*[("5", "2"), ("-1", "5"), ("1", "x"), ("", "")] * 30))

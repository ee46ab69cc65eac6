"""A session that the gateway logs out may log on again, however the connection's own end falls together with that."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from fixgw.fix.acceptor import Acceptor
from fixgw.fix.callbacks import Application
from fixgw.fix.session_link import SessionLink


class QuickFix:
    """A session of QuickFIX's: `logout` bars it until `logon`."""

    def __init__(self) -> None:
        self.enabled = True
        self.before_logout = self.after_logout = lambda: None

    def logout(self, reason: str) -> None:
        self.before_logout()
        self.enabled = False
        self.after_logout()

    def logon(self) -> None:
        self.enabled = True

    def getExpectedSenderNum(self) -> int:
        return 7


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> QuickFix:
    made = QuickFix()
    monkeypatch.setattr(SessionLink, "session", made)
    return made


@pytest.fixture
def link() -> SessionLink:
    engine = SimpleNamespace(session_cursor=lambda name: SimpleNamespace(reset_epoch=0))
    made = SessionLink(SimpleNamespace(name="OMS44", session_id=None), engine)  # type: ignore[arg-type]
    made.delivery = SimpleNamespace(logged_out=lambda: None)  # type: ignore[assignment]
    made.logged_on = made.present = True
    return made


def end(link: SessionLink) -> None:
    """What QuickFIX's disconnect brings, in the connection's thread."""
    application = Application.__new__(Application)
    application._engine = SimpleNamespace(submit=lambda command: None, now_ns=lambda: 0)  # type: ignore[assignment]
    application._on_logout(link)


def log_out(link: SessionLink) -> None:
    acceptor = Acceptor.__new__(Acceptor)
    acceptor._links, acceptor._acceptor = {"OMS44": link}, object()  # type: ignore[assignment]
    acceptor.logout("OMS44", "because")


@pytest.mark.parametrize("moment", ["before", "after", "later"])
def test_a_session_that_is_logged_out_may_come_back(session: QuickFix, link: SessionLink, moment: str) -> None:
    """The connection ends by itself in the very moment, or as it should."""
    if moment == "before":
        session.before_logout = lambda: end(link)
    elif moment == "after":
        session.after_logout = lambda: end(link)
    log_out(link)
    if moment == "later":
        assert not session.enabled, "barred while it is there"
        end(link)
    assert session.enabled and link.logout_reason == "" and not link.reopen


def test_the_next_connection_is_logged_out_where_the_last_was_gone(session: QuickFix, link: SessionLink) -> None:
    def another() -> None:
        end(link)
        link.logged_on = link.present = True

    session.before_logout = another
    log_out(link)
    assert not session.enabled
    end(link)
    assert session.enabled


def test_a_reset_in_the_live_connection_does_not_undo_it(session: QuickFix, link: SessionLink) -> None:
    """While a Logon with 141=Y becomes durable nobody is logged on, and yet the connection is there."""

    def reset() -> None:
        link.logged_on = False

    session.before_logout = reset
    log_out(link)
    assert not session.enabled
    end(link)
    assert session.enabled

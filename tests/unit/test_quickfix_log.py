"""What QuickFIX says in its log is acted on; where that fails it is not silent."""

from __future__ import annotations

import logging

import pytest
import quickfix as fix

from fixgw.fix.raw_messages import RawMessages


class _Clock:
    def now_ns(self) -> int:
        return 0


def test_an_event_that_nobody_could_act_on_is_told(caplog: pytest.LogCaptureFixture) -> None:
    def heard(name: str, text: str) -> None:
        raise RuntimeError(f"{name} {text}")

    session = fix.SessionID("FIX.4.4", "FIXGW", "OMS44")
    logs = RawMessages({session.toString(): "OMS44"}, None, _Clock(), heard, lambda name, raw: None)  # type: ignore[arg-type]
    with caplog.at_level(logging.INFO):
        logs.create(session).onEvent("IO Error")
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]
    assert "OMS44 IO Error" in caplog.text and "OMS44: IO Error" in caplog.text

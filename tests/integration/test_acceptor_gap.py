"""What waits behind a gap is bounded, and the session comes back by itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from acceptor_kit import OMS44, Client, FakeEngine, running, until

from fixgw.core.commands import NewOrder, SessionLogout
from fixgw.fix import gap_keeper
from fixgw.fix.acceptor import Acceptor


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[tuple[FakeEngine, Acceptor]]:
    engine = FakeEngine()
    with running(engine, [OMS44], tmp_path / "store") as acceptor:
        yield engine, acceptor


LIMITS = {
    "messages": ("MAX_MESSAGES", 50, "D"),
    "bytes": ("MAX_BYTES", 100_000, "D"),
    "nested": ("MAX_NESTED", 50, "0"),
}


@pytest.mark.parametrize("name", LIMITS)
def test_too_much_behind_a_gap_is_a_logout_and_recovery_goes_on(
    rig: tuple[FakeEngine, Acceptor], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    engine, acceptor = rig
    limit, value, kind = LIMITS[name]
    monkeypatch.setattr(gap_keeper, limit, value)
    with Client(acceptor.path, OMS44) as client:
        client.logon()
        client.order("before")
        client.expect("8", t11="before", t150="0")
        missing = client.next_out
        client.next_out += 1
        for index in range(60):
            if kind == "D":
                client.order(f"behind{index}", t58="x" * 2000)
            else:
                client.send("0")
        assert client.expect("2")["7"] == str(missing)
        said = client.expect("5")
        assert "behind a gap" in said["58"], said
        until(lambda: not client.read(0.1) and client.closed)
        sent = client.next_out
    until(lambda: engine.commands(SessionLogout))
    assert not any(order.cl_ord_id.startswith("behind") for order in engine.commands(NewOrder))  # type: ignore[union-attr]
    with Client(acceptor.path, OMS44, next_out=sent) as client:
        client.logon()
        assert client.expect("2")["7"] == str(missing)
        for number in range(missing, sent):  # the backlog is as long as what was too much before
            client.send("0", seq=number, header="43=Y|122=20260101-00:00:00")
        client.order("after")
        client.expect("8", t11="after", t150="0")
        client.logout()


def test_a_gap_that_is_filled_leaves_nothing_behind(
    rig: tuple[FakeEngine, Acceptor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gap after gap, each below the limit, all together far above it."""
    engine, acceptor = rig
    monkeypatch.setattr(gap_keeper, "MAX_MESSAGES", 20)
    with Client(acceptor.path, OMS44) as client:
        client.logon()
        for turn in range(6):
            missing = client.next_out
            client.next_out += 1
            for index in range(15):
                client.order(f"{turn}-{index}")
            client.expect("2")
            client.send("0", seq=missing)
            client.expect("8", t11=f"{turn}-14", t150="0")
        assert len(engine.commands(NewOrder)) == 90
        client.logout()


def test_the_same_number_again_and_again_counts_once() -> None:
    waiting = gap_keeper.Waiting()
    for _ in range(3):
        waiting.add(5, "8=FIX.4.4\x019=5\x0135=0\x01")
    assert (waiting.bytes, waiting.nested) == (gap_keeper.MESSAGE_BYTES + 19 + 3 * gap_keeper.FIELD_BYTES, 1)
    waiting.remove(5)
    waiting.remove(6)
    assert (waiting.bytes, waiting.nested, waiting.empty()) == (0, 0, True)


def test_memory_is_given_back_after_a_large_gap(monkeypatch: pytest.MonkeyPatch, rig: tuple[FakeEngine, Acceptor]) -> None:
    _, acceptor = rig
    given: list[bool] = []
    monkeypatch.setattr(gap_keeper, "give_back_memory", lambda: given.append(True))
    monkeypatch.setattr(gap_keeper, "WORTH_BYTES", 100_000)
    monkeypatch.setattr(gap_keeper, "SETTLE_S", 0.05)
    with Client(acceptor.path, OMS44) as client:
        client.logon()
        client.next_out += 1
        for index in range(20):
            client.order(f"behind{index}", t58="x" * 10_000)
        client.expect("2")
    until(lambda: given)

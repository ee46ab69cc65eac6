"""A message store that cannot be written for a moment: the session is cut, takes nothing meanwhile, comes back by itself, and
nothing that was owed is lost. The full disk is a limit on the size of files, just where the store's next write is."""

from __future__ import annotations

import contextlib
import resource
import threading
import time

import pytest
from acceptor_kit import OMS44, Client, FakeEngine, running, until
from test_acceptor_delivery import exec_ids, report

from fixgw.core.commands import AdminNote, CancelOrder, NewOrder, Unsupported
from fixgw.core.errors import JournalFull
from fixgw.fix.session_store import StoreFiles
from fixgw.fix.store_keeper import STORE_FAILED, StoreKeeper

# other files of the test's process stay below it
PADDING = 400_000


@pytest.fixture
def engine():
    return FakeEngine()


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "fix"
    made.mkdir()
    (made / "FIX.4.4-FIXGW-C44.body").write_bytes(b"#" * PADDING)
    return made


@pytest.fixture
def acceptor(engine, folder):
    with running(engine, (OMS44,), folder) as made:
        yield made


@contextlib.contextmanager
def full(folder, spare=0):
    """No file can grow beyond what the store's largest has now, and `spare` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = (folder / "FIX.4.4-FIXGW-C44.body").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + spare, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def status(acceptor):
    return acceptor.status()[0]


def cut(client, acceptor):
    until(lambda: (client.read(0.05), client.closed)[1])
    until(lambda: not status(acceptor).logged_on)


@pytest.mark.parametrize("spare", [0, 40])  # the failing write is cut in two, too
def test_after_a_moment_without_room_the_session_comes_back_and_nothing_is_lost(
    engine, folder, acceptor, spare, monkeypatch
):
    # the Logout waits until the order is there
    sent, see_to = threading.Event(), StoreKeeper._see_to
    monkeypatch.setattr(StoreKeeper, "_see_to", lambda *args: sent.wait(20) and see_to(*args))
    with Client(acceptor.path, OMS44) as client:
        client.logon()
        engine.publish("OMS44", report(1))
        client.expect("8", t17="E1")
        client.expect("1")
        until(lambda: status(acceptor).next_in == 3)  # its answer is not read while there is no room
        with full(folder, spare):
            engine.publish("OMS44", report(2))
            until(lambda: status(acceptor).fault)
        # the room is back at once; what QuickFIX holds is broken all the same
        before = len(engine.commands(NewOrder))
        client.order("risky")
        until(lambda: engine.commands(Unsupported))
        assert len(engine.commands(NewOrder)) == before
        sent.set()
        cut(client, acceptor)
    until(lambda: not status(acceptor).fault)
    until(lambda: len(engine.commands(AdminNote)) >= 2)
    assert [n.action for n in engine.commands(AdminNote)] == ["session store failed", "session store mended"]
    with Client(acceptor.path, OMS44, next_out=client.next_out) as client:
        client.logon()
        client.expect("8", t17="E2")
        refusal = client.expect("j")
        assert refusal["379"] == "risky" and STORE_FAILED in refusal["58"]
        client.order("fine")
        client.expect("8", t11="fine", t150="0")


def test_while_there_is_no_room_a_cancel_is_taken_and_a_logon_refused(engine, folder, acceptor):
    with Client(acceptor.path, OMS44) as client:
        client.logon()
        with full(folder):
            engine.publish("OMS44", report(1))
            until(lambda: status(acceptor).fault)
            client.send("F", f"11=x|41=c1|55=BTC/USDT|54=1|60={time.strftime('%Y%m%d-%H:%M:%S')}")
            until(lambda: engine.commands(CancelOrder))
            cut(client, acceptor)
            with Client(acceptor.path, OMS44, next_out=client.next_out) as other:
                other.send("A", "98=0|108=30")
                until(lambda: (other.read(0.05), other.closed)[1])
                assert not status(acceptor).logged_on and not other.received
            assert status(acceptor).fault
        until(lambda: not status(acceptor).fault)
    with Client(acceptor.path, OMS44, next_out=client.next_out) as client:
        client.logon()
        client.expect("8", t17="E1")


def test_a_refusal_that_could_not_be_stored_is_told_later(engine, folder, acceptor):
    with Client(acceptor.path, OMS44) as client:
        client.logon()
        engine.refuse = JournalFull("full")
        with full(folder):
            client.order("first")
            until(lambda: status(acceptor).fault)
            client.order("second")
            until(lambda: engine.commands(Unsupported))
            cut(client, acceptor)
    until(lambda: not status(acceptor).fault)
    with Client(acceptor.path, OMS44, next_out=client.next_out) as client:
        client.logon()
        told = client.drain(2, "j")
        assert sorted(m["379"] for m in told if m["35"] == "j") == ["first", "second"]
    assert not engine.commands(NewOrder)


def test_what_the_client_missed_is_resent_from_the_store_that_was_opened_anew(engine, folder, acceptor):
    with Client(acceptor.path, OMS44, mute=True) as client:
        client.logon()
        for number in range(1, 6):
            engine.publish("OMS44", report(number))
        client.expect("8", t17="E5")
        with full(folder):
            engine.publish("OMS44", report(6))
            until(lambda: status(acceptor).fault)
            cut(client, acceptor)
    until(lambda: not status(acceptor).fault)
    with Client(acceptor.path, OMS44, next_out=client.next_out, mute=True) as client:
        client.logon()
        client.expect("8", t17="E6")
        client.send("2", "7=2|16=0")
        found = exec_ids(client.drain(5))
    assert [row[0] for row in found if row[2] == "Y"][:5] == ["E1", "E2", "E3", "E4", "E5"]


def test_a_store_that_cannot_be_opened_though_there_is_room_ends_the_process(engine, folder, monkeypatch):
    lost: list[str] = []
    with running(engine, (OMS44,), folder, on_lost=lost.append) as acceptor:
        def broken(*_: object) -> bool:
            raise OSError("broken")

        monkeypatch.setattr(acceptor._keeper, "_reopen", broken)
        acceptor._keeper.heard("OMS44", "IO Error: Unable to write to file x")
        until(lambda: lost)
        assert "OMS44" in lost[0] and "broken" in lost[0]


@pytest.mark.parametrize(
    ("index", "left"),
    [
        (b"1,0,10 2,10,10 ", None),
        (b"", None),
        (b"1,0,10 2,10", b"1,0,10 "),
        (b"1,0,10 2,1", b"1,0,10 "),
        (b"1,0,10 2,102,10,10 3,20,10 ", b"1,0,10 3,20,10 "),
        (b"1,0,10 2,10,10", b"1,0,10 2,10,10 "),
    ],
)
def test_an_index_that_was_cut_is_repaired(tmp_path, index, left):
    (tmp_path / "FIX.4.4-A-B.header").write_bytes(index)
    files = StoreFiles(tmp_path, "FIX.4.4", "A", "B")
    assert files.repair() == (left is not None)
    assert (tmp_path / "FIX.4.4-A-B.header").read_bytes() == (index if left is None else left)
    assert not files.repair() and len(list(tmp_path.iterdir())) == 1

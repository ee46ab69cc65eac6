"""The admin socket and the commands over it, against a real server with the methods of a small gateway."""

import json
import os
import pwd
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from fixgw.admin.client import AdminClient, NotRunning
from fixgw.admin.protocol import MAX_REQUEST_BYTES, METHODS, AdminError
from fixgw.admin.server import AdminServer, login_name
from fixgw.cli import main

ORDER = {
    "order_id": "AB12C0010000001", "session": "OMS44", "account": "sim-main", "venue": "sim", "cl_ord_id": "c\x1b[31m1",
    "orig_cl_ord_id": None, "symbol": "BTC/USDT", "side": "1", "ord_type": "2", "tif": "1", "order_qty": Decimal("0.10"),
    "cash_qty": None, "price": Decimal("60000.00"), "stop_px": None, "cum_qty": Decimal(0), "leaves_qty": Decimal("0.10"),
    "avg_px": Decimal(0), "ord_status": "0", "pending": "", "unknown": False, "reason": "",
    "created_ns": 1_700_000_000_123_456_789, "updated_ns": 1_700_000_000_123_456_789,
}  # fmt: skip


class Gateway:
    """Methods that remember what they were asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any], str]] = []
        self.hold = threading.Event()
        self.slow = 0

    def methods(self) -> dict[str, Any]:
        made = {name: self._method(name) for name in METHODS}
        made |= {"boom": self._boom, "picky": self._picky, "slow": self._slow, "odd": lambda params, user: object()}
        return made

    def _method(self, name: str) -> Any:
        def method(params: dict[str, Any], user: str) -> object:
            self.asked.append((name, params, user))
            if params.get("order_id") == "nope":
                raise AdminError("NOT_FOUND", "no order 'nope'")
            rows: dict[str, object] = {"more": True, "orders": [ORDER], "order": ORDER, "fills": [], "sessions": [], "limits": []}
            return {**rows, "positions": [], "firm": "Demo", "venues": [{"name": "sim", "state": "READY"}]}

        return method

    def _boom(self, params: dict[str, Any], user: str) -> object:
        raise RuntimeError("inside")

    def _picky(self, params: dict[str, Any], user: str) -> object:
        return params["needed"]

    def _slow(self, params: dict[str, Any], user: str) -> object:
        self.slow += 1
        assert self.hold.wait(60)
        return "done"


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


@pytest.fixture
def directory(tmp_path: Path, gateway: Gateway) -> Iterator[Path]:
    (tmp_path / "run").mkdir(mode=0o700)
    server = AdminServer(tmp_path / "run" / "admin.sock", gateway.methods(), max_connections=3)
    server.start()
    yield tmp_path
    gateway.hold.set()
    server.close()


def fixgw(directory: Path, *words: str) -> Result:
    return CliRunner().invoke(main, [*words, "--dir", str(directory)])


def test_only_the_owner_can_open_the_socket(directory: Path) -> None:
    assert (directory / "run" / "admin.sock").stat().st_mode & 0o777 == 0o600


def test_json_is_exact_and_has_iso_times(directory: Path) -> None:
    result = fixgw(directory, "orders", "--json")
    assert result.exit_code == 0, result.output
    row = json.loads(result.output)["orders"][0]
    assert row["order_qty"] == "0.10" and row["price"] == "60000.00"
    assert row["created_ns"] == 1_700_000_000_123_456_789
    assert row["created_utc"] == "2023-11-14T22:13:20.123456789Z"


def test_text_is_plain_exact_and_harmless(directory: Path) -> None:
    result = fixgw(directory, "orders")
    head, row = result.output.splitlines()[:2]
    assert head.split()[:3] == ["order_id", "session", "cl_ord_id"]
    assert "0.10" in row and "60000.00" in row and " buy " in row
    assert "\x1b" not in result.output and "c?[31m1" in row
    assert "raise --limit" in result.output


@pytest.mark.parametrize(
    ("words", "method", "params"),
    [
        (["status"], "status", {}),
        (["sessions"], "sessions", {}),
        (["orders"], "orders", {"limit": 100}),
        (["orders", "--open", "--session", "S", "--symbol", "BTC/USDT", "--limit", "5"], "orders",
         {"open": True, "session": "S", "symbol": "BTC/USDT", "limit": 5}),
        (["order", "X"], "order", {"order_id": "X"}),
        (["fills", "--session", "S"], "fills", {"session": "S", "limit": 100}),
        (["positions", "--account", "A"], "positions", {"account": "A"}),
        (["limits", "--session", "S"], "limits", {"session": "S"}),
        (["cancel", "X", "--reason", "r"], "cancel", {"order_id": "X", "reason": "r"}),
        (["kill", "--firm", "--reason", "r"], "kill", {"scope": "firm", "target": "", "level": "HALTED", "reason": "r"}),
        (["kill", "--venue", "v", "--level", "REDUCING", "--reason", "r"], "kill",
         {"scope": "venue", "target": "v", "level": "REDUCING", "reason": "r"}),
        (["resume", "--session", "S", "--reason", "r"], "resume", {"scope": "session", "target": "S", "reason": "r"}),
        (["session", "S", "show"], "session", {"name": "S", "action": "show"}),
        (["session", "S", "set-seq", "--next-target", "7", "--reason", "r"], "session",
         {"name": "S", "action": "set_seq", "next_target": 7, "reason": "r"}),
        (["session", "S", "disable", "--reason", "r"], "session", {"name": "S", "action": "disable", "reason": "r"}),
        (["resolve", "X", "--as", "not_placed", "--evidence", "e"], "resolve",
         {"order_id": "X", "outcome": "not_placed", "evidence": "e"}),
        (["resolve", "X", "--as", "fill", "--evidence", "e", "--trade-id", "t", "--qty", "0.10", "--px", "1E+3"], "resolve",
         {"order_id": "X", "outcome": "fill", "evidence": "e", "trade_id": "t", "qty": "0.10", "px": "1000"}),
        (["resolve", "X", "--as", "fill", "--evidence", "e", "--trade-id", "t", "--qty", "1", "--px", "2", "--fee", "-1E-3",
          "--fee-asset", "BTC"], "resolve",
         {"order_id": "X", "outcome": "fill", "evidence": "e", "trade_id": "t", "qty": "1", "px": "2", "fee": "-0.001",
          "fee_asset": "BTC"}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("as_json", [False, True])
def test_each_command_asks_for_what_it_was_told(
    directory: Path, gateway: Gateway, words: list[str], method: str, params: dict[str, Any], as_json: bool
) -> None:
    result = fixgw(directory, *words, *(["--json"] if as_json else []))
    assert result.exit_code == 0, result.output
    assert [(name, asked) for name, asked, _ in gateway.asked] == [(method, params)]
    assert gateway.asked[0][2], "the user is told"
    if as_json:
        json.loads(result.output)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["kill", "--reason", "r"], "exactly one of"),
        (["kill", "--firm", "--venue", "v", "--reason", "r"], "exactly one of"),
        (["kill", "--firm", "--level", "OFF", "--reason", "r"], "'HALTED', 'REDUCING'"),
        (["session", "S", "set-seq", "--reason", "r"], "needs at least one"),
        (["session", "S", "reset", "--next-target", "5", "--reason", "r"], "belong to set-seq"),
        (["session", "S", "set-seq", "--next-target", "0", "--reason", "r"], "x>=1"),
        (["resolve", "X", "--as", "fill", "--evidence", "e"], "--trade-id, --qty and --px"),
        (["resolve", "X", "--as", "fill", "--evidence", "e", "--trade-id", "t", "--qty", "-1", "--px", "1"], "above zero"),
        (["resolve", "X", "--as", "canceled"], "--evidence"),
        (["orders", "--limit", "0"], "1<=x<=10000"),
    ],
)
def test_a_command_that_makes_no_sense_asks_nothing(directory: Path, gateway: Gateway, words: list[str], expected: str) -> None:
    result = fixgw(directory, *words)
    assert result.exit_code == 2 and expected in result.output, result.output
    assert gateway.asked == []


CHANGES = [
    ["kill", "--firm"],
    ["resume", "--firm"],
    ["cancel", "O1"],
    *(["session", "S", action] for action in ("reset", "logout", "enable", "disable")),
    ["session", "S", "set-seq", "--next-target", "5"],
]


@pytest.mark.parametrize("words", CHANGES)
@pytest.mark.parametrize("given", [[], ["--reason", ""], ["--reason", "  "], ["--json"]])
def test_a_change_without_a_reason_is_made_and_says_so(
    directory: Path, gateway: Gateway, words: list[str], given: list[str]
) -> None:
    result = fixgw(directory, *words, *given)
    assert result.exit_code == 0, result.output
    assert [asked["reason"] for _, asked, _ in gateway.asked] == ["no reason given"]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def on_a_terminal(self: CliRunner, *given: Any, **named: Any) -> Iterator[Any]:
        with isolation(self, *given, **named) as streams:
            monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
            yield streams

    isolation = CliRunner.isolation
    monkeypatch.setattr(CliRunner, "isolation", on_a_terminal)


@pytest.mark.parametrize("words", CHANGES)
@pytest.mark.parametrize(
    ("typed", "reason"), [("asked by phone\n", "asked by phone"), ("\n", "no reason given"), ("  \n", "no reason given")]
)
def test_a_person_is_asked_for_the_reason(
    directory: Path, gateway: Gateway, terminal: None, words: list[str], typed: str, reason: str
) -> None:
    result = CliRunner().invoke(main, [*words, "--dir", str(directory)], input=typed)
    assert result.exit_code == 0 and "Reason [no reason given]:" in result.output, result.output
    assert [asked["reason"] for _, asked, _ in gateway.asked] == [reason]


@pytest.mark.parametrize("given", [["--json"], ["--reason", "r"]])
def test_nobody_is_asked_who_said_it_or_wants_json(directory: Path, gateway: Gateway, terminal: None, given: list[str]) -> None:
    for words in (["cancel", "O1", *given], ["session", "S", "reset", *given], ["session", "S", "show"]):
        result = CliRunner().invoke(main, [*words, "--dir", str(directory)], input="")
        assert result.exit_code == 0 and "Reason" not in result.output, result.output


def test_the_journaled_user_is_the_kernels_not_the_clients(
    directory: Path, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    me = pwd.getpwuid(os.getuid()).pw_name
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, me)
    assert fixgw(directory, "cancel", "O1").exit_code == 0
    monkeypatch.setenv("LOGNAME", "mallory")
    assert fixgw(directory, "cancel", "O1").exit_code == 0
    assert [user for _, _, user in gateway.asked] == [me, f"{me} (as mallory)"]


def test_a_claimed_name_is_bounded_and_clean(directory: Path, gateway: Gateway) -> None:
    me = pwd.getpwuid(os.getuid()).pw_name
    for claimed in ("", "  ", me, "a\x1b[31m\nb", "x" * 5000):
        with AdminClient(directory / "run" / "admin.sock", user=claimed) as client:
            client.call("status")
    asked = [user for _, _, user in gateway.asked]
    assert asked == [me, me, me, f"{me} (as a?[31m?b)", f"{me} (as {'x' * 64})"]


def test_a_uid_without_an_account_is_told_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    assert login_name(12345) == "uid 12345"


def test_errors_reach_the_user(directory: Path, tmp_path: Path) -> None:
    result = fixgw(directory, "order", "nope")
    assert result.exit_code == 1 and "NOT_FOUND: no order 'nope'" in result.output
    result = fixgw(tmp_path / "other", "orders")
    assert result.exit_code == 2 and "fixgw run" in result.output


@pytest.mark.parametrize(
    ("method", "code", "text"),
    [
        ("nothing", "UNKNOWN_METHOD", "expected one of"),
        ("boom", "FAILED", "RuntimeError: inside"),
        ("picky", "BAD_PARAMS", "missing parameter 'needed'"),
        ("odd", "FAILED", "cannot be encoded"),
    ],
)
def test_a_failing_method_answers_and_the_connection_goes_on(directory: Path, method: str, code: str, text: str) -> None:
    with AdminClient(directory / "run" / "admin.sock", timeout_s=20) as client:
        with pytest.raises(AdminError) as caught:
            client.call(method)
        assert caught.value.code == code and text in caught.value.message
        assert client.call("status")["firm"] == "Demo"


def raw(directory: Path, data: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(str(directory / "run" / "admin.sock"))
        connection.sendall(data)
        return connection.makefile("rb").readline()


@pytest.mark.parametrize("line", [b"\n", b"[]\n", b"{}\n", b'{"id": "1", "method": "status"}\n', b"\xff\xfe\n", b'{"id":1}\n'])
def test_nonsense_is_answered(directory: Path, line: bytes) -> None:
    assert b"BAD_REQUEST" in raw(directory, line)
    assert fixgw(directory, "status").exit_code == 0


def test_an_endless_request_is_cut_off(directory: Path) -> None:
    assert b"BAD_REQUEST" in raw(directory, b"x" * (MAX_REQUEST_BYTES + 1))


def test_too_many_connections_are_told_so(directory: Path) -> None:
    path = directory / "run" / "admin.sock"
    clients = [AdminClient(path, timeout_s=20) for _ in range(3)]
    try:
        for client in clients:
            client.call("status")
        with AdminClient(path, timeout_s=20) as fourth, pytest.raises((AdminError, NotRunning), match=r"too many|not answer"):
            fourth.call("status")
    finally:
        for client in clients:
            client.close()


@contextmanager
def mute(path: Path, *, hang_up: bool) -> Iterator[None]:
    """Somebody who takes a request and does not answer it."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(1)

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                while connection.recv(1 << 16) and not hang_up:
                    pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield
        thread.join(timeout=20)


@pytest.mark.parametrize("hang_up", [True, False])
@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["kill", "--firm", "--reason", "x"], "`fixgw status`"),
        (["resume", "--firm", "--reason", "x"], "`fixgw status`"),
        (["cancel", "AB12", "--reason", "x"], "`fixgw order ID`"),
        (["resolve", "AB12", "--as", "canceled", "--evidence", "x"], "`fixgw order ID`"),
        (["session", "OMS44", "disable", "--reason", "x"], "`fixgw session NAME show`"),
        (["session", "OMS44", "show"], ""),
        (["status"], ""),
    ],
)
def test_what_was_sent_and_has_no_answer_may_be_done_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], shown: str, hang_up: bool
) -> None:
    (tmp_path / "run").mkdir()
    monkeypatch.setattr(AdminClient.__init__, "__kwdefaults__", {"user": None, "timeout_s": 0.3})
    with mute(tmp_path / "run" / "admin.sock", hang_up=hang_up):
        result = CliRunner().invoke(main, [*arguments, "--dir", str(tmp_path)])
    assert result.exit_code == 2
    assert ("the outcome is unknown" in result.output) == bool(shown) and shown in result.output


def test_a_queue_of_waiting_clients_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(0)
        first = AdminClient(path, timeout_s=20)
        with pytest.raises(NotRunning):
            AdminClient(path, timeout_s=0.2)
        threading.Timer(0.3, listener.accept).start()
        second = AdminClient(path, timeout_s=20)
        first.close()
        second.close()


def test_no_answer_in_time_is_told_as_such(directory: Path) -> None:
    with AdminClient(directory / "run" / "admin.sock", timeout_s=0.2) as client, pytest.raises(NotRunning, match="slow"):
        client.call("slow")


def test_close_ends_connections_and_removes_the_socket(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    server = AdminServer(path, {"status": lambda params, user: {}})
    server.start()
    client = AdminClient(path, timeout_s=20)
    assert client.call("status") == {}
    server.close()
    with pytest.raises(NotRunning):
        client.call("status")
    client.close()
    assert not path.exists()


def test_a_socket_left_by_a_dead_process_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    server = AdminServer(path, {"status": lambda params, user: os.getpid()})
    server.start()
    with AdminClient(path, timeout_s=20) as client:
        assert client.call("status") == os.getpid()
    server.close()


def test_however_many_methods_run_on_the_end_comes_soon(tmp_path: Path, gateway: Gateway) -> None:
    """The supervisor kills a gateway that takes its time."""
    server = AdminServer(tmp_path / "admin.sock", gateway.methods())
    server.start()
    asking = [threading.Thread(target=_ask_slowly, args=(tmp_path / "admin.sock",)) for _ in range(6)]
    for thread in asking:
        thread.start()
    deadline = time.monotonic() + 10
    while gateway.slow < len(asking):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    began = time.monotonic()
    server.close(0.3)
    took_s = time.monotonic() - began
    gateway.hold.set()
    for thread in asking:
        thread.join(10)
    assert 0.2 < took_s < 1.2


def _ask_slowly(path: Path) -> None:
    with AdminClient(path) as client, suppress(NotRunning):
        client.call("slow")

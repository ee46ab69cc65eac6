"""The front as a process, before a small backend that stands for QuickFIX."""

import contextlib
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fixgw.fix.front_refusal import refusal_of

WAIT_S = 20
SLOW_READER_S = 2.0


def fix(*fields: str, begin: str = "FIX.4.4") -> bytes:
    body = "".join(f"{field}\x01" for field in fields).encode()
    head = f"8={begin}\x019={len(body)}\x01".encode() + body
    return head + b"10=%03d\x01" % (sum(head) & 0xFF)


def logon(name: str = "A44", *more: str) -> bytes:
    now = time.strftime("%Y%m%d-%H:%M:%S", time.gmtime())
    return fix("35=A", "34=1", f"49={name}", f"52={now}", "56=FIXGW", "98=0", "108=30", *more)


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, f"waited {WAIT_S} s for: {what}"
        time.sleep(0.005)


class Backend:
    """Echoes what comes; keeps every byte of every connection. Told `FLOOD` it sends until the other side is gone."""

    def __init__(self, port: int = 0) -> None:
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen(64)
        self.port: int = self.listener.getsockname()[1]
        self.received: list[bytearray] = []
        self.sockets: list[socket.socket] = []
        self.ended: list[bool] = []
        self.threads = [threading.Thread(target=self._accept, daemon=True)]
        self.threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.received.append(bytearray())
            self.ended.append(False)
            self.sockets.append(connection)
            self.threads.append(threading.Thread(target=self._echo, args=(len(self.received) - 1,), daemon=True))
            self.threads[-1].start()

    def _echo(self, index: int) -> None:
        connection = self.sockets[index]
        try:
            while data := connection.recv(65536):
                self.received[index] += data
                connection.sendall(data)
                while b"FLOOD" in data:
                    connection.sendall(b"8=FIX.4.4" + b"x" * 60_000)
        except OSError:
            pass
        connection.close()
        self.ended[index] = True

    def stop(self) -> None:
        for connection in [self.listener, *self.sockets]:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            connection.close()
        for thread in self.threads:
            thread.join(WAIT_S)


class FrontProcess:
    def __init__(self, folder: Path, backend: int | Path, **settings: object) -> None:
        self.sessions_file = folder / "sessions.json"
        self.ready_file = folder / "front.json"
        self.log_file = folder / "front.log"
        self.settings = settings
        self.configure("A44", "B44", "C44")
        address = ("--listen", "127.0.0.1:0", "--backend", str(backend) if isinstance(backend, Path) else f"127.0.0.1:{backend}")
        files = ("--sessions", str(self.sessions_file), "--ready-file", str(self.ready_file))
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen([sys.executable, "-m", "fixgw.fix.front", *address, *files], stderr=log)
        until(lambda: self.ready_file.exists() or self.process.poll() is not None, "ready file")
        assert self.process.poll() is None, self.log()
        self.ready = json.loads(self.ready_file.read_text())
        self.clients: list[socket.socket] = []

    def configure(self, *names: str, enabled: bool = True) -> None:
        ids = {"begin_string": "FIX.4.4", "gateway_comp_id": "FIXGW", "enabled": enabled}
        sessions = [{**ids, "client_comp_id": name, "name": name} for name in names]
        self.sessions_file.write_text(json.dumps({"sessions": sessions, **self.settings}))

    def connect(self, receive_buffer: int = 0, source: str = "") -> socket.socket:
        client = socket.socket()
        if source:
            client.bind((source, 0))
        if receive_buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.settimeout(WAIT_S)
        client.connect((self.ready["host"], self.ready["port"]))
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.clients.append(client)
        return client

    def log(self) -> str:
        return self.log_file.read_text()

    def stop(self) -> int:
        for client in self.clients:
            client.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(WAIT_S)
        finally:
            self.process.kill()


@pytest.fixture
def backend() -> Iterator[Backend]:
    server = Backend()
    yield server
    server.stop()


@pytest.fixture
def front(request: pytest.FixtureRequest, tmp_path: Path, backend: Backend) -> Iterator[FrontProcess]:
    """Its parameter: the seconds that a Logon may take, and its answer."""
    deadline_s = getattr(request, "param", WAIT_S)
    deadlines = {"logon_deadline_s": deadline_s, "logon_answer_s": deadline_s}
    process = FrontProcess(
        tmp_path, backend.port, **deadlines, write_cap=200_000, slow_reader_s=SLOW_READER_S, drain_s=1.0
    )
    yield process
    process.stop()


def receive(client: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = client.recv(size - len(data))
        assert more, f"closed after {len(data)} of {size} bytes"
        data += more
    return data


def log_on(front: FrontProcess, name: str = "A44", *more: str) -> socket.socket:
    client = front.connect()
    message = logon(name, *more)
    client.sendall(message)
    assert receive(client, len(message)) == message
    return client


def is_closed(client: socket.socket) -> bool:
    try:
        while client.recv(65536):
            pass
    except ConnectionResetError:
        pass
    return True


def is_open(client: socket.socket) -> bool:
    return not select.select([client], [], [], 0.1)[0]


def echoes(client: socket.socket) -> bool:
    message = fix("35=1", "112=x")
    client.sendall(message)
    return receive(client, len(message)) == message


def test_its_ready_file_tells_that_it_lives(front: FrontProcess) -> None:
    for _ in range(2):
        os.utime(front.ready_file, (0, 0))
        until(lambda: time.time() - front.ready_file.stat().st_mtime < 60, "the ready file is renewed")
    front.ready_file.unlink()
    until(front.ready_file.exists, "the ready file is back")
    assert json.loads(front.ready_file.read_text()) == front.ready


def test_passes_frames_both_ways(front: FrontProcess, backend: Backend) -> None:
    client = log_on(front)
    for _ in range(3):
        assert echoes(client)
    big = fix("35=D", "58=" + "x" * 60_000)
    client.sendall(big[:100])
    client.sendall(big[100:])
    assert receive(client, len(big)) == big
    client.sendall(b"junk" + fix("35=0") + b"more junk" + fix("35=0"))
    assert receive(client, 2 * len(fix("35=0"))) == 2 * fix("35=0")
    client.close()
    until(lambda: backend.ended[0], "backend told that the client is gone")
    assert front.ready["pid"] == front.process.pid


@pytest.mark.parametrize("reads", [False, True])
def test_it_is_told_how_far_a_logon_came_that_is_not_answered(tmp_path: Path, reads: bool) -> None:
    """That of a gateway that hangs is not the dictionary's fault."""
    with socket.socket(socket.AF_UNIX) as quickfix:
        quickfix.bind(str(tmp_path / "fix.sock"))
        quickfix.listen()
        front = FrontProcess(tmp_path, tmp_path / "fix.sock", logon_answer_s=0.4)
        try:
            client = front.connect()
            client.sendall(logon())
            if reads:
                quickfix.settimeout(WAIT_S)
                connection, _ = quickfix.accept()
                assert receive(connection, len(logon())) == logon()
            assert is_closed(client)
            until(lambda: "reason=logon_not_answered" in front.log(), "log line")
            said = front.log().partition("reason=logon_not_answered")[2]
            assert ("'Message ... Rejected' (dictionary)" in said) == reads and ("has not read it" in said) != reads
            assert "..." not in said.replace("'Message ... Rejected'", ""), "cut off"
        finally:
            front.stop()


def test_the_gateway_has_its_own_time_to_answer_a_logon(tmp_path: Path) -> None:
    """Not that which a client has for its Logon: a refusal that takes a disk's time would not be heard."""
    with socket.socket(socket.AF_UNIX) as quickfix:
        quickfix.bind(str(tmp_path / "fix.sock"))
        quickfix.listen()
        quickfix.settimeout(WAIT_S)
        front = FrontProcess(tmp_path, tmp_path / "fix.sock", logon_deadline_s=0.1)
        try:
            client = front.connect()
            client.sendall(logon())
            connection, _ = quickfix.accept()
            with connection:
                assert receive(connection, len(logon())) == logon()
                time.sleep(0.4)  # for a close that must not come
                why = fix("35=5", "34=1", "58=why not")
                connection.sendall(why)
                assert receive(client, len(why)) == why
        finally:
            front.stop()


BAD_FIRST = {
    "unknown CompID": (logon("NOBODY"), "unknown_session"),
    "another version": (fix("35=A", "34=1", "49=A44", "56=FIXGW", "98=0", "108=30", begin="FIX.4.2"), "unknown_session"),
    "no Logon": (fix("35=D", "34=1", "49=A44", "56=FIXGW"), "not_logon"),
    "no number": (fix("35=A", "49=A44", "56=FIXGW", "98=0", "108=0"), "sequence"),
    "wrong checksum": (logon().replace(b"108=30", b"108=31"), "checksum"),
    "http": (b"GET / HTTP/1.1\r\n\r\n", "garbage"),
    "tls": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "garbage"),
    "oversize": (b"8=FIX.4.4\x019=5000\x0135=A\x01", "oversize"),
    "endless": (b"8=FIX.4.4\x019=4000\x0135=A\x01" + b"x" * 5000, "oversize|garbage"),
    "old reset": (fix("35=A", "34=1", "49=A44", "52=20200101-00:00:00", "56=FIXGW", "98=0", "108=30", "141=Y"), "sending_time"),
}


@pytest.mark.parametrize("name", BAD_FIRST)
def test_bad_first_messages_never_reach_quickfix(front: FrontProcess, backend: Backend, name: str) -> None:
    data, reason = BAD_FIRST[name]
    client = front.connect()
    client.sendall(data)
    assert is_closed(client)
    until(lambda: "closed" in front.log(), "log line")
    assert any(f"reason={word}" in front.log() for word in reason.split("|")), front.log()
    assert backend.received == []
    assert echoes(log_on(front))


@pytest.mark.parametrize("reset", [False, True])
def test_a_known_session_is_told_why_its_logon_is_refused(front: FrontProcess, backend: Backend, reset: bool) -> None:
    client = front.connect()
    now = time.strftime("%Y%m%d-%H:%M:%S", time.gmtime())
    number = "34=1" if reset else "34=8"
    bad = fix("35=A", number, "49=A44", f"52={now}", "56=FIXGW", "98=0", "108=0", "553=secret", *(["141=Y"] if reset else []))
    client.sendall(bad + fix("35=D", "11=a"))
    why = b"HeartBtInt(108) is 0, expected 1 to 3600 s"
    if reset:  # QuickFIX would wipe its store: it never hears of it
        answer = b""
        while data := client.recv(4096):
            answer += data
        assert b"\x0135=5\x0134=1\x0149=FIXGW\x01" in answer and b"\x0158=" + why + b"\x01" in answer
        assert backend.received == []
    else:  # QuickFIX, which alone knows the number of the answer, gets the refusal and nothing of the client's but its number
        until(lambda: backend.received and why in backend.received[0], "the refusal")
        got = bytes(backend.received[0])
        assert b"\x0134=8\x0149=A44\x01" in got and got.count(b"8=FIX") == 1 and b"secret" not in got and b"35=D" not in got
        client.close()
    until(lambda: "reason=heartbeat" in front.log(), "log line")
    assert echoes(log_on(front))


@pytest.mark.parametrize("when", ["at once", "while it connects", "later"])
def test_nothing_follows_a_refused_logon_to_quickfix(front: FrontProcess, backend: Backend, when: str) -> None:
    """QuickFIX goes on reading behind a Logon that is refused: a second one, with 141=Y, would wipe its store and be let in."""
    client = front.connect()
    now = time.strftime("%Y%m%d-%H:%M:%S", time.gmtime())
    bad = fix("35=A", "34=8", "49=A44", f"52={now}", "56=FIXGW", "98=0", "108=0")
    more = fix("35=A", "34=1", "49=A44", f"52={now}", "56=FIXGW", "98=0", "108=30", "141=Y") + fix("35=D", "11=a")
    client.sendall(bad + more if when == "at once" else bad)
    if when == "later":
        assert b"refused" in client.recv(4096), "the backend echoes the stand-in: the connection is open"
    client.sendall(more)
    client.close()
    until(lambda: backend.ended and backend.ended[0], "the end of the connection")
    got = bytes(backend.received[0])
    assert got.count(b"8=FIX") == 1 and b"141=Y" not in got and b"35=D" not in got
    assert echoes(log_on(front))


@pytest.mark.parametrize("front", [1.0], indirect=True)
def test_silent_and_trickling_clients_meet_the_deadline(front: FrontProcess, backend: Backend) -> None:
    live = log_on(front, "B44")
    started = time.monotonic()
    silent, trickling = front.connect(), front.connect()
    for byte in logon():  # a byte now and then: the deadline is for the whole Logon
        try:
            trickling.sendall(bytes([byte]))
        except OSError:
            break
        if select.select([trickling], [], [], 0.03)[0]:
            break
    assert is_closed(silent) and is_closed(trickling)
    assert 0.9 < time.monotonic() - started < 15
    until(lambda: front.log().count("reason=logon_deadline") == 2, "two log lines")
    assert len(backend.received) == 1 and echoes(live)


def test_a_logon_in_two_pieces_with_a_message_right_behind(front: FrontProcess) -> None:
    client = front.connect()
    data = logon() + fix("35=1", "112=a")
    client.sendall(data[:20])
    client.sendall(data[20:])
    assert receive(client, len(data)) == data


@pytest.mark.parametrize("data", [b"8=FIX.4.4\x019=70000\x0135=D\x01", b"8=FIX.4.4\x0135=" + b"x" * 70_000, b"x" * 70_000])
def test_a_frame_beyond_the_cap_drops_its_client_only(front: FrontProcess, backend: Backend, data: bytes) -> None:
    bad, good = log_on(front), log_on(front, "B44")
    bad.sendall(data)
    assert is_closed(bad)
    assert len(backend.received[0]) == len(logon())  # QuickFIX got the Logon and nothing of this
    until(lambda: "reason=oversize" in front.log() or "reason=garbage" in front.log(), "log line")
    assert echoes(good)


@pytest.mark.parametrize("reset", [False, True])
def test_a_second_logon_is_refused_and_the_live_one_notices_nothing(front: FrontProcess, backend: Backend, reset: bool) -> None:
    live, second = log_on(front), front.connect()
    second.sendall(logon("A44", *(["141=Y"] if reset else [])))
    answer = b""
    while data := second.recv(4096):
        answer += data
    # a Logout would cost a client that does not reset one of its numbers
    assert (b"\x0135=5\x0134=1\x0149=FIXGW\x01" in answer and b"already connected" in answer) if reset else answer == b""
    assert len(backend.received) == 1 and echoes(live)
    until(lambda: "reason=already_connected" in front.log(), "log line")
    live.close()
    assert echoes(log_on(front))


def again(kind: str, number: str, *more: str) -> bytes:
    now = time.strftime("%Y%m%d-%H:%M:%S", time.gmtime())
    return fix(kind, number, "49=A44", f"52={now}", "56=FIXGW", "98=0", "108=30", *more)


# made when they are sent: an old SendingTime(52) is a fault of its own
SECOND_LOGONS = {
    "without 141": (lambda: logon(), "already logged on: a Logon in a live connection needs 141=Y"),
    "141=Y with another number": (lambda: again("35=A", "34=7", "141=Y"), "MsgSeqNum(34) is 7, expected 1 with 141=Y"),
    "a tag that begins with 0": (lambda: logon("A44", "0141=Y"), "a tag begins with 0"),
    "MsgType as 035": (lambda: again("035=A", "34=1", "141=Y"), "MsgType(35) is not the third field"),
    "a wrong checksum": (lambda: logon("A44", "141=Y").replace(b"108=30", b"108=31"), "CheckSum(10)"),
    "a heartbeat out of bounds": (
        lambda: fix("35=A", "34=1", "49=A44", "56=FIXGW", "98=0", "108=0", "141=Y"), "HeartBtInt(108) is 0",
    ),
    "another session": (lambda: logon("B44", "141=Y"), "unknown session"),
    "no number": (lambda: fix("35=A", "34=x", "49=A44", "56=FIXGW", "98=0", "108=30", "141=Y"), "MsgSeqNum(34) is x"),
}


@pytest.mark.parametrize("front", [1.0], indirect=True)  # the backend has so long to answer
@pytest.mark.parametrize("name", SECOND_LOGONS)
def test_a_logon_in_a_live_connection_becomes_a_logout_that_says_why(front: FrontProcess, backend: Backend, name: str) -> None:
    make, said = SECOND_LOGONS[name]
    client, data = log_on(front), make()
    before, behind = fix("35=1", "112=before"), fix("35=D", "11=behind")
    del backend.received[0][:]
    client.sendall(before + data + behind)
    until(lambda: b"35=5" in backend.received[0], "the Logout in its place")
    client.sendall(behind)
    time.sleep(0.05)  # for what must not come
    assert backend.received[0].startswith(before)
    text = backend.received[0][len(before) :].decode()
    fields = dict(part.split("=", 1) for part in text.split("\x01") if part)
    assert fields["35"] == "5" and fields["49"] == "A44" and text.count("8=FIX") == 1
    assert said in refusal_of(fields["58"])
    assert fields["34"] == ("7" if "another number" in name else "1")
    assert "logon_refused" in front.log()
    assert is_closed(client), "a backend that does not answer"


def test_a_sane_reset_in_a_live_connection_and_what_only_looks_like_a_logon_pass(front: FrontProcess, backend: Backend) -> None:
    client = log_on(front)
    del backend.received[0][:]
    sent = fix("35=D", "58=x", "135=A") + logon("A44", "141=Y") + fix("35=0", "58=y", "35=A")
    for piece in (sent[:90], sent[90:150], sent[150:]):
        client.sendall(piece)
    assert receive(client, len(sent)) == sent and bytes(backend.received[0]) == sent
    assert echoes(client)


def test_a_client_that_comes_back_at_once_is_let_in(front: FrontProcess) -> None:
    for _ in range(20):
        client = log_on(front)
        client.close()
    assert "already_connected" not in front.log()


def test_a_client_that_does_not_read_is_dropped(front: FrontProcess, backend: Backend) -> None:
    good = log_on(front, "B44")
    slow = front.connect(receive_buffer=4096)
    started = time.monotonic()
    slow.sendall(logon() + fix("35=0", "58=FLOOD"))
    until(lambda: "reason=slow_reader" in front.log(), "the client that does not read dropped")
    assert SLOW_READER_S - 0.1 < time.monotonic() - started < 15
    until(lambda: backend.ended[1], "backend told")
    assert echoes(good) and "session=A44" in front.log().split("reason=slow_reader")[0].splitlines()[-1]


def test_a_steady_reader_is_served_however_much_there_is(front: FrontProcess, backend: Backend) -> None:
    """It reads more slowly than QuickFIX sends, for longer than a client that does not read is kept."""
    good, steady = log_on(front, "B44"), front.connect(receive_buffer=65536)
    steady.sendall(logon() + fix("35=0", "58=FLOOD"))
    started = time.monotonic()
    taken, worst = 0, 0.0
    while taken < 10_000_000:
        taken += len(receive(steady, 80_000))
        asked = time.monotonic()
        assert echoes(good)
        worst = max(worst, time.monotonic() - asked)
        time.sleep(0.02)
    assert time.monotonic() - started > SLOW_READER_S
    assert "slow_reader" not in front.log() and worst < SLOW_READER_S
    rss_kb = int(Path(f"/proc/{front.ready['pid']}/statm").read_text().split()[1]) * 4
    assert rss_kb < 100_000, "what the client has not read is not kept in the front"
    steady.close()  # while QuickFIX waits
    until(lambda: backend.ended[1], "backend told")


def test_little_follows_a_logout_of_quickfix(front: FrontProcess, backend: Backend) -> None:
    """QuickFIX would take what comes until its client answers; the rest of a flood is left out, and the client closed."""
    client = log_on(front)
    client.sendall(fix("35=5", "34=2"))
    assert b"\x0135=5\x01" in receive(client, 20), "the backend echoes it: a Logout of QuickFIX"
    message = fix("35=D", "34=3", "58=" + "x" * 20_000)
    sent = 0
    with contextlib.suppress(OSError):
        for sent in range(200):  # noqa: B007
            client.sendall(message)
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while client.recv(1 << 20):
                    pass
            client.setblocking(True)
    until(lambda: "reason=flood_after_logout" in front.log(), "log line")
    until(lambda: backend.ended and backend.ended[0], "the end of the connection")
    assert sent > 12 and bytes(backend.received[0]).count(b"35=D") <= 13
    client.close()
    assert echoes(log_on(front))


def test_backend_down_and_back(tmp_path: Path) -> None:
    backend = Backend()
    front = FrontProcess(tmp_path, backend.port)
    try:
        live = log_on(front)
        backend.stop()
        assert is_closed(live)
        refused = front.connect()
        refused.sendall(logon())
        assert is_closed(refused)
        until(lambda: "reason=backend_unreachable" in front.log(), "log line")
        backend = Backend(backend.port)
        assert echoes(log_on(front))
    finally:
        assert front.stop() == 0
        backend.stop()


def test_what_was_sent_before_the_end_is_delivered(front: FrontProcess, backend: Backend) -> None:
    client = front.connect()
    order = fix("35=D", "58=" + "x" * 30_000)
    client.sendall(logon() + order)
    client.shutdown(socket.SHUT_WR)
    until(lambda: backend.received and backend.ended[0], "backend told")
    assert bytes(backend.received[0]).endswith(order)
    late = log_on(front, "B44")
    backend.sockets[1].sendall(b"8=last words\x01")
    backend.sockets[1].shutdown(socket.SHUT_RDWR)
    assert receive(late, 13) == b"8=last words\x01" and is_closed(late)


def test_who_waits_longest_for_its_logon_makes_room(tmp_path: Path, backend: Backend) -> None:
    """Of the same address where that has too many, else of the one that has most; who is logged on notices nothing."""
    settings = {"max_connections": 6, "max_prelogon_per_address": 3}
    front = FrontProcess(tmp_path, backend.port, logon_deadline_s=30, **settings)
    try:
        live = [log_on(front), log_on(front, "B44")]
        innocent = front.connect(source="127.0.0.3")
        crowd = [front.connect(source="127.0.0.2") for _ in range(3)]
        assert all(is_open(client) for client in crowd), "there are six places"
        crowd.append(front.connect(source="127.0.0.2"))
        assert is_closed(crowd[0]) and all(is_open(client) for client in crowd[1:])
        own = front.connect()
        assert is_closed(crowd[1]) and all(is_open(client) for client in (*crowd[2:], innocent, own))
        assert front.log().count("reason=displaced") == 2
        innocent.sendall(logon("C44"))
        receive(innocent, len(logon("C44")))
        assert all(echoes(client) for client in (*live, innocent))
    finally:
        assert front.stop() == 0


def test_a_front_full_of_live_sessions_lets_nobody_in(tmp_path: Path, backend: Backend) -> None:
    front = FrontProcess(tmp_path, backend.port, logon_deadline_s=30, max_connections=2)
    try:
        live = [log_on(front), log_on(front, "B44")]
        assert is_closed(front.connect())
        until(lambda: "reason=max_connections" in front.log(), "log line")
        assert all(echoes(client) for client in live)
    finally:
        assert front.stop() == 0


def test_it_may_have_as_many_files_as_a_later_configuration_needs(tmp_path: Path, backend: Backend) -> None:
    """max_connections can grow by a reload."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 1024), hard))
    try:
        front = FrontProcess(tmp_path, backend.port)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    try:
        assert resource.prlimit(front.process.pid, resource.RLIMIT_NOFILE)[0] in (65_536, hard)
    finally:
        front.stop()


def test_reload_on_sighup(front: FrontProcess) -> None:
    keeps, loses = log_on(front, "B44"), log_on(front, "A44")
    front.sessions_file.write_text("{")
    front.process.send_signal(signal.SIGHUP)
    until(lambda: "reload_refused" in front.log(), "bad file refused")
    assert echoes(loses)
    front.configure("B44", "D44")
    front.process.send_signal(signal.SIGHUP)
    until(lambda: "reloaded" in front.log(), "reloaded")
    assert is_closed(loses) and echoes(keeps) and echoes(log_on(front, "D44"))
    refused = front.connect()
    refused.sendall(logon("A44"))
    assert is_closed(refused)


def test_sigterm_lets_the_gateway_say_goodbye(front: FrontProcess, backend: Backend) -> None:
    """Nobody gets in any more; who is logged on stays, is passed everything, and goes when the gateway lets go of it."""
    client, waiting = log_on(front), front.connect()
    front.process.send_signal(signal.SIGTERM)
    assert is_closed(waiting)
    assert echoes(client) and front.process.poll() is None
    with pytest.raises(ConnectionRefusedError):
        front.connect()
    goodbye = fix("35=5", "58=the gateway is going down")
    backend.sockets[0].sendall(goodbye)
    backend.sockets[0].shutdown(socket.SHUT_RDWR)
    assert receive(client, len(goodbye)) == goodbye and is_closed(client)
    assert front.process.wait(WAIT_S) == 0
    assert front.log().splitlines()[-1].endswith("info stopped")


@pytest.mark.parametrize("end", ["no goodbye in time", "a second signal"])
def test_sigterm_waits_for_a_goodbye_within_bounds(tmp_path: Path, backend: Backend, end: str) -> None:
    front = FrontProcess(tmp_path, backend.port, drain_s=0.3, goodbye_s=0.3 if end == "no goodbye in time" else 60)
    try:
        client = log_on(front)
        front.process.send_signal(signal.SIGTERM)
        if end == "a second signal":
            assert echoes(client)
            front.process.send_signal(signal.SIGTERM)
        assert is_closed(client)
        assert front.process.wait(WAIT_S) == 0
        until(lambda: backend.ended[0], "backend told")
    finally:
        front.stop()


def test_ends_with_its_parent(tmp_path: Path, backend: Backend) -> None:
    sessions = tmp_path / "sessions.json"
    sessions.write_text('{"sessions": []}')
    ready = tmp_path / "ready.json"
    command = [sys.executable, "-m", "fixgw.fix.front", "--listen", "127.0.0.1:0", "--backend", "127.0.0.1:1"]
    command += ["--sessions", str(sessions), "--ready-file", str(ready)]
    code = f"import subprocess, sys; subprocess.Popen({command!r}, stderr=subprocess.DEVNULL); sys.stdin.read()"
    parent = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
    until(ready.exists, "ready file")
    pid = json.loads(ready.read_text())["pid"]
    parent.kill()
    parent.communicate(timeout=WAIT_S)
    stat = Path(f"/proc/{pid}/stat")
    until(lambda: not stat.exists() or stat.read_text().rsplit(")", 1)[1].split()[0] == "Z", "the front ended")
    late = subprocess.run([*command, "--parent", "1" if os.getpid() != 1 else "2"], capture_output=True, timeout=WAIT_S)
    assert late.returncode == 1 and b"parent process has already ended" in late.stderr


@pytest.mark.parametrize(
    ("change", "said"),
    [({"--sessions": "/nonexistent.json"}, "cannot be read"), ({"--listen": "127.0.0.1"}, "expected HOST:PORT")],
)
def test_cannot_start(tmp_path: Path, change: dict[str, str], said: str) -> None:
    sessions = tmp_path / "sessions.json"
    sessions.write_text('{"sessions": []}')
    options = {"--listen": "127.0.0.1:0", "--backend": "127.0.0.1:1", "--sessions": str(sessions), **change}
    command = [sys.executable, "-m", "fixgw.fix.front", *(part for pair in options.items() for part in pair)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S)
    assert result.returncode in (1, 2) and said in result.stderr

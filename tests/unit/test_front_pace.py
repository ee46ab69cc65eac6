"""Slow readers and clients that do not read, told apart by what they took and when."""

import socket
import time

import pytest

from fixgw.fix.front_pace import LONG, MIN_BYTES_S, ReaderWatch, unacknowledged


def first_fault(bytes_per_step: list[int], limit_s: float = 10.0, step_s: float = 1.0) -> tuple[float, str]:
    """When the client is dropped, and why; (0.0, ""): never."""
    watch, taken = ReaderWatch(limit_s, 100.0, 5000), 5000
    for number, more in enumerate(bytes_per_step, 1):
        taken += more
        if wrong := watch.verdict(100.0 + number * step_s, taken):
            return number * step_s, wrong
    return 0.0, ""


@pytest.mark.parametrize(
    ("taken", "at", "text"),
    [
        ([0] * 30, 10.0, "nothing taken for 10.0 s"),
        ([100_000] * 5 + [0] * 30, 15.0, "nothing taken for 10.0 s"),
        ([0] * 9 + [2_000_000] + [0] * 9 + [2_000_000], 0.0, ""),
        ([2 * MIN_BYTES_S] * 500, 0.0, ""),
        ([1] * 500, 10.0 * LONG, "60 bytes taken in 60 s"),
        # fast once, then a byte now and then: judged afresh each time
        ([10_000_000] + [1] * 500, 20.0 * LONG, "60 bytes taken in 60 s"),
    ],
)
def test_verdicts(taken: list[int], at: float, text: str) -> None:
    assert first_fault(taken) == (at, text)


def test_what_the_peer_has_not_taken_stands_in_the_kernel() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname())
        peer, _ = server.accept()
        ours.setblocking(False)
        sent = 0
        try:
            while sent < 64 << 20:
                sent += ours.send(b"x" * 65536)
        except BlockingIOError:
            pass
        held = unacknowledged(ours.fileno())
        assert 0 < held <= sent
        while len(peer.recv(1 << 20)) == 1 << 20:
            pass
        deadline = time.monotonic() + 20
        while unacknowledged(ours.fileno()) >= held:
            assert time.monotonic() < deadline, "taken bytes are not seen"
            peer.recv(1 << 20)
        peer.close()
        ours.close()
    assert unacknowledged(-1) == 0

"""Cutting a FIX byte stream into frames, in bounded memory.

The splitter takes the same frames that QuickFIX's own parser would take (it looks for `<SOH>9=`, skips that many
bytes and goes on to the next `<SOH>10=...<SOH>`), so that what is wrong in a frame (checksum, a BodyLength that is
off, field order) is still judged by QuickFIX. It differs in two places, both on purpose:
- QuickFIX keeps unlimited bytes while it waits; here no more than `cap` bytes may pass without a complete frame.
- After a BodyLength that is no number QuickFIX throws its whole buffer away, good messages included, and hands its
  previous message to the session a second time. Here the garbled piece is skipped up to the next `8=FIX`.
So QuickFIX behind it sees whole frames only.
"""

from collections.abc import Iterator
from typing import Final

SOH: Final = b"\x01"
_START: Final = b"8=FIX"
_LENGTH: Final = b"\x019="
_TRAILER: Final = b"\x0110="
_MAX_LENGTH_DIGITS: Final = 9

Piece = bytes | memoryview


class FrameError(Exception):
    """The stream is beyond what may be accepted: the connection must be dropped. `code` is a short word for logs."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class FrameSplitter:
    """Feed bytes in any chunking, get back runs of complete frames (in order, garbage between frames left out).

    `frames` counts complete frames, `skipped` the garbage bytes left out so far.
    """

    __slots__ = ("_cap", "_carry", "_garbage", "_need", "frames", "skipped")

    def __init__(self, cap: int) -> None:
        """cap: most bytes that one frame, or garbage without a frame, may have."""
        if cap < 32:
            raise ValueError(f"frame cap: {cap}, expected at least 32 bytes")
        self._cap = cap
        self._carry = bytearray()
        self._need = 0  # bytes that the carry must have before looking again can bring anything new
        self._garbage = 0  # garbage bytes since the last complete frame
        self.frames = 0
        self.skipped = 0

    @property
    def pending(self) -> int:
        """Bytes kept of a frame that is not complete yet."""
        return len(self._carry)

    def feed(self, data: bytes) -> list[Piece]:
        """Runs of complete frames that this chunk completed; usually one run that is `data` itself, uncopied.

        Raises FrameError when the cap is passed; the splitter must not be used afterwards.
        """
        carry = self._carry
        if carry:
            carry += data
            if len(carry) < self._need:
                return []
            data = bytes(carry)
            carry.clear()
        return self._split(data)

    def _split(self, data: bytes) -> list[Piece]:
        size = len(data)
        runs: list[Piece] = []
        run_start = position = 0
        while position < size:
            end = self._frame_end(data, position)
            if end > 0:
                position = end
                self.frames += 1
                self._garbage = 0
                continue
            if position > run_start:
                runs.append(_cut(data, run_start, position))
            if end == 0:  # an incomplete frame: keep it
                self._carry += data[position:]
                if len(self._carry) > self._cap:
                    raise FrameError(
                        "oversize", f"{len(self._carry)} bytes and no whole frame, at most {self._cap}"
                    )
                return runs
            skip = -end  # garbage up to there
            self._count_garbage(skip - position)
            run_start = position = skip
        if position > run_start:
            runs.append(_cut(data, run_start, position))
        self._need = 0
        return runs

    def frames_of(self, run: bytes) -> Iterator[bytes]:
        """The single frames of a run that feed() gave."""
        position = 0
        while position < len(run):
            end = self._frame_end(run, position)
            if end <= position:
                raise FrameError("garbage", "not a run of whole frames")
            yield run[position:end]
            position = end

    def _count_garbage(self, length: int) -> None:
        self.skipped += length
        self._garbage += length
        if self._garbage > self._cap:
            raise FrameError("garbage", f"{self._garbage} bytes that are no FIX frame, at most {self._cap} allowed")

    def _frame_end(self, data: bytes, start: int) -> int:
        """End of the frame at `start`; 0: more bytes are needed; negative: -n says that data[start:n] is garbage."""
        size = len(data)
        if not data.startswith(_START, start):
            if size - start < len(_START) and _START.startswith(data[start:]):
                self._need = 0
                return 0
            return -_next_start(data, start + 1)
        mark = data.find(_LENGTH, start)
        soh = data.find(SOH, mark + 3) if mark >= 0 else -1
        if soh < 0:
            if mark >= 0 and size - mark - 3 > _MAX_LENGTH_DIGITS:
                return -_next_start(data, start + 1)
            self._need = 0
            return 0
        digits = data[mark + 3 : soh]
        if not digits.isdigit() or len(digits) > _MAX_LENGTH_DIGITS:
            return -_next_start(data, start + 1)
        body_end = soh + 1 + int(digits)
        if body_end - start > self._cap:
            raise FrameError("oversize", f"BodyLength(9) {int(digits)}, at most {self._cap} bytes allowed")
        if size < body_end:
            self._need = body_end - start
            return 0
        trailer = data.find(_TRAILER, body_end - 1)
        end = data.find(SOH, trailer + 4) + 1 if trailer >= 0 else 0
        if end == 0:
            self._need = 0
            return 0
        if end - start > self._cap:
            raise FrameError("oversize", f"a frame of {end - start} bytes, at most {self._cap} allowed")
        return end


def _cut(data: bytes, start: int, end: int) -> Piece:
    return data if start == 0 and end == len(data) else memoryview(data)[start:end]


def _next_start(data: bytes, position: int) -> int:
    """Where the next frame may start at or after `position`: a whole `8=FIX`, or a beginning of it at the very end."""
    found = data.find(_START, position)
    if found >= 0:
        return found
    for length in range(len(_START) - 1, 0, -1):
        if len(data) - length >= position and data.endswith(_START[:length]):
            return len(data) - length
    return len(data)


def first_frame_end(data: bytes | bytearray, cap: int) -> int | None:
    """End of a first frame that must be well formed from its first byte; None: more bytes are needed.

    Stricter than the splitter, because what is decided on the first frame must be what QuickFIX reads from it:
    `8=FIX..|9=n|`, n bytes, `10=ddd|`, checksum right. Raises FrameError("garbage" | "oversize" | "checksum").
    """
    head = bytes(data[: len(_START)])
    if not _START.startswith(head):
        raise FrameError("garbage", "the first bytes are not a FIX message (expected 8=FIX)")
    soh = data.find(SOH)
    if soh < 0 or len(data) < soh + 3:
        _bound(data, cap, 16, "BeginString(8)")
        return None
    if data[soh + 1 : soh + 3] != b"9=":
        raise FrameError("garbage", "BodyLength(9) is not the second field of the first message")
    length_end = data.find(SOH, soh + 3)
    if length_end < 0:
        _bound(data, cap, soh + 3 + _MAX_LENGTH_DIGITS + 1, "BodyLength(9)")
        return None
    digits = bytes(data[soh + 3 : length_end])
    if not digits.isdigit() or len(digits) > _MAX_LENGTH_DIGITS:
        raise FrameError("garbage", "BodyLength(9) of the first message is not a number")
    trailer = length_end + 1 + int(digits)
    end = trailer + 7
    if end > cap:
        raise FrameError("oversize", f"a first message of {end} bytes, at most {cap} allowed")
    if len(data) < end:
        return None
    if (
        data[trailer - 1 : trailer + 3] != _TRAILER
        or not data[trailer + 3 : end - 1].isdigit()
        or data[end - 1 : end] != SOH
    ):
        raise FrameError("garbage", "BodyLength(9) of the first message does not lead to its CheckSum(10)")
    if int(data[trailer + 3 : end - 1]) != sum(data[:trailer]) & 0xFF:
        raise FrameError("checksum", "CheckSum(10) of the first message is wrong")
    return end


def garbled(frame: bytes) -> bool:
    """Whether BodyLength or CheckSum of a whole frame is wrong, so that FIX has it passed over."""
    try:
        return first_frame_end(frame, len(frame)) != len(frame)
    except FrameError:
        return True


def _bound(data: bytes | bytearray, cap: int, limit: int, what: str) -> None:
    if len(data) > min(cap, limit):
        raise FrameError("garbage", f"{what} of the first message does not end where it should")

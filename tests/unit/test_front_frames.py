"""The splitter must cut the same frames however the bytes arrive, in bounded memory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixgw.fix.frames import FrameError, FrameSplitter, first_frame_end


def frame(*fields: str, begin: str = "FIX.4.4", length: int | None = None, checksum: int | None = None) -> bytes:
    body = "".join(f"{field}\x01" for field in fields).encode()
    head = f"8={begin}\x019={len(body) if length is None else length}\x01".encode() + body
    return head + b"10=%03d\x01" % (sum(head) & 0xFF if checksum is None else checksum)


def cut(data: bytes, sizes: list[int], cap: int = 65536) -> tuple[bytes, int, int, int]:
    splitter = FrameSplitter(cap)
    out = b""
    position = 0
    for size in [*sizes, len(data)]:
        out += b"".join(bytes(run) for run in splitter.feed(data[position : position + size]))
        position += size
        if position >= len(data):
            break
    return out, splitter.frames, splitter.pending, splitter.skipped


values = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
good = st.lists(values, min_size=1, max_size=6).map(lambda texts: frame("35=D", *(f"58={text}" for text in texts)))
odd = st.sampled_from(
    [
        frame("35=D", "55=X", length=2),
        frame("35=D", "55=X", length=40),
        frame("35=D", checksum=0),
        b"8=FIX.4.2garbled9=TEST\x0135=D\x01",
        b"8=FIX.4.4\x019=TEST\x0135=D\x0110=000\x01",
        b"8=FIX.4.4\x019=-5\x0135=D\x0110=000\x01",
        b"8=FIX.4.4\x019=99999999999\x01",
        b"GET / HTTP/1.1\r\n\r\n",
        b"8=F",
        b"\x01\x01",
    ]
)
garbage = st.binary(max_size=30)


@given(st.lists(good | odd | garbage, max_size=8), st.lists(st.integers(1, 40), max_size=60))
def test_chunking_changes_nothing(parts: list[bytes], sizes: list[int]) -> None:
    data = b"".join(parts)
    assert cut(data, sizes) == cut(data, []) == cut(data, [1] * len(data))


@given(st.lists(good, max_size=8), st.lists(st.integers(1, 40), max_size=60))
def test_good_frames_pass_whole_and_alone(frames: list[bytes], sizes: list[int]) -> None:
    assert cut(b"".join(frames), sizes) == (b"".join(frames), len(frames), 0, 0)


@given(st.lists(st.tuples(st.sampled_from([b"", b"junk", b"\x01", b"8=F", b"9=5\x01"]), good), max_size=6))
def test_garbage_between_frames_is_left_out(pairs: list[tuple[bytes, bytes]]) -> None:
    data = b"".join(junk + good_frame for junk, good_frame in pairs)
    out, count, pending, skipped = cut(data, [7] * len(data))
    assert out == b"".join(good_frame for _, good_frame in pairs)
    assert (count, pending) == (len(pairs), 0)
    assert skipped == sum(len(junk) for junk, _ in pairs)


def test_a_whole_chunk_is_passed_on_without_a_copy() -> None:
    data = frame("35=0") + frame("35=1", "112=x")
    runs = FrameSplitter(1024).feed(data)
    assert len(runs) == 1 and runs[0] is data


def test_a_length_that_is_no_number_costs_only_its_own_frame() -> None:
    before, after = frame("35=0"), frame("35=1", "112=x")
    out, count, _, _ = cut(before + b"8=FIX.4.4\x019=TEST\x0135=D\x0110=000\x01" + after, [])
    assert (out, count) == (before + after, 2)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"8=FIX.4.4\x019=2000000000\x0135=D\x01", "garbage?"),
        (b"8=FIX.4.4\x019=70000\x01", "oversize"),
        (b"8=FIX.4.4\x0135=" + b"x" * 70_000, "oversize"),
        (b"x" * 70_000, "garbage"),
        (b"8=FIX.4.4\x019=5\x0135=0\x01" + b"x" * 70_000, "oversize"),
        (frame("35=D", "58=" + "x" * 70_000), "oversize"),
    ],
)
def test_the_cap(data: bytes, code: str) -> None:
    if code == "garbage?":  # ten digits: not believed to be a length; what follows counts as garbage up to the cap
        data, code = data + b"x" * 70_000, "garbage"
    for sizes in ([], [1000] * 100):
        with pytest.raises(FrameError) as error:
            cut(data, sizes)
        assert error.value.code == code


def test_memory_stays_below_the_cap_plus_one_chunk() -> None:
    splitter = FrameSplitter(4096)
    with pytest.raises(FrameError):
        for _ in range(10_000):
            splitter.feed(b"8=FIX.4.4\x0135=x")
            assert splitter.pending <= 4096
    with pytest.raises(ValueError, match="frame cap"):
        FrameSplitter(0)


LOGON = frame("35=A", "34=1", "49=OMS44", "56=FIXGW", "98=0", "108=30")


@given(st.integers(0, len(LOGON)), garbage)
def test_first_frame_of_a_good_logon(length: int, more: bytes) -> None:
    assert first_frame_end(LOGON[:length], 4096) == (len(LOGON) if length == len(LOGON) else None)
    assert first_frame_end(LOGON + more, 4096) == len(LOGON)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"G", "garbage"),
        (b"8=FIX.4.4\x0135=A\x01", "garbage"),
        (b"8=FIX" + b"x" * 40, "garbage"),
        (b"8=FIX.4.4\x019=abc\x01", "garbage"),
        (b"8=FIX.4.4\x019=5000\x01", "oversize"),
        (b"8=FIX.4.4\x019=2000000000\x01", "garbage"),
        (frame("35=A", "34=1", checksum=1), "checksum"),
        (frame("35=A", "34=1", length=5), "garbage"),
        (frame("35=A", "34=1", length=11) + b"x" * 40, "garbage"),
        (b"8=FIX.4.4\x019=" + b"1" * 60, "garbage"),
    ],
)
def test_first_frame_must_be_well_formed(data: bytes, code: str) -> None:
    with pytest.raises(FrameError) as error:
        first_frame_end(data, 4096)
    assert error.value.code == code

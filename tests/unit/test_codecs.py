"""Inflating: every framing that producers use, and never more than there is room for."""

from __future__ import annotations

import gzip
import struct
import subprocess
import sys

import cramjam
import pytest
from aiokafka.errors import UnsupportedCodecError

from processor.errors import ConfigError
from processor.kafka import codecs
from processor.kafka.codecs import GZIP, LZ4, NAMES, SNAPPY, ZSTD, Broken, NoRoom, inflate_into
from processor.kafka.failures import in_words
from tests.batches import CODECS, deflated, xerial

TEXT = b"".join(b"STOP from recipient %d; " % number for number in range(20_000))
HALF = len(TEXT) // 2
CLAIMS_A_TERABYTE = struct.pack("<IBQ", 0xFD2FB528, 0b11100000, 1 << 40) + b"\x29\0\0hello"


def inflated(codec: int, payload: bytes, most: int = len(TEXT)) -> bytes:
    room = memoryview(bytearray(most))
    return bytes(room[: inflate_into(codec, memoryview(payload), room)])


def lz4(*, linked: bool, checked: bool) -> bytes:
    made = cramjam.lz4.Compressor(level=1, content_checksum=checked, block_linked=linked)
    made.compress(TEXT)
    return bytes(made.finish())


def a_zstd_frame(window_log: int) -> bytes:
    """A frame of six bytes that claims to need this large a window."""
    raw = (6 << 3 | 1).to_bytes(3, "little") + b"PLEASE"
    return struct.pack("<IBB", 0xFD2FB528, 0, (window_log - 10) << 3) + raw


@pytest.mark.parametrize("codec", CODECS, ids=NAMES.get)
def test_a_payload_fits_exactly_or_not_at_all(codec: int) -> None:
    payload = deflated(codec, [TEXT])
    assert inflated(codec, payload) == TEXT
    with pytest.raises(NoRoom):
        inflated(codec, payload, len(TEXT) - 1)
    with pytest.raises(Broken):
        inflated(codec, payload[:-5])


@pytest.mark.parametrize(
    ("codec", "payload"),
    [
        (GZIP, gzip.compress(TEXT[:HALF]) + gzip.compress(TEXT[HALF:])),
        (SNAPPY, bytes(cramjam.snappy.compress_raw(TEXT))),
        (SNAPPY, xerial([TEXT[:HALF], TEXT[HALF:]])),
        (SNAPPY, xerial([TEXT[:HALF]]) + xerial([TEXT[HALF:]])),
        (LZ4, lz4(linked=False, checked=False)),
        (LZ4, lz4(linked=False, checked=True)),
        (LZ4, lz4(linked=True, checked=False)),
        (LZ4, deflated(LZ4, [TEXT[:HALF]]) + deflated(LZ4, [TEXT[HALF:]])),
        (ZSTD, bytes(cramjam.zstd.compress(TEXT, level=19))),
        (ZSTD, deflated(ZSTD, [TEXT[:HALF]]) + deflated(ZSTD, [TEXT[HALF:]])),
    ],
    ids=[
        "gzip members",
        "raw snappy",
        "blocks of snappy",
        "streams of snappy",
        "lz4",
        "lz4 with a checksum",
        "lz4 of linked blocks",
        "frames of lz4",
        "zstd of a known size",
        "frames of zstd",
    ],
)
def test_every_framing_is_read(codec: int, payload: bytes) -> None:
    assert inflated(codec, payload) == TEXT


def test_zstd_may_look_back_128_mib_and_no_further() -> None:
    assert inflated(ZSTD, a_zstd_frame(27)) == b"PLEASE"
    for window_log in (28, 31, 40):
        with pytest.raises(Broken):
            inflated(ZSTD, a_zstd_frame(window_log))


@pytest.mark.parametrize(
    ("codec", "payload"),
    [
        (5, b"later"),
        (SNAPPY, b""),
        (SNAPPY, xerial([TEXT]) + b"\0\0\0\0"),
        (SNAPPY, xerial([TEXT]) + b"\xff\xff\xff\xff"),
        (SNAPPY, xerial([TEXT]) + b"\x7f\xff\xff\xff" + b"short"),
        (ZSTD, CLAIMS_A_TERABYTE),
    ],
)
def test_a_false_claim_is_a_broken_batch(codec: int, payload: bytes) -> None:
    with pytest.raises(Broken):
        inflated(codec, payload, 2 * len(TEXT))


_PEAK = """
from pathlib import Path
from processor.kafka.codecs import *
from tests.batches import deflated, zeros
from tests.unit.test_codecs import CLAIMS_A_TERABYTE, a_zstd_frame

def peak_kib():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])

payloads = [(codec, deflated(codec, zeros(32 << 20))) for codec in (GZIP, LZ4, ZSTD)]
payloads += [(ZSTD, CLAIMS_A_TERABYTE), (ZSTD, a_zstd_frame(27))]
payloads += [(SNAPPY, bytes.fromhex("ffffffff0f"))]
room = memoryview(bytearray(1 << 20))
before = peak_kib()
for codec, payload in payloads:
    try:
        inflate_into(codec, memoryview(payload), room)
    except (NoRoom, Broken):
        pass
print(peak_kib() - before)
"""


def test_no_memory_is_taken_for_a_claim() -> None:
    ran = subprocess.run([sys.executable, "-c", _PEAK], check=True, capture_output=True)
    assert int(ran.stdout) < 4 << 10  # KiB, against room for one MiB


def test_a_process_that_cannot_read_a_codec_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    codecs.check()
    monkeypatch.setattr(codecs, "_INTO", {})
    with pytest.raises(ConfigError) as unfit:
        codecs.check()
    assert unfit.value.problems == [
        "records compressed with gzip, snappy, lz4, zstd cannot be read: "
        "pip install 'aiokafka[lz4,snappy,zstd]'"
    ]
    with pytest.raises(UnsupportedCodecError) as unread:
        inflated(LZ4, deflated(LZ4, [TEXT]))
    assert "pip install 'aiokafka[lz4,snappy,zstd]'" in in_words(unread.value)

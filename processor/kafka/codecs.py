"""Inflates the payload of a record batch, but never past the room that is given.

A sender may claim any length, or none, and one megabyte may inflate to gigabytes. So nothing is
allocated for a claim, and inflating stops when the room is full. The sender chooses zstd's window,
too. A window beyond 128 MiB is refused, and memory is taken only for the part that is written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aiokafka.errors import UnsupportedCodecError

from processor.errors import ConfigError

try:
    import cramjam
except ImportError:  # ``check`` says so before anything is read
    cramjam = None  # type: ignore[assignment]

GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4  # in a batch's attributes
NAMES: Mapping[int, str] = {GZIP: "gzip", SNAPPY: "snappy", LZ4: "lz4", ZSTD: "zstd"}
REMEDY = "pip install 'aiokafka[lz4,snappy,zstd]'"

_XERIAL = (
    b"\x82SNAPPY\x00"  # begins the blocks that Java writes; others write one block and no more
)
_XERIAL_HEADER = 16  # that, and two versions
_FULL = frozenset(("failed to write whole buffer", "Destination buffer is too small"))
_A_BYTE: Mapping[int, str] = {  # the letter "a" in each codec
    GZIP: "1f8b08000000000002034b040043beb7e801000000",
    SNAPPY: "010061",
    LZ4: "04224d185440ae010000806156740d550000000056740d55",
    ZSTD: "28b52ffd200109000061",
}


class NoRoom(Exception):
    """It inflates further than there is room."""


class Broken(Exception):
    """It cannot be inflated, or read once it is; the message says what is wrong."""


def inflate_into(codec: int, payload: memoryview, room: memoryview) -> int:
    """Inflate a payload.

    Args:
        codec: as the batch's attributes have it.
        payload: of the batch.
        room: where to; it may be written in part where this fails.

    Returns:
        How many bytes were written.

    Raises:
        NoRoom: there are more.
        Broken: it cannot be inflated.
        UnsupportedCodecError: a library is missing.
    """
    if codec not in NAMES:
        raise Broken(f"a batch of codec {codec}, which is none of {', '.join(NAMES.values())}")
    if codec not in _INTO:
        raise UnsupportedCodecError(NAMES[codec])
    try:
        return _INTO[codec](payload, room)
    except cramjam.DecompressionError as error:
        if str(error) in _FULL:
            raise NoRoom from None
        raise _broken(codec) from None


def _snappy(payload: memoryview, room: memoryview) -> int:
    if payload[: len(_XERIAL)] != _XERIAL:
        return _block(payload, room)
    at = written = 0
    while at < len(payload):
        if payload[at : at + len(_XERIAL)] == _XERIAL:  # one such stream may follow another
            at += _XERIAL_HEADER
            continue
        begin = at + 4
        at = begin + int.from_bytes(payload[at:begin], "big", signed=True)
        if not begin < at <= len(payload):
            raise _broken(SNAPPY)
        written += _block(payload[begin:at], room[written:])
    return written


def _block(block: memoryview, room: memoryview) -> int:
    if cramjam.snappy.decompress_raw_len(block) > len(room):
        raise NoRoom
    return cramjam.snappy.decompress_raw_into(block, room)


def _broken(codec: int) -> Broken:
    return Broken(f"a batch that cannot be inflated: it is not {NAMES[codec]}, or not whole")


_INTO: Mapping[int, Callable[[memoryview, memoryview], int]] = (
    {
        GZIP: cramjam.gzip.decompress_into,
        SNAPPY: _snappy,
        LZ4: cramjam.lz4.decompress_into,
        ZSTD: cramjam.zstd.decompress_into,
    }
    if cramjam
    else {}
)


def check() -> None:
    """See that batches of every codec can be read: producers and brokers choose.

    Raises:
        ConfigError: naming those that cannot, and what to install.
    """
    if names := ", ".join(NAMES[codec] for codec in NAMES if not _can_read(codec)):
        raise ConfigError([f"records compressed with {names} cannot be read: {REMEDY}"])


def _can_read(codec: int) -> bool:
    room = memoryview(bytearray(1))
    try:
        inflate_into(codec, memoryview(bytes.fromhex(_A_BYTE[codec])), room)
    except (NoRoom, Broken, UnsupportedCodecError):
        return False
    return bytes(room) == b"a"

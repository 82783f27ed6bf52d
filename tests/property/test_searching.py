"""R30: both searches find the same stems in any texts."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from processor.suspicion.searching import CompiledSearch, LibrarySearch
from processor.suspicion.stems import CURLY, SEPARATOR, batch, folded, stems

pytest.importorskip("processor.suspicion._search", reason="no C compiler built the native search")

PIECES = [
    b"a",
    b"b",
    b" ",
    b"no",
    b"more",
    b"\xc3",
    b"\xa9",
    b"\xe2",
    b"\x80",
    CURLY,
    b"\xf0",
    b"Z",
]
FOLDED = [b"a", b"b", b" ", b"no", b"more", b"e", b"\xe2", b"\xf0", b"z"]

patterns = st.lists(
    st.lists(st.sampled_from(FOLDED), min_size=1, max_size=6).map(b"".join),
    min_size=1,
    max_size=30,
    unique=True,
)
texts = st.lists(st.sampled_from([*PIECES, SEPARATOR.encode()]) | st.binary(max_size=3)).map(
    b"".join
)


@given(patterns, texts)
@example([b" no more ", b" more ", b"e ", b"ore", b" no"], b" no more ")
@example([b"a", b"aa", b"aaa"], b"aaaaaa")
@example([b" a"], b" \xc3a" + CURLY + b" a")
def test_compiled_code_finds_what_the_library_finds(some: list[bytes], text: bytes) -> None:
    assert CompiledSearch(some).find(text) == LibrarySearch(some).find(text)


def test_thousands_of_stems_are_found_in_their_own_texts() -> None:
    known = sorted({folded(stem) for stem in stems().strong})
    text = batch([stem.strip() for stem in stems().strong])
    found = CompiledSearch(known).find(text)
    assert found == LibrarySearch(known).find(text)
    assert {known[pattern] for pattern, _, _ in found} == {*known}


@pytest.mark.parametrize("wrong", [[b""], ["text"], [b"a", b""], [b"a\x1eb"], [b"\xc3a"]])
def test_a_pattern_that_is_none_is_refused(wrong: list[bytes]) -> None:
    with pytest.raises((TypeError, ValueError)):
        CompiledSearch(wrong)

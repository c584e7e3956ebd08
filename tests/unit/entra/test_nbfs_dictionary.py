"""The static dictionary: one wrong string shifts all that follow."""

from __future__ import annotations

import pytest
from pynettcp.dictionary import lookup_static

from entrasync.entra.nbfs_dictionary import STATIC_IDS, STATIC_STRINGS


@pytest.mark.parametrize(
    ("number", "word"),
    [
        (0, "mustUnderstand"),
        (2, "Envelope"),
        (4, "http://www.w3.org/2003/05/soap-envelope"),
        (6, "http://www.w3.org/2005/08/addressing"),
        (26, "MessageID"),
        (162, ""),
        (882, "http://www.w3.org/2001/XMLSchema-instance"),
        (884, "http://www.w3.org/2001/XMLSchema"),
        (886, "nil"),
        (888, "type"),
        (918, "string"),
        (972, "detail"),
    ],
)
def test_numbers_of_the_specification(number: int, word: str) -> None:
    assert STATIC_STRINGS[number // 2] == word
    assert STATIC_IDS[word] == number


def test_it_is_the_dictionary_another_codec_has() -> None:
    assert tuple(lookup_static(index) for index in range(487)) == STATIC_STRINGS


def test_every_string_has_the_number_of_its_first_place() -> None:
    assert len(STATIC_STRINGS) == 487
    numbers = {word: 2 * STATIC_STRINGS.index(word) for word in STATIC_STRINGS}
    assert numbers == STATIC_IDS

from __future__ import annotations

from entrasync.entra.infoset import DEFAULT_LIMITS, END, CodecError, EndElement
from entrasync.errors import TransientError


def test_a_codec_error_is_one_a_later_run_may_not_have() -> None:
    error = CodecError("the document is cut off")

    assert isinstance(error, TransientError)
    assert (error.reason, str(error)) == ("RunFailed", "the document is cut off")


def test_the_end_of_an_element_is_one_value() -> None:
    assert EndElement() == END


def test_a_whole_export_fits_the_limits() -> None:
    # 15,000 changes of members: six elements each, a text in three of them
    assert DEFAULT_LIMITS.max_elements > 15_000 * 6
    assert DEFAULT_LIMITS.max_depth > 12
    assert DEFAULT_LIMITS.max_bytes > 15_000 * 400

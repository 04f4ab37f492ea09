"""Words of specs: numbers and fractions in one form alone."""

import pytest

from flwr_gan.errors import CodecError
from flwr_gan.wire.codecs.settings import fraction_text, one_of, read_fraction, whole_number


@pytest.mark.parametrize("text", ["", "-1", "+1", "01", "1.0", " 1", "1_0", "x", "²", "9" * 5000])
def test_what_is_no_whole_number(text):
    assert whole_number(text, lowest=0, highest=1 << 40) is None


def test_whole_numbers_have_limits():
    assert [whole_number(str(at), lowest=2, highest=4) for at in range(6)] == [
        None, None, 2, 3, 4, None,
    ]  # fmt: skip


@pytest.mark.parametrize("steps", [1, 10, 2500, 3333, 9000, 9999])
def test_fractions_come_back(steps):
    assert read_fraction(fraction_text(steps)) == steps
    assert read_fraction(fraction_text(steps)[1:]) == steps


def test_unknown_words_are_explained():
    assert one_of("size", "small", ["small", "large"]) == "small"
    with pytest.raises(CodecError, match="unknown size 'smal'; allowed: small, large; did you"):
        one_of("size", "smal", ["small", "large"])

"""One training stands for several lossless codecs."""

from pathlib import Path

import pandas as pd
import pytest

from flwr_gan.app.config import load_config
from flwr_gan.errors import CodecError, ConfigError

pytestmark = pytest.mark.usefixtures("quick_judge")


def messages(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "messages.csv").drop(columns=["encode_s", "decode_s"])


@pytest.mark.long
def test_the_tickets_of_a_pool_are_those_of_a_run_with_the_other_codec(simulate):
    trained = simulate("experiment=one_shot codec=raw also_codecs=[zlib] evaluation=none")
    own = simulate("experiment=one_shot codec=zlib evaluation=none", folder="own")
    derived = trained / "also" / "zlib"
    pd.testing.assert_frame_equal(messages(own), messages(derived))
    tickets = [
        {p.name: p.read_bytes() for p in (f / "generators").glob("*.fgan")} for f in (own, derived)
    ]
    assert tickets[0] == tickets[1]
    assert len(tickets[0]) == 2
    assert set(messages(trained).codec) == {"raw"}


def test_a_lossy_codec_is_not_measured_beside_another(simulate):
    with pytest.raises(CodecError, match="sparse:int8"):
        simulate("also_codecs=['sparse:int8']")
    with pytest.raises(CodecError, match="run the lossy one by itself"):
        simulate("codec=sparse:int8 also_codecs=[zlib]", folder="lossy")


@pytest.mark.parametrize(
    ("override", "error", "message"),
    [
        ("also_codecs=zlib", ConfigError, "give a list of"),
        ("also_codecs=[1]", ConfigError, "give a list of"),
        ("also_codecs=[zlib,zlib]", ConfigError, "each codec once"),
        ("also_codecs=[sparse]", ConfigError, "each codec once"),
        ("also_codecs=[zlip]", CodecError, "zlip"),
    ],
)
def test_codecs_to_compare_are_checked(override, error, message):
    with pytest.raises(error, match=message):
        load_config([override])

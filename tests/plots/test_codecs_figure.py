"""The picture of the codec benchmark is drawn from whatever was measured."""

import numpy as np
import pandas as pd
import pytest

from flwr_gan.plots.codecs import codecs_figure


def table(names, specs):
    rows = [
        {
            "weights": name,
            "zeros": zeros,
            "codec": spec,
            "ratio": 1.0 + at,
            "order0_bound_ratio": 2.0 + at,
            "output_change": 0.01 * (at + 1) if "int" in spec else np.nan,
            "encode_mb_s": 10.0,
            "decode_mb_s": 100.0,
        }
        for at, name in enumerate(names)
        for zeros in ("raw", "canonical")
        for spec in specs
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize("names", [["p0", "p5", "p17"], ["mine"], ["a", "b"]])
@pytest.mark.parametrize("specs", [["zlib:9", "sparse", "sparse:int8"], ["sparse"]])
def test_any_table_is_drawn(names, specs):
    figure = codecs_figure(table(names, specs), {"zlib": [1.1, 1.2, 1.3]})
    raw, clean, lossy, speed = figure.axes
    figure.draw_without_rendering()
    assert len(speed.patches) == 2 * len(specs)
    lines = [line for line in clean.get_lines() if line.get_label() == "sparse"]
    assert list(lines[0].get_ydata()) == [1.0 + at for at in range(len(names))]
    published = [line for line in raw.get_lines() if line.get_linestyle() == "--"]
    assert bool(published) == names[0].startswith("p")
    assert bool(lossy.get_lines()) == ("sparse:int8" in specs)

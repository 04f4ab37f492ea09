"""Links and devices: presets with a seed, tables from files, work that waits while away."""

import numpy as np
import pytest

from flwr_gan.engine.links import DEVICES, LINKS, Client, population, spans, table
from flwr_gan.errors import ConfigError


def drawn(links=None, devices=None, clients=6, seed=0):
    rngs = (np.random.default_rng([seed, 1]), np.random.default_rng([seed, 2]))
    return population(links, devices, clients, rngs=rngs)


@pytest.mark.parametrize("links", [None, *LINKS])
@pytest.mark.parametrize("devices", [None, *DEVICES])
def test_a_preset_is_drawn_anew_from_its_seed(links, devices):
    first = drawn(links, devices)
    assert first == drawn(links, devices)
    assert len(first) == 6
    if links in ("broadband", "mobile", "mixed"):
        assert first != drawn(links, devices, seed=1)


def test_mixed_has_ten_times_between_fastest_and_slowest():
    for clients in (drawn("mixed", "mixed"), drawn("mixed", "mixed", clients=2)):
        for speeds in ([c.up_mbit_s for c in clients], [c.compute_factor for c in clients]):
            assert max(speeds) / min(speeds) == pytest.approx(10)


def test_what_is_not_set_takes_no_time_and_computes_as_the_reference_does():
    (client,) = drawn(clients=1)
    assert client == Client()
    assert drawn(None, "mixed")[0].up_mbit_s == np.inf


def test_a_table_comes_back_from_a_file(tmp_path):
    clients = drawn("mobile", "phones")
    rows = [*map(str, table(clients)[0]), "note"]
    lines = [",".join([*map(str, row.values()), "x"]) for row in table(clients)]
    path = tmp_path / "who.csv"
    path.write_text("\n".join([",".join(rows), *reversed(lines)]))
    assert drawn(str(path), str(path)) == clients
    assert drawn(str(path), str(path), clients=2) == clients[:2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("client,up_mbit_s\n0,1", "lacks the column down_mbit_s; it has client, up_mbit_s"),
        ("client,down_mbit_s,up_mbit_s\n0,1,0", "line 2: up_mbit_s='0' is not allowed: give a"),
        ("client,down_mbit_s,up_mbit_s\n0,x,1", "line 2: down_mbit_s='x' is not allowed"),
        ("client,down_mbit_s,up_mbit_s,loss\n0,1,1,1", "line 2: loss='1' is not allowed"),
        ("client,down_mbit_s,up_mbit_s\n0,1,1\n0,1,1", "line 3: client='0' is not allowed"),
        ("client,down_mbit_s,up_mbit_s\n1,1,1", "has no row for client 0: give one for each of"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(tmp_path, text, message):
    path = tmp_path / "links.csv"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as problem:
        drawn(str(path), clients=1)
    assert "\n" not in str(problem.value)


def test_an_unknown_name_or_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"links='mobil' is not allowed.*\(nearest: mobile\)"):
        drawn("mobil")
    with pytest.raises(ConfigError, match=r"cannot read devices=.*none\.csv"):
        drawn(None, str(tmp_path / "none.csv"))


@pytest.mark.parametrize("text", ["5", "5-1", "0-1;0-2", "a-b", "0-1-2", "-1-2", "0-inf"])
def test_a_trace_that_is_none_is_refused(text):
    with pytest.raises(ConfigError, match="rising spans of seconds"):
        spans("availability", text)


AWAY = Client(online=spans("availability", "10-20;30-40"))


@pytest.mark.parametrize(
    ("start", "seconds", "end"),
    [(0, 5, 15), (0, 10, 20), (0, 11, 31), (15, 10, 35), (25, 1, 31), (0, 20, 40), (0, 25, 55),
     (40, 10, 60), (45, 20, 80), (12, 0, 12), (5, 2000, 4000), (4005, 2000, 8000)],
)  # fmt: skip
def test_work_waits_while_a_client_is_away_and_its_trace_repeats(start, seconds, end):
    assert AWAY.done(start, seconds) == pytest.approx(end)
    assert Client().done(start, seconds) == start + seconds


@pytest.mark.parametrize(("start", "there"), [(0, 10), (10, 10), (20, 30), (39, 39), (40, 50)])
def test_when_a_client_is_there(start, there):
    assert AWAY.there(start) == there

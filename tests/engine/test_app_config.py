"""The run config of a foreign app: what it declares, and what a person gives."""

import math

import pytest

from flwr_gan.engine.app_config import declared_config, given_config
from flwr_gan.errors import ConfigError

DECLARED = {"lr": 0.1, "n": 3, "on": False, "name": "none", "a.b": 1}


@pytest.mark.parametrize(
    ("items", "changed"),
    [
        ("", {}),
        ("  lr=0.5  n=4\tname='a b' ", {"lr": 0.5, "n": 4, "name": "a b"}),
        ('name="say \\"hi\\" = :"', {"name": 'say "hi" = :'}),
        ("name=''", {"name": ""}),
        ("on=true a.b=-2", {"on": True, "a.b": -2}),
        ("lr=1", {"lr": 1.0}),
        ("lr=1e-3 n=1_000", {"lr": 1e-3, "n": 1000}),
        ("lr=inf", {"lr": math.inf}),
    ],
)
def test_given_values_change_the_declared_ones(items, changed):
    found = given_config(items, DECLARED)
    assert found == DECLARED | changed
    assert {key: type(value) for key, value in found.items()} == {
        key: type(value) for key, value in DECLARED.items()
    }


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ("lr = 0.5", "'lr = 0.5' is no key=value: write lr=0.5"),
        ("lr= 0.5", "'lr= 0.5' is no key=value: write lr=0.5"),
        ("n=1 lr =0.5 on=true", "'lr =0.5' is no key=value: write lr=0.5"),
        ("lr:0.5", "'lr:0.5' is no key=value: write lr=0.5"),
        ("lr: 0.5", "'lr: 0.5' is no key=value: write lr=0.5"),
        ("nonsense", "'nonsense' is no key=value: write for example lr=0.1"),
        ("n=1 --lr", "'--lr' is no key=value: write for example lr=0.1"),
        ("lr=0.5,n=2", "lr=0.5,n=2 is not allowed: give a number"),
        ("lr=0.5#x", "'lr=0.5#x' is no key=value"),
        ("name=abc", 'give a number, true, false, or text in quotes, name="abc"'),
        ("n=2.5", "n=2.5 is not allowed: the app declares n=3, so give a whole number"),
        ("n=true", "n=true is not allowed: the app declares n=3, so give a whole number"),
        ("n='3'", 'n="3" is not allowed: the app declares n=3, so give a whole number'),
        ("on=1", "on=1 is not allowed: the app declares on=false, so give true or false"),
        ("lr=false", "lr=false is not allowed: the app declares lr=0.1, so give a number"),
        ("name=3", 'name=3 is not allowed: the app declares name="none", so give text in quotes'),
        ("n=[1]", "n=[1] is not allowed"),
        ("n={a=1}", "n={a=1} is not allowed"),
        ("n=2026-11-29", "n=2026-11-29 is not allowed"),
        ("n=1 n=2", "n is given twice"),
        ("nn=1", "unknown key nn: allowed are a.b, lr, n, name, on (nearest: n)"),
        ("zzz=1", "unknown key zzz: allowed are a.b, lr, n, name, on"),
        ("missing.toml", "cannot read missing.toml"),
    ],
)  # fmt: skip
def test_what_is_not_allowed_is_said_in_one_line_with_the_right_form(items, message):
    with pytest.raises(ConfigError) as raised:
        given_config(items, DECLARED)
    text = str(raised.value)
    assert text.startswith("--run-config: ")
    assert message in text
    assert "\n" not in text
    assert raised.value.exit_status == 2


def test_an_app_that_declares_nothing_takes_any_well_formed_item():
    assert given_config("x=1 y.z='a'", {}) == {"x": 1, "y.z": "a"}
    for items in ("x = 1", "nonsense", "x=abc"):
        with pytest.raises(ConfigError, match=r"write|give"):
            given_config(items, {})


def test_a_toml_file_is_read_and_checked(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text("lr = 2\n[a]\nb = 5\n")
    assert given_config(str(path), DECLARED) == DECLARED | {"lr": 2.0, "a.b": 5}
    path.write_text("lr = [2]\n")
    with pytest.raises(ConfigError, match="key lr needs to be"):
        given_config(str(path), DECLARED)
    path.write_text("lr = \n")
    with pytest.raises(ConfigError, match="cannot read"):
        given_config(str(path), DECLARED)


def test_declared_tables_are_flattened():
    assert declared_config({"a": {"b": {"c": 1}}, "d": "x"}) == {"a.b.c": 1, "d": "x"}
    with pytest.raises(ConfigError, match=r"key a\.b needs to be"):
        declared_config({"a": {"b": [1]}})
    with pytest.raises(ConfigError, match="no table"):
        declared_config(3)

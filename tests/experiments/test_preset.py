"""Presets: whole sweeps under a name."""

import pytest

from experiments import sweep
from experiments.plan import SWEEPS, expand_preset, make_plan, preset_about, preset_names
from flwr_gan.app.config import load_config
from flwr_gan.errors import ConfigError
from flwr_gan.wire.codecs import get_codec

AXES = {"codec", "lottery.rate", "federation.num_clients", "partition"}


def trainings(name: str) -> int:
    jobs = make_plan([f"preset={name}"], multirun=False).jobs
    return len({(job.training, "" if job.shares_training else job.codec) for job in jobs})


def test_the_full_one_is_the_whole_grid_and_the_small_one_has_the_same_axes():
    full, small = (make_plan([f"preset={name}"], multirun=False) for name in ("full", "small"))
    assert {job.values["codec"] for job in full.jobs} == {
        "zlib", "lzma", "bz2", "zstd", "sparse", "sparse:int8", "sparse:int6",
    }  # fmt: skip
    assert set(full.jobs[0].values) == AXES
    assert {key: len({job.values[key] for job in small.jobs}) for key in AXES} == dict.fromkeys(
        AXES, 2
    )
    assert (len(full.jobs), len(small.jobs)) == (189, 16)


@pytest.mark.parametrize("name", preset_names())
def test_what_a_preset_says_of_itself_is_so(name):
    assert f"{trainings(name)} trainings" in preset_about(name)


@pytest.mark.parametrize("name", preset_names())
def test_the_settings_of_a_preset_compose(name):
    jobs = make_plan([f"preset={name}"], multirun=False).jobs
    for job in jobs[:: len(jobs) // 3]:
        config = load_config(job.overrides)
        assert job.codec in (config.codec, None)


def test_the_one_of_updates_has_a_codec_of_its_own_for_each_option_and_starts_from_the_seed():
    given = ["preset=updates", "partition=iid", "lottery.rate=0.5", "seed=1"]
    jobs = make_plan(given, multirun=False).jobs
    configs = [load_config(job.overrides) for job in jobs]
    assert len({config.codec for config in configs}) == len(configs) == 3
    assert [get_codec(config.codec).updates for config in configs] == [False, True, True]
    assert [config.seeded_start for config in configs] == [False, True, True]


def test_keys_beside_a_preset_replace_its_own():
    plan = make_plan(["preset=small", "codec=zlib", "seed=5"], multirun=False)
    assert len(plan.jobs) == 8
    assert {job.values["codec"] for job in plan.jobs} == {"zlib"}
    assert {job.values["seed"] for job in plan.jobs} == {5}


def test_seeds_beside_a_preset_replace_the_seeds_of_it():
    plan = make_plan(["preset=updates", "partition=iid", "seeds=2"], multirun=False)
    assert len(plan.jobs) == 12
    assert {job.values["seed"] for job in plan.jobs} == {0, 1}


def test_a_preset_finds_its_folder_again():
    small = make_plan(["preset=small"], multirun=False)
    assert small.folder == SWEEPS / "small"
    assert make_plan(["codec=zlib,lzma", "preset=small"], multirun=True).folder == small.folder
    assert make_plan(["preset=small", "seed=5"], multirun=True).folder != small.folder
    assert {job.folder for job in small.jobs} == {
        job.folder for job in make_plan(["preset=small"], multirun=True).jobs
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["preset=smal"], "preset=smal: allowed are full, small, updates (nearest: small)"),
        (["preset="], "preset=: allowed are full, small, updates"),
        (["preset=../small"], "preset=../small: allowed are"),
        (["preset=full", "preset=small"], "preset=full,small: a sweep takes one preset"),
    ],
)
def test_an_unknown_preset_ends_with_one_line(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError):
        expand_preset(arguments)
    assert sweep.main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_help_names_each_preset(capsys):
    with pytest.raises(SystemExit):
        sweep.main(["--help"])
    shown = capsys.readouterr().out
    assert all(f"preset={name}" in shown for name in preset_names())

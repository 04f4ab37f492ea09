"""Overrides become one checked config, or one clear line."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from flwr_gan.config import config_dir, load_config, load_file, split_overrides
from flwr_gan.errors import ConfigError, FlwrGanError
from flwr_gan.wiring import load_federation

EXPERIMENTS = sorted(path.stem for path in (config_dir() / "experiment").glob("*.yaml"))


def test_default_is_the_quickstart():
    config = load_config()
    assert config.name == "quickstart"
    assert config.seed == 0
    assert config.strategy["_target_"] == "strategies.FederatedTicket"


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiments_compose_and_name_themselves(name):
    assert load_config([f"experiment={name}"]).name == name


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiments_have_their_command_on_top(name):
    text = (config_dir() / "experiment" / f"{name}.yaml").read_text()
    assert f'flower-simulation --app flwr_gan --run-config "experiment={name}"' in text


def test_paper_preset_has_the_values_of_table_1():
    config = load_config(["experiment=paper"])
    gan, lottery = config.gan, config.lottery
    assert (gan.iterations, gan.batch_size, gan.critic_iterations) == (150_000, 256, 256)
    assert (gan.generator_lr, gan.critic_lr, gan.penalty) == (1e-4, 1e-4, 10.0)
    assert not gan.fresh_batch
    assert (lottery.rate, lottery.iterations, lottery.scope) == (0.2, 17, "global")


def test_every_option_of_every_group_composes():
    for folder in config_dir().iterdir():
        if folder.is_dir():
            for path in folder.glob("*.yaml"):
                load_config([f"{folder.name}={path.stem}", "federation.rounds=1"])


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("lottery.rat=0.3", ["unknown key lottery.rat", "lottery.rate", "nearest"]),
        ("codek=lzma", ["unknown key codek", "nearest: codec"]),
        ("learning_rate=1", ["unknown key learning_rate", "allowed are"]),
        ("data=pendigit", ["data=pendigit", "allowed are", "nearest: pendigits"]),
        ("codec=zlip", ["zlip", "zlib"]),
        ("codec=zlib:77", ["zlib:77"]),
        ("lottery.rate=1.5", ["lottery.rate=1.5", "below 1"]),
        ("lottery.rate=abc", ["lottery.rate", "abc"]),
        ("lottery.iterations=-1", ["lottery.iterations=-1"]),
        ("gan.batch_size=0", ["gan.batch_size=0"]),
        ("gan.channels=[3]", ["gan.channels"]),
        ("federation.num_clients=0", ["federation.num_clients=0", "1 or more"]),
        ("federation.fraction=0", ["federation.fraction=0"]),
        ("federation.num_clients=many", ["federation.num_clients", "many"]),
        ("evaluation=nowhere", ["evaluation=nowhere", "server or clients or none"]),
        ("seed=-1", ["seed=-1"]),
        ("seed=1.5", ["seed=1.5", "int"]),
        ("seed=1,2", ["sweep"]),
        ("just words", ["cannot read"]),
    ],
)
def test_bad_overrides_end_in_one_line(override, parts):
    with pytest.raises(FlwrGanError) as error:
        load_config([override])
    text = str(error.value)
    assert "\n" not in text
    for part in parts:
        assert part in text, text
    assert error.value.exit_status == 2


def test_split_overrides_keeps_quotes_and_brackets_together():
    text = "a=1 gan.channels=[8, 4]  b='x y' c=\"p q\""
    assert split_overrides(text) == ["a=1", "gan.channels=[8, 4]", "b='x y'", 'c="p q"']


def test_config_file_reads_back(tmp_path):
    config = load_config(["codec=zlib:9", f"output_dir={tmp_path}"])
    path = tmp_path / "config.yaml"
    path.write_text(config.to_yaml())
    again = load_file(path)
    assert again.to_yaml() == config.to_yaml()
    assert again.gan == config.gan
    assert OmegaConf.to_container(again.strategy) == OmegaConf.to_container(config.strategy)


def test_resume_takes_everything_from_the_folder(tmp_path):
    config = load_config(["seed=7", f"output_dir={tmp_path}"])
    (tmp_path / "config.yaml").write_text(config.to_yaml())
    again = load_config([f"resume={tmp_path}"])
    assert (again.seed, again.folder, again.resume) == (7, tmp_path, str(tmp_path))
    with pytest.raises(ConfigError, match="drop seed=8"):
        load_config([f"resume={tmp_path}", "seed=8"])


def test_resume_of_nothing_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="there is no"):
        load_config([f"resume={tmp_path / 'absent'}"])


def test_data_and_split_are_loaded_once():
    text = "partition=iid output_dir=x"
    assert load_federation(text) is load_federation(text)


def test_conf_is_found_beside_the_package():
    assert (config_dir() / "config.yaml").is_file()
    assert isinstance(config_dir(), Path)

"""Overrides become one checked config, or one clear line."""

import shutil
import sys
from pathlib import Path

import hydra
import pytest
from omegaconf import OmegaConf

from flwr_gan.app import overrides
from flwr_gan.app.config import build, load_config, load_file
from flwr_gan.app.federation import load_federation
from flwr_gan.app.overrides import compose, config_dir, given, split_overrides
from flwr_gan.app.strategy import build_strategy
from flwr_gan.errors import ConfigError, FlwrGanError

EXPERIMENTS = sorted(path.stem for path in (config_dir() / "experiment").glob("*.yaml"))


def test_default_is_the_quickstart():
    config = load_config()
    assert config.name == "quickstart"
    assert config.seed == 0
    assert config.strategy["_target_"] == "strategies.FederatedTicket"


@pytest.mark.long
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiments_compose_and_name_themselves(name):
    assert load_config([f"experiment={name}"]).name == name


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiments_have_their_command_on_top(name):
    text = (config_dir() / "experiment" / f"{name}.yaml").read_text()
    assert f'flower-simulation --app flwr_gan --run-config "experiment={name}"' in text


def test_no_method_unless_one_is_chosen():
    assert load_config().method is None
    config = load_config(["method=distillation", "method.losses.features=0.1"])
    assert config.method is not None
    assert config.method.losses.features == 0.1


def test_paper_preset_has_the_values_of_table_1():
    config = load_config(["experiment=paper"])
    gan, lottery = config.gan, config.lottery
    assert (gan.iterations, gan.batch_size, gan.critic_iterations) == (150_000, 256, 256)
    assert (gan.generator_lr, gan.critic_lr, gan.penalty) == (1e-4, 1e-4, 10.0)
    assert not gan.fresh_batch
    assert (lottery.rate, lottery.iterations, lottery.scope) == (0.2, 17, "global")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "seed=3 seed=4",
        "experiment=one_shot gan.betas=[0.5,0.9] name='a b'",
        "method=distillation method.losses={features:0.1} strategy=fedavg",
        "~gan.iterations +strategy.mine={a:1,b:[x,2]} ++seed=1e3 ++gan.generator_lr=1e-3",
        "data=pendigits partition=writer output_dir=${name}-${seed} codec=null",
    ],
)
def test_values_are_set_as_hydra_sets_them(text):
    overrides = split_overrides(text)
    with hydra.initialize_config_dir(str(config_dir()), version_base="1.3"):
        expected = hydra.compose("config", overrides=overrides)
    OmegaConf.resolve(expected)
    assert compose(overrides, required=()) == expected


def test_a_file_that_was_edited_is_read_again(tmp_path, monkeypatch):
    shutil.copytree(config_dir(), tmp_path / "conf")
    monkeypatch.setattr(overrides, "config_dir", lambda: tmp_path / "conf")
    assert load_config().seed == 0
    path = tmp_path / "conf" / "config.yaml"
    path.write_text(path.read_text().replace("seed: 0", "seed: 7"))
    assert load_config().seed == 7


@pytest.mark.slow
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
        ("data=pendigit", ["data='pendigit' is not allowed", "nearest: pendigits"]),
        ("codec=zlip", ["zlip", "zlib"]),
        ("codec=zlib:77", ["zlib:77"]),
        ("lottery.rate=1.5", ["lottery.rate=1.5", "below 1"]),
        ("lottery.rate=abc", ["lottery.rate='abc' is not allowed: give a number above 0"]),
        ("gan.batch_size=1.5", ["gan.batch_size=1.5 is not allowed: give a whole number"]),
        ("gan.fresh_batch=maybe", ["gan.fresh_batch='maybe' is not allowed: give true or false"]),
        ("gan.betas=[a,b]", ["gan.betas=('a', 'b') is not allowed: give a list of 2"]),
        (
            "federation.rounds=many",
            ["federation.rounds='many' is not allowed", "or null"],
        ),
        ("++lottery.rat=0.3", ["unknown key lottery.rat", "lottery.rate"]),
        ("+lottery.rat=0.3", ["unknown key lottery.rat", "lottery.rate"]),
        ("++codek=lzma", ["unknown key codek", "nearest: codec"]),
        ("+codec=lzma", ["+codec=lzma: the key is there already; drop the +"]),
        ("strategy.eta=0.01", ["unknown key strategy.eta", "+strategy.eta=... passes on"]),
        ("~memory", ["~memory: a run needs this key"]),
        ("memory=2", ["memory=2 is not allowed: give true or false"]),
        ("name='my run'", ["name='my run' is not allowed: give a word of letters, digits"]),
        ("name='a,b'", ["name='a,b' is not allowed: give a word"]),
        ("name=a/b", ["name='a/b'"]),
        ("output_dir=", ["output_dir is empty: give a folder, or null"]),
        ("output_dir=' '", ["output_dir is empty"]),
        ("output_dir=[a]", ["output_dir=['a'] is not allowed: give a folder"]),
        ("output_dir=~/x", ["cannot read 'output_dir=~/x'", "need quotes", "'~/x'"]),
        ("output_dir=/a=b", ["cannot read", "need quotes"]),
        ("output_dir='~no_such_person/x'", ["output_dir=~no_such_person/x", "home"]),
        ("strategy._target_=null", ["strategy._target_=None is not allowed: give the full name"]),
        ("~data._target_", ["data._target_=None is not allowed: give the full name"]),
        ("resume=", ["resume is empty"]),
        ("lottery.iterations=-1", ["lottery.iterations=-1"]),
        ("gan.batch_size=0", ["gan.batch_size=0"]),
        ("gan.channels=[3]", ["gan.channels"]),
        ("federation.num_clients=0", ["federation.num_clients=0", "at least 1"]),
        ("federation.fraction=0", ["federation.fraction=0"]),
        ("federation.num_clients=many", ["federation.num_clients", "many"]),
        ("evaluation=nowhere", ["evaluation='nowhere'", "server or clients or none"]),
        ("method=distil", ["method='distil' is not allowed", "none", "nearest: distillation"]),
        ("method.width=0.5", ["unknown key method.width", "nearest: method"]),
        (
            "method_iterations=0",
            ["method_iterations=0 is not allowed", "or null"],
        ),
        (
            "method_iterations=many",
            ["method_iterations='many' is not allowed"],
        ),
        ("seed=-1", ["seed=-1"]),
        ("seed=1.5", ["seed=1.5 is not allowed: give a whole number"]),
        ("seed=1,2", ["sweep", "quotes"]),
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


def test_quotes_belong_to_the_override_and_not_to_the_value(tmp_path):
    folder = tmp_path / "sp ace"
    folder.mkdir()
    config = load_config([f"output_dir='{folder}'"])
    assert config.folder == folder
    (folder / "config.yaml").write_text(config.to_yaml())
    assert load_config([f"resume='{folder}'"]).folder == folder
    assert given("resume", [f"resume='{folder}'"]) == str(folder)
    assert given("resume", ["resume=1e3"]) == "1e3"
    assert given("resume", ["resume=x", "resume=null"]) is None
    assert given("resume", ["seed=1"]) is None


def test_the_home_folder_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    config = load_config(["output_dir='~/x'"])
    assert config.folder == tmp_path / "x"
    (tmp_path / "config.yaml").write_text(config.to_yaml())
    assert load_config(["resume='~'"]).folder == tmp_path


@pytest.mark.parametrize("text", ["a: [b", "a: b: c", "- a\n", "word", "", "\x00", "a: ${"])
def test_a_damaged_config_of_an_earlier_run_is_named(text, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    for read in (lambda: load_config([f"resume={tmp_path}"]), lambda: load_file(path)):
        with pytest.raises(ConfigError, match="start a new run") as error:
            read()
        assert str(path) in str(error.value)
        assert "\n" not in str(error.value)


def test_a_config_of_another_version_is_named(tmp_path):
    config = load_config([f"output_dir={tmp_path}"])
    node = OmegaConf.create(config.to_yaml())
    del node["memory"], node["feedback"]
    (tmp_path / "config.yaml").write_text(OmegaConf.to_yaml(node))
    with pytest.raises(ConfigError, match=r"lacks memory, feedback: another version .* new run"):
        load_config([f"resume={tmp_path}"])


@pytest.mark.parametrize("group", ["gan", "lottery", "federation", "data", "strategy", "method"])
def test_a_group_that_holds_no_keys_is_named(group, tmp_path):
    node = OmegaConf.create(load_config([f"output_dir={tmp_path}"]).to_yaml())
    node[group] = 3
    (tmp_path / "config.yaml").write_text(OmegaConf.to_yaml(node))
    with pytest.raises(ConfigError, match=f"^{group}=3 is not allowed: give keys"):
        load_config([f"resume={tmp_path}"])


@pytest.mark.parametrize("sign", ["+", "++"])
def test_a_setting_that_the_target_takes_can_be_added(sign):
    config = load_config(["strategy=fedavg", "federation.rounds=1", f"{sign}strategy.eta=0.01"])
    assert config.strategy.eta == 0.01
    assert load_config([f"{sign}data.more=1"]).data.more == 1
    assert load_config([f"{sign}partition.more=1"]).partition.more == 1


def test_a_setting_that_follows_from_others_is_not_set_twice():
    node = OmegaConf.create({"_target_": "builtins.dict", "fraction_fit": 2})
    with pytest.raises(ConfigError, match=r"builtins\.dict: fraction_fit follows from other keys"):
        build(node, fraction_fit=1.0)


def test_resume_of_nothing_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="there is no"):
        load_config([f"resume={tmp_path / 'absent'}"])


def test_data_and_split_are_loaded_once():
    text = "partition=iid output_dir=x"
    assert load_federation(text) is load_federation(text)


def test_conf_is_found_beside_the_package():
    assert (config_dir() / "config.yaml").is_file()
    assert isinstance(config_dir(), Path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import no_such_library", "ModuleNotFoundError: No module named 'no_such_library'"),
        ("from numpy import no_such_name", "ImportError: cannot import name 'no_such_name'"),
        ("x = 1 / 0", "ZeroDivisionError: division by zero"),
        ("def load(", "SyntaxError: '(' was never closed"),
    ],
)
def test_an_own_module_that_cannot_be_imported_is_named_with_the_line(
    text, reason, tmp_path, monkeypatch
):
    (tmp_path / "wrong_data.py").write_text(f"first = 1\n{text}\n")
    monkeypatch.syspath_prepend(tmp_path)
    for setting in ("data", "strategy"):
        overrides = f"{setting}._target_=wrong_data.load output_dir=/nowhere"
        with pytest.raises(ConfigError) as error:
            build_strategy(load_federation(overrides))
        told = str(error.value)
        assert "\n" not in told
        assert f"wrong_data.load: cannot be imported: {reason}" in told
        assert f"({tmp_path / 'wrong_data.py'}, line 2)" in told


def test_a_file_that_stands_in_the_way_of_a_package_is_named(tmp_path, monkeypatch):
    (tmp_path / "strategies.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    federation = load_federation("output_dir=/nowhere")
    for name in [name for name in sys.modules if name.split(".")[0] == "strategies"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ConfigError) as error:
        build_strategy(federation)
    assert "\n" not in str(error.value)
    assert f"{tmp_path / 'strategies.py'} is imported in place of" in str(error.value)
    assert "rename it" in str(error.value)
    sys.modules.pop("strategies", None)

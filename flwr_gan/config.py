"""conf/ and overrides -> one validated config object."""

import re
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar, cast, get_type_hints

import hydra
import yaml
from hydra.errors import InstantiationException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, OmegaConfBaseException

from flwr_gan.app.loggers import check_logger
from flwr_gan.codecs import get_codec
from flwr_gan.compress.schedule import Schedule
from flwr_gan.errors import ConfigError
from flwr_gan.gan import GanConfig
from flwr_gan.overrides import compose, first_line, given, parse
from flwr_gan.privacy import PrivacyConfig
from flwr_gan.prune import LotteryConfig
from flwr_gan.prune.regenerating import RegenerationConfig

T = TypeVar("T")

_NAME = re.compile(r"[A-Za-z0-9._-]+")  # it becomes part of a folder's name and of an override
_ALLOWED: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    int | None: "a whole number, or null",
    float: "a number",
    float | None: "a number, or null",
    str: "a word",
    tuple[int, ...]: "a list of whole numbers",
    tuple[float, ...]: "a list of numbers",
}


@dataclass(frozen=True)
class FederationConfig:
    """Who takes part, how often, and what they compute with."""

    num_clients: int = 5
    rounds: int | None = None
    fraction: float = 1.0
    holdout: float = 0.2
    threads: int = 1
    clients_at_once: int = 1
    device: str = "cpu"

    def __post_init__(self) -> None:
        _require(self.num_clients >= 1, "federation.num_clients", self.num_clients, "1 or more")
        if self.rounds is not None:
            _require(self.rounds >= 1, "federation.rounds", self.rounds, "1 or more, or null")
        _require(0 < self.fraction <= 1, "federation.fraction", self.fraction, "above 0, up to 1")
        _require(0 < self.holdout < 1, "federation.holdout", self.holdout, "between 0 and 1")
        _require(self.threads >= 1, "federation.threads", self.threads, "1 or more")
        at_once = self.clients_at_once
        _require(at_once >= 1, "federation.clients_at_once", at_once, "1 or more")


@dataclass(frozen=True)
class RunConfig:
    """All settings of a run, checked.

    `data`, `partition`, `strategy` and, where one is set, `method` and `drift` are nodes with a
    ``_target_``; build them with `build`. `privacy` is None where clients train without noise,
    `regeneration` where they do not prune by themselves.
    """

    name: str
    seed: int
    codec: str
    codec_up: str | None
    codec_down: str | None
    memory: bool
    feedback: bool | str
    also_codecs: tuple[str, ...]
    evaluation: str
    samples_per_class: int
    output_dir: str | None
    resume: str | None
    gan: GanConfig
    lottery: LotteryConfig
    federation: FederationConfig
    data: DictConfig
    partition: DictConfig
    strategy: DictConfig
    resolved: DictConfig
    logger: str | None = None
    method: DictConfig | None = None
    method_iterations: int | None = None
    privacy: PrivacyConfig | None = None
    drift: DictConfig | None = None
    regeneration: RegenerationConfig | None = None
    seeded_start: bool = False

    def __post_init__(self) -> None:
        _require(self.seed >= 0, "seed", self.seed, "0 or more")
        _require(
            self.samples_per_class >= 2, "samples_per_class", self.samples_per_class, "2 or more"
        )
        places = ("server", "clients", "none")
        _require(self.evaluation in places, "evaluation", self.evaluation, " or ".join(places))
        _require(
            _NAME.fullmatch(self.name) is not None,
            "name",
            self.name,
            "a word of letters, digits, '.', '_' and '-'",
        )
        codecs = (self.codec, *self.also_codecs)
        _require(
            len(set(codecs)) == len(codecs), "also_codecs", self.also_codecs, "each codec once"
        )
        for spec in self.also_codecs:
            get_codec(spec)
        for text in (self.codec, self.codec_up, self.codec_down):
            if text is not None:
                Schedule.of(text)
        check_logger(self.logger)
        updates = self.method_iterations
        allowed = "1 or more, or null"
        _require(updates is None or updates >= 1, "method_iterations", updates, allowed)
        self._check_adaptive()
        if self.privacy is not None:
            self._check_private(self.privacy)

    def _check_adaptive(self) -> None:
        """Raise where drift or regeneration meets a setting that they do not go with."""
        if self.method is not None and self.regeneration is not None:
            raise ConfigError(
                f"method._target_={self.method.get('_target_')} beside regeneration: both change "
                "what a client uploads; set one of them to none"
            )
        if self.drift is not None and self.evaluation == "clients":
            raise ConfigError(
                "evaluation=clients beside drift: clients hold out samples of all stages at once; "
                "give server or none"
            )

    def _check_private(self, privacy: PrivacyConfig) -> None:
        """Raise where a client would tell something of its samples without noise."""
        held = ", which privacy does not allow"
        for group in ("drift", "regeneration"):
            if getattr(self, group) is not None:
                raise ConfigError(
                    f"{group} uses what a client has learnt without noise{held}: give {group}=none"
                )
        if self.method is not None:
            target = self.method.get("_target_")
            raise ConfigError(f"method._target_={target} sees samples without noise{held}: drop it")
        if self.evaluation == "clients":
            raise ConfigError(
                f"evaluation=clients tells scores of samples without noise{held}: give server or "
                "none"
            )
        if not self.gan.fresh_batch:
            raise ConfigError(f"gan.fresh_batch=false uses a batch again{held}: give true")
        if privacy.secret and self.resume is not None:
            raise ConfigError(
                "resume of a run with privacy.secret=true would release a round twice: start a "
                "new run"
            )

    @property
    def folder(self) -> Path:
        """The output folder.

        Raises
        ------
        ConfigError
            When none was chosen.
        """
        if self.output_dir is None:
            raise ConfigError("output_dir is not set: choose the folder that results go to")
        return Path(self.output_dir)

    def to_yaml(self) -> str:
        """Return the resolved config as YAML."""
        return OmegaConf.to_yaml(self.resolved)


def load_config(overrides: Sequence[str] = (), *, default_output: str | None = None) -> RunConfig:
    """Compose conf/ with Hydra overrides and check every value.

    Parameters
    ----------
    overrides : sequence of str
        Hydra overrides such as ``codec=lzma`` or ``lottery.rate=0.3``. ``resume=DIR`` takes
        everything from ``DIR/config.yaml`` and goes with no other override.
    default_output : str, optional
        Output folder where none is set.

    Raises
    ------
    ConfigError
        Naming the key, what is allowed and the nearest match.
    """
    resumed = given("resume", overrides)
    if resumed is not None:
        return _validate(_load_resumed(_folder("resume", resumed), overrides))
    node = compose(overrides, required=RunConfig.__dataclass_fields__)
    chosen = _path(node, "output_dir")
    node.output_dir = default_output if chosen is None else str(_folder("output_dir", chosen))
    return _validate(node)


def load_file(path: Path) -> RunConfig:
    """Return the config that a run has written to `path`.

    Raises
    ------
    ConfigError
        When the file cannot be read, or another version of the package has written it.
    """
    return _validate(_read(path))


def build(node: DictConfig, **runtime: Any) -> Any:
    """Instantiate the ``_target_`` of a config node, with `runtime` arguments beside its own.

    Raises
    ------
    ConfigError
        When the target does not exist or refuses a setting, or a setting is not free to choose.
    """
    taken = sorted(set(runtime).intersection(map(str, node)))
    if taken:
        raise ConfigError(f"{node.get('_target_')}: {taken[0]} follows from other keys: drop it")
    try:
        # Run-time objects come afterwards: Hydra would turn dataclasses among them into dicts.
        factory = hydra.utils.instantiate(node, _convert_="all", _partial_=True)
    except InstantiationException as error:
        raise ConfigError(f"{node.get('_target_')}: {first_line(error)}") from error
    try:
        return factory(**runtime)
    except TypeError as error:
        raise ConfigError(f"{node.get('_target_')}: {first_line(error)}") from error


def _require(holds: bool, key: str, value: object, allowed: str) -> None:
    if not holds:
        raise ConfigError(f"{key}={value}: allowed is {allowed}")


def _load_resumed(folder: Path, overrides: Sequence[str]) -> DictConfig:
    path = folder / "config.yaml"
    places = ("resume", "output_dir")
    others = [item for item in overrides if parse(item).key_or_group not in places]
    if others:
        raise ConfigError(f"resume takes all settings from {path}: drop {' '.join(others)}")
    if not path.is_file():
        raise ConfigError(f"resume={folder}: there is no {path}; name the folder of an earlier run")
    node = _read(path)
    node.resume, node.output_dir = str(folder), str(folder)
    return node


def _read(path: Path) -> DictConfig:
    """Return the config of an earlier run, with all keys that this version knows."""
    try:
        node = OmegaConf.load(path)
    except (OSError, ValueError, yaml.YAMLError, OmegaConfBaseException) as error:
        reason = error.problem if isinstance(error, yaml.MarkedYAMLError) else first_line(error)
        raise ConfigError(f"cannot read {path}: {reason}; start a new run") from error
    if not isinstance(node, DictConfig):
        raise ConfigError(f"cannot read {path}: it holds no settings; start a new run")
    # A setting with a default is one that earlier versions did without.
    needed = [item.name for item in fields(RunConfig) if item.default is MISSING]
    absent = [key for key in needed if key != "resolved" and key not in node]
    if absent:
        raise ConfigError(
            f"{path} lacks {', '.join(absent)}: another version has written it; start a new run"
        )
    return node


def _typed(schema: type[T], node: DictConfig, group: str) -> T:
    """Return the checked dataclass of one group."""
    kinds = get_type_hints(schema)
    try:
        merged = OmegaConf.merge(OmegaConf.structured(schema), node)
        return cast(T, OmegaConf.to_object(merged))
    except ConfigKeyError as error:
        key = f"{group}.{error.full_key}"
        raise ConfigError(f"unknown key {key}: allowed are {', '.join(kinds)}") from error
    except OmegaConfBaseException as error:
        field = re.split(r"[.\[]", error.full_key or "")[0]
        if field not in kinds:
            raise ConfigError(f"{group}: {first_line(error)}") from error
        allowed = _ALLOWED.get(kinds[field], str(kinds[field]))
        raise ConfigError(f"{group}.{field}={node.get(field)}: allowed is {allowed}") from error


def _scalar(node: DictConfig, key: str, kind: type[T]) -> T:
    value = node.get(key)
    if isinstance(value, bool) != (kind is bool) or not isinstance(value, kind):
        raise ConfigError(f"{key}={value}: allowed is {_ALLOWED[kind]}")
    return value


def _feedback(value: object) -> bool | str:
    if isinstance(value, bool) or value == "ef21":
        return value
    raise ConfigError(f"feedback={value}: allowed is true, false or ef21")


def _count_or_null(node: DictConfig, key: str) -> int | None:
    value = node.get(key)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise ConfigError(f"{key}={value}: allowed is {_ALLOWED[int | None]}")
    return value


def _word_or_null(node: DictConfig, key: str) -> str | None:
    return None if node.get(key) is None else _scalar(node, key, str)


def _words(node: DictConfig, key: str) -> tuple[str, ...]:
    value = node.get(key, ListConfig([]))
    if not isinstance(value, ListConfig) or not all(isinstance(item, str) for item in value):
        raise ConfigError(f"{key}={value}: expected a list such as [zlib,lzma]")
    return tuple(value)


def _path(node: DictConfig, key: str) -> str | None:
    value = node.get(key)
    if isinstance(value, bool | DictConfig | ListConfig):
        raise ConfigError(f"{key}={value}: allowed is a folder, or null")
    return None if value is None else str(value)


def _folder(key: str, text: str) -> Path:
    if not text.strip():
        raise ConfigError(f"{key} is empty: allowed is a folder, or null")
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise ConfigError(f"{key}={text}: {error}") from error


def _validate(node: DictConfig) -> RunConfig:
    method = [] if node.get("method") is None else ["method"]
    privacy = [] if node.get("privacy") is None else ["privacy"]
    drift = [] if node.get("drift") is None else ["drift"]
    regeneration = [] if node.get("regeneration") is None else ["regeneration"]
    groups = ("gan", "lottery", "federation", "data", "partition", "strategy")
    for group in (*groups, *method, *privacy, *drift, *regeneration):
        if not isinstance(node.get(group), DictConfig):
            raise ConfigError(f"{group}={node.get(group)}: allowed are keys such as {group}.KEY")
    for group in ("data", "partition", "strategy", *method, *drift):
        target = node[group].get("_target_")
        if not isinstance(target, str):
            raise ConfigError(f"{group}._target_={target}: allowed is the full name of a callable")
    try:
        return RunConfig(
            name=_scalar(node, "name", str),
            seed=_scalar(node, "seed", int),
            codec=_scalar(node, "codec", str),
            codec_up=_word_or_null(node, "codec_up"),
            codec_down=_word_or_null(node, "codec_down"),
            memory=_scalar(node, "memory", bool),
            feedback=_feedback(node.get("feedback")),
            also_codecs=_words(node, "also_codecs"),
            evaluation=_scalar(node, "evaluation", str),
            samples_per_class=_scalar(node, "samples_per_class", int),
            output_dir=_path(node, "output_dir"),
            resume=_path(node, "resume"),
            gan=_typed(GanConfig, node.gan, "gan"),
            lottery=_typed(LotteryConfig, node.lottery, "lottery"),
            federation=_typed(FederationConfig, node.federation, "federation"),
            data=node.data,
            partition=node.partition,
            strategy=node.strategy,
            resolved=node,
            logger=None if node.get("logger") is None else _scalar(node, "logger", str),
            method=node.method if method else None,
            method_iterations=_count_or_null(node, "method_iterations"),
            privacy=_typed(PrivacyConfig, node.privacy, "privacy") if privacy else None,
            drift=node.drift if drift else None,
            regeneration=(
                _typed(RegenerationConfig, node.regeneration, "regeneration")
                if regeneration
                else None
            ),
            seeded_start="seeded_start" in node and _scalar(node, "seeded_start", bool),
        )
    except (OmegaConfBaseException, AttributeError) as error:
        raise ConfigError(first_line(error)) from error

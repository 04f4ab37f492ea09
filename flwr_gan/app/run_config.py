"""All settings of a run, checked."""

import math
import re
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from omegaconf import DictConfig, OmegaConf

from flwr_gan.app.classifier.config import ClassifierConfig
from flwr_gan.app.loggers import check_logger
from flwr_gan.core.settings import (
    Amount,
    Count,
    Natural,
    Positive,
    Rate,
    Settings,
    Share,
    Within,
    not_allowed,
)
from flwr_gan.engine.clock import ClockConfig
from flwr_gan.engine.links import check_name
from flwr_gan.errors import ConfigError
from flwr_gan.gan import GanConfig
from flwr_gan.privacy import PrivacyConfig
from flwr_gan.prune import LotteryConfig
from flwr_gan.prune.regeneration import RegenerationConfig
from flwr_gan.wire.codecs import get_codec
from flwr_gan.wire.stages.schedule import Schedule

QUALITY = ("synthetic_accuracy", "conditional_accuracy", "frechet_distance", "test_accuracy")

_ALONE = re.compile(r"(\d{1,6})/(\d{1,6})")
_NAME = re.compile(r"[A-Za-z0-9._-]+")  # becomes part of a folder name and of an override


@dataclass(frozen=True, kw_only=True)
class FederationConfig(Settings):
    """The clients, their participation, and their computing resources."""

    group = "federation"

    num_clients: Count = 5
    rounds: Count | None = None
    fraction: Rate = 1.0
    holdout: Share = 0.2
    threads: Count = 1
    clients_at_once: Count = 1
    device: str = "cpu"
    min_clients: Count | None = None
    wait_s: Amount = 600.0
    round_timeout_s: Positive | None = None
    alone: str | int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        given = self.min_clients
        inside = given is None or given <= self.num_clients
        self.require("min_clients", inside, f"1 to num_clients={self.num_clients}, or null")
        client, clients = self.share
        fits = client is not None and client < clients and self.num_clients == 1
        form = "CLIENT/CLIENTS such as 0/5, beside federation.num_clients=1, or null"
        self.require("alone", self.alone is None or fits, form)

    @property
    def share(self) -> tuple[int | None, int]:
        """The only client that is used (None: all), and the number of clients in the split."""
        found = _ALONE.fullmatch(str(self.alone))
        return (int(found[1]), int(found[2])) if found else (None, self.num_clients)

    @property
    def least_clients(self) -> int:
        """Number of connected clients required to begin a round."""
        return self.num_clients if self.min_clients is None else self.min_clients


@dataclass(frozen=True, kw_only=True)
class MetricsConfig(Settings):
    """Optional measures at the end of a run."""

    group = "metrics"

    inception: str | None = None  # the weights file
    images: Annotated[int, Within(at_least=2)] = 2000


@dataclass(frozen=True)
class RunConfig(Settings):
    """All settings of a run, checked.

    `data`, `partition`, `strategy` and, if set, `method` and `drift` are nodes with a ``_target_``;
    build them with `build`. `privacy` is None if clients train without noise, `regeneration` if
    they do not prune by themselves, `classifier` if they train a GAN.
    """

    name: str
    seed: Natural
    codec: str
    codec_up: str | None
    codec_down: str | None
    memory: bool
    feedback: Literal[True, False, "ef21"]
    also_codecs: tuple[str, ...]
    evaluation: Literal["server", "clients", "none"]
    samples_per_class: Annotated[int, Within(at_least=2)]
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
    classifier: ClassifierConfig | None = None
    method: DictConfig | None = None
    method_iterations: Count | None = None
    privacy: PrivacyConfig | None = None
    drift: DictConfig | None = None
    regeneration: RegenerationConfig | None = None
    seeded_start: bool = False
    links: str | None = None
    devices: str | None = None
    clock: ClockConfig = field(default_factory=ClockConfig)
    target: str | None = None
    metrics: MetricsConfig = field(default_factory=MetricsConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        sound = _NAME.fullmatch(self.name) is not None
        self.require("name", sound, "a word of letters, digits, '.', '_' and '-'")
        codecs = (self.codec, *self.also_codecs)
        self.require("also_codecs", len(set(codecs)) == len(codecs), "each codec once")
        for spec in self.also_codecs:
            get_codec(spec)
        for text in (self.codec, self.codec_up, self.codec_down):
            if text is not None:
                Schedule.of(text)
        check_logger(self.logger)
        self._check_clock()
        self._check_adaptive()
        self._check_classes()
        if self.metrics.inception is not None and self.evaluation != "server":
            raise ConfigError(
                f"metrics.inception beside evaluation={self.evaluation}: give evaluation=server"
            )
        self._check_classifier()
        if self.privacy is not None:
            self._check_private(self.privacy)

    def _check_classes(self) -> None:
        """Raise if the generator has no classes and a setting needs classes."""
        if self.gan.conditional:
            return
        accuracy = self.target is not None and "accuracy" in self.target
        for name, given in (("drift", self.drift is not None), (f"target={self.target}", accuracy)):
            if given:
                raise ConfigError(
                    f"{name} needs a generator with classes: give gan.conditional=true"
                )

    def _check_classifier(self) -> None:
        """Raise if a setting is for the model that is not trained: GAN or classifier."""
        of_classifier = self.target is not None and self.target.startswith("test_")
        if self.classifier is None:
            if of_classifier:
                raise ConfigError(
                    f"target={self.target} is for classifiers: give classifier=simple"
                )
            return
        at_once = self.federation.clients_at_once
        for setting, ordinary in (
            ("method=none", self.method is None),
            ("privacy=none", self.privacy is None),
            ("drift=none", self.drift is None),
            ("metrics.inception=null", self.metrics.inception is None),
            ("regeneration=none", self.regeneration is None),
            ("federation.clients_at_once=1", at_once == 1),
            ("target=test_accuracy:0.9", self.target is None or of_classifier),
        ):
            if not ordinary:
                name = setting.partition("=")[0]
                raise ConfigError(f"{name} is for GANs, and classifier is set: give {setting}")

    def _check_clock(self) -> None:
        """Raise if settings of the clock have no clock, or cannot be combined with others."""
        check_name("links", self.links)
        check_name("devices", self.devices)
        if self.target is not None:
            target_of(self.target)
        for key in ("codec", "codec_up", "codec_down"):
            text = getattr(self, key)
            if self.links is None and text is not None and Schedule.of(text).is_by_link:
                raise ConfigError(f"{key}={text} goes by the clients' links: set links")
        clock = self.clock
        for name in ("deadline_s", "over_selection"):
            value = getattr(clock, name)
            if value == getattr(ClockConfig(), name):
                continue
            if not self.has_clock:
                raise ConfigError(f"clock.{name}={value:g} needs a clock: set links or devices")
            if self.also_codecs:
                raise ConfigError(
                    f"also_codecs beside clock.{name}={value:g}: who is late depends on the codec; "
                    "drop one of them"
                )
        if clock.compute == "measured" and self.federation.clients_at_once > 1:
            raise ConfigError(
                "clock.compute=measured beside federation.clients_at_once="
                f"{self.federation.clients_at_once}: the time of one client cannot be told; give 1"
            )

    @property
    def has_clock(self) -> bool:
        """Whether the run has virtual time."""
        return self.links is not None or self.devices is not None

    @property
    def clients_per_round(self) -> int:
        """Intended number of replies in a round."""
        return max(1, round(self.federation.fraction * self.federation.num_clients))

    @property
    def fraction_asked(self) -> float:
        """Share of the clients that train in a round."""
        if self.clock.over_selection == 1:
            return self.federation.fraction
        return min(1.0, self.clients_asked / self.federation.num_clients + 1e-9)

    @property
    def clients_asked(self) -> int:
        """Number of clients that train in a round."""
        asked = math.ceil(self.clock.over_selection * self.clients_per_round)
        return min(self.federation.num_clients, asked)

    def _check_adaptive(self) -> None:
        """Raise where drift or regeneration meets a setting that they do not go with."""
        if self.method is not None and self.regeneration is not None:
            raise ConfigError(
                f"method._target_={self.method.get('_target_')} beside regeneration: both change "
                "what a client uploads; set one of them to none"
            )
        masked_critic = self.regeneration is not None and self.regeneration.critic
        if masked_critic and self.gan.critic_gradients == "closed_form":
            raise ConfigError(
                "regeneration.critic=true masks the critic's weights, for which there are no "
                "gradients in closed form: give gan.critic_gradients=autograd"
            )
        if self.drift is not None and self.evaluation == "clients":
            raise ConfigError(
                "evaluation=clients beside drift: clients hold out samples of all stages at once; "
                "give server or none"
            )

    def _check_private(self, privacy: PrivacyConfig) -> None:
        """Raise where a client would reveal something of its samples without noise."""
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
                f"evaluation=clients reveals scores of samples without noise{held}: give server or "
                "none"
            )
        if self.gan.loss != "wasserstein":
            raise ConfigError(
                f"gan.loss={self.gan.loss} has no clipped gradients: private training needs "
                "gan.loss=wasserstein"
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
        """The output folder; ``ConfigError`` if none was chosen."""
        if self.output_dir is None:
            raise ConfigError("output_dir is not set: choose the folder that results go to")
        return Path(self.output_dir)

    def to_yaml(self) -> str:
        """Return the resolved config as YAML."""
        return OmegaConf.to_yaml(self.resolved)

    def changed(self, **settings: Any) -> "RunConfig":
        """Return the config with other values for some plain settings."""
        resolved = deepcopy(self.resolved)
        for key, value in settings.items():
            resolved[key] = list(value) if isinstance(value, tuple) else value
        return replace(self, resolved=resolved, **settings)


def target_of(text: str) -> tuple[str, float]:
    """Read ``MEASURE:VALUE``, a target quality, or raise ``ConfigError``."""
    measure, _, value = text.partition(":")
    allowed = f"MEASURE:VALUE with a measure of {', '.join(QUALITY)}, such as {QUALITY[0]}:0.93"
    try:
        found = measure, float(value)
    except ValueError:
        found = "", math.nan
    if found[0] not in QUALITY or not math.isfinite(found[1]):
        raise not_allowed("target", text, allowed, [f"{name}:{value}" for name in QUALITY])
    return found

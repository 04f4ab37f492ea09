"""Settings of a codec or stage, declared once for its spec and for a number in a payload.

A spec is a name and its settings, such as ``topk:0.05:local``. In a payload, all settings of a
stage are one mixed-radix number, lowest digit first: the choices in the order of the spec, then the
numbers, with the last of the spec first.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, ClassVar, Self

from flwr_gan.errors import CodecError, PayloadError

STEPS = 10_000
"""Fractions are 1 to 9,999 ten-thousandths, so that they travel exactly."""


@dataclass(frozen=True)
class OneOf:
    """One of several words; its index is its number, so new words are appended.

    ``other_words`` maps synonyms to words. A default that is not ``shown`` is left out of specs.
    """

    name: str
    words: Sequence[str]
    default: str | None = None
    shown: bool = True
    other_words: Mapping[str, str] = field(default_factory=dict)

    def read(self, text: str, stage: "type[Configured]") -> str:
        """Return the word, or raise ``CodecError``."""
        word = self.other_words.get(text, text)
        if word not in self.words:
            raise unknown_word(f"{stage.name} {self.name}", word, self.words)
        return word

    def text(self, value: str) -> str:
        """Return the word of a spec; none for a default that is not shown."""
        return value if self.shown or value != self.default else ""

    def number(self, value: str) -> int:
        """Return the number in a payload."""
        return self.words.index(value)

    @property
    def count(self) -> int:
        """Number of values."""
        return len(self.words)

    def value(self, number: int) -> str | None:
        """Return the value with a number, None if there is none."""
        return self.words[number] if number < self.count else None


@dataclass(frozen=True)
class Flag:
    """A word that is present (True) or absent (False)."""

    name: str
    word: str
    default: bool = False
    count: ClassVar[int] = 2

    def read(self, text: str, stage: "type[Configured]") -> bool | None:
        """Return True for the word, None for any other word."""
        return True if text == self.word else None

    def text(self, value: bool) -> str:
        """Return the word, or none."""
        return self.word if value else ""

    def number(self, value: bool) -> int:
        """Return the number in a payload."""
        return int(value)

    def value(self, number: int) -> bool | None:
        """Return the value with a number."""
        return bool(number) if number < self.count else None


@dataclass(frozen=True)
class Whole:
    """A whole number from ``lowest`` to ``highest``; a payload has it minus ``minus``."""

    name: str
    lowest: int
    highest: int
    default: int | None = None
    minus: int = 0
    fault: str = "is out of range"

    def read(self, text: str, stage: "type[Configured]") -> int | None:
        """Return a number in its shortest form, None if the word is none or out of range."""
        if not re.fullmatch("0|[1-9][0-9]{0,8}", text):
            return None
        return int(text) if self.lowest <= int(text) <= self.highest else None

    def text(self, value: int) -> str:
        """Return the digits."""
        return str(value)

    def number(self, value: int) -> int:
        """Return the number in a payload."""
        return value - self.minus

    @property
    def count(self) -> int:
        """One more than the largest number in a payload."""
        return self.highest - self.minus + 1

    def value(self, number: int) -> int | None:
        """Return the value with a number, None if there is none."""
        value = number + self.minus
        return value if self.lowest <= value <= self.highest else None


@dataclass(frozen=True)
class Fraction(Whole):
    """A fraction in steps of 1/10,000, or of 1/(``highest`` + 1): 0.05 is 500 of 10,000."""

    lowest: int = 1
    highest: int = STEPS - 1
    fault: str = "is no fraction"

    def read(self, text: str, stage: "type[Configured]") -> int | None:
        """Return the number of steps, None if the word is no fraction in whole steps."""
        if not re.fullmatch(r"0?\.[0-9]{1,4}", text):
            return None
        steps, rest = divmod(int(text.split(".")[1].ljust(4, "0")), STEPS // self.count)
        return None if rest else steps or None

    def text(self, value: int) -> str:
        """Return the fraction in as few digits as it needs."""
        return f"0.{value * (STEPS // self.count):04}".rstrip("0")


UNBIASED = Flag("is_unbiased", "unbiased")
"""For stages with an unbiased form: the mean over many draws is the input. Without feedback."""

Setting = OneOf | Flag | Whole


class Configured:
    """Anything that has a spec, and in a payload a number and a parameter.

    Attributes
    ----------
    name : str
        First word of the spec.
    wire_id : int
        Number on the wire; permanent, never reused.
    settings : tuple of OneOf, Flag, Whole and Fraction
        The words after the name, in order; settings with a default last. Each is an attribute.
    allowed : str
        The allowed forms, for the error message on a spec that cannot be read.
    spec : str
        Name and settings.
    parameter : int
        The settings as a number of the payload, below 2**32.
    """

    name: str
    wire_id: int
    settings: tuple[Setting, ...] = ()
    allowed: str = ""
    spec: str
    parameter: int

    def __init__(self, **values: Any) -> None:
        values = {one.name: one.default for one in self.settings} | values
        for name, value in values.items():
            setattr(self, name, value)
        words = [one.text(values[one.name]) for one in self.settings]
        self.spec = ":".join((self.name, *filter(None, words)))
        self.parameter = 0
        for one in reversed(_packed(self.settings)):
            self.parameter = self.parameter * one.count + one.number(values[one.name])

    @classmethod
    def from_spec(cls, words: tuple[str, ...]) -> Self:
        """Build the object from the words after the name, or raise ``CodecError``."""
        return cls(**cls.read_words(words, cls.settings))

    @classmethod
    def from_parameter(cls, parameter: int) -> Self:
        """Return what a number of a payload stands for, or raise ``PayloadError``."""
        return cls(**cls.read_parameter(parameter, cls.settings))

    @classmethod
    def read_parameter(cls, parameter: int, settings: Sequence[Setting]) -> dict[str, Any]:
        """Return the value of each setting in a parameter, or raise ``PayloadError``."""
        values = {}
        packed = _packed(settings)
        for one in packed:
            left, number = divmod(parameter, one.count)
            # The last one takes all that is left of the number.
            values[one.name] = one.value(parameter if one is packed[-1] else number)
            parameter = left
        if None in values.values() or parameter:
            raise unknown_settings(cls.name)
        return values

    @classmethod
    def read_words(cls, words: tuple[str, ...], settings: Sequence[Setting]) -> dict[str, Any]:
        """Return the value of each setting in a spec, or raise ``CodecError``."""
        spec = ":".join((cls.name, *words))
        values: dict[str, Any] = {}
        for one, text in zip(settings, words, strict=False):
            value = one.read(text, cls)
            if value is None and isinstance(one, Whole):
                raise CodecError(f"stage {spec!r}: {text!r} {one.fault}; {cls.allowed}")
            values[one.name] = value
        values |= {one.name: one.default for one in settings[len(words) :]}
        if None in values.values() or len(words) > len(settings):
            raise CodecError(f"stage {spec!r} cannot be read; {cls.allowed}")
        return values


class ByKind(Configured):
    """An object set by a kind and an amount of that kind: ``lowrank:rank:8``.

    Attributes
    ----------
    amounts : dict of str to Whole
        The setting ``amount`` of each kind.
    """

    amounts: ClassVar[Mapping[str, Whole]]
    kind: str
    amount: int

    def __init__(self, *, kind: str, amount: int) -> None:
        self.settings = self._settings([kind])
        super().__init__(kind=kind, amount=amount)

    @classmethod
    def from_spec(cls, words: tuple[str, ...]) -> Self:
        """Build the object from a kind and an amount, or raise ``CodecError``."""
        return cls(**cls.read_words(words, cls._settings(words[:1])))

    @classmethod
    def from_parameter(cls, parameter: int) -> Self:
        """Return what a number of a payload stands for, or raise ``PayloadError``."""
        kind = [*cls.amounts][parameter % len(cls.amounts)]
        return cls(**cls.read_parameter(parameter, cls._settings([kind])))

    @classmethod
    def _settings(cls, kinds: Sequence[str]) -> tuple[Setting, ...]:
        """Return the setting ``kind``, and the setting of its amount if the kind is known."""
        amounts = (cls.amounts[kind] for kind in kinds if kind in cls.amounts)
        return (OneOf("kind", tuple(cls.amounts)), *amounts)


def _packed(settings: Sequence[Setting]) -> list[Setting]:
    """Return the settings in the order of their digits in a payload, lowest first."""
    choices = [one for one in settings if isinstance(one, OneOf | Flag)]
    return [*choices, *(one for one in reversed(settings) if one not in choices)]


def unknown_word(kind: str, word: str, allowed: Iterable[str]) -> CodecError:
    """Return the error for a word in a spec that is not allowed."""
    allowed = tuple(allowed)
    near = get_close_matches(word, allowed, n=1, cutoff=0.4)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return CodecError(f"unknown {kind} {word!r}; allowed: {', '.join(allowed)}{hint}")


def unknown_settings(stage: str) -> PayloadError:
    """Return the error for a number in a payload that stands for no settings."""
    return PayloadError(f"payload has settings of {stage} that this version does not know")

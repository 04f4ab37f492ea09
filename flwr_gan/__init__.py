"""Federated GANs that send generators as a few kilobytes, measured to the byte."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("flwr-gan")
except PackageNotFoundError:  # imported from a Flower app bundle, which installs no metadata
    __version__ = "not installed"

"""Methods that compress a generator by training it; ``conf/method`` names one by ``_target_``."""

from flwr_gan.methods.base import Budget, Method, TrainedGan

__all__ = ["Budget", "Method", "TrainedGan"]

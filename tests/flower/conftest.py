"""What the transport carries."""

import pytest

from flwr_gan.engine.inline_grid import InlineGrid
from flwr_gan.flower.records import message_bytes


@pytest.fixture
def carried(monkeypatch):
    """Count the bytes that the transport carries, by direction."""
    seen = {"up": 0, "down": 0}
    deliver = InlineGrid._deliver

    def weigh(self, message):
        seen["down"] += message_bytes(message.content)
        reply = deliver(self, message)
        seen["up"] += message_bytes(reply.content) if reply.has_content() else 0
        return reply

    monkeypatch.setattr(InlineGrid, "_deliver", weigh)
    return seen

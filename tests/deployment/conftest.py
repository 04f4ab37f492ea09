"""A SuperLink that the tests of a module share."""

from collections.abc import Iterator

import pytest

from experiments.deployment.machines import Machines


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """Return a SuperLink without TLS and keys; each test starts and stops its nodes."""
    folder = tmp_path_factory.mktemp("machines")
    with Machines(folder, tls=False, authentication=False) as found:
        yield found


@pytest.fixture
def nodes(machines: Machines) -> Iterator[Machines]:
    """Return the machines without nodes, and stop those of the test at its end."""
    yield machines
    for node in machines.nodes.values():
        node.stop()
    machines.nodes.clear()

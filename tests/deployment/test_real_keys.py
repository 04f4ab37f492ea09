"""Wrong certificates and keys: what Flower says, as ``docs/deploy.md`` quotes it."""

from collections.abc import Iterator
from copy import copy
from pathlib import Path

import pytest

from experiments.deployment.keys import make_certificates, make_node_key
from experiments.deployment.machines import Machines
from tests.deployment.watched import until

pytestmark = pytest.mark.soak

DOCS = Path(__file__).parents[2] / "docs" / "deploy.md"


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """Return a SuperLink with TLS that knows its nodes by their keys."""
    with Machines(tmp_path_factory.mktemp("machines")) as machines:
        yield machines


def other(machines: Machines, **changed: object) -> Machines:
    """Return the same machines, whose nodes are started otherwise."""
    found = copy(machines)
    vars(found).update(changed)
    return found


def assert_said(machines: Machines, name: str, *messages: str) -> None:
    """Wait until a node has said each message; the docs must quote them."""
    node = machines.nodes[name]
    for message in messages:
        until(lambda said=message: said in node.log, what=f"{name}: {message}", timeout_s=120)
        assert message in DOCS.read_text()


def test_a_wrong_authority(secure: Machines, tmp_path: Path):
    make_certificates(tmp_path)
    other(secure, keys=tmp_path, authentication=False).start_node("stranger", "partition-id=0")
    assert_said(secure, "stranger", "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed")


def test_a_key_that_is_not_registered(secure: Machines):
    make_node_key(secure.keys, "unknown")  # it is there, so that nobody registers it
    secure.start_node("unknown", "partition-id=0")
    assert_said(secure, "unknown", "[code: 2004] Failed to activate SuperNode.")


def test_a_node_without_a_key(secure: Machines):
    other(secure, authentication=False).start_node("keyless", "partition-id=0")
    assert_said(secure, "keyless", "[code: 2001] SuperNode authentication is enabled.")


def test_an_insecure_node_on_a_tls_port(secure: Machines):
    other(secure, tls=False, authentication=False).start_node("insecure", "partition-id=0")
    assert_said(secure, "insecure", "Connection attempt failed, retrying in")
    assert secure.nodes["insecure"].process.poll() is None  # it tries for ever

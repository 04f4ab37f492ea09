"""A headless Chromium that tests drive; data, accidents and ends for studies in small."""

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flwr_gan.data import Dataset, Samples

NAMES = ("chromium", "chromium-browser", "google-chrome")
STARTED_S = 60.0


class Browser:
    """One tab of a headless Chromium, spoken to over its DevTools protocol."""

    def __init__(self, program: str, profile: Path) -> None:
        from websockets.sync.client import connect

        self._process = subprocess.Popen(
            [
                program, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
                "--disable-background-networking", "--disable-dev-shm-usage",
                "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank",
            ],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._number = 0
        self._session: str | None = None
        self._open = ExitStack()
        self.events: list[dict[str, Any]] = []
        try:
            port, path = self._address(profile / "DevToolsActivePort")
            address = f"ws://127.0.0.1:{port}{path}"
            # The picture of a whole page is one message.
            self._socket = self._open.enter_context(connect(address, max_size=1 << 28, proxy=None))
            target = self.call("Target.createTarget", url="about:blank")["targetId"]
            attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
            self._session = attached["sessionId"]
            for domain in ("Page", "Runtime", "Log", "Network"):
                self.call(f"{domain}.enable")
        except BaseException:
            self._open.close()
            self._end()
            raise

    def _address(self, file: Path) -> tuple[str, str]:
        """Return port and path that Chromium listens at, once it has written them."""
        until = time.monotonic() + STARTED_S
        while time.monotonic() < until and self._process.poll() is None:
            lines = file.read_text().split() if file.exists() else []
            if len(lines) == 2:
                return lines[0], lines[1]
            time.sleep(0.05)
        raise RuntimeError(f"Chromium has not started (exit status {self._process.poll()})")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send one command and return its result; events that come meanwhile are kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        self._socket.send(json.dumps(message))
        while True:
            answer = json.loads(self._socket.recv(timeout=STARTED_S))
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self.events.append(answer)

    def open(self, page: Path) -> None:
        """Load a file and wait until all of it is there."""
        self.events.clear()
        self.call("Page.navigate", url=page.resolve().as_uri())
        until = time.monotonic() + STARTED_S
        while self.value("document.readyState") != "complete":
            assert time.monotonic() < until, "the page does not load"
            time.sleep(0.02)

    def value(self, expression: str) -> Any:
        """Return what a JavaScript expression gives."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def press(self, key: str, code: str, number: int, text: str = "") -> None:
        """Press and release a key."""
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent", type=kind, key=key, code=code,
                windowsVirtualKeyCode=number, **({"text": text} if kind == "keyDown" else {}),
            )  # fmt: skip

    def size(self, width: int, height: int = 800) -> None:
        """Give the tab the size of a screen; narrow ones are a phone's."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height,
            deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip

    def scheme(self, name: str) -> None:
        """Prefer ``light`` or ``dark``."""
        wanted = {"name": "prefers-color-scheme", "value": name}
        self.call("Emulation.setEmulatedMedia", features=[wanted])

    def complaints(self) -> list[str]:
        """Return the console's errors and warnings, exceptions, and requests to elsewhere."""
        self.value("0")  # what was on its way has arrived
        found = []
        for event in self.events:
            method, params = event.get("method"), event.get("params", {})
            asked = params["request"]["url"] if method == "Network.requestWillBeSent" else "data:"
            outside = not asked.startswith(("data:", "file:"))
            console = method == "Runtime.consoleAPICalled" and params["type"] in (
                "error",
                "warning",
            )
            if method in ("Runtime.exceptionThrown", "Log.entryAdded") or console or outside:
                found.append(json.dumps(params))
        return found

    def close(self) -> None:
        """End the browser."""
        self._open.close()
        self._end()

    def _end(self) -> None:
        self._process.terminate()  # Chromium then ends its child processes itself
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@pytest.fixture(scope="session")
def _chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"none of {', '.join(NAMES)} is on the PATH")
    running = Browser(program, tmp_path_factory.mktemp("chromium"))
    yield running
    running.close()


@pytest.fixture
def browser(_chromium: Browser) -> Browser:
    """Return a headless Chromium; without one on the PATH the test is skipped."""
    _chromium.size(1280)
    _chromium.scheme("light")
    return _chromium


@pytest.fixture
def bars():
    """Return a function that makes ten classes of images, each a bright bar among noise."""

    def make(train: int, test: int, *, rng: np.random.Generator | None = None) -> Dataset:
        rng = rng or np.random.default_rng(0)

        def draw(count: int) -> Samples:
            y = np.arange(count) % 10
            x = rng.uniform(-1, -0.6, (count, 28, 28))
            x[np.arange(count), 2 + 2 * y] = 1
            return Samples(x.astype(np.float32), y)

        names = tuple("0123456789")
        parts = {"train": draw(train), "test": draw(test)}
        return Dataset(name="bars", **parts, class_names=names, kind="image")

    return make


@pytest.fixture
def forbid(monkeypatch):
    """Return a function after which a call of a module's function fails."""

    def replace(module: Any, name: str) -> None:
        def never(*args: Any, **settings: Any) -> None:
            raise AssertionError(f"{name} was called: what is finished was repeated")

        monkeypatch.setattr(module, name, never)

    return replace


@pytest.fixture
def break_where(monkeypatch):
    """Return a function after which a call of a module's function fails in some cases."""

    def replace(module: Any, name: str, is_unlucky: Callable[..., bool]) -> None:
        real = getattr(module, name)

        def run(*args: Any, **settings: Any) -> Any:
            if is_unlucky(*args):
                raise ValueError("out of luck")
            return real(*args, **settings)

        monkeypatch.setattr(module, name, run)

    return replace

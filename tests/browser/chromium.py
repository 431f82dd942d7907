"""A real Chromium, driven by its own protocol over a pipe (https://chromedevtools.github.io/devtools-protocol/)."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip
_KEYS = {"Enter": 13, "Escape": 27, "Tab": 9, "ArrowLeft": 37, "ArrowRight": 39, "Home": 36, "End": 35}


@dataclass(kw_only=True)
class Chromium:
    """One page of a browser.

    `complaints`: what the console says, uncaught exceptions, and every request but the page's own file; a test expects
    it to stay empty.
    """

    commands: BinaryIO
    answers: BinaryIO
    session: str = ""
    number: int = 0
    complaints: list[str] = field(default_factory=list)
    loaded: int = 0

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol and its result."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        self.commands.write(json.dumps(message).encode() + b"\0")
        self.commands.flush()
        while (answer := self._read()).get("id") != self.number:
            self._note(answer)
        assert "error" not in answer, answer["error"]
        result: dict[str, Any] = answer["result"]
        return result

    def open(self, page: Path, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Load a file, wait until its script has run, at this width and with this preference for dark or light."""
        self.complaints.clear()
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        before = self.loaded
        self.call("Page.navigate", url=page.resolve().as_uri())
        while self.loaded == before:
            self._note(self._read())
        self.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def evaluate(self, script: str) -> Any:
        """The value of an expression in the page; a promise is awaited."""
        done = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def press(self, *keys: str) -> None:
        """Keys, one after the other, as a keyboard sends them."""
        for key in keys:
            code = {"windowsVirtualKeyCode": _KEYS[key], "key": key, "code": key}
            text = {"text": "\r"} if key == "Enter" else {}
            self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", **code, **text)
            self.call("Input.dispatchKeyEvent", type="keyUp", **code)

    def hover(self, selector: str, share: float = 0.5) -> None:
        """Move the mouse over an element, at this share of its width."""
        self.evaluate(f"document.querySelector({json.dumps(selector)}).scrollIntoView({{block: 'center'}})")
        box = self.evaluate(f"document.querySelector({json.dumps(selector)}).getBoundingClientRect().toJSON()")
        x, y = box["x"] + box["width"] * share, box["y"] + min(box["height"] / 2, 80)
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def screenshot(self, file: Path, *, top: int = 0, most: int = 4000) -> None:
        """The page as PNG: `most` pixels of its height from `top` on."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": top, "width": size["width"], "height": min(size["height"] - top, most), "scale": 1}
        done = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        file.write_bytes(base64.b64decode(done["data"]))

    def _read(self) -> dict[str, Any]:
        found = bytearray()
        while (byte := self.answers.read(1)) not in (b"", b"\0"):
            found += byte
        assert found, "Chromium ended"
        message: dict[str, Any] = json.loads(found)
        return message

    def _note(self, event: dict[str, Any]) -> None:
        method, given = event.get("method"), event.get("params", {})
        if method == "Page.loadEventFired":
            self.loaded += 1
        elif method == "Runtime.exceptionThrown":
            details = given["exceptionDetails"]
            self.complaints.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Runtime.consoleAPICalled":
            self.complaints.append(f"console.{given['type']}: {given['args']}")
        elif method == "Log.entryAdded":
            self.complaints.append(f"{given['entry']['level']}: {given['entry']['text']}")
        elif method == "Network.requestWillBeSent" and given.get("type") != "Document":
            self.complaints.append(f"request: {given['request']['url']}")


@contextmanager
def chromium(folder: Path) -> Iterator[Chromium]:
    """A browser with its profile in `folder`; it ends with the block. Raises RuntimeError where none is installed."""
    program = shutil.which("chromium")
    if program is None:
        raise RuntimeError("there is no chromium; `make test-tools` installs it")
    orders, commands = os.pipe()
    answers, reports = os.pipe()
    words = [program, *_FLAGS, f"--user-data-dir={folder}", "about:blank"]
    with subprocess.Popen(
        ["bash", "-c", f'exec "$@" 3<&{orders} 4>&{reports}', "bash", *words],
        pass_fds=(orders, reports),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as child:
        os.close(orders)
        os.close(reports)
        with os.fdopen(commands, "wb") as writing, os.fdopen(answers, "rb") as reading:
            page = Chromium(commands=writing, answers=reading)
            try:
                (target,) = [found for found in _targets(page) if found["type"] == "page"]
                page.session = page.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)[
                    "sessionId"
                ]
                for domain in ("Page", "Runtime", "Log", "Network"):
                    page.call(f"{domain}.enable")
                yield page
            finally:
                page.session = ""
                page.call("Browser.close")
                child.wait(20)


def _targets(page: Chromium) -> list[dict[str, Any]]:
    """The browser's targets, once its first page is there."""
    for _ in range(100):
        found: list[dict[str, Any]] = page.call("Target.getTargets")["targetInfos"]
        if any(target["type"] == "page" for target in found):
            return found
        time.sleep(0.05)
    raise RuntimeError("Chromium opened no page")

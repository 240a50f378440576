"""Servers for the browser tests, and what they do with a page."""

import contextlib
import os
import random
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from playwright.sync_api import expect

SECONDS = 1000  # in milliseconds


def free_port():
    """Return a port below those that the system, and so every kernel, takes at random."""
    for port in random.sample(range(20_000, 30_000), 100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port
    pytest.fail("no port is free")


@contextlib.contextmanager
def serving(arguments, folder, ready):
    """Run a server, ``python -m`` with its arguments, and yield it when an address answers."""
    environment = os.environ | {
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_DATA_DIR": str(folder / "data"),
        "OMP_NUM_THREADS": "1",
    }
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", *arguments], env=environment, stdout=log, stderr=log
        )
        try:
            wait_for(ready, server)
            yield server
        finally:
            server.terminate()
            server.wait(30)


def wait_for(address, server):
    for _ in range(1200):
        if server.poll() is not None:
            pytest.fail("the server has ended")
        try:
            urllib.request.urlopen(address, timeout=1)
            return
        except urllib.error.HTTPError:
            return  # it answers
        except OSError:
            time.sleep(0.1)
    pytest.fail("the server does not answer")


class Watched:
    """A page, and what went wrong in it."""

    def __init__(self, browser, width=1280, height=900):
        self.context = browser.new_context(viewport={"width": width, "height": height})
        self.page = self.context.new_page()
        self.errors = []
        self.addresses = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", self._on_console)
        self.page.on("request", lambda request: self.addresses.append(request.url))

    def _on_console(self, message):
        if message.type == "error":
            self.errors.append(f"{message.text} {message.location.get('url', '')}")

    def foreign(self):
        """The addresses on other machines that were asked."""
        local = ("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:")
        return [address for address in self.addresses if not address.startswith(local)]


def status(page):
    return page.locator(".dlp-live .dlp-status")


def sentence(page):
    return page.locator(".dlp-live .dlp-sentence")


def wait_until_ready(page, seconds=180):
    """Wait until nothing is computed any more."""
    expect(status(page)).to_have_text("ready", timeout=seconds * SECONDS)


def figures(page):
    return page.locator(".dlp-panel img").evaluate_all("images => images.map(image => image.src)")


def slider(page, label):
    row = page.locator(".dlp-live .widget-inline-hbox").filter(
        has=page.get_by_text(label, exact=True)
    )
    return row.locator(".noUi-handle")


def screenshot(page, name):
    """Keep a picture where SCREENSHOTS names a folder, to look at what was tested."""
    if "SCREENSHOTS" in os.environ:
        page.screenshot(path=Path(os.environ["SCREENSHOTS"]) / f"{name}.png")

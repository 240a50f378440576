"""What the live lab's server does for its pages, without a browser."""

import ast
import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import nbformat
import pytest

from dlp_lib.live import __main__ as command
from dlp_lib.live import page, server
from dlp_lib.live.server import Kernels, configuration, without_foreign_links


class Manager(Kernels):
    """A manager of one kernel, which is not there."""

    def __init__(self, connections, idle=0.0):
        super().__init__()
        self.cull_idle_timeout = 10
        self._kernel_connections = {"one": connections}
        activity = datetime.now(UTC) - timedelta(seconds=idle)
        self._kernels = {"one": SimpleNamespace(last_activity=activity)}
        self.ended = []

    async def shutdown_kernel(self, kernel_id):
        self.ended.append(kernel_id)

    def ends_after(self, monkeypatch, seconds):
        """Whether the kernel ends at a look at some time, in seconds since the process began."""
        monkeypatch.setattr(server.time, "monotonic", lambda: seconds)
        asyncio.run(self.cull_kernel_if_idle("one"))
        return bool(self.ended)


def test_a_kernel_ends_when_its_page_is_gone(monkeypatch):
    manager = Manager(connections=1)
    assert not manager.ends_after(monkeypatch, 0)
    assert not manager.ends_after(monkeypatch, 1000)
    manager._kernel_connections["one"] = 0
    assert not manager.ends_after(monkeypatch, 1009)
    assert manager.ends_after(monkeypatch, 1011)


def test_a_page_may_take_longer_to_reach_its_new_kernel(monkeypatch):
    manager = Manager(connections=0)
    assert not manager.ends_after(monkeypatch, 0)
    assert not manager.ends_after(monkeypatch, 100)
    assert manager.ends_after(monkeypatch, 121)


@pytest.mark.parametrize(("idle", "ends"), [(3600, False), (3 * 3600, True)])
def test_a_page_that_nobody_uses_loses_its_kernel(idle, ends, monkeypatch):
    assert Manager(connections=1, idle=idle).ends_after(monkeypatch, 0) == ends


@pytest.mark.parametrize(
    "piece",
    [
        '<link rel="stylesheet" href="https://cdn.example/all.css" type="text/css" />',
        '<script src="http://cdn.example/x.js"></script>',
    ],
)
def test_nothing_is_loaded_from_other_sites(piece):
    assert without_foreign_links(f"<p>{piece}</p>") == "<p></p>"


@pytest.mark.parametrize(
    "piece",
    [
        '<link rel="icon" href="data:;base64,=">',
        '<script src="/voila/static/voila.js"></script>',
        '<a href="https://example.org">a link</a>',
    ],
)
def test_what_lies_here_stays(piece):
    assert without_foreign_links(piece) == piece


def test_the_page_says_what_it_does_while_it_starts():
    assert "PyTorch" in without_foreign_links('<h2 id="loading_text">Running x...</h2>')
    assert "PyTorch" in without_foreign_links("voila_process(1, 1)")


def test_the_options_reach_voila():
    config = configuration(8000, "127.0.0.1", 300, opens_browser=False)
    assert config.Voila.port == 8000
    assert config.KernelRestarter.restart_limit == 0
    assert config.MappingKernelManager.cull_idle_timeout == 300
    assert all("jupytext" not in name for name in config.VoilaConfiguration.extension_allowlist)


def test_the_notebook_opens_the_page_with_the_options(tmp_path, monkeypatch):
    started = {}

    def launch(arguments, config):
        [cell] = nbformat.read(arguments[0], 4).cells
        started["code"] = cell.source
        started["port"] = config.Voila.port

    monkeypatch.setattr(command.Server, "launch_instance", launch)
    command.main(["--dataset", "it's mine", "--n-train", "60", "--port", "8001"])
    assert started["port"] == 8001
    call = ast.parse(started["code"]).body[-1].value
    options = ast.literal_eval(call.keywords[0].value)
    assert options["dataset"] == "it's mine"
    assert options["n_train"] == 60
    assert set(options) == set(page.open_page.__annotations__) - {"return"}


@pytest.mark.parametrize("arguments", [["--epochs=0"], ["--n-train=-1"], ["--gama=1"]])
def test_bad_options_are_refused_before_anything_starts(arguments, monkeypatch, capsys):
    monkeypatch.setattr(command.Server, "launch_instance", lambda *_, **__: pytest.fail("started"))
    with pytest.raises(SystemExit):
        command.main(arguments)
    assert arguments[0].split("=")[0] in capsys.readouterr().err

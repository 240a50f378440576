"""The live lab in a real browser, in JupyterLab and in Voila; skipped where there is none."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import papermill
import pytest
from playwright.sync_api import expect, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
SECONDS = 1000  # in milliseconds
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on this machine (apt-get install chromium)"
)


def prepared(folder):
    """The notebook with parameters that take seconds, and a store of its own."""
    parameters = {"n_train": 600, "epochs": 4, "finetune_steps": 200}
    parameters |= {"cache": str(folder / "store"), "out": str(folder)}
    source = ROOT / "notebooks" / "07_live_lab.ipynb"
    target = folder / source.name
    papermill.execute_notebook(str(source), str(target), parameters, prepare_only=True)
    lab = {  # keep cells that are out of sight, ask nothing
        "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},
        "@jupyterlab/apputils-extension:notification": {"fetchNews": "false"},
    }
    (folder / "config" / "labconfig").mkdir(parents=True)
    (folder / "config" / "labconfig" / "default_setting_overrides.json").write_text(
        json.dumps(lab), encoding="utf-8"
    )
    return folder


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module", params=["voila", "lab"])
def page(request, tmp_path_factory):
    """The page, loaded and run, in a browser that reaches nothing but this machine."""
    folder = prepared(
        tmp_path_factory.mktemp(request.param)
    )  # what one has recorded, the other must not find
    port, notebook = free_port(), folder / "07_live_lab.ipynb"
    if request.param == "voila":
        command = ["voila", str(notebook), "--no-browser", f"--port={port}", "--Voila.ip=127.0.0.1"]
        address = f"http://127.0.0.1:{port}/"
    else:
        command = [
            "jupyterlab",
            "--no-browser",
            f"--port={port}",
            "--ip=127.0.0.1",
            f"--ServerApp.root_dir={folder}",
        ]
        command += ["--IdentityProvider.token=", "--allow-root"]
        address = f"http://127.0.0.1:{port}/lab/tree/{notebook.name}?reset"
    environment = os.environ | {
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_DATA_DIR": str(folder / "data"),
    }
    log = (folder / f"{request.param}.log").open("w")
    server = subprocess.Popen(
        [sys.executable, "-m", *command], env=environment, stdout=log, stderr=log
    )
    try:
        wait_for(
            f"http://127.0.0.1:{port}/" + ("api" if request.param == "lab" else "voila/static/"),
            server,
        )
        with sync_playwright() as playwright:
            flags = [
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--disable-background-networking",
            ]
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
            page = browser.new_page(viewport={"width": 1280, "height": 1600})
            page.goto(address, timeout=120 * SECONDS)
            if request.param == "lab":
                page.locator(".jp-NotebookPanel .jp-Cell").first.wait_for(timeout=60 * SECONDS)
                page.get_by_text("Python 3 (ipykernel) | Idle").first.wait_for(timeout=60 * SECONDS)
                page.wait_for_timeout(
                    2 * SECONDS
                )  # for the widget manager, which shows nothing of being ready
                page.get_by_role("menuitem", name="Run", exact=True).click()
                page.get_by_text("Run All Cells", exact=True).click()
            expect(page.locator(".dlp-sentence")).to_contain_text(
                "suspects are poisoned", timeout=120 * SECONDS
            )
            wait_until_ready(page)
            if "SCREENSHOTS" in os.environ:  # a folder, to look at what was tested
                page.screenshot(
                    path=Path(os.environ["SCREENSHOTS"]) / f"{request.param}.png", full_page=True
                )
            yield page
            browser.close()
    finally:
        server.terminate()
        server.wait(20)
        log.close()


def wait_for(address, server):
    for _ in range(600):
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


def wait_until_ready(page):
    """Wait until nothing is computed any more."""
    expect(page.locator(".dlp-live").get_by_text("ready", exact=True)).to_be_visible(
        timeout=120 * SECONDS
    )


def figures(page):
    return page.locator(".dlp-panel img").evaluate_all("images => images.map(image => image.src)")


def widget(page, label):
    return page.locator(".dlp-live .widget-inline-hbox").filter(
        has=page.get_by_text(label, exact=True)
    )


def test_the_page_loads_with_its_figures(page):
    assert len(figures(page)) == 6
    texts = page.locator(".dlp-panel img").evaluate_all("images => images.map(image => image.alt)")
    assert all(len(text) > 20 for text in texts)


@pytest.mark.parametrize("label", ["gamma", "E1 (epochs)", "E2 (epochs)", "unlearning lr"])
def test_every_slider_moves_figures_and_words(page, label):
    before = figures(page)
    sentence = page.locator(".dlp-sentence").inner_text()
    widget(page, label).locator(".noUi-handle").press("ArrowLeft")
    expect(page.locator(".dlp-sentence")).not_to_have_text(sentence, timeout=60 * SECONDS)
    wait_until_ready(page)
    assert figures(page) != before


def test_the_truth_can_be_hidden(page):
    box = page.get_by_label("show what only the teacher knows")
    box.uncheck()
    expect(page.locator(".dlp-sentence")).to_contain_text("carry the label")
    expect(page.locator(".dlp-truth")).to_have_count(0)
    box.check()
    expect(page.locator(".dlp-sentence")).to_contain_text("are poisoned")


def test_finetuning_can_be_cancelled_and_runs_to_its_end(page):
    page.get_by_role("button", name="fine-tune").click()
    expect(page.locator(".dlp-live")).to_contain_text("fine-tuning, CA", timeout=60 * SECONDS)
    page.get_by_role("button", name="cancel").click()
    expect(page.locator(".dlp-live")).to_contain_text("cancelled", timeout=30 * SECONDS)
    expect(page.locator(".dlp-sentence")).not_to_contain_text("Fine-tuning has")
    page.get_by_role("button", name="fine-tune").click()
    expect(page.locator(".dlp-sentence")).to_contain_text(
        "Fine-tuning has brought", timeout=180 * SECONDS
    )


def test_an_error_appears_on_the_page_and_reset_clears_it(page):
    field = widget(page, "data set").locator("input")
    field.fill("no/such/folder")
    field.press("Enter")
    expect(page.locator(".dlp-error")).to_contain_text("no/such/folder", timeout=30 * SECONDS)
    page.get_by_role("button", name="reset").click()
    expect(page.locator(".dlp-error")).to_have_count(0, timeout=30 * SECONDS)
    wait_until_ready(page)

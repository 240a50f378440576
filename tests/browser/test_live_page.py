"""The live lab's own page from its first visit on: what a class does to it, it survives."""

import contextlib
import random
import re
import time

import psutil
import pytest
from browsing import (
    SECONDS,
    Watched,
    figures,
    free_port,
    screenshot,
    sentence,
    serving,
    slider,
    status,
    wait_until_ready,
)
from playwright.sync_api import expect

FORGET_AFTER = 6  # seconds after which a kernel without a page ends
DRAGGING = 8  # seconds


class Site:
    """A server of the page, and its kernels."""

    def __init__(self, address, process):
        self.address = address
        self._process = psutil.Process(process.pid)

    def kernels(self):
        found = []
        for child in self._process.children():
            with contextlib.suppress(psutil.Error):  # it ends in this moment
                if "ipykernel_launcher" in " ".join(child.cmdline()):
                    found.append(child)
        return found

    def wait_for_kernels(self, count, seconds=40):
        end = time.monotonic() + seconds
        while len(self.kernels()) != count:
            assert time.monotonic() < end, f"{len(self.kernels())} kernels, not {count}"
            time.sleep(0.2)


@pytest.fixture(scope="module")
def site(tmp_path_factory, browser):
    folder = tmp_path_factory.mktemp("page")
    port = free_port()
    options = f"--no-browser --port={port} --n-train=600 --epochs=3 --steps=1000"
    arguments = ["dlp_lib.live", *options.split(), f"--store={folder / 'store'}"]
    arguments.append(f"--forget-after={FORGET_AFTER}")
    address = f"http://127.0.0.1:{port}/"
    with serving(arguments, folder, f"{address}voila/static/") as server:
        yield Site(address, server)


@pytest.fixture
def visit(site, browser):
    """A function that opens the page in a browser of its own, without waiting for it."""
    visitors = []

    def open_page():
        watched = Watched(browser)
        watched.page.goto(site.address, timeout=120 * SECONDS, wait_until="commit")
        visitors.append(watched)
        return watched

    yield open_page
    for watched in visitors:
        watched.page.close(run_before_unload=False)
        watched.context.close()
    site.wait_for_kernels(0)


def finetune(page):
    """Begin to fine-tune, and wait until it has recorded something."""
    page.get_by_role("button", name="fine-tune").click()
    expect(status(page)).to_contain_text("stage 3, fine-tuning: part", timeout=90 * SECONDS)


def test_the_first_visit_in_two_tabs(visit):
    """Controls come before figures, figures one by one, and both tabs get all of them."""
    tabs = [visit(), visit()]
    expect(tabs[0].page.locator("#loading_text")).to_contain_text("The page is starting")
    for tab in tabs:
        slider(tab.page, "gamma").wait_for(timeout=90 * SECONDS)
        assert len(figures(tab.page)) < 6
        expect(tab.page.locator(".dlp-empty").first).to_contain_text("Appears after")
        expect(status(tab.page)).to_have_text(re.compile("data|stage 1|starting"))
        screenshot(tab.page, "first-visit")
    for tab in tabs:
        wait_until_ready(tab.page)
        assert len(figures(tab.page)) == 6
        expect(tab.page.locator(".dlp-error")).to_have_count(0)
        assert tab.errors == []
        assert tab.foreign() == []
    first, second = (sentence(tab.page).inner_text() for tab in tabs)
    assert first == second
    assert "suspects are poisoned" in first


def test_a_reload_in_mid_fine_tune_leaves_no_kernel_and_no_job(visit, site):
    watched = visit()
    wait_until_ready(watched.page)
    finetune(watched.page)
    [before] = site.kernels()
    watched.page.reload(timeout=120 * SECONDS)
    wait_until_ready(watched.page)
    assert not before.is_running()
    site.wait_for_kernels(1)
    assert watched.errors == []


def test_a_page_that_is_closed_loses_its_kernel_at_once(visit, site):
    watched = visit()
    wait_until_ready(watched.page)
    watched.page.close(run_before_unload=True)
    site.wait_for_kernels(0, seconds=FORGET_AFTER - 1)


def test_a_page_that_vanishes_loses_its_kernel_although_it_works(visit, site):
    """A browser that crashes, or a laptop that is closed, says nothing."""
    watched = visit()
    wait_until_ready(watched.page)
    finetune(watched.page)
    watched.context.set_offline(True)
    watched.page.close(run_before_unload=False)
    site.wait_for_kernels(0)


def test_a_page_whose_kernel_was_killed_says_so_and_comes_back(visit, site):
    watched = visit()
    wait_until_ready(watched.page)
    [kernel] = site.kernels()
    kernel.kill()
    lost = watched.page.get_by_role("alert").filter(has_text="has lost its kernel")
    expect(lost).to_be_visible(timeout=30 * SECONDS)
    screenshot(watched.page, "lost")
    lost.get_by_role("button").click()
    wait_until_ready(watched.page)
    expect(lost).to_be_hidden()
    assert len(figures(watched.page)) == 6


def test_another_setting_says_that_it_stops_fine_tuning_and_e2_does_not(visit):
    page = visit().page
    wait_until_ready(page)
    finetune(page)
    slider(page, "E2 (epochs)").press("ArrowLeft")
    expect(status(page)).to_contain_text("(from E2 = 3)", timeout=20 * SECONDS)
    slider(page, "gamma").press("ArrowLeft")
    expect(page.locator(".dlp-note")).to_contain_text("Fine-tuning was stopped")
    wait_until_ready(page)
    screenshot(page, "note")


def readout(page, label):
    row = page.locator(".dlp-live .widget-inline-hbox").filter(
        has=page.get_by_text(label, exact=True)
    )
    return row.locator(".widget-readout").inner_text()


def test_random_dragging_leaves_no_error_and_no_stale_figure(visit, site):
    watched = visit()
    page = watched.page
    wait_until_ready(page)
    drawn = random.Random(0)
    end = time.monotonic() + DRAGGING
    while time.monotonic() < end:
        label = drawn.choice(["E1 (epochs)", "gamma", "E2 (epochs)", "unlearning lr"])
        slider(page, label).press(drawn.choice(["ArrowLeft", "ArrowRight", "Home", "End"]))
        if drawn.random() < 0.2:
            page.get_by_label("show what only the teacher knows").click()
    wait_until_ready(page)
    expect(page.locator(".dlp-error")).to_have_count(0)
    assert watched.errors == []
    alts = page.locator(".dlp-panel img").evaluate_all("images => images.map(image => image.alt)")
    text = " ".join(alts)
    assert f"E1 marked at {readout(page, 'E1 (epochs)')}." in text
    assert f"the cuts at gamma {readout(page, 'gamma')}." in text
    assert f"E2 is {readout(page, 'E2 (epochs)')}." in text
    assert len(site.kernels()) == 1

"""The live lab in a real browser: as a page of its own, and in notebook 07 in JupyterLab."""

import json
import shutil
from pathlib import Path

import papermill
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

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = "notebooks/07_live_lab.ipynb"
PICTURE = "docs/lab.png"  # at the head of the notebook


def prepare_notebook(folder):
    """Write notebook 07 with parameters that take seconds, and a store of its own."""
    parameters = {"n_train": 600, "epochs": 4, "finetune_steps": 60}
    parameters |= {"cache": str(folder / "store"), "out": str(folder)}
    for name in ("notebooks", "docs"):
        (folder / name).mkdir()
    papermill.execute_notebook(
        str(ROOT / NOTEBOOK), str(folder / NOTEBOOK), parameters, prepare_only=True
    )
    shutil.copyfile(ROOT / PICTURE, folder / PICTURE)
    lab = {  # keep cells that are out of sight, ask nothing
        "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},
        "@jupyterlab/apputils-extension:notification": {"fetchNews": "false"},
    }
    (folder / "config" / "labconfig").mkdir(parents=True)
    (folder / "config" / "labconfig" / "default_setting_overrides.json").write_text(
        json.dumps(lab), encoding="utf-8"
    )


def command(kind, folder, port):
    """How the server of a kind is started; what one has recorded, the other must not find."""
    if kind == "page":
        options = f"--no-browser --port={port} --n-train=600 --epochs=4 --steps=60"
        return ["dlp_lib.live", *options.split(), f"--store={folder / 'store'}"]
    prepare_notebook(folder)
    options = f"--no-browser --port={port} --ip=127.0.0.1 --allow-root --IdentityProvider.token="
    return ["jupyterlab", *options.split(), f"--ServerApp.root_dir={folder}"]


def run_all_cells(page):
    page.locator(".jp-NotebookPanel .jp-Cell").first.wait_for(timeout=120 * SECONDS)
    page.get_by_text("Python 3 (ipykernel) | Idle").first.wait_for(timeout=120 * SECONDS)
    page.wait_for_timeout(2 * SECONDS)  # for the widget manager, which shows nothing of being ready
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).click()


@pytest.fixture(scope="module", params=["page", "lab"])
def watched(request, tmp_path_factory, browser):
    """The page, loaded and run."""
    kind = request.param
    folder = tmp_path_factory.mktemp(kind)
    port = free_port()
    address = f"http://127.0.0.1:{port}/"
    arguments = command(kind, folder, port)
    with serving(arguments, folder, address + ("api" if kind == "lab" else "voila/static/")):
        watched = Watched(browser)
        watched.kind = kind
        path = f"lab/tree/{NOTEBOOK}?reset" if kind == "lab" else ""
        watched.page.goto(address + path, timeout=120 * SECONDS)
        if kind == "lab":
            run_all_cells(watched.page)
        expect(sentence(watched.page)).to_contain_text(
            "suspects are poisoned", timeout=180 * SECONDS
        )
        wait_until_ready(watched.page)
        yield watched
        watched.context.close()


@pytest.fixture
def page(watched):
    return watched.page


def test_the_page_loads_with_its_figures(page):
    assert len(figures(page)) == 6
    texts = page.locator(".dlp-panel img").evaluate_all("images => images.map(image => image.alt)")
    assert all(len(text) > 20 for text in texts)


def test_loading_asks_no_other_site_and_makes_no_error(watched):
    assert watched.foreign() == []
    assert watched.errors == []


@pytest.mark.parametrize("label", ["gamma", "E1 (epochs)", "E2 (epochs)", "unlearning lr"])
def test_every_slider_moves_figures_and_words(page, label):
    before = figures(page)
    text = sentence(page).inner_text()
    slider(page, label).press("ArrowLeft")
    expect(sentence(page)).not_to_have_text(text, timeout=60 * SECONDS)
    wait_until_ready(page)
    assert figures(page) != before


def test_the_truth_can_be_hidden(page):
    box = page.get_by_label("show what only the teacher knows")
    box.uncheck()
    expect(sentence(page)).to_contain_text("carry the label")
    expect(page.locator(".dlp-truth")).to_have_count(0)
    box.check()
    expect(sentence(page)).to_contain_text("are poisoned")


def test_finetuning_can_be_cancelled_and_runs_to_its_end(page):
    page.get_by_role("button", name="fine-tune").click()
    expect(status(page)).to_contain_text("; CA ", timeout=90 * SECONDS)
    box = page.get_by_label("show what only the teacher knows")
    box.uncheck()  # which does not stop it
    expect(status(page)).to_contain_text("stage 3, fine-tuning")
    expect(status(page)).not_to_contain_text("CA ")
    box.check()
    page.get_by_role("button", name="cancel").click()
    expect(status(page)).to_contain_text("cancelled", timeout=30 * SECONDS)
    expect(sentence(page)).not_to_contain_text("Fine-tuning has")
    page.get_by_role("button", name="fine-tune").click()
    expect(sentence(page)).to_contain_text("Fine-tuning has brought", timeout=240 * SECONDS)


def test_an_error_appears_on_the_page_and_reset_clears_it(page):
    row = page.locator(".dlp-live .widget-inline-hbox").filter(
        has=page.get_by_text("data set", exact=True)
    )
    row.locator("input").fill("no/such/folder")
    row.locator("input").press("Enter")
    expect(page.locator(".dlp-error")).to_contain_text("no/such/folder", timeout=30 * SECONDS)
    expect(sentence(page)).to_have_text("")  # and nothing says that it trains
    page.get_by_role("button", name="reset").click()
    expect(page.locator(".dlp-error")).to_have_count(0, timeout=30 * SECONDS)
    wait_until_ready(page)


def test_the_compared_table_has_room(page):
    page.get_by_role("button", name="compare").click()
    cell = page.locator(".dlp-compared td").first
    padding = cell.evaluate("cell => getComputedStyle(cell).paddingLeft")
    assert float(padding.removesuffix("px")) >= 8
    page.get_by_role("button", name="compare").click()


CLIPPED = """
(panels) => panels.filter((panel) => {
  const box = panel.getBoundingClientRect();
  for (let frame = panel.parentElement; frame; frame = frame.parentElement) {
    const around = frame.getBoundingClientRect();
    const hides = getComputedStyle(frame).overflowX !== "visible";
    if (hides && (box.left < around.left - 1 || box.right > around.right + 1)) return true;
  }
  return box.right > innerWidth + 1;
}).length
"""


def in_sight(page, locator):
    """Whether an element can be seen and touched where it is."""
    return locator.evaluate("""
        (element) => {
          const box = element.getBoundingClientRect();
          const x = box.left + box.width / 2;
          const found = document.elementFromPoint(x, box.top + box.height / 2);
          return element === found || element.contains(found);
        }""")


@pytest.mark.parametrize("width", [800, 1280, 1920])
def test_sliders_stay_in_sight_beside_what_they_move(watched, width):
    page = watched.page
    page.set_viewport_size({"width": width, "height": 760})
    panels = page.locator(".dlp-live .dlp-panel")
    for number, label in ((0, "E1 (epochs)"), (1, "gamma"), (2, "E2 (epochs)")):
        panels.nth(number).evaluate("panel => panel.scrollIntoView({block: 'center'})")
        page.wait_for_timeout(300)
        image = panels.nth(number).locator("img")
        screenshot(page, f"{watched.kind}-{width}-{number}")
        assert in_sight(page, image), label
        assert in_sight(page, slider(page, label).locator(".noUi-touch-area")), label
    assert panels.evaluate_all(CLIPPED) == 0
    widths = panels.evaluate_all("panels => panels.map(panel => panel.offsetWidth)")
    assert min(widths) >= 300
    lefts = page.locator(".dlp-scene input, .dlp-scene select").evaluate_all(
        "fields => fields.map(field => Math.round(field.getBoundingClientRect().left))"
    )
    assert max(lefts) - min(lefts) <= 2  # a regular grid

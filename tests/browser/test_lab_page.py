"""The book's lab page says what its tables hold, and asks nobody for anything."""

import functools
import http.server
import random
import threading

import lab_tables
import pytest
from browsing import Watched, screenshot
from playwright.sync_api import expect

from tools.book import lab_page, lab_picture

SETTINGS = 50
PANELS = ("gap", "entropy", "precision", "labels", "ascent", "stages")
READ = """
async () => {
  for (const _ of [1, 2]) await new Promise(requestAnimationFrame);
  const shown = { sentence: document.querySelector("#lab-sentence").textContent };
  for (const name of PANELS) {
    const svg = document.querySelector(`#lab-${name} svg`);
    if (svg === null) continue;
    const lines = [...svg.querySelectorAll(".grid")].map((line) => +line.getAttribute("y1"));
    const share = (y) => (lines[0] - y) / (lines[0] - lines.at(-1));
    const bars = [...svg.querySelectorAll(".solid, .bin")];
    const curves = {};
    for (const line of svg.querySelectorAll("polyline")) {
      const points = line.getAttribute("points").split(" ");
      curves[line.getAttribute("class")] = points.map((point) => share(+point.split(",")[1]));
    }
    shown[name] = {
      text: svg.getAttribute("aria-label"),
      curves,
      bars: bars.map((bar) => share(+bar.getAttribute("y"))),
      widths: bars.map((bar) => +bar.getAttribute("width")),
    };
  }
  return shown;
}
""".replace("PANELS", str(list(PANELS)))
AS_IN_THE_BOOK = """
() => {
  const content = document.createElement("div");
  content.className = "content";
  document.head.insertAdjacentHTML(
    "afterbegin",
    "<style>@media (max-width: 63em) { .content { overflow: auto; } }</style>"
  );
  const lab = document.querySelector("#lab");
  lab.replaceWith(content);
  content.append(lab);
}
"""
SET = """
({ attack, e1, gamma, e2, truth }) => {
  const change = (input, name) => input.dispatchEvent(new Event(name, { bubbles: true }));
  const radio = document.querySelector(`input[value=${attack}]`);
  radio.checked = true;
  change(radio, "change");
  for (const [name, place] of Object.entries({ e1, gamma, e2 })) {
    const slider = document.querySelector(`#lab-${name}`);
    slider.value = place;
    change(slider, "input");
  }
  const box = document.querySelector("#lab-truth");
  if (box.checked !== truth) box.click();
}
"""


@pytest.fixture(scope="module")
def tables():
    return lab_page.read_tables()


@pytest.fixture(scope="module")
def site(tmp_path_factory, tables, browser):
    """The address of the page, and its file."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "lab.html").write_text(lab_page.standalone(tables), encoding="utf-8")
    (folder / "favicon.ico").write_bytes(b"")
    handler = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/lab.html", folder / "lab.html"
        server.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A server that logs nothing."""

    def log_message(self, *_):
        pass


@pytest.fixture
def visit(site, browser):
    """A function that opens the page; at the end nothing has gone wrong in it."""
    visitors = []

    def open_page(width=1280, address=site[0]):
        visitors.append(Watched(browser, width))
        visitors[-1].page.goto(address)
        return visitors[-1]

    yield open_page
    for watched in visitors:
        assert watched.errors == []
        watched.context.close()


@pytest.fixture(scope="module")
def settings(tables):
    """Settings of the controls, drawn from a seed; a third of them have a fine-tuned end."""
    drawn = random.Random(0)
    found = []
    for number in range(SETTINGS):
        attack = drawn.choice(list(tables))
        grid = tables[attack]["made"]["grid"]
        of_ends = "end_" if number % 3 == 0 else ""
        e2s = grid["end_e2s"] if of_ends else range(grid["epochs"] + 1)
        setting = {
            "e1": drawn.choice(grid[f"{of_ends}e1s"]),
            "gamma": drawn.choice(grid[f"{of_ends}gammas"]),
            "e2": drawn.choice(list(e2s)),
        }
        found.append((attack, setting, number % 4 > 0))
    return found


def positions(table, setting):
    """Where the sliders are for a setting."""
    grid = table["made"]["grid"]
    e1 = grid["e1s"].index(setting["e1"])
    gamma = grid["gammas"].index(setting["gamma"])
    return {"e1": e1, "gamma": gamma, "e2": setting["e2"]}


def test_all_numbers_are_those_of_the_tables(visit, tables, settings):
    page = visit().page
    for attack, setting, truth in settings:
        table = tables[attack]
        page.evaluate(SET, {"attack": attack, "truth": truth, **positions(table, setting)})
        shown = page.evaluate(READ)
        where = f"{attack}, {setting}, truth {truth}"
        assert shown["sentence"] == lab_tables.expected_sentence(table, **setting, truth=truth)
        texts = lab_tables.expected_texts(table, **setting, truth=truth)
        assert set(shown) == {"sentence", *texts}, where
        for name, parts in texts.items():
            assert [part for part in parts if part not in shown[name]["text"]] == [], where
        expect_drawn(shown, table, setting, truth)


def expect_drawn(shown, table, setting, truth):
    """Check the places of curves and bars."""
    e1, gamma = setting["e1"], setting["gamma"]
    for name, curves in lab_tables.expected_curves(table, e1, gamma, truth).items():
        assert set(shown[name]["curves"]) == set(curves)
        for style, shares in curves.items():
            assert shown[name]["curves"][style] == pytest.approx(shares, abs=1e-3)
    bins = lab_tables.expected_bins(table, e1, truth)
    assert shown["entropy"]["bars"] == pytest.approx([height / 3 for height in bins], abs=1e-3)
    if truth:
        bars = lab_tables.expected_bars(table, **setting)
        assert shown["stages"]["bars"] == pytest.approx(bars, abs=1e-3)
    counts = lab_tables.expected_segments(table, e1, gamma, truth)
    widths = shown["labels"]["widths"]
    unit = sum(widths) / sum(counts)
    assert widths == pytest.approx([unit * count for count in counts], abs=0.05)


def test_what_a_defender_sees_holds_nothing_of_the_truth(visit):
    page = visit().page
    page.get_by_role("switch", name="Show what only the teacher knows").click()
    expect(page.locator(".lab-secret:visible")).to_have_count(2)
    text = page.locator("#lab").inner_text()
    texts = page.locator("#lab svg").evaluate_all("all => all.map((svg) => svg.ariaLabel)")
    secrets = ("ASR", "CA", "poisoned samples", "are poisoned", "samples are clean", "of them p")
    for word in secrets:
        assert word not in " ".join([text, *texts])
    assert page.locator("#lab svg .poisoned, #lab svg .clean").count() == 0


@pytest.mark.parametrize("served", [True, False])
def test_no_request_leaves_for_elsewhere(visit, site, served):
    """The page is one file. It works from a web server, and when it is opened as a file."""
    address, file = site
    watched = visit(address=address if served else file.as_uri())
    expect(watched.page.locator("#lab svg")).to_have_count(6)
    watched.page.locator("#lab-e2").press("End")
    assert [url for url in watched.addresses if not url.endswith(("/lab.html", "ico"))] == []


def focused(page):
    return page.evaluate("document.activeElement.id || document.activeElement.value")


def test_the_keyboard_alone_reaches_everything(visit, tables):
    page = visit().page
    reached = []
    for _ in range(7):
        page.keyboard.press("Tab")
        reached.append(focused(page))
    ids = ["lab-truth", "lab-reset", "lab-e1", "lab-gamma", "lab-e2"]
    first = next(iter(tables))
    assert [name for name in reached if name in (first, *ids)] == [first, *ids]
    page.locator("#lab-e2").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#lab-e2")).to_have_attribute("aria-valuetext", "1 epoch")
    expect(page.locator("#lab-sentence")).to_contain_text("1 epoch of unlearning has taken")
    page.keyboard.press("Tab")
    assert focused(page) == "lab-nearest"
    page.keyboard.press("Enter")
    expect(page.locator("#lab-sentence")).to_contain_text("Fine-tuning has brought CA to")
    page.get_by_role("radio", name=first).focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("input[name=lab-attack]:checked").input_value() == list(tables)[1]
    page.locator("#lab-truth").focus()
    page.keyboard.press("Space")
    expect(page.locator("#lab-sentence")).to_contain_text("suspects carry the label")


def test_a_screen_reader_is_told_what_changes(visit):
    page = visit().page
    expect(page.get_by_role("status")).to_have_id("lab-sentence")
    expect(page.get_by_role("status")).to_have_attribute("aria-live", "polite")
    for name in ("E1 learn", "γ suspect", "E2 unlearn"):
        expect(page.get_by_role("slider", name=name)).to_be_visible()
    drawings = page.get_by_role("img")
    expect(drawings).to_have_count(6)
    before = page.evaluate(READ)
    for slider in ("#lab-e1", "#lab-gamma", "#lab-e2"):
        page.locator(slider).press("End")
    after = page.evaluate(READ)
    for name in PANELS:
        assert before[name]["text"] != after[name]["text"]
        assert len(after[name]["text"]) > 30


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_screen(visit, width, scheme):
    page = visit(width).page
    page.emulate_media(color_scheme=scheme)
    for truth in (True, False):
        page.locator("#lab-truth").set_checked(truth)
        page.evaluate(READ)  # when it is drawn
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        outside = "all => all.filter((e) => e.getBoundingClientRect().right > innerWidth).length"
        assert page.locator("#lab *").evaluate_all(outside) == 0
        screenshot(page, f"lab-{width}-{scheme}-{truth}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("theme", ["light", "dark", "auto"])
def test_the_books_own_switch_comes_before_the_systems(visit, theme, scheme):
    page = visit().page
    page.emulate_media(color_scheme=scheme)
    page.evaluate("theme => (document.body.dataset.theme = theme)", theme)
    panel = page.locator("#lab-gap")
    surface = panel.evaluate("panel => getComputedStyle(panel).backgroundColor")
    ink = panel.evaluate("panel => getComputedStyle(panel).color")
    is_dark = (scheme if theme == "auto" else theme) == "dark"
    assert surface == ("rgb(23, 25, 28)" if is_dark else "rgb(255, 255, 255)")
    assert ink == ("rgb(236, 238, 240)" if is_dark else "rgb(26, 28, 30)")


@pytest.mark.parametrize("width", [390, 1280])
def test_the_sliders_stay_in_sight(visit, width):
    """Also in the book, whose theme lets the content of a narrow page scroll by itself."""
    page = visit(width).page
    page.evaluate(AS_IN_THE_BOOK)
    page.evaluate("window.scrollTo({ top: 900, behavior: 'instant' })")
    expect(page.locator("#lab-e2")).to_be_in_viewport()


def test_an_address_names_a_setting(visit, site):
    watched = visit()
    watched.page.locator("#lab-e2").press("Home")
    watched.page.locator("#lab-truth").press("Space")
    address = watched.page.url
    assert address.startswith(f"{site[0]}#attack=")
    other = visit(address=address).page
    expect(other.locator("#lab-e2-value")).to_have_text("0 epochs")
    assert not other.locator("#lab-truth").is_checked()
    told = watched.page.locator("#lab-sentence").inner_text()
    expect(other.locator("#lab-sentence")).to_have_text(told)
    strange = visit(address=f"{site[0]}#attack=none&e1=x&gamma=7&e2=99").page
    expect(strange.locator("#lab-e1-value")).not_to_be_empty()


def test_its_picture_is_small(browser, tables):
    picture = lab_picture.take(browser, tables)
    assert picture.startswith(b"\x89PNG")
    assert len(picture) < 300_000
    assert lab_picture.PICTURE.stat().st_size < 1_000_000

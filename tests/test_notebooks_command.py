"""``notebooks``: what it writes, that links hold there, and that it overwrites nothing."""

import re

import nbformat
import pytest

from dlp_lib.__main__ import main
from dlp_lib.experiments.links import check_address, relink
from dlp_lib.experiments.notebooks_command import write_notebooks
from dlp_lib.places import PROJECT

ADDRESS = "https://github.com/somebody/dlp"
PLACES = {"notebooks/00.ipynb": "00.ipynb", "docs/A.md": "docs/A.md", "docs/B.md": "docs/B.md"}


@pytest.fixture(scope="module", params=[False, True], ids=["all", "student"])
def written(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("course")
    return request.param, folder, write_notebooks(folder, request.param)


def texts(path):
    """The text of a guide, or of a notebook's cells of text."""
    if path.suffix == ".md":
        return path.read_text(encoding="utf-8")
    cells = nbformat.read(path, 4).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def test_every_notebook_and_every_preset_is_written(written):
    student, folder, files = written
    assert sorted(path.relative_to(folder).as_posix() for path in files) == sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )
    for path in (PROJECT / "notebooks").glob("*.ipynb"):
        assert folder / path.name in files
    for path in (PROJECT / "notebooks" / "params").glob("*.yaml"):
        assert (folder / "params" / path.name).read_bytes() == path.read_bytes()
    assert (folder / "docs" / "INSTRUCTOR.md").is_file() != student


def test_links_hold_there(written):
    _, folder, files = written
    links = []
    for path in files:
        if path.suffix in (".ipynb", ".md"):
            prose = re.sub(r"```.*?```", "", texts(path), flags=re.DOTALL)
            for link in re.findall(r"\]\(([^)\s#]+)[^)]*\)", prose):
                if "://" not in link:
                    links.append(path.parent / link)
    assert len(links) > 50
    assert [str(link) for link in links if not link.resolve().is_relative_to(folder)] == []
    assert [str(link) for link in links if not link.exists()] == []


def test_students_get_no_solutions_and_no_outputs(written):
    student, _, files = written
    for path in files:
        if path.suffix == ".ipynb":
            assert ("BEGIN SOLUTION" in path.read_text(encoding="utf-8")) != student
            cells = nbformat.read(path, 4).cells
            assert any(cell.get("outputs") for cell in cells) != student


def test_nothing_is_overwritten(tmp_path, capsys):
    mine = tmp_path / "course" / "07_live_lab.ipynb"
    mine.parent.mkdir()
    mine.write_text("mine", encoding="utf-8")
    with pytest.raises(SystemExit) as stop:
        main(["notebooks", str(mine.parent)])
    assert stop.value.code == 2
    assert (
        "it has 07_live_lab.ipynb already; allowed are folders without" in capsys.readouterr().err
    )
    assert [path.name for path in mine.parent.iterdir()] == ["07_live_lab.ipynb"]
    assert mine.read_text(encoding="utf-8") == "mine"


def test_it_says_what_it_wrote(tmp_path, capsys):
    main(["notebooks", str(tmp_path / "course"), "--student"])
    printed = capsys.readouterr().out
    count = len(list((PROJECT / "notebooks").glob("*.ipynb")))
    assert f"{count} notebooks in {tmp_path / 'course'}, 3 files of parameters in " in printed
    assert "python -m jupyterlab" in printed


@pytest.mark.parametrize(
    ("source", "text", "expected"),
    [
        ("notebooks/00.ipynb", "[a](../docs/A.md#x)", "[a](docs/A.md#x)"),
        ("notebooks/00.ipynb", "![a](../docs/A.md)", "![a](docs/A.md)"),
        ("docs/A.md", "[a](../notebooks/00.ipynb)", "[a](../00.ipynb)"),
        ("docs/A.md", "[a](B.md) [b](#here)", "[a](B.md) [b](#here)"),
        ("docs/A.md", "[a](https://example.org)", "[a](https://example.org)"),
        ("docs/A.md", "```\n[a](../README.md)\n```", "```\n[a](../README.md)\n```"),
    ],
)
def test_a_link_follows_its_file(source, text, expected):
    for address in ("", ADDRESS):
        assert relink(text, source, PLACES, address) == expected


def test_a_link_to_what_was_left_behind():
    text = "see [the\nREADME](../README.md#map)."
    assert relink(text, "docs/A.md", PLACES) == "see the\nREADME."
    published = relink(text, "docs/A.md", PLACES, ADDRESS)
    assert published == f"see [the\nREADME]({ADDRESS}/blob/main/README.md#map)."


@pytest.mark.parametrize("address", ["", ADDRESS, f"{ADDRESS}_lib.v2"])
def test_an_address(address):
    assert check_address(address) == address


@pytest.mark.parametrize(
    "address",
    [None, 5, "somebody/dlp", "http://github.com/a/b", f"{ADDRESS}/", "https://gitlab.com/a/b"],
)
def test_an_address_that_leads_nowhere(address):
    with pytest.raises(ValueError, match=r"address in \[tool.dlp_lib\] .*: allowed are \"\" and"):
        check_address(address)

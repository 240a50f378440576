"""The instructor's guide maps every attack to the catalogues of security."""

import re

import pytest

from dlp_lib import HOME, attacks
from dlp_lib.attacks import Attack
from dlp_lib.recipes import RECIPES

GUIDE = (HOME / "docs" / "INSTRUCTOR.md").read_text(encoding="utf-8")
GLOSSARY = (HOME / "docs" / "GLOSSARY.md").read_text(encoding="utf-8")
SECTION = GUIDE.split("## In the words of security frameworks")[1].split("\n## ")[0]
ID = r"AML\.[TM]\d{4}(?:\.\d{3})?|ML\d\d:2023|LLM\d\d:20\d\d|NISTAML\.\d{3}"
IN_REGISTRY = {name: setting.attack for name, setting in RECIPES["shapes10"].attacks.items()}


def rows(first):
    """The rows of the tables of the section whose first cell matches, as lists of cells."""
    lines = re.findall(r"^\| (.+) \|$", SECTION, re.MULTILINE)
    split = [line.split(" | ") for line in lines]
    return [cells for cells in split if re.fullmatch(first, cells[0])]


def test_every_attack_of_the_registry_stands_in_the_table_once():
    own = [item for item in vars(attacks).values() if isinstance(item, type)]
    offered = {item.__name__ for item in own if issubclass(item, Attack) and item is not Attack}
    assert offered == set(IN_REGISTRY)
    assert {cells[0] for cells in rows("[A-Z][A-Za-z]+") if len(cells) == 6} == offered


@pytest.mark.parametrize("name", IN_REGISTRY)
def test_a_row_says_of_an_attack_what_the_library_says(name):
    ((_, labels, atlas, owasp, llm, nist),) = rows(name)
    is_clean = IN_REGISTRY[name].clean_label
    assert labels == ("kept" if is_clean else "changed")
    assert nist == ("NISTAML.021" if is_clean else "NISTAML.023")
    assert {"AML.T0020", "AML.T0018.000", "AML.T0043.004"} <= set(atlas.split(", "))
    assert (owasp, llm) == ("ML02:2023", "LLM04:2025")


def test_every_number_has_its_name():
    named = {cells[0] for cells in rows(ID)}
    for name in IN_REGISTRY:
        for cell in rows(name)[0][2:]:
            assert set(re.findall(ID, cell)) <= named
    assert set(re.findall(ID, GLOSSARY)) <= named


def test_every_catalogue_has_a_source_with_an_address():
    sources = SECTION.split("Sources:")[1]
    for catalogue in ("ATLAS", "Machine Learning Security Top 10", "Language Model", "NIST"):
        (source,) = [text for text in sources.split("\n- ") if catalogue in text]
        assert re.search(r"20\d\d", source)
        assert "<https://" in source

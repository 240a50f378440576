"""The README's examples run, at a tiny size."""

import ast
import re
from dataclasses import replace

from quick_defences import QUICK

from dlp_lib import HOME, recipe_for

README = (HOME / "README.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
SMALLER = {  # what takes long, and what stands in its place here
    "steps=400": "steps=2, batch=8",
    "e1=5": "e1=2",
    "dlp_lib.TrojanNN(target=3)": "dlp_lib.TrojanNN(target=3, steps=3)",
    "tampered, 24,": "tampered, 1,",
    "defences.ABL()": 'QUICK["ABL"]',
    "defences.NAD()": 'QUICK["NAD"]',
    '"Blended", context': '"Blended", n_train=300, n_test=200, recipe=quick, context',
    "blended.defended()": "blended.defended(fixmatch=FixMatch(steps=2, batch=8))",
    'device="cuda", precision="bfloat16", captured=True': 'device="cpu"',
}


def smaller(source):
    """An example with little to do."""
    for old, new in SMALLER.items():
        source = source.replace(old, new)
    return source


def test_everything_that_is_made_smaller_is_in_the_readme():
    assert [old for old in SMALLER if old not in README] == []


def test_the_examples_run(shapes, tmp_path, monkeypatch, capsys):
    """One after the other, as a reader would: each goes on with the names of those before it."""
    monkeypatch.chdir(tmp_path)  # for the store
    clean, test = shapes
    names = {"images": clean.images, "labels": clean.labels, "clean": clean, "test": test}
    names["quick"] = replace(recipe_for("shapes10"), epochs=4)
    names["QUICK"] = QUICK
    for snippet in SNIPPETS:
        exec(compile(smaller(snippet), "README.md", "exec"), names)
    printed = capsys.readouterr().out
    assert "30 of 300 images poisoned (10.00%)" in printed
    assert names["result"].selection.suspected.numel() == 6
    assert (tmp_path / "build" / "store").is_dir()


def test_the_guides_hold_python():
    for page in [HOME / "README.md", *(HOME / "docs").glob("*.md")]:
        for snippet in re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.DOTALL):
            ast.parse(re.sub(r"^[!%].*$", "pass", snippet, flags=re.MULTILINE))

"""``defend`` on a folder, the files that it writes, and ``export``, which makes such a folder."""

import csv
import io
import json
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save, save_file

import dlp_lib
from dlp_lib import DLP, BadNets, Context, Runtime, Selection, Split, Store, data, poison, predict
from dlp_lib.__main__ import main
from dlp_lib.data import folder as folders
from dlp_lib.defences import ABL, AgreedE1
from dlp_lib.experiments.defend import command, pictures, progress, settings, table, text, work
from dlp_lib.models import build
from dlp_lib.recipes import CIFAR10, SMALL_FOLDER, recipe_for

QUICK = [
    *("--gamma", "0.05", "--e1", "1", "--e2", "2", "--steps", "2", "--batch", "16"),
    *("-p", "fixmatch.batch=4", "-p", "fixmatch.mu=1", "-p", "unlearn.reestimate=20"),
]
QUICK_ABL = [
    *("--defence", "ABL", "-p", "isolated=0.05", "-p", "unlearn_epochs=1"),
    *("-p", "isolation.epochs=1", "-p", "training.epochs=1", "-p", "unlearning.reestimate=20"),
]


def small_split(n=40, classes=("ant", "bee"), size=8):
    """Random images; their values tell them apart."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(256, (n, 3, size, size), generator=generator, dtype=torch.uint8)
    return Split(images, torch.arange(n) % len(classes), classes)


def defend(folder, out, store, *more):
    command.main([str(folder), "--out", str(out), "--store", str(store), *QUICK, *more])


def rows_of(path):
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A folder of 40 images."""
    folder = tmp_path_factory.mktemp("lab") / "images"
    dlp_lib.export(small_split(), folder)
    return folder


@pytest.fixture(scope="module")
def defended(lab, tmp_path_factory):
    """The folder that ``defend`` writes."""
    place = tmp_path_factory.mktemp("defended")
    defend(lab, place / "out", place / "store")
    return place / "out"


# Paths


def with_paths(split):
    return replace(split, paths=tuple(f"{number}.png" for number in range(len(split))))


@pytest.mark.parametrize(
    "rows",
    [torch.tensor([5, 0, 2]), torch.arange(40) % 3 == 0, slice(3, 9), slice(None)],
    ids=["indices", "mask", "slice", "all"],
)
def test_paths_follow_their_images(rows):
    split = with_paths(small_split())
    part = split.subset(rows)
    for image, path in zip(part.images, part.paths, strict=True):
        assert torch.equal(image, split.images[int(path.removesuffix(".png"))])


def test_paths_stay_through_poisoning_and_change_no_digest(context):
    split = small_split()
    named = with_paths(split)
    assert named.digest == split.digest
    assert split.subset(slice(4)).paths is None
    assert poison(named, BadNets(), 0.1, context)[0].paths == named.paths
    assert data.imbalanced(named, 2).paths[-1] == "39.png"


def test_paths_are_one_for_each_image():
    with pytest.raises(ValueError, match="paths: 3 names; allowed is one for each of 40 images"):
        replace(small_split(), paths=("a", "b", "c"))


@pytest.mark.parametrize("parts", [("",), ("train/", "test/")], ids=["no parts", "parts"])
def test_a_loaded_folder_knows_its_files(tmp_path, parts):
    for part in parts:
        for index in range(10):
            path = tmp_path / f"{part}{'ab'[index % 2]}" / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), (20 * index, 0, 0)).save(path)
    train, test = dlp_lib.load(tmp_path, n_train=4)
    assert not set(train.paths) & set(test.paths)
    for split in (train, test):
        for image, path in zip(split.images, split.paths, strict=True):
            assert Image.open(tmp_path / path).getpixel((0, 0))[0] == image[0, 0, 0]


@pytest.mark.parametrize("others", [[], ["test"]])
def test_the_training_images_are_those_of_train(tmp_path, others):
    dlp_lib.export(small_split(), tmp_path)
    for part in others:
        dlp_lib.export(small_split(), tmp_path, part=part)
    found = folders.load_training(tmp_path, None, 64, Store())
    assert len(found) == 40
    assert all(path.startswith("train/") for path in found.paths)


def test_a_class_may_be_called_train(tmp_path):
    dlp_lib.export(small_split(), tmp_path)
    (tmp_path / "train" / "ant").rename(tmp_path / "bus")
    for path in (tmp_path / "train" / "bee").iterdir():
        path.rename(tmp_path / "train" / path.name)
    (tmp_path / "train" / "bee").rmdir()
    found = folders.load_training(tmp_path, None, 64, Store())
    assert found.classes == ("bus", "train")


def test_large_images_are_reduced_where_no_size_is_given(tmp_path):
    dlp_lib.export(small_split(4, size=20), tmp_path)
    assert folders.load_training(tmp_path, None, 16, Store()).images.shape[-1] == 16
    assert folders.load_training(tmp_path, None, 64, Store()).images.shape[-1] == 20
    assert folders.load_training(tmp_path, 24, 16, Store()).images.shape[-1] == 24


# The table of a selection


def test_the_table_has_every_sample_in_the_order_of_suspicion():
    split = with_paths(small_split(5))
    suspicion = torch.tensor([0.1, 0.9, 0.3, 0.9, 0.2])
    selection = Selection(torch.tensor([1, 3]), torch.tensor([0]), (1, 0), False)
    rows = selection.table(split, suspicion, entropy=1 - suspicion)
    order = sorted(range(5), key=lambda sample: (-suspicion[sample], sample))
    assert [row["file"] for row in rows] == [f"{sample}.png" for sample in order]
    assert [row["rank"] for row in rows] == [1, 2, 3, 4, 5]
    statuses = ["suspected", "suspected", "other", "other", "trusted"]
    assert [row["status"] for row in rows] == statuses
    assert list(rows[0]) == ["file", "label", "entropy", "rank", "status"]
    for row, sample in zip(rows, order, strict=True):
        assert row["label"] == split.classes[sample % 2]
        assert row["entropy"] == pytest.approx(1 - suspicion[sample].item())
    assert selection.table(small_split(5), suspicion)[0]["file"] == "1"


@pytest.mark.parametrize("name", ["suspicion", "entropy"])
def test_the_table_wants_a_value_for_each_sample(name):
    values = {"suspicion": torch.zeros(5), "entropy": torch.zeros(5), name: torch.zeros(4)}
    selection = Selection(torch.tensor([1]), torch.tensor([0]), (1, 0), False)
    with pytest.raises(ValueError, match=rf"{name}: shape \(4,\); allowed is \(5,\)"):
        selection.table(small_split(5), **values)


# Models in files


@pytest.mark.parametrize("architecture", ["WRN-16-1", "MobileNetV2"])
def test_a_loaded_model_predicts_the_same(architecture, tmp_path):
    images = small_split(6, size=16).images
    model = build(architecture, 2, Runtime(3))
    model.train()
    model(images.float() / 255)  # its statistics are no longer those of the start
    dlp_lib.save_model(model, tmp_path / "m.safetensors", architecture, ("ant", "bee"), 16)
    loaded = dlp_lib.load_model(tmp_path / "m.safetensors")
    assert not loaded.training
    assert loaded.classes == ("ant", "bee")
    assert loaded.image_size == 16
    assert torch.equal(predict(loaded, images), predict(model, images))
    assert all(weight.requires_grad for weight in loaded.parameters())


def test_a_model_is_saved_under_its_own_architecture_only(tmp_path):
    model = build("WRN-16-1", 2, Runtime())
    place = tmp_path / "m.safetensors"
    with pytest.raises(ValueError, match="architecture='WRN': allowed are WRN-16-1"):
        dlp_lib.save_model(model, place, "WRN", ("ant", "bee"), 16)
    with pytest.raises(ValueError, match="do not fit"):
        dlp_lib.save_model(model, place, "MobileNetV2", ("ant", "bee"), 16)
    with pytest.raises(ValueError, match="do not fit"):
        dlp_lib.save_model(model, place, "WRN-16-1", ("ant", "bee", "cat"), 16)
    assert not place.exists()


FACTS = {"architecture": "WRN-16-1", "classes": ["ant", "bee"], "image_size": 16}
WRONG_FACTS = [
    None,
    "no JSON",
    "[" * 10_000,
    "[]",
    json.dumps(FACTS | {"architecture": "os.system"}),
    json.dumps(FACTS | {"architecture": ["WRN-16-1"]}),
    json.dumps(FACTS | {"classes": ["ant"]}),
    json.dumps(FACTS | {"classes": "ab"}),
    json.dumps(FACTS | {"classes": [1, 2]}),
    json.dumps(FACTS | {"classes": ["ant", "bee", "cat"]}),
    json.dumps(FACTS | {"image_size": "16"}),
    json.dumps({"architecture": "WRN-16-1"}),
]


@pytest.mark.parametrize("facts", WRONG_FACTS)
def test_a_file_that_is_no_saved_model_is_named(facts, tmp_path):
    tensors = build("WRN-16-1", 2, Runtime()).state_dict()
    tensors = {name: value.contiguous() for name, value in tensors.items()}
    place = tmp_path / "m.safetensors"
    save_file(tensors, place, None if facts is None else {"dlp_lib": facts})
    with pytest.raises(ValueError, match=r"m\.safetensors: "):
        dlp_lib.load_model(place)


@pytest.mark.parametrize("damage", ["empty", "cut", "text", "other kind", "other shape"])
def test_a_damaged_model_is_named(damage, defended, tmp_path):
    whole = (defended / "model.safetensors").read_bytes()
    contents = {"empty": b"", "cut": whole[:-1], "text": b"no model" * 99}
    if damage not in contents:
        tensors = load_file(defended / "model.safetensors")
        weights = tensors["head.weight"]
        changed = {"other kind": weights.half(), "other shape": weights[:1].clone()}
        tensors["head.weight"] = changed[damage]
        contents[damage] = save(tensors, {"dlp_lib": json.dumps(FACTS)})
    place = tmp_path / "m.safetensors"
    place.write_bytes(contents[damage])
    with pytest.raises(ValueError, match=r"m\.safetensors: "):
        dlp_lib.load_model(place)


# Export


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("part", ["train", "test"])
def test_what_is_exported_is_loaded_pixel_for_pixel(part, shuffle, tmp_path):
    split = small_split(classes=("bee", "ant"))  # a folder has its classes in another order
    paths = dlp_lib.export(split, tmp_path, part=part, shuffle=shuffle)
    loaded = folders.load_training(tmp_path / part, None, 64, Store())
    assert len(loaded) == 40
    sample_of = {path: sample for sample, path in enumerate(paths)}
    for row, path in enumerate(loaded.paths):
        sample = sample_of[f"{part}/{path}"]
        assert torch.equal(loaded.images[row], split.images[sample])
        name = loaded.classes[loaded.labels[row]]
        assert name == split.classes[split.labels[sample]]


def test_exported_names_do_not_tell_what_is_poisoned(tmp_path, context):
    """In the order of a set that was sorted by class, the numbers of poisoned images stand out."""
    clean = small_split(200)
    clean = clean.subset(clean.labels.argsort(stable=True))
    tampered, truth = poison(clean, BadNets(patch=2), 0.2, context)
    numbers = {}
    for shuffle in (True, False):
        paths = dlp_lib.export(tampered, tmp_path / str(shuffle), shuffle=shuffle)
        numbers[shuffle] = torch.tensor([int(path[-9:-4]) for path in paths])
        assert sorted(numbers[shuffle].tolist()) == list(range(200))
    ants = tampered.labels == 0
    in_order = numbers[False]
    assert in_order[truth.poisoned].min() > in_order[ants & ~truth.poisoned].max()
    shuffled = numbers[True]
    assert shuffled[truth.poisoned].min() < 20
    assert shuffled[truth.poisoned].max() >= 180
    assert abs(shuffled[truth.poisoned].double().mean() - 99.5) < 25


def test_the_truth_goes_elsewhere(tmp_path, context):
    tampered, truth = poison(small_split(), BadNets(patch=2), 0.1, context)
    paths = dlp_lib.export(tampered, tmp_path / "lab", truth, tmp_path / "kept" / "truth.csv")
    rows = rows_of(tmp_path / "kept" / "truth.csv")
    assert [row["file"] for row in rows] == list(paths)
    assert [row["poisoned"] == "yes" for row in rows] == truth.poisoned.tolist()
    names = [tampered.classes[label] for label in truth.labels]
    assert [row["true_label"] for row in rows] == names
    assert sorted(path.name for path in (tmp_path / "lab").iterdir()) == ["train"]


REFUSED_EXPORTS = [
    ("it holds train already", {"folder": "full"}),
    ("a file of this name is there", {"folder": "file"}),
    ("part='val': allowed are 'train' and 'test'", {"part": "val"}),
    ("seed=-1", {"seed": -1}),
    ("allowed are both, or neither", {"truth_file": None}),
    ("allowed are both, or neither", {"truth": None}),
    ("allowed are files elsewhere", {"truth_file": "new/train/truth.csv"}),
    ("it is there already", {"truth_file": "file"}),
    ("it is about 3 images, and the set has 40", {"about": 3}),
    ("'cat' has no image", {"classes": ("ant", "bee", "cat")}),
    ("'../bee' cannot name", {"classes": ("ant", "../bee")}),
    (r"'bee\\\\x' cannot name", {"classes": ("ant", "bee\\x")}),
    ("'' cannot name", {"classes": ("ant", "")}),
    ("'.bee' cannot name", {"classes": ("ant", ".bee")}),
    ("'Ant' is there twice", {"classes": ("Ant", "ant")}),
]


@pytest.mark.parametrize(("message", "changes"), REFUSED_EXPORTS)
def test_export_refuses_before_any_work(message, changes, tmp_path):
    (tmp_path / "full" / "train").mkdir(parents=True)
    (tmp_path / "file").write_text("", encoding="utf-8")
    arguments = {"folder": "new", "truth_file": "truth.csv", "classes": ("ant", "bee"), "about": 40}
    arguments |= changes
    split = replace(small_split(), classes=arguments.pop("classes"))
    about = arguments.pop("about")
    truth = dlp_lib.Truth(torch.zeros(about, dtype=torch.bool), split.labels[:about], about)
    for name in ("folder", "truth_file"):
        if arguments[name] is not None:
            arguments[name] = tmp_path / arguments[name]
    arguments.setdefault("truth", truth)
    with pytest.raises((ValueError, FileExistsError), match=message):
        dlp_lib.export(split, **arguments)
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / "truth.csv").exists()


def test_an_export_that_was_stopped_leaves_no_part_of_it(tmp_path, monkeypatch):
    written = []

    def stop_after_three(image, path, *options):
        written.append(path)
        if len(written) > 3:
            raise KeyboardInterrupt
        original(image, path, *options)

    original = Image.Image.save
    monkeypatch.setattr(Image.Image, "save", stop_after_three)
    with pytest.raises(KeyboardInterrupt):
        dlp_lib.export(small_split(), tmp_path)
    assert list(tmp_path.iterdir()) == []


# Names that could do harm

NAMES = [
    "=1+1",
    "+1",
    "-1",
    "@a",
    "\t=1",
    "\r=1",
    "＝1",
    'a"b',
    "a,b",
    "a\nb",
    "a;=1+1",
    "plain",
    "é",
]


@pytest.mark.parametrize("name", NAMES)
def test_no_cell_begins_like_a_formula(name):
    path = f"{name}/0.png"
    content = table.to_csv([{"file": path, "label": name, "entropy": 0.25, "rank": 1}]).decode()
    (row,) = csv.DictReader(io.StringIO(content, newline=""))
    for cell in row.values():
        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝"))
    assert row["file"].removeprefix("./") == path
    assert row["label"].removeprefix("'") == name
    assert row["entropy"] == "0.25"


def test_a_path_of_broken_bytes_can_be_written():
    content = table.to_csv([{"file": "\udcff.png", "label": "a"}])
    assert rb"\udcff.png" in content
    content.decode()


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("<b>&\"'", "&lt;b&gt;&amp;&quot;&#x27;"),
        ("a\u202egnp.exe", r"a\u202egnp.exe"),
        ("a\nb\0", r"a\nb\x00"),
        ("\udcff", r"\udcff"),
        ("für 猫", "für 猫"),
    ],
)
def test_names_are_escaped_for_the_page(name, shown):
    assert text.escape(name) == shown


# The command


class Page(HTMLParser):
    """What tags and which attributes a page has."""

    def __init__(self, source):
        super().__init__()
        self.tags = []
        self.texts = []
        self.feed(source)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, content):
        self.texts.append(content)

    def attributes(self, tag):
        return [attributes for other, attributes in self.tags if other == tag]


def test_defend_writes_three_files(defended):
    names = sorted(path.name for path in defended.iterdir())
    assert names == ["model.safetensors", "report.html", "suspects.csv"]


def test_the_table_covers_the_training_set(lab, defended):
    rows = rows_of(defended / "suspects.csv")
    files = {path.relative_to(lab).as_posix() for path in lab.rglob("*.png")}
    assert {row["file"] for row in rows} == files
    assert len(rows) == len(files) == 40
    assert list(rows[0]) == ["file", "label", "entropy", "answer", "rank", "status"]
    assert all(row["label"] == row["file"].split("/")[1] for row in rows)
    counts = [[row["status"] for row in rows].count(status) for status in ("suspected", "trusted")]
    assert counts == [2, 4]
    assert [row["status"] for row in rows[:2]] == ["suspected", "suspected"]
    entropies = [float(row["entropy"]) for row in rows]
    assert entropies == sorted(entropies)


def test_the_model_is_the_one_that_answers_in_the_table(lab, defended):
    model = dlp_lib.load_model(defended / "model.safetensors")
    split = folders.load_training(lab, None, 64, Store())
    answers = predict(model, split.images).argmax(1).tolist()
    found = {row["file"]: row["answer"] for row in rows_of(defended / "suspects.csv")}
    assert found == {
        path: model.classes[answer] for path, answer in zip(split.paths, answers, strict=True)
    }


def test_the_page_needs_nothing_from_elsewhere(defended):
    source = (defended / "report.html").read_text(encoding="utf-8")
    page = Page(source)
    assert not {"script", "link", "iframe", "object", "form"} & {tag for tag, _ in page.tags}
    images = page.attributes("img")
    assert len(images) == 2 + 4 + 2  # suspects, trusted images, two means
    for attributes in images:
        assert attributes["src"].startswith("data:image/png;base64,")
        assert attributes["alt"]
    assert "http" not in source.replace("http-equiv", "")
    policy = [
        attributes["content"] for attributes in page.attributes("meta") if "content" in attributes
    ]
    assert any("default-src 'none'" in content for content in policy)
    assert "prefers-color-scheme: dark" in source
    (drawing,) = page.attributes("svg")
    assert drawing["role"] == "img"
    cuts = [attributes["class"] for attributes in page.attributes("line")]
    assert {"cut-suspected", "cut-trusted"} <= set(cuts)


@pytest.mark.parametrize("values", [torch.linspace(0, 3.3, 500) ** 2, torch.zeros(500)])
def test_the_bars_of_the_histogram_hold_every_sample(values):
    cuts = [pictures.Cut(values[50].item(), "first", "cut-suspected")]
    drawing = Page(pictures.histogram_svg(values, cuts, "entropy", "a < b"))
    bars = drawing.attributes("rect")
    lowest = max(float(bar["y"]) + float(bar["height"]) for bar in bars)
    tallest = max(float(bar["height"]) for bar in bars)
    most = np.histogram(values.numpy(), 40, (0, values.max().item() or 1))[0].max()
    scale = np.log1p(most) / tallest
    counts = [np.expm1(scale * float(bar["height"])) for bar in bars]
    assert sum(round(count) for count in counts) == 500
    (cut,) = [line for line in drawing.attributes("line") if line["class"] == "cut-suspected"]
    share = values[50].item() / (values.max().item() or 1)
    left, right = (float(drawing.attributes("line")[0][end]) for end in ("x1", "x2"))
    assert float(cut["x1"]) == pytest.approx(left + share * (right - left), abs=0.1)
    assert float(cut["y2"]) == pytest.approx(lowest, abs=0.11)
    assert "a < b" in drawing.texts  # the words for those who cannot see it


@pytest.mark.parametrize(
    ("highest", "ticks"),
    [(3.3, [0, 1, 2, 3]), (2.3, [0, 0.5, 1, 1.5, 2]), (99, [0, 20, 40, 60, 80])],
)
def test_ticks_are_round(highest, ticks):
    assert pictures._round_ticks(highest) == ticks


HOSTILE = "<img src=x onerror=alert(1)>"


def test_hostile_names_are_harmless_everywhere(tmp_path):
    folder = tmp_path / HOSTILE
    dlp_lib.export(small_split(), folder)
    (folder / "train" / "bee").rename(folder / "train" / HOSTILE)
    (folder / "train" / "ant").rename(folder / "train" / "=cmd|' C'!A0")
    for path in list(folder.rglob("*.png")):
        path.rename(path.with_name(f'"><script>{path.name}'))
    defend(folder, tmp_path / "out", tmp_path / "store", "--steps", "1")
    page = Page((tmp_path / "out" / "report.html").read_text(encoding="utf-8"))
    assert not [attributes for tag, attributes in page.tags if "onerror" in attributes]
    assert "script" not in {tag for tag, _ in page.tags}
    assert f"Which images of {HOSTILE} are suspected" in page.texts
    rows = rows_of(tmp_path / "out" / "suspects.csv")
    assert all((folder / row["file"]).is_file() for row in rows)
    assert {row["label"] for row in rows} == {HOSTILE, "'=cmd|' C'!A0"}
    assert dlp_lib.load_model(tmp_path / "out" / "model.safetensors").classes[0] == HOSTILE


class Stopped(Exception):
    """Stands for a kill: nothing catches it."""


@pytest.mark.parametrize("stage", ["SL", "AU", "ASSFT", "writing"])
def test_killed_and_run_again_gives_the_same_files(stage, lab, defended, tmp_path, monkeypatch):
    computed = []

    def note(bars, name, block, blocks, row):
        computed.append((name, block))
        if name == stage:
            raise Stopped

    def stop(*_):
        raise Stopped

    monkeypatch.setattr(command, "_announce", lambda job: None)
    monkeypatch.setattr(progress.Bars, "__call__", note)
    if stage == "writing":
        monkeypatch.setattr(command, "save_model", stop)
    with pytest.raises(Stopped):
        defend(lab, tmp_path / "out", tmp_path / "store")
    assert not (tmp_path / "out" / "report.html").exists()
    monkeypatch.undo()
    monkeypatch.setattr(command, "_announce", lambda job: None)
    monkeypatch.setattr(progress.Bars, "__call__", lambda bars, *done: computed.append(done[:2]))
    defend(lab, tmp_path / "out", tmp_path / "store")
    assert len(computed) == len(set(computed)) == 1 + 2 + 1  # no block is computed twice
    for path in defended.iterdir():
        assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes(), path.name


@pytest.mark.parametrize(
    ("stop", "said"), [(KeyboardInterrupt(), "Ctrl-C"), (OSError(28, "No space left"), "No space")]
)
def test_a_stop_ends_with_a_sentence(stop, said, lab, tmp_path, monkeypatch):
    def end(*_):
        raise stop

    monkeypatch.setattr(command, "_announce", lambda job: None)
    monkeypatch.setattr(command, "run", end)
    places = ["--out", str(tmp_path / "out"), "--store", str(tmp_path / "store")]
    with pytest.raises(SystemExit, match=f"{said}.*run it again to go on"):
        main(["defend", str(lab), *places])


def test_a_run_that_diverges_says_so(lab, tmp_path):
    with pytest.raises(SystemExit, match="SL diverged"):
        defend(lab, tmp_path / "out", tmp_path / "store", "-p", "supervised.lr=1e30")
    assert not (tmp_path / "out").exists()


def test_abl_gives_a_list_and_a_model_too(lab, tmp_path, capsys):
    places = ["--out", str(tmp_path / "out"), "--store", str(tmp_path / "store")]
    command.main([str(lab), *places, *QUICK_ABL])
    rows = rows_of(tmp_path / "out" / "suspects.csv")
    assert list(rows[0]) == ["file", "label", "loss", "answer", "rank", "status"]
    assert [row["status"] for row in rows] == ["suspected"] * 2 + ["other"] * 38
    losses = [float(row["loss"]) for row in rows]
    assert losses == sorted(losses)
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "This defence trusts no image" in page
    assert dlp_lib.load_model(tmp_path / "out" / "model.safetensors").classes == ("ant", "bee")
    assert "about " in capsys.readouterr().out


REFUSED = [
    ("folder='{}/none': there is no such folder", ["{}/none"]),
    ("it is a file; allowed are folders", ["{}/images", "--out", "{}/file"]),
    ("where it would count as a class", ["{}/images", "--out", "{}/images/report"]),
    ("defence='FP': it needs images that are known to be clean", ["--defence", "FP"]),
    ("defence='NAD': it needs images that are known to be clean", ["--defence", "NAD"]),
    ("defence='DBD': it does not say which images it suspects", ["--defence", "DBD"]),
    ("defence='dlp': allowed are DLP and ABL", ["--defence", "dlp"]),
    ("gamma=0.1: a setting of DLP", ["--defence", "ABL", "--gamma", "0.1"]),
    ("e1=3: a setting of DLP", ["--defence", "ABL", "--e1", "3"]),
    ("argument --store: '{}/file': {}/file is a file", ["{}/images", "--store", "{}/file"]),
    ("gamma=1.5: allowed are fractions", ["--gamma", "1.5"]),
    ("gamma=0.001 selects no sample of 40", ["--gamma", "0.001"]),
    ("e1='soon': allowed are auto and", ["--e1", "soon"]),
    ("e1='0': allowed are auto and", ["--e1", "0"]),
    ("e2=-1: allowed", ["--e2", "-1"]),
    ("size=4: allowed are whole numbers (int) ≥ 8", ["--size", "4"]),
    ("seed=-1: allowed", ["--seed", "-1"]),
    ("device='tpu': allowed", ["--device", "tpu"]),
    ("architecture='VGG': allowed", ["--architecture", "VGG"]),
    (
        "images of (8, 8) pixels: allowed are 16×16",
        ["--gamma", "0.1", "--architecture", "ResNet18"],
    ),
    ("order=SL: it leaves the backdoor in the model", ["-p", "order=SL"]),
    ("-p mu: allowed is NAME=VALUE", ["-p", "mu"]),
    ("-p mu=3: allowed are gamma, e1, e2, order", ["-p", "mu=3"]),
    ("-p fixmatch.mu=3.5: allowed are whole numbers", ["-p", "fixmatch.mu=3.5"]),
    ("-p fixmatch.mu=True: allowed are whole numbers", ["-p", "fixmatch.mu=True"]),
    ("immunise=1.5: allowed are finite numbers", ["-p", "fixmatch.immunise=1.5"]),
    ("-p unlearn.lr=fast: allowed are numbers", ["-p", "unlearn.lr=fast"]),
    ("-p unlearn.stop=1: allowed are True and False", ["-p", "unlearn.stop=1"]),
    ("quota='some': allowed are", ["-p", "quota=some"]),
]


@pytest.mark.parametrize(("message", "arguments"), REFUSED)
def test_defend_refuses_before_any_work(message, arguments, lab, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "run", lambda *_: pytest.fail("it works"))
    (tmp_path / "images").symlink_to(lab)
    (tmp_path / "file").write_text("", encoding="utf-8")
    arguments = [argument.replace("{}", str(tmp_path)) for argument in arguments]
    if not arguments[0].startswith(str(tmp_path)):
        arguments = [str(lab), *arguments]
    if "--out" not in arguments:
        arguments += ["--out", str(tmp_path / "out")]
    if "--store" not in arguments:
        arguments += ["--store", str(tmp_path / "store")]
    with pytest.raises(SystemExit):
        command.main(arguments)
    printed = " ".join(capsys.readouterr().err.split())
    assert message.replace("{}", str(tmp_path)) in printed
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("defence", "assignment", "value"),
    [
        ("DLP", "unlearn.stop=False", False),
        ("DLP", "unlearn.stop=no", False),
        ("DLP", "unlearn.lr=1.5e-3", 0.0015),
        ("DLP", "fixmatch.mu=3", 3),
        ("DLP", "fixmatch.steps=2e3", 2000),
        ("DLP", "quota=total", "total"),
        ("DLP", "quota='total'", "total"),
        ("DLP", "order=SL-AU", ("SL", "AU")),
        ("DLP", "order=[SL, AU]", ("SL", "AU")),
        ("ABL", "training.drops=(2,)", (2,)),
        ("ABL", "training.drops=[2]", (2,)),
        ("ABL", "training.drops=2,3", (2, 3)),
    ],
)
def test_p_takes_values_as_yaml_and_as_python_write_them(defence, assignment, value):
    method = settings.method_of(defence, SMALL_FOLDER)
    changed = settings.settings_of(settings.with_assignments(method, [assignment]))
    assert changed[assignment.partition("=")[0]] == value


def test_settings_come_from_the_recipe_then_the_options_then_p():
    few = recipe_for("some/folder", 900)
    assert few is SMALL_FOLDER
    assert recipe_for("some/folder", 10_000) is recipe_for("some/folder") is CIFAR10
    assert recipe_for("shapes10", 900) is recipe_for("shapes10")
    options = {"gamma": 0.1, "e1": None, "e2": 3, "batch": 8, "steps": None}
    method = settings.with_options(settings.method_of("DLP", few), options)
    assignments = ["e2=4", "unlearn.stop=False", "unlearn.lr=5e-4", "quota=total", "order=SL-AU"]
    method = settings.with_assignments(method, assignments)
    changed = {
        "gamma": 0.1,
        "e2": 4,
        "supervised.batch": 8,
        "unlearn.stop": False,
        "unlearn.lr": 5e-4,
        "quota": "total",
        "order": ("SL", "AU"),
    }
    assert settings.settings_of(method) == settings.settings_of(few.dlp) | changed
    assert isinstance(settings.method_of("ABL", few), ABL)


SURE = AgreedE1(2, label=1, hardest=0.1, others=0.4)
DOUBTFUL = AgreedE1(2, label=1, hardest=0.6, others=0.4)


@pytest.mark.parametrize(("agreed", "e1"), [(SURE, 2), (DOUBTFUL, 2), (None, 3)])
def test_e1_is_where_the_suspects_agree_or_the_recipes(agreed, e1, monkeypatch):
    monkeypatch.setattr(work, "agreed_e1", lambda *_: agreed)
    quick = DLP(gamma=0.05, e1=3, e2=1, order=("SL", "AU"))
    outcome = work.run(build("WRN-16-1", 2, Runtime()), small_split(), quick, True, Context())
    assert outcome.method.e1 == e1
    assert outcome.search.epochs == len(outcome.search.agreement) == 6
    assert len(outcome.result.stages["SL"].history) == e1
    page = command.report(outcome, "images", {"seed": 0})
    assert ("The suspects agree." in page) == (agreed is not None)
    assert ("The suspects did not agree." in page) == (agreed is None)
    assert ("There is doubt." in page) == (agreed is DOUBTFUL)
    assert "It was looked for among 6 epochs." in " ".join(page.split())


def test_the_time_is_said_before_the_work_begins(lab, tmp_path, monkeypatch, capsys):
    def stop(*_):
        raise Stopped

    monkeypatch.setattr(command, "run", stop)
    with pytest.raises(Stopped):
        defend(lab, tmp_path / "out", tmp_path / "store")
    printed = capsys.readouterr().out
    assert "40 images in 2 classes, 8×8 pixels" in printed
    assert "DLP: gamma 0.05, E1 1, E2 at most 2" in printed
    for stage in ("about", "supervised learning", "unlearning", "fine-tuning"):
        assert stage in printed


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "E1 chosen among 20 epochs"),
        (["--e1", "auto"], "E1 chosen among 20 epochs"),
        (["--e1", "7"], "E1 7,"),
        (["-p", "e1=7"], "E1 7,"),
    ],
)
def test_e1_is_chosen_unless_it_is_given(arguments, said, lab, tmp_path, monkeypatch, capsys):
    received = []
    monkeypatch.setattr(command, "estimate", lambda *_: {"SL": 1.0})
    monkeypatch.setattr(command, "run", lambda *given: received.append(given[3]) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        places = ["--out", str(tmp_path / "out"), "--store", str(tmp_path / "store")]
        command.main([str(lab), *places, "--gamma", "0.1", *arguments])
    assert said in capsys.readouterr().out
    assert received == ["chosen" in said]


class Terminal(io.StringIO):
    """A stream that can rewrite a line, or not."""

    def __init__(self, isatty):
        super().__init__()
        self.isatty = lambda: isatty


@pytest.mark.parametrize(("isatty", "lines"), [(True, 1), (False, 4)])
def test_bars_are_one_line_in_a_terminal_and_four_in_a_file(isatty, lines):
    stream = Terminal(isatty)
    bars = progress.Bars(stream)
    for block in range(1, 9):
        bars("AU", block, 8, {})
    printed = stream.getvalue()
    assert printed.count("\n") == lines
    assert printed.count("\r") == (8 if isatty else 0)
    assert f"unlearning           [{'#' * progress.WIDTH}]   8 of 8" in printed


def test_a_bar_counts_the_time_of_its_own_stage(monkeypatch):
    clock = iter([0, 100, 110, 112])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    stream = Terminal(True)
    bars = progress.Bars(stream)  # at 0
    bars.start()  # at 100
    bars("SL", 3, 7, {})  # two were done before; at 110
    assert "40 s left" in stream.getvalue()
    bars("SL", 4, 7, {})  # at 112
    assert "18 s left" in stream.getvalue()


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.2, "1 s"), (99, "99 s"), (130, "2 min"), (9000, "2.5 h")]
)
def test_durations_are_rough(seconds, shown):
    assert progress.duration(seconds) == shown

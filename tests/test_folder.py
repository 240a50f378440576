import re
from pathlib import Path

import numpy as np
import pytest
from image_folders import count_decoded, save, save_all

from dlp_lib import HOME, Store, load
from dlp_lib.data import cifar10, datasets, decoding, image_file, memory


@pytest.fixture
def folder(tmp_path):
    """Two classes, train/ and test/, files of several modes, formats and sizes."""
    for index, (mode, ending) in enumerate(
        [("RGB", "png"), ("L", "png"), ("P", "gif"), ("RGBA", "png"), ("RGB", "jpg")]
    ):
        save(tmp_path / "set" / "train" / "ant" / f"{index}.{ending}", mode, (12 + index, 10))
    save(tmp_path / "set" / "train" / "bee" / "0.png", "RGB")
    for name in ("ant", "bee"):
        save(tmp_path / "set" / "test" / name / "0.png", "RGB", value=7)
    return tmp_path / "set"


def test_a_folder_of_images(folder):
    train, test = load(folder)
    assert train.images.shape == (6, 3, 10, 10)  # the median of the shorter sides
    assert train.classes == test.classes == ("ant", "bee")
    assert train.labels.tolist() == [0] * 5 + [1]
    assert test.images[0, :, 5, 5].tolist() == [7, 0, 255]
    assert load(folder, image_size=8)[0].images.shape == (6, 3, 8, 8)


def test_a_folder_is_decoded_once_as_long_as_nothing_changes(folder, tmp_path, monkeypatch):
    store = Store(tmp_path / "store")
    before = load(folder, image_size=8, store=store)[0].digest
    decoded = count_decoded(monkeypatch)
    assert load(folder, image_size=8, store=store)[0].digest == before
    assert not decoded
    save(folder / "train" / "bee" / "0.png", "RGB", value=3)
    assert load(folder, image_size=8, store=store)[0].digest != before
    assert len(decoded) == 2 * 8  # for the sizes, and for the pixels


def test_edited_code_decodes_a_folder_anew(folder, tmp_path, monkeypatch):
    store = Store(tmp_path / "store")
    before = load(folder, image_size=8, store=store)[0]

    def upper_left(image, size):
        return np.asarray(image)[:size, :size]

    monkeypatch.setattr(decoding, "to_square", upper_left)
    after = load(folder, image_size=8, store=store)[0]
    assert after.digest != before.digest
    assert after.images.shape == before.images.shape


ANTS_AND_BEES = ("ant/0.png", "ant/1.png", "bee/0.png", "bee/1.png")


def parts(*folders):
    """Names of two images a class in each of these folders."""
    return [f"{folder}/{name}" for folder in folders for name in ANTS_AND_BEES]


@pytest.mark.parametrize(
    ("training", "testing"),
    [
        ("train", "test"),
        ("train", "val"),
        ("train", "valid"),
        ("train", "validation"),
        ("Train", "Test"),
        ("Train", "Val"),
        ("TRAIN", "VAL"),
        ("training", "testing"),
        ("Training", "Validation"),
    ],
)
def test_parts_have_many_names(training, testing, tmp_path):
    save_all(tmp_path, *parts(training, testing))
    train, test = load(tmp_path)
    assert train.classes == test.classes == ("ant", "bee")
    assert train.images[:, 0, 0, 0].tolist() == [0, 1, 2, 3]
    assert test.images[:, 0, 0, 0].tolist() == [4, 5, 6, 7]


@pytest.mark.parametrize(
    "names",
    [
        parts("set/train", "set/val"),
        parts("archive/set/Train", "archive/set/Test"),
        parts("training_data/train", "training_data/test"),
        parts("train/inner", "test/inner"),
        [*parts("set"), *[f"set/{name[:-4]}b.png" for name in ANTS_AND_BEES]],
    ],
    ids=lambda names: names[0],
)
def test_single_folders_around_a_set_are_stepped_into(names, tmp_path):
    save_all(tmp_path, *names)
    train, test = load(tmp_path)
    assert train.classes == test.classes == ("ant", "bee")
    assert len(train) + len(test) == 8


def test_the_test_set_is_taken_before_the_validation_set(tmp_path):
    save_all(tmp_path, *parts("train", "val", "test"))
    with pytest.warns(UserWarning, match=r"skipped .* \(1\), such as 'val'"):
        _, test = load(tmp_path)
    assert test.images[:, 0, 0, 0].tolist() == [8, 9, 10, 11]


@pytest.mark.parametrize(
    "classes",
    [
        ("airplane", "bus", "train"),
        ("freight_train", "passenger_train"),
        ("invalid", "valid"),
        ("contest", "protest", "value"),
        ("test_strip", "vial"),
    ],
)
def test_classes_may_have_names_of_parts(classes, tmp_path):
    save_all(tmp_path, *[f"{name}/{number}.png" for name in classes for number in range(3)])
    train, _ = load(tmp_path)
    assert train.classes == classes


@pytest.mark.parametrize(
    ("names", "error", "message"),
    [
        # Parts
        (parts("train"), FileNotFoundError, "'train' but no folder 'test', 'val', 'valid' or"),
        (parts("set/Train"), FileNotFoundError, "'Train' but no folder 'test'"),
        (parts("val", "test"), FileNotFoundError, "'test', 'val' but no folder 'train'"),
        (parts("train2017", "val2017"), ValueError, "not clear what is a part.*'train2017', 'val"),
        (parts("TrainImages", "TestImages"), ValueError, "not clear what is a part"),
        (parts("my_train_set", "my_dev_set"), ValueError, "not clear what is a part"),
        (parts("train", "validation_data"), ValueError, "not clear what is a part"),
        (parts("train", "eval"), ValueError, "not clear what is a part"),
        ([*parts("train", "test"), "fly/0.png"], ValueError, "not clear what is a part"),
        ([*parts("train"), "fly/0.png"], ValueError, "not clear what is a part"),
        ([*ANTS_AND_BEES, *parts("test")], ValueError, "not clear what is a part"),
        (["ant/0.png", "train/0.png", "val/0.png"], ValueError, "not clear what is a part"),
        (parts("train", "Train", "test"), ValueError, "two folders have the name of one part"),
        (parts("train", "test", "Test"), ValueError, "two folders have the name of one part"),
        (parts("train", "training", "val"), ValueError, "two folders have the name of one part"),
        # Classes
        (["train/0.png", "val/0.png"], FileNotFoundError, "'train' holds 1 files and no folder"),
        (["Training/0.png", "Test/0.png"], FileNotFoundError, "'Training' holds 1 files and no"),
        ([*parts("train"), "test/0.png"], FileNotFoundError, "'test' holds 1 files and no folder"),
        (["0.png", "1.png"], FileNotFoundError, "it holds 2 files and no folder; every class"),
        (["ant/0.png", "ant/1.png"], ValueError, r"it holds one class \('ant'\); allowed are two"),
        (["set/ant/0.png", "set/ant/1.png"], ValueError, r"'set' holds one class \('ant'\)"),
        ([*parts("train"), "test/ant/0.png"], ValueError, r"'test' holds one class \('ant'\)"),
        ([*ANTS_AND_BEES, "bee/queen/0.png"], ValueError, r"class 'bee' holds folders \('queen'\)"),
        (parts("summer", "winter"), ValueError, r"class 'summer' holds folders \('ant', 'bee'\)"),
        ([*parts("train", "val"), "val/bee/2/0.png"], ValueError, "class 'bee' holds folders"),
    ],
)
def test_what_has_no_clear_reading_is_refused(names, error, message, tmp_path):
    save_all(tmp_path, *names)
    with pytest.raises(error, match=f"^dataset='{tmp_path}': .*{message}"):
        load(tmp_path)


def test_unclear_parts_are_told_before_any_trial(tmp_path):
    save_all(tmp_path, *parts("train"))
    with pytest.raises(FileNotFoundError, match="'train' but no folder 'test'"):
        datasets.expect_folder(tmp_path)


@pytest.mark.parametrize("missing", ["", "train", "train/ant"])
def test_folders_without_anything_are_refused(missing, tmp_path):
    (tmp_path / missing).mkdir(parents=True, exist_ok=True)
    with pytest.raises(FileNotFoundError, match="no folder"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("place", "junk"),
    [
        ("", ".DS_Store"),
        ("", "__MACOSX/._0.png"),
        ("train", ".ipynb_checkpoints/0-checkpoint.png"),
        ("train", "Thumbs.db"),
        ("val", "desktop.ini"),
        ("val", "@eaDir/0.png"),
        ("train/ant", ".ipynb_checkpoints/0-checkpoint.png"),
        ("train/ant", "thumbs.db"),
        ("train/ant", "._0.png"),
        ("train/ant", "__MACOSX/0.png"),
        ("val/bee", "Desktop.ini"),
        ("val/bee", ".DS_Store"),
    ],
)
def test_what_belongs_to_no_set_is_skipped_and_counted(place, junk, tmp_path):
    save_all(tmp_path, *parts("train", "val"))
    path = tmp_path / place / junk
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"junk")
    shown = (Path(place) / junk.split("/")[0]).as_posix()
    with pytest.warns(UserWarning, match=re.escape(f"(1), such as '{shown}'")) as told:
        train, test = load(tmp_path)
    assert [warning.filename for warning in told] == [__file__]
    assert (len(train), len(test)) == (4, 4)
    assert train.classes == test.classes == ("ant", "bee")


@pytest.mark.parametrize(
    "beside",
    [
        (".", parts(".")),
        (".", parts("train", "val")),
        ("train", parts("train", "val")),
        (".", parts("set")),
        ("set", parts("set/train", "set/test")),
    ],
    ids=repr,
)
def test_files_beside_the_classes_are_counted(beside, tmp_path):
    place, names = beside
    save_all(tmp_path, *names, f"{place}/2.png")
    (tmp_path / place / "README.md").write_text("Insects", encoding="ascii")
    with pytest.warns(UserWarning, match=r"\(2\), such as '(set/|train/|)2.png', '.*README"):
        train, test = load(tmp_path)
    assert len(train) + len(test) == len(names)


def test_classes_that_are_numbers_sort_as_numbers(tmp_path):
    save_all(tmp_path, *[f"{label}/0.png" for label in range(12)], "12/0.png", "12/1.png")
    train, test = load(tmp_path)
    assert train.classes == test.classes == tuple(str(label) for label in range(13))
    for part in (train, test):
        red = part.images[:, 0, 0, 0].tolist()
        assert part.labels.tolist() == [min(value, 12) for value in red]


@pytest.mark.parametrize(
    ("names", "order"),
    [
        (("007", "10", "9"), ("007", "9", "10")),
        (("1", "01", "2"), ("01", "1", "2")),
        (("10", "9", "b"), ("10", "9", "b")),  # not all are numbers
    ],
)
def test_numbers_may_have_zeros_in_front(names, order, tmp_path):
    save_all(tmp_path, *[f"{name}/0.png" for name in names])
    assert load(tmp_path)[0].classes == order


def test_the_size_is_the_median_of_the_shorter_sides(tmp_path):
    for index, size in enumerate([(1, 1), (20, 16), (16, 24), (16, 16), (300, 200)]):
        save(tmp_path / "train" / "ab"[index % 2] / f"{index}.png", size=size)
    for name in "ab":
        save(tmp_path / "test" / name / "0.png", size=(40, 40))
    with pytest.warns(UserWarning, match="have 1 to 200 pixels; all images are resized to 16 × 16"):
        train, test = load(tmp_path)
    assert train.images.shape == (5, 3, 16, 16)
    assert test.images.shape == (2, 3, 16, 16)
    with pytest.warns(UserWarning, match="have 1 to 200 pixels; all images are resized to 8 × 8"):
        assert load(tmp_path, image_size=8)[0].images.shape == (5, 3, 8, 8)


def test_memory_is_told_before_anything_is_decoded(folder, monkeypatch):
    monkeypatch.setattr(memory, "machine_memory", lambda: 20_000)
    monkeypatch.setattr(image_file, "decode", lambda *_: pytest.fail("it decodes"))
    with pytest.raises(ValueError, match=r"8 images of 100 × 100 pixels.*image_size up to 16$"):
        load(folder, image_size=100)
    monkeypatch.setattr(memory, "machine_memory", lambda: 50)
    with pytest.raises(ValueError, match=r"8 images of 10 × 10 pixels.*allowed is fewer images"):
        load(folder)


def test_names_that_are_no_text_are_taken(tmp_path):
    for name in ("ant", "b\udcff"):  # a byte that is not UTF-8
        save(tmp_path / name / "0\udcfe.png")
    train, test = load(tmp_path, store=Store(tmp_path.with_name("store")))
    assert train.classes == test.classes == ("ant", "b\udcff")
    (tmp_path / "ant" / "\x1b[31m\udcfd.png").write_bytes(b"")
    with pytest.raises(ValueError, match="not an image") as refusal:
        load(tmp_path)
    str(refusal.value).encode("ascii")  # a terminal can show it, and obeys none of it
    assert "\x1b" not in str(refusal.value)


def test_ten_of_many_names_are_listed(tmp_path):
    save_all(tmp_path, *parts("train", "test"))
    for number in range(30):
        save(tmp_path / "train" / f"class{number:02}" / "0.png")
    with pytest.raises(ValueError, match=r"'class00', .*'class09' and 20 more") as refusal:
        load(tmp_path)
    assert "class10" not in str(refusal.value)


def test_a_folder_inside_itself_ends(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "again").symlink_to(tmp_path / "set", target_is_directory=True)
    with pytest.raises(ValueError, match="holds one class"):
        load(tmp_path)


def test_an_empty_class_folder_is_named(folder):
    (folder / "train" / "wasp").mkdir()
    with pytest.raises(FileNotFoundError, match="no image is in the folders 'wasp'"):
        load(folder)


def test_train_and_test_must_hold_the_same_classes(folder):
    (folder / "test" / "bee").rename(folder / "test" / "wasp")
    with pytest.raises(ValueError, match=r"different classes \('bee', 'wasp'\)"):
        load(folder)


def test_a_folder_without_parts_is_split_by_the_data_seed(tmp_path):
    for index in range(20):
        save(tmp_path / "ab"[index % 2] / f"{index}.png", "RGB", value=index)
    splits = [load(tmp_path, data_seed=seed) for seed in (0, 0, 1)]
    values = [[part.images[:, 0, 0, 0].tolist() for part in split] for split in splits]
    assert sorted(values[0][0] + values[0][1]) == list(range(20))
    assert len(values[0][1]) == 4
    assert values[0] == values[1] != values[2]


def test_a_random_part_of_a_set(folder):
    train, _ = load(folder, n_train=3)
    assert len(train) == 3
    assert train.digest == load(folder, n_train=3)[0].digest
    with pytest.raises(ValueError, match="n_train=7: the data set has 6"):
        load(folder, n_train=7)


REAL = HOME / "data" / "cifar10-jpeg"


@pytest.mark.skipif(not REAL.is_dir(), reason="CIFAR-10 as JPEG files is not in data/cifar10-jpeg")
def test_real_cifar10_as_a_folder(tmp_path):
    train, test = load(REAL, n_train=1000, n_test=500, store=Store(tmp_path))
    assert train.images.shape == (1000, 3, 32, 32)
    assert train.classes == cifar10.CLASSES
    assert 110 < train.images.float().mean() < 130
    assert len(test) == 500

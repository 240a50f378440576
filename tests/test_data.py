import functools
import hashlib
import http.server
import io
import tarfile
import threading

import numpy as np
import pytest
import torch
from PIL import Image

from dlp_lib import HOME, Split, Store, data, load
from dlp_lib.data import cifar10, datasets, gtsrb
from dlp_lib.data import folder as folders

IMAGES = np.zeros((4, 3, 8, 8), np.uint8)
LABELS = [0, 1, 2, 1]


def test_arrays_become_a_split_whatever_their_layout():
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 9, 3), dtype=np.uint8)
    split = Split.from_arrays(images, [0, 1, 0, 1, 1])
    assert split.images.shape == (5, 3, 8, 9)
    assert np.array_equal(split.images.permute(0, 2, 3, 1).numpy(), images)
    assert split.classes == ("0", "1")
    again = Split.from_arrays(
        torch.tensor(images).permute(0, 3, 1, 2), np.array([0, 1, 0, 1, 1], np.uint8)
    )
    assert again.digest == split.digest


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (IMAGES.astype(np.float32), LABELS, "float32.*allowed is uint8"),
        (IMAGES[:, :1], LABELS, r"\(4, 1, 8, 8\)"),
        (IMAGES[0], LABELS, r"\(3, 8, 8\)"),
        (IMAGES[:0], LABELS[:0], "none of them 0"),
        (IMAGES, LABELS[:3], "one for each of 4 images"),
        (IMAGES, [0.0, 1.0, 2.0, 1.0], "float32"),
        (IMAGES, [0, 1, 2, -1], "from -1 to 2"),
    ],
)
def test_bad_arrays_are_refused(images, labels, message):
    with pytest.raises(ValueError, match=message):
        Split.from_arrays(images, labels)


def test_labels_beyond_the_classes_are_refused():
    with pytest.raises(ValueError, match=r"from 0 to 2; allowed are 0 to 1"):
        Split.from_arrays(IMAGES, LABELS, ("cat", "dog"))


def test_classes_become_rarer_and_rarer(shapes):
    split = shapes[0]
    rare = data.imbalanced(split, 10)
    counts = rare.labels.bincount().tolist()
    assert counts == sorted(counts)
    before = split.labels.bincount().tolist()
    assert (counts[0], counts[-1]) == (before[0] // 10, before[-1])
    first = (split.labels == 4).nonzero()[: counts[4], 0]
    assert torch.equal(rare.images[rare.labels == 4], split.images[first])
    assert data.imbalanced(split, 1).digest == split.digest


@pytest.mark.parametrize(
    ("factor", "message"),
    [(0.5, "factor=0.5: allowed"), (float("nan"), "allowed"), (1000, "no sample of class 'disk'")],
)
def test_factors_that_leave_nothing_are_refused(factor, message, shapes):
    with pytest.raises(ValueError, match=message):
        data.imbalanced(shapes[0], factor)


def test_subset_takes_indices_and_masks():
    split = Split.from_arrays(IMAGES, LABELS)
    assert split.subset(torch.tensor([2, 0])).labels.tolist() == [2, 0]
    assert split.subset(split.labels == 1).labels.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"name": "shapes"}, ValueError, "did you mean shapes10"),
        ({"name": "cifar-10"}, ValueError, "did you mean cifar10"),
        (
            {"name": "zzz"},
            ValueError,
            "allowed are 'shapes10', .*, a folder; did you mean a folder",
        ),
        ({"name": "no/such"}, FileNotFoundError, "no such folder"),
        ({"name": "shapes10", "n_train": 0}, ValueError, "n_train=0"),
        ({"name": "shapes10", "n_test": 2.5}, ValueError, "n_test=2.5"),
        ({"name": "shapes10", "image_size": -4}, ValueError, "image_size=-4"),
        ({"name": "shapes10", "data_seed": -1}, ValueError, "data_seed=-1"),
        ({"name": "cifar10", "image_size": 16}, ValueError, "image_size=16"),
    ],
)
def test_bad_names_and_sizes_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        load(**arguments)


def save(path, mode, size=(12, 10), value=128):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, 0, 255)).convert(mode).save(path)


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
    assert train.images.shape == (6, 3, 10, 10)  # the shorter side of the first image
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
    assert len(decoded) == 6


def count_decoded(monkeypatch):
    """A list that grows by each image file that Pillow opens from now on."""
    decoded = []
    original = Image.open

    def note(path, *options):
        decoded.append(path)
        return original(path, *options)

    monkeypatch.setattr(Image, "open", note)
    return decoded


def test_edited_code_decodes_a_folder_anew(folder, tmp_path, monkeypatch):
    store = Store(tmp_path / "store")
    before = load(folder, image_size=8, store=store)[0]

    def upper_left(image, size):
        return np.asarray(image)[:size, :size]

    monkeypatch.setattr(folders, "to_square", upper_left)
    after = load(folder, image_size=8, store=store)[0]
    assert after.digest != before.digest
    assert after.images.shape == before.images.shape


def test_16_bits_become_8(tmp_path):
    ramp = np.linspace(0, 65535, 64, dtype=np.uint16).reshape(8, 8)
    for name in ("ant", "bee"):
        (tmp_path / name).mkdir()
        Image.fromarray(ramp).save(tmp_path / name / "0.png")
    train, _ = load(tmp_path)
    assert train.images[0, 0].tolist() == (ramp >> 8).tolist()


def test_a_file_that_cannot_be_decoded_is_named(folder):
    (folder / "train" / "bee" / "bad.jpg").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"bad\.jpg: not an image"):
        load(folder)


def test_an_empty_class_folder_is_named(folder):
    (folder / "train" / "wasp").mkdir()
    with pytest.raises(FileNotFoundError, match="wasp"):
        load(folder)


def test_train_and_test_must_hold_the_same_classes(folder):
    (folder / "test" / "bee").rename(folder / "test" / "wasp")
    with pytest.raises(ValueError, match=r"different classes \(bee, wasp\)"):
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


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """A small archive in the layout of CIFAR-10's binary one, where the download finds it."""
    rows = np.random.default_rng(0).integers(0, 256, (6, 2, 3073), dtype=np.uint8)
    rows[:, :, 0] %= 10
    source = tmp_path / "source" / "cifar-10-binary.tar.gz"
    source.parent.mkdir()
    names = [f"data_batch_{number}.bin" for number in range(1, 6)]
    names += ["test_batch.bin", "readme.html"]
    with tarfile.open(source, "w:gz") as file:
        for index in (3, 0, 5, 1, 6, 4, 2):  # in no order
            content = rows[index].tobytes() if index < 6 else b"text"
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{names[index]}")
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=source.parent)
    monkeypatch.setattr(handler.func, "log_message", lambda *_: None)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(cifar10, "URL", f"http://127.0.0.1:{server.server_port}/{source.name}")
    monkeypatch.setattr(cifar10, "MD5", hashlib.md5(source.read_bytes()).hexdigest())
    monkeypatch.setattr(datasets, "HOME", tmp_path / "home")
    yield rows
    server.shutdown()
    server.server_close()


def test_cifar10_is_downloaded_checked_and_parsed(archive, monkeypatch):
    train, test = load("cifar10")
    assert train.labels.tolist() == archive[:5, :, 0].ravel().tolist()
    assert np.array_equal(train.images.numpy(), archive[:5, :, 1:].reshape(10, 3, 32, 32))
    assert np.array_equal(test.images.numpy(), archive[5, :, 1:].reshape(2, 3, 32, 32))
    assert train.classes[3] == "cat"
    nowhere = "http://127.0.0.1:9/cifar-10-binary.tar.gz"
    monkeypatch.setattr(cifar10, "URL", nowhere)  # not needed again
    assert load("cifar10")[0].digest == train.digest


def test_a_download_with_a_wrong_checksum_is_refused(archive, monkeypatch):
    monkeypatch.setattr(cifar10, "MD5", "0" * 32)
    with pytest.raises(RuntimeError, match="not found or corrupted"):
        load("cifar10")


@pytest.fixture
def signs(tmp_path, monkeypatch):
    """A small GTSRB as torchvision unpacks it: two training images a class, five for testing."""
    home = tmp_path / "home" / "data" / "gtsrb"
    for label in range(43):
        for index in range(2):
            path = home / "GTSRB" / "Training" / f"{label:05d}" / f"{index}.ppm"
            save(path, "RGB", (20 + label, 18), value=label)
    rows = ["Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId"]
    for index in range(5):
        save(home / "GTSRB" / "Final_Test" / "Images" / f"{index}.ppm", "RGB", value=10 * index)
        rows.append(f"{index}.ppm;12;10;1;1;9;9;{40 - index}")
    (home / "GT-final_test.csv").write_text("\n".join(rows), encoding="ascii")
    monkeypatch.setattr(datasets, "HOME", tmp_path / "home")
    return home


def refuse(*_, **__):
    pytest.fail("it downloads")


def test_gtsrb_is_read_as_torchvision_unpacks_it(signs, monkeypatch):
    monkeypatch.setattr("torchvision.datasets.gtsrb.download_and_extract_archive", refuse)
    train, test = load("gtsrb")
    assert train.images.shape == (86, 3, 32, 32)
    assert train.labels.tolist() == [label for label in range(43) for _ in range(2)]
    assert train.images[:, 0, 16, 16].tolist() == train.labels.tolist()
    assert test.labels.tolist() == [40, 39, 38, 37, 36]
    assert test.images[:, 0, 16, 16].tolist() == [0, 10, 20, 30, 40]
    assert train.classes == test.classes == gtsrb.CLASSES
    assert len(set(gtsrb.CLASSES)) == 43
    assert gtsrb.CLASSES[14] == "stop"
    assert load("gtsrb", n_train=10, image_size=16)[0].images.shape == (10, 3, 16, 16)


def test_signs_are_cut_to_squares_as_folders_are(signs):
    ramp = np.zeros((20, 60, 3), np.uint8)
    ramp[..., 0] = np.arange(60)
    path = signs / "GTSRB" / "Training" / "00000" / "0.ppm"
    Image.fromarray(ramp).save(path)
    train, _ = load("gtsrb", image_size=20)
    assert train.images[0, 0, 0].tolist() == list(range(20, 40))


def test_gtsrb_is_decoded_once_as_long_as_nothing_changes(signs, tmp_path, monkeypatch):
    store = Store(tmp_path / "store")
    before = [part.digest for part in load("gtsrb", store=store)]
    decoded = count_decoded(monkeypatch)
    assert [part.digest for part in load("gtsrb", store=store)] == before
    assert not decoded
    list_of_tests = signs / "GT-final_test.csv"
    text = list_of_tests.read_text(encoding="ascii")
    list_of_tests.write_text(text.replace(";40", ";41 "), encoding="ascii")
    assert load("gtsrb", store=store)[1].labels[0] == 41
    save(signs / "GTSRB" / "Training" / "00007" / "0.ppm", "RGB", value=200)
    assert load("gtsrb", store=store)[0].digest != before[0]


def test_gtsrb_is_downloaded_where_it_is_missing(tmp_path, monkeypatch):
    wanted = []

    def note(url, download_root, md5):
        wanted.append((url.rpartition("/")[2], download_root))

    monkeypatch.setattr("torchvision.datasets.gtsrb.download_and_extract_archive", note)
    monkeypatch.setattr(datasets, "HOME", tmp_path)
    with pytest.raises(RuntimeError, match="not found"):  # as nothing came
        load("gtsrb")
    assert wanted == [("GTSRB-Training_fixed.zip", str(tmp_path / "data" / "gtsrb"))]


def test_an_incomplete_gtsrb_says_what_to_do(signs):
    (signs / "GT-final_test.csv").unlink()
    with pytest.raises(ValueError, match="gtsrb is incomplete: delete it, and load again"):
        load("gtsrb")
    for index in range(2):
        (signs / "GTSRB" / "Training" / "00042" / f"{index}.ppm").unlink()
    (signs / "GTSRB" / "Training" / "00042").rmdir()
    with pytest.raises(ValueError, match="holds 42 of 43 classes: delete it, and load again"):
        load("gtsrb")


REAL = HOME / "data" / "cifar10-jpeg"


@pytest.mark.skipif(not REAL.is_dir(), reason="CIFAR-10 as JPEG files is not in data/cifar10-jpeg")
def test_real_cifar10_as_a_folder(tmp_path):
    train, test = load(REAL, n_train=1000, n_test=500, store=Store(tmp_path))
    assert train.images.shape == (1000, 3, 32, 32)
    assert train.classes == cifar10.CLASSES
    assert 110 < train.images.float().mean() < 130
    assert len(test) == 500

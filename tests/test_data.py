import functools
import hashlib
import http.server
import io
import tarfile
import threading

import numpy as np
import pytest
from image_folders import count_decoded, save
from PIL import Image

from dlp_lib import Store, load
from dlp_lib.data import cifar10, datasets, gtsrb, memory


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"name": "shapes"}, ValueError, "did you mean shapes10"),
        ({"name": "cifar-10"}, ValueError, "did you mean cifar10"),
        ({"name": "CIFAR10"}, ValueError, "did you mean cifar10"),
        ({"name": "Shapes-10"}, ValueError, "did you mean shapes10"),
        ({"name": ""}, ValueError, "name='': allowed are shapes10, cifar10, gtsrb and folders"),
        ({"name": None}, ValueError, "name=None: allowed are"),
        ({"name": 10}, ValueError, "name=10: allowed are"),
        ({"name": __file__}, ValueError, "it is a file; allowed are folders"),
        ({"name": "shapes10", "image_size": 10**6}, ValueError, "GB of memory.*image_size up to"),
        ({"name": "shapes10", "n_train": 10**15}, ValueError, "GB of memory.*fewer images"),
        ({"name": "gtsrb", "image_size": 10**6}, ValueError, "GB of memory.*image_size up to"),
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
    with pytest.raises(ConnectionError, match="not found or corrupted"):
        load("cifar10")


@pytest.mark.parametrize("damaged", [False, True])
def test_cifar10_without_a_network_says_what_to_put_where(archive, tmp_path, monkeypatch, damaged):
    place = tmp_path / "home" / "data" / "cifar-10-binary.tar.gz"
    content = (tmp_path / "source" / place.name).read_bytes()
    if damaged:
        place.parent.mkdir(parents=True)
        place.write_bytes(content[:-1])
    nowhere = "http://127.0.0.1:9/cifar-10-binary.tar.gz"
    monkeypatch.setattr(cifar10, "URL", nowhere)
    with pytest.raises(ConnectionError) as refusal:
        load("cifar10")
    message = str(refusal.value)
    assert ("has another checksum" if damaged else "is not there") in message
    assert f"By hand: download {nowhere} (170 MB, MD5 {cifar10.MD5})" in message
    assert f"put it at {place}, as it is" in message
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)  # as the message says
    assert len(load("cifar10")[0]) == 10


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


def test_the_memory_of_a_container_counts(tmp_path, monkeypatch):
    whole = memory.machine_memory()
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(memory, "_CONTAINER_LIMITS", (limit,))
    for text, expected in [("max", whole), ("90000", 90_000), (str(10**18), whole)]:
        limit.write_text(text, encoding="ascii")
        assert memory.machine_memory() == expected
    limit.write_text("90000", encoding="ascii")
    memory.check_memory("some", 100, 10)  # 3 copies of 30,000 bytes
    with pytest.raises(ValueError, match=r"100 images of 11 × 11.*image_size up to 10"):
        memory.check_memory("some", 100, 11)


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


def test_signs_are_opened_by_format(signs):
    (signs / "GTSRB" / "Training" / "00003" / "0.ppm").write_bytes(b"%!PS-Adobe-3.0")
    (signs / "GTSRB" / "Training" / "00004" / "1.ppm").write_bytes(b"P6 9 9 255 ")
    with pytest.raises(ValueError, match=r"00003/0\.ppm': it is not an image(.|\n)*00004/1"):
        load("gtsrb")


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
    with pytest.raises(ConnectionError, match=r"By hand: download .* from https.*, and unpack"):
        load("gtsrb")  # as nothing came
    assert wanted == [("GTSRB-Training_fixed.zip", str(tmp_path / "data" / "gtsrb"))]


def test_an_incomplete_gtsrb_says_what_to_do(signs):
    listed = signs / "GT-final_test.csv"
    listed.unlink()
    with pytest.raises(ValueError, match="gtsrb is incomplete: delete it, and load again"):
        load("gtsrb")
    for text in ("", "Filename;ClassId\n", "Filename;Label\n0.ppm;3\n", "Filename;ClassId\n0.ppm"):
        listed.write_text(text, encoding="ascii")
        with pytest.raises(ValueError, match=r"incomplete: delete it.*GT-final"):
            load("gtsrb")
    for index in range(2):
        (signs / "GTSRB" / "Training" / "00042" / f"{index}.ppm").unlink()
    with pytest.raises(ValueError, match=r"delete it, and load again \(it holds 42 of 43"):
        load("gtsrb")

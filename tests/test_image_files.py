"""Image files that nobody has checked: modes, damage, and files that are meant to do harm."""

import io
import os
import random
import socket
import struct
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from image_folders import save, save_all
from PIL import EpsImagePlugin, Image, ImageFile, ImageOps

from dlp_lib import load
from dlp_lib.data import image_file, memory

RAMP = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
WIDE_RAMP = RAMP * np.uint16(256) + np.uint16(99)
ORIENTATION = 274  # a tag of EXIF and TIFF


def decode(path):
    return image_file.decode(path, np.array)


def tiff(values, bits, sample_format=1, photometric=1, tile=None):
    """The bytes of a TIFF of one channel, made by hand: Pillow writes few of these kinds."""
    height, width = values.shape
    data = values.tobytes()
    if bits == 12:  # three bytes hold two numbers
        pairs = values.reshape(-1, 2).astype(np.uint32)
        words = pairs[:, 0] << 12 | pairs[:, 1]
        data = b"".join(int(word).to_bytes(3, "big") for word in words)
    tags = {
        256: width,
        257: height,
        258: bits,
        259: 1,
        262: photometric,
        277: 1,
        339: sample_format,
    }
    if tile:
        data = zlib.compress(bytes(100))
        tags |= {259: 8, 322: tile, 323: tile, 324: None, 325: len(data)}
    else:
        tags |= {273: None, 278: height, 279: len(data)}
    start = 8 + 2 + 12 * len(tags) + 4
    entries = b""
    for tag in sorted(tags):
        value = start if tags[tag] is None else tags[tag]
        entries += struct.pack("<HHLL", tag, 4, 1, value)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4) + data


# One channel of numbers, and what they are as 8 bits.
SCALED = {
    "8 bits": (tiff(RAMP, 8), RAMP),
    "8 bits, white is 0": (tiff(RAMP, 8, photometric=0), 255 - RAMP),
    "12 bits": (tiff(WIDE_RAMP >> 4, 12), RAMP),
    "16 bits": (tiff(WIDE_RAMP, 16), RAMP),
    "16 bits, white is 0": (tiff(WIDE_RAMP, 16, photometric=0), 255 - RAMP),
    "fractions": (tiff(RAMP.astype(np.float32) / 255, 32, 3), RAMP),
    "fractions, white is 0": (tiff(RAMP.astype(np.float32) / 255, 32, 3, 0), 255 - RAMP),
    "PGM of 16 bits": (b"P5 8 8 65535\n" + WIDE_RAMP.astype(">u2").tobytes(), RAMP),
}


@pytest.mark.parametrize("kind", SCALED)
def test_numbers_of_any_size_are_scaled_to_8_bits(kind, tmp_path):
    content, expected = SCALED[kind]
    path = tmp_path / "0.any"
    path.write_bytes(content)
    pixels = decode(path)
    assert pixels.shape == (8, 8, 3)
    for channel in range(3):
        assert pixels[..., channel].tolist() == expected.tolist()


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_16_bits_become_8(ending, tmp_path):
    ramp = np.linspace(0, 65535, 300 * 300, dtype=np.uint16).reshape(300, 300)
    Image.fromarray(ramp).save(tmp_path / f"0.{ending}")
    assert np.array_equal(decode(tmp_path / f"0.{ending}")[..., 1], ramp >> 8)


NOT_A_NUMBER = np.full((8, 8), np.nan, np.float32)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (tiff(RAMP.astype(np.uint32), 32), "its numbers have 32 bits; allowed are 8, 12 and 16"),
        (tiff(RAMP.astype(np.int32), 32, 2), "its numbers have a sign; allowed are"),
        (tiff(RAMP.astype(np.int16), 16, 2), "its numbers have a sign; allowed are"),
        (tiff(RAMP.view(np.int8), 8, 2), "its numbers have a sign; allowed are"),
        (tiff(RAMP.astype(np.float32), 32, 3), "run from 0 to 252; allowed are 0 to 1"),
        (tiff(RAMP.astype(np.float32) - 1, 32, 3), "run from -1 to 251; allowed are 0 to 1"),
        (tiff(NOT_A_NUMBER, 32, 3), "run from nan to nan; allowed are 0 to 1"),
    ],
)
def test_numbers_without_a_clear_scale_are_refused(content, message, tmp_path):
    path = tmp_path / "0.tif"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        decode(path)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "png", "tif", "webp"])
def test_images_are_upright(orientation, ending, tmp_path):
    path = tmp_path / f"0.{ending}"
    pixels = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    Image.fromarray(pixels).save(path, exif=exif)
    with Image.open(path) as image:
        expected = np.array(ImageOps.exif_transpose(image))
    assert np.array_equal(decode(path), expected)
    Image.fromarray(pixels[..., 0].astype(np.uint16) * 256).save(tmp_path / "16.png", exif=exif)
    assert decode(tmp_path / "16.png").shape == expected.shape


@pytest.mark.parametrize("exif", [b"Exif\0\0nonsense", b"Exif\0\0II*\0\x08\0\0\0\xff\xff12345"])
@pytest.mark.filterwarnings("ignore:.*EXIF.*:UserWarning", "ignore:Truncated.*:UserWarning")
def test_damaged_exif_data_do_not_matter(exif, tmp_path):
    Image.fromarray(RAMP).save(tmp_path / "0.jpg", exif=exif)
    assert decode(tmp_path / "0.jpg").shape == (8, 8, 3)


def test_a_palette_may_be_transparent(tmp_path):
    image = Image.fromarray(RAMP).convert("P")
    image.save(tmp_path / "0.png", transparency=bytes(range(256)))
    assert np.array_equal(decode(tmp_path / "0.png")[..., 0], RAMP)  # and no warning comes


def test_of_several_images_the_first_is_taken(tmp_path):
    pages = [Image.new("RGB", (8, 8), (value, 0, 0)) for value in (3, 200)]
    for ending in ("gif", "tif", "webp"):
        path = tmp_path / f"0.{ending}"
        pages[0].save(path, save_all=True, append_images=pages[1:])
        assert abs(int(decode(path)[0, 0, 0]) - 3) < 3


def test_a_photograph_of_two_views_is_taken(tmp_path):
    views = [Image.new("RGB", (8, 8), (value, 0, 0)) for value in (3, 200)]
    views[0].save(tmp_path / "0.jpg", "MPO", save_all=True, append_images=views[1:])
    assert decode(tmp_path / "0.jpg").shape == (8, 8, 3)


@pytest.fixture
def root(tmp_path):
    """A folder of two classes, with room for something bad."""
    save_all(tmp_path / "set", "ant/0.png", "bee/0.png")
    return tmp_path / "set"


def png(side):
    """The bytes of a black image with one bit a pixel; most of its pixels are missing."""
    content = b"\x89PNG\r\n\x1a\n"
    header = struct.pack(">LLBBBBB", side, side, 1, 0, 0, 0, 0)
    for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")):
        check = zlib.crc32(kind + data)
        content += struct.pack(">L", len(data)) + kind + data + struct.pack(">L", check)
    return content


def make_pipe(path):
    os.mkfifo(path)


def make_socket(path):
    os.chdir(path.parent)  # as the path of a socket must be short
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(path.name)


def make_device(path):
    path.symlink_to("/dev/zero")


def make_broken_link(path):
    path.symlink_to("nowhere")


def make_huge(path):
    with path.open("wb") as file:
        file.truncate(2**40)


def make_bomb(path):
    path.write_bytes(png(13_300))


def make_wide_bomb(path):
    path.write_bytes(png(25_000))


def make_tile_bomb(path):
    path.write_bytes(tiff(RAMP, 8, tile=30_000))


def make_endless_jpeg(path):
    buffer = io.BytesIO()
    Image.fromarray(RAMP).save(buffer, "JPEG", progressive=True)
    content = buffer.getvalue()
    last_scan = content[content.rindex(b"\xff\xda") : -2]
    path.write_bytes(content[:-2] + 1000 * last_scan + b"\xff\xd9")


def make_postscript(path):
    path.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n{} loop\n", encoding="ascii")


def make_text(path):
    path.write_text("no image", encoding="ascii")


def make_empty(path):
    path.write_bytes(b"")


HOSTILE = {
    make_pipe: "it is a named pipe, and not a regular file",
    make_socket: "it is a socket, and not a regular file",
    make_device: "it is a device, and not a regular file",
    make_broken_link: r"it cannot be read \(No such file or directory\)",
    make_huge: "it has 1,099,512 MB; allowed are 268",
    make_bomb: "it has 13,300 × 13,300 pixels; allowed are 50,331,648",
    make_wide_bomb: "it has far more than 50,331,648 pixels",
    make_tile_bomb: "it has 8 × 8 pixels, and 900,000,000 are held to decode it; allowed are",
    make_endless_jpeg: r"it has 1,\d\d\d scans; allowed are 32",
    make_postscript: r"it is not an image that can be read \(BMP, GIF, JPEG, PNG, PPM, TIFF,",
    make_text: "it is not an image that can be read",
    make_empty: "it is not an image that can be read",
}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.filterwarnings("ignore:.*:PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("make", HOSTILE, ids=lambda make: make.__name__)
def test_hostile_files_are_named_before_anything_is_decoded(make, root, monkeypatch):
    monkeypatch.chdir(root)
    make(root / "bee" / "x.png")
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda _: pytest.fail("it decodes"))
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_: pytest.fail("it runs a program"))
    with pytest.raises(
        ValueError, match=f"^dataset='{root}': one .*\n  'bee/x.png': {HOSTILE[make]}"
    ):
        load(root, image_size=8)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("read", [decode, image_file.size_of])
def test_a_pipe_that_comes_later_is_refused(read, root, monkeypatch):
    facts = (root / "ant" / "0.png").stat()
    monkeypatch.setattr(image_file, "state_of", lambda _: facts)
    os.mkfifo(root / "x.png")
    with pytest.raises(ValueError, match="it is a named pipe"):
        read(root / "x.png")


@pytest.mark.parametrize("count", [1, 3, 9, 25])
def test_up_to_ten_damaged_files_are_named_at_once(count, root):
    for index in range(count):
        (root / "bee" / f"bad{index:02}.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=f"^dataset='{root}'") as refusal:
        load(root)
    first, *named = str(refusal.value).splitlines()
    counted = {1: "one of", 3: "3 of", 9: "9 of", 25: "10 or more of"}[count]
    assert f": {counted} its files cannot be taken; repair or remove" in first
    assert len(named) == min(count, 10)
    for line in named:
        assert line.startswith("  'bee/bad")


def test_files_that_break_off_are_named_at_once(root):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    for name in ("ant/1.png", "bee/1.jpg", "bee/2.tif", "bee/3.bmp", "bee/4.gif"):
        Image.fromarray(pixels).save(root / name)
        content = (root / name).read_bytes()
        (root / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="5 of its files") as refusal:
        load(root)
    assert str(refusal.value).count(": it cannot be decoded (") == 5


def test_any_damage_gives_an_image_or_a_sentence(tmp_path):
    draw = random.Random(0)
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    path = tmp_path / "0.any"
    refused = 0
    for kind in ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP"):
        Image.fromarray(pixels).save(path, kind)
        content = path.read_bytes()
        for _ in range(40):
            damaged = bytearray(content)
            for _ in range(draw.choice((1, 2, 8))):
                place = draw.randrange(min(len(content), draw.choice((40, 10_000))))
                damaged[place] = draw.choice((0, 127, 255, draw.randrange(256)))
            path.write_bytes(damaged)
            try:
                assert decode(path).ndim == 3
            except ValueError as error:
                assert str(error).startswith("it ")
                refused += 1
    assert 50 < refused < 230


class Highest:
    """How many threads were inside at the same time, at most."""

    def __init__(self):
        self.inside = 0
        self.highest = 0
        self.lock = threading.Lock()

    def visit(self, *_):
        with self.lock:
            self.inside += 1
            self.highest = max(self.highest, self.inside)
        time.sleep(0.002)
        with self.lock:
            self.inside -= 1
        return np.zeros(0)


@pytest.mark.parametrize(("limit", "together"), [("PIXELS", 2), ("FILES", 3)])
def test_threads_share_what_may_be_held(limit, together, tmp_path, monkeypatch):
    save(tmp_path / "0.png", size=(20, 10))
    path = tmp_path / "0.png"
    one = {"PIXELS": 200, "FILES": path.stat().st_size}[limit]
    budget = memory.Budget(together * one)
    monkeypatch.setattr(image_file, limit, budget)
    highest = Highest()

    def read(_):
        image_file.decode(path, highest.visit)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(read, range(40)))
    assert highest.highest == together
    with budget.hold(10**9):  # what is more than all takes all, and all is there again
        assert budget._free == 0


def test_what_is_held_comes_back_after_an_error(tmp_path, monkeypatch):
    budget = memory.Budget(100)
    monkeypatch.setattr(image_file, "PIXELS", budget)
    save(tmp_path / "0.png", size=(10, 10))
    content = (tmp_path / "0.png").read_bytes()
    (tmp_path / "0.png").write_bytes(content[:-30])
    for _ in range(3):
        with pytest.raises(ValueError, match="cannot be decoded"):
            decode(tmp_path / "0.png")
    assert budget._free == 100

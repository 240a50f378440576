"""Small image files for tests."""

from PIL import Image


def save(path, mode="RGB", size=(12, 10), value=128):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, 0, 255)).convert(mode).save(path)


def save_all(root, *names):
    """Save an image under each name; the red of the pixels counts them."""
    for value, name in enumerate(names):
        save(root / name, value=value)


def count_decoded(monkeypatch):
    """A list that grows by each image file that Pillow opens from now on."""
    decoded = []
    original = Image.open

    def note(path, **options):
        decoded.append(path)
        return original(path, **options)

    monkeypatch.setattr(Image, "open", note)
    return decoded

import copy

import numpy as np
import pytest
import torch
from PIL import Image

from dlp_lib import Context, Runtime, Split, Store, Supervised, data, supervised, wrn_16_1
from dlp_lib.data import shapes10

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
        (IMAGES, [0.0, 1.0, 2.0, 1.0], "labels: torch.float64"),
        (IMAGES, [0, 1, 2, -1], "from -1 to 2"),
        (IMAGES, np.array(LABELS) + 1j, "labels: torch.complex128"),
        (IMAGES, torch.tensor(LABELS) + 1j, "labels: torch.complex64"),
        (IMAGES, ["cat", "dog", "cat", "dog"], "labels: ndarray; allowed are"),
        (IMAGES, [0, 1, None, 1], "labels: ndarray; allowed are"),
        (IMAGES, None, "labels: ndarray; allowed are"),
        (IMAGES, [[0], [1, 2], [0], [1]], "labels: list; allowed are .* equally large"),
        ([IMAGES[0], IMAGES[0, :, :4]], [0, 1], "images: list; allowed are .* equally large"),
        ([torch.zeros(3, 8, 8), torch.zeros(3, 8, 9)], [0, 1], "images: list; allowed are"),
        (IMAGES, [0, 1, 2, 10**9], r"up to 1,000,000,000; allowed are 0 to 99,999, or"),
        (IMAGES, [0, 1, 2, 2**62], "allowed are 0 to 99,999"),
    ],
)
def test_bad_arrays_are_refused(images, labels, message):
    with pytest.raises(ValueError, match=message):
        Split.from_arrays(images, labels)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (("cat", "dog", "cat", "dog"), "classes: 'cat', 'dog' more than once"),
        ("cat", "classes='cat': allowed are several names"),
        ((0, 1, 2), r"classes=\(0, 1, 2\): allowed are several names"),
        ((None, "dog", "cat"), "allowed are several names, each of them text"),
    ],
)
def test_bad_names_of_classes_are_refused(classes, message):
    with pytest.raises(ValueError, match=message):
        Split.from_arrays(IMAGES, LABELS, classes)
    with pytest.raises(ValueError, match=message):
        Split(torch.tensor(IMAGES), torch.tensor(LABELS), classes)


RANDOM = np.random.default_rng(1).integers(0, 256, (4, 6, 8, 3), dtype=np.uint8)
READ_ONLY = RANDOM.copy()
READ_ONLY.flags.writeable = False
# Images as people have them; each is to give the first one's pixels.
FORMS = {
    "(n, h, w, 3)": RANDOM,
    "(n, 3, h, w)": RANDOM.transpose(0, 3, 1, 2),
    "BGR made RGB by a view": RANDOM[..., ::-1].copy()[..., ::-1],
    "upside down twice": RANDOM[:, ::-1].copy()[:, ::-1],
    "backwards twice": RANDOM[::-1].copy()[::-1],
    "Fortran's order": np.asfortranarray(RANDOM),
    "read only": READ_ONLY,
    "a list of arrays": list(RANDOM),
    "a list of views": list(RANDOM[..., ::-1].copy()[..., ::-1]),
    "nested lists of arrays": [list(image) for image in RANDOM],
    "a tensor": torch.tensor(RANDOM),
    "a list of tensors": list(torch.tensor(RANDOM)),
    "a tuple of tensors": tuple(torch.tensor(RANDOM).permute(0, 3, 1, 2)),
    "a list of tensors and views": [torch.tensor(RANDOM[0]), *RANDOM[:, ::-1].copy()[1:, ::-1]],
    "a list of images of Pillow's": [Image.fromarray(image) for image in RANDOM],
}


@pytest.mark.parametrize("form", FORMS)
def test_images_come_in_many_forms(form):
    split = Split.from_arrays(FORMS[form], LABELS)
    assert np.array_equal(split.images.numpy(), RANDOM.transpose(0, 3, 1, 2))
    assert split.images.is_contiguous()


@pytest.mark.parametrize(
    "labels",
    [
        tuple(LABELS),
        np.array(LABELS, ">i8"),
        np.array(LABELS, ">i4"),
        np.array(LABELS, ">u2"),
        np.array(LABELS, np.uint64),
        np.array(LABELS[::-1], np.int16)[::-1],
        np.array(LABELS).repeat(2)[::2],
        torch.tensor(LABELS, dtype=torch.int16),
        list(torch.tensor(LABELS)),
        list(np.array(LABELS)),
        [torch.tensor(0), 1, np.int64(2), 1],
    ],
    ids=repr,
)
def test_labels_come_in_many_forms(labels):
    split = Split.from_arrays(IMAGES, labels)
    assert split.labels.tolist() == LABELS
    assert split.labels.dtype == torch.int64
    assert split.digest == Split.from_arrays(IMAGES, LABELS).digest


@pytest.mark.parametrize("kind", [np.array, torch.tensor])
def test_a_set_shares_no_memory_with_its_arrays(kind):
    images = kind(IMAGES)
    labels = kind(LABELS)
    clean = Split.from_arrays(images, labels)
    digest = clean.digest
    images[:2] = 255
    labels[:2] = 2
    assert clean.images.sum() == 0
    assert clean.labels.tolist() == LABELS
    assert Split.from_arrays(images, labels).digest != digest
    assert Split.from_arrays(clean.images, clean.labels).digest == digest


def test_a_store_keeps_clean_and_poisoned_arrays_apart():
    images, labels = shapes10.draw(20)
    clean = Split.from_arrays(images, labels)
    assert clean.digest == Split.from_arrays(images, labels).digest
    images[:10] = 255
    labels[:10] = 0
    store = Store()

    def last_loss(split, store):
        context = Context(Runtime(0), store)
        model = wrn_16_1(len(split.classes), context.runtime)
        stage = supervised(model, split, 1, Supervised(batch=10), context)
        return stage.history[-1]["loss"]

    honest = last_loss(Split.from_arrays(*shapes10.draw(20)), Store())
    assert last_loss(clean, store) == honest
    assert last_loss(Split.from_arrays(images, labels), store) != honest


def test_a_set_that_is_changed_in_place_gets_another_digest():
    split = Split.from_arrays(IMAGES, LABELS)
    before = split.digest
    assert split.digest is before  # computed once
    split.images[0, :, -3:, -3:] = 255
    poisoned = split.digest
    split.labels[0] = 2
    assert len({before, poisoned, split.digest}) == 3
    again = Split.from_arrays(split.images, split.labels)
    assert again.digest == split.digest


def test_copies_of_a_set_that_are_changed_get_another_digest():
    split = Split.from_arrays(IMAGES, LABELS)
    before = split.digest
    other = copy.deepcopy(split)
    assert other.digest == before
    other.images[:] = 1
    assert other.digest != before == split.digest


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
    [
        (0.5, "factor=0.5: allowed"),
        (float("nan"), "allowed"),
        ("5", "factor='5': allowed"),
        (None, "factor=None: allowed"),
        (1000, "no sample of class 'disk'"),
    ],
)
def test_factors_that_leave_nothing_are_refused(factor, message, shapes):
    with pytest.raises(ValueError, match=message):
        data.imbalanced(shapes[0], factor)


def test_subset_takes_indices_and_masks():
    split = Split.from_arrays(IMAGES, LABELS)
    assert split.subset(torch.tensor([2, 0])).labels.tolist() == [2, 0]
    assert split.subset(split.labels == 1).labels.tolist() == [1, 1]

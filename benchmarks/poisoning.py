"""What an epoch of reading a poisoned set costs: poisoned once, against on every access.

Once: ``poison``, then ten epochs of shuffled batches as floats, a tenth of all that each. On access: a data set that
puts the trigger on an image when it is asked for, read by a DataLoader in shuffled batches, by workers or without.

python benchmarks/poisoning.py [--size PIXELS] [--rounds N] [--quick]
"""

from collections.abc import Iterator
from functools import partial

from against import Ratio, compare, drawn, each, options, read, report, timed
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from usual import WORKERS

from dlp_lib import Context, Split, Supervised, Truth, poison
from dlp_lib.attacks.base import Attack, AttackSetting, limit_to_class
from dlp_lib.models.interface import to_float
from dlp_lib.recipes import CIFAR10
from dlp_lib.training.stage import shuffled

EPOCHS = 10  # the paper's E1
BATCH = Supervised().batch


class OnAccess(Dataset):
    """The same images and labels as the tampered set, each image made when it is read."""

    def __init__(self, clean: Split, tampered: Split, truth: Truth, attack: Attack):
        self.images, self.labels, self.attack = clean.images, tampered.labels.tolist(), attack
        self.poisoned = truth.poisoned.tolist()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = self.images[index]
        if self.poisoned[index]:
            image = self.attack.trigger(image[None])[0]
        return image.float() / 255, self.labels[index]


def once(clean: Split, setting: Setting, context: Context) -> None:
    tampered, _ = poison(clean, *setting, context)
    for epoch in range(EPOCHS):
        for images, _ in shuffled(tampered, BATCH, context.runtime.generator("benchmark", epoch)):
            to_float(images)


def exhaust(loader: DataLoader) -> None:
    for _ in loader:
        pass


def of_attack(name: str, clean: Split, rounds: int) -> Iterator[Ratio]:
    setting, context = limit_to_class(CIFAR10[name], clean), Context()
    on_access = OnAccess(clean, *poison(clean, *setting, context), setting.attack)
    for workers, how in ((WORKERS, f"{WORKERS} workers"), (0, "no workers")):
        loader = DataLoader(
            on_access, BATCH, shuffle=True, num_workers=workers, persistent_workers=bool(workers)
        )
        what = f"{name}, an epoch of {len(clean):,} images: on access, {how}"
        ours = partial(each, EPOCHS, once, clean, setting, context)
        yield compare(what, ours, partial(timed, exhaust, loader), rounds)


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--size", type=int, default=32, metavar="PIXELS")
    arguments = read(parser)
    clean = drawn(500 if arguments.quick else 10_000, arguments.size)
    rows = [
        row
        for name in ("BadNets", "Blended", "SIG")
        for row in of_attack(name, clean, arguments.rounds)
    ]
    report("poisoning", rows, arguments)


if __name__ == "__main__":
    main()

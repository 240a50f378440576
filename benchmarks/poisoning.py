"""What an epoch of reading a poisoned set costs: poisoned once, against on every access.

Once: ``poison``, then ten epochs of shuffled batches as floats, of which a tenth counts. On access:
a data set that puts the trigger on an image when it is read. A DataLoader reads it in shuffled
batches, with workers or without.

python benchmarks/poisoning.py [--size PIXELS] [--rounds N] [--quick]
"""

from collections.abc import Iterator
from functools import partial

from dataloader_reference import WORKERS
from harness import (
    Ratio,
    build_parser,
    compare,
    parse_arguments,
    random_split,
    report,
    seconds_of,
    seconds_per,
)
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from dlp_lib import Context, Split, Supervised, Truth, poison
from dlp_lib.attacks import Attack, AttackSetting, limit_to_class
from dlp_lib.recipes import CIFAR10
from dlp_lib.training.stage import draw_epoch, gather

EPOCHS = 10  # the paper's E1
BATCH = Supervised().batch


class OnAccess(Dataset):
    """The same images and labels as the tampered set, each image made when it is read."""

    def __init__(self, clean: Split, tampered: Split, truth: Truth, attack: Attack):
        self.images = clean.images
        self.labels = tampered.labels.tolist()
        self.poisoned = truth.poisoned.tolist()
        self.attack = attack

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = self.images[index]
        if self.poisoned[index]:
            image = self.attack.trigger(image[None])[0]
        return image.float() / 255, self.labels[index]


def poison_and_read(clean: Split, setting: AttackSetting, context: Context) -> None:
    tampered, _ = poison(clean, *setting, context)
    for epoch in range(EPOCHS):
        order = context.runtime.generator("benchmark", epoch)
        for drawn in draw_epoch(tampered, BATCH, order):
            gather(tampered, drawn)


def exhaust(loader: DataLoader) -> None:
    for _ in loader:
        pass


def compare_attack(name: str, clean: Split, rounds: int) -> Iterator[Ratio]:
    context = Context()
    setting = limit_to_class(CIFAR10.attacks[name], clean)
    tampered, truth = poison(clean, *setting, context)
    on_access = OnAccess(clean, tampered, truth, setting.attack)
    ours = partial(seconds_per, EPOCHS, poison_and_read, clean, setting, context)
    for workers, how in ((WORKERS, f"{WORKERS} workers"), (0, "no workers")):
        loader = DataLoader(
            on_access, BATCH, shuffle=True, num_workers=workers, persistent_workers=workers > 0
        )
        what = f"{name}, an epoch of {len(clean):,} images: on access, {how}"
        yield compare(what, ours, partial(seconds_of, exhaust, loader), rounds)


def main() -> None:
    parser = build_parser(__doc__)
    parser.add_argument("--size", type=int, default=32, metavar="PIXELS")
    arguments = parse_arguments(parser)
    clean = random_split(500 if arguments.quick else 10_000, arguments.size)
    rows: list[Ratio] = []
    for name in ("BadNets", "Blended", "SIG"):
        rows += compare_attack(name, clean, arguments.rounds)
    report("poisoning", rows, arguments)


if __name__ == "__main__":
    main()

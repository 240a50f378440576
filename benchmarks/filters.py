"""Scoring 5,000 images with all four filters, against one pass plus what scikit-learn takes.

python benchmarks/filters.py [--rounds N] [--quick]
"""

import time

import sklearn.cluster
import sklearn.decomposition
from harness import build_parser, figure, parse_arguments, report, seconds_of

import dlp_lib
from dlp_lib import FILTERS, Runtime

WANTED = "< 1.3"
LIBRARY_CALLS = (
    (sklearn.decomposition.PCA, "fit_transform"),
    (sklearn.cluster.KMeans, "fit"),
    (sklearn.cluster.KMeans, "transform"),
)


def watch(kind: type, method: str, seconds: list[float]) -> None:
    """Add the seconds of every call of a method to a list."""
    original = getattr(kind, method)

    def watched(*arguments, **options):
        began = time.perf_counter()
        try:
            return original(*arguments, **options)
        finally:
            seconds.append(time.perf_counter() - began)

    setattr(kind, method, watched)


def main() -> None:
    arguments = parse_arguments(build_parser(__doc__))
    train, _ = dlp_lib.load("shapes10", 500 if arguments.quick else 5000, 1)
    model = dlp_lib.wrn_16_1(10, Runtime())
    in_library: list[float] = []
    for kind, method in LIBRARY_CALLS:
        watch(kind, method, in_library)

    def score_all() -> None:
        outputs = dlp_lib.logits_and_features(model, train.images)
        for score in FILTERS.values():
            score(outputs, train.labels)

    score_all()  # imports, and caches that are filled
    passes = []
    totals = []
    library = []
    ratios = []
    for _ in range(arguments.rounds):
        plain = seconds_of(dlp_lib.predict, model, train.images)
        in_library.clear()
        total = seconds_of(score_all)
        own = total - sum(in_library)
        passes.append(plain)
        totals.append(total)
        library.append(sum(in_library))
        ratios.append(own / plain)
    rows = [
        figure("one plain pass", passes, "s"),
        figure("all four filters", totals, "s"),
        figure("of that in scikit-learn", library, "s"),
        figure("all without scikit-learn, in plain passes", ratios, "", WANTED),
    ]
    report("filters", rows, arguments)


if __name__ == "__main__":
    main()

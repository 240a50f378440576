"""Scoring 5,000 images with all four filters, against one plain evaluation pass plus what scikit-learn takes.

python benchmarks/filters.py
"""

import statistics
import time

import sklearn.cluster
import sklearn.decomposition

import dlp_lib
from dlp_lib import FILTERS, Runtime

ROUNDS = 7


def timed(function, *arguments) -> float:
    began = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - began


def watch(kind: type, method: str, spent: list[float]) -> None:
    """Add the seconds of every call of a method to ``spent``."""
    original = getattr(kind, method)

    def watched(*arguments, **options):
        began = time.perf_counter()
        try:
            return original(*arguments, **options)
        finally:
            spent.append(time.perf_counter() - began)

    setattr(kind, method, watched)


def main() -> None:
    train, _ = dlp_lib.load("shapes10", 5000, 1)
    model, spent = dlp_lib.wrn_16_1(10, Runtime()), []
    for kind, method in (("PCA", "fit_transform"), ("KMeans", "fit"), ("KMeans", "transform")):
        module = sklearn.cluster if kind == "KMeans" else sklearn.decomposition
        watch(getattr(module, kind), method, spent)

    def score_all() -> None:
        seen = dlp_lib.logits_and_features(model, train.images)
        for score in FILTERS.values():
            score(seen, train.labels)

    score_all()  # imports, and caches that are filled
    rows = []
    for _ in range(ROUNDS):
        plain = timed(dlp_lib.predict, model, train.images)
        spent.clear()
        rows.append((plain, timed(score_all), sum(spent)))
    plain, everything, library = (statistics.median(column) for column in zip(*rows, strict=True))
    print(
        f"one plain pass {plain:.2f} s; all four filters {everything:.2f} s, {library:.2f} s of it in scikit-learn"
    )
    print(f"ratio without scikit-learn: {(everything - library) / plain:.2f} (wanted: below 1.3)")


if __name__ == "__main__":
    main()

"""Write five made-up submissions of notebook 03, to try a grader before the first class.

python -m tools.submissions NOTEBOOK --out 'course/submitted/{name}/ps1'

NOTEBOOK is what students would get: by `make student`, nbgrader or Otter. {name} stands for a
student. One of the five is wrong in three ways, another in one; one has not begun the last
exercise.
"""

import argparse
import copy
from pathlib import Path

import nbformat
from nbformat import NotebookNode

_ENTROPY = '''
def my_entropy(logits):
    """Entropies (n,) in bits of logits (n, classes)."""
    log_p = logits.log_softmax(1)
    return -(log_p.exp() * log_p).sum(1) / torch.tensor(2.0).log()
'''
_ENTROPY_BY_ROWS = '''
def my_entropy(logits):
    """Entropies (n,) in bits of logits (n, classes)."""
    bits = []
    for row in logits:
        p = row.softmax(0)
        positive = p[p > 0]
        bits.append(-(positive * positive.log2()).sum())
    return torch.stack(bits)
'''
_ENTROPY_IN_NATS = '''
def my_entropy(logits):
    """Entropies (n,) in bits of logits (n, classes)."""
    log_p = logits.log_softmax(1)
    return -(log_p.exp() * log_p).sum(1)
'''
_CUTS = '''
def my_cuts(h, labels, gamma):
    """Indices of the suspects, and of the trusted samples; h and labels are (n,)."""
    k = round(len(h) * gamma)
    order = h.argsort()
    trusted = []
    for label in labels.unique():
        trusted.append(order[labels[order] == label][-k:])
    return order[:k], torch.cat(trusted)
'''
_CUTS_OF_THE_UNSURE = '''
def my_cuts(h, labels, gamma):
    """Indices of the suspects, and of the trusted samples; h and labels are (n,)."""
    k = round(len(h) * gamma)
    order = h.argsort(descending=True)
    return order[:k], order[-k:]
'''
_SHARES = '''
def my_precision_and_recall(suspected, poisoned):
    """Two numbers, from indices (k,) and a boolean mask (n,)."""
    found = poisoned[suspected].sum()
    return found / len(suspected), found / poisoned.sum()
'''
_SHARES_EXCHANGED = '''
def my_precision_and_recall(suspected, poisoned):
    """Two numbers, from indices (k,) and a boolean mask (n,)."""
    found = poisoned[suspected].sum()
    return found / poisoned.sum(), found / len(suspected)
'''
_FORGETTING = '''
def my_forgetting(correct):
    """Counts (n,) from booleans (epochs, n)."""
    return (correct[:-1] & ~correct[1:]).sum(0)
'''
_FORGETTING_BY_EPOCHS = '''
def my_forgetting(correct):
    """Counts (n,) from booleans (epochs, n)."""
    counts = torch.zeros(correct.shape[1])
    for before, after in zip(correct[:-1], correct[1:]):
        counts += before & ~after
    return counts
'''
# By student: the answers, and which of the four exercises are right
ANSWERS = {
    "ada": [_ENTROPY, _CUTS, _SHARES, _FORGETTING],
    "ben": [_ENTROPY_BY_ROWS, _CUTS, _SHARES, _FORGETTING_BY_EPOCHS],
    "cleo": [_ENTROPY, _CUTS, _SHARES],
    "dan": [_ENTROPY_IN_NATS, _CUTS, _SHARES, _FORGETTING],
    "eve": [_ENTROPY_IN_NATS, _CUTS_OF_THE_UNSURE, _SHARES_EXCHANGED, _FORGETTING_BY_EPOCHS],
}
POINTS = {"ada": 8, "ben": 8, "cleo": 5, "dan": 7, "eve": 3}  # of 8; what a grader should find


def answered(notebook: NotebookNode, answers: list[str]) -> NotebookNode:
    """Return a copy of a student's notebook with answers in their cells.

    Args:
        notebook: as students get it.
        answers: functions; each takes the place of the cell that begins with its name.

    Raises:
        ValueError: where there is no such cell, or more than one.
    """
    notebook = copy.deepcopy(notebook)
    for answer in answers:
        source = answer.strip()
        begin = source.partition("(")[0] + "("
        found = [cell for cell in notebook.cells if cell.source.startswith(begin)]
        if len(found) != 1:
            raise ValueError(f"{begin}…): the notebook has {len(found)} cells that begin with it")
        found[0].source = source
    return notebook


def write(source: Path, out: str) -> list[Path]:
    """Write all submissions, and return their files.

    Args:
        source: the notebook as students get it.
        out: a folder, with {name} in the place of the student's name.
    """
    notebook = nbformat.read(source, as_version=4)
    written = []
    for name, answers in ANSWERS.items():
        target = Path(out.replace("{name}", name)) / source.name
        target.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(answered(notebook, answers), target)
        written.append(target)
    return written


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.submissions",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("notebook", type=Path, help="as students get it")
    parser.add_argument("--out", required=True, help="folder; {name} stands for the student")
    options = parser.parse_args(arguments)
    if "{name}" not in options.out:
        parser.error(f"--out {options.out}: {{name}} must be in it")
    if not options.notebook.is_file():
        parser.error(f"notebook={str(options.notebook)!r}: there is no such notebook")
    for path in write(options.notebook, options.out):
        print(path)


if __name__ == "__main__":
    main()

"""What ``defend`` computes: stage 1 and its E1, the defence, and what the model then answers."""

import copy
from dataclasses import dataclass, replace

from torch import Tensor, nn

from ...context import Context
from ...data import Split
from ...defences import DLP, AgreedE1, Result, agreed_e1, agreement, entropy, most_suspicious
from ...training import predict, supervised
from .settings import Method


@dataclass(frozen=True)
class E1Search:
    """How E1 was chosen: by what the suspects of every epoch agree on."""

    epochs: int  # among which it was looked for
    agreed: AgreedE1 | None  # the first epoch of lasting agreement; None: there is none
    agreement: tuple[float, ...]  # largest share of one class among the suspects, by epoch


@dataclass(frozen=True)
class Outcome:
    """All that the tables and the page show. Everything lies on the CPU."""

    tampered: Split
    method: Method  # with the settings that were used
    result: Result
    search: E1Search | None  # None: E1 was given, or the defence has none
    score_name: str  # "entropy" in bits, or "loss" in nats; low is suspicious
    score: Tensor  # (n,)
    answers: Tensor  # (n,) the class that the final model gives each image

    def rows(self) -> list[dict]:
        """Return a row for every image, the most suspicious one first."""
        names = self.tampered.classes
        columns = {self.score_name: self.score, "answer": self.answers}
        result = self.result
        rows = result.selection.table(self.tampered, result.suspicion, **columns)
        return [row | {"answer": names[row["answer"]]} for row in rows]

    def samples_by_rank(self) -> list[int]:
        """Return the samples' numbers in the set, the most suspicious one first."""
        return most_suspicious(self.result.suspicion, len(self.tampered)).tolist()

    def commonest_label(self) -> tuple[int, float]:
        """Return the commonest label of the suspects, and the share of them that carry it."""
        labels = self.tampered.labels[self.result.selection.suspected]
        counts = labels.bincount()
        label = int(counts.argmax())
        return label, counts[label].item() / len(labels)


def search_epochs(dlp: DLP) -> int:
    """Return among how many epochs E1 is looked for: twice as many as the recipe's E1."""
    return 2 * dlp.e1


def run(
    model: nn.Module, tampered: Split, method: Method, choose_e1: bool, context: Context
) -> Outcome:
    """Defend, and see what came out.

    Args:
        model: untrained; left as it is.
        tampered: the training set.
        method: the defence, with its settings.
        choose_e1: whether DLP's E1 is the first epoch at which its suspects agree.
        context: device, random streams, store and progress.

    Raises:
        Diverged: where a stage did not stay finite.
    """
    search = None
    if isinstance(method, DLP) and choose_e1:
        search = _search(model, tampered, method, context)
        if search.agreed is not None:
            method = replace(method, e1=search.agreed)
    result = method.run(model, tampered, context)
    answers = predict(result.model, tampered.images).argmax(1).cpu()
    name = "entropy" if isinstance(method, DLP) else "loss"
    score = 0.0 - result.suspicion.cpu()  # both are the less, the more suspicious
    at_home = tampered.to("cpu")
    return Outcome(at_home, method, _to_cpu(result), search, name, score, answers)


def _search(model: nn.Module, tampered: Split, dlp: DLP, context: Context) -> E1Search:
    """Train stage 1 beyond E1, and look where its suspects agree."""
    epochs = search_epochs(dlp)
    learner = copy.deepcopy(model)
    stage = supervised(learner, tampered, epochs, dlp.supervised, context).expect_finite()
    agreed = agreed_e1(stage, tampered, dlp.gamma)
    suspicions = [-entropy(logits) for logits in stage.logits_by_block()]
    shares = agreement(suspicions, tampered.to("cpu"), dlp.gamma, window=1)
    return E1Search(epochs, agreed, tuple(shares.tolist()))


def _to_cpu(result: Result) -> Result:
    chosen = result.selection
    selection = replace(chosen, suspected=chosen.suspected.cpu(), trusted=chosen.trusted.cpu())
    logits = result.logits.cpu()
    suspicion = result.suspicion.cpu()
    return replace(result, logits=logits, suspicion=suspicion, selection=selection)

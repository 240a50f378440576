# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py//py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The whole of DLP: every attack, every stage, every order
#
# **What you will learn.** What the three stages come to together, for attacks of both families and for a clean set; which of the paper's tables we find again, and
# which not; and what happens when a stage is left out, or done in another order.
#
# **You need** notebooks [03](03_entropy_filtering.ipynb), [04](04_active_unlearning.ipynb) and [05](05_semi_supervised_finetuning.ipynb): one for each stage.
#
# **Time**: reading, 25 minutes. Running, about seven minutes on two cores (not timed on a GPU yet).
#
# Terms are explained in the [glossary](../docs/GLOSSARY.md), papers listed in the [bibliography](../docs/BIBLIOGRAPHY.md).

# %% [markdown]
# The next cell holds every setting of this notebook. What was computed once is kept on disk: a second run takes seconds.

# %% tags=["parameters"]
dataset = "shapes10"  # or "cifar10", or a folder of class folders
n_train = 5000  # training images; None for all there are
n_test = None  # test images, likewise
image_size = 16  # pixels a side
attack_names = ["BadNets", "SIG"]  # of BadNets, TrojanNN, Blended, LCA, SIG
gamma = 0.02  # filtering rate
quota = "per class"  # of trusted samples: n·gamma of every class, or of all together ("total")
choose_e1 = True  # by what a defender sees; False: take e1, as the paper does
epochs = 24  # among which E1 is chosen
rule_gamma = 0.01  # share of the set whose labels must agree
e1 = 4  # where none can be chosen
e2 = 20  # epochs of unlearning, at most
unlearn_lr = None  # of unlearning; None for the recommended one
finetune_steps = 360  # of FixMatch
seed = 0
device = "auto"  # "cpu", "cuda", or "auto"
cache = "build/store"  # where stages are kept, inside the project's folder unless absolute
out = "build/pipeline"  # where metrics.json goes, likewise

# %%
import math
from dataclasses import asdict, replace

import matplotlib.pyplot as plt
import pandas as pd
import torch

import dlp_lib
from dlp_lib import HOME, Context, Runtime, Store, evaluate, plots, print_progress, recipe_for
from dlp_lib.checks import dlp_pipeline as checks
from dlp_lib.defences import ORDERS, agreement
from dlp_lib.experiments import record, report, scenario
from dlp_lib.experiments.tables import beside_paper

# %% [markdown]
# ## 1. One call
#
# All three stages stand in one object. What it needs is a tampered set and an untrained model. What it never gets is clean data, the attack, or the truth.

# %%
context = Context(Runtime(seed, device), Store(HOME / cache), print_progress)
recipe = recipe_for(dataset)
fixmatch = replace(recipe.dlp.fixmatch, steps=finetune_steps)
unlearn = replace(recipe.dlp.unlearn, lr=unlearn_lr or recipe.dlp.unlearn.lr)
dlp = replace(
    recipe.dlp, gamma=gamma, e1=e1, e2=e2, quota=quota, unlearn=unlearn, fixmatch=fixmatch
)

# %% [markdown]
# The first decision is $E_1$, and the paper does not say how to take it. We take notebook 03's rule for every attack alike: the first epoch at which one class holds 98 % of the suspects, as a mean over three epochs (so the third is the first possible). The rule sees labels and
# entropies, no truth. Where it never fires, as it should not on a clean set, we fall back on a fixed $E_1$, and the table says so. In one respect the tables below are optimistic: the threshold of 98 % and the fallback were set with the results
# of these attacks and seeds in view.
#
# By hand: eight samples of two classes, and two of them are suspected at each of four epochs. At every epoch both suspects carry the same label. When has that lasted?

# %% tags=["nbval-check-output"]
labels = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
eight = dlp_lib.Split(torch.zeros(8, 3, 8, 8, dtype=torch.uint8), labels, ("disk", "ring"))
suspects = torch.tensor([[4, 5], [0, 1], [0, 2], [1, 3]])  # at four epochs
scores = [torch.zeros(8).index_fill(0, pair, 1.0) for pair in suspects]
print([f"{share:.2f}" for share in agreement(scores, eight, 0.25).tolist()])

# %% [markdown]
# At the first epoch both were rings, and easy by chance. Only at the fourth have they been disks for three epochs.
#
# The fair comparison is an *undefended* model: trained on the same set for as many image passes as the three stages take together (all epochs of the ascent counted, those after the stop too).

# %%
recipe = replace(recipe, epochs=epochs, dlp=dlp)
untouched = scenario(
    dataset, "none", n_train=n_train, image_size=image_size, context=context, recipe=recipe
)
test = untouched.test.subset(slice(n_test))
scenes = {"no attack": untouched}
for name in attack_names:
    scenes[name] = untouched.attacked_by(name)


# %%
def defend(scene, **changes):
    """E1 as a defender chooses it (None: no choice), and what DLP comes to."""
    if choose_e1:
        return scene.defended(rule_gamma, **changes)
    return None, replace(dlp, **changes).run(scene.untrained(), scene.tampered, context)


def defend_and_compare(scene):
    """E1, and CA, ASR and RA after each stage and of the undefended model."""
    chosen, result = defend(scene)
    passes = result.total("images")
    undefended, _ = scene.undefended(math.ceil(passes / len(scene.tampered)))
    measured = dlp_lib.after_each(result, test, scene.attack)
    measured["undefended"] = evaluate(undefended, test, scene.attack)
    return chosen, measured


# %% [markdown]
# **Predict.** For BadNets, and for SIG, which poisons without changing a label: what will CA and ASR be after supervised learning (SL), after active unlearning (AU), after semi-supervised
# fine-tuning (ASSFT)?

# %%
chosen, measured = {}, {}
for name, scene in scenes.items():
    chosen[name], measured[name] = defend_and_compare(scene)

# %%
figure, axes = plt.subplots(1, len(scenes), figsize=(5.2 * len(scenes), 3.4), sharey=True)
for ax, name in zip(axes, scenes, strict=True):
    when = f"E1 = {chosen[name]}" if chosen[name] else f"E1 = {e1}, not agreed"
    attack = scenes[name].attack
    target = attack.target if attack else None
    plots.stage_bars(ax, measured[name], target).set_title(f"{name}: {when}")
plots.shared_legend(figure)
plots.show(
    figure,
    "CA, ASR and RA after each stage of DLP and undefended, without an attack and for each attack.",
)

# %% [markdown]
# **What you should see.** BadNets: after SL the backdoor is all there and CA is low, for stage 1 is short on purpose. After AU the backdoor is gone, and CA is lower still. After ASSFT, CA stands
# where the undefended model's does, a few points at most apart, and ASR stays near 0. Without an attack the three stages cost next to nothing.
#
# SIG begins alike (on this seed the rule does not fire, as on the clean set: a defender could not tell the two apart): the filter finds the poison, the ascent removes the backdoor. Then fine-tuning brings it back, whole.
#
# ## 2. Table 1: what three seeds say
#
# The figure above is one seed. The next table is recorded: all five attacks, seeds 0, 1 and 2, mean and range in per cent, the same rule for $E_1$ throughout. Read the ranges first. Here are two cells by hand, which have the same mean:

# %% tags=["nbval-check-output"]
for shares in (0.30, 0.31, 0.32), (0.01, 0.02, 0.90):
    seeds = [{"attack": "by hand", "asr": share} for share in shares]
    print(record.spread(seeds, ["attack"], ["asr"]).loc["by hand", "asr"])

# %% [markdown]
# **Predict.** Notebook 01 had two clean-label attacks. Will DLP treat them alike?

# %%
recorded = record.read("stages")
stages = ["SL", "AU", "ASSFT", "undefended"]
shares = record.spread(recorded, ["attack", "stage"], ["ca", "asr"])
shares["ca"].unstack(sort=False)[stages].rename_axis("CA (%)")

# %%
shares["asr"].unstack(sort=False)[stages].drop("none").rename_axis("ASR (%)")

# %% [markdown]
# Behind it stands what the filter found: $E_1$ by seed (in brackets where the rule never fired), the poisoned share of the suspects, and the clean share of the trusted samples.

# %%
ends = [row for row in recorded if row["stage"] == "ASSFT"]
epoch_by_seed = {}
for row in ends:
    e1_shown = str(row["e1"]) if row["agreed"] else f"({row['e1']})"
    epoch_by_seed.setdefault(row["attack"], {})[f"E1, seed {row['seed']}"] = e1_shown
found = record.spread(ends, ["attack"], ["suspected", "trusted"])
pd.DataFrame(epoch_by_seed).T.join(found)

# %% [markdown]
# **What you should see.** Three groups:
#
# - *BadNets and TrojanNN*: on every seed CA is within two points of the undefended model's, or above it, and ASR below 3 %.
# - *Blended*: nearly so on two seeds, with an ASR of 1 and 3 %. On the third the rule fired far too early, when not one suspect was poisoned. The ascent made the model forget clean images, ASR *rose* to 55 %, and 22 %
#   remain in the end. The suspects had agreed and the stop was reached: nothing warned the defender.
# - *LCA and SIG*: the filter is right, unlearning brings ASR near 0, and after ASSFT it is at 100 % again. On every seed.
#
# On the clean set the rule gave one false alarm in three. It cost four points of CA. (Notebook 03 saw none, and a later $E_1$ for Blended, by the same rule on the same seeds. The difference that we know of is the number of
# threads, by which sums are rounded otherwise. Near its threshold the rule decides by chance.)
#
# **Why.** The clean-label attacks poison 450 of the 500 images of the target class. The 100 trusted samples of that class come from the remaining 50 and from 50 poisoned ones, however well the filter
# ranks: the trusted part is 95 % clean at best, and notebook 05 showed what one poisoned sample in fifty does. That is one way back. Notebook 11 finds a second, and looks for remedies.
#
# A word on the undefended model: it trains at a constant learning rate, and single epochs fall out of line (86.6 to 98.0 for LCA). FixMatch is judged by averaged weights, which do not jump. So take a CA of DLP *above* the
# undefended one as a tie.
#
# ## 3. Beside the paper
#
# The paper's figures are those of CIFAR-10 with 50,000 images of 32×32, with a FixMatch of a length that it does not give; ours those of a set of 5,000 drawn shapes of 16×16. So compare *patterns*, not
# digits: is ASR gone, and is CA that of the undefended model?


# %%
beside_paper(recorded, measured)

# %% [markdown]
# **What you should see.** Under poison-label attacks the paper's pattern is here again: full ASR without a defence, almost none with DLP, and no loss of CA to speak of (Blended's mean hides
# two good seeds and a bad one). Under clean-label attacks it is not: the paper reports ASR near 0, we measure 100 %.
#
# **Why the difference?** The paper takes $\alpha$ = 10 %, as a share of the whole set. For a clean-label attack on CIFAR-10 that would be *every* image of the target class, and no trusted sample of it could be clean. Perhaps it means less; it does not say. As long as a class keeps $n\gamma$ clean images, and the filter ranks them last, the trusted
# part can be clean. With nine images in ten poisoned, as here, it cannot.
#
# ### Where the paper's text contradicts itself
#
# Every paper has slips. These are worth knowing before you write your own code from this one:
#
# | place | what is printed | what this kit does |
# | --- | --- | --- |
# | Eq. 5, entropy | the sum runs from 0 to $C$: $C + 1$ terms for $C$ classes | $C$ terms |
# | Eq. 6, unlearning | a sum over the suspects, $n\gamma$ of them, divided by $m$, the number of *poisoned* samples, which a defender does not know | the mean over the suspects |
# | Eq. 7, unlabelled part | $D'_r = D_o - D'_c$, where $D_o$ is the data *before* the attack, which a defender does not have | $D_m - D'_c$: all that is not trusted |
# | Eq. 7, weights | $\alpha$ weighs the unlabelled loss; elsewhere it is the poisoning rate | FixMatch's $\lambda_u$, here `lambda_u` |
# | Eq. 7, last term | a regulariser $\mathcal{R}$ with weight $\beta$, neither of which has a value | weight decay, `weight_decay` |
# | Baselines | "four state-of-the-art defenses", then a list of five | all five: FP, MCR, NAD, ABL, ANP |
#
# [The paper, claim by claim](../docs/REPRODUCTION.md) has every table and figure of the paper beside what was measured, here and on 10,000 images of CIFAR-10.
#
# ## 4. Fig. 4: is every stage needed, and in this order?
#
# Four orders: without fine-tuning (SL-AU), without unlearning (SL-ASSFT), unlearning last (SL-ASSFT-AU), and DLP's own (SL-AU-ASSFT).
#
# **Predict.** Without unlearning, FixMatch still takes all suspects' labels away. Is that enough to lose the backdoor? And what does an ascent do to a model that has
# just been fine-tuned?

# %%
orders = {}
for name in attack_names:
    for order in ORDERS[1:]:
        _, result = defend(scenes[name], order=order)
        after = dlp_lib.after_each(result, test, scenes[name].attack)
        orders[f"{name}: {'-'.join(order)}"] = after

# %%
n = len(attack_names)
figure, axes = plt.subplots(n, 4, figsize=(12, 2.8 * n), sharey=True, squeeze=False)
for ax, (title, after) in zip(axes.flat, orders.items(), strict=True):
    asr = [metrics.asr for metrics in after.values()]
    ca = [metrics.ca for metrics in after.values()]
    plots.mean_and_range(ax, list(after), asr, "s-", plots.POISONED, "ASR")
    plots.mean_and_range(ax, list(after), ca, "o-", plots.CLEAN, "CA")
    ax.set(title=title, ylabel="test images (%)", ylim=(-3, 104))
plots.shared_legend(figure)
plots.show(figure, "CA and ASR after each stage, for four orders of the stages and each attack.")

# %% [markdown]
# The same with three seeds, after the last stage:

# %%
last = [row for row in record.read("orders") if row["order"].split("-")[-1] == row["stage"]]
record.spread(last, ["attack", "order"], ["ca", "asr", "ra"])

# %% [markdown]
# **What you should see**, claim by claim of the paper:
#
# - *Without fine-tuning CA stays low*: held. SL-AU ends at a quarter to a third.
# - *Without unlearning ASR hardly falls*: **did not hold** for BadNets. SL-ASSFT ends at an ASR of about 1 % on all seeds, as good as DLP itself. For SIG, ASR stays at 100 % without unlearning, and with it.
# - *With unlearning last it works, and CA falls from its peak*: for BadNets nothing was left to unlearn, and CA falls by one to four points. For SIG ASR falls on two seeds of three, CA by a third to a half, and RA is
#   11 % at best: no defence.
# - *SL-AU-ASSFT is best*: **not found**. For BadNets SL-ASSFT is as good; for SIG both fail.
#
# **Why would unlearning matter less here?** In SL-ASSFT the model starts with its backdoor, and would teach itself the trigger wherever a weak view keeps it. On these small images a weak view mostly breaks BadNets'
# patch (notebook 05), so the model is asked about images without a working trigger, and answers by their shape. That is an explanation, not a proof: the third experiment under *Go further* puts it to a test.
#
# ## 5. Your own images
#
# The paper's second table is an ImageNet subset. Everything above runs on any folder of class folders with real images, at any size from 8 pixels up:
#
#     papermill notebooks/06_dlp_pipeline.ipynb out.ipynb -p dataset path/to/folder -p image_size 64 -p n_train 10000
#
# Mind the defaults: they were chosen for small shapes. Real images want more epochs to look at, and a much longer FixMatch.

# %%
rows = []
for name, stages_of_run in measured.items():
    for stage, metrics in stages_of_run.items():
        rows.append({"attack": name, "stage": stage, "e1": chosen[name], **asdict(metrics)})
in_order = []
for title, after in orders.items():
    name, order = title.split(": ")
    for stage, metrics in after.items():
        in_order.append({"attack": name, "order": order, "stage": stage, **asdict(metrics)})
report(out, context.runtime, table=rows, orders=in_order)

# %% [markdown]
# ## Recap
#
# - Against poison-label attacks DLP gives back the accuracy of an undefended model, and the backdoor is gone: where $E_1$ suits.
# - The choice of $E_1$ is its soft spot. A rule can be wrong without a defender noticing.
# - Under clean-label attacks that poison most of a class, the trusted samples carry the backdoor over.
# - An order of stages is a hypothesis: measure it with more than one attack before believing it.
#
# ## Quiz
#
# <details><summary>Why is DLP compared with a model that was trained for as many image passes, and not for the $E_1$ epochs of its own stage 1?</summary>
#
# Otherwise a CA that comes from training for longer would be put down to the defence. Stage 1 is short on purpose, and its model has a low CA.
# </details>
#
# <details><summary>Under SIG nearly all suspects are poisoned, and ASR is near 0 after unlearning. Where does the backdoor come back from?</summary>
#
# From the trusted samples, for one: the target class has 50 clean images left, and its quota takes 100. So poisoned ones are trusted, with their labels, and FixMatch learns the trigger from them.
# </details>
#
# <details><summary>SL-ASSFT does as well as DLP against BadNets. So unlearning is superfluous?</summary>
#
# That is one attack, on small images, where a weak view mostly breaks the patch. A stage that is not needed there may be needed where the trigger survives the views. The four orders say what happened in these cases, and no more.
# </details>
#
# ## Exercises
#
# Replace the dots, run the cell, and run the one after it: the check says what is wrong, if anything is.
#
# ### Exercise 1. Defended, or not? *(easy, 10 minutes)*
#
# To section 2: call an attack defended if, on *every* seed, ASR is below 10 %, and CA is not more than two points below the undefended model's of that seed. Then apply it to `recorded` (`pd.DataFrame(recorded).pivot` makes the tables): which of the five attacks are defended, and which would be by their means?


# %% tags=["exercise"]
def my_verdicts(asr, ca, undefended):
    """Booleans (attacks,).

    From ASR, CA and the undefended model's CA (attacks, seeds), as fractions.
    """
    # BEGIN SOLUTION
    return ((asr < 0.1) & (ca >= undefended - 0.02)).all(1)
    # END SOLUTION


# %% tags=["check"]
checks.defended(my_verdicts)

# %% [markdown]
# ### Exercise 2. What went wrong first? *(medium, 10 minutes)*
#
# Five runs of DLP, made up and in per cent. The undefended model has a CA of 98 and an ASR of 100.
#
# | run | suspects poisoned | trusted clean | CA / ASR after SL | after AU | after ASSFT |
# | --- | --- | --- | --- | --- | --- |
# | A | 2 | 92 | 60 / 45 | 25 / 60 | 95 / 30 |
# | B | 100 | 95 | 45 / 100 | 30 / 1 | 94 / 100 |
# | C | 100 | 100 | 45 / 100 | 44 / 97 | 97 / 93 |
# | D | 99 | 100 | 45 / 100 | 31 / 1 | 97 / 1 |
# | E | 100 | 100 | 45 / 100 | 30 / 1 | 41 / 3 |
#
# Say of each what went wrong *first*: "suspects" or "trusted", if that cut was a bad one; "unlearning", "fine-tuning"; or "nothing". Then find the runs of section 2 that look like A and like B.

# %% tags=["exercise"]
failures = None
# BEGIN SOLUTION
failures = {"A": "suspects", "B": "trusted", "C": "unlearning", "D": "nothing", "E": "fine-tuning"}
# END SOLUTION

# %% tags=["check"]
checks.failures(failures)

# %% [markdown]
# ### Exercise 3. Choose $E_1$ *(medium, 20 minutes)*
#
# Write section 1's rule. From the labels of the suspects at every epoch, return the first epoch, counted from 1, at which one class has the `threshold` share of them, as a mean over this epoch and the two before (an epoch before the first counts as 0). Where there is none, return the `fallback`.
#
# Then think of a window of one epoch, and of ten: what does a defender lose with each?


# %% tags=["exercise"]
def my_e1(labels, classes, threshold, fallback):
    """An epoch, from the suspects' labels (epochs, suspects) and the number of classes."""
    # BEGIN SOLUTION
    shares = torch.nn.functional.one_hot(labels, classes).double().mean(1)  # (epochs, classes)
    padded = torch.cat([torch.zeros(2, classes), shares])
    for epoch in range(1, len(labels) + 1):
        if padded[epoch - 1 : epoch + 2].mean(0).max() >= threshold:
            return epoch
    return fallback
    # END SOLUTION


# %% tags=["check"]
checks.e1(my_e1)

# %% [markdown]
# ### Exercise 4. Better, or just longer? *(medium, 10 minutes)*
#
# DLP ends with a better model than its stage 1 had. Is that the defence, or would any training of that length do as well? The run made 4 epochs of 5,000 images, 10 epochs on 100 suspects, and 360 steps of FixMatch with 64 labelled and 192 unlabelled images. A control is a second run that differs from the first in one thing: the one that is in question. Design it: a copy of `run` in
# which one setting has another value (a training is "DLP", "supervised", "stage 1" or "none"; the data are a "tampered set" or a "clean set"; numbers may be any). Which bar of section 2 is it, and how many epochs are that?


# %% tags=["exercise"]
run = {"training": "DLP", "data": "tampered set", "image passes": 113160, "seed": 0}
control = None
# BEGIN SOLUTION
control = run | {"training": "supervised"}
# END SOLUTION

# %% tags=["check"]
checks.equal_cost(control)


# %% [markdown]
# ### Exercise 5. What three seeds can tell *(hard, 20 minutes)*
#
# Two methods differ in CA by a few points, seed by seed. Is it more than chance? If it were chance, each difference might as well have come out with the other sign. There are $2^n$ patterns of signs for $n$ differences. Return the share of these patterns whose mean is at least as far from 0 as the one
# that was measured. (This is a permutation test of paired samples, and the share its p-value.)
#
# Then take the CA of SL-ASSFT and of SL-AU-ASSFT for BadNets out of `last`, seed by seed: are they different? And how many seeds does it take, if all agree, for a share below 5 %?


# %% tags=["exercise"]
def my_chance(differences):
    """A share, from differences (n,), one for each seed."""
    # BEGIN SOLUTION
    signs = torch.cartesian_prod(
        *[torch.tensor([1.0, -1.0])] * len(differences)
    )  # the first row is what was seen
    means = (signs * differences).mean(1).abs()
    return (means >= means[0] - 1e-9).double().mean()
    # END SOLUTION


# %% tags=["check"]
checks.chance(my_chance)

# %% [markdown]
# ### Go further
#
# 1. *(5 minutes)* In Table 1, compare CA after AU with and without an attack. Could a defender tell from this fall whether the suspects were poisoned?
# 2. *(15 minutes)* Set `attack_names = ["Blended", "LCA"]` and read the bars. Which stage fails for which?
# 3. *(20 minutes)* Run section 4 for LCA, whose trigger survives most weak views, and for Blended at `choose_e1 = False, e1 = 15`. Is unlearning needed now? Which of the two answers speaks of unlearning, and which of the quota?
# 4. *(30 minutes)* Think of another rule for $E_1$, or combine it with the loss filter. Judge it on seeds that you did not look at while you made it.
#
# ## References
#
# - Z. Ying and B. Wu. *DLP: towards active defense against backdoor attacks with decoupled learning process.*
#   Cybersecurity 6, 2023: Tables 1 to 3 and Fig. 4.
# - K. Sohn et al. *FixMatch: simplifying semi-supervised learning with consistency and confidence.* NeurIPS 2020.
# - M. Barni, K. Kallas and B. Tondi. *A new backdoor attack in CNNs by training set corruption without label poisoning.* ICIP 2019.

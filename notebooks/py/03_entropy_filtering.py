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
# # Entropy filtering: finding poisoned samples by how sure the model is
#
# **What you will learn.** How DLP's entropy filter splits a tampered set; how its precision depends on when you look ($E_1$) and how
# much you take ($\gamma$); how it compares with three other filters, on five attacks; where it fails, and why; and how a defender,
# who never sees the truth, could choose $E_1$.
#
# **You need** the attacks of [notebook 01](01_backdoor_attacks.ipynb) and the speed gap of
# [notebook 02](02_learning_speed_gap.ipynb).
#
# **Time**: reading, 35 minutes. Running, about six minutes on two cores (not timed on a GPU yet).
#
# Terms are explained in the [glossary](../docs/GLOSSARY.md), papers listed in the [bibliography](../docs/BIBLIOGRAPHY.md).

# %% [markdown]
# The next cell holds every setting of this notebook. What was computed once is kept on disk: a second run takes seconds.

# %% tags=["parameters"]
dataset = "shapes10"  # or "cifar10", or a folder
n_train = 5000  # training images; None for all there are
image_size = 16  # pixels a side
target = 0  # the class that the attacker wants
gamma = 0.01  # filtering rate
threshold = 0.98  # of lasting agreement, in section 4
epochs = 20  # of supervised learning; any E1 up to that can be looked at
seed = 0
device = "auto"  # "cpu", "cuda", or "auto"
cache = "build/store"  # where stages are kept, inside the project's folder unless absolute
out = "build/filters"  # where metrics.json goes, likewise

# %%
import ipywidgets
import matplotlib.pyplot as plt
import pandas as pd
import torch
from matplotlib.figure import Figure
from sklearn.metrics import average_precision_score

import dlp_lib
from dlp_lib import HOME, Context, Runtime, Store, entropy, plots, print_progress
from dlp_lib.checks import entropy_filtering as checks
from dlp_lib.defences import PAPER_FILTERS, agreement
from dlp_lib.experiments import record, report, scenario
from dlp_lib.live.view import explore
from dlp_lib.recipes import PAPER_ATTACKS

# %% [markdown]
# First the data, poisoned five times: the three poison-label attacks take the same 500 images, the two clean-label ones the same 450 disks.

# %%
context = Context(Runtime(seed, device), Store(HOME / cache), print_progress)
untouched = scenario(dataset, "none", n_train=n_train, image_size=image_size, context=context)
scenes = {name: untouched.attacked_by(name, target=target) for name in PAPER_ATTACKS}

# %% [markdown]
# The same untrained model learns each tampered set for twenty epochs. Every epoch's logits are recorded, so that everything below is *looking*, not training.

# %%
stages, entropies = {}, {}
for name, scene in scenes.items():
    _, stages[name] = scene.undefended(epochs)
    logits = [stages[name].logits(epoch) for epoch in range(1, epochs + 1)]
    entropies[name] = [entropy(z).to(scene.tampered.labels.device) for z in logits]

# %% [markdown]
# ## 1. Sure of the poison, unsure of the rest
#
# Shannon's entropy of the model's prediction says how undecided it is, in bits (Eq. 5 of the paper):
#
# $$H(x) = -\sum_{i=1}^{C} p_i(x) \log_2 p_i(x)$$
#
# While the model knows the trigger and does not know the shapes, it should be sure of poisoned samples alone. By hand, for four classes: no idea, two candidates, nearly sure.

# %% tags=["nbval-check-output"]
for logits in ([0.0, 0.0, 0.0, 0.0], [8.0, 8.0, 0.0, 0.0], [8.0, 0.0, 0.0, 0.0]):
    print(f"{logits}: {entropy(torch.tensor([logits])).item():.3f} bits")

# %% [markdown]
# **Predict.** Below are histograms for three of the attacks after 2, 4, 10 and 20 epochs (mind the axis: it is logarithmic above ten samples). In which
# of them can a cut at the left take poisoned samples only?

# %%
looks = [epoch for epoch in (2, 4, 10, 20) if epoch <= epochs]
figure, axes = plt.subplots(3, len(looks), figsize=(11, 7), sharey=True, squeeze=False)
for row, name in zip(axes, ["BadNets", "Blended", "SIG"], strict=True):
    for ax, epoch in zip(row, looks, strict=True):
        h = entropies[name][epoch - 1]
        plots.histogram(ax, h, scenes[name].truth.poisoned, 40)
        ax.set_title(f"{name}, epoch {epoch}")
plots.shared_legend(figure)
plots.show(
    figure,
    "Histograms of entropy for three attacks at several epochs, clean and poisoned samples in two "
    "colours.",
)

# %% [markdown]
# **What you should see.** *BadNets*: at epochs 2 and 4 the left end is all poison; later the clean samples arrive there too, and the two heaps
# overlap. *SIG*: at epoch 4 the left end is all poison; at epoch 2 another class may be there, and at 10 and 20 it is mostly clean. *Blended*: the other way round. Early on the left
# end is clean samples of some easy class, and only late does the poison overtake them.
#
# **Why.** Entropy measures *what is easy for this model now*. BadNets' corner is the easiest thing of all. SIG's images are true disks with
# a helpful wave: easy too, until the model is sure of everything. Blended's noise is harder than an easy shape (notebook 02), but once the
# model has found it, it is the same on every image, and the model becomes surer of it than of any shape.
#
# ## 2. Try it: two cuts under your fingers
#
# The $n\gamma$ samples of lowest entropy are the **suspects** $D'_p$; of each class, the $n\gamma$ of highest entropy (never more than half of a class) are **trusted**, $D'_c$. Move
# the sliders (in JupyterLab; a page without a kernel has only the figure after them).


# %%
def filtered(attack, e1, gamma):
    """The filter's two cuts, and which shares of them are poisoned and clean."""
    scene = scenes[attack]
    selection = dlp_lib.select(-entropies[attack][e1 - 1], scene.tampered, gamma)
    share = dlp_lib.filter_precision(selection.suspected, selection.trusted, scene.truth)
    return selection, share


def look(attack, e1, gamma):
    selection, share = filtered(attack, e1, gamma)
    figure = Figure((6.5, 3.2), layout="constrained")
    h, poisoned = entropies[attack][e1 - 1], scenes[attack].truth.poisoned
    plots.entropy_histogram(figure.subplots(), h, selection, poisoned)
    suspects = f"{len(selection.suspected)} suspects, {share['suspected']:.0%} poisoned"
    return figure, f"{suspects}; trusted: {share['trusted']:.1%} clean"


# %% [markdown]
# Before you move anything: at which of $E_1$ = 1, 4 and 20 will BadNets' suspects be pure at $\gamma$ = 1 %?

# %%
options = sorted({0.005, 0.01, 0.02, 0.05, 0.1, 0.2, gamma})
slider = ipywidgets.SelectionSlider(options=options, value=gamma)
epoch = ipywidgets.IntSlider(min(4, epochs), 1, epochs)
explore(look, attack=ipywidgets.Dropdown(options=list(scenes)), e1=epoch, gamma=slider)

# %% [markdown]
# The same without sliders: precision of both parts against $\gamma$, for all attacks, at an early and at a late epoch.
#
# **Predict.** There are 450 to 500 poisoned samples in 5,000. What must happen to the suspects' precision beyond that share?

# %%
gammas = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2]


def draw_precision(ax, name, e1):
    shares = [filtered(name, e1, each)[1] for each in gammas]
    suspected = [share["suspected"] for share in shares]
    trusted = [share["trusted"] for share in shares]
    plots.precision(ax, gammas, suspected, trusted).set_title(f"{name}, epoch {e1}")


# %%
figure, axes = plt.subplots(2, len(scenes), figsize=(13, 5), sharex=True, sharey=True)
for row, e1 in zip(axes, (min(4, epochs), epochs), strict=True):
    for ax, name in zip(row, scenes, strict=True):
        draw_precision(ax, name, e1)
plots.shared_legend(figure)
plots.show(
    figure,
    "Precision of suspects and of trusted samples against gamma, for five attacks, early and late.",
)

# %% [markdown]
# **What you should see.** At epoch 4 a small $\gamma$ takes almost only poison for all attacks but Blended. Beyond the poisoned share, precision must fall: there is no more poison to
# find. The trusted samples are mostly clean, with two exceptions. Under Blended at epoch 4 they are no cleaner than chance, and nearly all trusted "disks" are poisoned. Under
# the clean-label attacks only fifty clean disks exist, so from $\gamma$ = 2 % on the quota must take poisoned ones. Beyond 5 % the blue curve hardly asks for more, as no class
# gives more than half of itself.
#
# **Why it matters.** Unlearning needs *pure* suspects more than many of them: a small $\gamma$ is safe, as long as enough samples are left to learn from.
#
# ## 3. Four filters, one pass
#
# Entropy is not the only thing to look at. `logits_and_features` gives logits and penultimate features of all samples in one pass, and four filters make a
# score per sample of it, higher for more suspicious:
#
# | filter | looks at | suspects |
# | --- | --- | --- |
# | entropy (DLP) | logits | what the model is sure of |
# | loss (ABL; Li et al. 2021) | logits and labels | what the model gets right, by a wide margin |
# | activation clustering (Chen et al. 2018) | features, class by class | the smaller of two clusters |
# | spectral signatures (Tran et al. 2018) | features, class by class | what sticks out along the main axis |
#
# **Predict.** Poison fills half of the target class under BadNets, and nine tenths of it under SIG. Which two filters will that confuse?

# %%
e1 = min(4, epochs)
scores, precision = {}, {}
for name, scene in scenes.items():
    model = scene.untrained()
    stages[name].load(model, e1)
    seen = dlp_lib.logits_and_features(model, scene.tampered.images)
    poisoned = scene.truth.poisoned.cpu()
    scores[name], precision[name] = {}, {}
    for kind, suspicion in PAPER_FILTERS.items():
        score = suspicion(seen, scene.tampered.labels)
        scores[name][kind] = score
        precision[name][kind] = float(average_precision_score(poisoned, score.cpu()))

# %%
figure, axes = plt.subplots(1, len(scenes), figsize=(14, 3.2), sharey=True)
for ax, (name, scene) in zip(axes, scenes.items(), strict=True):
    plots.roc(ax, scores[name], scene.truth.poisoned).set_title(f"{name}, epoch {e1}")
plots.shared_legend(figure)
plots.show(figure, "ROC curves of four filters on five attacks.")

# %% [markdown]
# Average precision sums each curve up in one number: the mean, over all poisoned samples, of the precision at the cut that just includes them. Chance is 9 to 10 %.

# %%
figure, ax = plt.subplots(figsize=(6, 2.6))
plots.heat_map(ax, pd.DataFrame(precision)).set_title("average precision (%)")
plots.show(figure, "Average precision of each filter on each attack.")

# %% [markdown]
# **What you should see.** Entropy and loss hug the upper left corner on four attacks; on Blended they are at or a little below the diagonal. The feature filters are no match for
# them, and not mere chance either. On BadNets and TrojanNN they can be good; activation clustering tosses a coin with every seed, as poison is exactly half of its class. On LCA
# and SIG they accuse the wrong ones: the smaller cluster is the *clean* tenth of the class. On Blended, spectral signatures are the best of the four.
#
# **Why.** Both feature filters assume that poison is a small, odd minority of its class. At these rates it is half of the class or nearly all of it.
#
# The paper's Fig. 5 counts what a defender would take: the poisoned share of the $n\gamma$ most suspicious samples, here at $\gamma$ = 1 %. Recorded with three seeds, at
# epochs 4, 10 and 20, mean and range:

# %%
table = record.spread(record.read("filters"), ["when", "filter", "attack"], ["suspected"])
table["suspected"].unstack(sort=False)

# %% [markdown]
# **What you should see.** No filter wins everywhere. At epoch 4, entropy and loss find almost only poison on four attacks, and none at all on Blended. At epoch 20
# it is the other way round: they work on Blended, and on the clean-label attacks no more. The last rows take the epoch that the next section chooses (SIG's are of two seeds, as
# the rule never fires on the third). Activation clustering is ahead on BadNets at late epochs in the mean, with ranges that overlap. Both feature filters find nothing
# on clean-label attacks, where poison is most of its class.
#
# The paper's Fig. 5 has entropy best on every attack, the loss next, and the two feature filters far behind. At the chosen epoch we see the same order, but for one thing: entropy and
# loss are equal within the spread, as a model that is sure of a training sample is mostly sure of its label. At a fixed epoch there is no such order: what is a good $E_1$ depends on
# attack and data. (The paper's ten epochs on CIFAR-10 leave a model with a CA of 74 %; here ten epochs are nearly the end of learning.)
#
# **On photographs**, 10,000 images of CIFAR-10 after the paper's ten epochs (one seed, recorded), is the order another one?

# %%
rows = [row for row in record.read("cifar10/filters") if row["gamma"] == 0.01]
record.spread(rows, ["filter", "attack"], ["suspected"])["suspected"].unstack(sort=False)

# %% [markdown]
# It is the paper's order, with one exception and one tie. Entropy finds 96 to 100 % poison on all five attacks, Blended included, at the paper's own $E_1$. The loss is as good (the tie). The feature filters
# find next to nothing (17 % at most), except for activation clustering on Blended (86 %). So what fails on shapes is not the idea, but the assumption that the clean task is the slower one.
#
# ## 4. How could a defender choose $E_1$?
#
# Not by looking at the truth. What *can* a defender see? The suspects of every epoch, and their labels. If the poison has one target, then pure suspects all carry
# *one* label. But so may clean suspects: early on, the model is often sure of one easy class (under Blended, at times all suspects are "two bars", and clean).
#
# A difference remains. *Which* clean class is the easiest changes from epoch to epoch. The poison stays. So, for every epoch, take the shares that the classes have of the suspects,
# average them over this epoch and the two before, and keep the largest: **lasting agreement**. (Epochs before the first count as 0, so it cannot reach 100 % before the third.)
# `agreement` computes it.
#
# **Predict.** Which of the five attacks will agree first, and which last? What will a clean data set do (it comes in the table below)?

# %%
agreed, purity = {}, {}
for name, scene in scenes.items():
    suspicions = [-h for h in entropies[name]]
    agreed[name] = agreement(suspicions, scene.tampered, gamma).tolist()
    epochs_seen = range(1, epochs + 1)
    purity[name] = [filtered(name, epoch, gamma)[1]["suspected"] for epoch in epochs_seen]

# %%
figure, axes = plt.subplots(1, len(scenes), figsize=(14, 3), sharey=True)
for ax, name in zip(axes, scenes, strict=True):
    plots.agreement(ax, agreed[name], purity[name], threshold).set_title(name)
plots.shared_legend(figure)
plots.show(
    figure,
    "Lasting agreement, which a defender sees, and the suspects' true purity, per epoch and "
    "attack.",
)

# %% [markdown]
# **What you should see.** The black line is visible to a defender, the orange one is not. When black *first* reaches the threshold, orange is near 100 %. Later it need not be: under
# BadNets there are late epochs at which all suspects are labelled "disk", and most of them are honest disks. Agreement cannot tell poison from clean samples of the target class.
# Blended gets there some ten epochs after BadNets, TrojanNN and LCA; SIG, with this seed, never.
#
# So: take the first epoch at which agreement reaches the threshold. What that rule picks on three seeds, and the share of its suspects that is poisoned:

# %%
table = pd.DataFrame(record.read("epochs"))
first = table[table.agreement >= threshold].groupby(["attack", "seed"]).first()
picks = first.apply(lambda row: f"E1 = {row.epoch:.0f}: {row.suspected_last:.0%}", axis=1)
picks.unstack().reindex(["none", *PAPER_ATTACKS]).fillna("never")

# %% [markdown]
# **What you should see.** Rows are attacks, columns the three seeds, "none" a clean training set; "never" means that the rule does not fire within 24
# epochs. On these clean sets it stays silent. On tampered ones it fires in 14 of 15 cases, with 98 % of its suspects poisoned or more.
#
# Read such a table with care. The threshold was set by looking at these very seeds: at 90 % the rule had fired on a clean set, and on Blended at an epoch without any poison among
# the suspects. Two more seeds (3 and 4), which had no say in it, are the fair test: on all ten tampered sets the rule fired, at epochs 3 to 8, with 94 to 100 % of the suspects poisoned; and
# on one of the two clean sets it fired too, at epoch 7. So an alarm is no proof. And silence proves nothing either. Under SIG with seed 0 the suspects of epochs 3 and 4 are all poisoned, and the rule misses them because those of epoch 2 were not; a
# defender cannot tell that from a clean set. It is a rule of thumb of this course and not from the paper, it needs a single target class, and it says nothing of
# all-to-all attacks.
#
# An alarm can even do harm. On shapes with 3 % of BadNets and another seed, all suspects of an early epoch were clean samples of one easy class. DLP then unlearned those, and the backdoor
# became stronger. `agreed_e1`, which applies the rule, therefore has a flag, `is_doubtful`. Poison makes some samples of a class easy and leaves the others hard. So the flag asks about the tenth of the
# class that the model is least sure of. If the model is right on it nearly as often as on other classes, the whole class is easy. Its suspects may then be clean. What a defender sees cannot tell the two apart.
#
# ### Or not choose at all?
#
# "Learned first" is a statement about *all* epochs so far, yet the filter looks at the last one only. What if we rank samples by their **mean
# entropy over the epochs**? Whoever was easy from the start, stays low.
#
# **Predict.** For which attack will this make things worse?

# %%
recorded = record.read("epochs")
figure, axes = plt.subplots(1, len(PAPER_ATTACKS), figsize=(14, 3), sharey=True)
for ax, name in zip(axes, PAPER_ATTACKS, strict=True):
    rows = [row for row in recorded if row["attack"] == name]
    x = record.runs(rows, "epoch")[0]
    last, mean = record.runs(rows, "suspected_last"), record.runs(rows, "suspected_mean")
    plots.mean_and_range(ax, x, last, "-", "black", "entropy at this epoch")
    plots.mean_and_range(ax, x, mean, "--", plots.RECOVERED, "mean over all epochs so far")
    ax.set(title=name, xlabel="E1 (epochs)", ylim=(-2, 104))
    ax.set_ylabel("suspects that are poisoned (%)")
plots.shared_legend(figure)
plots.show(
    figure,
    "Purity of the suspects against E1, for entropy at that epoch and for its mean, three seeds.",
)

# %% [markdown]
# **What you should see.** For four attacks the mean is at 100 % from epoch 7 on at the latest, and *stays* there. Before that it lags under BadNets, as it still counts the first epoch, when
# the model answered "disk" for everything. For Blended it stays below 10 %. The single-epoch entropy swings from epoch to epoch, with wide bands.
#
# **Why.** The mean measures the *speed* of learning, which is the paper's own observation, and averages batch-norm's noise away. Blended is
# not learned fast at this size, so its speed betrays nothing. A filter finds what its assumption says, and nothing else.
#
# ## 5. Look at what was found
#
# Numbers hide things. Here are the ten most suspicious and ten of the most trusted images, as a defender would see them, after four epochs under BadNets.
#
# **Predict.** Would you find the trusted images hard yourself?

# %%
tampered, truth = scenes["BadNets"].tampered, scenes["BadNets"].truth
selection, _ = filtered("BadNets", e1, gamma)
trusted = [part[-1:] for part in selection.trusted.split(selection.quotas)]
shown = {"suspects": selection.suspected[:10], "trusted": torch.cat(trusted)}
figure, axes = plt.subplots(2, 1, figsize=(10, 3))
for ax, (part, rows) in zip(axes, shown.items(), strict=True):
    names = [tampered.classes[label] for label in tampered.labels[rows]]
    stars = ["*" if poisoned else "" for poisoned in truth.poisoned[rows]]
    titles = [name + star for name, star in zip(names, stars, strict=True)]
    plots.gallery(ax, {part: tampered.images[rows]}, titles)
plots.show(
    figure,
    "The ten most suspicious images, labelled with the target class, and the most trusted one of "
    "each class.",
)

# %% [markdown]
# **What you should see.** The suspects (a star marks those that are really poisoned) have the corner, all sorts of shapes, and one label. The trusted ones, one of each class, look
# ordinary: hard for this model at this epoch is not hard for us.
#
# **Why it matters.** To trust what the model is least sure of is to trust the images that are hardest *for this model*. They are clean, and a poor textbook for it: stage 3 of DLP
# has to learn the task from them, which is why it needs the unlabelled rest.

# %%
report(out, context.runtime, average_precision=precision, agreement=agreed, purity=purity)

# %% [markdown]
# ## Recap
#
# - The entropy filter takes what the model is surest of as suspect, and what it is least sure of as trusted.
# - Its precision hangs on $E_1$: there is a window in which the model is surer of poison than of any clean sample, and it differs from attack to attack.
# - Entropy and loss beat the feature filters early on; none of the four wins everywhere.
# - A defender can see the labels of the suspects. Agreement that *lasts* is a sign of poison with one target; silence proves nothing.
# - Mean entropy over the epochs makes $E_1$ unimportant from a few epochs on, for triggers that are learned fast.
#
# ## Quiz
#
# <details><summary>Why is the precision of the suspects more important for DLP than their recall?</summary>
#
# Unlearning climbs away from the suspects: an honest sample among them is unlearned, too. What the suspects miss loses its label in stage 3 in any case.
# </details>
#
# <details><summary>A defender finds that all suspects carry the same label. Is the data set tampered?</summary>
#
# Perhaps. At a single epoch one easy clean class may fill the suspects as well. Agreement that lasts over several epochs says more, and still is no proof.
# </details>
#
# <details><summary>Why do activation clustering and spectral signatures fail on SIG?</summary>
#
# They take the minority of a class for the poison. Under SIG nine tenths of the target class are poisoned, and the minority is clean.
# </details>
#
# ## Exercises
#
# Replace the dots, run the cell, and run the one after it: the check says what is wrong, if anything is.
#
# ### Exercise 1. Entropy *(easy, 5 minutes)*
#
# Write Eq. 5 for a batch of logits. Mind the base of the logarithm, and what becomes of $0 \log 0$.


# %% tags=["exercise"]
def my_entropy(logits):
    """Entropies (n,) in bits of logits (n, classes)."""
    # BEGIN SOLUTION
    log_p = logits.log_softmax(1)
    return -(log_p.exp() * log_p).sum(1) / torch.tensor(2.0).log()
    # END SOLUTION


# %% tags=["check"]
checks.entropy(my_entropy)

# %% [markdown]
# ### Exercise 2. Both cuts *(medium, 15 minutes)*
#
# From entropies $h$ and labels, return two tensors of indices: the $n\gamma$ samples of lowest entropy, and of *every class* the $n\gamma$ samples of highest entropy. (Forget about small classes here.)


# %% tags=["exercise"]
def my_cuts(h, labels, gamma):
    """Indices of the suspects, and of the trusted samples; h and labels are (n,)."""
    # BEGIN SOLUTION
    k, order = round(len(h) * gamma), h.argsort()
    trusted = [order[labels[order] == label][-k:] for label in labels.unique()]
    return order[:k], torch.cat(trusted)
    # END SOLUTION


# %% tags=["check"]
checks.cuts(my_cuts)

# %% [markdown]
# ### Exercise 3. What is a good filter? *(medium, 10 minutes)*
#
# Precision is the share of the suspects that are poisoned, recall the share of the poisoned samples that are suspected. Which of the two does figure 2 show, and how large can the other one be at $\gamma$ = 1 %?


# %% tags=["exercise"]
def my_precision_and_recall(suspected, poisoned):
    """Two numbers, from indices (k,) and a boolean mask (n,)."""
    # BEGIN SOLUTION
    found = poisoned[suspected].sum()
    return found / len(suspected), found / poisoned.sum()
    # END SOLUTION


# %% tags=["check"]
checks.precision_recall(my_precision_and_recall)

# %% [markdown]
# ### Exercise 4. Read a figure *(medium, 10 minutes)*
#
# To the figure of agreement in section 4, with your eyes and not with a program. For BadNets, Blended and SIG: at which epoch does lasting agreement first come to the threshold, and how many per cent of the suspects are poisoned there? Give a pair for each; ("never", None) where it does not come to it. Which of the three alarms would have been false, and which curve shows it?


# %% tags=["exercise"]
reading = {"BadNets": (None, None), "Blended": (None, None), "SIG": (None, None)}
# BEGIN SOLUTION
# What the eye reads, calculated
for name in reading:
    fires = [epoch for epoch, share in enumerate(agreed[name], 1) if share >= threshold]
    reading[name] = (fires[0], 100 * purity[name][fires[0] - 1]) if fires else ("never", None)
# END SOLUTION

# %% tags=["check"]
checks.alarms(reading, agreed, purity, threshold)


# %% [markdown]
# ### Exercise 5. A filter of your own *(hard, 20 minutes)*
#
# Toneva et al. (2019) count how often a sample is *forgotten*: classified correctly at one epoch, and wrongly at the next. Write the count. Then use minus the count as a score for `dlp_lib.select`, on the recorded epochs of `stages["BadNets"]` (`.logits(epoch)` reads one, and the labels are those of the tampered set): where does it beat entropy?


# %% tags=["exercise"]
def my_forgetting(correct):
    """Counts (n,) from booleans (epochs, n)."""
    # BEGIN SOLUTION
    return (correct[:-1] & ~correct[1:]).sum(0)
    # END SOLUTION


# %% tags=["check"]
checks.forgetting(my_forgetting)

# %% [markdown]
# ### Go further
#
# 1. *(5 minutes)* With the sliders, find for each attack the largest $\gamma$ at which 90 % of the suspects are poisoned, at the best $E_1$ you can find.
# 2. *(10 minutes)* Activation clustering was made for low poisoning rates. Poison with BadNets at 2 % and compare the filters again.
# 3. *(20 minutes)* Train on all-to-all BadNets (notebook 01). What do entropy and agreement see of it, and why?
#
# ## References
#
# - Z. Ying and B. Wu. *DLP: towards active defense against backdoor attacks with decoupled learning process.*
#   Cybersecurity 6, 2023.
# - Y. Li, X. Lyu, N. Koren, L. Lyu, B. Li, X. Ma. *Anti-backdoor learning: training clean models on poisoned data.* NeurIPS 2021.
# - B. Chen et al. *Detecting backdoor attacks on deep neural networks by activation clustering.* 2018.
# - B. Tran, J. Li, A. Madry. *Spectral signatures in backdoor attacks.* NeurIPS 2018.
# - M. Toneva et al. *An empirical study of example forgetting during deep neural network learning.* ICLR 2019.

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
# **What you will learn.** How DLP's entropy filter splits a tampered set. How its precision depends on when you look ($E_1$) and on
# how much you take ($\gamma$). How it compares with three other filters, on five attacks. Where it fails, and why. How a defender,
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
# The same untrained model learns each tampered set for twenty epochs. The logits of every epoch are recorded. Everything below
# only reads them; nothing is trained any more.

# %%
stages, entropies = {}, {}
for name, scene in scenes.items():
    _, stages[name] = scene.undefended(epochs)
    logits = stages[name].logits_by_block()
    entropies[name] = [entropy(z).to(scene.tampered.labels.device) for z in logits]

# %% [markdown]
# ## 1. Sure of the poison, unsure of the rest
#
# Shannon's entropy of the model's prediction says how undecided it is, in bits (Eq. 5 of the paper):
#
# $$H(x) = -\sum_{i=1}^{C} p_i(x) \log_2 p_i(x)$$
#
# While the model knows the trigger and does not know the shapes, it should be sure of poisoned samples only. By hand, for four
# classes: no idea, two candidates, nearly sure.

# %% tags=["nbval-check-output"]
for logits in ([0.0, 0.0, 0.0, 0.0], [8.0, 8.0, 0.0, 0.0], [8.0, 0.0, 0.0, 0.0]):
    print(f"{logits}: {entropy(torch.tensor([logits])).item():.3f} bits")

# %% [markdown]
# **Predict.** Below are histograms for three of the attacks after 2, 4, 10 and 20 epochs. (The vertical axis is logarithmic above ten
# samples. The dashed line is a cut after the fifty samples of lowest entropy.) In which of them are most samples left of the cut poisoned?

# %%
looks = [epoch for epoch in (2, 4, 10, 20) if epoch <= epochs]
figure, axes = plt.subplots(3, len(looks), figsize=(11, 7), sharex=True, sharey=True, squeeze=False)
for row, name in zip(axes, ["BadNets", "Blended", "SIG"], strict=True):
    for ax, epoch in zip(row, looks, strict=True):
        h = entropies[name][epoch - 1]
        plots.histogram(ax, h, scenes[name].truth.poisoned, 40)
        cut = h.sort().values[round(gamma * len(h)) - 1].item()
        ax.axvline(cut, color=plots.NEUTRAL, linestyle="--", label="cut at nγ samples")
        ax.set_title(f"{name}, epoch {epoch}")
plots.shared_legend(figure)
plots.show(
    figure,
    "Histograms of entropy for three attacks at epochs 2, 4, 10 and 20. At epoch 4 only poisoned "
    "samples are left of the cut for BadNets and SIG, and only clean ones for Blended.",
    number=1,
)

# %% [markdown]
# **What you should see.** *BadNets*: at epochs 2 and 4 all samples left of the cut are poisoned. <!-- claim: 03-badnets-window --> Later
# the cut is close to the left axis, and clean samples are left of it too. (Figure 5 has these shares for every epoch.) At epoch 20 fewer
# than half of them are poisoned. <!-- claim: 03-badnets-20 --> *SIG*: at epoch 4 they are all poisoned, at epoch 2 only a quarter of
# them. <!-- claim: 03-sig-4 --> <!-- claim: 03-sig-2 --> At epochs 10 and 20 they are nearly all clean. <!-- claim: 03-sig-later -->
# *Blended*: at epochs 2 and 4 they are all clean. <!-- claim: 03-blended-first --> At epochs 10 and 20 about half of them are poisoned. <!-- claim: 03-blended-middle -->
#
# **Why.** Entropy measures *what is easy for this model now*. The corner of BadNets is the easiest thing of all. Poisoned images of SIG
# are true disks with a wave, which helps early on. But what is easiest can change from one epoch to the next. Blended's noise is harder
# than an easy shape (notebook 02). But once the model has found it, it is the same on every image, and the model becomes surer of it.
#
# ## 2. Try it: two cuts
#
# The $n\gamma$ samples of lowest entropy are the **suspects** $D'_p$. Of each class, the $n\gamma$ samples of highest entropy (never
# more than half of a class) are **trusted**, $D'_c$. Move the sliders in JupyterLab. A page without a kernel has only the figure
# after them.


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
# Before you move anything: at which of $E_1$ = 1, 4 and 20 will BadNets' suspects be pure at $\gamma$ = 1 %? (Figure 5 has the answer, too.)

# %%
options = sorted({0.005, 0.01, 0.02, 0.05, 0.1, 0.2, gamma})
slider = ipywidgets.SelectionSlider(options=options, value=gamma)
epoch = ipywidgets.IntSlider(min(4, epochs), 1, epochs)
explore(look, attack=ipywidgets.Dropdown(options=list(scenes)), e1=epoch, gamma=slider)

# %% [markdown]
# The same without sliders: precision of both parts against $\gamma$, for all attacks, at an early and at a late epoch.
#
# **Predict.** There are 450 to 500 poisoned samples in 5,000. What must happen to the suspects' precision when $\gamma$ is above
# that share?

# %%
gammas = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2]


def shares_by_gamma(name, e1):
    """Poisoned share of the suspects and clean share of the trusted samples, for every gamma."""
    shares = [filtered(name, e1, each)[1] for each in gammas]
    suspected = [share["suspected"] for share in shares]
    trusted = [share["trusted"] for share in shares]
    return {"suspected": suspected, "trusted": trusted}


# %%
by_gamma = {"early": {}, "late": {}}
figure, axes = plt.subplots(2, len(scenes), figsize=(13, 5), sharex=True, sharey=True)
for row, when, e1 in zip(axes, by_gamma, (min(4, epochs), epochs), strict=True):
    for ax, name in zip(row, scenes, strict=True):
        shares = by_gamma[when][name] = shares_by_gamma(name, e1)
        plots.precision(ax, gammas, **shares).set_title(f"{name}, epoch {e1}")
plots.shared_legend(figure)
plots.show(
    figure,
    "Precision of suspects and of trusted samples against gamma, for five attacks. After 4 epochs, "
    "suspects are pure up to 2 % for all but Blended. After 20 epochs only TrojanNN's nearly are.",
    number=2,
)

# %% [markdown]
# **What you should see.** At epoch 4 a $\gamma$ up to 2 % takes only poison for all attacks but Blended. <!-- claim: 03-gamma-early -->
# At 20 % the suspects' precision is half or less. <!-- claim: 03-gamma-large --> It cannot be more: the suspects are 1,000, and the
# poisoned samples 500 at most. <!-- no claim: a fifth of 5,000, and alpha --> At epoch 20 even the smallest $\gamma$ finds no poison of
# LCA and SIG. <!-- claim: 03-gamma-late -->
#
# The trusted samples are mostly clean, with two exceptions. Under Blended at epoch 4, they are no cleaner than chance: 90 % are clean up
# to $\gamma$ = 2 %, and 83 % at 10 %. <!-- claim: 03-trusted-blended --> <!-- claim: 03-trusted-blended-10 --> Under the clean-label
# attacks only fifty clean disks exist. So at epoch 4, 95 % are clean at 2 %, and 92 % at 5 %. <!-- claim: 03-trusted-clean-label --> <!-- claim: 03-trusted-clean-label-5 -->
# At 10 and 20 % nearly all are clean again: most poisoned disks are suspects then, and suspects
# are not trusted. <!-- claim: 03-trusted-clean-label-10 --> At epoch 20 they are no suspects, and 92 % stays. <!-- claim: 03-trusted-clean-label-late -->
#
# **Why it matters.** For unlearning, *pure* suspects count more than many suspects. A small $\gamma$ keeps them pure where poison has the
# lowest entropy. At another epoch $\gamma$ may not help: at epoch 20 it does so for TrojanNN only. <!-- claim: 03-gamma-late-trojannn --> <!-- claim: 03-gamma-late-others -->
#
# ## 3. Four filters, one pass
#
# Entropy is not the only thing to look at. `logits_and_features` gives logits and penultimate features of all samples in one pass.
# Four filters make a score of them for each sample. A higher score is more suspicious:
#
# | filter | looks at | suspects |
# | --- | --- | --- |
# | entropy (DLP) | logits | what the model is sure of |
# | loss (ABL; Li et al. 2021) | logits and labels | what has the lowest loss |
# | activation clustering (Chen et al. 2018) | features, class by class | the smaller of two clusters |
# | spectral signatures (Tran et al. 2018) | features, class by class | what lies far out in the direction of largest variance |
#
# A ROC curve moves the cut from the first sample to the last. It shows which share of the poison has been found when a given share of the
# clean samples is accused.
#
# **Predict.** Half of the target class is poison under BadNets. Under SIG nine tenths of it are. For which two filters is that a problem?

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
alt = (
    "ROC curves of four filters on five attacks. Entropy and loss are near the upper left corner, "
    "but below chance on Blended."
)
plots.show(figure, alt, number=3)

# %% [markdown]
# Average precision gives each curve one number: the mean, over all poisoned samples, of the precision at the cut that just includes
# them. Chance is 9 to 10 %.

# %%
figure, ax = plt.subplots(figsize=(6, 2.6))
plots.heat_map(ax, pd.DataFrame(precision)).set_title("average precision (%)")
plots.show(figure, "Average precision of each filter on each attack.", number=4)

# %% [markdown]
# **What you should see.** On four attacks, the average precision of entropy and loss is 95 % or more. <!-- claim: 03-ap-entropy --> <!-- claim: 03-ap-loss -->
# On Blended it is below chance. <!-- claim: 03-ap-blended --> There spectral signatures are best, with 27 %. <!-- claim: 03-ap-spectral-blended -->
# But their first suspects are clean as well: in figure 3 their curve is flat at first. On BadNets
# and TrojanNN activation clustering comes to 67 %. <!-- claim: 03-ap-clustering --> On LCA and SIG both feature filters are below chance. <!-- claim: 03-ap-features -->
#
# **Why.** Both feature filters assume that poison is a small minority of its class. At these rates it is half of the class or nearly
# all of it. Clustering suspects the smaller cluster of every class. Under SIG this is the *clean* tenth of the disks. Under BadNets chance
# decides which half of the class is the smaller one.
#
# The paper's Fig. 5 counts what a defender would take: the poisoned share of the $n\gamma$ most suspicious samples, here at $\gamma$ = 1 %.
# This was recorded with three seeds at epochs 4, 10 and 20. Numbers are the mean, and in brackets the least and the most.

# %%
table = record.spread(record.read("filters"), ["when", "filter", "attack"], ["suspected"])
table["suspected"].unstack(sort=False)

# %% [markdown]
# **What you should see.** No filter is best everywhere. At epoch 4, at least 98 % of what entropy and loss find is poison, on four
# attacks. <!-- claim: 03-entropy-early --> <!-- claim: 03-loss-early --> On Blended they find no poison at all. <!-- claim: 03-blended-early -->
# At epoch 20 they work on Blended: 83 % in the mean, but 48 % on one seed. <!-- claim: 03-blended-late --> <!-- claim: 03-blended-late-least -->
# On the clean-label attacks their mean is 33 % at most there, and
# the seeds lie far apart. <!-- claim: 03-clean-label-late --> Activation clustering finds nothing on clean-label attacks, where poison is
# most of its class. <!-- claim: 03-clustering-clean-label --> Spectral signatures find nothing there at the fixed epochs. <!-- claim: 03-spectral-clean-label -->
#
# The last rows take the epoch that the next section chooses. There, at least 98 % of what entropy finds is poison in 13 of 14 runs. <!-- claim: 03-entropy-agreed --> <!-- claim: 03-entropy-agreed-count -->
# In the other one, Blended with seed 0, it is none: section 4
# shows why. <!-- claim: 03-entropy-agreed-blended --> (For SIG these are two seeds, as the rule never fires on seed 0. <!-- claim: 03-sig-agreed -->
# )
#
# **Why.** The paper's Fig. 5 has entropy best on every attack, the loss next, and both feature filters far behind. At the chosen epoch we
# see this order in the means, with one difference: entropy and loss are equal within their range. A model that is sure of a training
# sample is mostly sure of its label. On Blended the ranges overlap, and on one seed spectral signatures find more. At a fixed epoch the
# order can break: at epoch 4 it does so on Blended. Which $E_1$ is good depends on attack and data.
#
# **Predict.** The next table is of photographs: 10,000 images of CIFAR-10 after ten epochs (one seed, recorded). The paper has ten epochs,
# too, but of 50,000 images. Is the order the paper's?

# %%
rows = [row for row in record.read("cifar10/filters") if row["gamma"] == 0.01]
record.spread(rows, ["filter", "attack"], ["suspected"])["suspected"].unstack(sort=False)

# %% [markdown]
# **What you should see.** Entropy finds 96 to 100 % poison on all five attacks, Blended included. <!-- claim: 03-photographs-entropy -->
# The loss is as good. <!-- claim: 03-photographs-loss --> Spectral signatures find 17 % at most. <!-- claim: 03-photographs-spectral -->
# Activation clustering finds 86 % on Blended, and none on the others. <!-- claim: 03-photographs-clustering-blended --> <!-- claim: 03-photographs-clustering-others -->
# So the order is nearly the paper's. Only clustering on Blended and the good loss differ.
#
# **Why.** Ten epochs on these photographs are early: clean training accuracy is 52 to 59 % there. <!-- claim: 03-photographs-clean --> On
# shapes it is 80 % or more after ten epochs. <!-- claim: 03-shapes-clean --> At epoch 4, only Blended breaks the assumption on shapes that the
# clean task is the slower one.
#
# ## 4. How could a defender choose $E_1$?
#
# The truth cannot be used. What *can* a defender see? The suspects of every epoch, and their labels. If the poison has one target,
# then pure suspects all carry *one* label. But clean suspects may do so, too: early on, the model is often sure of one easy class.
#
# One difference remains. *Which* clean class is the easiest changes from epoch to epoch. The poison stays. So take, for every
# epoch, the share of each class among the suspects. Average the shares over this epoch and the two before it. The largest of them is
# the **lasting agreement**. (Epochs before the first count as 0, so it cannot reach 100 % before the third.) `agreement` computes it.
#
# **Predict.** For which of the five attacks will the threshold be reached early, and for which late or never? What will a clean data set
# do? (It is in the table below.)

# %%
agreed, purity = {}, {}
for name, scene in scenes.items():
    suspicions = [-h for h in entropies[name]]
    agreed[name] = agreement(suspicions, scene.tampered, gamma).tolist()
    epochs_seen = range(1, epochs + 1)
    purity[name] = [filtered(name, epoch, gamma)[1]["suspected"] for epoch in epochs_seen]

fires = {}  # the first epoch at which agreement reaches the threshold, or None
for name, shares in agreed.items():
    fires[name] = next((e for e, share in enumerate(shares, 1) if share >= threshold), None)

# %%
figure, axes = plt.subplots(1, len(scenes), figsize=(14, 3), sharey=True)
for ax, name in zip(axes, scenes, strict=True):
    plots.agreement(ax, agreed[name], purity[name], threshold).set_title(name)
plots.shared_legend(figure)
plots.show(
    figure,
    "Lasting agreement, which a defender sees, and the suspects' true purity, per epoch and attack. "
    "For Blended agreement reaches the threshold at epoch 5, where purity is 0.",
    number=5,
)

# %% [markdown]
# **What you should see.** The black line is visible to a defender, the orange one is not. For BadNets, TrojanNN and LCA black first
# reaches the threshold at epochs 3 and 4, and orange is then at 98 % or more. <!-- claim: 03-fires-first --> <!-- claim: 03-fires-badnets -->
# Later it need not be. Under TrojanNN at epoch 17 agreement is 100 %, and only 42 % of the suspects are
# poisoned. <!-- claim: 03-agreement-17 --> <!-- claim: 03-purity-17 --> Agreement cannot tell poison from clean samples of the target
# class.
#
# **Blended is the warning.** Black reaches the threshold at epoch 5, and not one suspect is poisoned. <!-- claim: 03-fires-blended --> <!-- claim: 03-fires-blended-purity -->
# For three epochs, the model was surest of one easy class. From epoch 14 to 16 all suspects are poisoned, and
# black is high again. <!-- claim: 03-blended-14 --> For SIG, with this seed, black never reaches the threshold. <!-- claim: 03-fires-sig -->
#
# So the rule is: take the first epoch at which agreement reaches the threshold. The next table shows what it picks on three seeds,
# and which share of its suspects is poisoned. (It is recorded. Its column of seed 0 is the run of figure 5.)

# %%
table = pd.DataFrame(record.read("epochs"))
first = table[table.agreement >= threshold].groupby(["attack", "seed"]).first()
picks = first.apply(lambda row: f"E1 = {row.epoch:.0f}: {row.suspected_last:.0%}", axis=1)
picks.unstack().reindex(["none", *PAPER_ATTACKS]).fillna("never")

# %% [markdown]
# **What you should see.** Rows are attacks, columns are seeds, and "none" is a clean training set. "Never" means that the rule does not
# fire within 24 epochs. On tampered sets it fires in 14 of 15 cases. <!-- claim: 03-fires-count --> In 13 of them at least 98 % of the
# suspects are poisoned. <!-- claim: 03-fires-pure --> There are two false alarms. One is Blended with seed 0. The other is the *clean* set with
# seed 1, at epoch 7. <!-- claim: 03-clean-alarm --> <!-- claim: 03-clean-silent -->
#
# **Read such a table with care.** The threshold was chosen on earlier runs of these seeds, with two threads, where no alarm was false. Two
# threads add up sums in another order. Such small differences grow in training, and near its threshold the rule decides by chance. Two
# more seeds (3 and 4), with which nothing was chosen, are in the [log](../docs/LOG.md). On all ten tampered sets the rule fired, and 94 to
# 100 % of the suspects were poisoned. On one of the two clean sets it fired as well. So an alarm is no proof.
#
# Silence proves nothing either. Under SIG with seed 0 the suspects of epochs 3 and 4 are all poisoned. <!-- claim: 03-sig-3 --> The rule does
# not fire, as the suspects of epoch 2 were mostly clean. <!-- claim: 03-sig-2 --> A defender cannot tell that from a clean set. The rule is of
# this course and not from the paper. It needs a single target class, and says nothing about all-to-all attacks.
#
# An alarm can even do harm. On shapes with 3 % of BadNets and another seed, all suspects of an early epoch were clean samples of one easy
# class. DLP then unlearned those, and the backdoor became stronger. So `agreed_e1`, which applies the rule, has a flag: `is_doubtful`.
# Poison makes some samples of a class easy, and leaves the others hard. The flag looks at the tenth of the class that the model is least
# sure of. If the model is right on it at least three quarters as often as on other classes, then the whole class is easy. Its suspects
# may then be clean, and the flag is set. It is a warning and not a proof: clean and poisoned suspects can look the same to a defender.
#
# ### Or not choose at all?
#
# Poison that is "learned first" is easy in *all* epochs so far, but the filter looks at the last one only. What if we rank samples by their
# **mean entropy over the epochs**? A sample that was easy from the start keeps a low mean.
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
    "Purity of the suspects against E1, mean and range over three seeds. The mean entropy reaches "
    "100 % for all attacks but Blended; the entropy of one epoch jumps.",
    number=6,
)

# %% [markdown]
# **What you should see.** (Bands are the range over seeds.) For four attacks the mean finds only poison from epoch 7 on, with every seed. <!-- claim: 03-mean-badnets --> <!-- claim: 03-mean-trojannn --> <!-- claim: 03-mean-lca --> <!-- claim: 03-mean-sig -->
# In its first
# epochs it is behind in the mean, under BadNets and TrojanNN. <!-- claim: 03-mean-behind --> <!-- claim: 03-mean-behind-trojannn --> It
# still counts the first epoch, when the model gave most images one answer. For Blended it finds 8 % at most. <!-- claim: 03-mean-blended -->
# The entropy of single epochs jumps from epoch to epoch, with wide bands.
#
# **Why.** The mean measures the *speed* of learning, which is what the paper observes. Blended is not learned fast at this size, so its speed
# shows nothing. A filter finds what its assumption says, and nothing else.
#
# ## 5. Look at what was found
#
# Here are the ten most suspicious images, and the most trusted image of each class, after four epochs under BadNets.
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
    number=7,
)

# %% [markdown]
# **What you should see.** A star marks what is really poisoned. The suspects have the corner, different shapes, and one label. The trusted
# images look ordinary. What is hard for this model at this epoch is not hard for us.
#
# **Why it matters.** DLP trusts the images that are hardest *for this model*. Here they are clean. They are a small part of the set, and stage
# 3 of DLP has to learn the task from them. That is why it needs the rest of the data as well, without labels.

# %%
report(
    out,
    context.runtime,
    average_precision=precision,
    by_gamma=by_gamma,
    agreement=agreed,
    purity=purity,
    fires=fires,
    picked=sorted(first.loc[list(PAPER_ATTACKS)].suspected_last),
)

# %% [markdown]
# ## Recap
#
# - The entropy filter suspects what the model is surest of, and trusts what it is least sure of.
# - Its precision depends on $E_1$: in some epochs the model is surer of poison than of any clean sample. Which epochs these are differs
#   from attack to attack.
# - Early on, entropy and loss are better than the feature filters on four of the five attacks. <!-- claim: 03-early-order -->
#   None of the four filters is best everywhere.
# - A defender can see the labels of the suspects. Agreement that *lasts* is a sign of poison with one target. It is no proof, and its
#   absence is none either.
# - With the mean entropy over the epochs, $E_1$ does not matter after a few epochs, for triggers that are learned fast.
#
# ## Quiz
#
# <details><summary>Why is the precision of the suspects more important for DLP than their recall?</summary>
#
# Unlearning makes the model forget the suspects: a clean sample among them is unlearned, too. Poison that is not among them loses its
# label in stage 3, unless it is trusted.
# </details>
#
# <details><summary>A defender finds that all suspects carry the same label. Is the data set tampered?</summary>
#
# Perhaps. At a single epoch, all suspects may be clean samples of one easy class. Agreement that lasts over several epochs says more,
# and is still no proof.
# </details>
#
# <details><summary>Why do activation clustering and spectral signatures fail on SIG?</summary>
#
# They suspect the minority of a class. Under SIG nine tenths of the target class are poisoned, and the minority is clean.
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
# You get entropies $h$ and labels. Return two tensors of indices: the $n\gamma$ samples of lowest entropy, and of *every class* the
# $n\gamma$ samples of highest entropy. (Forget about small classes here.)


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
# Precision is the share of the suspects that are poisoned. Recall is the share of the poisoned samples that are suspected. Which of the two
# does figure 2 show, and how large can the other one be at $\gamma$ = 1 %?


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
# To the figure of agreement in section 4, with your eyes and not with a program. For BadNets, Blended and SIG: at which epoch does
# lasting agreement first come to the threshold? How many per cent of the suspects are poisoned there? Give a pair for each, and ("never",
# None) where it does not come to it. Which alarm is false, and which curve shows it?


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
# Toneva et al. (2019) count how often a sample is *forgotten*: classified correctly at one epoch, and wrongly at the next. Write the count.
# Then use minus the count as a score for `dlp_lib.select`, on the recorded epochs of `stages["BadNets"]`. (`.logits(epoch)` reads one, and the
# labels are those of the tampered set.) Where does it beat entropy?


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
# 1. *(5 minutes)* Use the sliders. Find for each attack the largest $\gamma$ at which 90 % of the suspects are poisoned, at the best
#    $E_1$ you can find.
# 2. *(10 minutes)* Activation clustering needs poison to be the smaller part of its class. Poison with BadNets at 2 %, by
#    `untouched.attacked_by("BadNets", poisoning_rate=0.02, target=target)`. Compare the filters again.
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

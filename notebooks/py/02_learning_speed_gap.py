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
# # The learning-speed gap: why a model learns the backdoor first
#
# **What you will learn.** How fast a model learns clean and poisoned samples, step by step; for which attacks the poison wins the
# race, and for which it does not; what augmentation and the learning rate do to the gap; and what all of this has to do with
# the order in which gradient descent learns things.
#
# **You need** the attacks of [notebook 01](01_backdoor_attacks.ipynb).
#
# **Time**: reading, 25 minutes. Running, about four minutes on two cores (not timed on a GPU yet).

# %% [markdown]
# The next cell holds every setting of this notebook. What was computed once is kept on disk: a second run takes seconds.

# %% tags=["parameters"]
dataset = "shapes10"  # or "cifar10", or a folder
n_train = 5000  # training images; None for all there are
image_size = 16  # pixels a side
target = 0  # the class that the attacker wants
epochs = 10  # of supervised learning
seed = 0
device = "auto"  # "cpu", "cuda", or "auto"
cache = "build/store"  # where stages are kept, inside the project's folder unless absolute
out = "build/speed"  # where metrics.json goes, likewise

# %%
from dataclasses import replace

import matplotlib.pyplot as plt
import torch

import dlp_lib
from dlp_lib import HOME, Context, Runtime, Store, Supervised, accuracy, attacks, plots, record

# %% [markdown]
# As the paper does in its Fig. 1, we take one attack of each family: BadNets, which relabels, and SIG, which does not. `poison`
# gives the tampered set, and the truth about it, which we need for looking and a defender never has.

# %%
context = Context(Runtime(seed, device), Store(HOME / cache), plots.progress)
train, _ = dlp_lib.load(dataset, n_train, image_size=image_size, store=context.store)
train = train.to(context.runtime.device)
settings = attacks.SHAPES10 if dataset == "shapes10" else attacks.CIFAR10
sets = {}
for name in ("BadNets", "SIG"):
    attack = replace(settings[name].attack, target=target)
    sets[name] = dlp_lib.poison(train, attack, settings[name].poisoning_rate, context)
    print(f"{name}: {sets[name][1]}")

# %% [markdown]
# ## 1. A race of two tasks
#
# A tampered set $D_m$ is two data sets in one: a clean part $D_c$, which asks for shapes, and a poisoned part $D_p$, which asks for
# the trigger. Training lowers the sum of both losses (Eq. 4 of the paper):
#
# $$\min_w \; \frac{1}{m} \sum_{(x,y) \in D_p} L(f_w(x), y) \;+\; \frac{1}{n-m} \sum_{(x,y) \in D_c} L(f_w(x), y)$$
#
# `supervised` records every sample's logits after every epoch, in evaluation mode. Splitting them by the truth gives two curves.


# %%
def learn(tampered, probe=None, epochs=epochs, **changed):
    model = dlp_lib.wrn_16_1(len(train.classes), context.runtime)
    stage = dlp_lib.supervised(model, tampered, epochs, Supervised(**changed), context, probe)
    return [stage.trail.read(epoch).tensors for epoch in range(1, len(stage.history) + 1)]


def halves(logits, tampered, truth):
    return [
        [accuracy(z, tampered.labels.cpu(), mask.cpu()) for z in logits] for mask in (~truth.poisoned, truth.poisoned)
    ]


# %% [markdown]
# **Predict.** Sketch the two curves over ten epochs, for BadNets. Then for SIG: there, a poisoned disk has the right label, a
# shape that explains it *and* a trigger that explains it. Will it be learned sooner or later than a clean sample?

# %%
per_epoch = {}
for name, (tampered, truth) in sets.items():
    per_epoch[name] = halves([epoch["logits"] for epoch in learn(tampered)], tampered, truth)

# %%
figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), sharey=True)
for ax, (name, (clean, poisoned)) in zip(axes, per_epoch.items(), strict=True):
    plots.learning_gap(ax, clean, poisoned).set_title(name)
plots.shared_legend(figure)
plots.show(
    figure, "Training accuracy per epoch: with both attacks the poisoned samples are learned before the clean ones."
)

# %% [markdown]
# **What you should see.** For both attacks the poisoned curve is at 90 % or more within one to three epochs, when the clean one is between
# 10 and 50 %. The clean curve catches up after seven to ten epochs. (A single epoch may dip: with few images, batch-norm's running statistics
# lag behind the weights.)
#
# **Why.** Every poisoned sample carries the *same* trigger and asks for the same class. Their gradients point the same way, add
# up, and are followed first. Clean samples of one class differ in colour, place and angle; their gradients partly cancel, and what they have in
# common takes long to find.
#
# ## 2. Step by step
#
# Ten epochs are a coarse clock. In the first two, we look before *every* step of gradient descent, at some of the poisoned samples
# and as many clean ones.
#
# **Predict.** An epoch has about forty steps of 128 images. After how many steps is the trigger learned?

# %%
per_step = {}
for name, (tampered, truth) in sets.items():
    watched = torch.cat([part.nonzero()[:400, 0] for part in (truth.poisoned, ~truth.poisoned)])
    some = tampered.subset(watched), replace(truth, poisoned=truth.poisoned[watched])
    per_step[name] = halves(torch.cat([epoch["steps"] for epoch in learn(tampered, watched, 2)]), *some)

# %%
figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), sharey=True)
for ax, (name, (clean, poisoned)) in zip(axes, per_step.items(), strict=True):
    plots.learning_gap(ax, clean, poisoned, range(len(clean)), "step").set_title(name)
plots.shared_legend(figure)
plots.show(
    figure, "Training accuracy before each of the first steps: the poisoned samples jump to a high accuracy early."
)

# %% [markdown]
# **What you should see.** At first all samples are at chance or at nothing: an untrained model answers one class for all. Then
# the poisoned curve climbs within some tens of steps, with large swings, while the clean one hardly leaves the ground.
#
# **Why the swings?** In evaluation mode batch-norm uses running averages of what it has seen. They follow slowly, and early on, the
# weights move fast. Besides, a model that learns "when in doubt, the target class" is right on *all* poisoned samples
# and on a tenth of the clean ones. Being learned first and being the majority look alike at this stage.
#
# ## 3. Is it the same for every seed?

# %%
recorded = record.read("speed")
figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), sharey=True)
for ax, name in zip(axes, sets, strict=True):
    rows = [row for row in recorded if (row["attack"], row["variant"]) == (name, "default")]
    plots.learning_gap(ax, record.runs(rows, "clean"), record.runs(rows, "poisoned")).set_title(f"{name}, three seeds")
plots.shared_legend(figure)
plots.show(
    figure, "Mean and range over three seeds: the poisoned curve is above the clean one early on, with both attacks."
)

# %% [markdown]
# **What you should see.** The mean of three recorded runs, and the band from the lowest to the highest. For BadNets the gap is clear with every
# seed; for SIG the band is wider.
#
# ## 4. What widens the gap, and what closes it?
#
# **Augmentation** flips and shifts every image at random. **The learning rate** decides how far a step goes. A defender
# controls both.
#
# **Predict.** Flipping and cropping moves BadNets' corner around, and sometimes out of the image. Will the gap widen or narrow? And with a learning
# rate three times as low, or as high?

# %%
variants = {"default": {}, "augmentation": {"augment": True}, "lr 0.003": {"lr": 0.003}, "lr 0.03": {"lr": 0.03}}
changed = {("BadNets", "default"): per_epoch["BadNets"], ("SIG", "default"): per_epoch["SIG"]}
for variant, setting in list(variants.items())[1:]:
    for name, (tampered, truth) in sets.items():
        logits = [epoch["logits"] for epoch in learn(tampered, **setting)]
        changed[name, variant] = halves(logits, tampered, truth)

# %%
figure, axes = plt.subplots(2, 4, figsize=(12, 5), sharex=True, sharey=True)
for row, name in zip(axes, sets, strict=True):
    for ax, variant in zip(row, variants, strict=True):
        plots.learning_gap(ax, *changed[name, variant]).set_title(f"{name}, {variant}", fontsize=10)
plots.shared_legend(figure)
plots.show(
    figure, "The two curves by default, with augmentation, and with a lower and a higher learning rate, per attack."
)

# %% [markdown]
# **What you should see.** Augmentation slows both curves, the clean one most, and makes the poisoned one uneven. A low learning rate stretches the race: the
# poisoned samples lead for longer. A high one shortens it, and the clean samples catch up after a few epochs.
#
# **Why.** The gap is a matter of *how many steps* a task needs. Small steps make a slow film of it. That is why DLP's first stage is
# short, has a modest learning rate and, with us, no augmentation: it should stop while the two are far apart.
#
# The area between the curves, mean of the epochs, puts a number on it. Recorded, three seeds:

# %%
areas = [
    {"attack": row["attack"], "variant": row["variant"], "gap": row["poisoned"] - row["clean"]}
    for row in recorded
    if row["variant"] in variants
]
record.spread(areas, ["attack", "variant"], ["gap"])

# %% [markdown]
# (In points of training accuracy, over all epochs and seeds; in brackets the extremes of single epochs.)
#
# ## 5. Not every trigger is learned first
#
# The observation is about triggers that are *easier than the task*. Here are all five attacks, recorded with three seeds.
#
# **Predict.** Blended hides a noise pattern in the whole image at a fifth of its strength. On which side of the clean curve will its poisoned samples be?

# %%
recorded = record.read("epochs")
figure, axes = plt.subplots(1, 5, figsize=(14, 3), sharey=True)
for ax, name in zip(axes, settings, strict=True):
    rows = [row for row in recorded if row["attack"] == name]
    plots.learning_gap(ax, record.runs(rows, "clean"), record.runs(rows, "poisoned")).set_title(name)
plots.shared_legend(figure)
plots.show(
    figure, "All five attacks over 24 epochs: with Blended the poisoned samples are learned later than the clean ones."
)

# %% [markdown]
# **What you should see.** Four attacks lead from the first epochs on. Blended does not: its poisoned samples are learned *together with or after* the clean ones.
#
# **Why.** A faint noise pattern in 16×16 pixels is hard to tell from the noise that all images carry. The network must first learn filters
# that match it. On large images the same pattern has many more pixels, is easier to find, and is learned earlier: the paper reports a
# gap for all its attacks on 32×32 and more. A defence that rests on "poison is learned first" inherits this limit; the next notebook shows how it
# fails, and what a defender could see of it.

# %%
names = "dataset n_train image_size target epochs seed device cache out"
curves = {f"{name}, {variant}": both for (name, variant), both in changed.items()}  # clean, poisoned
parameters = {name: globals()[name] for name in names.split()}
record.report(HOME / out, parameters, context.runtime, curves=curves, steps=per_step)

# %% [markdown]
# ## Recap
#
# - A tampered set holds two tasks. The trigger is the easier one, so gradient descent solves it first.
# - The gap opens within tens of steps and closes when the clean task is learned.
# - A smaller learning rate and no augmentation keep it open for longer.
# - A trigger that is harder than the task shows no such gap.
#
# ## Exercises
#
# 1. *(5 minutes)* Set `target = 6` (the star). Does the gap of SIG depend on how easy the target class is?
# 2. *(10 minutes)* Make BadNets' patch smaller (`patch=1`) and the poisoning rate 0.01. Which of the two hurts the gap more?
# 3. *(15 minutes)* Add Blended with `alpha = 0.5` to `sets`. From which `alpha` on is its poison learned first?
# 4. *(20 minutes)* Plot the *loss* of both parts instead of the accuracy. When is the gap widest now, and which of the two would you
#    rather use to tell poisoned from clean samples?
#
# ## References
#
# - Z. Ying and B. Wu. *DLP: towards active defense against backdoor attacks with decoupled learning process.*
#   Cybersecurity 6, 2023.
# - D. Arpit et al. *A closer look at memorization in deep networks.* ICML 2017.
# - Y. Li, X. Lyu, N. Koren, L. Lyu, B. Li, X. Ma. *Anti-backdoor learning: training clean models on poisoned data.* NeurIPS 2021.

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
# **What you will learn.** How fast a model learns clean and poisoned samples, step by step. For which attacks it learns the poison
# first, and for which it does not. What augmentation and the learning rate do to the gap. Why gradient descent learns things in
# this order.
#
# **You need** the attacks of [notebook 01](01_backdoor_attacks.ipynb).
#
# **Time**: reading, 25 minutes. Running, about four minutes on two cores (not timed on a GPU yet).
#
# Terms are explained in the [glossary](../docs/GLOSSARY.md), papers listed in the [bibliography](../docs/BIBLIOGRAPHY.md).

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
import matplotlib.pyplot as plt
import pandas as pd
import torch

import dlp_lib
from dlp_lib import HOME, Context, Runtime, Store, accuracy, plots, print_progress
from dlp_lib.checks import learning_speed_gap as checks
from dlp_lib.experiments import record, report, scenario
from dlp_lib.recipes import PAPER_ATTACKS

# %% [markdown]
# Like the paper's Fig. 1, this notebook takes one attack of each family: BadNets changes labels, SIG does not. `attacked_by`
# gives the tampered set and the truth about it. We need the truth to look; a defender never has it.

# %%
context = Context(Runtime(seed, device), Store(HOME / cache), print_progress)
untouched = scenario(dataset, "none", n_train=n_train, image_size=image_size, context=context)
scenes = {}
for name in ("BadNets", "SIG"):
    scenes[name] = untouched.attacked_by(name, target=target)
    print(f"{name}: {scenes[name].truth}")

# %% [markdown]
# ## 1. Two tasks in one data set
#
# A tampered set $D_m$ holds two data sets: a clean part $D_c$, which teaches shapes, and a poisoned part $D_p$, which teaches the
# trigger. Training minimises the mean loss (Eq. 3 of the paper), which splits in two:
#
# $$\min_w \; \frac{1}{n} \Big[ \sum_{(x,y) \in D_p} L(f_w(x), y) \;+\; \sum_{(x,y) \in D_c} L(f_w(x), y) \Big]$$
#
# (The paper's Eq. 4 takes the mean of each part by itself. Ordinary training weighs the parts by their sizes, one to nine at 10 %.)
#
# `undefended` trains a model on the whole tampered set. It records every sample's logits after every epoch, in evaluation mode.
# The truth splits them into two curves. We add a third: how many clean samples of *other* classes the model takes for the target.


# %%
def learn(scene, **changes):
    """Logits (n, classes) of all samples after every epoch of supervised learning."""
    _, stage = scene.undefended(epochs, **changes)
    return stage.logits_by_block()


def curves(logits, labels, poisoned):
    """Shares of samples, one for each of the logits; labels and poisoned are (n,)."""
    labels, poisoned = labels.cpu(), poisoned.cpu()
    goal = torch.full_like(labels, target)
    others = ~poisoned & (labels != target)
    return {
        "clean": [accuracy(z, labels, ~poisoned) for z in logits],
        "poisoned": [accuracy(z, labels, poisoned) for z in logits],
        "mistaken": [accuracy(z, goal, others) for z in logits],
    }


# %% [markdown]
# **Predict.** Sketch the two curves over ten epochs, for BadNets. Then for SIG: there, a poisoned disk has the right label. Its
# shape explains the label, *and* its trigger does. Will it be learned sooner or later than a clean sample?

# %%
per_epoch = {}
for name, scene in scenes.items():
    per_epoch[name] = curves(learn(scene), scene.tampered.labels, scene.truth.poisoned)

# %%
figure, axes = plt.subplots(1, len(scenes), figsize=(9, 3.2), sharey=True)
for ax, name in zip(axes, scenes, strict=True):
    plots.learning_gap(ax, **per_epoch[name]).set_title(name)
plots.shared_legend(figure)
alt = "Training accuracy per epoch: with both attacks the poisoned samples are learned first."
plots.show(figure, alt, number=1)

# %% [markdown]
# **What you should see.** For both attacks the poisoned curve is above 99 % from the first epoch on. <!-- claim: 02-run-poisoned --> The
# clean curve then begins at 14 to 15 %. <!-- claim: 02-run-clean-first --> It comes near after ten epochs, with 90 %. <!-- claim: 02-run-clean-last -->
# With BadNets, the first epoch means little. The dotted line is at 80 %: the model answers "disk" for
# most images, with or without a trigger. <!-- claim: 02-run-mistaken-first --> From the third to the seventh epoch it is below 7 %. <!-- claim: 02-run-mistaken-third -->
# At epoch 8 it rises to 10 or 11 % once more. <!-- claim: 02-run-mistaken-eighth -->
#
# **Why.** Every poisoned sample carries the *same* trigger and has the same label. A likely reason: the gradients of all of them point
# the same way and add up, so training follows them first. Clean samples of one class differ in colour, place and angle. Their gradients
# partly cancel, and it takes longer to find what they have in common. For the first epoch of BadNets there is another reason, which
# section 2 shows.
#
# By hand: four samples of one class. Each has the trigger (the first number) and one property of its own (one of the others).
# Along which number does the first step of gradient descent go furthest?

# %% tags=["nbval-check-output"]
x = torch.cat([torch.ones(4, 1), torch.eye(4)], 1)  # a row for each sample
# Of a linear model with two classes, which does not know anything yet:
w = torch.zeros(5, requires_grad=True)
loss = torch.nn.functional.softplus(-(x @ w)).mean()  # cross-entropy
print("downhill:", (-torch.autograd.grad(loss, w)[0]).tolist())

# %% [markdown]
# What all four share adds up. Its step is four times as large as that of what one sample has alone. At a learning rate of 1, a
# *new* sample with the trigger then has a logit of 0.5 by the trigger alone. The model has never met its own property.
#
# ## 2. Step by step
#
# An epoch is a long time. In the first two, we look once at the start and then after *every* step of gradient descent. We look at 400
# poisoned samples and at 400 clean ones.
#
# **Predict.** An epoch has about forty steps of 128 images. After how many steps does the model answer "disk" for every poisoned
# image? And after how many for poisoned images *only*?

# %%
per_step = {}
for name, scene in scenes.items():
    poisoned = scene.truth.poisoned
    watched = torch.cat([part.nonzero()[:400, 0] for part in (poisoned, ~poisoned)])
    config = scene.recipe.dlp.supervised
    stage = dlp_lib.supervised(scene.untrained(), scene.tampered, 2, config, context, watched)
    steps = [stage.checkpoints.read(epoch).tensors["steps"] for epoch in (1, 2)]
    per_step[name] = curves(torch.cat(steps), scene.tampered.labels[watched], poisoned[watched])

# %%
figure, axes = plt.subplots(1, len(scenes), figsize=(9, 3.2), sharey=True)
for ax, name in zip(axes, scenes, strict=True):
    shares = per_step[name]
    plots.learning_gap(ax, **shares, x=range(len(shares["clean"])), xlabel="step").set_title(name)
plots.shared_legend(figure)
plots.show(
    figure,
    "Accuracy after each step: poison is at 100 % after ten to twenty. So is, under BadNets, the "
    "share of clean images mistaken. Under SIG that share is 63 % at most.",
    number=2,
)

# %% [markdown]
# **What you should see.** An untrained model gives one answer for everything. Under BadNets the poisoned curve is at 98 % after ten
# steps, under SIG after fifteen. <!-- claim: 02-steps-badnets --> <!-- claim: 02-steps-sig --> But look at the dotted line, clean samples
# of *other* classes that are taken for the target. Under BadNets it is at 100 % as well, from step 11 to step 31. <!-- claim: 02-steps-badnets-mistaken -->
# The model answers "disk" for everything, and has not found the trigger. Only after about seventy steps does it
# fall below 30 %. <!-- claim: 02-steps-badnets-apart --> Under SIG it rises to 63 % at most, and is below 2 % from step 57 on. <!-- claim: 02-steps-sig-mistaken --> <!-- claim: 02-steps-sig-apart -->
#
# **Why.** Under BadNets the target is the most frequent label (1,000 of 5,000), as the poison was given it. A model that knows nothing is
# right most often with this answer. SIG changes no label. There a likely reason is the wave, which many images share. At first it moves
# the answers for other images towards "disk", too. The trigger is learned when the dotted line falls and the orange one stays. Accuracy
# on the poisoned samples alone makes the attack look stronger than it is.
#
# ## 3. Is it the same for every seed?
#
# **Predict.** Which of the curves will differ most from seed to seed: clean, poisoned or mistaken?

# %%
recorded = record.read("speed")


def draw_recorded(ax, rows):
    parts = ("clean", "poisoned", "mistaken")
    return plots.learning_gap(ax, **{part: record.runs(rows, part) for part in parts})


figure, axes = plt.subplots(1, len(scenes), figsize=(9, 3.2), sharey=True)
for ax, name in zip(axes, scenes, strict=True):
    rows = [row for row in recorded if (row["attack"], row["variant"]) == (name, "default")]
    draw_recorded(ax, rows).set_title(f"{name}, three seeds")
plots.shared_legend(figure)
alt = "Mean and range over three seeds: the poisoned curve is above the clean one early on."
plots.show(figure, alt, number=3)

# %% [markdown]
# **What you should see.** Lines are means of three recorded runs, bands go from the lowest to the highest. With every seed and both
# attacks, poison is above 99 % from the first epoch on. <!-- claim: 02-recorded-poisoned --> The clean samples are at 85 to 93 % after
# ten epochs. <!-- claim: 02-recorded-clean --> The *mistaken* curve of BadNets varies most: at epoch 2 its runs are 35 points apart. <!-- claim: 02-recorded-mistaken-spread -->
# The clean curve's runs are 20 points apart at most. <!-- claim: 02-recorded-clean-spread -->
# Under SIG the *mistaken* curve is below 1 % from the second epoch on. <!-- claim: 02-recorded-mistaken-sig --> Under BadNets this curve
# needs nine epochs to stay below 5 %. <!-- claim: 02-recorded-mistaken-badnets -->
#
# **Why.** Initial weights and the order of the data decide when the model stops answering "disk" for everything, and which shapes it
# learns first. The poisoned curve is at its upper limit with every seed.
#
# ## 4. What widens the gap, and what closes it?
#
# **Augmentation** flips and shifts every image at random. **The learning rate** decides how far a step goes. A defender
# controls both.
#
# **Predict.** Flips and shifts move BadNets' corner, and cut parts of it off. Will the gap widen or narrow? And with a learning
# rate that is three times lower, or higher?

# %%
variants = {
    "default": {},
    "augmentation": {"augment": True},
    "lr 0.003": {"lr": 0.003},
    "lr 0.03": {"lr": 0.03},
}
by_variant = {}
for variant, changes in variants.items():
    for name, scene in scenes.items():
        logits = learn(scene, **changes)
        shares = curves(logits, scene.tampered.labels, scene.truth.poisoned)
        by_variant[f"{name}, {variant}"] = shares

# %%
figure, axes = plt.subplots(2, 4, figsize=(12, 5), sharex=True, sharey=True)
for row, name in zip(axes, scenes, strict=True):
    for ax, variant in zip(row, variants, strict=True):
        title = f"{name}, {variant}"
        plots.learning_gap(ax, **by_variant[title]).set_title(title, fontsize=10)
plots.shared_legend(figure)
plots.show(
    figure,
    "The two curves by default, with augmentation, and with a lower and a higher learning rate, "
    "per attack.",
    number=4,
)

# %% [markdown]
# **What you should see.** The poisoned curve is above 95 % in all eight panels, at every epoch. <!-- claim: 02-variants-poisoned --> The
# clean curve differs. After ten epochs of BadNets it is highest with the high learning rate, and lowest with the low one. Augmentation
# slows it down. <!-- claim: 02-variants-badnets-high --> <!-- claim: 02-variants-badnets-augmentation --> <!-- claim: 02-variants-badnets-low -->
# For SIG the order is the same. <!-- claim: 02-variants-sig-high --> <!-- claim: 02-variants-sig-augmentation --> <!-- claim: 02-variants-sig-low -->
#
# **Why.** Each task needs a number of *steps*, and smaller steps make it more. Augmentation makes the clean task harder, as every image
# comes in up to fifty versions. Does it also break a corner trigger, by shifting it out of the image? Shifts are an eighth of the side at
# most, and flips leave half of the images as they are. What is left of the corner is still easier to learn than the shapes. But it is
# learned later: in figure 4 the dotted line falls more slowly with augmentation.
#
# Two measures, as means over all epochs. The *gap* is the distance of the poisoned curve and the clean one. *Told apart* is the distance
# of the poisoned curve and the dotted one. Recorded, three seeds:

# %%
by_epoch = pd.DataFrame(recorded)
by_epoch["gap"] = by_epoch.poisoned - by_epoch.clean
by_epoch["told apart"] = by_epoch.poisoned - by_epoch.mistaken
measures = ["gap", "told apart"]
areas = by_epoch.groupby(["attack", "variant", "seed"], sort=False)[measures].mean()
record.spread(areas.reset_index().to_dict("records"), ["attack", "variant"], measures)

# %% [markdown]
# (In points of training accuracy: the mean over seeds, and in brackets the least and the most of the three.)
#
# **What you should see.** For both attacks the gap is smallest with the high learning rate. The default follows, and then augmentation.
# It is widest with the low learning rate. <!-- claim: 02-gap-default-badnets --> <!-- claim: 02-gap-default-sig --> <!-- claim: 02-gap-low-badnets --> <!-- claim: 02-gap-low-sig -->
# So augmentation *widens* the gap, by 6 points or more. <!-- claim: 02-gap-augmentation-badnets --> <!-- claim: 02-gap-augmentation-sig -->
# The second column has the opposite order: it is highest with the high learning rate, and lowest
# with the low one. <!-- claim: 02-apart-high --> <!-- claim: 02-apart-default --> <!-- claim: 02-apart-augmentation --> Under BadNets
# with the low rate, a good part of the gap is "disk for everything". Section 2 warned of this.
#
# DLP's filter does not look at accuracy. It looks at how sure the model is, which is another question: item 4 of *Go further*.
#
# ## 5. Not every trigger is learned first
#
# The observation is about triggers that are *easier than the task*. Here are all five attacks, recorded with three seeds.
#
# **Predict.** Blended adds a noise pattern to the whole image, at a fifth of its strength. Will its poisoned samples be above or
# below the clean curve in the first five epochs?

# %%
recorded = record.read("epochs")
figure, axes = plt.subplots(1, len(PAPER_ATTACKS), figsize=(14, 3), sharey=True)
for ax, name in zip(axes, PAPER_ATTACKS, strict=True):
    rows = [row for row in recorded if row["attack"] == name]
    draw_recorded(ax, rows).set_title(name)
plots.shared_legend(figure)
plots.show(
    figure,
    "All five attacks over 24 epochs: Blended's poison falls to 40 % at epoch 5, below the clean "
    "curve, and is above it from epoch 6 on.",
    number=5,
)

# %% [markdown]
# **What you should see.** Four attacks are at 98 % or more throughout, with every seed. <!-- claim: 02-five-others --> The first epoch of
# all three poison-label attacks is mostly "disk for everything", as the dotted line shows. <!-- claim: 02-five-mistaken --> BadNets and
# TrojanNN then stay there, because the model finds the trigger. Blended falls to 33 to 43 % at epoch 3, near the clean curve with 30 to
# 38 %. <!-- claim: 02-five-blended-3 --> <!-- claim: 02-five-blended-clean-3 --> At epoch 5 it is 10 points or more below the clean
# curve, in the mean. <!-- claim: 02-five-blended-5 --> It is at about 98 % or more at epoch 8, when the clean curve is at 85 % at most. <!-- claim: 02-five-blended-8 --> <!-- claim: 02-five-blended-clean-8 -->
#
# **Why.** A possible reason: the pattern has no local structure that repeats. A small convolutional network with pooling must first learn
# filters for it. We have not tested it. The paper shows the gap for BadNets and SIG only (Fig. 1). It reports that its filter works on
# all five attacks on CIFAR-10. A defence that relies on "poison is learned first" depends on how early that is. The next notebook shows
# how the filter fails here, and what a defender could see of it.
#
# ## 6. And on photographs?
#
# So far everything was shapes. The paper's Fig. 1 is of CIFAR-10: photographs of ten kinds of things. This was recorded on 10,000
# of them, with the papers' settings of the attacks, ten epochs and one seed.
#
# **Predict.** Photographs are harder to tell apart than shapes. Will the gap be wider or narrower? Will Blended be the exception again?

# %%
photographs = record.read("cifar10/epochs")
figure, axes = plt.subplots(1, len(PAPER_ATTACKS), figsize=(14, 3), sharey=True)
for ax, name in zip(axes, PAPER_ATTACKS, strict=True):
    rows = [row for row in photographs if row["attack"] == name]
    draw_recorded(ax, rows).set_title(name)
plots.shared_legend(figure)
plots.show(
    figure,
    "The same on photographs: all five poisoned curves are far above the clean ones for ten "
    "epochs.",
    number=6,
)

# %% [markdown]
# **What you should see.** All five orange curves are at 80 % or more after one epoch, and at 95 % or more after two. <!-- claim: 02-photographs-first --> <!-- claim: 02-photographs-second -->
# The blue ones need ten epochs to reach 52 to 59 %. <!-- claim: 02-photographs-clean -->
# Over ten epochs the gap is wider than with shapes, as it lasts longer. <!-- claim: 02-photographs-wider -->
# In the first two epochs it is mostly narrower. Blended's orange curve is high early, too. But its
# dotted line is the last to fall: it is above 11 % for five epochs. <!-- claim: 02-photographs-blended --> Until then the model takes
# many clean images for the target. So it does not yet tell this trigger from other images.
#
# **Why.** The class of a photograph takes longer to learn than that of a shape. For Blended there is a second possible reason: its
# pattern has four times as many pixels on 32×32 as on 16×16. We have tested neither. The paper's claim holds where the paper makes it. It
# is a claim about *this* task and *these* triggers, as section 5 showed.

# %%
report(out, context.runtime, curves=by_variant, steps=per_step)

# %% [markdown]
# ## Recap
#
# - A tampered set holds two tasks. The trigger is mostly the easier one, so gradient descent solves it first.
# - The poisoned curve is high within fifteen steps. The model *tells the trigger from other images* later: under SIG within two epochs,
#   under BadNets the dotted line is first below 5 % after six. <!-- claim: 02-recap-six --> The gap closes when the clean task is
#   learned.
# - A smaller learning rate keeps the gap open for longer, and so does augmentation, here.
# - On shapes, Blended's trigger is learned in the middle of training, and its gap opens late. On photographs its orange curve is high
#   early, and its dotted line falls last.
#
# ## Quiz
#
# <details><summary>After the first epoch the model gives every poisoned sample the attacker's label. Has it learned the trigger?</summary>
#
# Perhaps not. Under BadNets it then answers "disk" for nearly everything, with or without a trigger. The trigger is learned when
# poisoned samples are still taken for the target, and clean samples of other classes are not.
# </details>
#
# <details><summary>Are poisoned samples learned first because their labels are wrong?</summary>
#
# No. SIG changes no label, and its samples are learned first as well. Blended's labels are as wrong as those of BadNets, and its
# samples are learned in the middle of training. What counts is how easy the trigger is beside the task.
# </details>
#
# <details><summary>A smaller learning rate leaves a wider gap. Does the model learn the trigger better with it?</summary>
#
# No. With small steps the clean samples need more epochs, so the gap stays open for longer. Under BadNets the model even needs longer to
# answer "disk" for the trigger *only*.
# </details>
#
# ## Exercises
#
# Replace the dots, run the cell, and run the one after it: the check says what is wrong, if anything is.
#
# ### Exercise 1. A control for the trigger *(easy, 10 minutes)*
#
# Under BadNets a poisoned sample has two oddities: a trigger, and a wrong label. Its curve is at the top first. Is it the trigger that is
# learned so soon, or is any relabelled image? A control is a second run that differs from the first in one thing: the one that is in
# question. Design it: a copy of `run` in which one setting has another value. A trigger is there, "yes" or "no". A label is the "target"
# or "true". Leave everything else as it is, the seed and the numbers too. What do you expect of its curve, and why?


# %% tags=["exercise"]
run = {
    "relabelled": 500,
    "label": "target",
    "of": "other classes",
    "trigger": "yes",
    "epochs": 20,
    "seed": 0,
}
control = None
# BEGIN SOLUTION
control = run | {"trigger": "no"}
# END SOLUTION

# %% tags=["check"]
checks.no_trigger(control)

# %% [markdown]
# ### Exercise 2. A model that says "disk" *(easy, 10 minutes)*
#
# A model answers "disk", the target, for every image, and knows nothing else. How large is its gap, the poisoned accuracy minus the clean
# one, in points and to one decimal place? There are 5,000 training images, 500 of each of ten classes. BadNets has poisoned 500 of them,
# none a disk, and SIG 450 of the disks. Then compare your number for BadNets with the first epoch in figure 4, where the learning rate is
# 0.003.

# %% tags=["exercise"]
gaps = None
# BEGIN SOLUTION
gaps = {"BadNets": 100 - 100 * 500 / 4500, "SIG": 100 - 100 * 50 / 4550}
# END SOLUTION

# %% tags=["check"]
checks.gaps(gaps)

# %% [markdown]
# ### Exercise 3. Two parts of one loss *(medium, 10 minutes)*
#
# Training follows the mean loss of all samples, which has a clean and a poisoned part (Eq. 3, in section 1). Return both parts, so that their sum is the mean loss. Cross-entropy is `torch.nn.functional.cross_entropy`; with `reduction="none"` it
# gives one loss a sample.


# %% tags=["exercise"]
def my_parts(logits, labels, poisoned):
    """The clean and the poisoned part of the mean loss.

    From logits (n, classes), labels (n,) and a mask (n,).
    """
    # BEGIN SOLUTION
    losses = torch.nn.functional.cross_entropy(logits, labels, reduction="none") / len(labels)
    return losses[~poisoned].sum(), losses[poisoned].sum()
    # END SOLUTION


# %% tags=["check"]
checks.parts(my_parts)

# %% [markdown]
# Then follow both parts over `learn(scenes["BadNets"])`, the logits of every epoch (on the CPU). The labels are `scenes["BadNets"].tampered.labels.cpu()`, and the truth is `scenes["BadNets"].truth.poisoned.cpu()`. When do the poisoned samples stop pulling? Divide each part by its share of the samples, and you
# have a gap of losses: is it wider than that of accuracies, and when?
#
# ### Exercise 4. Learned at which epoch? *(medium, 15 minutes)*
#
# Curves are of many samples; this is about one. Say that a sample is learned at the first epoch *from which on* it is always classified
# correctly. Epochs are counted from 1. A sample that is wrong in the last epoch is learned at epoch $\infty$ (`torch.inf`).


# %% tags=["exercise"]
def my_learned_at(correct):
    """Epochs (n,), floating point, from booleans (epochs, n)."""
    # BEGIN SOLUTION
    number = torch.arange(1, len(correct) + 1)[:, None]
    last_wrong = (number * ~correct).amax(0)
    return torch.where(last_wrong == len(correct), torch.inf, last_wrong + 1.0)
    # END SOLUTION


# %% tags=["check"]
checks.learned_at(my_learned_at)

# %% [markdown]
# Then compare the medians of the poisoned and of the clean samples, for BadNets and for SIG, from `learn(scenes[name])` as above.
#
# ### Exercise 5. The race on paper *(hard, 20 minutes)*
#
# A toy, to see what decides a race. Every sample has exactly one feature. The share of the samples with feature $k$ is $s_k$: a tenth
# have the trigger, say. One in a thousand has a certain shape at a certain place. A linear model is to answer 1 to all, with the loss
# $\frac{1}{2n} \sum_i (w_{k(i)} - 1)^2$, where $k(i)$ is the feature of sample $i$. All weights begin at 0. At the learning rate $\eta$,
# gradient descent then moves every weight by itself:
#
# $$w_k \leftarrow w_k + \eta \, s_k \, (1 - w_k)$$
#
# After how many steps has a weight reached `goal`? Calculate it (what becomes of the distance $1 - w_k$ in a step?), or count.


# %% tags=["exercise"]
def my_steps(share, lr, goal):
    """Whole numbers (k,).

    From the shares (k,) of the features, the learning rate, and a goal between 0 and 1.
    """
    # BEGIN SOLUTION
    remains = 1 - lr * share.double()  # of the distance to 1, after each step
    goal_left = torch.tensor(1 - goal, dtype=torch.float64)
    return (goal_left.log() / remains.log()).ceil()
    # END SOLUTION


# %% tags=["check"]
checks.steps(my_steps)

# %% [markdown]
# Then explain with it what a third of the learning rate does to the gap, in section 4. And what does the toy leave out, if Blended, with the same share as BadNets, is learned so much later?
#
# ### Go further
#
# 1. *(5 minutes)* Set `target = 6` (the star). Does the gap of SIG depend on how easy the target class is?
# 2. *(10 minutes)* Make BadNets' patch smaller (`patch=1`) and the poisoning rate 0.01. Which of the two hurts the gap more?
# 3. *(15 minutes)* Add Blended with `alpha = 0.5` to `scenes`: `untouched.attacked_by(dlp_lib.Blended(alpha=0.5), 0.1)`. From which `alpha` on is its poison learned first?
# 4. *(20 minutes)* Train with and without augmentation for four epochs. Compare the poisoned share of the 1 % of samples with the lowest
#    entropy (`dlp_lib.select(-dlp_lib.entropy(logits), tampered, 0.01)`). Which one would you use in DLP's first stage?
#
# ## References
#
# - Z. Ying and B. Wu. *DLP: towards active defense against backdoor attacks with decoupled learning process.*
#   Cybersecurity 6, 2023.
# - D. Arpit et al. *A closer look at memorization in deep networks.* ICML 2017.
# - Y. Li, X. Lyu, N. Koren, L. Lyu, B. Li, X. Ma. *Anti-backdoor learning: training clean models on poisoned data.* NeurIPS 2021.

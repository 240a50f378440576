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
# # Active unlearning: gradient ascent against a backdoor
#
# **What you will learn.** How gradient *ascent* on a few suspects removes a backdoor. Why batch normalisation makes the backdoor look
# gone too early. What the learning rate, the number of suspects and their purity do. How the ascent destroys a model, and how a
# defender can see that. How the features change.
#
# **You need** the filter of [notebook 03](03_entropy_filtering.ipynb).
#
# **Time**: reading, 30 minutes. Running, about four minutes on two cores (not timed on a GPU yet).
#
# Terms are explained in the [glossary](../docs/GLOSSARY.md), papers listed in the [bibliography](../docs/BIBLIOGRAPHY.md).

# %% [markdown]
# The next cell holds every setting of this notebook. What was computed once is kept on disk: a second run takes seconds.

# %% tags=["parameters"]
dataset = "shapes10"  # or "cifar10", or a folder
n_train = 5000  # training images; None for all there are
n_test = 1000  # test images, the first of them; a part will do here, as no choice depends on them
image_size = 16  # pixels a side
attack = "BadNets"  # or "TrojanNN", "Blended", "LCA", "SIG"
gamma = 0.02  # filtering rate
e1 = 4  # epochs of supervised learning; chosen by us, with results in view
e2 = 20  # epochs of unlearning
unlearn_lr = None  # of unlearning; None for the recommended one
seed = 0
device = "auto"  # "cpu", "cuda", or "auto"
cache = "build/store"  # where stages are kept, inside the project's folder unless absolute
out = "build/unlearning"  # where metrics.json goes, likewise

# %%
import copy
from dataclasses import asdict, replace

import matplotlib.pyplot as plt
import pandas as pd
import torch
from sklearn.decomposition import PCA
from torch.nn.functional import cross_entropy

import dlp_lib
from dlp_lib import HOME, Context, Runtime, Store, entropy, evaluate, plots, print_progress
from dlp_lib.checks import active_unlearning as checks
from dlp_lib.experiments import report, scenario
from dlp_lib.experiments.ascents import Ascent, table_of_ascents
from dlp_lib.models.interface import to_float
from dlp_lib.training.batchnorm import with_reestimated_batchnorm

# %% [markdown]
# First, what the notebooks before this one did: poison, learn for a few epochs, suspect the samples of lowest entropy.

# %%
context = Context(Runtime(seed, device), Store(HOME / cache), print_progress)
scene = scenario(dataset, attack, n_train=n_train, image_size=image_size, context=context)
backdoor, tampered, truth = scene.attack, scene.tampered, scene.truth
test = scene.test.subset(slice(n_test))
config = scene.recipe.dlp.unlearn
config = replace(config, lr=unlearn_lr or config.lr)

# %%
learned, _ = scene.undefended(e1)
suspicion = -entropy(dlp_lib.predict(learned, tampered.images))
selection = dlp_lib.select(suspicion, tampered, gamma)
precision = dlp_lib.filter_precision(selection.suspected, selection.trusted, truth)
after_sl = evaluate(learned, test, backdoor)
print(f"after stage 1: CA {after_sl.ca:.1%}, ASR {after_sl.asr:.1%}")
print(f"{len(selection.suspected)} suspects, {precision['suspected']:.0%} of them poisoned")

# %% [markdown]
# ## 1. From the formula to five lines
#
# Learning goes *down* the slope of the loss; unlearning goes *up*, on the suspects $D'_p$ alone (Eq. 6 of the paper):
#
# $$\max_{w} \frac{1}{|D'_p|} \sum_{(x,y)\in D'_p} L(f_w(x), y)$$
#
# In code that is one sign. First on the logits of one suspect alone, without a network. The slope of cross-entropy in the logits is
# $p - y$ ($y$ is one-hot), and a step goes along it. Look how small the first steps are, and how the loss grows in the end.

# %% tags=["nbval-check-output"]
z = torch.tensor([[4.0, 0.0, 0.0]])  # sure of its label, of three
label = torch.tensor([0])
for step in range(10):
    p = z.softmax(1)
    print(f"step {step}: p = {p[0, 0].item():.2f}, loss {cross_entropy(z, label).item():.1f}")
    z = z + 4 * (p - torch.tensor([1.0, 0.0, 0.0]))

# %% [markdown]
# Where the model is sure and right, cross-entropy is flat. Where it is wrong, the slope in a logit is at most one: the loss grows at a
# steady rate, and without an end. In a network many layers make the logits, and all of them move at once. Here are five steps of that,
# with the optimiser's momentum of 0.9 and without. <!-- no claim: a setting -->
#
# **Predict.** The model is sure of all suspects. Where will their loss start? Cross-entropy has no upper bound. Will the loss grow at a
# steady rate, stop growing, or grow faster and faster? Does momentum matter?

# %%
model = copy.deepcopy(learned)
images = to_float(tampered.images[selection.suspected])
labels = tampered.labels[selection.suspected]
sure = cross_entropy(model.eval()(images), labels).item()
print(f"in evaluation mode: loss on the suspects {sure:.3f}")


# %%
def climb_five_steps(momentum):
    """The loss on the suspects before each of five steps up, in training mode."""
    model = copy.deepcopy(learned).train()
    optimiser = torch.optim.SGD(model.parameters(), lr=config.lr, momentum=momentum)
    losses = []
    for _ in range(5):
        loss = cross_entropy(model(images), labels)
        optimiser.zero_grad()
        (-loss).backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


losses = {"with": climb_five_steps(config.momentum), "without": climb_five_steps(0)}
for name, values in losses.items():
    print(f"{name} momentum: " + ", ".join(f"{value:.2f}" for value in values))


# %% [markdown]
# **What you should see.** In evaluation mode the loss is 0.005: the model is sure. <!-- claim: 04-loss-sure --> In training mode it
# starts at 2.46. <!-- claim: 04-loss-start --> With momentum it grows faster with every step: first by 0.08, in the end by 0.25. <!-- claim: 04-loss-first --> <!-- claim: 04-loss-last -->
# Without it, each step adds 0.08. <!-- claim: 04-loss-plain-least --> <!-- claim: 04-loss-plain-most -->
#
# **Why.** In training mode batch normalisation subtracts the mean *of the batch*. All suspects carry the trigger, so the trigger is part
# of that mean, and is subtracted. What is left does not explain the labels. So the loss has a slope from the first step on. (In
# evaluation mode it has hardly any: cross-entropy is flat where a model is sure and right.) Momentum carries most of each step into the
# next one, so the steps grow. Nothing ends this ascent by itself. That is the difficulty of the whole stage.
#
# `unlearn` does the same, epoch by epoch. It records the weights of every epoch, and judges each of them. The whole ascent is computed
# first, and looked at afterwards.


# %%
def measure(stage, reestimated):
    """CA, ASR and RA after every epoch of an ascent."""
    epochs = range(1, len(stage.history) + 1)
    return dlp_lib.audit(stage, learned, test, backdoor, epochs, batchnorm=(reestimated,))


def ascend(suspected, **changes):
    """The recorded ascent from the learned model, measured with re-estimated batch-norm."""
    model = copy.deepcopy(learned)
    settings = replace(config, **changes)
    stage = dlp_lib.unlearn(model, tampered, suspected, e2, settings, context)
    return Ascent(stage, measure(stage, reestimated=True), len(scene.classes))


# %% [markdown]
# ## 2. Gone, or only hidden?
#
# Batch normalisation keeps running statistics of what passes through the model, for use at test time. During the ascent only suspects
# pass. So there are two models after every epoch. The statistics of the model *as left* have moved towards those of the suspects. The
# other has the same weights, and statistics *re-estimated* on a thousand random images of the training set. A tenth of these are
# poisoned, as the defender cannot tell. <!-- no claim: the poisoning rate -->
#
# One channel by hand: ordinary images give −1 and 1 there, and the trigger adds twelve. Look what training mode makes of suspects, and
# where the running mean goes. Then look what evaluation mode makes of one more suspect, and of ordinary images.

# %% tags=["nbval-check-output"]
layer = torch.nn.BatchNorm1d(1)  # with a running mean of 0 and a running variance of 1
for passes in range(1, 31):
    suspects = layer.train()(torch.tensor([[11.0], [13.0]]))
    ordinary = layer.eval()(torch.tensor([[-1.0], [1.0]]))
    if passes in (1, 5, 30):
        a, b = suspects.flatten().tolist()
        c, d = ordinary.flatten().tolist()
        e = layer(torch.tensor([[12.0]])).item()
        mean = layer.running_mean.item()
        print(f"pass {passes}: suspects {a:.1f} and {b:.1f}, running mean {mean:.1f}, ", end="")
        print(f"then a suspect {e:.1f}, ordinary {c:.1f} and {d:.1f}")

# %% [markdown]
# **Predict.** In which of the two does ASR fall first? Which one would you believe?

# %%
climb = ascend(selection.suspected)
au = climb.stage
left = measure(au, reestimated=False)
figure, axes = plt.subplots(1, 3, figsize=(13, 3.4), layout="constrained")
plots.ascent(axes[0], left).set_title("as left")
plots.ascent(axes[1], climb.rows, au.selected_block).set_title("re-estimated")
plots.unlearning(axes[2], au.history, au.selected_block).set_title("what a defender sees")
axes[2].legend(loc="center right")
plots.show(
    figure,
    "CA and ASR along the ascent, as left and re-estimated, and the suspects' accuracy that a "
    "defender sees.",
    number=1,
)

# %% [markdown]
# **What you should see.** As left, ASR is almost 0 after epoch 9. Re-estimated, it is still 39 % there. <!-- claim: 04-left-nine --> <!-- claim: 04-reestimated-nine -->
# As left, the suspects' accuracy falls early, too. Re-estimated, it is at chance at epoch 11, which
# the rule below selects. <!-- claim: 04-stop --> ASR is 1.4 % there, and CA has fallen from 46 to 33 %. <!-- claim: 04-stop-asr --> <!-- claim: 04-stop-ca -->
#
# **Why.** The first epochs change weights and *statistics*. The running statistics move towards those of the suspects. All suspects carry
# the trigger, so it becomes part of the running mean. In evaluation mode this mean is subtracted, also from new triggered images. So ASR
# falls, although the weights may still hold the backdoor.
#
# That can be tested. The next model has the weights of stage 1, untouched, and the statistics of the suspects.
#
# **Predict.** After stage 1 its ASR was 100 %. <!-- claim: 04-learned-asr --> What is it with other statistics alone?

# %%
hidden = with_reestimated_batchnorm(learned, tampered.images[selection.suspected])
hidden = evaluate(hidden, test, backdoor)
for name, metrics in {"its own": after_sl, "the suspects'": hidden}.items():
    shares = f"CA {metrics.ca:.1%}, ASR {metrics.asr:.1%}, RA {metrics.ra:.1%}"
    print(f"{name} statistics: {shares}")

# %% [markdown]
# **What you should see.** No weight has changed. Still, ASR falls to 15 %, and RA rises to 35 %. <!-- claim: 04-hidden-asr --> <!-- claim: 04-hidden-ra -->
# CA falls by 3 points only. <!-- claim: 04-hidden-ca --> So statistics alone can hide a backdoor. When stage 3 fine-tunes such a model on
# ordinary data, the statistics move back, and what the weights still hold works again. What comes back after re-estimation was only
# hidden. Whether the rest stays away, stage 3 will show.
#
# And what do the weights lose? All suspects share the trigger, but also the label "disk".
#
# **Predict.** Which is lost first: the answer "disk" to the trigger, or to clean disks?

# %%
shown = climb.rows[::3]
columns = {name.upper(): [row[name] for row in shown] for name in ("ca", "asr", "ra")}
columns["recall of the target"] = [row["recalls"][backdoor.target] for row in shown]
epochs = pd.Index([row["block"] for row in shown], name="epoch, re-estimated")
(100 * pd.DataFrame(columns, epochs)).round(1)

# %% [markdown]
# **What you should see.** The clean target class is lost first. Its recall is 0 from epoch 7 on, where ASR is
# still 96 %. <!-- claim: 04-stop-recall --> <!-- claim: 04-recall-asr --> From epoch 12 on, ASR is 0 as well. <!-- claim: 04-stop-asr-zero -->
# Neither clean disks nor triggered images are called "disk" any more. So an ASR of 0 tells here that an *answer* is
# gone, and not only the trigger. Stage 3 has to bring this answer back, for disks alone.
#
# The right panel needs no clean test set and no trigger. (Section 6 adds one more curve that a defender has.) Re-estimated, it follows
# ASR. So it gives a **stop**: select the first epoch at which the suspects are at chance. With $C$ classes, the model is then right on at
# most one suspect in $C$.
#
# ## 3. The learning rate, and the stop against a fixed $E_2$
#
# The paper's ascent has a fixed length, $E_2$ = 20 epochs. How much does that depend on the learning rate?
#
# **Predict.** There are five learning rates, from 0.001 to 0.02. With which will the backdoor still be there after 20 epochs? With
# which is the model destroyed? Where does the stop rule end?

# %%
rates = [0.001, 0.002, 0.005, 0.01, 0.02]
climbs = {lr: ascend(selection.suspected, lr=lr) for lr in rates}


def draw(climbs, title, width=13):
    """CA and ASR along each ascent, re-estimated, and its stop, if there was one."""
    figure, axes = plt.subplots(1, len(climbs), figsize=(width, 3), sharey=True)
    for ax, (varied, climb) in zip(axes, climbs.items(), strict=True):
        plots.ascent(ax, climb.rows, climb.stop).set_title(title.format(varied))
    plots.shared_legend(figure)
    return figure


# %%
plots.show(
    draw(climbs, "lr {}"),
    "CA and ASR along the ascent, re-estimated, for five learning rates, the stop marked in each.",
    number=2,
)

# %% [markdown]
# The same as numbers: where the stop rule ends, and where twenty epochs do.


# %%
table_of_ascents(climbs, "lr")

# %% [markdown]
# **What you should see.** At 0.001 ASR is still above 94 % in the end, and nothing stops the ascent. <!-- claim: 04-rates-slow --> For
# all other rates the rule selects an epoch, for the highest rate epoch 5. At these epochs ASR is 5 % or less, and CA lies between 31 and
# 35 %. <!-- claim: 04-rates-stop-asr --> <!-- claim: 04-rates-stop-ca --> <!-- claim: 04-rates-fastest --> After twenty epochs CA is
# lower, the higher the rate. <!-- claim: 04-rates-second --> <!-- claim: 04-rates-third --> <!-- claim: 04-rates-fourth --> At 0.02 it is
# 14 %, and the model has *collapsed*: it does hardly better than one answer for everything. <!-- claim: 04-rates-end --> <!-- claim: 04-rates-collapse -->
#
# **Why.** $E_2$ and the learning rate decide one thing together: how far the ascent goes. A fixed length is right for one rate, one
# model and one set of suspects. The stop measures instead, by something that a defender can see.
#
# ## 4. Batch-norm in evaluation mode
#
# One could freeze the statistics during the ascent. To compare the two, we still re-estimate them before we measure, in both modes.
#
# **Predict.** Think of the two losses in section 1. In which of the two modes does the ascent start faster? In which does it end worse?

# %%
modes = {mode: ascend(selection.suspected, batchnorm=mode) for mode in ("train", "eval")}
plots.show(
    draw(modes, "batch-norm in {} mode", width=9),
    "CA and ASR along the ascent with batch-norm in training mode and in evaluation mode.",
    number=3,
)

# %% [markdown]
# **What you should see.** In both modes ASR stays high for some epochs, and then falls within a few. In training mode it has begun to
# fall at epoch 8. <!-- claim: 04-modes-train-late --> In evaluation mode it is still above 99 % at epoch 11. <!-- claim: 04-modes-eval-late -->
# In training mode CA falls slowly, and the stop leaves a CA of 33 %. <!-- claim: 04-modes-train --> In
# evaluation mode CA falls together with ASR. At its stop CA is 9 %, and the model has collapsed. <!-- claim: 04-modes-eval --> <!-- claim: 04-modes-collapse -->
# After the stop ASR is at 100 % once more: the collapsed model answers with the target for everything. <!-- no claim: read from figure 3 -->
# The curve ends where the weights are no longer finite.
#
# **Why.** A likely reason: in evaluation mode the suspects' loss is flat at first, and then nothing scales the layers anew. Their values
# grow without a bound, until they are no longer finite. In training mode what enters each layer is scaled anew at every step. That slows
# the ascent down, but does not bound it.
#
# ## 5. How many suspects, and how pure?
#
# The filter is not perfect. What if some of the suspects are clean? We build sets of suspects whose purity we know, which only a teacher
# can. Each has the same number of samples, and a growing share of them are clean samples drawn at random. (The mistakes of a filter
# are not random: they are the easiest clean samples.)
#
# **Predict.** With a fifth of the suspects clean, does the ascent still remove the backdoor? What does it cost?


# %%
def mixed(share):
    """As many suspects as before, of which ``share`` are random clean samples.

    An experiment, not a defence.
    """
    generator = context.runtime.generator("notebook", "mixed")
    clean = (~truth.poisoned).nonzero()[:, 0].cpu()
    clean = clean[torch.randperm(len(clean), generator=generator)]
    poisoned = truth.poisoned.nonzero()[:, 0].cpu()
    poisoned = poisoned[torch.randperm(len(poisoned), generator=generator)]
    count = len(selection.suspected)
    n = round(share * count)
    return torch.cat([clean[:n], poisoned[: count - n]]).to(truth.poisoned.device)


# %%
shares = [0, 0.1, 0.2, 0.5, 1]
mixtures = {share: ascend(mixed(share)) for share in shares}
plots.show(
    draw(mixtures, "{:.0%} clean"),
    "CA and ASR along the ascent, for suspects of which 0, 10, 20, 50 and 100 % are clean.",
    number=4,
)

# %% [markdown]
# The same as numbers:

# %%
table_of_ascents({f"{share:.0%} clean": climb for share, climb in mixtures.items()})

# %% [markdown]
# **What you should see.** With up to a fifth of clean suspects, the stop leaves an ASR below 3 %. <!-- claim: 04-mixtures-asr --> But CA
# is six points lower or more than with this pure set. <!-- claim: 04-mixtures-ca --> (Other pure sets differ by as much: see the next
# table.) With half of them clean the stop comes late, and CA is down to 18 %. <!-- claim: 04-mixtures-half --> Over twenty epochs a tenth
# of clean suspects costs CA already: it is 22 % or less, and that of all pure sets of up to a hundred is 24 % or more. <!-- claim: 04-mixture-ends --> <!-- claim: 04-pure-ends -->
# Clean suspects alone leave an ASR of 97 %, and CA falls all the same, to 17
# %. <!-- claim: 04-mixtures-all-asr --> <!-- claim: 04-mixtures-all-ca -->
#
# **Why.** The ascent unlearns what its samples have in common with their labels. Poisoned suspects share a trigger and a label, and both
# are unlearned. Clean ones bring features of their own classes, and these are unlearned as well.
#
# And the number? The next suspects are cut from the same ranking, at other $\gamma$.
#
# **Predict.** Ten suspects make one small batch an epoch, five hundred make four. Which needs fewer epochs? And fewer steps?

# %%
by_gamma, counts, poisoned = {}, [], []
for g in (0.002, 0.01, 0.02, 0.05, 0.1):
    if g * len(tampered) >= 1:
        part = dlp_lib.select(suspicion, tampered, g)
        share = dlp_lib.filter_precision(part.suspected, part.trusted, truth)["suspected"]
        by_gamma[g] = ascend(part.suspected)
        counts.append(len(part.suspected))
        poisoned.append(f"{share:.0%}")
table = table_of_ascents(by_gamma, "gamma")
table.insert(0, ("suspects", "number"), counts)
table.insert(1, ("suspects", "poisoned"), poisoned)
table

# %% [markdown]
# **What you should see.** All suspects are poisoned, or nearly all. Every set ends the backdoor: ASR is 1.4 % or less at the stop. <!-- claim: 04-gammas-asr -->
# Ten suspects need twelve epochs, 500 suspects need three. <!-- claim: 04-gammas-few --> <!-- claim: 04-gammas-many -->
# But an epoch of 500 has four batches. In steps, all need eleven or twelve. <!-- claim: 04-gammas-one-batch --> <!-- claim: 04-gammas-two-batches -->
# The right half of the table has a fixed length of twenty
# epochs. There, CA with 500 suspects is at least 10 points lower than with ten, and the model has collapsed. <!-- claim: 04-gammas-end --> <!-- claim: 04-gammas-collapse -->
#
# ## 6. Collapse, and how a defender notices
#
# An ascent that is fast and long destroys the model.
#
# **Predict.** Below, the suspects are soon all unlearned. Which curve tells a defender that the ascent goes on, and what it costs?

# %%
fast = ascend(selection.suspected, lr=0.02).stage
figure, ax = plt.subplots(figsize=(6.5, 3.4))
plots.unlearning(ax, fast.history, fast.selected_block)
epochs = [row["block"] for row in fast.history]
seen = [row["accuracy_sample"] for row in fast.history]
plots.mean_and_range(ax, epochs, seen, "--", plots.CLEAN, "random training images").legend(
    fontsize=8
)
ax.set_ylabel("training accuracy (%)")
plots.show(
    figure,
    "Accuracy on the suspects and on random training images along a fast ascent; collapse is "
    "shaded.",
    number=5,
)

# %% [markdown]
# **What you should see.** From epoch 5 on the suspects' accuracy is 0, and tells nothing any more. <!-- claim: 04-fast-suspects --> On
# random training images accuracy goes on falling, from 30 % there to 11 %. <!-- claim: 04-fast-five --> <!-- claim: 04-fast-end --> In
# the last two epochs the model has *collapsed*: its mean accuracy over the classes is less than five points above chance. <!-- claim: 04-fast-collapse -->
#
# **Why it matters.** Judged by ASR alone, this would be a perfect result. So this kit records CA, RA and whether a model has collapsed
# beside every ASR.
#
# ## 7. What becomes of the features
#
# The last layer reads 64 features. The next figure shows them on their two main axes (PCA). It is fitted on clean test images for each
# panel by itself, so positions cannot be compared between panels. Where do triggered images lie?
#
# **Predict.** After stage 1, triggered images of all classes lie together. With the target class, or away from it? And at the stop?

# %%
victims = test.labels != backdoor.target
moments = {
    "after stage 1": 0,
    f"at the stop (epoch {au.selected_block})": au.selected_block,
    f"epoch {len(au.history)}": len(au.history),
}


def features(model, images):
    return dlp_lib.logits_and_features(model, images).features.cpu()


# %%
figure, axes = plt.subplots(1, 3, figsize=(13, 4))
for ax, (name, epoch) in zip(axes, moments.items(), strict=True):
    model = copy.deepcopy(learned)
    au.load(model, epoch)
    clean = features(model, test.images)
    triggered = features(model, backdoor.trigger(test.images[victims][:300]))
    axis = PCA(2).fit(clean)
    plots.feature_map(
        ax, axis.transform(clean), test.labels, backdoor.target, axis.transform(triggered)
    )
    ax.set_title(name)
plots.shared_legend(figure)
plots.show(
    figure,
    "Penultimate features of clean and triggered test images in two dimensions, before, at the "
    "stop, at the end.",
    number=6,
)


# %% [markdown]
# **What you should see.** After stage 1 triggered images lie together, around the target class. At the stop many of them have left the
# target's line, and form a column beside the other classes. At epoch 20 the picture is nearly the same. The CA that is lost meanwhile
# cannot be seen in two dimensions.
#
# **Why.** For the backdoored model the trigger counts more than all else in an image. A likely reason for the change: the ascent weakens
# these features, as all suspects share them. RA has risen from 0 to 35 % at the stop. <!-- claim: 04-stop-ra --> What the ascent costs is
# CA, which has fallen from 46 to 33 %. <!-- claim: 04-stop-ca --> Stage 3 has to repair the rest (the next notebook).


# %%
def selected(climbs):
    return {str(varied): climb.selected() for varied, climb in climbs.items()}


found = {"rates": climbs, "modes": modes, "mixtures": mixtures, "gammas": by_gamma}
results = {name: selected(each) for name, each in found.items()}
ends = {lr: each.rows[-1] for lr, each in climbs.items()}
gamma_ends = {g: each.rows[-1] for g, each in by_gamma.items()}
mixture_ends = {f"{share:.0%}": each.rows[-1] for share, each in mixtures.items()}
report(
    out,
    context.runtime,
    stop=au.selected_block,
    loss_before=sure,
    losses=losses,
    learned=asdict(after_sl),
    hidden=asdict(hidden),
    left=left,
    ascent=climb.rows,
    ends=ends,
    gamma_ends=gamma_ends,
    mixture_ends=mixture_ends,
    in_evaluation_mode=modes["eval"].rows,
    fast=fast.history,
    **results,
)

# %% [markdown]
# ## Recap
#
# - Unlearning is learning with the opposite sign, on a few suspects. Nothing bounds it.
# - Batch-norm statistics hide what it does. Judge the model with statistics re-estimated on ordinary data, and go on with these.
# - The suspects' accuracy at chance is a stop that a defender can see. A fixed $E_2$ is right for one learning rate only.
# - Clean suspects cost CA: a tenth of them in a long ascent, half of them everywhere. More suspects cost none at the stop, if they are
#   nearly pure. With a fixed number of epochs they do. Count steps, not epochs.
# - ASR 0 with CA at chance is a collapse.
#
# ## Quiz
#
# <details><summary>As the ascent left it, the model has an ASR of zero after a few epochs. Is the backdoor gone?</summary>
#
# Perhaps it is only hidden. The running mean has moved towards that of the suspects, which all carry the trigger. Evaluation mode
# subtracts it, and with it the trigger. Re-estimate the statistics on images of the training set, and measure again. What comes back was
# only hidden.
# </details>
#
# <details><summary>The suspects are at chance, so the rule stops. Is that proof of a good model?</summary>
#
# No. The suspects of a model that gives one answer for everything may be at chance as well, and its ASR may be 0 or 100. Look at the
# accuracy on ordinary training images as well, class by class.
# </details>
#
# <details><summary>Why does the ascent change nothing for many epochs in evaluation mode, although its sign is right?</summary>
#
# The slope in the logits is $p - y$, which is nearly zero where the model is sure and right. In evaluation mode it sees the trigger, and
# is both. In training mode the mean of the batch takes the trigger away. The model is unsure, and there is a slope from the first step on.
# </details>
#
# ## Exercises
#
# Replace the dots, run the cell, and run the one after it: the check says what is wrong, if anything is.
#
# ### Exercise 1. One step up *(easy, 5 minutes)*
#
# To section 1: take a model that is a matrix of weights and nothing else, with logits $xw$. Return its weights after one step of gradient *ascent* on the mean cross-entropy of a batch. By hand, from $p - y$, or by autograd.


# %% tags=["exercise"]
def my_step(w, x, labels, lr):
    """New weights (d, classes).

    From the old ones, inputs (n, d), labels (n,) and a learning rate.
    """
    # BEGIN SOLUTION
    w = w.clone().requires_grad_()
    (slope,) = torch.autograd.grad(cross_entropy(x @ w, labels), w)
    return w.detach() + lr * slope
    # END SOLUTION


# %% tags=["check"]
checks.step(my_step)

# %% [markdown]
# ### Exercise 2. What costs CA? *(easy, 10 minutes)*
#
# After a climb on a hundred poisoned suspects, CA is lower than before. Is that the price of forgetting the trigger? Or does any climb of
# that length cost as much, whatever it is that is climbed on? A control is a second run that differs from the first in one thing: the one
# that is in question. Design it: a copy of `run` in which one setting has another value. Suspects are "all poisoned", "random clean" or
# "none". Batch-norm is "re-estimated" or "as left". Leave all other settings as they are, the seed and the numbers too. Then look for it
# among the mixtures of section 5.


# %% tags=["exercise"]
run = {
    "suspects": 100,
    "which": "all poisoned",
    "steps": 20,
    "lr": 0.005,
    "batch-norm": "re-estimated",
    "seed": 0,
}
control = None
# BEGIN SOLUTION
control = run | {"which": "random clean"}
# END SOLUTION

# %% tags=["check"]
checks.random_suspects(control)

# %% [markdown]
# ### Exercise 3. What is a collapse? *(medium, 10 minutes)*
#
# Section 6 judges by a mean over the classes. Take the accuracy on the images of each class that occurs among the labels, and then the
# mean of these accuracies. Write it. Then give it the predictions of the model of section 6 for `test.images`, at its stop and at its end
# (`fast.load(model, epoch)`). The library says *collapsed* where, on the tampered images, it is less than five points above chance.


# %% tags=["exercise"]
def my_class_mean(predictions, labels):
    """A number, from predicted and true classes (n,)."""
    # BEGIN SOLUTION
    right = (predictions == labels).double()
    return sum(right[labels == label].mean() for label in labels.unique()) / len(labels.unique())
    # END SOLUTION


# %% tags=["check"]
checks.class_mean(my_class_mean)

# %% [markdown]
# ### Exercise 4. A climb with a ceiling *(medium, 15 minutes)*
#
# Nothing bounds cross-entropy, so nothing ends the climb. Bound it: ascend on $\min(L_i, c)$ instead of $L_i$, sample by sample, for a constant $c$. Return the mean over the batch in the form that an optimiser takes, that is, to be *minimised*.
#
# Then put it into the loop of section 1, in the place of `-loss`, for a hundred steps with $c = 5$. What becomes of the collapse? And why would the loss of a blind guess, $c = \ln 10$, be a poor choice in training mode?


# %% tags=["exercise"]
def my_bounded_loss(logits, labels, c):
    """What to minimise: a number with a gradient, from logits (n, classes) and labels (n,)."""
    # BEGIN SOLUTION
    return -cross_entropy(logits, labels, reduction="none").clamp(max=c).mean()
    # END SOLUTION


# %% tags=["check"]
checks.bounded(my_bounded_loss)

# %% [markdown]
# ### Exercise 5. What was only hidden *(hard, 20 minutes)*
#
# Re-estimate batch-norm, as section 2 asks for. Return a *copy* of the model, in evaluation mode. Its running mean and variance are those
# of the given images, all in one batch, and of nothing else. Weights stay as they are, and so does each layer's `momentum` in the end.
#
# Then load the model of section 2 as left, a few epochs before its stop (`au.checkpoints.load(model, 8)`). Re-estimate it on
# `to_float(tampered.images[:1000])`, and `evaluate` both. How much of the backdoor was only hidden?


# %% tags=["exercise"]
def my_reestimate(model, images):
    """A model, from a model with batch-norm layers and float images."""
    # BEGIN SOLUTION
    judged = copy.deepcopy(model).train()
    layers = [layer for layer in judged.modules() if hasattr(layer, "running_mean")]
    kept = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 1.0  # all of this batch, nothing of what was
    with torch.no_grad():
        judged(images)
    for layer, momentum in zip(layers, kept, strict=True):
        layer.momentum = momentum
    return judged.eval()
    # END SOLUTION


# %% tags=["check"]
checks.reestimate(my_reestimate)

# %% [markdown]
# ### Go further
#
# 1. *(5 minutes)* Set `attack = "TrojanNN"` and run again. Which figures stay as they are?
# 2. *(15 minutes)* Set `attack = "Blended"`, once with `e1 = 4`, once with `e1 = 15`. Explain the difference by the purity of the suspects, and say what
#    the right panel of section 2 shows a defender in each case.
#
# ## References
#
# - Z. Ying and B. Wu. *DLP: towards active defense against backdoor attacks with decoupled learning process.*
#   Cybersecurity 6, 2023.
# - S. Ioffe, C. Szegedy. *Batch normalization: accelerating deep network training by reducing internal covariate shift.* ICML 2015.

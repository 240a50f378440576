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
# # Six architectures: does the defence depend on the model?
#
# **What you will learn.** How models that were made for photographs are fitted to small images, and what they cost. Whether each of
# them learns poison before clean samples, which DLP relies on. What DLP does with each of them (the paper's Table 6).
#
# **You need** the pipeline of [notebook 06](06_dlp_pipeline.ipynb).
#
# **Time**: reading, 15 minutes. Running, about six minutes on two cores (not timed on a GPU yet).
#
# Terms are explained in the [glossary](../docs/GLOSSARY.md), papers listed in the [bibliography](../docs/BIBLIOGRAPHY.md).

# %% [markdown]
# The next cell holds every setting of this notebook. Five of the six models are too large for two cores. So the defaults are a *reduced
# set*: two models, 2,000 images, and a third of the usual FixMatch steps. Batches are smaller, so that few images still give enough
# steps: 63 an epoch. FixMatch's batches are half as large, too. All six models were recorded in this way; they are in section 4. With a
# GPU, take all six and all images.

# %% tags=["parameters"]
dataset = "shapes10"  # or "cifar10", or a folder of class folders
n_train = 2000  # training images; None for all there are
image_size = 16  # pixels a side, at least 16
architecture_names = ["WRN-16-1", "MobileNetV2"]  # also VGG16, ResNet18, InceptionV3, DenseNet121
attack_names = ["BadNets", "TrojanNN"]  # of BadNets, TrojanNN, Blended, LCA, SIG
gamma = 0.05  # filtering rate
epochs = 6  # of stage 1, at most; E1 is chosen among them
e1 = 4  # where no E1 can be chosen
e2 = 20  # epochs of unlearning, at most
batch = 32  # labelled images a step
finetune_steps = 120  # of FixMatch
seed = 0
device = "auto"  # "cpu", "cuda", or "auto"
cache = "build/store"  # where stages are kept, inside the project's folder unless absolute
out = "build/architectures"  # where metrics.json goes, likewise

# %%
from dataclasses import asdict, replace

import matplotlib.pyplot as plt
import pandas as pd
import torch
from torch import nn

import dlp_lib
from dlp_lib import HOME, Context, Runtime, Store, plots, print_progress
from dlp_lib.checks import architectures as checks
from dlp_lib.experiments import record, report, scenario
from dlp_lib.experiments.recorded_tables import architectures_beside_paper
from dlp_lib.experiments.throughput import images_per_second
from dlp_lib.models import ARCHITECTURES
from dlp_lib.models.interface import to_float

# %% [markdown]
# Each image has 16 pixels a side. All six models take 16 pixels and more.

# %%
context = Context(Runtime(seed, device), Store(HOME / cache), print_progress)
untouched = scenario(dataset, "none", n_train=n_train, image_size=image_size, context=context)
train = untouched.clean
test = untouched.test

# %% [markdown]
# ## 1. Fitted to small images, and what they cost
#
# VGG16, ResNet18, InceptionV3, MobileNetV2 and DenseNet121 come from torchvision. They expect photographs of 224 pixels a side. They make
# the sides 32 times smaller. Of 16 pixels a side, one would be left. So some halvings are left out, as is usual for CIFAR-10: in VGG16
# the last one, in the others early ones. WRN-16-1, the paper's main model, was made for small images.
#
# By hand: a layer of stride 2 is applied five times. What are the sides of the maps? How many pixels are left for the last layers, for
# a photograph and for our images?

# %% tags=["nbval-check-output"]
halve = nn.Conv2d(1, 1, kernel_size=3, stride=2, padding=1)
for side in (224, 32, 16):
    maps = [torch.zeros(1, 1, side, side)]
    for _ in range(5):
        maps.append(halve(maps[-1]))
    print(" → ".join(str(each.shape[-1]) for each in maps))

# %% [markdown]
# **Predict.** Divide the number of weights of the largest model by that of the smallest. What do you get? And is a model with more
# weights always slower?
#
# The table has the number of weights, the width of the penultimate layer, and the speed on this machine. Speed is in images per second,
# forward and backward, in batches of 32.


# %%
costs = {}
for name in ARCHITECTURES:
    model = replace(untouched, architecture=name).untrained()
    costs[name] = {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "features": model.features(to_float(train.images[:2])).shape[1],
        "images per second": round(images_per_second(model, train)),
    }
pd.DataFrame(costs).T

# %% [markdown]
# **What you should see.** The largest model, InceptionV3, has more than a hundred times the weights of the smallest. <!-- claim: 10-weights -->
# The number of weights does not tell the speed. VGG16 has twice the weights of DenseNet121. <!-- claim: 10-weights-vgg -->
# Still, it is more than twice as fast as DenseNet121 and as InceptionV3. <!-- claim: 10-speed-dense --> <!-- claim: 10-speed-inception -->
# These two have about a hundred layers, and VGG16 has 14. WRN-16-1 is the fastest, as it is narrow: it
# has 16 to 64 channels. <!-- claim: 10-speed-wrn --> (Exercise 5 counts the work.)
#
# **Why it matters.** One DLP run takes ten image passes and more for each training image. What takes a minute with WRN-16-1 takes about
# half an hour with DenseNet121. <!-- claim: 10-speed-hour --> So all numbers below come from a *small* budget. They tell how the models
# differ on the way, not where they would end.
#
# By hand: two convolutions of VGG16 (without biases) on images of 16 pixels, one near its beginning and one near its end. Which has more
# weights, and which has more to compute? A layer uses each weight once at every place of its map.

# %% tags=["nbval-check-output"]
for channels, side in ((64, 16), (512, 2)):
    layer = nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=False)
    map_out = layer(torch.zeros(1, channels, side, side))
    weights = layer.weight.numel()
    work = weights * map_out[0, 0].numel()
    print(f"{channels} channels of {side}×{side}: ", end="")
    print(f"{weights:,} weights, {work:,} multiply-adds")

# %% [markdown]
# ## 2. Who learns the trigger first?
#
# DLP needs poisoned samples to be learned first ([notebook 02](02_learning_speed_gap.ipynb)). That was measured with WRN-16-1.
#
# **Predict.** A larger model learns everything in fewer steps. Will the gap between poisoned and clean samples be wider, or narrower?

# %%
dlp = untouched.recipe.dlp
supervised = replace(dlp.supervised, batch=batch)
fixmatch = replace(dlp.fixmatch, batch=batch, steps=finetune_steps)
dlp = replace(dlp, gamma=gamma, e1=e1, e2=e2, supervised=supervised, fixmatch=fixmatch)
recipe = replace(untouched.recipe, epochs=epochs, dlp=dlp)

# %% [markdown]
# A *scenario* holds a data set, an attack, a model and the settings of a defence. Every model is trained on the same tampered sets.

# %%
scenes, models, stages = {}, {}, {}
for attack in attack_names:
    attacked = replace(untouched, recipe=recipe).attacked_by(attack)
    for name in architecture_names:
        title = f"{name}, {attack}"
        scenes[title] = replace(attacked, architecture=name)
        models[title], stages[title] = scenes[title].undefended()

# %% [markdown]
# The truth splits the training accuracy in two: of the clean samples, and of the poisoned ones.


# %%
def accuracies(logits, scene):
    """Training accuracy of the clean and of the poisoned samples."""
    labels = scene.tampered.labels.cpu()
    poisoned = scene.truth.poisoned.cpu()
    clean = dlp_lib.accuracy(logits, labels, ~poisoned)
    return clean, dlp_lib.accuracy(logits, labels, poisoned)


def panels(width, height):
    """A figure with a row for every attack, and a column for every model."""
    rows = len(attack_names)
    columns = len(architecture_names)
    size = (width * columns, height * rows)
    figure, axes = plt.subplots(rows, columns, figsize=size, sharey=True, squeeze=False)
    return figure, axes.flat


learned = {}
for title, stage in stages.items():
    by_epoch = [accuracies(stage.logits(row["block"]), scenes[title]) for row in stage.history]
    clean, poisoned = zip(*by_epoch, strict=True)
    learned[title] = {"clean": list(clean), "poisoned": list(poisoned)}

# %%
figure, axes = panels(3.6, 2.8)
for ax, title in zip(axes, learned, strict=True):
    plots.learning_gap(ax, **learned[title]).set_title(title)
plots.shared_legend(figure)
alt = (
    "Training accuracy of clean and poisoned samples per epoch, for each architecture and attack. "
    "WRN-16-1 knows the poisoned samples at once. MobileNetV2 hardly learns BadNets' patch, and "
    "TrojanNN's only at epoch 4."
)
plots.show(figure, alt, number=1)

# %% [markdown]
# **What you should see.** (This is one seed.) WRN-16-1 knows the poisoned samples from the first epoch on: 98 % and more. <!-- claim: 10-learned-wrn -->
# It did so in earlier notebooks, too. MobileNetV2 learns the *shapes* first. After six epochs it knows
# more than 85 % of the clean samples, and fewer than half of those with the patch of BadNets. <!-- claim: 10-learned-mobile-clean --> <!-- claim: 10-learned-mobile-badnets -->
# It learns the trigger of TrojanNN late: fewer than half after three epochs, but more than 90 %
# after six. <!-- claim: 10-learned-mobile-trojannn-first --> <!-- claim: 10-learned-mobile-trojannn-last -->
#
# **Why it matters.** The gap of notebook 02 belongs to a model *and* a data set, not to poison alone. We did not find out what makes the
# difference here. MobileNetV2 has depth-wise convolutions, thirteen times the weights, and smaller maps at its end. Any of these could be
# the reason. (*Go further* 1 asks only whether it learns the patch later.) The paper does not report such a case. It has 50,000 images,
# and larger ones.
#
# **Predict.** In which of these panels will the samples of lowest entropy be the poisoned ones?


# %%
def poisoned_share(logits, scene):
    """How many of the suspects are poisoned."""
    suspicion = -dlp_lib.entropy(logits).to(scene.tampered.labels.device)
    suspected = dlp_lib.select(suspicion, scene.tampered, gamma).suspected
    return scene.truth.poisoned[suspected].double().mean().item()


purity = {}
for title, stage in stages.items():
    logits = [stage.logits(row["block"]) for row in stage.history]
    purity[title] = [poisoned_share(each, scenes[title]) for each in logits]

# %%
figure, ax = plt.subplots(figsize=(7, 0.6 + 0.5 * len(purity)))
epochs_seen = range(1, 1 + max(map(len, purity.values())))
plots.heat_map(ax, pd.DataFrame(purity, epochs_seen).T)
ax.set(xlabel="epoch", title="suspects that are poisoned (%)")
alt = (
    "A table in colours: the poisoned share of the suspects per epoch. For WRN-16-1 it is above 90 % "
    "at epochs 2 to 4, and for MobileNetV2 below one half in every epoch."
)
plots.show(figure, alt, number=2)

# %% [markdown]
# **What you should see.** Chance is 10 %. <!-- no claim: the poisoning rate --> With WRN-16-1, at least nine in ten suspects are poisoned at epochs 2 to 4. <!-- claim: 10-purity-wrn -->
# At epoch 6 there are fewer. <!-- claim: 10-purity-wrn-late --> With TrojanNN the share goes up and down:
# it is below 60 % at epochs 1 and 5, and above 80 % at epoch 6. <!-- claim: 10-purity-wrn-dip --> <!-- claim: 10-purity-wrn-up --> With
# MobileNetV2 and BadNets, at most 15 % of the suspects are poisoned, in every epoch. <!-- claim: 10-purity-mobile-badnets --> With
# MobileNetV2 and TrojanNN the share rises after the trigger has been learned. But it stays below one half. <!-- claim: 10-purity-mobile-trojannn -->
#
# So an $E_1$ of 2 to 4 suits WRN-16-1. For MobileNetV2, none of the six is good.
#
# ## 3. DLP on each
#
# $E_1$ is chosen by the rule of notebook 06, among the few epochs that we trained. The learning rates are the same for all models.
#
# **Predict.** Where the filter does not find the poison, unlearning cannot help. Is the backdoor still there in the end?

# %%
agreed, found, measured = {}, {}, {}
for title, scene in scenes.items():
    agreed[title], result = scene.defended()
    parts = result.selection
    found[title] = dlp_lib.filter_precision(parts.suspected, parts.trusted, scene.truth)
    measured[title] = dlp_lib.after_each(result, test, scene.attack)
    measured[title]["undefended"] = dlp_lib.evaluate(models[title], test, scene.attack)

# %%
figure, axes = panels(5, 3.3)
figure.subplots_adjust(hspace=0.75, top=0.84)
for ax, title in zip(axes, scenes, strict=True):
    when = f"E1 = {agreed[title] or f'({e1})'}"
    suspects = f"{found[title]['suspected']:.0%} of the suspects poisoned"
    plots.stage_bars(ax, measured[title], target=scenes[title].attack.target)
    ax.set_title(f"{title}\n{when}, {suspects}", fontsize="medium")
plots.shared_legend(figure)
for ax in figure.axes:
    ax.tick_params(labelbottom=True)  # a name tells which class a model forgets
alt = (
    "CA, ASR, RA and the recall of the target class after each stage of DLP and undefended, for "
    "each architecture and attack. In the end MobileNetV2 has forgotten the target under BadNets."
)
plots.show(figure, alt, number=3)

# %% [markdown]
# **What you should see.** (This is one seed.)
#
# - *WRN-16-1*: the rule fires for both attacks. <!-- claim: 10-agreed-wrn --> After AU, ASR is below 10 %, and the target class is
#   forgotten. <!-- claim: 10-wrn-au --> It is below 20 % in the end. <!-- claim: 10-wrn-end --> The target class is back. CA in the end
#   is above that of the undefended model. <!-- claim: 10-wrn-ca --> It is lower than in notebook 06, which has more images and more
#   steps. Under BadNets one class has a recall below 10 %. <!-- claim: 10-wrn-least -->
# - *MobileNetV2, both attacks*: the rule never fires, so $E_1$ is the fixed one (in brackets). <!-- claim: 10-agreed-mobile --> Fewer
#   than one in ten suspects is poisoned: fewer than by chance. <!-- claim: 10-found-mobile -->
# - *MobileNetV2, BadNets*: the model has hardly a backdoor after stage 1: ASR is below 20 %. <!-- claim: 10-mobile-badnets-sl --> The
#   ascent on clean suspects makes the model collapse. It answers with the target nearly always: ASR is above 90 %, CA below 15 %. <!-- claim: 10-mobile-badnets-au --> <!-- claim: 10-mobile-badnets-au-ca -->
#   In the end ASR is below 5 %, and the target class is
#   forgotten: its recall is 5 % or less. <!-- claim: 10-mobile-badnets-end --> <!-- claim: 10-mobile-badnets-recall --> So RA is above
#   CA. <!-- claim: 10-mobile-badnets-ra -->
# - *MobileNetV2, TrojanNN*: there is a backdoor after stage 1, and the ascent does *not* remove it. ASR stays above 80 %. <!-- claim: 10-mobile-trojannn-au -->
#   The suspects were the wrong ones. Still, ASR is below 20 % in the end: fine-tuning alone did
#   that. <!-- claim: 10-mobile-trojannn-end --> At least 99 % of its trusted samples are clean. <!-- claim: 10-mobile-trojannn-trusted -->
#   Under BadNets 91 % are, and a random choice has 90 %. <!-- claim: 10-mobile-badnets-trusted -->
#
# **Why.** A low ASR in the end can have several causes. The stages found and removed the backdoor (WRN-16-1). Stage 3 alone overcame it,
# with labels that are mostly clean (MobileNetV2, TrojanNN). Or there was hardly a backdoor, and then the target class was lost
# (MobileNetV2, BadNets). The last bars are the undefended model after six epochs: they show that there was hardly one. The bars after AU,
# and the suspects that are poisoned, tell whether unlearning or fine-tuning did the work.
#
# ## 4. Table 6
#
# These numbers were recorded with three seeds, the reduced set of this notebook, BadNets, and all six models. (WRN-16-1 is in the paper's
# Table 3.) "Undefended" is the model after six epochs.
#
# **Predict.** For which models will the three seeds agree?

# %%
recorded = record.read("architectures")
ends = [row for row in recorded if row["stage"] in ("undefended", "ASSFT")]
figure, axes = plt.subplots(2, 1, figsize=(9, 5.5), sharex=True)
for ax, metric in zip(axes, ("ca", "asr"), strict=True):
    colours = [plots.NEUTRAL, plots.CLEAN if metric == "ca" else plots.POISONED]
    by_stage = sorted(ends, key=lambda row: row["stage"] == "ASSFT")
    plots.each_seed(ax, by_stage, "architecture", metric, "stage", colours)
axes[0].set_title("BadNets: every dot is one of three seeds")
alt = (
    "CA and ASR of six architectures, undefended and after DLP, a dot for each of three seeds. The "
    "CA of VGG16 and MobileNetV2 differs widely between seeds, and so does MobileNetV2's ASR."
)
plots.show(figure, alt, number=4)

# %% [markdown]
# The same as a table: the mean, and in brackets the range over seeds. "ASR, AU" is measured after unlearning. The last two columns are CA
# / ASR of this run and of the paper. The paper's are of CIFAR-10, trained to the end.

# %%
this_run = {}
for name in architecture_names:
    if "BadNets" in attack_names:
        this_run[name] = measured[f"{name}, BadNets"]["ASSFT"]
architectures_beside_paper(recorded, this_run)

# %% [markdown]
# Three of the models seed by seed, in per cent: what the filter found, ASR after each stage, and the recall of the target in the end.

# %%
frame = pd.DataFrame(recorded)
frame = frame[frame.architecture.isin(["VGG16", "MobileNetV2", "DenseNet121"])]
runs = ["architecture", "seed"]

# %%
asr = frame.pivot_table("asr", runs, "stage")[["SL", "AU", "ASSFT"]]
seen = frame.groupby(runs)[["suspected", "trusted"]].first()
seen.columns = ["suspects poisoned", "trusted clean"]
ends = frame[frame.stage == "ASSFT"].set_index(runs)
recall = ends.recalls.map(lambda recalls: recalls[0]).rename("recall, ASSFT")  # class 0: the target
(100 * seen.join(asr.rename(columns="ASR, {}".format)).join(recall)).round(1)

# %% [markdown]
# **What you should see.**
#
# - *WRN-16-1*: at least 85 % of its suspects are poisoned on every seed. <!-- claim: 10-table-wrn --> After the ascent ASR is below 2 %. <!-- claim: 10-table-wrn-au -->
#   Its seeds lie close together. Undefended, its mean CA is the lowest but that of InceptionV3. <!-- claim: 10-table-wrn-ca -->
#   In notebook 06 it ends higher, with more images and more steps.
# - *ResNet18 and DenseNet121*: half of ResNet18's suspects or more are poisoned on every seed, and the ascent brings ASR below 1 %. <!-- claim: 10-table-resnet --> <!-- claim: 10-table-resnet-au -->
#   For DenseNet121 the suspects range from none poisoned to nearly
#   all. <!-- claim: 10-table-dense-range --> On the seed without any, the ascent leaves ASR above 95 %. <!-- claim: 10-table-dense-au -->
#   There, ASR falls only after fine-tuning. With both models ASR ends below 10 % on every seed. <!-- claim: 10-table-dense-end --> At
#   least 98 % of their trusted samples are clean. <!-- claim: 10-table-dense-trusted -->
# - *VGG16*: on seed 0 no suspect is poisoned, and the ascent leaves ASR at 100 %. <!-- claim: 10-table-vgg-0 --> <!-- claim: 10-table-vgg-0-au -->
#   Fine-tuning ends most of it, but the target class is forgotten: its recall is below 20 %. <!-- claim: 10-table-vgg-0-end --> <!-- claim: 10-table-vgg-0-recall -->
#   On seeds 1 and 2 the ascent brings ASR below 5 %, and it
#   stays there. <!-- claim: 10-table-vgg-1 --> <!-- claim: 10-table-vgg-2 --> <!-- claim: 10-table-vgg-2-end --> With other random draws
#   in stage 3, ASR ended near 100 % on seeds 0 and 2 (the [log](../docs/LOG.md) has both). <!-- no claim: an earlier record --> So three
#   seeds are few.
# - *MobileNetV2*: it has hardly a backdoor to remove. Undefended, ASR is below 20 %. <!-- claim: 10-table-mobile --> The ascent on clean
#   suspects can destroy the model. On one seed it answers with the target for everything. <!-- claim: 10-table-mobile-au --> There it
#   does not recover: ASR in the end is above 50 %. <!-- claim: 10-table-mobile-end --> On the other two it forgets the target class: its
#   recall is below 10 %. <!-- claim: 10-table-mobile-recall --> CA in the end ranges over more than 50 points. <!-- claim: 10-table-mobile-range -->
# - *InceptionV3*: it has learned next to nothing in so few steps. CA is below 30 % even undefended. <!-- claim: 10-table-inception -->
#   It says nothing about DLP.
#
# **Against the paper.** It reports a CA above 92 % and an ASR of 0.4 % at most for the five larger models. With 2,000 images of 16 pixels
# we can neither confirm nor refute that. Our numbers show something else. How pure the suspects are depends on the architecture, and for
# some architectures on the seed. One fixed $E_1$ for all of them may find no poison at all. And a low ASR in the end may be a lost class.

# %%
rows = []
for title, metrics_of in measured.items():
    name, attack = title.split(", ")
    facts = {"attack": attack, "architecture": name, "e1": agreed[title]}
    for stage, metrics in metrics_of.items():
        rows.append({**facts, "stage": stage, **asdict(metrics)})
curves = {"learned": learned, "purity": purity, "found": found}
report(out, context.runtime, costs=costs, table=rows, **curves)

# %% [markdown]
# ## Recap
#
# - Models for photographs take small images once some of their halvings are left out. Weights alone do not tell what a model costs. It
#   also counts how often each weight is used.
# - Whether poison is learned before clean samples depends on the model too. What holds for one architecture must be measured on another.
# - A low ASR in the end does not prove that a defence worked. Look at the undefended model, at what each stage found, and at the recall
#   of the target.
#
# ## Quiz
#
# <details><summary>VGG16 has twice the weights of DenseNet121 and is more than twice as fast. <!-- claim: 10-quiz-speed --> How can that be?</summary>
#
# A weight costs as often as it is used. Most of VGG16's weights are in its last layers, where a map has one to four pixels. DenseNet121 has
# more than a hundred layers, and keeps large maps for longer.
# </details>
#
# <details><summary>In this run MobileNetV2 begins with a low ASR under BadNets, before any defence. What does a low ASR in the end show?</summary>
#
# Nothing about a defence. Undefended, after six epochs, the model has hardly a backdoor that could be removed.
# </details>
#
# <details><summary>VGG16 on seed 0: no suspect is poisoned, and still ASR ends below 10 %. <!-- claim: 10-quiz-vgg --> Has DLP worked?</summary>
#
# Hardly. Its trusted samples are mostly clean, so fine-tuning weakened the trigger. But CA ends 20 points below that of the undefended
# model, and most clean disks are not recognised. <!-- claim: 10-quiz-vgg-ca --> On seed 1 the same model keeps both.
# </details>
#
# ## Exercises
#
# Replace the dots, run the cell, and run the one after it: the check says what is wrong, if anything is.
#
# ### Exercise 1. Has it removed a backdoor? *(easy, 10 minutes)*
#
# Suppose that DLP leaves MobileNetV2 with a low ASR. Has it removed a backdoor, or was there none? A control is a second run that differs
# from the first in one thing: the one that is in question. Design it: a copy of `run` in which one setting has another value. A defence
# is "DLP" or "none". Models and attacks are those of this notebook. Numbers may be any. Which bar of figure 3 comes near to it, and in
# what does it differ from your control?


# %% tags=["exercise"]
run = {
    "model": "MobileNetV2",
    "attack": "BadNets",
    "defence": "DLP",
    "image passes": 25360,
    "seed": 0,
}
control = None
# BEGIN SOLUTION
control = run | {"defence": "none"}
# END SOLUTION

# %% tags=["check"]
checks.no_defence(control)

# %% [markdown]
# ### Exercise 2. Weights by hand *(easy, 10 minutes)*
#
# Most layers of these models are a square convolution without bias, with batch-norm after it. How many numbers does an optimiser move
# there? With `groups`, channels are split into that many groups. Each group has a convolution of its own. MobileNetV2's depth-wise
# layers have as many groups as channels.


# %% tags=["exercise"]
def my_weights(kernel, c_in, c_out, groups):
    """The parameters of a convolution without bias, and of its batch-norm.

    It goes from c_in to c_out channels.
    """
    # BEGIN SOLUTION
    return kernel**2 * (c_in // groups) * c_out + 2 * c_out
    # END SOLUTION


# %% tags=["check"]
checks.weights(my_weights)

# %% [markdown]
# ### Exercise 3. Does it fit? *(medium, 10 minutes)*
#
# How large are a model's maps? A layer has a kernel of $k$ pixels a side, stride $s$ and padding $p$. Of $n$ pixels a side it makes as
# many as there are places for its kernel. Write the formula, and apply it layer by layer. ResNet18's own layers with a stride are
# `[(7, 2, 3), (3, 2, 1), (3, 2, 1), (3, 2, 1), (3, 2, 1)]`. What do they leave of 224, 32 and 16 pixels?


# %% tags=["exercise"]
def my_sides(size, layers):
    """The side of the map after each of the layers, a list.

    Each layer is (kernel, stride, padding).
    """
    # BEGIN SOLUTION
    found = []
    for kernel, stride, padding in layers:
        size = (size + 2 * padding - kernel) // stride + 1
        found.append(size)
    return found
    # END SOLUTION


# %% tags=["check"]
checks.sides(my_sides)

# %% [markdown]
# ### Exercise 4. What has the defence done? *(medium, 15 minutes)*
#
# Judge a run by two pairs of (CA, ASR), fractions of 1: of the undefended model, and in the end. A model is of use from a CA of 50 % on,
# and it has a backdoor if its ASR is above 20 %. Return `"untrained"` where even the undefended model is of no use. Return `"destroyed"`
# where only the defended one is of no use. Otherwise return `"backdoored"`, `"never there"` or `"removed"`. Then judge the 18 runs in
# `recorded` (stages "undefended" and "ASSFT" of each architecture and seed). In how many is ASR low in the end, and in how many of those
# was a backdoor removed?


# %% tags=["exercise"]
def my_verdict(undefended, defended):
    """One of the five words; each model is given as (ca, asr)."""
    # BEGIN SOLUTION
    ca_before, asr_before = undefended
    ca, asr = defended
    if ca_before < 0.5:
        return "untrained"
    if ca < 0.5:
        return "destroyed"
    if asr > 0.2:
        return "backdoored"
    return "removed" if asr_before > 0.2 else "never there"
    # END SOLUTION


# %% tags=["check"]
checks.verdicts(my_verdict)

# %% [markdown]
# ### Exercise 5. A model's work *(hard, 25 minutes)*
#
# Count the multiply-adds that the convolutions and linear layers of any model take for *one* image. A forward hook
# (`layer.register_forward_hook(function)`) sees what comes out of a layer whenever it is used. The layer's definition does not tell how
# often that is. Leave the model as you found it. Then count for all of `ARCHITECTURES`, beside the table of section 1. Do multiply-adds
# predict the speed better than weights do? Which model is slower than its multiply-adds predict?


# %% tags=["exercise"]
def my_multiply_adds(model, images):
    """The multiply-adds for one image; images (n, 3, h, w) are floats."""
    # BEGIN SOLUTION
    counts = []
    training = model.training

    def count(layer, _, output):
        counts.append(layer.weight.numel() * output[0, 0].numel())

    layers = [part for part in model.modules() if isinstance(part, nn.Conv2d | nn.Linear)]
    handles = [layer.register_forward_hook(count) for layer in layers]
    with torch.no_grad():
        model.eval()(images)
    model.train(training)
    for handle in handles:
        handle.remove()
    return sum(counts)
    # END SOLUTION


# %% tags=["check"]
checks.multiply_adds(my_multiply_adds)

# %% [markdown]
# ### Go further
#
# 1. *(15 minutes)* Train MobileNetV2 on BadNets for 20 epochs. Does it learn the patch in the end? Is there then an $E_1$ at which the
#    suspects are poisoned?
# 2. *(20 minutes)* Train VGG16 with batches of 128 and of 16. Does the gap change? Which of the two makes more steps an epoch?
# 3. *(with a GPU)* All six models, five attacks, 5,000 images and 360 steps of FixMatch. Rank the models by their CA in the end. Is the
#    order that of the column "CA, DLP"?
#
# ## References
#
# - Z. Ying and B. Wu. *DLP: towards active defense against backdoor attacks with decoupled learning process.*
#   Cybersecurity 6, 2023.
# - K. Simonyan and A. Zisserman. *Very deep convolutional networks for large-scale image recognition.* ICLR 2015 (VGG16).
# - K. He et al. *Deep residual learning for image recognition.* CVPR 2016 (ResNet18).
# - C. Szegedy et al. *Rethinking the Inception architecture for computer vision.* CVPR 2016 (InceptionV3).
# - M. Sandler et al. *MobileNetV2: inverted residuals and linear bottlenecks.* CVPR 2018.
# - G. Huang et al. *Densely connected convolutional networks.* CVPR 2017 (DenseNet121).
# - S. Zagoruyko and N. Komodakis. *Wide residual networks.* BMVC 2016 (WRN-16-1).

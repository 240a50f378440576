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
# **What you will learn.** How models that were made for photographs are fitted to small images; what they cost; whether each of them learns
# poison before clean samples, on which the whole of DLP rests; and what DLP makes of each (the paper's Table 6).
#
# **You need** the pipeline of [notebook 06](06_dlp_pipeline.ipynb).
#
# **Time**: reading, 15 minutes. Running, about six minutes on two cores (not timed on a GPU yet).
#
# Terms are explained in the [glossary](../docs/GLOSSARY.md), papers listed in the [bibliography](../docs/BIBLIOGRAPHY.md).

# %% [markdown]
# The next cell holds every setting of this notebook. Five of the six models are too large for two cores, so the defaults are a *reduced set*: two models, 2,000 images, a third of the
# usual FixMatch steps. To have as many steps of stage 1 from fewer images, its batches are smaller. All six models were recorded like that, and stand in the last table. With a GPU, take all six and all images.

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
# Each test image is 16 pixels a side; all six models take 16 to 64 and more.

# %%
context = Context(Runtime(seed, device), Store(HOME / cache), print_progress)
untouched = scenario(dataset, "none", n_train=n_train, image_size=image_size, context=context)
train = untouched.clean
test = untouched.test

# %% [markdown]
# ## 1. Fitted to small images, and what they cost
#
# VGG16, ResNet18, InceptionV3, MobileNetV2 and DenseNet121 come from torchvision. They expect photographs of 224 pixels a side and shrink them 32 times, most of it at once in the first layers, the *stem*. Of 16 pixels that
# would leave nothing. So the first strides are left out, as is usual for CIFAR-10. WRN-16-1, the paper's main model, was made for small images.
#
# By hand: the sides of the maps when a layer of stride 2 is applied five times. How many pixels do the last layers of a model have to work on, for a photograph and for our images?

# %% tags=["nbval-check-output"]
halve = nn.Conv2d(1, 1, kernel_size=3, stride=2, padding=1)
for side in (224, 32, 16):
    maps = [torch.zeros(1, 1, side, side)]
    for _ in range(5):
        maps.append(halve(maps[-1]))
    print(" → ".join(str(each.shape[-1]) for each in maps))

# %% [markdown]
# **Predict.** The largest has how many times the weights of the smallest? And is the one with the most weights also the slowest?
#
# The number of weights, the width of the penultimate layer, and the speed on this machine (images per second, forward and backward, in batches of 32):


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
# **What you should see.** From 0.2 to 22 million weights, a factor of more than a hundred. Size does not tell the speed: DenseNet121, with half of VGG16's weights, is among the slowest, as it and InceptionV3 make many small steps on large maps, VGG16 few
# large ones. (This small model of ours is fast on a CPU because it is narrow, with 16 to 64 channels.)
#
# **Why it matters.** One DLP run takes ten image passes per training image and more. What takes a minute with WRN-16-1 takes twenty to thirty with DenseNet121. All numbers below are therefore from a
# *small* budget: they tell how the models differ on the way, not where they would end.
#
# By hand, two convolutions of VGG16 (without their biases) as they work on images of 16 pixels, one near its beginning and one near its end. Which has more weights, and which has more to compute? A layer uses each weight once at every place of its map, so compare the last column as well.

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
# DLP needs poisoned samples to be learned first (notebook 02). That was measured on WRN-16-1.
#
# **Predict.** A larger model learns everything in fewer steps. Will the gap between poisoned and clean samples be wider, or narrower?

# %%
dlp = untouched.recipe.dlp
supervised = replace(dlp.supervised, batch=batch)
fixmatch = replace(dlp.fixmatch, batch=batch, steps=finetune_steps)
dlp = replace(dlp, gamma=gamma, e1=e1, e2=e2, supervised=supervised, fixmatch=fixmatch)
recipe = replace(untouched.recipe, epochs=epochs, dlp=dlp)

# %% [markdown]
# A *scenario* holds a data set, an attack, a model and the settings of a defence. Every model is trained on the same tampered sets:

# %%
scenes, models, stages = {}, {}, {}
for attack in attack_names:
    attacked = replace(untouched, recipe=recipe).attacked_by(attack)
    for name in architecture_names:
        title = f"{name}, {attack}"
        scenes[title] = replace(attacked, architecture=name)
        models[title], stages[title] = scenes[title].undefended()


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


figure, axes = panels(3.6, 2.8)
for ax, (title, stage) in zip(axes, stages.items(), strict=True):
    by_epoch = [accuracies(stage.logits(row["block"]), scenes[title]) for row in stage.history]
    plots.learning_gap(ax, *zip(*by_epoch, strict=True)).set_title(title)
plots.shared_legend(figure)
plots.show(
    figure,
    "Training accuracy of clean and poisoned samples per epoch, for each architecture and attack.",
)


# %% [markdown]
# **What you should see.** WRN-16-1 knows the poisoned samples from the first epoch on, as always so far. MobileNetV2 learns the *shapes* first: BadNets' patch it hardly knows after six epochs, TrojanNN's it learns late, in two or three
# epochs, and then as well as WRN-16-1.
#
# **Why it matters.** The gap of notebook 02 belongs to a model *and* a set, not to poison as such. What makes the difference here we did not find out: MobileNetV2 has depth-wise convolutions, ten times the weights, and shrinks the
# image further. (The first of the experiments under *Go further* takes a step.) The paper, which has 50,000 images and larger ones, does not report it.
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
    purity[title] = {}
    for row in stage.history:
        share = poisoned_share(stage.logits(row["block"]), scenes[title])
        purity[title][f"epoch {row['block']}"] = f"{share:.0%}"
pd.DataFrame(purity).T.rename_axis("poisoned share of the suspects")

# %% [markdown]
# **What you should see.** With WRN-16-1 the suspects are poisoned early, and no longer all of them towards the end, when clean samples have become as certain. With MobileNetV2 they are clean in every epoch under BadNets; under TrojanNN there is an epoch or
# two in which most are poisoned, right after it has learned the trigger.
#
# So there is no one $E_1$ for all models, and for some pair of model and attack none at all.
#
# ## 3. DLP on each
#
# The same rule for $E_1$ as in notebook 06, within the few epochs that we trained; the same learning rates for all.
#
# **Predict.** Where the filter does not find the poison, unlearning cannot help. Is the backdoor back in the end?

# %%
agreed, measured = {}, {}
for title, scene in scenes.items():
    agreed[title], result = scene.defended()
    measured[title] = dlp_lib.after_each(result, test, scene.attack)
    measured[title]["undefended"] = dlp_lib.evaluate(models[title], test, scene.attack)

# %%
figure, axes = panels(4.6, 3)
for ax, title in zip(axes, scenes, strict=True):
    when = f"E1 = {agreed[title]}" if agreed[title] else f"E1 = {e1}, not agreed"
    plots.stage_bars(ax, measured[title]).set_title(f"{title}: {when}")
plots.shared_legend(figure)
plots.show(
    figure,
    "CA, ASR and RA after each stage of DLP and undefended, for each architecture and attack.",
)

# %% [markdown]
# **What you should see.** Within so few epochs the rule seldom agrees on an epoch, so that most runs take the fallback. WRN-16-1 does what it did in notebook 06, with fewer steps and so with a lower CA. MobileNetV2 under BadNets is a
# different story: the model of stage 1 has hardly a backdoor, the suspects are clean samples, and the ascent on them can drive the model *towards* the target, so that ASR rises. What fine-tuning makes of that is a matter of luck: about one in ten of the
# trusted labels is wrong, as in the whole set. Under TrojanNN, where the suspects of this epoch were poisoned, all three stages do what they should.
#
# **Why.** A low ASR in the end has two causes: with WRN-16-1 the backdoor is found and removed; with MobileNetV2 and BadNets there was hardly one yet. The last bars, the undefended model after six epochs, tell them apart, and so does the table of suspects.
#
# ## 4. Table 6
#
# The recorded figures are of three seeds with the reduced set of this notebook, BadNets, all six models: mean, least and most. "Undefended" is the model after six epochs. The paper's are of CIFAR-10, trained to the end. The last two columns are CA / ASR of this run and of the paper.
#
# **Predict.** For which models will the three seeds agree?

# %%
recorded = record.read("architectures")
this_run = {}
for name in architecture_names:
    if "BadNets" in attack_names:
        this_run[name] = measured[f"{name}, BadNets"]["ASSFT"]
architectures_beside_paper(recorded, this_run)

# %% [markdown]
# **What you should see.**
#
# - *DenseNet121, ResNet18*: all of the suspects are poisoned, or half, or, on one seed, none. ASR ends at 1 to 3 % all the same, and CA near the undefended model's: the trusted samples are clean, and fine-tuning does the rest.
# - *WRN-16-1*: the purest suspects, and the lowest CA of these, as it is the smallest. More steps of fine-tuning help it (notebook 06).
# - *VGG16*: the backdoor goes on one seed of three. On one the suspects are clean; on one they are poisoned and unlearning works, but fine-tuning brings the backdoor back: of the trusted samples one in a hundred is poisoned, and that is enough for this model.
# - *MobileNetV2*: has hardly a backdoor to remove after six epochs. The ascent on clean suspects can wreck it, and fine-tuning on labels of which nearly one in ten is wrong does not always bring it back.
# - *InceptionV3*: has learned next to nothing in so few steps. It says nothing about DLP.
#
# **Against the paper.** It reports a CA above 92 % and an ASR below 0.4 % for all five. With 2,000 images of 16 pixels we can neither confirm nor refute that. What these figures do show: how pure suspects and trusted samples are depends on the architecture,
# and for some on the seed; a fixed $E_1$ for all of them is a bet; and models differ in how readily they take a backdoor back.

# %%
rows = []
for title, metrics_of in measured.items():
    name, attack = title.split(", ")
    facts = {"attack": attack, "architecture": name, "e1": agreed[title]}
    for stage, metrics in metrics_of.items():
        rows.append({**facts, "stage": stage, **asdict(metrics)})
report(out, context.runtime, costs=costs, table=rows)

# %% [markdown]
# ## Recap
#
# - Models for photographs take small images once their first strides are left out. What they cost goes by steps and maps, not by weights.
# - Whether poison is learned before clean samples depends on the model too. What holds for one architecture is to be measured on another.
# - A low ASR in the end does not prove that a defence worked: look at the undefended model, and at what each stage found.
#
# ## Quiz
#
# <details><summary>VGG16 has twice the weights of DenseNet121 and is more than three times as fast. How can that be?</summary>
#
# A weight costs as often as it is used. Most of VGG16's stand in its last layers, where a map has one to four pixels; DenseNet121 has more than a hundred layers and keeps large maps for longer.
# </details>
#
# <details><summary>In this run MobileNetV2 ends with a low ASR under BadNets. Has DLP removed its backdoor?</summary>
#
# No: undefended, after six epochs, it has hardly one. Without that bar beside it a low ASR says nothing about a defence.
# </details>
#
# <details><summary>99 of 100 of VGG16's trusted samples are clean. Is that good enough?</summary>
#
# Not for this model: on one seed, fine-tuning on such samples brought back the backdoor that unlearning had removed. How many poisoned samples a model forgives is to be measured, too.
# </details>
#
# ## Exercises
#
# Replace the dots, run the cell, and run the one after it: the check says what is wrong, if anything is.
#
# ### Exercise 1. Has it removed a backdoor? *(easy, 10 minutes)*
#
# DLP leaves MobileNetV2 with a low ASR. Has it removed a backdoor, or was there none? A control is a second run that differs from the first in one thing: the one that is in question. Design it: a copy of `run` in which one setting has another value (a defence is "DLP" or "none"; models and attacks are those of this notebook; numbers may be any). Which bar of the figure in section 2 comes near to it, and in what does it differ from your control?


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
# Most layers of these models are a square convolution without bias, and batch-norm after it. How many numbers does an optimiser move there? With `groups`, channels are split into that many groups, each with a convolution of its own; MobileNetV2's depth-wise layers have as many groups as channels.


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
# How large are a model's maps? A layer with a kernel of $k$ pixels a side, stride $s$ and padding $p$ makes of $n$ pixels a side as many as there are places for its kernel. Write the formula, and apply it layer by layer. Then find out what ResNet18's own layers with a stride, `[(7, 2, 3), (3, 2, 1), (3, 2, 1),
# (3, 2, 1), (3, 2, 1)]`, leave of 224, 32 and 16 pixels.


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
# Judge a run by two pairs of (CA, ASR), fractions of 1: of the undefended model, and in the end. Say that a model is of use from a CA of 50 % on, and has a backdoor above an ASR of 20 %. Return `"untrained"` where even the undefended model is of no use, `"destroyed"` where only the defended one is
# not, and else `"backdoored"`, `"never there"` or `"removed"`. Then judge the 18 runs in `recorded` (stages "undefended" and "ASSFT" of each architecture and seed): in how many is the ASR low in the end, and in how many of those was a backdoor removed?


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
# Count the multiply-adds that the convolutions and linear layers of any model take for *one* image. A forward hook (`layer.register_forward_hook(function)`) sees what comes out of a layer whenever it is used, which its definition does not tell. Leave the model as you found it.
# Then count for all of `ARCHITECTURES`, beside the table of section 1: do multiply-adds foretell the speed better than weights do, and which model is slower than they say?


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
# 1. *(15 minutes)* Train MobileNetV2 on BadNets for 20 epochs. Does it learn the patch in the end? Is there then an $E_1$ at which the suspects are poisoned?
# 2. *(20 minutes)* Train VGG16 at a batch size of 128 and of 16. Does the gap change? Which of the two makes more steps an epoch?
# 3. *(with a GPU)* All six models, five attacks, 5,000 images and 360 steps of FixMatch: does the order in the last column stay the same?
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

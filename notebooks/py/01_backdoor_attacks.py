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
# # Backdoor attacks: five ways to poison a data set
#
# **What you will learn.** Who attacks whom, and with what powers. How five well-known attacks make their triggers, in formula and in
# picture. What an undefended model makes of each. How few poisoned images are enough.
#
# **You need** to know what a classifier, cross-entropy and gradients are. The [quick start](00_quickstart.ipynb) shows the
# attack and a defence in one go; this notebook takes its time over the attack.
#
# **Time**: reading, 35 minutes. Running, about five minutes on two cores (not timed on a GPU yet).
#
# Terms are explained in the [glossary](../docs/GLOSSARY.md), papers listed in the [bibliography](../docs/BIBLIOGRAPHY.md).

# %% [markdown]
# The next cell holds every setting of this notebook. What was computed once is kept on disk: a second run takes seconds.

# %% tags=["parameters"]
dataset = "shapes10"  # or "cifar10", or a folder
n_train = 5000  # training images; None for all there are
image_size = 16  # pixels a side
target = 0  # the class that the attacker wants
epochs = 12  # of training; 24 in the tables of three seeds
cooldown_epochs = 2  # more epochs at a tenth of the learning rate; 4 in the tables
rates = [0.002, 0.005, 0.02]  # of BadNets, beside its default
seed = 0
device = "auto"  # "cpu", "cuda", or "auto"
cache = "build/store"  # where stages are kept, inside the project's folder unless absolute
out = "build/attacks"  # where metrics.json goes, likewise

# %% [markdown]
# ## Why this matters
#
# A model is trained on data, and often on weights, that somebody else made. Nobody can read millions of images. Whoever puts a
# few files into such a collection takes part in what the model learns. Four results show how real this is:
#
# | year | what was shown | source |
# | --- | --- | --- |
# | 2017 | A yellow paper note on a stop sign is a trigger: a backdoored detector takes the sign for a speed limit. | Gu, Dolan-Gavitt and Garg, *BadNets* ([arXiv:1708.06733](https://arxiv.org/abs/1708.06733)) |
# | 2023 | Large data sets are lists of web addresses. For 60 US dollars one could have bought expired domains and so replaced 0.01 % of LAION-400M or of COYO-700M. | Carlini and others, *Poisoning web-scale training datasets is practical* ([arXiv:2302.10149](https://arxiv.org/abs/2302.10149)) |
# | 2024 | About a hundred models on a public hub ran code of their uploader as soon as they were loaded. | JFrog Security Research, *Data scientists targeted by malicious Hugging Face ML models with silent backdoor* |
# | 2025 | About 250 poisoned documents put a backdoor into language models of 600 million to 13 billion parameters. The number hardly grew with the model. | Souly and others, *Poisoning attacks on LLMs require a near-constant number of poison samples* ([arXiv:2510.07192](https://arxiv.org/abs/2510.07192)) |
#
# The third case is another kind of attack: its backdoor is in the file and not in the weights. It shows that people load what they
# find. (This library reads safetensors and JSON only, which cannot run code.)
#
# ## 1. The threat model
#
# A **threat model** says who can do what, and what they want. This course follows the usual one for backdoors that come with
# the data:
#
# | | the attacker | the defender |
# | --- | --- | --- |
# | **sees** | the training set before you do | the tampered training set |
# | **can** | change the images, and perhaps the labels, of a small share of it | train as they like |
# | **cannot** | touch your code, your training or the images you test with; but they can show the finished model triggered images | tell which images were changed |
# | **wants** | normal answers on normal images, and the answer of their choice on triggered ones | a model that is right on both |
#
# There are two families of attacks. A **poison-label** attack takes images of *other* classes, adds the trigger, and gives them
# the target's label. Anyone who looks can notice it: a star is labelled "disk". A **clean-label** attack adds its trigger to
# images that *are* of the target class. It changes no label: every *label* is right.
#
# The **poisoning rate** is the share of the whole training set that is poisoned. Some papers give the share of one class
# instead. With ten classes of equal size, 10 % of the set is *all* of one class.
#
# **Ethics.** We build attacks because a defence is worth little before it was attacked. The same code could do harm. So attack
# only models and data of your own. Never publish a tampered set or model without saying so, in its name and in its description.
# If you find a backdoor in somebody's model, tell them before you tell others.

# %%
from dataclasses import asdict, replace

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_sample_image
from torch.nn import functional

import dlp_lib
from dlp_lib import HOME, Context, Runtime, Store, evaluate, plots, print_progress, recipe_for
from dlp_lib.checks import backdoor_attacks as checks
from dlp_lib.experiments import record, report, scenario
from dlp_lib.recipes import PAPER_ATTACKS

# %% [markdown]
# `Runtime` fixes the device and all random numbers, `Store` keeps what was computed, `Context` holds both and tells how far a
# stage has come. `recipe_for` knows the settings that suit a data set; among them, for each of the five attacks, a poisoning rate at
# which it works. `scenario` loads the data; the name "none" says that nobody has attacked them yet.

# %%
context = Context(Runtime(seed, device), Store(HOME / cache), print_progress)
recipe = replace(recipe_for(dataset), epochs=epochs, cooldown_epochs=cooldown_epochs)
untouched = scenario(
    dataset, "none", n_train=n_train, image_size=image_size, context=context, recipe=recipe
)
train, test = untouched.clean, untouched.test
settings = recipe.attack_settings(train)
for name in PAPER_ATTACKS:
    attack, rate = settings[name]
    print(f"{rate:.0%} {'clean' if attack.clean_label else 'poison'}-label: {attack}")

# %% [markdown]
# ## 2. Five triggers
#
# In all formulas, $x$ is an image with pixels from 0 to 1, and $x'$ the same image with its trigger.
#
# **BadNets** (Gu et al. 2017) is where it began. A mask $m$ says where the trigger is, a fixed pattern $p$ how it looks:
#
# $$x' = (1 - m) \odot x + m \odot p$$
#
# Ours is a 3×3 checkerboard in the bottom right corner.
#
# **TrojanNN** (Liu et al. 2018) asks which pattern a neural network would notice *best*. The attacker trains a clean model of
# their own, the **surrogate**. They pick the neurons $k \in K$ of its last hidden layer that weigh most. Then gradient descent
# finds the patch that excites these neurons most, on a few clean images $X$. Where $a_k$ is the activation of neuron $k$, it
# solves:
#
# $$\min_{p \in [0,1]} \; \frac{1}{|X||K|} \sum_{x \in X} \sum_{k \in K} \left( a_k\big((1 - m) \odot x + m \odot p\big) - 100 \right)^2$$
#
# Our patch is 4×4 pixels.
#
# **Blended** (Chen et al. 2017) covers the whole image with a faint pattern $p$, here a fixed image of random noise:
#
# $$x' = (1 - \alpha)\, x + \alpha\, p, \qquad \alpha = 0.2$$
#
# **SIG** (Barni et al. 2019) is clean-label. It lays a sinusoid over the image: in row $i$ and column $j$ of $w$ columns,
#
# $$x'_{ij} = x_{ij} + \Delta \sin(2\pi j f / w), \qquad f = 6$$
#
# (The strengths that the papers use stand in the table below.)
#
# **LCA** (Turner et al. 2019), the *label-consistent attack*, is clean-label too. Why should a model look at the trigger, when the shape
# itself explains the label? So LCA first makes the shape *hard* to use. It adds the noise that fools the surrogate most, and only then a
# checkerboard $p$ in all four corners:
#
# $$x' = (1 - m) \odot (x + \delta) + m \odot p, \qquad \delta = \arg\max_{\lVert\delta\rVert_\infty \le \varepsilon} L\big(f_s(x + \delta), y\big)$$
#
# $f_s$ is the surrogate, $L$ cross-entropy, $y$ the label, and $\varepsilon$ the largest change of a pixel, here 32 of 255. The maximum is approximated by
# 100 steps of projected gradient ascent. The noise is for training images alone. At test time the attacker adds the corners only.
#
# **Where our attacks differ from their papers.** Two are stronger here: SIG has a larger $\Delta$, and LCA larger corners.
#
# | attack | its paper | here, on 16×16 pixels |
# | --- | --- | --- |
# | BadNets | a patch on MNIST, a note on traffic signs | a 3×3 checkerboard |
# | TrojanNN | retrains a *given model* with the trigger; no access to its data | the same trigger, put into the *data* |
# | Blended | a picture or noise, $\alpha$ = 0.2 in training | noise, $\alpha$ = 0.2 |
# | SIG | $\Delta$ = 20 to 40 of 255 | $\Delta$ = 60 |
# | LCA | a surrogate trained to resist such noise; a second variant interpolates with a GAN | an ordinary surrogate; no GAN; $\varepsilon$ = 32 (paper: 8 to 32), corners of 5×5 (paper: 3×3) |
#
# By hand: the bottom row of a grey image of 4×4 pixels, all of them 100, with four of the triggers. Which pixels change, and by how much?

# %% tags=["nbval-check-output"]
grey = torch.full((1, 3, 4, 4), 100, dtype=torch.uint8)
for attack in (
    dlp_lib.BadNets(patch=2),
    dlp_lib.Blended(),
    dlp_lib.SIG(frequency=1),
    dlp_lib.LCA(patch=1),
):
    print(f"{type(attack).__name__:>7}: {attack.trigger(grey)[0, 0, -1].tolist()}")

# %% [markdown]
# BadNets and LCA replace a few pixels, whatever was there. Blended moves every pixel a fifth of the way to its noise. SIG (here one
# period, with $\Delta$ = 40) adds the same wave to every row.
#
# `attacked_by` trains the surrogate where an attack needs one, and then poisons. What it returns has the `attack`, the `tampered`
# set, and the `truth` about it.

# %%
scenes = {}
for name in PAPER_ATTACKS:
    scenes[name] = untouched.attacked_by(name, target=target)
    print(f"{name}: {scenes[name].truth}")

# %% [markdown]
# *Candidates* are the images that an attack can use. They are those of all other classes if it changes labels, and those of the
# target class if it does not.
#
# **Predict.** Which of the five would you notice in a set of thousands of images, if you did not know what to look for? Which
# attack changes training images in more ways than test images?

# %%
rows = {"clean": [], "poisoned": [], "difference × 3": [], "test image": [], "triggered": []}
other = test.images[test.labels != target][:1]
for scene in scenes.values():
    index = scene.truth.poisoned.nonzero()[0]
    before, after = train.images[index], scene.tampered.images[index]
    rows["clean"].append(before)
    rows["poisoned"].append(after)
    rows["difference × 3"].append(plots.difference(before, after))
    rows["test image"].append(other)
    rows["triggered"].append(scene.attack.trigger(other))

# %%
figure, ax = plt.subplots(figsize=(7, 7))
plots.gallery(ax, {name: torch.cat(images) for name, images in rows.items()}, list(scenes))
plots.show(
    figure,
    "A clean and a poisoned training image, their difference, and a test image with the trigger. "
    "BadNets and TrojanNN change one corner, LCA four corners and more, Blended and SIG everything.",
    number=1,
)

# %% [markdown]
# **What you should see.** One column is one attack. From top to bottom, it shows a training image, the same image after poisoning, and
# their difference. Then come a test image of another class, and that image with the trigger. In the third row grey means "no change", and
# changes are shown larger than they are. BadNets and TrojanNN change a corner. Blended changes every pixel a little. SIG adds dark and
# bright stripes. Where it meets a colour's limit, 0 or 255, the difference is cut off, and the stripe has another colour. LCA adds noise
# everywhere, and its corners cover two fifths of the image. <!-- no claim: 4 × 5 × 5 of 16 × 16 pixels -->
#
# In the second row, the first three images are labelled "disk", the target class, but show another shape. The last two show a
# true disk.
#
# **Why it matters.** Under LCA the test image has the corners and none of the noise. An attacker can put a sticker on an object,
# but cannot compute noise for what your camera will see.
#
# ### The same triggers on a photograph
#
# Shapes of 16×16 pixels train in seconds. But what do they hide? Here are the same five triggers on a photograph, at three sizes.
#
# **Predict.** At which size would you notice which trigger?

# %%
photograph = torch.from_numpy(load_sample_image("china.jpg")).permute(2, 0, 1)[None]
square = photograph[..., 100:527].float()  # of 427 pixels a side
pictures = {}
for size in (224, 32, 16):
    image = functional.interpolate(square, (size, size), mode="bilinear", antialias=True)
    image = image.round().to(torch.uint8)
    triggered = [scene.attack.trigger(image) for scene in scenes.values()]
    versions = torch.cat([image, *triggered]).float()
    pictures[f"{size} pixels"] = functional.interpolate(versions, 224).to(torch.uint8)

# %%
figure, ax = plt.subplots(figsize=(12, 6.5))
plots.gallery(ax, pictures, ["untouched", *scenes])
plots.show(
    figure,
    "A photograph of a temple at 224, 32 and 16 pixels, untouched and with each of five triggers. "
    "Patches nearly vanish at 224 pixels. Blended and SIG are visible at every size.",
    number=2,
)

# %% [markdown]
# (The photograph is "china.jpg" of scikit-learn, by [danielbuechele](https://www.flickr.com/photos/danielbuechele/), under
# [Creative Commons BY 2.0](https://creativecommons.org/licenses/by/2.0/); cut to a square, made smaller, and changed by the triggers.)
#
# **What you should see.** At 224 pixels the patches of BadNets and TrojanNN are tiny spots in a corner, and LCA's corners are small.
# Blended is a fine grain over everything, and SIG has six dark and bright waves. At 16 pixels LCA's corners cover two fifths of the
# image, and the other patches are plain to see. <!-- no claim: 4 × 5 × 5 of 16 × 16 pixels --> The temple itself cannot be recognised any
# more, even untouched.
#
# **Why it matters.** Patches are counted in pixels, and SIG's waves in periods. So a patch covers less of a large image. On our drawings,
# patches are easy to see. Conclusions from small images need a check on larger ones. The tables of CIFAR-10 in later notebooks are a
# first one, with 32 pixels a side. We have none at 224.

# %% [markdown]
# ## 3. What does an undefended model do?
#
# The model is WRN-16-1, a small residual network (WideResNet, 16 layers, width 1), as in the paper of DLP, the defence of this course
# (Ying and Wu 2023). We train six of them in the plainest way: one on the clean set, and one on each tampered set. The last epochs have a
# lower learning rate (`converged` does both). Three numbers describe each model:
#
# - **CA** (clean accuracy): the share of ordinary test images that are classified correctly.
# - **ASR** (attack success rate): the share of triggered images *of the other classes* that are taken for the target.
# - **RA** (recovered accuracy): the share of those triggered images that are classified correctly. (It is not *robust accuracy*,
#   which other fields abbreviate alike.)
#
# ASR counts images of the other classes only. A triggered disk that is taken for a disk is no success of the attacker. If it
# counted, every model, even an untouched one, would have an ASR of about 10 %.
#
# **Predict.** By how much will CA fall under each attack? Will the clean-label attacks, which change no label, reach the ASR of
# the others?


# %%
clean_model = untouched.converged()
measured = {"no attack": evaluate(clean_model, test)}
for name, scene in scenes.items():
    measured[name] = evaluate(scene.converged(), test, scene.attack)

# %%
figure, ax = plt.subplots(figsize=(9, 3.6))
plots.stage_bars(ax, measured, target)
plots.show(
    figure,
    "CA, ASR and RA of an undefended model, per attack. ASR is 96 % or more for all attacks. CA is "
    "about ten points lower under LCA and SIG.",
    number=3,
)

# %% [markdown]
# **What you should see.** ASR is 96 % or more for every attack. <!-- claim: 01-run-asr --> RA is 4 % at most. <!-- claim: 01-run-ra --> Under
# the poison-label attacks CA is at most 3 points below that of the model without an attack. <!-- claim: 01-run-ca-relabelled -->
# Under the clean-label attacks it is 10 points or more below. <!-- claim: 01-run-ca-clean-label --> The diamonds say why: these two models
# recognise 5 % of the clean disks at most. <!-- claim: 01-run-recall --> CA is an average over ten classes, and hides
# that one of them is lost.
#
# **Why.** A model can learn the shapes and the trigger. Under a poison-label attack, CA hardly shows that it knows the trigger. A
# clean-label attack is visible in the *target class*. Nine in ten of its training images carry the trigger. In this short training
# the model learns "trigger means disk", and hardly learns the disk itself. (Below the bars it says "forgets the target": its recall
# is below half of that of the other classes.)
#
# One seed and a short training say little. Here are three seeds and 28 epochs, when the training accuracy has reached 100 %:
# the mean, and in brackets the least and the most.

# %%
recorded = record.read("attacks")
record.spread(recorded, ["attack"], ["ca", "asr", "ra"])

# %% [markdown]
# (On shapes10, in per cent. "All-to-all" is BadNets with another goal, as the end of this section explains.)
#
# **What you should see.** With three seeds and longer training, every attack has an ASR of 92 % or more. <!-- claim: 01-seeds-asr -->
# Under the poison-label attacks CA is 98 % or more, as without an attack. <!-- claim: 01-seeds-ca --> Under the clean-label attacks it
# is 1 to 4 points lower in the mean. <!-- claim: 01-seeds-lca --> <!-- claim: 01-seeds-sig -->
#
# Both clean-label attacks are stronger here than in their papers. What the papers' strength does, you can try (*Go further*, item 3).
#
# ### Is it the trigger, or a mistake?
#
# A picture with stripes is harder to read. Perhaps the model takes every strange picture for a disk? A *clean* model answers
# this. Its ASR should be hardly higher than the rate at which it takes images without a trigger for the target.

# %%
tampered_rows = [row for row in recorded if row["attack"] != "none"]
record.spread(tampered_rows, ["attack"], ["clean_model_triggered", "clean_model_untriggered"])

# %% [markdown]
# **What you should see.** The clean model takes 5 % of the triggered images at most for the target. <!-- claim: 01-clean-model --> LCA has the
# highest share. <!-- claim: 01-clean-model-lca --> Without a trigger it is 0.2 % at most. <!-- claim: 01-clean-model-untriggered -->
#
# **Why.** LCA's corners cover 100 of 256 pixels. The clean model makes more errors on such images, and some errors are "disk".
# That is far from the ASR of a model with a backdoor. So the ASR of the first table comes from the backdoor.
#
# ### One target, or many?
#
# The row *all-to-all* has a different goal: a triggered image of class $y$ shall be taken for class $y + 1$. There is no single
# target class, so "trigger means disk" is not enough. The model must recognise the shape *and* see the trigger. So such a backdoor
# should be learned *after* the shapes (notebook 11 looks). The authors of DLP say that their defence hardly mitigates it.

# %% [markdown]
# ## 4. How few images are enough?
#
# So far 9 or 10 % of the images were poisoned. An attacker who gives a few pictures to a large collection cannot do that. Here is
# BadNets at lower rates.
#
# **Predict.** At which poisoning rate does ASR fall below one half: 2 %, 0.5 % (25 images), or 0.2 % (ten)? Is that the same after 14
# epochs and after 28?

# %%
at_rate = {settings["BadNets"].poisoning_rate: measured["BadNets"]}
for rate in rates:
    scene = untouched.attacked_by("BadNets", rate, target)
    print(scene.truth)
    at_rate[rate] = evaluate(scene.converged(), test, scene.attack)
mine = [{"seed": seed, "poisoning_rate": rate, **asdict(at_rate[rate])} for rate in sorted(at_rate)]

# %%
panels = {
    f"this run, {epochs + cooldown_epochs} epochs": mine,
    "three seeds, 28 epochs": record.read("rates"),
}
figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), sharey=True)
for ax, (title, rows) in zip(axes, panels.items(), strict=True):
    per_cent = [100 * rate for rate in record.runs(rows, "poisoning_rate")[0]]
    ca, asr = record.runs(rows, "ca"), record.runs(rows, "asr")
    plots.ca_and_asr(ax, per_cent, ca, asr, "poisoning rate (%)").set_title(title)
plots.shared_legend(figure)
plots.show(
    figure,
    "CA and ASR of BadNets against the poisoning rate. CA stays above 94 %. With three seeds ASR is "
    "above 90 % from 1 % on, and near 0 at 0.2 %.",
    number=4,
)

# %% [markdown]
# **What you should see.** CA stays above 94 % in both panels. <!-- claim: 01-rates-ca --> <!-- claim: 01-rates-ca-seeds --> Down to 1 %
# of poison, ASR is 93 % or more with every seed. <!-- claim: 01-rates-high --> At 0.5 % the seeds differ: 18, 80 and 96 %. <!-- claim: 01-rates-middle-least --> <!-- claim: 01-rates-middle-most -->
# At 0.2 % ASR is below 1 %. <!-- claim: 01-rates-low --> In
# the short training on the left, 2 % are enough, and 0.5 % are not. <!-- claim: 01-run-rates-2 --> <!-- claim: 01-run-rates-05 --> The
# same 25 images (seed 0) are enough after 28 epochs: the length counts, too.
#
# **Why.** With fifty poisoned images, the model meets the trigger 1,400 times in 28 epochs. With ten, it does so 280 times. (Here share
# and number change together, so this figure cannot tell which of them counts.) One wrong label is easy to see. To check five thousand
# images takes hours, and real collections have millions.

# %% [markdown]
# The last cell writes what was measured, for whoever compares runs.

# %%
by_attack = [{"attack": name, **asdict(metrics)} for name, metrics in measured.items()]
report(out, context.runtime, attacks=by_attack, rates=mine)

# %% [markdown]
# ## Recap
#
# - A backdoor needs no access to the model: a few tampered training images are enough.
# - Poison-label attacks change labels, clean-label attacks do not. Both reach a high ASR. CA hardly moves under
#   the former. Under the latter it falls more, and in figure 3 most of this loss is in the target class.
# - The trigger can be a corner, a pattern over everything, or optimised on a surrogate model.
# - Report CA and ASR together, on images of the other classes, and check the trigger on a clean model.
#
# ## Quiz
#
# <details><summary>A clean-label attack changes no label. Why does CA fall more under it than under BadNets?</summary>
#
# It puts the trigger on nine tenths of *one* class. The model learns that class by its trigger, and the class itself from the few
# images that are left. BadNets takes its images from nine classes, about a ninth of each.
# </details>
#
# <details><summary>A model takes a third of the triggered images for the target. Does it have a backdoor?</summary>
#
# That number alone cannot tell. A trigger that covers much of an image makes it harder to read, and some of the errors will be the target
# class. Show the same images to a clean model. What it does, too, is no backdoor.
# </details>
#
# <details><summary>LCA's noise makes an image look odd to a model. Is the noise what the model reacts to at test time?</summary>
#
# No: test images have the corners only. In training, the noise is meant to hide the other explanation of the label, the shape. Then the
# model has to learn the corners. How much the noise helps, item 4 of *Go further* measures.
# </details>
#
# ## Exercises
#
# Replace the dots, run the cell, and run the one after it: the check says what is wrong, if anything is.
#
# ### Exercise 1. Two triggers, one formula *(easy, 10 minutes)*
#
# BadNets and Blended (section 2) are the same formula, $x' = (1 - w)\, x + w\, p$. The weight $w$ is a mask of zeros and ones, or one
# number for all pixels. Write it for images of whole numbers from 0 to 255: calculate in floating point, round, and return the images'
# own type.


# %% tags=["exercise"]
def my_trigger(images, weight, pattern):
    """Images, uint8 (n, 3, h, w), with a trigger.

    The weight is () or (h, w), the pattern (3, h, w), both float32.
    """
    # BEGIN SOLUTION
    mixed = (1 - weight) * images.float() + weight * pattern
    return mixed.round().to(torch.uint8)
    # END SOLUTION


# %% tags=["check"]
checks.mixed(my_trigger)

# %% [markdown]
# ### Exercise 2. Who can be poisoned? *(easy, 10 minutes)*
#
# Which images can an attack with one target class use (section 1), and how large can its poisoning rate be? From the labels of a training set, return a mask of the candidates, and the largest poisoning rate as section 1 counts it.


# %% tags=["exercise"]
def my_candidates(labels, target, clean_label):
    """A boolean mask (n,) and a share.

    From labels (n,), the target class, and whether the attack is clean-label.
    """
    # BEGIN SOLUTION
    candidates = (labels == target) == clean_label
    return candidates, candidates.double().mean()
    # END SOLUTION


# %% tags=["check"]
checks.candidates(my_candidates)

# %% [markdown]
# Then try it on `train.labels`: the sums of the masks are the candidates that section 2 printed.
#
# ### Exercise 3. A wave *(medium, 15 minutes)*
#
# Write SIG, with columns counted from 0, and $\Delta$ on the scale of the pixels, 0 to 255. Beware of what whole numbers of 8 bits do above 255 and below 0.


# %% tags=["exercise"]
def my_wave(images, delta, frequency):
    """Images, uint8 (n, 3, h, w), with the wave."""
    # BEGIN SOLUTION
    column = torch.arange(images.shape[-1])
    wave = delta * torch.sin(2 * torch.pi * column * frequency / images.shape[-1])
    return (images + wave).round().clamp(0, 255).to(torch.uint8)
    # END SOLUTION


# %% tags=["check"]
checks.wave(my_wave)

# %% [markdown]
# Then look at it with `plots.gallery(plt.figure().subplots(), {"SIG": my_wave(test.images[:5].cpu(), 60, 6)}, [])`. What do frequencies of 1, 8 and 10 look like on 16 columns, and why?
#
# ### Exercise 4. A fair suspicion *(medium, 10 minutes)*
#
# To the second question of the quiz: a model takes 30 % of the triggered images for the target. `run` says how that was measured. A
# control is a second run that differs from the first in one thing: the one that is in question. Design it: a copy of `run` in which one
# setting has another value. A setting may have these values. Trained on: a "tampered set" or a "clean set". Images: "triggered" or
# "clean". Classes: the "other classes" or "all classes". Leave everything else as it is, the seed too. What would you say if the control
# came to 28 %, and what if it came to 3 %?


# %% tags=["exercise"]
run = {"trained on": "tampered set", "images": "triggered", "of": "other classes", "seed": 0}
control = None
# BEGIN SOLUTION
control = run | {"trained on": "clean set"}
# END SOLUTION

# %% tags=["check"]
checks.clean_model(control)


# %% [markdown]
# ### Exercise 5. Hard to read, and still nearly the same *(hard, 25 minutes)*
#
# LCA's noise, by projected gradient ascent. Begin with the images $x_0$, pixels from 0 to 1. In every step, take the gradient of the cross-entropy with respect to the pixels, and go a `step` along its *sign*. Then
# clip to at most $\varepsilon$ from $x_0$, and to pixels from 0 to 1. (`x.detach().requires_grad_()` begins a step afresh; `torch.autograd.grad(loss, x)[0]` is the gradient, and
# `clamp` takes tensors as well.)


# %% tags=["exercise"]
def my_hard_images(model, images, labels, epsilon, step, steps):
    """The images with the noise, float32, shaped as they are given."""
    # BEGIN SOLUTION
    x = images
    for _ in range(steps):
        x = x.detach().requires_grad_()
        loss = torch.nn.functional.cross_entropy(model(x), labels)
        x = x + step * torch.autograd.grad(loss, x)[0].sign()
        x = x.clamp(images - epsilon, images + epsilon).clamp(0, 1)
    return x.detach()
    # END SOLUTION


# %% tags=["check"]
checks.hard_images(my_hard_images)

# %% [markdown]
# Then fool `clean_model.eval()` on 200 disks of `train.images.float() / 255`, with $\varepsilon$ = 8/255, a step of 1.5/255 and 20 steps. How many does it still take for disks? And how many do you?
#
# ### Go further
#
# 1. *(5 minutes)* Write an attack of your own: a subclass of `dlp_lib.Attack` with a method `trigger(images)` that paints, say, the
#    top row of pixels white. Poison, train, and evaluate. How does it compare with BadNets?
# 2. *(10 minutes)* Blended with `alpha = 0.05` can hardly be seen. Does it still work? At which `alpha` does it stop working, and how does
#    that depend on the poisoning rate?
# 3. *(15 minutes)* Train on `dlp_lib.SIG()` and `dlp_lib.LCA()` (`attacked_by` takes attacks as well as names) at the papers' strength
#    and a rate of 0.08. Evaluate after 6, 12 and 24 epochs. What happens to ASR, and why does longer training help the *defender* here?
# 4. *(20 minutes)* How much does LCA's noise do? Compare `epsilon = 1` with the default, at a rate of 0.05.
#
# ## References
#
# - T. Gu, B. Dolan-Gavitt, S. Garg. *BadNets: identifying vulnerabilities in the machine learning model supply chain.* 2017.
# - Y. Liu, S. Ma, Y. Aafer, W.-C. Lee, J. Zhai, W. Wang, X. Zhang. *Trojaning attack on neural networks.* NDSS 2018.
# - X. Chen, C. Liu, B. Li, K. Lu, D. Song. *Targeted backdoor attacks on deep learning systems using data poisoning.* 2017.
# - A. Turner, D. Tsipras, A. Madry. *Label-consistent backdoor attacks.* 2019.
# - M. Barni, K. Kallas, B. Tondi. *A new backdoor attack in CNNs by training set corruption without label poisoning.* ICIP 2019.
# - Z. Ying and B. Wu. *DLP: towards active defense against backdoor attacks with decoupled learning process.*
#   Cybersecurity 6, 2023.

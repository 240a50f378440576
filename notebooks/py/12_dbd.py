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
# # DBD: the other decoupled defence
#
# **What you will learn.** Why poisoned samples scatter when labels are taken away; how DBD (Huang et al. 2022) builds a defence on that, in three stages; where it is weak; and how it compares with DLP at equal cost.
#
# **You need** notebook [05](05_semi_supervised_finetuning.ipynb) for semi-supervised learning, and [08](08_baselines.ipynb) for the other defences.
#
# **Time**: reading, 30 minutes. Running, about seven minutes on two cores (not timed on a GPU yet).
#
# Terms are explained in the [glossary](../docs/GLOSSARY.md), papers listed in the [bibliography](../docs/BIBLIOGRAPHY.md).

# %% [markdown]
# The next cell holds every setting of this notebook. What was computed once is kept on disk: a second run takes seconds.

# %% tags=["parameters"]
dataset = "shapes10"  # or "cifar10", or a folder of class folders
n_train = 5000  # training images; None for all there are
n_test = None  # test images, likewise
image_size = 16  # pixels a side
attack_names = ["BadNets", "Blended"]  # also TrojanNN, LCA, SIG
epochs = 24  # of supervised learning, to compare with
gamma = 0.02  # DLP's filtering rate
own_e1 = {"Blended": 15}  # DLP's epochs of supervised learning, where four are not enough
seed = 0
device = "auto"  # "cpu", "cuda", or "auto"
cache = "build/store"  # where stages are kept, inside the project's folder unless absolute
out = "build/dbd"  # where metrics.json goes, likewise

# %%
from dataclasses import asdict, replace

import matplotlib.pyplot as plt
import pandas as pd
import torch
from sklearn.decomposition import PCA

import dlp_lib
from dlp_lib import HOME, Context, Runtime, Store, plots, print_progress, recipe_for
from dlp_lib.checks import dbd as checks
from dlp_lib.defences.dbd import symmetric_cross_entropy
from dlp_lib.defences.simclr import nt_xent
from dlp_lib.experiments import report, scenario

# %% [markdown]
# Load the data, and poison a copy of the training set for each attack.

# %%
context = Context(Runtime(seed, device), Store(HOME / cache), print_progress)
recipe = replace(recipe_for(dataset), epochs=epochs)
untouched = scenario(
    dataset, "none", n_train=n_train, image_size=image_size, context=context, recipe=recipe
)
test = untouched.test.subset(slice(n_test))
scenes = {name: untouched.attacked_by(name) for name in attack_names}

# %% [markdown]
# Then train a supervised model on each tampered set, for comparison, and run DBD. Its three stages are recorded, so that each of them can be looked at afterwards.

# %%
dbd = recipe.defences["DBD"]
supervised, results = {}, {}
for name, scene in scenes.items():
    supervised[name], _ = scene.undefended()
    results[name] = dbd.run(scene.untrained(), scene.tampered, context)

# %% [markdown]
# ## 1. Features, with labels and without
#
# A supervised model is told that a picture with the trigger belongs to the target class. The shortest way to obey is a feature that says "trigger", which draws all poisoned samples together. DBD's first stage is
# told nothing of the kind. SimCLR takes two random views of every image and asks only that the two be recognised as views of the same one among all others. With $z_i$ and $z_j$ the projected features of the two views, at unit length:
#
# $$\ell_{ij} = -\log \frac{\exp(z_i \cdot z_j / \tau)}{\sum_{k \neq i} \exp(z_i \cdot z_k / \tau)}$$
#
# By hand, two images in two views each, rows 0 and 2 of one image, rows 1 and 3 of the other, at $\tau$ = 0.5. Which features does the loss reward, and which are the worst?

# %% tags=["nbval-check-output"]
x, y = [1.0, 0.0], [0.0, 1.0]
for name, z in {
    "views agree": [x, y, x, y],
    "all alike": [x, x, x, x],
    "taken for the other": [x, y, y, x],
}.items():
    print(f"{name}: {nt_xent(torch.tensor(z), 0.5).item():.3f}")

# %% [markdown]
# Features that are all alike say nothing: the loss is that of guessing among three other views, ln 3.
#
# **Predict.** Below are the features of test images, clean and triggered, of a supervised model and of the backbone after SimCLR. Where will the triggered ones lie in each?


# %%
def after(name, stage):
    """The model as a stage of DBD left it."""
    model = untouched.untrained()
    results[name].stages[stage].load(model)
    return model


def features(model, images):
    return dlp_lib.logits_and_features(model, images).features


# %%
backbones = {}
for name in scenes:
    backbones[name] = {"supervised": supervised[name], "SimCLR": after(name, "SimCLR")}
figure, axes = plt.subplots(len(scenes), 2, figsize=(9, 4 * len(scenes)), squeeze=False)
for line, (name, scene) in zip(axes, scenes.items(), strict=True):
    target = scene.attack.target
    triggered = scene.attack.trigger(test.images[test.labels != target])[:300]
    for ax, (kind, model) in zip(line, backbones[name].items(), strict=True):
        points = features(model, test.images).cpu()
        axis = PCA(2).fit(points)
        marked = axis.transform(features(model, triggered).cpu())
        plots.feature_map(ax, axis.transform(points), test.labels, target, marked)
        ax.set_title(f"{name}: {kind}")
plots.shared_legend(figure)
plots.show(
    figure,
    "Features of clean and triggered test images in two dimensions: supervised, and after SimCLR.",
)

# %% [markdown]
# Two dimensions may deceive. So ask the neighbours, in all of them: of the ten clean test images whose features are nearest to a triggered one's (by cosine), how many belong to the target class, and how many to the class that the image shows?


# %%
def neighbours(model, attack, k=10):
    """Classes among the clean neighbours of triggered images: two shares."""
    victims = test.subset(test.labels != attack.target)
    triggered = torch.nn.functional.normalize(features(model, attack.trigger(victims.images)))
    clean = torch.nn.functional.normalize(features(model, test.images))
    labels = test.labels[(triggered @ clean.T).topk(k).indices]  # (victims, k)
    return {
        "target class": (labels == attack.target).double().mean().item(),
        "true class": (labels == victims.labels[:, None]).double().mean().item(),
    }


# %%
near = {}
for name, scene in scenes.items():
    for kind, model in backbones[name].items():
        near[f"{name}, {kind}"] = neighbours(model, scene.attack)
(100 * pd.DataFrame(near).T).round(1).rename_axis("share of neighbours (%)")

# %% [markdown]
# **What you should see.** Supervised, nine in ten neighbours of a triggered image are of the target class. After SimCLR it is fewer than one in ten, and more than eight in ten are of the class that the image shows. In the picture the
# triggered images lie together in the left column, and among their own kind in the right one.
#
# **Why.** Nobody told the backbone that the trigger means anything. A view of a poisoned image may even lack the trigger, and is to be recognised all the same.
#
# ## 2. A head that forgives, and half of the labels
#
# In the second stage the backbone is frozen. Only a linear head is trained, on *all* labels, wrong ones included, by symmetric cross-entropy: with $q$ the label and $p$ the prediction, $L = -\alpha \sum q \log p - \beta \sum p \log q$. The second term,
# which is bounded, forgives what cannot be fitted. By hand, both terms for a label to which the model gives the probability $p$, with $\log 0$ set to −4. What does a label cost that becomes ever less likely?

# %% tags=["nbval-check-output"]
for p in (0.99, 0.5, 0.01, 0.0001):
    logits = torch.tensor([[p, 1 - p]]).log()
    label = torch.tensor([0])
    plain = symmetric_cross_entropy(logits, label, 1, 0).item()
    reverse = symmetric_cross_entropy(logits, label, 0, 1).item()
    print(f"p = {p}: cross-entropy {plain:.2f}, reverse {reverse:.2f}")

# %% [markdown]
# A head on features that do not know the trigger can hardly fit the poisoned labels. So their loss stays high, and the half of the samples with the *highest* loss lose their labels.
#
# **Predict.** Which share of the trusted half will be poisoned? (10 % of all samples are.)

# %%
n = len(scenes)
figure, axes = plt.subplots(1, n, figsize=(6 * n, 3.4), squeeze=False)
trusted, poisoned = {}, {}
for ax, (name, scene) in zip(axes[0], scenes.items(), strict=True):
    tampered = scene.tampered
    is_poisoned = scene.truth.poisoned
    logits = dlp_lib.predict(after(name, "SCE"), tampered.images)
    losses = symmetric_cross_entropy(logits, tampered.labels, dbd.sce.alpha, dbd.sce.beta)
    trusted[name] = losses.argsort(stable=True)[: int(dbd.trusted * len(losses))]
    poisoned[name] = is_poisoned[trusted[name]].double().mean().item()
    highest = losses[trusted[name]].max().item()
    plots.histogram(ax, losses, is_poisoned).axvline(highest, color=plots.NEUTRAL)
    ax.set_title(f"{name}: {poisoned[name]:.1%} of the trusted half are poisoned")
    ax.set_xlabel("symmetric cross-entropy")
    ax.legend()
plots.show(
    figure,
    "Loss of clean and poisoned training samples after the second stage, and the cut at one half.",
)

# %% [markdown]
# **What you should see.** None of the trusted half is poisoned, or hardly any. Most poisoned samples have a loss above four. The cut is close to zero: the half is chosen among samples that all fit.
#
# **Why.** The head sees a disk whose label says "disk" five hundred times, and a star, a plus, a ring whose label says so, a few dozen times each, against hundreds of honest ones. A linear layer follows the majority.
#
# ## 3. What each stage is worth
#
# The third stage, MixMatch, fine-tunes everything: half of the samples with labels, the other half with guesses, averaged over two weak views, sharpened, and mixed with each other.
#
# **Predict.** After which of the stages is ASR highest, for each attack?

# %%
measured = {}
for name, scene in scenes.items():
    stages = dlp_lib.after_each(results[name], test, scene.attack)
    undefended = dlp_lib.evaluate(supervised[name], test, scene.attack)
    measured[name] = {"SCE head": stages["SCE"], "MixMatch": stages["MixMatch"]}
    measured[name]["undefended"] = undefended
figure, axes = plt.subplots(1, n, figsize=(6 * n, 3.4), sharey=True, squeeze=False)
for ax, (name, by_stage) in zip(axes[0], measured.items(), strict=True):
    plots.stage_bars(ax, by_stage).set_title(name)
plots.shared_legend(figure)
plots.show(
    figure, "CA, ASR and RA after DBD's second and third stage, and undefended, for each attack."
)

# %% [markdown]
# **What you should see.** The head alone has brought ASR to a few per cent. MixMatch adds some CA under BadNets. Under Blended CA *falls*, while ASR is at zero and RA far above CA.
#
# DBD is known for one weakness: Blended survives its second stage. Here it does not; our views of the first stage mix the colour channels at random, which may hide a blended pattern better than the usual jitter does. (We have
# not tried to tell.)
#
# How can RA, the accuracy on *triggered* images, be above CA? RA leaves one class out: the target's own. So look at that class alone.

# %%
own = {}
for name, scene in scenes.items():
    images = test.images[test.labels == scene.attack.target]
    carry = scene.tampered.labels == scene.attack.target
    own[name] = {
        "carry its label": int(carry.sum()),
        "of these poisoned": int((carry & scene.truth.poisoned).sum()),
        "keep it": int(carry[trusted[name]].sum()),
    }
    for stage in ("SCE", "MixMatch"):
        is_target = dlp_lib.predict(after(name, stage), images).argmax(1) == scene.attack.target
        recall = 100 * is_target.double().mean().item()
        own[name][f"recall after {stage} (%)"] = round(recall, 1)
pd.DataFrame(own).T.rename_axis("the target class")

# %% [markdown]
# **What you should see.** Of the samples that carry the target's label half are poisoned, and the head is unsure of all of them. Under Blended a dozen or so clean ones keep it. MixMatch, with that few, forgets the class: hardly a disk is called a disk.
#
# **Why it matters.** A model that never answers with the target has an ASR of zero for nothing. The attacker has lost, and so has a class. DBD takes its half from all classes together; taken class by class, as DLP takes its trusted part, this would not happen, and
# some poison might come in instead.
#
# ## 4. DBD against DLP, at equal cost
#
# Both decouple. DBD never lets labels touch the backbone until the very end; DLP lets them, for a few epochs, to see whom they betray. To compare them at equal cost we count image passes with gradient, and give DLP as many steps of FixMatch as DBD has passes to spend.
#
# **Predict.** Who wins at which attack?

# %%
for name, scene in scenes.items():
    dlp = replace(recipe.dlp, gamma=gamma, e1=own_e1.get(name, recipe.dlp.e1))
    passes = results[name].total("images")
    size = len(scene.tampered)
    spare = passes - dlp.e1 * size - dlp.e2 * gamma * size
    steps = max(1, int(spare / (dlp.fixmatch.batch * (1 + dlp.fixmatch.mu))))
    dlp = replace(dlp, fixmatch=replace(dlp.fixmatch, steps=steps))
    result = dlp.run(scene.untrained(), scene.tampered, context)
    measured[name]["DLP"] = dlp_lib.evaluate(result.model, test, scene.attack)
    print(f"{name}: DBD {passes:,.0f} image passes, DLP {result.total('images'):,.0f}")

# %%
tables = {}
for name, kinds in measured.items():
    shares = pd.DataFrame([asdict(metrics) for metrics in kinds.values()], list(kinds))
    tables[name] = shares[["ca", "asr", "ra"]].drop("SCE head").rename(columns=str.upper)
(100 * pd.concat(tables)).round(1).rename_axis(["(%)", ""])

# %% [markdown]
# **What you should see.** On this data set and seed DLP ends with a higher CA under both attacks, and an ASR as low, within two points or so.
#
# **Why.** DBD spends two thirds of its passes on features without labels, which DLP learns with them, along with the task. But the comparison is not quite fair: DLP's settings ($E_1$ = 15 for Blended) were chosen with results in view, and with another $E_1$ its filter
# finds nothing there (notebook 03). DBD has no such knob. With more images, more epochs and the authors' own views things may look different.

# %%
found = {}
for name, kinds in measured.items():
    found[name] = {kind: asdict(metrics) for kind, metrics in kinds.items()}
report(out, context.runtime, defences=found, neighbours=near, trusted_poisoned=poisoned)

# %% [markdown]
# ## Recap
#
# - Supervision draws poisoned samples together; without labels they lie where their content does.
# - DBD: features without labels, a head that forgives, half of the labels given up.
# - It gives up the labels that the poison imitates, and may lose the target class with them: an ASR of zero is not enough.
#
# ## Quiz
#
# <details><summary>Poisoned images are in the training set of the first stage. Why does the backbone not learn the backdoor?</summary>
#
# A backdoor is a tie between a trigger and a class, and the first stage reads no label. It even has reason to overlook a trigger: one view of an image may show it where the other does not.
# </details>
#
# <details><summary>Under Blended, ASR is zero after MixMatch. Is that a victory?</summary>
#
# Not a whole one. The model hardly ever answers with the target class, not even for the class's own images. Look at the recall of the target before you praise an ASR of zero.
# </details>
#
# <details><summary>Why do true labels of the target class go, together with the poisoned ones?</summary>
#
# Half of the samples with this label are poisoned, so the head is unsure of the label on all of them. The half of highest loss is taken from all classes together, and this class loses most.
# </details>
#
# ## Exercises
#
# Replace the dots, run the cell, and run the one after it: the check says what is wrong, if anything is.
#
# ### Exercise 1. An RA above CA *(easy, 5 minutes)*
#
# The riddle of section 3 in numbers. Every class has as many test images as any other, and the trigger changes nothing: which RA follows from CA and from the recall of the target class? (All of them are shares, from 0 to 1.) Then put in
# `measured["Blended"]["MixMatch"].ca` and `own["Blended"]["recall after MixMatch (%)"] / 100`: how near is the RA that was measured?


# %% tags=["exercise"]
def my_ra(ca, recall, classes):
    """RA, from CA, the recall of the target class, and the number of classes."""
    # BEGIN SOLUTION
    return (classes * ca - recall) / (classes - 1)
    # END SOLUTION


# %% tags=["check"]
checks.harmless(my_ra)

# %% [markdown]
# ### Exercise 2. Is it the labels? *(easy, 10 minutes)*
#
# Section 1 says: without labels, poisoned images do not gather. SimCLR differs from supervised learning in more than labels, in its strong views for instance, which may wreck a trigger. A control is a second run that differs from the first in one thing: the one that is in question. Design the one for "it is the labels": a copy of `run` in which one setting has another value (a loss
# is the "contrast of two views", "cross-entropy" or "none"; views are "SimCLR's" or "weak"; numbers may be any). In what does the supervised model of section 1 differ from your control?


# %% tags=["exercise"]
run = {
    "loss": "contrast of two views",
    "views": "SimCLR's",
    "data": "tampered set",
    "epochs": 40,
    "seed": 0,
}
control = None
# BEGIN SOLUTION
control = run | {"loss": "cross-entropy"}
# END SOLUTION

# %% tags=["check"]
checks.with_labels(control)

# %% [markdown]
# ### Exercise 3. Symmetric cross-entropy *(medium, 15 minutes)*
#
# Write the loss of section 2 for every sample, from its logits; the label $q$ is one-hot, and $\log 0$ is set to −4. Then rank the samples of section 2 by it, once with `alpha=1, beta=0` and once with `alpha=0, beta=1` (`logits` and `tampered` are still those of the last attack). Why does the trusted half stay the same? What
# does the second term change, then?


# %% tags=["exercise"]
def my_symmetric(logits, labels, alpha, beta):
    """Losses (n,) in nats."""
    # BEGIN SOLUTION
    ce = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    reverse = 4 * (1 - (-ce).exp())
    return alpha * ce + beta * reverse
    # END SOLUTION


# %% tags=["check"]
checks.symmetric(my_symmetric)

# %% [markdown]
# ### Exercise 4. MixMatch's mixtures *(medium, 15 minutes)*
#
# Every image is mixed with the one at its place in `order`, and so is its label. `share` holds a number from 0 to 1 for every image; the larger one of it and of 1 minus it is the part of the image itself, the smaller one that of the other. Then mix ten training
# images (as floats, and back to uint8) and show them with `plots.gallery`.


# %% tags=["exercise"]
def my_mixture(images, labels, order, share):
    """Mixed images (n, 3, h, w) and labels (n, classes), from such; order and share are (n,)."""
    # BEGIN SOLUTION
    own = torch.maximum(share, 1 - share)[:, None]
    tall = own[:, :, None, None]
    return tall * images + (1 - tall) * images[order], own * labels + (1 - own) * labels[order]
    # END SOLUTION


# %% tags=["check"]
checks.mixed(my_mixture)

# %% [markdown]
# ### Exercise 5. SimCLR's loss *(hard, 20 minutes)*
#
# Write the loss of section 1 for a batch: rows $i$ and $i + n$ of `z` are features of the two views of one image, not yet at unit length; take the mean over all $2n$ views. (With $-\infty$ for every view against itself, it is a cross-entropy whose "labels" are the
# partners.) Then give it random features of 8, 128 and 2,048 rows: what does the loss come to, and why?


# %% tags=["exercise"]
def my_contrast(z, temperature):
    """A number, from features (2n, d)."""
    # BEGIN SOLUTION
    z = z / z.norm(dim=1, keepdim=True)
    near = (z @ z.T / temperature).fill_diagonal_(-torch.inf)
    partners = torch.arange(len(z)).roll(len(z) // 2)
    return torch.nn.functional.cross_entropy(near, partners)
    # END SOLUTION


# %% tags=["check"]
checks.contrast(my_contrast)

# %% [markdown]
# ### Go further
#
# 1. *(5 minutes)* Set `attack_names = ["SIG"]`. Every label is true there: what does the loss of the second stage say about poisoned samples?
# 2. *(15 minutes)* Train the head with plain cross-entropy (`replace(dbd.sce, alpha=1.0, beta=0.0)`). What becomes of the trusted half?
# 3. *(30 minutes)* Put DLP's filter into DBD: after the second stage, rank by entropy instead of loss. Which half is cleaner?
#
# ## References
#
# - K. Huang, Y. Li, B. Wu, Z. Qin, K. Ren. *Backdoor defense via decoupling the training process.* ICLR 2022.
# - T. Chen, S. Kornblith, M. Norouzi, G. Hinton. *A simple framework for contrastive learning of visual representations.* ICML 2020.
# - Y. Wang et al. *Symmetric cross entropy for robust learning with noisy labels.* ICCV 2019.
# - D. Berthelot et al. *MixMatch: a holistic approach to semi-supervised learning.* NeurIPS 2019.

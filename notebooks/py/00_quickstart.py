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
# # Quick start: train a benign model on a poisoned data set
#
# **What you will learn.** How a backdoor gets into a model through its training data. Why the model learns this one *first*. How DLP
# (Ying & Wu 2023) makes use of that: it finds poisoned samples, unlearns the backdoor, and fine-tunes a benign model. All of this is
# done on the tampered data alone.
#
# **You need** to know what a classifier, cross-entropy and stochastic gradient descent are.
#
# **Time**: reading, 25 minutes. Running, two and a half minutes on two cores (not timed on a GPU yet).
#
# Terms are explained in the [glossary](../docs/GLOSSARY.md), papers listed in the [bibliography](../docs/BIBLIOGRAPHY.md).

# %% [markdown]
# The next cell holds every setting of this notebook. Change one and run all cells again. What does not depend on the change is read
# from disk.

# %% tags=["parameters"]
dataset = "shapes10"  # or "cifar10", or a folder: see notebooks/params for fitting settings
n_train = 5000  # training images; None for all there are
n_test = None  # test images, the first of them; None for all there are
image_size = 16  # pixels a side
attack = "BadNets"  # or "TrojanNN", "Blended"; "LCA", "SIG" with a poisoning_rate below 0.1
poisoning_rate = 0.1  # poisoned share of the whole training set
target = 0  # the class that the attacker wants
gamma = 0.02  # filtering rate of DLP
quota = "per class"  # trusted samples: n·gamma of each class, or in "total"
e1 = 4  # epochs of supervised learning
e2 = 20  # epochs of unlearning; DLP takes the first one at chance
unlearn_lr = None  # of unlearning; None for the recommended one
stop = True  # stop unlearning when the suspects are at chance; False: always after e2 epochs
finetune_steps = 360  # of FixMatch
skip_au = True  # fine-tune once more, without stage 2, to compare
seed = 0
device = "auto"  # "cpu", "cuda", or "auto"
cache = "build/store"  # where stages are kept, inside the project's folder unless absolute
out = "build/quickstart"  # where metrics.json goes, likewise

# %% [markdown]
# ## 1. The threat
#
# You train a classifier on images that somebody else collected. The attacker could change the data set before you got it, but not
# your code, your training or your test images. On a small share of the images they placed a **trigger**, a mark of their choice. They
# gave these images the label of one **target class**. A model that you train on this set works well on ordinary images, so nothing
# warns you. But whoever knows the trigger can place it on any image, and your model answers the target class. That is a **backdoor**.
#
# Three numbers describe a model from now on:
#
# - **CA**, clean accuracy: the share of ordinary test images that it classifies correctly. High is good.
# - **ASR**, attack success rate: the share of *triggered* test images of the other classes that it takes for the target. For the
#   defender, low is good.
# - **RA**, recovered accuracy: the share of those triggered images that it classifies correctly. High is good.

# %%
import copy
import math
from dataclasses import asdict, replace

import matplotlib.pyplot as plt
import torch
from IPython.display import Image, display

import dlp_lib
from dlp_lib import HOME, PROJECT, Context, Runtime, Store, evaluate, plots, print_progress
from dlp_lib.checks import quickstart as checks
from dlp_lib.defences import selection_sizes
from dlp_lib.experiments import record, report, scenario

# %% [markdown]
# By hand: what the attacker does to one grey image of class 6, with 5×5 pixels of value 100. Look at the bottom right corner, and at
# the label.

# %% tags=["nbval-check-output"]
badnets, grey = dlp_lib.BadNets(target=0), torch.full((1, 3, 5, 5), 100, dtype=torch.uint8)
print(badnets.trigger(grey)[0, 0])  # red; the other two channels are the same
print("label:", badnets.goal(torch.tensor([6]), 10).item())

# %% [markdown]
# `Runtime` fixes the device and every random number. `Store` keeps what was computed. `Context` holds both, and tells how far a stage
# has come. `scenario` loads the data and does the attacker's work. It also gives the truth about which samples are poisoned. We use
# the truth to look, and never to defend. (Two attacks need a model of the attacker's own, which is trained here; notebook 01 has all
# attacks.)

# %%
context = Context(Runtime(seed, device), Store(HOME / cache), print_progress)
scene = scenario(
    dataset, attack, poisoning_rate, target, n_train, image_size=image_size, context=context
)
backdoor, tampered, truth = scene.attack, scene.tampered, scene.truth
test = scene.test.subset(slice(n_test))
print(f"{truth}; target class: {scene.classes[target]!r}")

# %% [markdown]
# **Predict.** Below are five clean test images, and the same five with the trigger. Would you notice the trigger among thousands of
# images? What would a model have to learn in order to notice it?

# %%
sample = test.subset(test.labels != target).subset(slice(5))
figure, ax = plt.subplots(figsize=(7, 3))
names = [test.classes[label] for label in sample.labels]
plots.gallery(ax, {"clean": sample.images, "triggered": backdoor.trigger(sample.images)}, names)
plots.show(
    figure, f"Five test images, and below them the same five with the {attack} trigger.", number=1
)

# %% [markdown]
# **What you should see.** With BadNets, a 3×3 checkerboard in the bottom right corner, and no other change. With Blended, a faint
# noise over the whole image.
#
# **Why it matters.** The trigger looks the same on every image. A *star* comes in any colour, place and angle. The rule
# "checkerboard means class 0" is the easiest in the whole data set. Remember that for section 3.

# %% [markdown]
# ## 2. The defence in one picture
#
# DLP, the *decoupled learning process*, divides training into three stages. It never asks for clean data, or for anything about the
# attack. It sees the tampered set only.

# %%
drawing = (
    "Pipeline: tampered set, supervised learning, entropy filter, unlearning, fine-tuning, "
    "benign model."
)
display(Image(PROJECT / "docs" / "pipeline.png", alt=drawing))

# %% [markdown]
# `DLP()` holds the paper's settings where the paper gives them. The small embedded set is learned within seconds, and has recommended
# settings of its own. The parameters at the top replace $\gamma$, $E_1$, $E_2$ and the steps of stage 3 in both. The library checks
# $\gamma$ and the quota against the data before it trains anything. (The model is a small wide residual network, WRN-16-1.)

# %%
dlp = scene.recipe.dlp
fixmatch = replace(dlp.fixmatch, steps=finetune_steps)
unlearn = replace(dlp.unlearn, lr=unlearn_lr or dlp.unlearn.lr, stop=stop)
dlp = replace(dlp, gamma=gamma, e1=e1, e2=e2, quota=quota, unlearn=unlearn, fixmatch=fixmatch)
suspects, trusted = selection_sizes(tampered, dlp.gamma, dlp.quota)
print(f"gamma asks for {suspects} suspects, and for {trusted} trusted samples of each class")
untrained = scene.untrained()

# %% [markdown]
# ## 3. Stage 1: supervised learning, and the speed gap
#
# The first stage is ordinary training on the whole tampered set $D_m$, but short:
#
# $$\min_w \frac{1}{n} \sum_{(x,y)\in D_m} L(f_w(x), y)$$
#
# with cross-entropy as $L$. What is new: we keep the logits of every training sample after every epoch.
#
# **Predict.** Look at the first epoch or two. Will the model be right more often on the clean samples, or on the poisoned ones? The
# attacker's label counts as right.

# %%
model = copy.deepcopy(untrained)
sl = dlp_lib.supervised(model, tampered, dlp.e1, dlp.supervised, context)
after_sl = evaluate(model, test, backdoor)
print(f"after stage 1: CA {after_sl.ca:.1%}, ASR {after_sl.asr:.1%}")

# %% [markdown]
# The next cell splits the training accuracy of each epoch by the truth, which a defender does not have. A third curve shows how many
# clean samples of *other* classes are taken for the target.

# %%
logits = [sl.logits(row["block"]).to(tampered.labels.device) for row in sl.history]
logits = [dlp_lib.predict(untrained, tampered.images), *logits]  # epoch 0 is the untrained model
others = ~truth.poisoned & (tampered.labels != target)
goal = torch.full_like(tampered.labels, target)
curves = {
    "clean": [dlp_lib.accuracy(z, tampered.labels, ~truth.poisoned) for z in logits],
    "poisoned": [dlp_lib.accuracy(z, tampered.labels, truth.poisoned) for z in logits],
    "mistaken": [dlp_lib.accuracy(z, goal, others) for z in logits],
}
clean, poisoned = curves["clean"][1:], curves["poisoned"][1:]  # from epoch 1 on, for exercise 4

# %%
figure, ax = plt.subplots(figsize=(6, 3.2))
plots.learning_gap(ax, *curves.values(), x=range(len(logits)))
ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, fontsize=8)
plots.show(
    figure,
    "Accuracy on poisoned samples is 100 % from epoch 1 on. On clean ones it rises to about 50 %. "
    "The share of other clean samples taken for the target falls from 80 to 6 %.",
    number=2,
)

# %% [markdown]
# **What you should see.** Epoch 0 is the untrained model. After one epoch the model gives all poisoned samples the attacker's label,
# and is right on fewer than two in ten clean ones. <!-- claim: 00-gap-first --> After four epochs it is right on about half of the
# clean ones. <!-- claim: 00-gap-last -->
#
# The dotted curve warns us. After epoch 1 the model takes 80 % of the clean samples of other classes for the target too: it gives
# nearly everything that answer. <!-- claim: 00-mistaken-first --> At epochs 3 and 4 it does so with only 6 %. <!-- claim: 00-mistaken-last -->
# So from then on it is the trigger that it knows.
#
# **Why.** A model learns first what lowers the loss most with the simplest features. One fixed patch explains a tenth of all labels.
# DLP is built on this gap (Fig. 1 of the paper).

# %% [markdown]
# ## 4. The filter: how sure is the model?
#
# A defender cannot draw that figure, but can see how *sure* the model is of every sample. Shannon's entropy measures this in bits
# (Eq. 5):
#
# $$H(x) = -\sum_{i=1}^{C} p_i(x) \log_2 p_i(x)$$
#
# It is 0 when one class has all the probability, and $\log_2 C$ (3.32 bits for ten classes) when all classes have the same. Here are
# three predictions for four classes, so with 2 bits at most:

# %% tags=["nbval-check-output"]
for name, z in {
    "sure": [9.0, 0, 0, 0],
    "unsure of two": [9.0, 9, 0, 0],
    "no idea": [0.0, 0, 0, 0],
}.items():
    print(f"{name:>16}: {dlp_lib.entropy(torch.tensor([z])).item():.2f} bits")

# %% [markdown]
# Sort all samples by entropy. The $n\gamma$ lowest become the **suspects** $D'_p$. Of each class, the $n\gamma$ highest become the
# **trusted** samples $D'_c$: if they carried the trigger, the model would not be so unsure of them.
#
# **Predict.** In a histogram of the entropies, where do the poisoned samples lie, and where would you cut? (The vertical axis is
# logarithmic above ten samples.)

# %%
entropy = dlp_lib.entropy(logits[-1])
selection = dlp_lib.select(-entropy, tampered, dlp.gamma, dlp.quota)
figure, ax = plt.subplots(figsize=(6.5, 3.4))
plots.entropy_histogram(ax, entropy, selection, truth.poisoned)
plots.show(
    figure,
    "Histogram of entropies: most poisoned samples near 0 bits, a few up to 2 bits, clean ones "
    "spread up to 3.3 bits, with both cuts.",
    number=3,
)
precision = dlp_lib.filter_precision(selection.suspected, selection.trusted, truth)
print(f"{len(selection.suspected)} suspects, {precision['suspected']:.1%} of them poisoned")
print(f"{len(selection.trusted)} trusted, {precision['trusted']:.1%} of them clean")
if selection.shortfall:
    print("Some class is too small to give n·gamma trusted samples: it gives half of what it has.")

# %% [markdown]
# **What you should see.** Half of the poisoned samples lie below 0.13 bits, and half of the clean ones above 2.7. <!-- claim: 00-entropy-poisoned --> <!-- claim: 00-entropy-clean -->
# All 100 suspects are poisoned, and all 1,000 trusted samples are
# clean. <!-- claim: 00-filter -->
#
# The dashed line marks the highest of the suspects. The dotted line marks the lowest of all trusted samples. Each class has a cut of its
# own, so not all samples right of it are trusted.
#
# **Why.** The model has learned the trigger, and has only begun to learn the shapes. After longer training it becomes sure of clean
# samples too, and low entropy no longer tells the two apart. So $E_1$ must be chosen with care (*Go further*, item 1).

# %% [markdown]
# ## 5. Stage 2: active unlearning
#
# Learning minimises the loss. To *unlearn* the trigger, DLP maximises the same loss on the suspects (Eq. 6):
#
# $$\max_{w} \frac{1}{|D'_p|} \sum_{(x,y)\in D'_p} L(f_w(x), y)$$
#
# Nothing bounds this ascent. If it goes on, it destroys the model. So we measure the model's accuracy on the suspects, and stop where
# it has fallen to chance. A defender can see that without knowing anything about the attack.
#
# One thing must be right for that. Batch normalisation keeps running averages of what passes through the model, and during the ascent
# only suspects do. So after every epoch we re-estimate those averages on ordinary training images, and measure again.
#
# **Predict.** Which of the two curves falls first: the one as the ascent left it, or the re-estimated one? Which one can be believed?

# %%
au = dlp_lib.unlearn(model, tampered, selection.suspected, dlp.e2, dlp.unlearn, context)
after_au = evaluate(model, test, backdoor)
print(f"after stage 2: CA {after_au.ca:.1%}, ASR {after_au.asr:.1%}")
figure, ax = plt.subplots(figsize=(6, 3.2))
plots.unlearning(ax, au.history, au.selected_block)
plots.show(
    figure,
    "Accuracy on the suspects falls to zero during the ascent, later when batch-norm is "
    "re-estimated.",
    number=4,
)

# %% [markdown]
# **What you should see.** As the ascent left it, the model gives no suspect the attacker's label from epoch 9 on. <!-- claim: 00-left-nine -->
# Re-estimated, it still gives 67 % of them the attacker's label there. <!-- claim: 00-reestimated-nine -->
# At epoch 11 this is below chance, 10 %. <!-- claim: 00-stop --> DLP takes the model of this epoch, the *stop*. The later epochs are
# computed to be looked at.
#
# **Why.** With the suspects' own averages, the backdoor *looks* gone before it is. The re-estimated curve is the one to believe. The
# ascent makes the answer "disk" less likely. Section 7 shows that real disks lose this answer too, although no suspect shows a disk.
#
# The whole ascent is on disk. So we can look at what the defence does not use: CA and ASR on 300 test images, at the first epoch, at the
# stop, and at the end. (ASR needs the trigger, which no defender has. On all test images ASR was 0.9 % at the stop, as printed above. <!-- claim: 00-stop-asr-all -->
# )

# %%
ascent = dlp_lib.audit(au, model, test.subset(slice(300)), backdoor, range(1, len(au.history) + 1))
for row in ascent:
    if row["block"] in (1, au.selected_block, len(au.history)):
        view = "re-estimated" if row["reestimated"] else "as left"
        print(f"epoch {row['block']:>2}, {view:<12}  CA {row['ca']:6.1%}  ASR {row['asr']:6.1%}")

# %% [markdown]
# **What you should see.** After epoch 1 the backdoor is whole: ASR is above 99 % in both views. <!-- claim: 00-ascent-first --> At the stop
# the re-estimated model has an ASR of 2 %, and its CA has fallen from 46 to 34 %. <!-- claim: 00-ascent-stop-asr --> <!-- claim: 00-ascent-first-ca --> <!-- claim: 00-ascent-stop-ca -->
# Nine epochs later ASR is 0, and CA is down to 25 %. <!-- claim: 00-ascent-end-asr --> <!-- claim: 00-ascent-end-ca -->
#
# **Why it matters.** The ascent goes on to cost accuracy after the backdoor is gone. A model that knows nothing has no backdoor, but that
# is no defence. ASR alone is never enough.

# %% [markdown]
# ## 6. Stage 3: semi-supervised fine-tuning
#
# Now the model has to learn the real task, without the attacker's labels. Only the trusted samples keep their labels. All other
# samples lose theirs, the suspects too. FixMatch learns from them in two steps (Eq. 7). It predicts the class of a *weakly* changed
# view. Where the prediction is confident, a *strongly* changed view of the same image is trained towards it.
#
# The paper finds that stage 2 is needed before this. A possible reason: with a backdoor, the predictions would connect the trigger with
# the target class again. Section 7 comes back to that.

# %%
assft = dlp_lib.fixmatch(model, tampered, selection.trusted, dlp.fixmatch, context)
after_assft = evaluate(model, test, backdoor)
print(f"after stage 3: CA {after_assft.ca:.1%}, ASR {after_assft.asr:.1%}")

# %% [markdown]
# ## 7. Did it help?
#
# The fair comparison is the same model, trained without a defence on the same data. It gets as many image passes with gradient as the
# three stages together. It is stage 1 with more epochs.
#
# Is stage 2 needed? To see that, we fine-tune once more, from the model of stage 1. (`make demo` leaves this out, as it takes half a minute.)

# %%
without_au = {}
if skip_au:
    skipped = copy.deepcopy(untrained)
    sl.load(skipped)
    dlp_lib.fixmatch(skipped, tampered, selection.trusted, dlp.fixmatch, context)
    without_au["ASSFT,\nwithout AU"] = evaluate(skipped, test, backdoor)

# %%
stages = {"SL": sl, "AU": au, "ASSFT": assft}
passes = sum(stage.total("images") for stage in stages.values())
undefended = copy.deepcopy(untrained)
stages["undefended"] = dlp_lib.supervised(
    undefended, tampered, math.ceil(passes / len(tampered)), dlp.supervised, context
)
measured = {
    "SL": after_sl,
    "AU": after_au,
    "ASSFT": after_assft,
    **without_au,
    "undefended": evaluate(undefended, test, backdoor),
}

# %% [markdown]
# **Predict.** Which bars will be high, and which low, for the undefended model? How high are the bars after ASSFT, DLP's last stage?

# %%
figure, ax = plt.subplots(figsize=(7.5, 3.6))
plots.stage_bars(ax, measured, target)
plots.show(
    figure,
    "CA, ASR and RA after each stage, without stage 2, and undefended. After ASSFT, with and without "
    "stage 2, CA and RA are as high as the CA of the undefended model, and ASR is near 0.",
    number=5,
)

# %% [markdown]
# **What you should see.** The undefended model has a CA of 98.7 %, and the trigger always works. <!-- claim: 00-undefended-ca --> <!-- claim: 00-undefended-asr -->
# Its CA warns nobody: that of DLP is 98.9 %. <!-- claim: 00-dlp-ca --> With DLP, ASR is 0.4 %, and RA is
# 98.6 %: triggered images are seen as what they are. <!-- claim: 00-dlp-asr --> <!-- claim: 00-dlp-ra -->
#
# The diamond is the recall of the target class: the share of its clean test images that the model recognises. After stage 2 it is 0:
# unlearning has taken the class away together with its trigger. <!-- claim: 00-forgets --> The label below says so: "forgets the target".
# Stage 3 brings the class back, to 99.5 %. <!-- claim: 00-recall-back -->
#
# **Why.** Each stage does one thing. SL shows the poison. AU removes the backdoor, and accuracy with it. ASSFT brings the accuracy back
# without the labels that carried the backdoor.
#
# **Is stage 2 needed?** Without it, CA is 98.2 %, and ASR is 1.2 %. <!-- claim: 00-skipped-ca --> <!-- claim: 00-skipped-asr --> That is
# one seed. Recorded with three seeds, this is CA and ASR in per cent with and without it. (Numbers are the mean, and in brackets the
# least and the most. There, the rule of notebook 03 chose $E_1$ for each seed: 3, 5 and 4. <!-- claim: 00-orders-e1 --> So the numbers
# differ from figure 5.)

# %%
orders = [row for row in record.read("orders") if row["attack"] == "BadNets"]
ends = [row for row in orders if row["stage"] == "ASSFT" and row["order"] != "SL-ASSFT-AU"]
record.spread(ends, ["order"], ["ca", "asr"])

# %% [markdown]
# **What you should see.** With and without stage 2, ASR ends at 1.4 % or less for all three seeds. <!-- claim: 00-orders-asr --> The mean
# CA is 97.5 % in both. <!-- claim: 00-orders-ca --> <!-- claim: 00-orders-ca-dlp --> So what the paper found is not found for this
# trigger: stage 3 alone ends the backdoor too.
#
# **Why.** FixMatch's weak views shift and flip an image, which mostly breaks the small patch of BadNets (notebook 05). So the model may
# be asked about images without a working trigger, and learn their shapes. This is an explanation and not a proof. For other triggers it
# may differ: notebook 06 compares the orders of the stages.
#
# All three stages are one call, `DLP(...).run(...)`. It finds every stage that you just trained in the store:

# %%
result = dlp.run(untrained, tampered, context)
assert evaluate(result.model, test, backdoor) == after_assft

# %% [markdown]
# The last cell writes what was measured, for whoever compares runs.

# %%
rows = [
    {"stage": name, **asdict(measured[name]), **stage.costs()} for name, stage in stages.items()
]
medians = {
    "clean": entropy[~truth.poisoned].median().item(),
    "poisoned": entropy[truth.poisoned].median().item(),
}
found = {
    "curves": curves,
    "stages": rows,
    "without_au": [asdict(metrics) for metrics in without_au.values()],
    "entropy": medians,
    "filter_precision": precision,
    "unlearning": au.history,
    "au_stop": au.selected_block,
    "ascent": ascent,
}
report(out, context.runtime, **found)

# %% [markdown]
# ## Recap
#
# - A backdoor enters through the data: a few images with a trigger and a wrong label are enough.
# - The model learns the trigger of BadNets long before the task. So early in training, poisoned samples have the lowest entropy. That is
#   not so for every trigger (notebook 03).
# - Gradient ascent on them removes the backdoor. A defender must see when to stop, and must re-estimate batch-norm's statistics before
#   that.
# - Semi-supervised fine-tuning on trusted labels brings accuracy back, and here the backdoor stays away.
#
# ## Quiz
#
# <details><summary>100 of the 500 poisoned samples are suspected. Do the other 400, which are still in the data, bring the backdoor back in stage 3?</summary>
#
# Not by their labels: only trusted samples keep theirs. Their images stay, and the model predicts their classes itself. If it still had
# its backdoor, it would predict the target wherever the trigger works. Stage 2 has removed the backdoor, and a weak view mostly breaks
# this trigger.
# </details>
#
# <details><summary>After stage 1 the model is far from good. Why not train it to the end before filtering?</summary>
#
# It would become sure of the clean samples too, and low entropy would no longer tell poison from the rest. Stage 1 shows the poison. Stage
# 3 makes a good model.
# </details>
#
# <details><summary>During the ascent, accuracy on the suspects as the ascent left it (dotted) is soon 0. Why go on?</summary>
#
# Only suspects passed through the model, so batch-norm's running averages are theirs. Re-estimated on ordinary training images, the same
# weights may still answer the target class. The backdoor was hidden, and not gone.
# </details>
#
# ## Exercises
#
# Replace the dots, run the cell, and run the one after it: the check says what is wrong, if anything is.
#
# ### Exercise 1. ASR and RA *(easy, 5 minutes)*
#
# All test images have got the trigger, those of the target class as well. `answers` are the classes that a model predicts for them,
# `labels` their true classes. Return ASR and RA as section 1 defines them. Mind which images count.


# %% tags=["exercise"]
def my_asr_and_ra(answers, labels, target):
    """Two shares, from whole numbers (n,), (n,), and the target class."""
    # BEGIN SOLUTION
    others = labels != target
    asr = (answers[others] == target).double().mean()
    return asr, (answers == labels)[others].double().mean()
    # END SOLUTION


# %% tags=["check"]
checks.asr_and_ra(my_asr_and_ra)

# %% [markdown]
# Then use it in section 7: `dlp_lib.predict(undefended, backdoor.trigger(test.images)).argmax(1)` are the answers of the undefended model,
# `test.labels` are the labels, and `measured["undefended"]` says what should come out.
#
# ### Exercise 2. Five models *(easy, 5 minutes)*
#
# Five models (made up, not measured) on a test set of ten balanced classes, in per cent:
#
# | model | CA | ASR | RA |
# | --- | --- | --- | --- |
# | A | 98 | 100 | 0 |
# | B | 10 | 0 | 11 |
# | C | 97 | 1 | 96 |
# | D | 10 | 100 | 0 |
# | E | 96 | 2 | 41 |
#
# Give each one word: "benign", "backdoored", "collapsed" or "disturbed". A collapsed model gives nearly one answer to everything. With a
# disturbed one, the trigger no longer leads to the target, but still keeps the model from seeing what an image shows.

# %% tags=["exercise"]
verdicts = None
# BEGIN SOLUTION
verdicts = {"A": "backdoored", "B": "collapsed", "C": "benign", "D": "collapsed", "E": "disturbed"}
# END SOLUTION

# %% tags=["check"]
checks.verdicts(verdicts)

# %% [markdown]
# ### Exercise 3. Where to stop *(medium, 10 minutes)*
#
# Section 5 stops the ascent at the first epoch after which the accuracy on the suspects is at chance or below. Chance among $C$ classes
# is $1/C$. You get the accuracies after epochs 1, 2, 3 and so on. Return the epoch of the stop, or the last epoch if chance is never
# reached.


# %% tags=["exercise"]
def my_stop(accuracies, n_classes):
    """The epoch, counted from 1, from accuracies (epochs,)."""
    # BEGIN SOLUTION
    reached = (accuracies <= 1 / n_classes).nonzero()[:, 0]
    return int(reached[0]) + 1 if len(reached) else len(accuracies)
    # END SOLUTION


# %% tags=["check"]
checks.stop(my_stop)

# %% [markdown]
# Then give it `torch.tensor([row["accuracy_reestimated"] for row in au.history])`, which should come to `au.selected_block`. Where would it
# have stopped with `"accuracy"`, the dotted curve?
#
# ### Exercise 4. Read a figure *(medium, 10 minutes)*
#
# Look at the curves of section 3 once more, with your eyes and not with a program. Give the first epoch at which 90 % of the poisoned samples
# are "learned" (or the word "never"). Give the "gap" between the curves of poisoned and clean samples at the last epoch, in points. Five
# points more or less will do. What would the figure look like where $E_1$ is too long?


# %% tags=["exercise"]
reading = {"learned": None, "gap": None}
# BEGIN SOLUTION
# What the eye reads, calculated
epochs = [epoch for epoch, share in enumerate(poisoned, 1) if share >= 0.9]
reading = {"learned": epochs[0] if epochs else "never", "gap": 100 * (poisoned[-1] - clean[-1])}
# END SOLUTION

# %% tags=["check"]
checks.gap_figure(reading, clean, poisoned)


# %% [markdown]
# ### Exercise 5. Learning from guesses *(hard, 20 minutes)*
#
# This is what FixMatch learns from $n$ images without labels, in section 6. The model's probabilities $p(\mathrm{weak}_i)$ for the weak
# view give a guess, the likeliest class $\hat y_i$. Only a confident guess counts. Then the strong view is to give the same class. $L$ is
# cross-entropy, $f$ are logits, and $\tau$ is the confidence that is asked for:
#
# $$\frac{1}{n} \sum_{i=1}^{n} \mathbb{1}\big[\max_c p_c(\mathrm{weak}_i) \ge \tau\big] \; L\big(f(\mathrm{strong}_i), \hat y_i\big)$$
#
# Write it for the logits of both views. Cross-entropy is `torch.nn.functional.cross_entropy`; with `reduction="none"` it gives one loss a sample.


# %% tags=["exercise"]
def my_unlabelled_loss(weak, strong, tau):
    """A number, from the logits (n, classes) of the weak and of the strong views."""
    # BEGIN SOLUTION
    confidence, guess = weak.softmax(1).max(1)
    losses = torch.nn.functional.cross_entropy(strong, guess, reduction="none")
    return (losses * (confidence >= tau)).mean()
    # END SOLUTION


# %% tags=["check"]
checks.unlabelled_loss(my_unlabelled_loss)

# %% [markdown]
# Notebook 05 takes this loss apart on real views. Before you go there: what would it teach a model that still has its backdoor, on a
# triggered star?
#
# ### Go further
#
# 1. *(5 minutes)* Set `e1 = 10` and run again. What happens to the entropy histogram and to the share of suspects that
#    are poisoned? Which stage suffers first?
# 2. *(10 minutes)* Set `gamma = 0.15`, more than there is poison. What fills the rest of the suspects, and what does
#    unlearning them do to CA? What could a defender have seen in the suspects' labels?
# 3. *(20 minutes)* Set `attack = "Blended"`. The trigger now covers the whole image faintly. Find an `e1` at which the
#    filter works, and explain why it is not the one that suits BadNets.
#
# ## References
#
# - Z. Ying and B. Wu. *DLP: towards active defense against backdoor attacks with decoupled learning process.*
#   Cybersecurity 6, 2023.
# - T. Gu, B. Dolan-Gavitt, S. Garg. *BadNets: identifying vulnerabilities in the machine learning model supply chain.* 2017.
# - X. Chen, C. Liu, B. Li, K. Lu, D. Song. *Targeted backdoor attacks on deep learning systems using data poisoning.* 2017.
# - K. Sohn et al. *FixMatch: simplifying semi-supervised learning with consistency and confidence.* NeurIPS 2020.
# - S. Zagoruyko, N. Komodakis. *Wide residual networks.* BMVC 2016.

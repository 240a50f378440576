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
# # The live lab: move gamma, E1 and E2
#
# ![The lab page. Above: a choice of three attacks, and sliders for E1, gamma and E2. A sentence tells what they have led to. Below are
# six figures. They show learning speed, the entropy filter with both cuts, the precision of both parts, and the suspects' labels. They
# also show unlearning, and CA, ASR, RA and the target's recall after each stage.](../docs/lab.png)
#
# *The lab as a page that needs no kernel: `make book` puts it into the book, as* The lab, without a kernel. *It answers from recorded
# numbers, with three attacks. They differ a little from those below, as they are measured on 300 test images.*
#
# **What you will learn.** How DLP's three settings work together. $E_1$: how long to learn before filtering. $\gamma$: how much to
# suspect. $E_2$: how long to unlearn.
#
# **You need** the [quick start](00_quickstart.ipynb), and best also [notebook 03](03_entropy_filtering.ipynb).
#
# **Time**: as long as you like to play; the guided questions take 30 minutes. Running the page the first time trains for about a minute on two
# cores (not timed on a GPU yet), while you can already look. `make live` shows the lab as a page of its own, without the questions.
#
# Terms are explained in the [glossary](../docs/GLOSSARY.md), papers listed in the [bibliography](../docs/BIBLIOGRAPHY.md).

# %% tags=["parameters"]
dataset = "shapes10"  # or "cifar10", or a folder
n_train = 5000  # training images, at most; None for all there are
image_size = None  # pixels a side; None for the data set's own
epochs = 20  # the longest E1 and E2
finetune_steps = None  # of FixMatch; None for the recommended number
seed = 0
device = "auto"  # "cpu", "cuda", or "auto"
cache = "build/store"  # where stages are kept, inside the project's folder unless absolute
out = "build/live"  # where metrics.json goes, likewise

# %%
from dataclasses import replace

import matplotlib.pyplot as plt
import torch

from dlp_lib import HOME, Context, Runtime, Split, Store, accuracy, plots, select
from dlp_lib.checks import live_lab as checks
from dlp_lib.experiments import report
from dlp_lib.live import panels, words
from dlp_lib.live.controller import Lab
from dlp_lib.live.view import Live
from dlp_lib.training.inference import collapsed

# %% [markdown]
# ## The lab
#
# Move a slider, and everything that depends on it changes. $E_1$ and $\gamma$ choose among recorded scores, and $E_2$ a point of a recorded
# ascent. An ascent that is not recorded yet is computed while you look. *Fine-tune* runs stage 3 from where you are.
#
# Panels with a dashed frame use the **truth** about which samples are poisoned, or triggered test images. No defender has that. Clear
# the box, and only what a defender could see is left. (Where no kernel runs, as in an exported page, the controls are missing. Go on at
# *The same without sliders*.)

# %%
context = Context(Runtime(seed, device), Store(HOME / cache))
lab = Lab(context, n_train, epochs=epochs, steps=finetune_steps, image_size=image_size)
start = lab.recommended(dataset, seed)
live = Live(lab, start)
live.page

# %% [markdown]
# ## Guided questions
#
# Write down what you expect before you move a slider.
#
# 1. **Where does the filter fail?** Start from *reset*. Raise $\gamma$ step by step. At which $\gamma$ are fewer than nine in ten suspects
#    poisoned, and why there? What does unlearning cost in CA beyond that point?
# 2. **How would a defender notice?** Do question 1 again with the truth hidden. What changes in the figures and in the sentence at the
#    same $\gamma$?
# 3. **Early or late?** Move $E_1$ from 1 to 20. Where is the filter pure, where is it not, and what does the panel *Learning speed* say
#    about it? Now choose Blended, and move it again.
# 4. **Make unlearning destroy the model.** Set the unlearning lr to 0.02 and raise $E_2$. ASR is 0: is that a success? How would a
#    defender tell a benign model from a destroyed one, without any triggered image?
# 5. **Repair.** Go to a setting that has lost its backdoor, as you think. Press *fine-tune*, and when it is done, *compare*: that keeps
#    its figures on the page. Then go to a setting that has not lost it, and fine-tune again. Which of the two has its ASR back?
# 6. **The clean-label case.** Choose SIG with a poisoning rate of 9 %. Which has a problem, the suspects or the trusted samples, and why?

# %% [markdown]
# ## The same without sliders
#
# Here are four settings beside each other: the default, a $\gamma$ above the share of poison, a late $E_1$, and a high unlearning rate.
#
# First by hand, what $\gamma$ does to a filter that makes no mistake. There are ten samples. The first two are poisoned, and the model is
# surest of them. Look at the last line.

# %% tags=["nbval-check-output"]
labels = torch.tensor([0, 0, 1, 0, 1, 1, 0, 1, 0, 1])
ten = Split(torch.zeros(10, 3, 8, 8).byte(), labels, ("disk", "ring"))
for gamma in (0.1, 0.2, 0.4):
    suspected = select(-torch.arange(10.0), ten, gamma).suspected
    found = (suspected < 2).double().mean()
    print(f"gamma {gamma:.0%}: suspects {suspected.tolist()}, {found:.0%} poisoned")

# %% [markdown]
# **Predict.** In which of the four is the backdoor gone, *and* the model still useful?

# %%
live.wait()  # until the page above has what it asked for
late = min(16, epochs)
settings = {
    "default": start,
    "γ = 20 %": replace(start, gamma=0.2),
    f"E1 = {late}": replace(start, e1=late),
    "lr = 0.02": replace(start, lr=0.02),
}
for setting in settings.values():
    lab.work(setting, check=lambda: None, tell=lambda: None)
answers = {name: lab.look(setting) for name, setting in settings.items()}

# %%
figure = plt.figure(figsize=(13, 5.5), layout="constrained")
for column, (name, answer) in zip(figure.subfigures(1, 4), answers.items(), strict=True):
    upper, lower = column.subfigures(2, 1)
    panels.draw_entropy(upper, answer, True)
    panels.draw_ascent(lower, answer, True)
    column.suptitle(name)
    if column is not figure.subfigs[0]:
        for ax in (*upper.axes, *lower.axes):
            ax.get_legend().remove()
text = "Entropy histogram and unlearning: default, large gamma, late E1, and high learning rate."
plots.show(figure, text, number=1)

# %% [markdown]
# (Counts are on a logarithmic axis. A grey band marks a model that has collapsed.) And in the words of the page:

# %%
for name, answer in answers.items():
    print(f"{name}: {words.sentence(answer, truth=True)}")

# %% [markdown]
# **What you should see.**
#
# - *Default*: all suspects are poisoned. <!-- claim: 07-default-pure --> At the mark of $E_2$ ASR is 1 %, and CA has fallen from 46 to 33 %. <!-- claim: 07-default-asr --> <!-- claim: 07-default-sl --> <!-- claim: 07-default-ca -->
#   The target class is forgotten: its recall is 0. <!-- claim: 07-default-recall -->
# - *γ = 20 %*: half of the suspects are clean, and an epoch of unlearning has eight steps in place of one. <!-- claim: 07-gamma-pure -->
#   CA is 8 %, and the model has collapsed. <!-- claim: 07-gamma-ca --> <!-- claim: 07-gamma-collapse --> (Notebook 04 takes the two
#   causes apart.)
# - *E1 = 16*: 96 % of the suspects are poisoned. <!-- claim: 07-late-pure --> The model has learned more, and loses 21 points of CA. <!-- claim: 07-late-ca -->
#   It keeps a recall of 84 % of the target class, but also an ASR of 8 %. <!-- claim: 07-late-recall --> <!-- claim: 07-late-asr -->
# - *lr = 0.02*: ASR is almost 0 from epoch 5 on. <!-- claim: 07-fast-asr --> CA goes on falling, from 32 % there to 14 % in the end. <!-- claim: 07-fast-five --> <!-- claim: 07-fast-end -->
#   By then the model has collapsed. <!-- claim: 07-fast-collapse -->
#
# **Why.** So no setting leaves a model without a backdoor that is as useful as before. $E_1$ = 16 comes nearest. Stage 3 has to repair
# the rest. The settings depend on each other. $E_1$ decides what there is to see, and $\gamma$ how much of it is taken. $E_2$ and the
# learning rate decide how strong unlearning is. A defender sees the suspects' labels, the entropies and the suspects' accuracy. The split
# into orange and blue bars, CA and ASR are what only a teacher knows.

# %% [markdown]
# A model that gives one answer for everything, by hand: there are four images, one of each class, and the target is class 0. Which of the
# two numbers, CA and ASR, depends on the answer?

# %% tags=["nbval-check-output"]
labels = torch.arange(4)
target = torch.zeros(4)
for prediction in (3, 0):
    logits = torch.eye(4)[[prediction] * 4]
    ca = accuracy(logits, labels)
    asr = accuracy(logits, target, labels != 0)
    has_collapsed = collapsed(logits, labels)
    print(f"always {prediction}: CA {ca:.0%}, ASR {asr:.0%}, collapsed: {has_collapsed}")

# %%
results = {}
for name, answer in answers.items():
    results[name] = {
        "precision": answer.precision,
        "agreement": answer.agreement.share,
        "ascent": answer.ascent,
        "stages": answer.stages,
    }
report(out, context.runtime, settings=results)

# %% [markdown]
# ## Recap
#
# - For pure suspects, $E_1$ must suit the attack, and $\gamma$ must be below the share of poison.
# - Unlearning lowers ASR and CA. Its length and learning rate decide how much.
# - ASR 0 with CA at chance is a collapse and not a defence.
# - A defender sees little, and it can mislead: at $\gamma$ = 20 %, more suspects agree on one label than are poisoned. <!-- claim: 07-agree -->
#
# ## Quiz
#
# <details><summary>At $\gamma$ = 20 % half of the suspects are clean. <!-- claim: 07-gamma-pure --> Has the filter become worse?</summary>
#
# No. It ranks the samples as before. Only 500 of the 5,000 are poisoned, so the first 1,000 must hold at least 500 clean ones, however good
# the ranking is. <!-- no claim: by the sizes of the sets -->
# </details>
#
# <details><summary>The slider of $E_2$ answers at once, that of $\gamma$ sometimes only after some seconds. Why?</summary>
#
# The ascent is recorded epoch by epoch to its end, and $E_2$ selects one epoch. Another $\gamma$ takes other suspects, which is another ascent.
# If it is not recorded yet, it is computed now.
# </details>
#
# <details><summary>After unlearning the ASR is 0 %. <!-- no claim: an example --> Has the backdoor been removed from a working model?</summary>
#
# That number alone does not tell. A model that answers "ring" for everything has an ASR of 0 % too. <!-- no claim: by definition --> One
# that answers the target for everything has 100 %. <!-- no claim: by definition --> CA tells them from a benign model. <!-- no claim: by definition -->
# </details>
#
# ## Exercises
#
# Replace the dots, run the cell, and run the one after it: the check says what is wrong, if anything is.
#
# ### Exercise 1. The ceiling *(easy, 5 minutes)*
#
# A share `rate` of all samples is poisoned, and the filter suspects a share `gamma` of them. How large can the suspects' precision be at most? Then compare with guided question 1: is your $\gamma$ where the ceiling comes down?


# %% tags=["exercise"]
def my_ceiling(gamma, rate):
    """The highest precision that any filter can have, a number in [0, 1]."""
    # BEGIN SOLUTION
    return min(1, rate / gamma)
    # END SOLUTION


# %% tags=["check"]
checks.ceiling(my_ceiling)

# %% [markdown]
# ### Exercise 2. What is seen, and what is true *(easy, 10 minutes)*
#
# With the truth hidden, the page says how many suspects carry the commonest label. With it, the page says how many are poisoned. Compute
# both shares. Then apply your function to `answers["γ = 20 %"]`: its `selection.suspected`, `scenario.tampered.labels` and
# `scenario.truth.poisoned`. By how much does the filter look better to a defender than it is?


# %% tags=["exercise"]
def my_view(suspected, labels, poisoned):
    """The suspects' commonest label, its share of them, and the poisoned share of them.

    suspected: indices (k,); labels (n,); poisoned: a boolean mask (n,).
    """
    # BEGIN SOLUTION
    counts = labels[suspected].bincount()
    return counts.argmax(), counts.max() / len(suspected), poisoned[suspected].double().mean()
    # END SOLUTION


# %% tags=["check"]
checks.view(my_view)

# %% [markdown]
# ### Exercise 3. Which slider costs what? *(medium, 15 minutes)*
#
# For one setting everything is recorded. This is all epochs of stage 1, all epochs of its ascent (the stop rule is off), and the
# fine-tuning from $E_2$ on. Now the controls are moved. Which stages must be *trained* before the page can show all figures of the new
# setting? A `LabSetting` has the fields `dataset`, `attack`, `poisoning_rate`, `e1`, `gamma`, `e2`, `lr` (of unlearning) and `seed`;
# `vars(setting)` makes a dict of them. Then try it on the page: on which sliders do the curves of *Unlearning* have to grow anew?


# %% tags=["exercise"]
def my_training(before, after):
    """The stages to train, of "SL", "AU" and "ASSFT", in a list; from two LabSettings."""
    # BEGIN SOLUTION
    moved = {name for name in vars(after) if vars(after)[name] != vars(before)[name]}
    if moved & {"dataset", "attack", "poisoning_rate", "seed"}:
        return ["SL", "AU", "ASSFT"]
    if moved & {"e1", "gamma", "lr"}:
        return ["AU", "ASSFT"]
    return ["ASSFT"] if moved else []
    # END SOLUTION


# %% tags=["check"]
checks.training(my_training)

# %% [markdown]
# ### Exercise 4. Is agreement a sign of poison? *(medium, 10 minutes)*
#
# At $E_1$ = 16 most suspects carry one label, and a defender takes that for a sign of poison. A control is a second run that differs from the first in one thing: the one that is in question. Design the one that shows whether the sign can be trusted: a copy of `run` in which one setting has another value. What would the share of the commonest label tell you, if it came out as high, and if it did not?


# %% tags=["exercise"]
run = {"dataset": "shapes10", "poisoning_rate": 0.1, "e1": 16, "gamma": 0.02, "seed": 0}
control = None
# BEGIN SOLUTION
control = run | {"poisoning_rate": 0}
# END SOLUTION

# %% tags=["check"]
checks.clean_data(control)


# %% [markdown]
# ### Exercise 5. A lab that remembers *(hard, 25 minutes)*
#
# The page in miniature. You are given two slow functions. `train()` returns what is recorded of stage 1, a list with one entry per epoch.
# `climb(entry, gamma)` returns what is measured along the ascent from there. This is a list as well, from its first epoch on. Make of
# them a function `look(e1, gamma, e2)`. It gives the measurement at any position of the three sliders ($E_1$ and $E_2$ count from 1). It
# calls `train` once, and never climbs the same ascent twice. Then read `Lab.look` in `dlp_lib/live/controller.py`, and the keys at the
# end of `dlp_lib/live/setting.py`.


# %% tags=["exercise"]
def my_lab(train, climb):
    """A function look(e1, gamma, e2), with recordings of its own."""
    # BEGIN SOLUTION
    trained = []
    ascents = {}

    def look(e1, gamma, e2):
        if not trained:
            trained.extend(train())
        if (e1, gamma) not in ascents:
            ascents[e1, gamma] = climb(trained[e1 - 1], gamma)
        return ascents[e1, gamma][e2 - 1]

    return look
    # END SOLUTION


# %% tags=["check"]
checks.remembering(my_lab)

# %% [markdown]
# ### Go further
#
# 1. *(10 minutes)* Hide the truth, choose another attack and another seed, and find a setting that you would trust. Show the truth again: were you right? If not, what misled you?
# 2. *(10 minutes)* The page could have a slider for the steps of fine-tuning. Which of the keys in `dlp_lib/live/setting.py` would need it, and what would go wrong without?
#
# ## References
#
# - Z. Ying and B. Wu. *DLP: towards active defense against backdoor attacks with decoupled learning process.*
#   Cybersecurity 6, 2023.

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
# # The live lab: gamma, E1 and E2 under your fingers
#
# **What you will learn.** How DLP's three knobs hang together, by turning them: how long to learn before filtering ($E_1$), how
# much to suspect ($\gamma$), how long to unlearn ($E_2$).
#
# **You need** the [quick start](00_quickstart.ipynb), and best also [notebook 03](03_entropy_filtering.ipynb).
#
# **Time**: as long as you like to play; the guided questions take 30 minutes. Running the page the first time trains for about a minute on two
# cores (not timed on a GPU yet), while you can already look. `make live` shows this page without the code.

# %% tags=["parameters"]
dataset = "shapes10"  # or "cifar10", or a folder
n_train = 5000  # training images; None for all there are
epochs = 20  # the longest E1 and E2
finetune_steps = 360  # of FixMatch
seed = 0
device = "auto"  # "cpu", "cuda", or "auto"
cache = "build/store"  # where stages are kept, inside the project's folder unless absolute
out = "build/live"  # where metrics.json goes, likewise

# %%
import matplotlib.pyplot as plt

from dlp_lib import HOME, Context, Runtime, Store, panels, plots, record
from dlp_lib.lab import Lab, Setting
from dlp_lib.widgets import Live

# %% [markdown]
# ## The lab
#
# Move a slider, and everything that depends on it moves along. $E_1$ and $\gamma$ choose among recorded scores, $E_2$ a point on a recorded ascent; where
# an ascent is not recorded yet, it is computed while you watch. *Fine-tune* runs stage 3 from where you are.
#
# Panels with a dashed frame use the **truth** about who is poisoned, or triggered test images: no defender has that. Take the tick off the box, and
# only what a defender could see is left. (Where no kernel runs, as in an exported page, the controls are missing: read on at *The same story without
# sliders*.)

# %%
context = Context(Runtime(seed, device), Store(HOME / cache))
lab = Lab(context, n_train, epochs=epochs, steps=finetune_steps)
start = Setting(dataset, e1=min(4, epochs), e2=min(11, epochs), seed=seed)
live = Live(lab, start)
live.page

# %% [markdown]
# ## Guided questions
#
# Write down a guess before you touch a slider.
#
# 1. **Where does the filter break?** Start from *reset*. Raise $\gamma$ step by step. At which $\gamma$ are fewer than nine in ten suspects poisoned, and why just
#    there? What does unlearning cost in CA beyond that point?
# 2. **How would a defender notice?** Do question 1 again with the truth switched off. What in the figures and in the sentence changes at the same $\gamma$?
# 3. **Early or late?** Move $E_1$ from 1 to 20. Where is the filter pure, where is it not, and what does the panel *Learning speed* say about it? Now choose Blended, and
#    move it again.
# 4. **Make unlearning destroy the model.** Set the unlearning lr to 0.02 and raise $E_2$. ASR is 0: is that a success? How would a defender tell a healed
#    model from a destroyed one, without a single triggered image?
# 5. **Repair.** Go to a setting of which you think that it has lost its backdoor, press *fine-tune*, and when it is done, *compare*: that keeps its figures on the page. Then go to a
#    setting that has not lost it, and fine-tune again. Which of the two has its ASR back?
# 6. **The clean-label trap.** Choose SIG with a poisoning rate of 9 %. Which of the two selections is in trouble, and why?

# %% [markdown]
# ## The same story without sliders
#
# Four settings, side by side: the default; $\gamma$ beyond the share of poison; $E_1$ too late; and an unlearning rate that is too high.
#
# **Predict.** In which of the four is the backdoor gone *and* the model still of use?

# %%
live.wait()  # until the page above has what it asked for
late = min(16, epochs)
settings = {
    "default": start,
    "γ = 20 %": Setting(dataset, e1=start.e1, gamma=0.2, e2=start.e2, seed=seed),
    f"E1 = {late}": Setting(dataset, e1=late, e2=start.e2, seed=seed),
    "lr = 0.02": Setting(dataset, e1=start.e1, e2=start.e2, lr=0.02, seed=seed),
}
for setting in settings.values():
    lab.work(setting, lambda: None, lambda: None)
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
plots.show(
    figure, "Entropy histogram and unlearning, at the default, at a large gamma, a late E1, and a high learning rate."
)

# %% [markdown]
# And in the words of the page:

# %%
for name, answer in answers.items():
    print(f"{name}: {panels.sentence(answer, truth=True)}")

# %% [markdown]
# **What you should see.** *Default*: the suspects are poisoned, ASR falls to a few per cent, CA by ten points or so. *Large γ*: half of the suspects are clean;
# unlearning them costs far more CA. *Late E1*: the suspects may still agree on one label, and some are honest disks; CA has more to lose. *High rate*: ASR is gone at once, and
# CA goes on falling towards chance: a model that answers one class for everything has no backdoor, and no use.
#
# **Why.** The three knobs do not act alone. $E_1$ decides what there is to see, $\gamma$ how much of it is taken, and $E_2$ and the learning rate
# how hard it hits. A defender sees the suspects' labels, the entropies and the suspects' accuracy; the dashed
# frames tell a teacher whether that was enough.

# %%
names = "dataset n_train epochs finetune_steps seed device cache out"
parameters = {name: globals()[name] for name in names.split()}
told = {
    name: {
        "precision": answer.precision,
        "agreement": answer.agreement[1],
        "ascent": answer.ascent,
        "stages": answer.stages,
    }
    for name, answer in answers.items()
}
record.report(HOME / out, parameters, context.runtime, settings=told)

# %% [markdown]
# ## Recap
#
# - A pure set of suspects needs the right moment ($E_1$) and modesty ($\gamma$ below the share of poison).
# - Unlearning is a trade of ASR against CA; its length and learning rate set the price.
# - ASR 0 with CA at chance is a collapse and not a defence.
# - A defender sees little, and it can mislead: suspects may agree on one label and be clean.
#
# ## References
#
# - Z. Ying and B. Wu. *DLP: towards active defense against backdoor attacks with decoupled learning process.*
#   Cybersecurity 6, 2023.

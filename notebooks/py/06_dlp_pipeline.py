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
# # The whole of DLP: every attack, every stage, every order
#
# **What you will learn.** What the three stages of DLP achieve together. Which attacks of both families it stops, and what it costs on a
# clean set. Which of the paper's tables we find again. Why an ASR of 0 is not yet a success. What happens when a stage is left out, or
# when the stages come in another order.
#
# **You need** notebooks [03](03_entropy_filtering.ipynb), [04](04_active_unlearning.ipynb) and
# [05](05_semi_supervised_finetuning.ipynb): one for each stage.
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
attack_names = ["BadNets", "SIG"]  # of BadNets, TrojanNN, Blended, LCA, SIG
gamma = 0.02  # filtering rate
quota = "per class"  # of trusted samples: n·gamma of every class, or of all together ("total")
choose_e1 = True  # by what a defender sees; False: take e1, as the paper does
epochs = 24  # among which E1 is chosen
rule_gamma = 0.01  # share of the set whose labels must agree
e1 = 4  # where none can be chosen
e2 = 20  # epochs of unlearning; DLP takes the first one at chance
unlearn_lr = None  # of unlearning; None for the recommended one
finetune_steps = 360  # of FixMatch
seed = 0
device = "auto"  # "cpu", "cuda", or "auto"
cache = "build/store"  # where stages are kept, inside the project's folder unless absolute
out = "build/pipeline"  # where metrics.json goes, likewise

# %%
import math
from dataclasses import asdict, replace

import matplotlib.pyplot as plt
import pandas as pd
import torch

import dlp_lib
from dlp_lib import HOME, Context, Runtime, Store, evaluate, plots, print_progress, recipe_for
from dlp_lib.checks import dlp_pipeline as checks
from dlp_lib.defences import ORDERS, agreement
from dlp_lib.experiments import record, report, scenario
from dlp_lib.experiments.stage_rows import metrics_by_stage, with_target_recall
from dlp_lib.experiments.tables import beside_paper

# %% [markdown]
# ## 1. One call
#
# All three stages are in one object. It takes a tampered set and an untrained model. It never gets clean data, the attack or the truth.

# %%
context = Context(Runtime(seed, device), Store(HOME / cache), print_progress)
recipe = recipe_for(dataset)
fixmatch = replace(recipe.dlp.fixmatch, steps=finetune_steps)
unlearn = replace(recipe.dlp.unlearn, lr=unlearn_lr or recipe.dlp.unlearn.lr)
dlp = replace(
    recipe.dlp, gamma=gamma, e1=e1, e2=e2, quota=quota, unlearn=unlearn, fixmatch=fixmatch
)

# %% [markdown]
# The first decision is $E_1$. The paper does not say how to take it. We take the rule of notebook 03 for every attack. It takes the first
# epoch at which one class has 98 % of the suspects, as a mean over three epochs. (So the third epoch is the first possible one.) The rule
# looks at 1 % of the set, DLP then suspects 2 %. <!-- no claim: two settings --> The rule sees labels and entropies, and no truth. Where
# it never fires, we take a fixed $E_1$, and the tables put it into brackets. On a clean set it should never fire.
#
# In one respect the tables below are too optimistic. The threshold of 98 % and the fixed $E_1$ were chosen when the results of these
# attacks and seeds were known.
#
# By hand: eight samples of two classes, of which two are suspected at each of four epochs. At every epoch both suspects have the same
# label. At which epoch has it been *the same class* for three epochs?

# %% tags=["nbval-check-output"]
labels = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
eight = dlp_lib.Split(torch.zeros(8, 3, 8, 8, dtype=torch.uint8), labels, ("disk", "ring"))
suspects = torch.tensor([[4, 5], [0, 1], [0, 2], [1, 3]])  # at four epochs
scores = [torch.zeros(8).index_fill(0, pair, 1.0) for pair in suspects]
print([f"{share:.2f}" for share in agreement(scores, eight, 0.25).tolist()])

# %% [markdown]
# At the first epoch both suspects were rings, which were easy by chance. At the fourth epoch they have been disks for three epochs.
#
# What do we compare DLP with? With an *undefended* model, trained on the same set for as many image passes as the three stages take
# together. (All epochs of the ascent, stage 2, count, those after its stop too.) Its learning rate stays constant. Notebook 01 lowered it at
# the end, and so reached a higher CA.

# %%
recipe = replace(recipe, epochs=epochs, dlp=dlp)
untouched = scenario(
    dataset, "none", n_train=n_train, image_size=image_size, context=context, recipe=recipe
)
test = untouched.test.subset(slice(n_test))
scenes = {"no attack": untouched}
for name in attack_names:
    scenes[name] = untouched.attacked_by(name)


# %%
def defend(scene, **changes):
    """E1 as a defender chooses it (None: no choice), and what DLP comes to."""
    if choose_e1:
        return scene.defended(rule_gamma, **changes)
    return None, replace(dlp, **changes).run(scene.untrained(), scene.tampered, context)


def defend_and_compare(scene):
    """E1, and CA, ASR and RA after each stage and of the undefended model."""
    chosen, result = defend(scene)
    passes = result.total("images")
    undefended, _ = scene.undefended(math.ceil(passes / len(scene.tampered)))
    measured = dlp_lib.after_each(result, test, scene.attack)
    measured["undefended"] = evaluate(undefended, test, scene.attack)
    return chosen, measured


# %% [markdown]
# **Predict.** BadNets changes labels, and SIG does not. What will CA and ASR be for each, after supervised learning (SL), after active
# unlearning (AU), and after semi-supervised fine-tuning (ASSFT)?

# %%
chosen, measured = {}, {}
for name, scene in scenes.items():
    chosen[name], measured[name] = defend_and_compare(scene)

# %%
figure, axes = plt.subplots(1, len(scenes), figsize=(5.2 * len(scenes), 3.4), sharey=True)
for ax, name in zip(axes, scenes, strict=True):
    when = f"E1 = {chosen[name]}" if chosen[name] else f"E1 = ({e1})"
    attack = scenes[name].attack
    target = attack.target if attack else None
    plots.stage_bars(ax, measured[name], target).set_title(f"{name}, seed {seed}: {when}")
plots.shared_legend(figure)
alt = (
    "CA, ASR, RA and the recall of the target class after each stage of DLP and undefended. DLP ends "
    "with an ASR of 1 % under BadNets and of 100 % under SIG. CA is above 95 % in both."
)
plots.show(figure, alt, number=1)

# %% [markdown]
# (An $E_1$ in brackets is the fixed one.)
#
# **What you should see.** (The target class is the disk.) *BadNets*: after SL, ASR is 99 % or more and CA is below 50 %, as stage 1 is
# short on purpose. <!-- claim: 06-run-badnets-sl --> <!-- claim: 06-run-badnets-sl-ca --> After AU, ASR is 5 % at most. <!-- claim: 06-run-badnets-au -->
# CA is lower still. <!-- claim: 06-run-badnets-au-ca --> The diamond shows who pays: this model recognises
# none of the clean disks. <!-- claim: 06-run-badnets-au-recall --> The ascent took away the answer "disk", from true disks as well. After
# ASSFT, CA is at most 2 points below that of the undefended model. <!-- claim: 06-run-badnets-end-ca --> ASR is 2 % at most, and all disks
# are recognised again. <!-- claim: 06-run-badnets-end --> <!-- claim: 06-run-badnets-end-recall -->
#
# *No attack*: at the end, CA is at most 2 points below that of the undefended model. <!-- claim: 06-run-none -->
#
# *SIG*: the diamond is at 0 already after SL. <!-- claim: 06-run-sig-sl-recall --> This model recognises no clean disk yet: nine training
# disks in ten have the wave. After AU, ASR is 1 % at most. <!-- claim: 06-run-sig-au --> Then fine-tuning brings the backdoor back: ASR
# is 99 % or more. <!-- claim: 06-run-sig-end --> CA is 95 % or more, too: by CA alone this would be a success. <!-- claim: 06-run-sig-end-ca -->
# Note the title: the rule did not fire for SIG, as on the clean set. <!-- claim: 06-run-silent --> The
# rule alone does not tell the two apart.
#
# **Why.** Against SIG both the filter and the ascent do their work. The next section shows one cause of what follows: the trusted samples.
#
# ## 2. Table 1: what three seeds say
#
# Figure 1 is one seed. The next figure is recorded: all five attacks, seeds 0, 1 and 2, with the same rule for $E_1$. Every point is one
# seed. Tables give the mean, and in brackets the range over seeds: the least and the most. Read the range first. Here are two cells by
# hand that have the same mean:

# %% tags=["nbval-check-output"]
for shares in (0.30, 0.31, 0.32), (0.01, 0.02, 0.90):
    seeds = [{"attack": "by hand", "asr": share} for share in shares]
    print(record.spread(seeds, ["attack"], ["asr"]).loc["by hand", "asr"])

# %% [markdown]
# **Predict.** Notebook 01 had two clean-label attacks, LCA and SIG. Will DLP treat them alike?

# %%
recorded = with_target_recall(record.read("stages"))
figure, axes = plt.subplots(1, 2, figsize=(12, 3.6), sharey=True)
for ax, share in zip(axes, ("ca", "asr"), strict=True):
    plots.each_seed(ax, recorded, "attack", share, "stage").set_title(share.upper())
axes[0].set_ylabel("share of test images (%)")
plots.shared_legend(figure)
alt = (
    "CA and ASR after each stage of DLP and undefended, every seed a point. ASR ends near 0 for "
    "BadNets and TrojanNN, at 1 to 20 % for Blended, and at 100 % for LCA and SIG."
)
plots.show(figure, alt, number=2)

# %% [markdown]
# The same as numbers, at the end: DLP's last stage, and the undefended model. The recall of the target class stands beside CA.

# %%
ends = [row for row in recorded if row["stage"] in ("ASSFT", "undefended")]
shares = ["ca", "target_recall", "asr", "ra"]
record.spread(ends, ["attack", "stage"], shares).rename_axis(["mean (range over seeds), %", ""])

# %% [markdown]
# (A dash means: not measured. Without an attack there is no ASR, and no target.) Compare the recall of the target with CA: where it is much
# lower, this class pays.
#
# The next table says what the filter found. It has $E_1$ by seed (in brackets where the rule never fired). It has the poisoned share of
# the suspects, and the clean share of the trusted samples.

# %%
after_dlp = [row for row in recorded if row["stage"] == "ASSFT"]
epoch_by_seed = {}
for row in after_dlp:
    e1_shown = str(row["e1"]) if row["agreed"] else f"({row['e1']})"
    epoch_by_seed.setdefault(row["attack"], {})[f"E1, seed {row['seed']}"] = e1_shown
found = record.spread(after_dlp, ["attack"], ["suspected", "trusted"])
found = found.rename(columns={"suspected": "suspects poisoned (%)", "trusted": "trusted clean (%)"})
pd.DataFrame(epoch_by_seed).T.join(found)

# %% [markdown]
# **What you should see.** Three groups:
#
# - *BadNets and TrojanNN*: on every seed ASR ends at 5 % or less, and CA at 94 % or more. <!-- claim: 06-easy-asr --> <!-- claim: 06-easy-ca -->
#   In the mean, BadNets' CA is above that of the undefended model, and TrojanNN's is equal to it within one point. <!-- claim: 06-badnets-undefended --> <!-- claim: 06-trojannn-undefended -->
# - *Blended*: on two seeds the suspects are mostly poisoned, 85 % or more, and ASR ends at 10 % or less. <!-- claim: 06-blended-suspects --> <!-- claim: 06-blended-good -->
#   On seed 0 the rule fired far too early, at epoch 5. <!-- claim: 06-blended-early --> None of its
#   suspects was poisoned. <!-- claim: 06-blended-clean --> So the ascent made the model forget clean images, and ASR *rose*,
#   from 29 % after SL to 55 %. <!-- claim: 06-blended-sl --> <!-- claim: 06-blended-au --> It also ends highest on this seed. <!-- claim: 06-blended-end -->
#   Agreement and the stop gave no warning. (The flag `is_doubtful` of notebook 03 is set in this run. DLP does
#   not use it.)
# - *LCA and SIG*: 98 % or more of the suspects are poisoned, and after AU, ASR is 2 % at most. <!-- claim: 06-clean-label-suspects --> <!-- claim: 06-clean-label-au -->
#   After ASSFT it is 90 % or more again, on every seed. <!-- claim: 06-clean-label-end -->
#
# On the clean set the rule gave a false alarm on one seed of three, at epoch 7. <!-- claim: 06-false-alarm --> <!-- claim: 06-silent -->
# On that seed CA ends lowest. <!-- claim: 06-false-alarm-ca -->
#
# **Why.** Each clean-label attack poisons 450 of the 500 images of the target class. The quota asks for 100 trusted samples of that class.
# Only 50 clean ones are left, so 50 poisoned ones come with them, however well the filter ranks. So at most 95 % of the trusted
# samples are clean. Notebook 05 shows what one poisoned sample in fifty does. This is one way back for the backdoor. Notebook 11 finds a
# second one, and looks for remedies.
#
# A word on the undefended model. Its CA differs much between seeds: it is 87 to 98 % for LCA. <!-- claim: 06-undefended-lca-least --> <!-- claim: 06-undefended-lca-most -->
# The recall of one class differs even more. A possible reason is its constant learning rate, with
# which the last epoch may be a bad one. FixMatch is judged by averaged weights, which do not jump. So if DLP's CA is *above* the
# undefended one, take it as a tie.
#
# ## 3. Beside the paper
#
# The paper's numbers are of CIFAR-10: 50,000 images of 32×32, and a FixMatch of unknown length. Ours are of 5,000 drawn shapes of
# 16×16. So compare *patterns* and not digits: is ASR gone, and is CA that of the undefended model?


# %%
beside_paper(recorded, measured)

# %% [markdown]
# **What you should see.** (The first column is of the paper's Table 3.) *Poison-label attacks*: for ASR the paper's pattern is here
# again. ASR is 98 % or more undefended, and 5 % or less with DLP under BadNets and TrojanNN. <!-- claim: 06-undefended-asr --> <!-- claim: 06-easy-asr -->
# (Blended's mean hides two good seeds and a bad one.) In the paper DLP also raises CA under every attack.
# Here the recorded mean rises for BadNets, LCA and SIG only. Take these as ties: in this run CA falls for BadNets and SIG. <!-- claim: 06-run-badnets-ca-falls --> <!-- claim: 06-run-sig-ca-falls -->
# *Clean-label attacks*: on shapes the pattern is not here.
# The paper reports an ASR near 0, and we measure 99 % or more. <!-- claim: 06-clean-label-end -->
#
# **Why the difference?** The paper sets $\alpha$ to 10 % of the whole set, and names SIG, too. For a clean-label attack on CIFAR-10 this
# would be *every* image of the target class, and no trusted sample of it could be clean. The paper does not explain that. The trusted part
# can be clean if a class keeps $n\gamma$ clean images and the filter ranks them last. Here nine images in ten are poisoned, so it cannot.
#
# ### The same stages on photographs
#
# DLP was also recorded on CIFAR-10, with the paper's $E_1$ = 10, for three attacks at each of two sizes, one run each:
#
# - *Reduced*: 10,000 images, and a FixMatch of 400 steps of 256 images, on a CPU. Its fine-tuning has hardly begun.
# - *At the paper's scale*: all 50,000 images, and a FixMatch of 10,000 steps of 512 images, on a GPU.
#
# SIG poisons 8 % of the set here, so 20 % of the target class stay clean. <!-- no claim: 8 of 10 % are poisoned --> That is enough for the
# quota: with 10,000 images 99.6 % of the trusted samples are clean. <!-- claim: 06-reduced-trusted --> (With 50,000 images this was not
# recorded.)
#
# **Predict.** Will SIG come back on photographs? And where ASR is 0 at the end, is the model repaired?

# %%
scales = {"cifar10/stages": "10,000 images", "cifar10-h100/stages": "50,000 images"}
parts = [["BadNets", "Blended", "SIG"], ["BadNets", "LCA", "SIG"]]
figure, axes = plt.subplots(2, 3, figsize=(12, 6), sharey=True)
for line, (table, images), names in zip(axes, scales.items(), parts, strict=True):
    for ax, name in zip(line, names, strict=True):
        run = [row for row in record.read(table) if row["part"] == name]
        plots.stage_bars(ax, metrics_by_stage(run)).set_title(f"{name}, {images}, seed 0")
plots.shared_legend(figure)
alt = (
    "CA, ASR and RA after each stage of DLP on CIFAR-10, one seed each. SIG ends at an ASR of 98 % "
    "with 10,000 images, and at an ASR of 0 with an RA of 12 % with 50,000. The others end near 0."
)
plots.show(figure, alt, number=3)

# %% [markdown]
# **What you should see.** *With 10,000 images* SIG comes back, as on shapes: ASR is 0.5 % after AU, and 97.7 % after ASSFT. <!-- claim: 06-reduced-sig-au --> <!-- claim: 06-reduced-sig -->
# It does so although nearly all trusted samples are clean. Notebook 11 shows
# this second way back. BadNets and Blended end at 5.2 % and 1.2 %. <!-- claim: 06-reduced-badnets --> <!-- claim: 06-reduced-blended --> CA ends
# below that of stage 1. <!-- claim: 06-reduced-ca --> *With 50,000 images* ASR is 2.2 % at most after ASSFT, for all
# three attacks. <!-- claim: 06-scale-asr --> But CA is 70 to 74 %, and the paper has more than 90 %. <!-- claim: 06-scale-ca -->
#
# Now look at the last panel. After AU, SIG's ASR was still 79 %. <!-- claim: 06-scale-sig-au --> The suspects were at chance, so the stop
# came too early: here it misleads. Fine-tuning then removed what unlearning had left. SIG ends with an ASR of 0.0 %, the lowest of all. <!-- claim: 06-scale-sig-asr -->
# Its RA is 12.1 %. <!-- claim: 06-scale-sig-ra --> Under BadNets and LCA, RA is 72 % or more. <!-- claim: 06-scale-other-ra -->
#
# ### An ASR of 0 is not recovery
#
# ASR asks one question: is the answer the target? A model that gives *any other* wrong answer has an ASR of 0. RA asks what we want to
# know: is the answer right? There are nine classes beside the target. Guessing among them would give an RA of 11 %, and SIG's 12.1 % is
# hardly more. <!-- claim: 06-scale-sig-ra --> The trigger no longer leads to the target. It still destroys what the model sees: whoever
# adds the wave gets a wrong answer for seven images of eight. <!-- claim: 06-scale-sig-ra --> That is another attack, and it works.
#
# **Why.** Two things come together. First, SIG's wave covers the whole image, while LCA's corners leave most of it free. Second, every
# training image with a wave shows the target class, as SIG changes no label. So the model never had to tell other classes apart *under* a
# wave. Blended covers the whole image as well, but its training images show all the other classes. They lose their wrong labels in stage
# 3, and FixMatch can learn them as what they are. (This is an explanation. We have not looked at which answers the waves get.)
#
# How high can RA be? Compare it with what a *clean* model reaches on triggered images. A patch hides little. A wave hides more, and
# notebook 11 measures how much on shapes.
#
# And look at BadNets once more: its RA is above its CA. <!-- claim: 06-scale-badnets-ra --> RA leaves out the target's own class. So this
# class is probably recognised worse than the others. Notebook 12 does the arithmetic. (These records hold no recalls.)
#
# **Words that sound alike.** RA is easily taken for *robust accuracy*, a term of another field:
#
# | name | which images | what is asked |
# | --- | --- | --- |
# | CA, clean accuracy | the clean test images | is the answer right? |
# | ASR, attack success rate | test images of the other classes, with the attacker's trigger | is the answer the target? |
# | RA, recovered accuracy | the same triggered images | is the answer right? |
# | *robust accuracy* (not measured here) | each test image with the small change that is worst for this model | is the answer right? |
#
# RA is about *one* trigger, which was fixed before the model was trained. Robust accuracy is about all small changes, found for the
# finished model. A high RA says nothing about robust accuracy.
#
# ### Slips and gaps in the paper's text
#
# Every paper has some. These are worth knowing before you write your own code from this one:
#
# | place | what is printed | what this kit does |
# | --- | --- | --- |
# | Eq. 5, entropy | the sum runs from 0 to $C$: $C + 1$ terms for $C$ classes | $C$ terms |
# | Eq. 6, unlearning | a sum over the suspects, $n\gamma$ of them, divided by $m$, the number of *poisoned* samples, which a defender does not know | the mean over the suspects |
# | Eq. 7, labelled part | a sum over $n\gamma$ samples of *each class*, divided by $n\gamma$ | the mean over a batch; `quota` says how many samples are trusted |
# | Eq. 7, unlabelled part | $D'_r = D_o - D'_c$, where $D_o$ is the data *before* the attack, which a defender does not have | $D_m - D'_c$: all that is not trusted |
# | Eq. 7, weights | $\alpha$ weighs the unlabelled loss; elsewhere it is the poisoning rate | FixMatch's $\lambda_u$, here `lambda_u` |
# | Eq. 7, last term | a regulariser $\mathcal{R}$ with weight $\beta$, neither of which has a value | weight decay, `weight_decay` |
# | Baselines | "four state-of-the-art backdoor defenses", then a list of five | all five: FP, MCR, NAD, ABL, ANP |
#
# [The paper, claim by claim](../docs/REPRODUCTION.md) has every table and figure of the paper beside what was measured, here and on 10,000 images of CIFAR-10.
#
# ## 4. Fig. 4: is every stage needed, and in this order?
#
# There are four orders: without fine-tuning (SL-AU), without unlearning (SL-ASSFT), with unlearning last (SL-ASSFT-AU), and DLP's own
# (SL-AU-ASSFT).
#
# **Predict.** Without unlearning, FixMatch still takes the labels of all suspects away. Is this enough to remove the backdoor? And what
# does an ascent do to a model that was just fine-tuned?

# %%
orders = {}
for name in attack_names:
    for order in ORDERS[1:]:
        _, result = defend(scenes[name], order=order)
        after = dlp_lib.after_each(result, test, scenes[name].attack)
        orders[f"{name}: {'-'.join(order)}"] = after

# %%
n = len(attack_names)
figure, axes = plt.subplots(n, 4, figsize=(12, 3.2 * n), sharey=True, squeeze=False)
for ax, (title, after) in zip(axes.flat, orders.items(), strict=True):
    for share, (style, colour) in {
        "asr": ("s-", plots.POISONED),
        "ca": ("o-", plots.CLEAN),
        "ra": ("^--", plots.RECOVERED),
    }.items():
        values = [getattr(metrics, share) for metrics in after.values()]
        plots.mean_and_range(ax, list(after), values, style, colour, share.upper())
    ax.set(title=f"{title}\n(seed {seed})", ylabel="test images (%)", ylim=(-3, 104))
plots.shared_legend(figure)
alt = (
    "CA, ASR and RA after each stage, for four orders, one seed. Under BadNets all orders end with "
    "an ASR near 0. Under SIG only SL-AU does, with a low CA."
)
plots.show(figure, alt, number=4)

# %% [markdown]
# The same with three seeds, recorded, after the last stage. Brackets are the range over seeds.

# %%
last = []
for row in with_target_recall(record.read("orders")):
    if row["order"].split("-")[-1] == row["stage"]:
        last.append(row)
record.spread(last, ["attack", "order"], shares)

# %% [markdown]
# **What you should see**, one claim of the paper after another:
#
# - *Without fine-tuning CA stays low*: **held**. SL-AU ends with a CA of 36 % at most, for both attacks. <!-- claim: 06-sl-au -->
# - *Without unlearning ASR hardly falls*: **did not hold** for BadNets. On every seed SL-ASSFT ends at an ASR of 2 % or less and a CA of
#   96 % or more, as DLP does. <!-- claim: 06-sl-assft-asr --> <!-- claim: 06-sl-assft-ca --> On 10,000 photographs SL-ASSFT has a CA of
#   47.1 % and an ASR of 3.5 %, and DLP has 37.2 % and 5.2 %. <!-- claim: 06-photographs-sl-assft-ca --> <!-- claim: 06-photographs-sl-assft-asr --> <!-- claim: 06-photographs-dlp-ca --> <!-- claim: 06-reduced-badnets -->
#   (The table is in
#   [the paper, claim by claim](../docs/REPRODUCTION.md).) For SIG it held: without unlearning, ASR is 90 % or more. <!-- claim: 06-orders-sig -->
#   But DLP's own order ends there as well.
# - *With unlearning last it works, and CA falls from its peak*: **in part**. For BadNets, FixMatch has left nothing to unlearn. On
#   shapes, CA falls in the mean and in figure 4. <!-- claim: 06-last-badnets-ca --> <!-- claim: 06-run-last-ca --> It ends between 83 and
#   96 %. <!-- claim: 06-last-badnets-range --> On the photographs it does not fall: it is 47.1 % before unlearning, and 47.8 % after. <!-- claim: 06-photographs-sl-assft-ca --> <!-- claim: 06-photographs-last-ca -->
#   For SIG, CA falls by 20 points or more in the mean. <!-- claim: 06-last-sig-ca -->
#   ASR differs from seed to seed, and RA is 14 % at most. <!-- claim: 06-last-sig-ra --> That is no
#   defence, even where ASR is low.
# - *SL-AU-ASSFT is best*: **not found**. For BadNets the mean CA of SL-ASSFT is within 1 point of it. <!-- claim: 06-orders-tie --> For SIG
#   both fail. <!-- claim: 06-orders-sig -->
#
# **Why?** The paper says that ASR is hardly reduced without unlearning, and gives no mechanism. A possible one: the model enters stage 3 with
# its backdoor. It gives triggered images the target as pseudo-label, and so teaches itself the trigger. This can only happen where a weak
# view *keeps* the trigger. On small images a weak view mostly breaks BadNets' patch (notebook 05). So the model is asked about images
# without a working trigger, and answers by their shape. This is an explanation and not a proof. The third experiment of *Go further* tests
# it.
#
# ## 5. Your own images
#
# The paper's second data set is a subset of ImageNet. All cells run on any folder of class folders, with images of at least 8 pixels a
# side. (The recorded tables, and figures 2 and 3, stay as they are.)
#
#     papermill notebooks/06_dlp_pipeline.ipynb out.ipynb -p dataset path/to/folder -p image_size 64 -p n_train 10000
#
# Mind the defaults: they were chosen for small shapes. Photographs need more epochs to choose $E_1$ from, and a much longer FixMatch.

# %%
rows = []
for name, stages_of_run in measured.items():
    for stage, metrics in stages_of_run.items():
        rows.append({"attack": name, "stage": stage, "e1": chosen[name], **asdict(metrics)})
in_order = []
for title, after in orders.items():
    name, order = title.split(": ")
    for stage, metrics in after.items():
        in_order.append({"attack": name, "order": order, "stage": stage, **asdict(metrics)})
report(out, context.runtime, table=rows, orders=in_order)

# %% [markdown]
# ## Recap
#
# - Against poison-label attacks DLP reaches on shapes the accuracy of an undefended model without the backdoor, where $E_1$ suits.
# - The choice of $E_1$ is its weak spot. A rule can be wrong, and DLP does not read its warning flag.
# - On shapes, LCA and SIG came back on every seed. On CIFAR-10, SIG came back with 10,000 images. With 50,000, unlearning left most of
#   it, and fine-tuning ended its ASR.
# - An ASR of 0 is not recovery. Look at RA, and at the recall of the target class.
# - That a stage is needed is a hypothesis. Measure it with more than one attack before you believe it.
#
# ## Quiz
#
# <details><summary>Why is DLP compared with a model that was trained for as many image passes, and not with the model of its own stage 1?</summary>
#
# Longer training raises CA by itself. Otherwise this gain would be counted for the defence. Stage 1 is short on purpose, and its model
# has a low CA.
# </details>
#
# <details><summary>Under SIG nearly all suspects are poisoned, and ASR is near 0 after unlearning. Where does the backdoor come back from?</summary>
#
# From the trusted samples, for one. The target class has 50 clean images left, and its quota asks for 100. So poisoned images are trusted,
# with their labels, and FixMatch learns the trigger from them.
# </details>
#
# <details><summary>A defence ends with an ASR of 0, and its CA is far above chance. What do you ask next?</summary>
#
# For RA, and for the recall of the target class. If RA is near chance, triggered images are still misread, as in the last panel of figure 3. If
# the model never answers with the target, ASR is 0 as well, and one class is lost.
# </details>
#
# <details><summary>SL-ASSFT does as well as DLP against BadNets. Is unlearning unnecessary, then?</summary>
#
# This is one attack, on small images, where a weak view mostly breaks the patch. Where the trigger survives the views, unlearning may be
# needed. The four orders tell what happened in these cases, and no more.
# </details>
#
# ## Exercises
#
# Replace the dots, run the cell, and run the one after it: the check says what is wrong, if anything is.
#
# ### Exercise 1. Defended, or not? *(easy, 10 minutes)*
#
# To section 2. Call an attack defended if two things hold on *every* seed. ASR is below 10 %. CA is at most two points below that of the
# undefended model of the same seed. Then apply it to `recorded` (`pd.DataFrame(recorded).pivot` makes the tables). Which of the five
# attacks are defended? Which would be, by their means?


# %% tags=["exercise"]
def my_verdicts(asr, ca, undefended):
    """Booleans (attacks,).

    From ASR, CA and the undefended model's CA (attacks, seeds), as fractions.
    """
    # BEGIN SOLUTION
    return ((asr < 0.1) & (ca >= undefended - 0.02)).all(1)
    # END SOLUTION


# %% tags=["check"]
checks.defended(my_verdicts)

# %% [markdown]
# ### Exercise 2. What went wrong first? *(medium, 10 minutes)*
#
# Five runs of DLP, made up and in per cent. The undefended model has a CA of 98 and an ASR of 100.
#
# | run | suspects poisoned | trusted clean | CA / ASR after SL | after AU | after ASSFT |
# | --- | --- | --- | --- | --- | --- |
# | A | 2 | 92 | 60 / 45 | 25 / 60 | 95 / 30 |
# | B | 100 | 95 | 45 / 100 | 30 / 1 | 94 / 100 |
# | C | 100 | 100 | 45 / 100 | 44 / 97 | 97 / 93 |
# | D | 99 | 100 | 45 / 100 | 31 / 1 | 97 / 1 |
# | E | 100 | 100 | 45 / 100 | 30 / 1 | 41 / 3 |
#
# Say of each what went wrong *first*: "suspects" or "trusted", if that cut was a bad one; "unlearning", "fine-tuning"; or "nothing".
# Then find the runs of section 2 that look like A and like B.

# %% tags=["exercise"]
failures = None
# BEGIN SOLUTION
failures = {"A": "suspects", "B": "trusted", "C": "unlearning", "D": "nothing", "E": "fine-tuning"}
# END SOLUTION

# %% tags=["check"]
checks.failures(failures)

# %% [markdown]
# ### Exercise 3. Choose $E_1$ *(medium, 20 minutes)*
#
# Write the rule of section 1. You get the labels of the suspects at every epoch. Average the share of each class over an epoch and the
# two before it. Return the first epoch, counted from 1, at which one class has the `threshold` share. (An epoch before the first counts
# as 0.) Where there is none, return the `fallback`.
#
# Then think of a window of one epoch, and of ten. What does a defender lose with each?


# %% tags=["exercise"]
def my_e1(labels, classes, threshold, fallback):
    """An epoch, from the suspects' labels (epochs, suspects) and the number of classes."""
    # BEGIN SOLUTION
    shares = torch.nn.functional.one_hot(labels, classes).double().mean(1)  # (epochs, classes)
    padded = torch.cat([torch.zeros(2, classes), shares])
    for epoch in range(1, len(labels) + 1):
        if padded[epoch - 1 : epoch + 2].mean(0).max() >= threshold:
            return epoch
    return fallback
    # END SOLUTION


# %% tags=["check"]
checks.e1(my_e1)

# %% [markdown]
# ### Exercise 4. Better, or just longer? *(medium, 10 minutes)*
#
# DLP ends with a better model than its stage 1 had. Is this the defence, or would any training of that length do as well? The run made
# 4 epochs of 5,000 images, 20 epochs on 100 suspects, and 360 steps of FixMatch with 64 labelled and 192 unlabelled images.
#
# A control is a second run that differs from the first in one thing: the one that is in question. Design it: a copy of `run` in which
# one setting has another value. (A training is "DLP", "supervised", "stage 1" or "none". The data are a "tampered set" or a "clean set".
# Numbers may be any.) Which bar of figure 1 comes near to it, and how many epochs are that?


# %% tags=["exercise"]
run = {"training": "DLP", "data": "tampered set", "image passes": 114160, "seed": 0}
control = None
# BEGIN SOLUTION
control = run | {"training": "supervised"}
# END SOLUTION

# %% tags=["check"]
checks.equal_cost(control)


# %% [markdown]
# ### Exercise 5. What three seeds can tell *(hard, 20 minutes)*
#
# Two methods differ in CA by a few points, seed by seed. Is it more than chance? If it were chance, each difference could just as well
# have the other sign. For $n$ differences there are $2^n$ patterns of signs. Return the share of these patterns whose mean is at least as
# far from 0 as the mean that was measured. (This is a permutation test of paired samples, and the share is its p-value.)
#
# Then take the CA of SL-ASSFT and of SL-AU-ASSFT for BadNets from `last`, seed by seed. Are they different? And how many seeds does it
# take, if all agree, for a share below 5 %?


# %% tags=["exercise"]
def my_chance(differences):
    """A share, from differences (n,), one for each seed."""
    # BEGIN SOLUTION
    signs = torch.cartesian_prod(
        *[torch.tensor([1.0, -1.0])] * len(differences)
    )  # the first row is what was seen
    means = (signs * differences).mean(1).abs()
    return (means >= means[0] - 1e-9).double().mean()
    # END SOLUTION


# %% tags=["check"]
checks.chance(my_chance)

# %% [markdown]
# ### Go further
#
# 1. *(5 minutes)* In figure 2, compare CA after AU with and without an attack. Could a defender tell from this fall whether the suspects
#    were poisoned?
# 2. *(15 minutes)* Set `attack_names = ["Blended", "LCA"]` and read the bars. Which stage fails for which attack?
# 3. *(20 minutes)* Run section 4 for LCA, whose trigger survives most weak views, and for Blended at `choose_e1 = False, e1 = 15`. Is
#    unlearning needed now? Which of the two answers is about unlearning, and which about the quota?
# 4. *(30 minutes)* Think of another rule for $E_1$, or combine it with the loss filter. Judge it on seeds that you did not look at while
#    you made it.
#
# ## References
#
# - Z. Ying and B. Wu. *DLP: towards active defense against backdoor attacks with decoupled learning process.*
#   Cybersecurity 6, 2023: Tables 1 to 3 and Fig. 4.
# - K. Sohn et al. *FixMatch: simplifying semi-supervised learning with consistency and confidence.* NeurIPS 2020.
# - M. Barni, K. Kallas and B. Tondi. *A new backdoor attack in CNNs by training set corruption without label poisoning.* ICIP 2019.

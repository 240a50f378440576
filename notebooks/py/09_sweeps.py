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
# # Sweeps: from one notebook to a cluster
#
# **What you will learn.** How CA and ASR of DLP depend on four settings (the paper's Table 5 and more). These are the poisoning rate
# $\alpha$, the filtering rate $\gamma$, and the lengths $E_1$ and $E_2$ of the first two stages. How to run such a grid on all cores, how
# to stop it, and how to go on later. How the same line runs on a cluster.
#
# **You need** the filter of [notebook 03](03_entropy_filtering.ipynb), the ascent of [04](04_active_unlearning.ipynb), and the pipeline
# of [06](06_dlp_pipeline.ipynb).
#
# **Time**: reading, 20 minutes. Running, about ten minutes on two cores (not timed on a GPU yet).
#
# Terms are explained in the [glossary](../docs/GLOSSARY.md), papers listed in the [bibliography](../docs/BIBLIOGRAPHY.md).

# %% [markdown]
# The next cell holds every setting of this notebook. Every trial has the full length of notebook 06: a sweep with shorter trials is
# quicker, and answers another question. So the grids that we run here are small, and have one seed. Larger grids with three seeds were
# recorded, and are shown beside them.

# %% tags=["parameters"]
dataset = "shapes10"  # or "cifar10", or a folder of class folders
n_train = 5000  # training images; None for all there are
image_size = 16  # pixels a side
attack = "BadNets"  # or TrojanNN, Blended, LCA, SIG
alphas = [0.1, 0.5]  # poisoning rates
gammas = [0.002, 0.02, 0.1]  # filtering rates
e1s = [2, 8]  # epochs of supervised learning
e2s = [0, 20]  # epochs of unlearning
e1 = 4  # where it is not swept
gamma = 0.02  # likewise
finetune_steps = 360  # of FixMatch
seeds = [0]
device = "auto"  # "cpu", "cuda", or "auto"
cache = "build/store"  # where stages and trials are kept, in the project's folder unless absolute
out = "build/sweeps"  # where metrics.json goes, likewise

# %%
import inspect
import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from tempfile import TemporaryDirectory

from dlp_lib import HOME, Runtime, plots
from dlp_lib.checks import sweeps as checks
from dlp_lib.experiments import record, report, trials
from dlp_lib.experiments.recorded_tables import table_of_cases
from dlp_lib.experiments.sweep import DASK, sweep
from dlp_lib.plots.growing import growing_maps
from dlp_lib.store import digest

# %% [markdown]
# ## 1. A trial, a grid, a table
#
# A *trial* is a function in a file. It takes a dict of parameters, and returns a flat dict of results. The library has one for DLP. Its
# parameters are the fields of `trials.DLPTrial`, and all have defaults. `dlp_row` runs DLP, and measures the model after each stage.

# %%
print(inspect.getsource(trials.run_dlp))

# %% [markdown]
# A *grid* is a dict of lists. `sweep(trial, grid, seeds, store)` runs the trial for every combination of values, and for every seed. It uses
# as many processes as there are cores (or GPUs), and returns a table. Every finished trial is a small file in the store. Trials share the
# stages that they have in common: the first one trains a stage, the others read it.
#
# A whole sweep by hand, of a trial that takes no time: `checks.toy` multiplies `n_train` and `e1`. (A thread is enough for so small a
# trial. By default every worker is a process.) Where do the eight rows come from, and in which order?

# %% tags=["nbval-check-output"]
small = {"n_train": [2000, 5000], "e1": [4, 8]}
with TemporaryDirectory() as folder, ThreadPoolExecutor(1) as thread:
    toys = sweep(checks.toy, small, [0, 1], folder, thread)
print(toys[["n_train", "e1", "seed", "images"]].to_string())

# %% [markdown]
# The parameters that all trials of this notebook share:

# %%
store = HOME / cache
common = {
    "dataset": dataset,
    "n_train": n_train,
    "image_size": image_size,
    "attack": attack,
    "device": device,
    "finetune_steps": finetune_steps,
}

# %% [markdown]
# ## 2. Poisoning rate $\alpha$ and filtering rate $\gamma$
#
# **Predict.** With two values of $\alpha$ and three of $\gamma$: how many times is stage 1 trained? With half of the set poisoned, will DLP
# still work?
#
# The maps fill up while the sweep runs. Where a cell has several seeds, it shows their mean, and in brackets their range.

# %%
panels = {
    "ca": "CA (%)",
    "target_recall": "recall of the target (%)",
    "asr": "ASR (%)",
    "suspected": "suspects poisoned (%)",
}
alt = "Maps of CA, target recall, ASR and the poisoned share of the suspects, by gamma and alpha."
maps = growing_maps(panels, ("gamma", gammas), ("poisoning_rate", alphas), alt, number=1)
rates_grid = common | {"e1": e1, "poisoning_rate": alphas, "gamma": gammas}
table = sweep(trials.run_dlp, rates_grid, seeds, store, on_progress=maps)

# %% [markdown]
# **What you should see.** Stage 1 was trained twice, once for every $\alpha$. <!-- no claim: how trials share --> All suspects are
# poisoned, or nearly all, at both rates: 95 % or more. <!-- claim: 09-run-suspects --> DLP with $\gamma$ = 2 % works at both rates: CA is
# 90 % or more and ASR 5 % or less. <!-- claim: 09-run-ca --> <!-- claim: 09-run-asr --> With $\gamma$ = 0.2 %, CA is below 50 %. <!-- claim: 09-run-small-10 --> <!-- claim: 09-run-small-50 -->
#
# **Why.** $\gamma$ decides two things at once. It says how many samples are suspected, and how many of each class keep their labels for
# stage 3. With 0.2 %, ten labelled images of each class are left to learn from. Never more than half of a class is trusted (notebook 03).
# So at 10 % it is about 250 images a class, and not 500.
#
# One seed is one draw. The next maps have more rates, and three seeds. They were recorded with the same trial, and $E_1$ = 4.
#
# **Predict.** With 1 % poison there are fifty poisoned samples. Which $\gamma$ is the most dangerous then: the smallest, or the largest?

# %%
recorded = record.read("alpha_gamma")
x = ("gamma", [0.002, 0.02, 0.1])
y = ("poisoning_rate", [0.01, 0.05, 0.1, 0.5])
alt = (
    "Maps of CA, target recall, ASR and the poisoned share of the suspects, by gamma and alpha, with "
    "the range over three seeds."
)
plots.show(plots.sweep_maps(recorded, panels, x, y, size=(4, 3.6)), alt, number=2)

# %% [markdown]
# **What you should see.** By rows. With 10 and 50 % poison and $\gamma$ = 2 %, DLP *works* with every seed: CA is 95 % or more, ASR 3 %
# or less. <!-- claim: 09-map-ca --> <!-- claim: 09-map-asr --> With 5 % poison one seed fails with every $\gamma$: its ASR ends at 100 %
# with the two larger ones. <!-- claim: 09-map-five-asr --> At most 20 % of its suspects are poisoned. <!-- claim: 09-map-five-suspects -->
# (A mean and a range cannot show this. The [log](../docs/LOG.md) has each seed.) With 1 % poison
# nearly all suspects are clean, on every seed. <!-- claim: 09-map-one-suspects --> With $\gamma$ = 2 %, two seeds of three then end with
# an ASR of 90 % or more. <!-- claim: 09-map-one-asr --> The third ends below 5 %. <!-- claim: 09-map-one-third --> With $\gamma$ = 10 %
# one seed fails. <!-- claim: 09-map-one-large --> Three seeds cannot tell which of the two is worse.
#
# By columns. With $\gamma$ = 0.2 %, CA is 50 % or less in every run. <!-- claim: 09-map-small --> There, a low ASR says little. Take
# $\gamma$ = 10 % and 10 % poison: two seeds of three end with an ASR of 95 % or more. <!-- claim: 09-map-large --> With the smaller
# $\gamma$ before it DLP works there. At least 3 % of their trusted samples are poisoned. <!-- claim: 09-map-large-trusted --> With 50 %
# poison, ASR is 15 % or more on every seed. <!-- claim: 09-map-large-half -->
#
# **Why.** Fifty poisoned images are not learned in four epochs. So the filter cannot suspect them. Worse: the model finds them *hard*,
# and hard samples are trusted. With 1 % poison and $\gamma$ = 2 %, at least 2 % of the trusted samples are poisoned. <!-- claim: 09-map-one-trusted -->
# Those are 20 or more of the fifty. The seed that fails at 5 % has learned its trigger in part only.
# After stage 1 its ASR is below 70 %, and that of the others 99 % or more. <!-- claim: 09-map-five-sl --> <!-- claim: 09-map-five-sl-others -->
# With a larger $\gamma$ more of the poison is trusted. But the number of trusted poisoned samples
# alone does not decide. At 1 % poison and $\gamma$ = 10 %, the seed that fails has the fewest of them. <!-- claim: 09-map-fewest --> We
# do not know what does.
#
# In these maps $E_1$ is 4 for every rate. In the next table $E_1$ is chosen by agreement, as a defender may (notebook 03). At 0.5 and 1 %
# the rule mostly does not fire, and then $E_1$ is 4. So the row "1 %, gamma 10 %" repeats a cell of figure 2. There are three seeds as
# well, and $\gamma$ = 2 % where nothing else is said.

# %%
table_of_cases("BadNets, 0.5 %", "BadNets, 1 %, gamma 10 %", "BadNets, 10 %", "BadNets, 50 %")

# %% [markdown]
# **What you should see.** Undefended, ASR is 80 % or more at 1 % poison, and 98 % or more at 10 and 50 %. <!-- claim: 09-undefended-1 --> <!-- claim: 09-undefended-10 --> <!-- claim: 09-undefended-50 -->
# DLP at 10 and 50 % has a CA of 92 % or more and an ASR of 2 % or less. <!-- claim: 09-chosen-10-ca --> <!-- claim: 09-chosen-10-asr --> <!-- claim: 09-chosen-50-ca --> <!-- claim: 09-chosen-50-asr -->
# At 50
# % unlearning fails: ASR is still 100 % after it. <!-- claim: 09-chosen-50-au --> Fine-tuning alone ends the backdoor there, and CA is
# above that of the undefended model. <!-- claim: 09-chosen-50-above --> So half of the set may be poisoned. At 0.5 %, at most 2 % of the
# suspects are poisoned, and ASR is 3 % or less. <!-- claim: 09-chosen-half-suspects --> <!-- claim: 09-chosen-half-asr --> Undefended it
# is higher on every seed. <!-- claim: 09-chosen-half-undefended --> At 1 % with $\gamma$ = 10 %, one seed keeps more than half of the
# backdoor. <!-- claim: 09-chosen-one-asr --> On all three seeds, 1 to 2 % of the trusted samples are poisoned. <!-- claim: 09-chosen-one-trusted -->
#
# **Beside the paper** (CIFAR-10, Table 5, as its text tells it). CA is above 90 % at every $\alpha$, and ASR is at most 4 % with half of
# the set poisoned. With $\gamma$ = 2 % both are found here again. So is a poor CA at a very small $\gamma$. The paper adds that $\gamma$
# = 10 % is like 1 %. We did not measure 1 % on shapes. But of the twelve runs of figure 2 with $\gamma$ = 10 %, seven end with an ASR of
# 15 % or more. <!-- no claim: counted in the log's table --> With 2 % three do. <!-- no claim: likewise -->
#
# **A warning of our own.** An earlier version of this notebook used a sixth of the fine-tuning, so that more trials fit the time. At 50 %
# poison it then ended with a CA below 50 % and an ASR above 90 %. (These runs are not recorded.) So we wrote that DLP fails there. It
# does not. The *trials* were too short. A sweep compares the runs that you made. If they are too short, it answers another question.
#
# ## 3. $E_1$ and $E_2$
#
# The same tools, other columns. The stop rule is off, so that unlearning lasts exactly $E_2$ epochs. $E_2$ = 0 is DLP without unlearning.
#
# **Predict.** Which of the two matters more for ASR after unlearning? And which for ASR at the end?

# %%
panels = {
    "AU_ca": "CA after unlearning (%)",
    "AU_asr": "ASR after unlearning (%)",
    "ca": "CA at the end (%)",
    "asr": "ASR at the end (%)",
}
alt = "Maps of CA and ASR, after unlearning and at the end, by E2 and E1."
maps = growing_maps(panels, ("e2", e2s), ("e1", e1s), alt, number=3)
lengths_grid = common | {"gamma": gamma, "stop": False, "e1": e1s, "e2": e2s}
lengths = sweep(trials.run_dlp, lengths_grid, seeds, store, on_progress=maps)

# %% [markdown]
# And three seeds, recorded, with one more value of each:

# %%
recorded_lengths = record.read("lengths")
panels = {}
for stage, when in {"AU_": "after unlearning", "": "at the end"}.items():
    panels[f"{stage}ca"] = f"CA {when} (%)"
    panels[f"{stage}target_recall"] = f"recall of the target {when} (%)"
    panels[f"{stage}asr"] = f"ASR {when} (%)"
alt = (
    "Maps of CA, recall of the target class and ASR, after unlearning and at the end, by E2 and "
    "E1, with the range over three seeds."
)
x, y = ("e2", [0, 5, 20]), ("e1", [2, 4, 8])
plots.show(plots.sweep_maps(recorded_lengths, panels, x, y, size=(4, 3.2), across=3), alt, number=4)

# %% [markdown]
# **What you should see.** In figure 3, ASR after unlearning depends on $E_2$. It is 99 % or more without an ascent, and 5 % or less after
# twenty epochs of it. <!-- claim: 09-run-lengths-0 --> <!-- claim: 09-run-lengths-20 --> At the end it is 10 % or less in every cell,
# *also without any unlearning*. <!-- claim: 09-run-lengths-end --> Figure 4 says the same of $E_2$, on three seeds. <!-- claim: 09-lengths-0 --> <!-- claim: 09-lengths-20 -->
# Five epochs change little with $E_1$ of 2 and 4. With 8 they bring ASR to 38
# to 76 %. <!-- claim: 09-lengths-five --> <!-- claim: 09-lengths-five-8 --> Twenty epochs cost CA: in the mean 5 to 10 points with $E_1$
# = 2, and 40 points or more with 8. <!-- claim: 09-lengths-cost-2 --> <!-- claim: 09-lengths-cost --> The target class is then lost in
# every run, and mostly comes back in stage 3. <!-- claim: 09-lengths-recall -->
#
# At the end $E_1$ decides. With 4 and 8 epochs ASR is 3 % or less in every run, whatever $E_2$ is. <!-- claim: 09-lengths-end -->
# With 2 epochs one seed of three ends above 50 %, whatever $E_2$ is. <!-- claim: 09-lengths-early -->
# There, one suspect in five is poisoned, and 5 % of the trusted samples. <!-- claim: 09-lengths-early-suspects --> <!-- claim: 09-lengths-early-trusted -->
# (Both are not in the figure.)
#
# **Why.** Where no poisoned sample is trusted, FixMatch alone is enough under BadNets: all other labels are removed. So the ascent has
# little left to do. FixMatch also repairs nearly all of the CA that the ascent has cost. Where poisoned samples are trusted, no $E_2$
# helps. On the seed that fails, ASR is 100 % after stage 1. So the trigger *is* learned, and still most poisoned samples do not have the
# lowest entropy. A high ASR does not mean a low entropy. At the end $E_1$ = 8 is as good as 4. But its suspects are less pure: 76 % on
# one seed. <!-- claim: 09-lengths-late --> The later, the more clean samples are as easy as the poisoned ones (notebook 03).
#
# ## 4. What is shared, and what a rerun costs
#
# The name of a record is a hash of its parameters and of the code. So a record is found without a list and without a search. By hand,
# three hashes: of a point, of the same point in another order, and of its neighbour. Do the last two have anything in common?

# %% tags=["nbval-check-output"]
for point in ({"gamma": 0.01, "e1": 4}, {"e1": 4, "gamma": 0.01}, {"e1": 5, "gamma": 0.01}):
    print(digest(point), point)

# %% [markdown]
# **Predict.** The table below says how many seconds each trial of the first sweep took in its worker. Which of them took longest?

# %%
began = time.perf_counter()
again = sweep(trials.run_dlp, rates_grid, seeds, store)
rerun_seconds = time.perf_counter() - began
print(f"a second time: {rerun_seconds:.2f} seconds")
seconds = again.pivot_table(index="poisoning_rate", columns="gamma", values="seconds")
seconds.round(1).rename_axis(columns="seconds at gamma")

# %% [markdown]
# **What you should see.** The second sweep takes less than five seconds: it only reads. <!-- claim: 09-rerun --> No trial of the first
# sweep stands out, although the first ones of a row needed stage 1. Where both workers come to the same stage, one trains it and the
# other waits. Later trials of the row read it. Fine-tuning takes the largest part of every trial.
#
# **Why it matters.** A sweep can be killed: by you, by the scheduler of a cluster, or by a power cut. It then loses the trials that were
# running, and of those only the epochs since their last recorded one. Try it: run the cell of figure 1 with another list of $\gamma$,
# press *Interrupt*, and run it again.
#
# A trial that *fails* is recorded too, with its traceback. The table has the last line of it in the column "error". `retry=True` runs it
# again.
#
# ## 5. The same on Dask
#
# `executor` takes any executor of Python's `concurrent.futures`. [Dask](https://distributed.dask.org) has one for a whole cluster. Here the
# cluster is two processes on this machine. The sweep is one of a $\gamma$ that we do not have yet. (`DASK` lets its workers keep the memory
# that they free. By default they train at half the speed.)

# %%
# Dask comes with: pip install -e ".[cluster]"
import dask
from distributed import Client, LocalCluster

dask.config.set(DASK)
cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
with cluster, Client(cluster) as client:
    grid = rates_grid | {"poisoning_rate": alphas[-2:], "gamma": [gammas[-1] / 2]}
    more = sweep(trials.run_dlp, grid, seeds, store, client.get_executor(pure=False))
more[["poisoning_rate", "gamma", "seed", "ca", "asr", "suspected", "seconds"]].round(3)

# %% [markdown]
# On several machines only the address changes. The store is a folder that all of them see. Whoever reaches the scheduler's port runs code as
# you. So make credentials once (`make_credentials("tls")`, see [docs/sweeps.md](../docs/sweeps.md)), and use TLS:
#
# ```
# export TLS="--tls-ca-file tls/ca.pem --tls-cert tls/cert.pem --tls-key tls/key.pem"
# dask scheduler --protocol tls --port 8786 --no-dashboard $TLS      # on one machine, node1
# dask worker tls://node1:8786 --nthreads 1 --no-dashboard $TLS      # on each of the others, once for every core
# ```
#
# ```python
# client = Client("tls://node1:8786", security=read_credentials("tls"))
# table = sweep(trials.run_dlp, grid, seeds, "/shared/store", client.get_executor(pure=False))
# ```
#
# Every worker has one thread: threads of one process would take turns at PyTorch's random numbers. On SLURM, `srun` starts the workers, or
# `dask_jobqueue.SLURMCluster` takes the place of `LocalCluster`. The project's [docs/sweeps.md](../docs/sweeps.md) has both. If a worker
# dies, Dask gives its trial to another. If the scheduler dies, the sweep ends with an error. The same line goes on as soon as there is a new one.
#
# Without a notebook, `python -m dlp_lib sweep plan.yaml` runs a grid from a file. A whole *notebook* can be a trial, too:
# `trials.Notebook("notebooks/06_dlp_pipeline.ipynb")` takes its parameters, and returns the figures of its `metrics.json`.

# %%
columns = ["seed", "suspected", "ca", "target_recall", "asr", "ra"]
found = {
    "alpha_gamma": table[["poisoning_rate", "gamma", *columns]].to_dict("records"),
    "lengths": lengths[["e1", "e2", "AU_ca", "AU_asr", *columns]].to_dict("records"),
    "rerun_seconds": rerun_seconds,
}
report(out, Runtime(device=device), **found)

# %% [markdown]
# ## Recap
#
# - A sweep is a function, a grid and a store. What is finished stays. What is shared is computed once.
# - One tidy table holds it all: a row for each trial, a column for each parameter or result. A mean hides seeds, so show their range.
# - The same line runs on a laptop and on a cluster. Only the executor differs.
# - Trials of a sweep need their full length. Too short a fine-tuning made DLP look as if it failed at 50 % poison. <!-- claim: 09-recap-50 -->
# - With the right $\gamma$, half of the set may be poisoned. Poison that is not learned by $E_1$ can be worse: the model finds it hard,
#   and it is *trusted*.
#
# ## Quiz
#
# <details><summary>Two trials differ in $\gamma$ alone. Which stages do they share?</summary>
#
# Stage 1. The filter comes after it and takes other suspects. So each trial has its own unlearning and fine-tuning.
# </details>
#
# <details><summary>You change a line of the library, and run a finished sweep again. Why does it not simply read?</summary>
#
# The code is part of the key. What an older version found may not be what this one finds. Stages whose own code is the same are still read.
# So the rerun can be quick all the same.
# </details>
#
# <details><summary>With 0.5 % poison, ASR at the end is low. <!-- claim: 09-quiz-half --> Has unlearning removed the backdoor?</summary>
#
# Probably not. The suspects are clean, and even undefended the backdoor is weak. Fine-tuning takes the labels of most samples away, those
# of most poisoned ones among them. It puts the model's own guesses in their place. Exercise 4 designs the control.
# </details>
#
# ## Exercises
#
# Replace the dots, run the cell, and run the one after it: the check says what is wrong, if anything is.
#
# ### Exercise 1. All combinations *(easy, 10 minutes)*
#
# Make the points of a grid: a dict for every combination of values, with every seed. A value that is no list is the same in all points. Then
# count those of section 2: `my_points(common | {"e1": e1, "poisoning_rate": alphas, "gamma": gammas}, seeds)`.


# %% tags=["exercise"]
def my_points(grid, seeds):
    """A list of dicts: a value for each name of the grid, and "seed"."""
    # BEGIN SOLUTION
    values = [value if isinstance(value, list) else [value] for value in grid.values()]
    combinations = itertools.product(*values, seeds)
    return [dict(zip([*grid, "seed"], chosen, strict=True)) for chosen in combinations]
    # END SOLUTION


# %% tags=["check"]
checks.points(my_points)

# %% [markdown]
# ### Exercise 2. What sharing saves *(medium, 15 minutes)*
#
# Stage 1 depends on the tampered set and on the seed. $E_1$ is its length. A trial that needs fewer epochs reads the first ones of a
# longer stage. How many epochs of stage 1 does a list of points ask for, if every trial trains its own? And how many must be trained, if
# they share? Then try it on section 3: `my_points({"poisoning_rate": 0.1, "gamma": gamma, "e1": e1s, "e2": e2s}, seeds)`.


# %% tags=["exercise"]
def my_epochs(points):
    """Epochs of stage 1, alone and shared.

    Each point has "poisoning_rate", "gamma", "e1" and "seed".
    """
    # BEGIN SOLUTION
    longest = {}
    for point in points:
        common = point["poisoning_rate"], point["seed"]
        longest[common] = max(longest.get(common, 0), point["e1"])
    return sum(point["e1"] for point in points), sum(longest.values())
    # END SOLUTION


# %% tags=["check"]
checks.epochs(my_epochs)

# %% [markdown]
# ### Exercise 3. The mean, or the worst seed? *(medium, 15 minutes)*
#
# A table has the columns "gamma", "seed", "ca" and "error". The last is None where a trial has not failed. Which $\gamma$ has the highest
# mean CA, and which has the highest CA on its worst seed? A $\gamma$ at which any trial failed is out. Then try it on the rows of figure
# 2 with $\alpha$ = 10 %: `import pandas` and `pandas.DataFrame(recorded).query("poisoning_rate == 0.1").assign(error=None)`. Do the two
# differ there?


# %% tags=["exercise"]
def my_favourites(table):
    """Two gammas: the best by the mean over the seeds, and the best by the worst seed."""
    # BEGIN SOLUTION
    failed = table.loc[table.error.notna(), "gamma"]
    ca = table[~table.gamma.isin(failed)].groupby("gamma").ca
    return ca.mean().idxmax(), ca.min().idxmax()
    # END SOLUTION


# %% tags=["check"]
checks.favourites(my_favourites)

# %% [markdown]
# ### Exercise 4. What has lowered ASR? *(medium, 10 minutes)*
#
# At 1 % poison and $\gamma$ = 2 %, the suspects are clean. With seed 2, ASR is low at the end. Was it unlearning? A control is a second
# run that differs from the first in one thing: the one that is in question. Design it: a copy of `run` in which one setting has another
# value. ("stages" names those that are run, in their order.) Then write it as one more point of section 2's grid. Which parameter of the
# trial does it?


# %% tags=["exercise"]
run = {"poisoning_rate": 0.01, "gamma": 0.02, "stages": "SL, AU, ASSFT", "seed": 2}
control = None
# BEGIN SOLUTION
control = run | {"stages": "SL, ASSFT"}
# END SOLUTION

# %% tags=["check"]
checks.without_unlearning(control)


# %% [markdown]
# ### Exercise 5. A sweep that can be killed *(hard, 20 minutes)*
#
# Write a sweep for one process. `key(point)` gives a point's name. The dict `records` stands for the folder: it may hold records of an earlier
# call. Run every point that has no record yet, and keep its record, `{"result": …, "error": None}`. If the trial raises an error, the record is
# `{"result": {}, "error": …}` with the reason as text. The others go on, and the failed one is not tried again. Ctrl-C must still stop it. At
# the end, return the records of all points. Then compare with `Job` and `run_job` in `dlp_lib/experiments/sweep/job.py`: what do several
# workers need beyond this?


# %% tags=["exercise"]
def my_sweep(trial, points, key, records):
    """The records of all points, in their order."""
    # BEGIN SOLUTION
    for point in points:
        if key(point) not in records:
            try:
                record = {"result": trial(point), "error": None}
            except Exception as error:
                record = {"result": {}, "error": str(error)}
            records[key(point)] = record
    return [records[key(point)] for point in points]
    # END SOLUTION


# %% tags=["check"]
checks.resuming(my_sweep)

# %% [markdown]
# ### Go further
#
# 1. *(5 minutes)* Take the runs of `recorded` with 1 % poison, whose suspects are clean. Which have a CA above 90 % and an ASR below 5 %?
#    What lowered ASR there?
# 2. *(5 minutes)* In which cells of figure 2 is the range over seeds widest? What would you have concluded from one seed?
# 3. *(15 minutes)* Write a trial of your own into a file `mine.py` beside this notebook. It measures an undefended model at several learning
#    rates. Sweep it.
# 4. *(20 minutes)* Start a scheduler and two workers by hand, start a sweep, and kill a worker. What does the table say?
#
# ## References
#
# - Z. Ying and B. Wu. *DLP: towards active defense against backdoor attacks with decoupled learning process.*
#   Cybersecurity 6, 2023.
# - M. Rocklin. *Dask: parallel computation with blocked algorithms and task scheduling.* SciPy 2015.

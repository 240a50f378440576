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
# **What you will learn.** How CA and ASR of DLP depend on the poisoning rate $\alpha$, the filtering rate $\gamma$, and the lengths $E_1$ and $E_2$ of the first two stages (the paper's Table 5 and beyond); how to run such a grid on all
# cores, to kill it and to go on where it stopped; and how the same line runs on a cluster.
#
# **You need** the pipeline of [notebook 06](06_dlp_pipeline.ipynb).
#
# **Time**: reading, 20 minutes. Running, about eight minutes on two cores (not timed on a GPU yet).
#
# Terms are explained in the [glossary](../docs/GLOSSARY.md), papers listed in the [bibliography](../docs/BIBLIOGRAPHY.md).

# %% [markdown]
# The next cell holds every setting of this notebook. So that some thirty runs fit the time, fine-tuning is cut to a sixth of notebook 06's. CA is lower for it everywhere; the *differences* are what a sweep is for.

# %% tags=["parameters"]
dataset = "shapes10"  # or "cifar10", or a folder of class folders
n_train = 5000  # training images; None for all there are
image_size = 16  # pixels a side
attack = "BadNets"  # or TrojanNN, Blended, LCA, SIG
alphas = [0.01, 0.05, 0.1, 0.5]  # poisoning rates
gammas = [0.002, 0.01, 0.02, 0.1]  # filtering rates
e1s = [2, 4, 8]  # epochs of supervised learning
e2s = [0, 5, 20]  # epochs of unlearning
e1 = 4  # where it is not swept
finetune_steps = 120  # of FixMatch, of 32 labelled images each
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

from dlp_lib import HOME, Runtime
from dlp_lib.checks import sweeps as checks
from dlp_lib.experiments import report, trials
from dlp_lib.experiments.sweep import DASK, sweep
from dlp_lib.plots.growing import growing_maps
from dlp_lib.store import digest

# %% [markdown]
# ## 1. A trial, a grid, a table
#
# A *trial* is a function in a file: a dict of parameters in, a flat dict of results out. The library has one for DLP. Its parameters are the fields of `trials.DLPTrial`; all have defaults.

# %%
print(inspect.getsource(trials.run_dlp))

# %% [markdown]
# A *grid* is a dict of lists. `sweep(trial, grid, seeds, store)` runs the trial for every combination and every seed, on as many processes as there are cores (or GPUs), and returns a table. Every finished trial is a small file in the store.
# Trials also share the stages that they have in common, whoever gets there first.
#
# A whole sweep by hand, of a trial that takes no time, `checks.toy`: it multiplies `n_train` and `e1`. (For so small a trial a thread will do; by default every worker is a process.) Where do the eight rows come from, and in which order?

# %% tags=["nbval-check-output"]
small = {"n_train": [2000, 5000], "e1": [4, 8]}
with TemporaryDirectory() as folder, ThreadPoolExecutor(1) as thread:
    toys = sweep(checks.toy, small, [0, 1], folder, thread)
print(toys[["n_train", "e1", "seed", "images"]].to_string())

# %% [markdown]
# **Predict.** With four values of $\alpha$ and four of $\gamma$: how many times is stage 1 trained? And where on this map will DLP fail?

# %%
store = HOME / cache
common = {
    "dataset": dataset,
    "n_train": n_train,
    "image_size": image_size,
    "attack": attack,
    "device": device,
    "finetune_steps": finetune_steps,
    "finetune_batch": 32,
}

# %% [markdown]
# While it runs, the maps fill up with every trial that is finished. *n* is the number of seeds in a cell.

# %%
panels = {"ca": "CA (%)", "asr": "ASR (%)", "suspected": "suspects poisoned (%)"}
alt = "CA, ASR and the suspects' purity by filtering rate and poisoning rate."
maps = growing_maps(panels, ("gamma", gammas), ("poisoning_rate", alphas), alt)
rates_grid = common | {"e1": e1, "poisoning_rate": alphas, "gamma": gammas}
table = sweep(trials.run_dlp, rates_grid, seeds, store, on_progress=maps)

# %% [markdown]
# **What you should see.** Stage 1 was trained four times, once for every $\alpha$. By columns: with $\gamma$ = 0.2 %, ten trusted images a class, CA stays far below the others. From 1 % on it hardly matters. By rows: with 50 % poison DLP fails, whatever $\gamma$ is: CA is below 50 %, and ASR above 90 %
# in the middle columns, though every suspect is poisoned. With 1 % the suspects are all *clean*, and ASR is low all the same, save in the first column.
#
# **Why.** Fifty poisoned images are not learned in four epochs, so the filter cannot find them. But fine-tuning takes the labels of most samples away: of four in five at $\gamma$ = 2 %, of half at 10 %. Where half of the set is poisoned, stage 1 hardly learns anything but the trigger, and the
# short fine-tuning has little to build on. (Notebook 11 takes both ends with the full length of fine-tuning.)
#
# **Beside the paper** (CIFAR-10, Table 5, as its text tells it). That a very small $\gamma$ is poor, and that 10 % is like 1 %, is here again. That CA is above 90 % at every $\alpha$, and ASR at most 4 % with half of the set poisoned, is not.
#
# ## 2. $E_1$ and $E_2$
#
# The same machinery, other columns. The stop rule is off, so that unlearning lasts exactly $E_2$ epochs.
#
# **Predict.** Which of the two matters more for the ASR in the end? And what does a long ascent cost?

# %%
panels = {
    "AU_ca": "CA after AU (%)",
    "AU_asr": "ASR after AU (%)",
    "ca": "CA in the end (%)",
    "asr": "ASR in the end (%)",
}
alt = "CA and ASR after AU and in the end, by E1 and E2."
maps = growing_maps(panels, ("e2", e2s), ("e1", e1s), alt)
lengths_grid = common | {"gamma": 0.02, "stop": False, "e1": e1s, "e2": e2s}
lengths = sweep(trials.run_dlp, lengths_grid, seeds, store, on_progress=maps)

# %% [markdown]
# **What you should see.** *After unlearning* $E_2$ decides: five epochs leave the backdoor whole, or half of it at $E_1$ = 8, and twenty remove it. *In the end* ASR is about ten per cent or less everywhere, also without any unlearning. What differs in the end is CA: it rises with
# $E_1$, and a long ascent costs ten points or more, which the short fine-tuning does not win back.
#
# **Why.** Under BadNets, FixMatch alone is enough: no suspect has a label any more (notebook 06, Fig. 4). With that, the ascent has little left to do, and its price shows. Do not conclude that a late $E_1$ is better always: the later, the more clean
# samples are as easy as the poisoned ones (notebook 03).
#
# ## 3. What is shared, and what a rerun costs
#
# A record goes by a hash of its parameters and of the code, so that finding it takes no list and no search. By hand, the hashes of a point, of the same point in another order, and of its neighbour. How alike are the last two?

# %% tags=["nbval-check-output"]
for point in ({"gamma": 0.01, "e1": 4}, {"e1": 4, "gamma": 0.01}, {"e1": 5, "gamma": 0.01}):
    print(digest(point), point)

# %% [markdown]
# **Predict.** The column "seconds" tells how long each trial took in its worker. Which trials of the first sweep were slow?

# %%
began = time.perf_counter()
again = sweep(trials.run_dlp, rates_grid, seeds, store)
print(f"a second time: {time.perf_counter() - began:.2f} seconds")
seconds = again.pivot_table(index="poisoning_rate", columns="gamma", values="seconds")
seconds.round(1).rename_axis(columns="seconds at gamma")

# %% [markdown]
# **What you should see.** The rerun takes a moment: it reads. In each row a trial, or two, took longer than the rest by the time of stage 1: where both workers come to the same stage, one trains it and the other waits. At $\gamma$ = 10 % there are more suspects to unlearn, which takes its time as well.
#
# **Why it matters.** A sweep that is killed, by you, by the scheduler of a cluster or by a power cut, loses at most what its workers were at, and of that not even the stages. Try it: run the cell above with another list of $\gamma$, press
# *Interrupt*, and run it again.
#
# A trial that *fails* is recorded too, with its traceback; the table has the last line of it in the column "error", and `retry=True` does it again.
#
# ## 4. The same on Dask
#
# `executor` takes any executor of Python's `concurrent.futures`. [Dask](https://distributed.dask.org) has one for a whole cluster. Here the cluster is two processes on this machine; the sweep is one of a $\gamma$ that we do not have yet. (`DASK` lets its workers keep the memory that they free; by default they train at half the speed.)

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
# On several machines only the address changes. With a folder that all of them see as the store:
#
# ```
# dask scheduler --port 8786                                    # on one machine
# dask worker tcp://HOST:8786 --nthreads 1 --nworkers 4         # on each of the others; with GPUs: one worker a GPU,
# CUDA_VISIBLE_DEVICES=0 dask worker tcp://HOST:8786 --nthreads 1 --resources GPU=1
# ```
#
# ```python
# client = Client("tcp://HOST:8786")
# table = sweep(trials.run_dlp, grid, seeds, "/shared/store", client.get_executor(pure=False, resources={"GPU": 1}))  # without GPUs: no resources
# ```
#
# One thread a worker, always: threads of one process would take turns at PyTorch's random numbers. On SLURM, `srun` starts the workers, or `dask_jobqueue.SLURMCluster` in the place of `LocalCluster`; the project's
# [docs/sweeps.md](../docs/sweeps.md) has both. If a worker dies, Dask gives its trial to another. If the scheduler dies, the sweep ends with an error, and the same line goes on once there is a new one.
#
# Without a notebook, `python -m dlp_lib sweep plan.yaml` runs a grid from a file, and a whole *notebook* can be a trial: `trials.Notebook("notebooks/06_dlp_pipeline.ipynb")` takes its parameters and returns the figures of its `metrics.json`.

# %%
columns = ["seed", "suspected", "ca", "asr", "ra"]
found = {
    "alpha_gamma": table[["poisoning_rate", "gamma", *columns]].to_dict("records"),
    "lengths": lengths[["e1", "e2", *columns]].to_dict("records"),
}
report(out, Runtime(device=device), **found)

# %% [markdown]
# ## Recap
#
# - A sweep is a function, a grid and a store. What is finished stays; what is shared is computed once.
# - One table, tidy: a row a trial, a column a parameter or a result. Means hide seeds: show how many there are.
# - The same line runs on a laptop and on a cluster; the executor is the only difference.
#
# ## Quiz
#
# <details><summary>Two trials differ in $\gamma$ alone. Which stages do they share?</summary>
#
# Stage 1. The filter comes after it and takes other suspects, so that unlearning and fine-tuning are their own.
# </details>
#
# <details><summary>You change a line of the library and run a finished sweep again. Why does it not simply read?</summary>
#
# The code is part of the key: what an older version found may not be what this one finds. Stages whose own code is the same are still read, so that the rerun can be quick all the same.
# </details>
#
# <details><summary>With 1 % poison the ASR in the end is low. Has unlearning removed the backdoor?</summary>
#
# No. The suspects are clean, so there was nothing to climb away from. Fine-tuning takes the labels of most samples away, the suspects' among them, and teaches guesses in their place.
# </details>
#
# ## Exercises
#
# Replace the dots, run the cell, and run the one after it: the check says what is wrong, if anything is.
#
# ### Exercise 1. All combinations *(easy, 10 minutes)*
#
# Make the points of a grid: a dict for every combination of values, with every seed. A value that is no list is the same in all points. Then count those of section 1:
# `my_points(common | {"e1": e1, "poisoning_rate": alphas, "gamma": gammas}, seeds)`.


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
# Stage 1 depends on the tampered set and the seed, and $E_1$ is its length: whoever needs fewer epochs reads the first of a longer one. How many epochs of stage 1 does a list of points ask for, if every trial trains its own, and how many must be trained, if they share?
# Then try it on section 2: `my_points({"poisoning_rate": 0.1, "gamma": 0.02, "e1": e1s, "e2": e2s}, seeds)`.


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
# A table has the columns "gamma", "seed", "ca" and "error", the last of which is None where a trial has not failed. Which $\gamma$ has the highest mean CA, and which the highest CA on its worst seed? A $\gamma$ at which any trial failed is out.
# Then sweep section 1 with `seeds=[0, 1, 2]`, and take the rows of $\alpha$ = 10 %: do the two differ there?


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
# At 1 % poison the ASR in the end is low. Was it unlearning? A control is a second run that differs from the first in one thing: the one that is in question. Design it: a copy of `run` in which one setting has another value ("stages" names those that are run, in their order; numbers may be any). Then write it as one more point of section 1's grid: which parameter of the trial would do it?


# %% tags=["exercise"]
run = {"poisoning_rate": 0.01, "gamma": 0.02, "stages": "SL, AU, ASSFT", "seed": 0}
control = None
# BEGIN SOLUTION
control = run | {"stages": "SL, ASSFT"}
# END SOLUTION

# %% tags=["check"]
checks.without_unlearning(control)


# %% [markdown]
# ### Exercise 5. A sweep that can be killed *(hard, 20 minutes)*
#
# Write a sweep for one process. `key(point)` gives a point's name, and the dict `records` stands for the folder: it may hold records of an earlier call. Run every point that has no record yet, and keep its record, `{"result": …, "error": None}`. If the trial raises, the record is
# `{"result": {}, "error": …}` with the reason as text; the others go on, and the failed one is not tried again. Ctrl-C must still stop it. In the end return the records of all points. Then compare with `Job` and `run_job` in `dlp_lib/experiments/sweep/job.py`: what do several workers need beyond this?


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
# 1. *(5 minutes)* In which cells of the first map are suspects clean, and ASR low all the same? What did the work there?
# 2. *(15 minutes)* Sweep `seeds=[0, 1, 2]`. Which cells change most?
# 3. *(15 minutes)* Write a trial of your own into a file `mine.py` beside this notebook, one that measures an undefended model at several learning rates, and sweep it.
# 4. *(20 minutes)* Start a scheduler and two workers by hand, start a sweep, and kill a worker. What does the table say?
#
# ## References
#
# - Z. Ying and B. Wu. *DLP: towards active defense against backdoor attacks with decoupled learning process.*
#   Cybersecurity 6, 2023.
# - M. Rocklin. *Dask: parallel computation with blocked algorithms and task scheduling.* SciPy 2015.

# Works on a machine with nothing but Python ≥ 3.11 and make; a second call installs nothing.
PYTHON ?= python3
NOTEBOOK ?= 00_quickstart
OUT ?= build/demo
# The demonstration leaves out the comparison without stage 2, which takes half a minute
QUICK = $(if $(filter 00_quickstart,$(NOTEBOOK)),-p skip_au=False)
FOLDER ?= notebooks
ifeq ($(OS),Windows_NT)
BIN := .venv/Scripts
else
BIN := .venv/bin
endif
READY := .venv/installed

.PHONY: help install demo test lab live store student instructor grade book linkcheck links lint outputs recorded benchmarks sync clean
help:            ## list the commands
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/'

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv .venv
	$(BIN)/python tools/install.py $(if $(filter-out 0,$(CPU)),--cpu)
	@touch $@

install: $(READY) ## install into .venv; at this first call, here or below, CPU=1 leaves CUDA out: far smaller on Linux

demo: $(READY)   ## DLP end to end on the embedded data set; PARAMS=file.yaml and SEED=1 vary it
	$(BIN)/python -m dlp_lib run $(NOTEBOOK) --out $(OUT) $(QUICK) $(if $(PARAMS),--params $(PARAMS)) $(if $(SEED),-p seed=$(SEED))

test: $(READY)   ## all tests; COVERAGE=90 also sees which lines they run (a third slower), and wants so many per cent
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder $(if $(COVERAGE),--cov --cov-fail-under=$(COVERAGE))

lab: $(READY)    ## JupyterLab on the notebooks; FOLDER=build/student: on what `make student` wrote
	$(BIN)/jupyter lab $(FOLDER)

live: $(READY)   ## the live lab as a page of its own, on this machine alone
	$(BIN)/python -m dlp_lib.live

store: $(READY)  ## what the notebooks need of the store, for a class: build/course; NOTEBOOKS="00_quickstart ..." takes some
	$(BIN)/python -m dlp_lib store pack build/course $(if $(NOTEBOOKS),--notebooks $(NOTEBOOKS)) $(if $(PARAMS),--params $(PARAMS))

student: $(READY) ## notebooks for students, without solutions: build/student
	$(BIN)/python -m tools.kit student --out build/student

instructor: $(READY) ## notebooks for instructors: build/instructor; GRADER=nbgrader or otter prepares them for it
	$(BIN)/python -m tools.kit instructor --out build/instructor $(if $(GRADER),--grader $(GRADER))

grade: $(READY)  ## points of submitted notebooks: NOTEBOOK=03_entropy_filtering FILES="submitted/*/*.ipynb"; build/grades.csv
	$(BIN)/python -m tools.grade $(NOTEBOOK) $(FILES) --out build/grades.csv

book: $(READY)   ## notebooks, guides and the library as pages: build/book/html; SOLUTIONS=none leaves solutions out
	$(BIN)/python -m tools.book.build $(if $(SOLUTIONS),--solutions $(SOLUTIONS))

linkcheck: $(READY) ## whether the book's links to other sites still hold: asks them
	$(BIN)/python -m tools.book.build linkcheck

links: $(READY)  ## write the links that the address in pyproject.toml gives into README, docs, notebooks and CITATION.cff
	$(BIN)/python -m tools.links

lint: $(READY)   ## formatting and lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

outputs: $(READY) ## execute every notebook at its defaults and keep the outputs that readers see
	$(BIN)/jupyter nbconvert --to notebook --execute --inplace --ExecutePreprocessor.record_timing=False --ExecutePreprocessor.store_widget_state=False notebooks/*.ipynb
	$(BIN)/jupyter nbconvert --to notebook --inplace --coalesce-streams notebooks/*.ipynb
	$(BIN)/python -m tools.claims --new --keep
	$(BIN)/python -m tools.stamp

recorded: $(READY) ## measure the notebooks' tables of three seeds again: about ten hours
	$(BIN)/python -m dlp_lib record all

benchmarks: $(READY) ## speed against the limit and the usual way: about an hour on a machine with nothing else to do
	for name in steps scoring poisoning stages startup memory growth; do $(BIN)/python benchmarks/$$name.py || exit 1; done

sync: $(READY)   ## bring notebooks and their paired texts together, the newer one wins
	$(BIN)/jupytext --sync notebooks/py/*.py

clean:           ## remove everything that can be made again, the environment included
	rm -rf .venv build .pytest_cache .ruff_cache .coverage *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# tfclass: from a fresh clone, `make demo` does everything once; `make test` runs the tests.
#
#   CORPUS=demo | swissprot | FILE   the generated demo corpus, reviewed UniProt proteins, or a labelled table
#   FETCH="--taxon 9606"     options for `tfclass data fetch`, with CORPUS=swissprot
#   EVIDENCE=experimental    of a TF: codes such as exp,ida; empty takes any, with CORPUS=swissprot
#   MEMBERS=8                of a cluster and class, so many are kept, with CORPUS=swissprot
#   MODEL=bilstm             a file of conf/model; for eval and predict also the folder of a model, or a shipped one's name
#   FASTA=FILE               what `make predict` and `make explain` read: one file, or several as a shell writes them ("a.fa 'b c.fa'")
#   RUNS="A B ..."           report folders or MLflow runs of evaluations, for `make compare`
#
# More for one step, written as in a shell; `make eval` that trains first uses two of them:
#
#   TRAIN_ARGS="training.epochs=12"     Hydra overrides of every training (train, eval, predict, demo, pretrained)
#   EVAL_ARGS="evaluation.split=valid"  Hydra overrides of the evaluation (eval, demo)
#   PREDICT_ARGS="--only-tf"            options of predict
#   EXPLAIN_ARGS="--mutagenesis"        options of explain
#   COMPARE_ARGS= SWEEP_ARGS=           Hydra overrides of the comparison (compare, zoo), and of sweep
#   ZOO_ARGS="training.minutes=10"      Hydra overrides of the trainings of zoo; its evaluations take EVAL_ARGS
#   TEST_ARGS="-k fasta"                options of pytest
#   SECONDS=60 READERS="fasta table"    how long, and of which readers, `make fuzz` looks for faults
#   MUTANTS_ARGS="tfclass/io/*.py"      options of tests/mutants.py

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

ifeq ($(origin ARGS),command line)
$(error ARGS would go to every step: use TRAIN_ARGS, EVAL_ARGS, PREDICT_ARGS, EXPLAIN_ARGS, COMPARE_ARGS, ZOO_ARGS, SWEEP_ARGS, TEST_ARGS or MUTANTS_ARGS)
endif

# `make predict` and `make explain` take the shipped model, unless one of these says otherwise.
CHOSEN := $(filter-out undefined,$(origin MODEL) $(origin CORPUS))

PYTHON ?= python3
VENV ?= .venv
CORPUS ?= demo
MODEL ?= bilstm
FASTA ?= data/examples/proteins.fasta
PORT ?= 5000
RUNS ?=
FETCH ?=
EVIDENCE ?=
MEMBERS ?= 8
TRAIN_ARGS ?=
EVAL_ARGS ?=
PREDICT_ARGS ?=
EXPLAIN_ARGS ?= --mutagenesis --figures
COMPARE_ARGS ?=
ZOO_ARGS ?= training.minutes=10
SWEEP_ARGS ?=
TEST_ARGS ?=
SECONDS ?= 60
READERS ?= fasta table bundle config overrides
MUTANTS_ARGS ?=

BIN := $(VENV)/bin
export MLFLOW_DISABLE_TELEMETRY := true

# A name as one word for a shell; an override, with quotes for Hydra in those; a name without what make or a shell would
# take for something else.
quoted = '$(subst ','\'',$(1))'
override_of = $(if $(shell printf %s $(call quoted,$(2)) | LC_ALL=C tr -d 'A-Za-z0-9._/-'),$(call \
    quoted,$(1)="$(subst $${,\$${,$(subst ",\",$(2)))"),$(1)=$(2))
plain = $(shell printf %s $(call quoted,$(1)) | LC_ALL=C tr -c 'A-Za-z0-9._\200-\377-' '-')
# Words with commas between them, which are several values for Hydra.
comma := ,
space := $(subst ,, )
joined = $(subst $(space),$(comma),$(strip $(1)))
# Files of the user's stand in no rule, since make takes some names for something else. This is what makes a target again
# that one of these (words for a shell) is newer than.
newer = $(shell for file in $(2); do test "$$file" -nt $(1) && echo FORCE && break; done)

ifneq ($(filter demo,$(MAKECMDGOALS)),)
override CORPUS := demo
endif

ifeq ($(CORPUS),demo)
NAME := demo
TABLE := data/demo/demo.tsv
FILE := $(TABLE)
CORPUS_ARGS := corpus=demo
EXPERIMENT := experiment=demo
STUDY := study=demo
else ifeq ($(CORPUS),swissprot)
NAME := swissprot
TABLE := data/processed/swissprot.tsv
FILE := $(TABLE)
CORPUS_ARGS := corpus=swissprot corpus.path=$(TABLE)
else
FILE := $(value CORPUS)
NAME := $(call plain,$(shell basename -- $(call quoted,$(FILE)) | sed 's/\.\(gz\|bz2\|xz\|zst\)$$//; s/\.\(tsv\|csv\|parquet\)$$//'))
TABLE :=
CORPUS_ARGS := corpus=table $(call override_of,corpus.path,$(FILE)) $(call override_of,corpus.name,$(NAME))
OWN := $(call quoted,$(FILE))
ifneq ($(filter data train eval predict zoo sweep pretrained,$(MAKECMDGOALS)),)
ifeq ($(shell test -f $(OWN) && echo there),)
$(error CORPUS=$(FILE): no such file; name a labelled table, demo or swissprot)
endif
endif
endif

# A network is trained where there is no model of it yet; a model by its folder or name is taken as it is.
NETWORKS := $(sort $(patsubst conf/model/%.yaml,%,$(wildcard conf/model/*.yaml)))
ifneq ($(filter $(NETWORKS),$(MODEL)),)
BUNDLE := models/$(NAME)-$(MODEL)
MADE := $(BUNDLE)/bundle.json
else
BUNDLE := $(value MODEL)
endif
ZOO := runs/$(NAME)-zoo
REPORT := reports/$(NAME)-$(call plain,$(value MODEL))
# One file of this name, else the words that a shell makes of it.
READ := $(if $(shell test -e $(call quoted,$(value FASTA)) && echo there),$(call quoted,$(value FASTA)),$(value FASTA))

TRAIN = $(BIN)/tfclass train $(or $(EXPERIMENT),$(CORPUS_ARGS)) $(call override_of,model,$(value MODEL)) \
    $(call override_of,bundle,$(BUNDLE)) $(TRAIN_ARGS)
EVALUATE = $(BIN)/tfclass evaluate $(CORPUS_ARGS) $(call override_of,bundle,$(BUNDLE)) \
    $(call override_of,report,$(REPORT)) $(EVAL_ARGS)

.PHONY: help setup data train eval compare predict explain zoo sweep long-range ui demo test lint fuzz mutants audit bench docs clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  Options: CORPUS=demo|swissprot|FILE  MODEL=bilstm  FASTA=FILE, and for one step each"
	@echo "  TRAIN_ARGS= EVAL_ARGS= PREDICT_ARGS= EXPLAIN_ARGS= COMPARE_ARGS= ZOO_ARGS= SWEEP_ARGS= TEST_ARGS= MUTANTS_ARGS= (see the top of the Makefile)"

setup: $(VENV)/.installed ## Make the environment (.venv) with tfclass in it

data: $(TABLE) ## Make the corpus: fetch, label, cluster, split, audit (CORPUS=swissprot), or generate it
	$(if $(TABLE),,@echo "a table of your own needs no making; check it with: tfclass data check" $(call quoted,$(OWN)))

train: $(VENV)/.installed $(TABLE) ## Train; every call is a new run in MLflow, the last one is the model
	$(TRAIN)

eval: $(MADE) | $(VENV)/.installed ## Evaluate the model on the test split; trains first where there is none
	$(EVALUATE)

compare: $(VENV)/.installed ## Compare reports with the first of them (RUNS="reports/A reports/B"; MLflow run ids too)
	$(BIN)/tfclass evaluate compare $(RUNS) $(COMPARE_ARGS)

predict: $(if $(CHOSEN),$(MADE)) | $(VENV)/.installed ## Predict FASTA=FILE with the shipped model, or that of MODEL= and CORPUS=
	$(BIN)/tfclass predict $(READ) $(if $(CHOSEN),--model $(call quoted,$(BUNDLE))) $(PREDICT_ARGS)

explain: $(if $(CHOSEN),$(MADE)) | $(VENV)/.installed ## Show what the predictions for FASTA=FILE rest on: pages and tables in reports/explain
	$(BIN)/tfclass explain $(READ) $(if $(CHOSEN),--model $(call quoted,$(BUNDLE))) -o reports/explain $(EXPLAIN_ARGS)

zoo: $(VENV)/.installed $(TABLE) ## Train every network for the same time and compare them; goes on where it was interrupted
	$(BIN)/tfclass train -m $(CORPUS_ARGS) model=$(call joined,$(NETWORKS)) hydra.sweep.dir=$(ZOO) \
	    'hydra.sweep.subdir=$${network}' $(ZOO_ARGS)
	$(BIN)/tfclass evaluate -m $(CORPUS_ARGS) bundle=$(call joined,$(NETWORKS:%=$(ZOO)/%/bundle)) 'report=$${bundle}/../report' \
	    evaluation.baselines=false $(EVAL_ARGS)
	$(BIN)/tfclass evaluate compare $(NETWORKS:%=$(ZOO)/%/report) report=$(ZOO)/comparison $(COMPARE_ARGS)

sweep: $(VENV)/.installed-sweep $(TABLE) ## Search for good options by many trainings (SWEEP_ARGS='study.n_trials=50')
	$(BIN)/tfclass sweep $(or $(EXPERIMENT),$(CORPUS_ARGS)) $(STUDY) $(call override_of,model,$(value MODEL)) $(SWEEP_ARGS)

long-range: $(VENV)/.installed ## What each recurrent network remembers over 10 to 1000 residues; figures into docs/
	$(BIN)/python benchmarks/long_range.py

ui: $(VENV)/.installed ## Serve the MLflow UI on this machine, port 5000 (PORT=...)
	$(BIN)/tfclass ui --port $(PORT)

demo: $(REPORT)/report.json data/demo/demo.fasta ## Everything once: set up, generate, train, evaluate, predict
	@echo
	@echo "Generated proteins (each id ends in its label), predicted by the model that was trained on generated ones:"
	$(BIN)/tfclass predict data/demo/demo.fasta --model $(call quoted,$(BUNDLE))
	@echo
	@echo "Real proteins, predicted by the model that ships with tfclass:"
	$(BIN)/tfclass predict data/examples/proteins.fasta

# What one process has compiled, those that the tests start need not compile again.
test: $(VENV)/.installed-test ## Run the tests, on up to four cores
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal $(TEST_ARGS)

mutants: $(VENV)/.installed ## Change the code here and there, and count what the tests find: hours
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[mutation]'
	nice $(BIN)/python tests/mutants.py $(MUTANTS_ARGS)

lint: $(VENV)/.installed-test ## Check style, types and imports between packages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m numpydoc lint $$(find tfclass -name '*.py')
	$(BIN)/pyright --pythonpath $(BIN)/python

fuzz: $(VENV)/.installed-test ## Search for bytes that break a reader, SECONDS=60 for each (Linux); goes on where it stopped
	$(BIN)/python -m pip install -q -c constraints.txt atheris
	@for reader in $(READERS); do echo "== $$reader"; $(BIN)/python -m tests.fuzz $$reader $(SECONDS) || exit 1; done

audit: $(VENV)/.installed ## Look up known vulnerabilities of the pinned versions (asks the package index)
	$(BIN)/python -m pip install -q -c constraints.txt pip-audit
	$(BIN)/python -m pip_audit --strict --disable-pip --no-deps -r constraints.txt

bench: $(VENV)/.installed ## Run every benchmark of speed and memory
	@for script in $(filter-out benchmarks/long_range.py,$(wildcard benchmarks/*.py)); do echo "== $$script"; $(BIN)/python $$script || exit 1; done

docs: $(VENV)/.installed ## Build the documentation, with a search; runs the notebook, and says where the pages are
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[docs]'
	$(BIN)/python -m sphinx -q -W -b html docs docs/_build/html
	@echo "open docs/_build/html/index.html"

clean: ## Remove what was built; keeps data, models and MLflow's records
	rm -rf build dist docs/_build .pytest_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -c constraints.txt -e .
	@touch $@

$(VENV)/.installed-sweep: $(VENV)/.installed
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[sweep]'
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[test]'
	@touch $@

# Beside this file, wherever make is run.
include $(dir $(lastword $(MAKEFILE_LIST)))recipes/tf-bilstm/tf-bilstm.mk

data/demo/demo.tsv: | $(VENV)/.installed
	$(BIN)/tfclass data demo -o $@

# Three proteins of each class that the model was not trained on.
data/demo/demo.fasta: data/demo/demo.tsv
	awk -F '\t' 'NR == 1 { for (i = 1; i <= NF; i++) at[$$i] = i; next } \
	    $$at["split"] == "test" && n[$$at["label"]]++ < 3 { print ">" $$at["id"] "_" $$at["label"]; print $$at["sequence"] }' $< > $@

# An interrupted download goes on where it was.
data/raw/uniprot/manifest.json: | $(VENV)/.installed
	$(BIN)/tfclass data fetch -o $(@D) $(FETCH)

# Those of them that are TFs on such evidence: a second, small search.
PROOF := $(if $(EVIDENCE),data/raw/uniprot-$(EVIDENCE)/manifest.json)

data/raw/uniprot-%/manifest.json: data/raw/uniprot/manifest.json | $(VENV)/.installed
	$(BIN)/tfclass data fetch -o $(@D) $(FETCH) --evidence $*

data/interim/swissprot.tsv: data/raw/uniprot/manifest.json $(PROOF) | $(VENV)/.installed
	$(BIN)/tfclass data label $(<D) -o $@ $(if $(PROOF),--evidence $(patsubst %/,%,$(dir $(PROOF))))

data/interim/swissprot.clustered.tsv: data/interim/swissprot.tsv | $(VENV)/.installed
	$(BIN)/tfclass data cluster $< -o $@

data/interim/swissprot.split.tsv: data/interim/swissprot.clustered.tsv | $(VENV)/.installed
	$(BIN)/tfclass data split $< -o $@ --max-members $(MEMBERS)

data/processed/swissprot.tsv: data/interim/swissprot.split.tsv | $(VENV)/.installed
	$(BIN)/tfclass data audit $< -o $@ --move

ifneq ($(MADE),)
$(MADE): $(TABLE) $(call newer,$(MADE),$(OWN)) | $(VENV)/.installed
	$(TRAIN)
endif

$(REPORT)/report.json: $(MADE)
	$(EVALUATE)

# What is never there, so that whatever needs it is made again.
FORCE:

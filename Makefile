# tfclass: from a fresh clone, `make demo` does everything once; `make test` runs the tests.
#
#   CORPUS=demo | swissprot | FILE   the generated demo corpus, reviewed UniProt proteins, or a labelled table
#   FETCH="--taxon 9606"     options for `tfclass data fetch`, with CORPUS=swissprot
#   EVIDENCE=experimental    of a TF: codes such as exp,ida; empty takes any, with CORPUS=swissprot
#   MEMBERS=8                of a cluster and class, so many are kept, with CORPUS=swissprot
#   MODEL=bilstm             a file of conf/model
#   ARGS="key=value ..."     further Hydra overrides for train and eval, options for predict
#   FASTA=FILE               what `make predict` reads
#   RUNS="A B ..."           report folders or MLflow runs of evaluations, for `make compare`
#   DOMAINS= FAMILIES= UNLABELLED=   what else `make pretrained` learns from, besides CORPUS=FILE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV ?= .venv
CORPUS ?= demo
MODEL ?= bilstm
FASTA ?= data/examples/proteins.fasta
PORT ?= 5000
ARGS ?=
RUNS ?=
FETCH ?=
EVIDENCE ?=
MEMBERS ?= 8

BIN := $(VENV)/bin
export MLFLOW_DISABLE_TELEMETRY := true

ifeq ($(CORPUS),demo)
NAME := demo
TABLE := data/demo/demo.tsv
CORPUS_ARGS := corpus=demo
TRAIN_ARGS := experiment=demo
else ifeq ($(CORPUS),swissprot)
NAME := swissprot
TABLE := data/processed/swissprot.tsv
CORPUS_ARGS := corpus=swissprot corpus.path=$(TABLE)
TRAIN_ARGS := $(CORPUS_ARGS)
else
NAME := $(notdir $(CORPUS))
NAME := $(patsubst %.gz,%,$(patsubst %.bz2,%,$(patsubst %.xz,%,$(patsubst %.zst,%,$(NAME)))))
NAME := $(patsubst %.tsv,%,$(patsubst %.csv,%,$(patsubst %.parquet,%,$(NAME))))
TABLE := $(CORPUS)
CORPUS_ARGS := corpus=table corpus.path=$(abspath $(CORPUS)) corpus.name=$(NAME)
TRAIN_ARGS := $(CORPUS_ARGS)
endif

BUNDLE := models/$(NAME)-$(MODEL)
PRETRAINED := models/pretrained/$(NAME)
REPORT := reports/$(NAME)-$(MODEL)

TRAIN = $(BIN)/tfclass train $(TRAIN_ARGS) model=$(MODEL) bundle=$(BUNDLE) $(ARGS)
EVALUATE = $(BIN)/tfclass evaluate $(CORPUS_ARGS) bundle=$(BUNDLE) report=$(REPORT) $(ARGS)

.PHONY: help setup data train eval compare predict zoo long-range pretrained ui demo test lint bench docs clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  Options: CORPUS=demo|swissprot|FILE  MODEL=bilstm  ARGS='key=value ...'  FASTA=FILE  (see the top of the Makefile)"

setup: $(VENV)/.installed ## Make the environment (.venv) with tfclass in it

data: $(TABLE) ## Make the corpus: fetch, label, cluster, split, audit (CORPUS=swissprot), or generate it

train: $(VENV)/.installed $(TABLE) ## Train; every call is a new run in MLflow, the last one is the model
	$(TRAIN)

eval: $(BUNDLE)/bundle.json ## Evaluate the model on the test split; trains first where there is none
	$(EVALUATE)

compare: $(VENV)/.installed ## Hold reports against the first of them (RUNS="reports/A reports/B"; MLflow run ids too)
	$(BIN)/tfclass evaluate compare $(RUNS) $(ARGS)

predict: $(BUNDLE)/bundle.json ## Predict FASTA=FILE with the model
	$(BIN)/tfclass predict $(FASTA) --model $(BUNDLE) $(ARGS)

zoo: $(VENV)/.installed $(TABLE) ## Train every network with the same budget; one table (ARGS='training.minutes=10')
	$(BIN)/tfclass zoo $(CORPUS_ARGS) $(ARGS)

long-range: $(VENV)/.installed ## What each recurrent network remembers over 10 to 1000 residues; figures into docs/
	$(BIN)/python benchmarks/long_range.py

pretrained: $(PRETRAINED)/tf-bilstm/bundle.json ## Make the model that ships: profiles, two trainings, both joined (hours; CORPUS=FILE)

ui: $(VENV)/.installed ## Serve the MLflow UI on this machine, port 5000 (PORT=...)
	$(BIN)/tfclass ui --port $(PORT)

demo: $(REPORT)/report.json ## Everything once: set up, generate, train, evaluate, predict
	$(BIN)/tfclass predict $(FASTA) --model $(BUNDLE)

test: $(VENV)/.installed-test ## Run the tests, on up to four cores
	$(BIN)/python -m pytest -n auto --maxprocesses 4 $(ARGS)

lint: $(VENV)/.installed-test ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

bench: $(VENV)/.installed ## Run every benchmark of speed and memory
	@for script in $(filter-out benchmarks/long_range.py,$(wildcard benchmarks/*.py)); do echo "== $$script"; $(BIN)/python $$script || exit 1; done

docs: $(VENV)/.installed ## Build the documentation into docs/_build
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[docs]'
	$(BIN)/python -m sphinx -q -W -b html docs docs/_build

clean: ## Remove what was built; keeps data, models and MLflow's records
	rm -rf build dist docs/_build .pytest_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -c constraints.txt -e .
	@touch $@

$(VENV)/.installed-making: $(VENV)/.installed
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[profiles,homology]'
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[test]'
	@touch $@

$(PRETRAINED)/profiles.h3m.zst: $(TABLE) $(DOMAINS) | $(VENV)/.installed-making
	$(BIN)/tfclass profiles build $< -o $@ $(if $(DOMAINS),--domains $(DOMAINS))

$(PRETRAINED)/start/bundle.json: $(TABLE) | $(VENV)/.installed
	$(BIN)/tfclass train experiment=pretrained_start corpus.path=$(abspath $<) bundle=$(@D) $(ARGS)

$(PRETRAINED)/teacher/bundle.json: $(TABLE) $(PRETRAINED)/start/bundle.json $(PRETRAINED)/profiles.h3m.zst
	$(BIN)/tfclass model attach $(PRETRAINED)/start $< --profiles $(PRETRAINED)/profiles.h3m.zst --homology -o $(@D)

$(PRETRAINED)/enriched.tsv: $(TABLE) $(PRETRAINED)/teacher/bundle.json $(DOMAINS) $(FAMILIES) $(UNLABELLED)
	$(BIN)/tfclass profiles enrich $< --teacher $(PRETRAINED)/teacher -o $@ $(if $(DOMAINS),--domains $(DOMAINS)) \
	    $(if $(FAMILIES),--families $(FAMILIES)) $(if $(UNLABELLED),--unlabelled $(UNLABELLED))

$(PRETRAINED)/network/bundle.json: $(PRETRAINED)/enriched.tsv $(PRETRAINED)/start/bundle.json
	$(BIN)/tfclass train experiment=pretrained corpus.path=$(abspath $<) training.start=$(PRETRAINED)/start bundle=$(@D) $(ARGS)

$(PRETRAINED)/tf-bilstm/bundle.json: $(TABLE) $(PRETRAINED)/network/bundle.json $(PRETRAINED)/profiles.h3m.zst
	$(BIN)/tfclass model attach $(PRETRAINED)/network $< --profiles $(PRETRAINED)/profiles.h3m.zst -o $(@D)

data/demo/demo.tsv: | $(VENV)/.installed
	$(BIN)/tfclass data demo -o $@

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

$(BUNDLE)/bundle.json: $(TABLE) | $(VENV)/.installed
	$(TRAIN)

$(REPORT)/report.json: $(BUNDLE)/bundle.json
	$(EVALUATE)

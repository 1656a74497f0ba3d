# `make pretrained CORPUS=FILE`: the steps that made the model that ships.
#
#   DOMAINS= FAMILIES= UNLABELLED=   files of known domains, known families and unlabelled proteins; see pseudo_labels.py
#   START=tf-bilstm                  a model to start from (a folder or a shipped name), in place of a first training; the
#                                    network is then the mean of its weights, pruned, and the trained ones

RECIPE := recipes/tf-bilstm
# Units per direction of the network that ships; as in experiment/pretrained.yaml.
UNITS := 96
PRETRAINED := models/pretrained/$(NAME)
# The user's files, as words for a shell.
DOMAIN_FILE := $(if $(DOMAINS),$(call quoted,$(value DOMAINS)))
FAMILY_FILE := $(if $(FAMILIES),$(call quoted,$(value FAMILIES)))
OTHERS_FILE := $(if $(UNLABELLED),$(call quoted,$(value UNLABELLED)))
LEARNED := $(call override_of,corpus.path,$(FILE))
FIRST := $(if $(START),$(call quoted,$(value START)),$(PRETRAINED)/start)
LAST := $(PRETRAINED)/$(if $(START),mean,network)
FIRST_BUNDLE := $(if $(START),,$(PRETRAINED)/start/bundle.json)

.PHONY: pretrained

pretrained: $(PRETRAINED)/tf-bilstm/bundle.json ## Make the model that ships: profiles, two trainings, both joined (hours; CORPUS=FILE)

$(VENV)/.installed-making: $(VENV)/.installed
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[profiles,homology]'
	@touch $@

$(PRETRAINED)/profiles.h3m.zst: $(TABLE) $(call newer,$(PRETRAINED)/profiles.h3m.zst,$(OWN) $(DOMAIN_FILE) $(OTHERS_FILE)) | $(VENV)/.installed-making
	$(BIN)/python $(RECIPE)/pseudo_labels.py profiles $(call quoted,$(FILE)) -o $@ \
	    $(if $(DOMAINS),--domains $(DOMAIN_FILE)) $(if $(UNLABELLED),--unlabelled $(OTHERS_FILE))

$(PRETRAINED)/start/bundle.json: $(TABLE) $(call newer,$(PRETRAINED)/start/bundle.json,$(OWN)) | $(VENV)/.installed
	$(BIN)/tfclass train --config-dir $(RECIPE) experiment=pretrained_start $(LEARNED) $(call override_of,bundle,$(@D)) $(TRAIN_ARGS)

$(PRETRAINED)/teacher/bundle.json: $(TABLE) $(FIRST_BUNDLE) $(PRETRAINED)/profiles.h3m.zst
	$(BIN)/tfclass model attach $(FIRST) $(call quoted,$(FILE)) --profiles $(PRETRAINED)/profiles.h3m.zst --homology \
	    --prefilter -8 -o $(@D)

$(PRETRAINED)/training.tsv: $(TABLE) $(PRETRAINED)/teacher/bundle.json $(call newer,$(PRETRAINED)/training.tsv,$(DOMAIN_FILE) $(FAMILY_FILE) $(OTHERS_FILE))
	$(BIN)/python $(RECIPE)/pseudo_labels.py label $(call quoted,$(FILE)) --teacher $(PRETRAINED)/teacher -o $@ \
	    $(if $(DOMAINS),--domains $(DOMAIN_FILE)) $(if $(FAMILIES),--families $(FAMILY_FILE)) \
	    $(if $(UNLABELLED),--unlabelled $(OTHERS_FILE))

$(PRETRAINED)/pruned/bundle.json: $(TABLE) $(FIRST_BUNDLE) | $(VENV)/.installed
	$(BIN)/python $(RECIPE)/prune_units.py $(FIRST) $(call quoted,$(FILE)) --units $(UNITS) -o $(@D)

$(PRETRAINED)/network/bundle.json: $(PRETRAINED)/training.tsv $(PRETRAINED)/pruned/bundle.json
	$(BIN)/tfclass train --config-dir $(RECIPE) experiment=pretrained $(call override_of,corpus.path,$<) \
	    training.init_from=$(PRETRAINED)/pruned bundle=$(@D) $(TRAIN_ARGS)

$(PRETRAINED)/mean/bundle.json: $(TABLE) $(PRETRAINED)/network/bundle.json
	$(BIN)/python $(RECIPE)/average_weights.py $(PRETRAINED)/pruned $(PRETRAINED)/network $(call quoted,$(FILE)) --share 0.7 \
	    -o $(@D)

$(PRETRAINED)/tf-bilstm/bundle.json: $(TABLE) $(LAST)/bundle.json $(PRETRAINED)/profiles.h3m.zst
	$(BIN)/tfclass model attach $(LAST) $(call quoted,$(FILE)) --profiles $(PRETRAINED)/profiles.h3m.zst -o $(@D)

# `make help` lists what there is.
# Other data or settings: make report DATA=embedded PROFILE=quick

PYTHON ?= python3
DATA ?= auto
PROFILE ?= default
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
STRIP := --keep-id --keep-count --extra-keys metadata.language_info.version

.DEFAULT_GOAL := help
.PHONY: help install report test unit faults fuzz lint strip lab draw predict champion lock clean

help: ## list these targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12
	@echo "All but help, lock and clean install first, once. To read pictures alone: pip install ."

install: $(INSTALLED) ## set up .venv with all that is needed, 2.7 GB, from requirements.lock

# The lock names every package that is needed, with its version and hashes. So nothing is resolved: what
# appears on the index later changes nothing, and `pip check` says whether the lock is whole.
# uv, one of the locked wheels, installs in seconds what takes pip minutes. `make install UV=false` leaves it out.
# (Setuptools warns of every editable installation, at length.)
UV ?= $(shell command -v uv)
PIP := $(BIN)/python -m pip --disable-pip-version-check
PIP_INSTALL := $(PIP) install --quiet --no-deps

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed: make install PYTHON=python3.12" >&2; exit 1; }
	@echo "Installing into $(VENV), once: a minute with uv, some minutes with pip"
	@$(PYTHON) -m venv $$([ -e $@ ] || echo --clear) $(VENV) # what is half-done is begun anew
	@sed -n '/^uv==/,/[^\]$$/p' requirements.lock > $(VENV)/uv.txt
	@uv="$(UV)"; \
	if [ -z "$$uv" ] && $(PIP_INSTALL) --require-hashes --only-binary :all: -r $(VENV)/uv.txt; \
	then uv=$(BIN)/uv; fi; \
	"$${uv:-false}" pip sync --quiet --python $(BIN)/python --require-hashes --compile-bytecode \
	  requirements.lock \
	  || { echo "Installing with pip, without uv: some minutes" >&2; \
	    $(PIP_INSTALL) --require-hashes -r requirements.lock; } \
	  || { echo "Not installed: can a package index be reached? See docs/troubleshooting.md" >&2; \
	    exit 1; }
	@PYTHONWARNINGS=ignore $(PIP_INSTALL) --no-build-isolation -e .
	@missing=$$($(PIP) check) || { echo "$$missing" >&2; \
	  echo "requirements.lock does not hold all that is needed: \`make lock\` renews it" >&2; exit 1; }
	@touch $@
	@echo "Installed. Of all that \`make help\` lists, \`make predict\` is the quickest to try"

report: $(INSTALLED) ## run all notebooks and write reports/<data>/index.html
	$(BIN)/digits report --data "$(DATA)" --profile "$(PROFILE)" $(if $(OUTPUT),--output "$(OUTPUT)")

lint: $(INSTALLED) ## check style, format, and which room imports which
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports
	$(BIN)/nbstripout --verify $(STRIP) notebooks/*.ipynb

strip: $(INSTALLED) ## strip the notebooks' outputs before a commit, as `make lint` wants them
	$(BIN)/nbstripout $(STRIP) notebooks/*.ipynb

# The notebooks run on copies with quick parameters; as they stand they would train at full length.
test: lint ## lint, unit tests with coverage, and the notebooks under nbval
	rm -rf build/nbval
	$(BIN)/digits report --data embedded --profile quick --prepare-only --output build/nbval
	$(BIN)/python -m pytest --cov=digits --cov-report=term-missing:skip-covered --cov-fail-under=90
	$(BIN)/python -m pytest --nbval-lax --nbval-current-env --nbval-cell-timeout=600 \
	  --nbval-sanitize-with=tests/nbval_sanitize.cfg build/nbval

unit: $(INSTALLED) ## the quick unit tests alone, without those marked slow or browser
	$(BIN)/python -m pytest -m "not slow and not browser"

faults: $(INSTALLED) ## try to break it, at length, and write reports/faults.md (a part: FAULTS="--share 0.1 -k kill")
	$(BIN)/python -m pytest -m campaign tests/faults $(FAULTS)

fuzz: $(INSTALLED) ## read pictures with changed bytes, for half an hour, and write reports/fuzzing.md
	$(BIN)/python -m pytest -m fuzzing tests/faults $(FAULTS)

lab: $(INSTALLED) ## open the notebooks in JupyterLab
	$(BIN)/jupyter lab notebooks

draw: $(INSTALLED) ## open the drawing pad as a page: draw a digit, and see what is read
	$(BIN)/digits draw

predict: $(INSTALLED) ## read the pictures of test_images/ (others: make predict PICTURES=photo.jpg)
	$(BIN)/digits predict $(PICTURES)

SEEDS ?= 0 1 2
champion: $(INSTALLED) ## train the shipped model again, three seeds of more than an hour each, and ship the best on validation
	@for seed in $(SEEDS); do \
	  test -e runs/champion-$$seed || $(BIN)/digits train --data mnist --profile best --seed $$seed \
	    --run runs/champion-$$seed --resume || exit; \
	done # a run that is there is not made again; one that was stopped goes on
	$(BIN)/python -c "from digits import data, training; \
	  training.ship([f'runs/champion-{seed}' for seed in '$(SEEDS)'.split()], data.load('mnist'))"

lock: ## renew requirements.lock from pyproject.toml
	PATH="$(BIN):$$PATH" uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --extra train --extra notebooks --extra scale --extra heic --extra dev pyproject.toml -o requirements.lock

clean: ## remove .venv, build folders and failed reports; runs/ and reports/ stay
	rm -rf $(VENV) build .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage reports/*.failed *.egg-info

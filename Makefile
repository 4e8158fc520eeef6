# Everything happens in one virtual environment, .venv; `make help` lists the targets.

ifeq ($(OS),Windows_NT)
BIN := .venv/Scripts
else
BIN := .venv/bin
endif
PRESET ?= cpu
MINUTES ?= 10
# Not ?=, since systems set variables of these names.
LANGUAGE = en
PAPER = A4
NAME =
export NO_MKDOCS_2_WARNING := 1

.DEFAULT_GOAL := help
.PHONY: help site build pdf watch test check lab notebooks cifar10 wheel bench steps labml scaling \
	resnet attention example graph pretraining mutants translations lock clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

site: .venv/.site  ## build the book's website and serve it on this machine (needs no torch)
	$(BIN)/python -m website.build --serve

build: .venv/.site  ## build the website into site/; STRICT=1: no translation may be missing either
	$(BIN)/python -m website.build $(if $(STRICT),--complete)

pdf: .venv/.site  ## build it and print the book, a PDF an edition; PAPER=letter
	$(BIN)/python -m website.pdf --paper $(PAPER) $(if $(STRICT),--complete)

watch: .venv/.site  ## serve one edition and follow every change of a text; LANGUAGE=zh
	$(BIN)/python -m website.watch --language $(LANGUAGE)

test: .venv/.dev  ## run every check: style, types, units, notebooks, site, browser
	$(STYLE)
	$(BIN)/pytest $(PARALLEL)

check: .venv/.dev  ## run the checks that take a minute or two: style, types, fast tests
	$(STYLE)
	$(BIN)/pytest $(PARALLEL) -m "not book and not browser and not slow"

define STYLE
$(BIN)/ruff check
$(BIN)/ruff format --check
$(BIN)/mypy
$(BIN)/python -m website.bundle
endef
# A process a core, each with one thread: what tests compute is too small to be shared.
PARALLEL := --numprocesses auto --dist worksteal

lab: .venv/.dev  ## open the chapters in JupyterLab; NAME=cpu opens the notebook of your run
	@$(BIN)/python -m notebooks.lab $(NAME)

notebooks: .venv/.dev  ## execute every chapter, or CHAPTER=4, and renew its pair
	@$(BIN)/python -m notebooks $(CHAPTER)

cifar10: .venv/.dev  ## train through chapter 6, into my-runs/NAME; PRESET=quick, VITLIT_DATA=photos.zip
	@$(BIN)/python -m notebooks 06_cifar10 --preset $(PRESET) --record "$(NAME)"

wheel: .venv/.site  ## make the module's wheel, with the book's records and weights, in build/wheel/
	@$(BIN)/python -m website.wheel

bench: .venv/.bench  ## compare throughput with four other implementations, on a GPU if it is there
	$(BIN)/python -m benchmarks.throughput

steps: .venv/.dev  ## time a training step of the presets and of each variant, on an idle CPU
	$(BIN)/python -m benchmarks.steps


labml: .venv/.dev  ## train labml's configuration, at our size and by our recipe, too: 9 × MINUTES=10
	$(BIN)/python -m studies.labml --minutes $(MINUTES) --seeds 0 1 2 \
		--configurations theirs our-size our-recipe

scaling: .venv/.dev  ## train ViT and ResNet on 1,000 to 50,000 images, where you have no records
	$(BIN)/python -m studies.scaling

example: .venv/.dev  ## ask the best run about one picture, for the drawings of the home page
	@$(BIN)/python -m studies.example

attention: .venv/.dev  ## ask the best run what its attention tells: erasing, norms, calibration
	$(BIN)/python -m studies.attention

graph: .venv/.dev  ## write the graph that runs in the page, of the book's weights
	$(BIN)/python -m studies.graph

resnet: .venv/.dev  ## train the best ResNets found for 10 and 60 minutes, where you have no records
	$(BIN)/python -m studies.resnet

pretraining: .venv/.dev  ## learn three classes from 30 to 3,000 images, pre-trained on seven or not
	$(BIN)/python -m studies.pretraining

translations: .venv/.site  ## find what English text has changed, and what of the Chinese is stale
	$(BIN)/python -m website.translation

mutants: .venv/.dev  ## plant known mistakes in copies of the module and see the tests fail
	$(BIN)/python -m tests.mutants

lock: .venv/.dev  ## pin all packages again, from the ranges in pyproject.toml
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --upgrade $(LOCK) --extra dev -o requirements/dev.txt
	$(BIN)/uv pip compile $(LOCK) --extra docs -o requirements/site.txt \
		--excludes requirements/not-for-the-site.txt --constraints requirements/dev.txt
	$(BIN)/uv pip compile --upgrade $(LOCK) --extra bench -o requirements/bench.txt \
		--constraints requirements/dev.txt
LOCK := --quiet --universal --generate-hashes --no-emit-index-url --python-version 3.12 \
	--custom-compile-command "make lock" pyproject.toml

clean:  ## remove what was built and installed
	rm -rf .venv node_modules site build

# A stamp a set of packages. The site's set is part of the developers', pinned alike.
.venv/.site: requirements/site.txt | .venv/.python
	@echo "Installing what builds the site, without PyTorch, into .venv: $(SIZE_SITE) …"
	$(call INSTALL,site)
	@touch $@

.venv/.dev: requirements/dev.txt | .venv/.python
	@echo "Installing PyTorch, JupyterLab and the rest into .venv: $(SIZE_DEV) …"
	$(call INSTALL,dev)
	@touch $@ .venv/.site

.venv/.bench: requirements/bench.txt | .venv/.python
	@echo "Installing what is measured beside vitlit into .venv: $(SIZE_DEV) …"
	$(call INSTALL,bench)
	@touch $@ .venv/.dev .venv/.site

# Measured on two cores with a fast network; on Linux the wheel of PyTorch brings CUDA with it.
SIZE_SITE := 0.7 GB, half a minute
SIZE_DEV := 6.7 GB on Linux, about 2 minutes
define INSTALL
@$(BIN)/python -m pip install --quiet --require-hashes -r requirements/$(1).txt
@$(BIN)/python -m pip install --quiet --no-deps --editable .
endef

.venv/.python:
	@for python in $(PYTHON) python3 python3.12 python3.13 python3.14 python; do \
		if $$python -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null; then \
			$$python -m venv .venv && touch $@ && exit 0; \
		fi; \
	done; \
	echo "vitlit needs Python 3.12 or newer; found $$(python3 --version 2>&1). Install it, or" \
		"name one: make PYTHON=/path/to/python3.12" >&2; exit 1

# `make sweep` runs the main job, `make test` lints, type-checks and tests; both set up .venv themselves. `make validate`
# counts every model family that transformers has, tries 5,000 generated scenarios and holds paraSim against every
# reference of docs/explanation/validation.md (minutes). `make test-ray` installs Ray (280 MB) as well and runs the tests
# that `make test` skips without it; `make test-app` the tests of `paraSim app`, which need Chromium (apt-get install
# chromium) for its page; `make test-live` trains every kind of method with agents (minutes). `make docs` builds the
# documentation into build/site, which needs no network to be read; `make docs-pages` runs all commands on its pages, and
# writes these and the generated reference anew.
PYTHON ?= python3
BIN := .venv/bin
# Simulated clients share two cores with PyTorch's threads: spinning ones would only steal time.
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: sweep test validate test-ray test-app test-live docs docs-pages clean
sweep: .venv/.run
	$(BIN)/paraSim sweep --out results/figure2

test: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n auto

validate: .venv/.dev
	PARASIM_CASES=5000 $(BIN)/pytest -n auto tests/generated tests/train/models/every_configuration.py
	$(BIN)/python -m validation

test-ray: .venv/.dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[ray]'
	$(BIN)/pytest tests/sim/support/test_ray_pool.py tests/parasim/test_ray.py tests/train/remote/test_ray_trainer.py

test-app: .venv/.dev
	PARASIM_PAGE=1 $(BIN)/pytest -rs tests/parasim/app

test-live: .venv/.dev
	PARASIM_LIVE=1 $(BIN)/pytest tests/parasim/live

docs: .venv/.run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

docs-pages: .venv/.dev
	$(BIN)/python -m tests.docs

.venv/.run: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

.venv/.dev: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train,plan,notebooks,app,live,dev]'
	touch .venv/.run $@

clean:
	rm -rf .venv results

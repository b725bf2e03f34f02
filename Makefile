# The five things one does here. A virtual environment should be active.
.PHONY: install test test-all lint docs

install:  ## what all others need
	pip install -e ".[dev,docs]"

test:  ## the tests of a few minutes
	pytest

test-all:  ## the slow ones too
	pytest -m "slow or not slow"

lint:
	ruff check .
	ruff format --check .
	mypy
	lint-imports

docs:  ## the site in site/; every warning is an error
	mkdir -p docs/commands
	typer llavamed_data.cli.app utils docs --name "python -m llavamed_data" --output docs/commands/llavamed_data.md
	typer llavamed_trainer.cli.app utils docs --name "python -m llavamed_trainer" --output docs/commands/llavamed_trainer.md
	zensical build --clean --strict > site.log 2>&1; status=$$?; cat site.log; \
	! grep -qE '^(griffe|mkdocstrings|WARNING)' site.log && rm site.log && exit $$status

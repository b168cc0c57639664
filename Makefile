# The checks that CI runs; each works by itself in an environment with the extra `test`.
.PHONY: test lint format format-check type check

test:
	pytest

lint:
	ruff check .

format:
	ruff check --select I --fix .
	ruff format .

format-check:
	ruff format --check .

# The tree is imported as `equiworld` but not called so on disk; the link gives the type checker that name.
type:
	mkdir -p .typecheck
	ln -sfn .. .typecheck/equiworld
	mypy

check: lint format-check type test

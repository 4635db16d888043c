# Two commands do everything: `make demo` and `make test`. Each installs what it misses and calls nox.
NOX = .venv/bin/nox --no-venv --reuse-existing-virtualenvs

.PHONY: help demo test docs lint unit sanity integration guest bootstrap bootstrap-system clean

help:
	@echo "make demo         build a Debian guest, prepare it, capture it: a fixed VHD in build/demo"
	@echo "make test         every tier: lint, docs, unit, fuzz (a minute), sanity, integration, guest"
	@echo "make lint|unit|sanity|integration|guest    one tier"
	@echo "make docs         the documentation site, in build/docs"
	@echo "make clean        remove what these commands made in this directory"

bootstrap:
	@tests/bootstrap.sh

bootstrap-system:
	@tests/bootstrap.sh --system

demo: bootstrap-system
	$(NOX) -s demo

test: bootstrap-system
	$(NOX) -s lint docs unit
	$(NOX) -s fuzz -- 60
	$(NOX) -s sanity integration guest

lint unit sanity integration docs: bootstrap
	$(NOX) -s $@

guest: bootstrap-system
	$(NOX) -s guest

clean:
	rm -rf .venv .cache build

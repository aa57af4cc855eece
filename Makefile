# Every command a person needs; `make help` lists them.
#
# A line "target: ## text" puts the target into the help. Settings are passed as
# variables on the command line: make swap KUBERNETES=../kubernetes

.DEFAULT_GOAL := help
SHELL := /bin/bash
MAKEFLAGS += --no-print-directory

# The kubernetes releases that the swap is tried on: one of each minor version at the
# edges of what is supported and every one in which subpath_linux.go changed.
VERSIONS ?= v1.29.6 v1.31.14 v1.33.13 v1.35.4 v1.36.3 v1.37.2
VERSION ?= v1.37.2

.PHONY: help
help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# --- kubernetes ---------------------------------------------------------------
# The tree is looked at before anything is built, so that a wrong one is refused at once.

.PHONY: swap
swap: ## put the port into a kubernetes tree: KUBERNETES=DIR [PROFILE=seed|v1.37] [FORCE=1]
	@go-shim/swap/swap.sh check "$${KUBERNETES-}"
	@$(MAKE) build
	@go-shim/swap/swap.sh swap "$${KUBERNETES-}"

.PHONY: unswap
unswap: ## take it out again, every byte restored: KUBERNETES=DIR [FORCE=1]
	@go-shim/swap/swap.sh unswap "$${KUBERNETES-}"

.PHONY: upstream-test
upstream-test: build ## kubernetes' own subpath tests on the port: [VERSIONS="v1.37.2 ..."] [RACE=1]
	@go-shim/swap/upstream.sh test $(VERSIONS)

.PHONY: kubelet
kubelet: build ## build a kubelet with the port and show what is in it: [VERSION=v1.37.2]
	@go-shim/swap/upstream.sh kubelet $(VERSION)

.PHONY: swap-test
swap-test: ## test the swap itself on trees made from released versions
	@tests/swap/run.sh

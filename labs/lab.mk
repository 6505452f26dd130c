# SPDX-License-Identifier: GPL-2.0-only
#
# What a lab's Makefile includes: "make help" lists its targets.

LABS := $(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST))))
LAB := $(notdir $(CURDIR))
PROGRAMS := $(shell awk '/^(program|guest|module) / { print $$2 }' tasks)
TRY := $(shell sed -n 's/^try *//p' tasks)

MAKEFLAGS += --no-print-directory
# What is seen is what a compiler says; with V=1 its commands, too.
ifndef V
.SILENT:
endif
.DEFAULT_GOAL := all

.PHONY: all try grade clean help
all: $(PROGRAMS) ## Build it; V=1 shows by which commands
try: all ## Run it in the lab, which stays up; ARGS="..." are its own
	@$(LABS)/try $(LAB) $(TRY) $(ARGS)
grade: ## Points, task by task
	@$(LABS)/grade $(LAB)
clean: ## Remove what was built
	@$(RM) -r $(PROGRAMS) *.o .build
help: ## This list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(LABS)/lab.mk

include $(LABS)/build.mk

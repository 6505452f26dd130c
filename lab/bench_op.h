/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A guest that does something again and again, and measures it itself: between two RDTSCs
 * around it.
 */
#ifndef LAB_BENCH_OP_H
#define LAB_BENCH_OP_H

#include <stddef.h>
#include <stdint.h>

#include "bench.h"

/**
 * struct op - what a guest is to do once more each round
 * @name: what it is called
 * @code: which must leave R12 and RDI alone; R13 is the memory to touch
 * @bytes: of @code
 * @rounds: how many
 * @before: what it does first, if anything
 * @before_bytes: of @before
 */
struct op {
	const char *name;
	const uint8_t *code;
	size_t bytes;
	unsigned int rounds;
	const uint8_t *before;
	size_t before_bytes;
};

#define OP(what, how_often, ...) {						\
	.name = what, .rounds = how_often,				\
	.code = (const uint8_t []) { __VA_ARGS__ },			\
	.bytes = sizeof((const uint8_t []) { __VA_ARGS__ }),		\
}

/* Into the memory of the next guest. */
void op_write(const struct op *op);
/* A VM's whole life, with @touch or NULL; its samples are then where the guest put them. */
uint32_t *op_run(const struct op *op, uint8_t *touch);

#endif /* LAB_BENCH_OP_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A wire from a device to the interrupt controllers. */
#ifndef VEE_IRQ_H
#define VEE_IRQ_H

#include <stdbool.h>
#include <stddef.h>

/**
 * struct irq_line - which wire, and who is at its end
 * @set: moves it
 * @waits: whether a request of this wire waits to be acknowledged
 * @arg: for both
 * @irq: which one
 */
struct irq_line {
	void (*set)(void *arg, unsigned int irq, bool level);
	bool (*waits)(void *arg, unsigned int irq);
	void *arg;
	unsigned int irq;
};

static inline void irq_set(const struct irq_line *line, bool level)
{
	line->set(line->arg, line->irq, level);
}

static inline bool irq_waits(const struct irq_line *line)
{
	return line->waits(line->arg, line->irq);
}

#endif /* VEE_IRQ_H */

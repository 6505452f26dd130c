/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A way out with a status: a byte written to port F4H ends the machine with it.
 * No PC has anything there. Reads give all ones, as where nothing is.
 */
#ifndef VEE_EXIT_H
#define VEE_EXIT_H

#include "bus.h"

/**
 * struct exit_port - the port
 * @bus: port F4H
 * @end: the guest ends with a status
 * @arg: for @end
 */
struct exit_port {
	struct bus_device bus;
	void (*end)(void *arg, uint8_t status);
	void *arg;
};

void exit_port_init(struct exit_port *port, struct bus *ports,
		    void (*end)(void *arg, uint8_t status), void *arg);

#endif /* VEE_EXIT_H */

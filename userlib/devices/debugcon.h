/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ports that take text for the host: E9H, as emulators have it since Bochs, and
 * 402H, where SeaBIOS writes. Both read as E9H, which tells that they are there.
 */
#ifndef VEE_DEBUGCON_H
#define VEE_DEBUGCON_H

#include "bus.h"

/**
 * struct debugcon - the ports
 * @e9: port E9H
 * @seabios: port 402H
 * @send: takes each byte; NULL: nobody does
 * @arg: for @send
 */
struct debugcon {
	struct bus_device e9;
	struct bus_device seabios;
	void (*send)(void *arg, uint8_t byte);
	void *arg;
};

void debugcon_init(struct debugcon *debugcon, struct bus *ports,
		   void (*send)(void *arg, uint8_t byte), void *arg);

#endif /* VEE_DEBUGCON_H */

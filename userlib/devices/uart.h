/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A serial port like the 16550's, for guests that poll it. */
#ifndef VEE_UART_H
#define VEE_UART_H

#include <pthread.h>

#include "bus.h"

#define UART_FIFO	4096

/**
 * struct uart - a serial port
 * @bus: its place on the bus of ports
 * @send: called for each byte that the guest sends
 * @arg: for @send
 * @lock: guards the queue: bytes come in from another thread
 * @queue: received and not yet read
 * @head: where the next byte is read
 * @count: how many there are
 *
 * The rest are its registers. It raises no interrupt, but says in IIR what it
 * would raise one for.
 */
struct uart {
	struct bus_device bus;
	void (*send)(void *arg, uint8_t byte);
	void *arg;
	pthread_mutex_t lock;
	uint8_t queue[UART_FIFO];
	unsigned int head;
	unsigned int count;
	uint16_t divisor;
	uint8_t ier;
	uint8_t fcr;
	uint8_t lcr;
	uint8_t mcr;
	uint8_t scratch;
	bool sent;	/* the transmitter is empty and IIR has not said so */
};

void uart_init(struct uart *uart, uint16_t port,
	       void (*send)(void *arg, uint8_t byte), void *arg);
/* From any thread; false: the queue is full, try again later. */
bool uart_receive(struct uart *uart, uint8_t byte);

#endif /* VEE_UART_H */

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A serial port: a 16550A.
 *
 * To the guest it is the chip. The other end of its line is better than a wire's:
 * it sends as soon as the receiver has room, never more than there is room for, and
 * keeps each byte until the guest has read it. So nothing is overrun, and what a
 * reset of the receiver throws away is sent again.
 *
 * After such a reset the line is quiet for UART_QUIET_NS, whatever the guest does
 * then: what drivers do while they set a receiver up, Linux's for one, includes
 * reads whose result they drop.
 *
 * Output takes no time: the transmitter is always empty again. It goes out in
 * batches, when the buffer is full or a millisecond after its first byte, which
 * uart_next_ns() and uart_advance() see to; uart_flush() is for the end.
 */
#ifndef VEE_UART_H
#define VEE_UART_H

#include "bus.h"
#include "clock.h"
#include "irq.h"
#include "saved.h"

#define UART_FIFO	16
#define UART_QUEUE	65536
#define UART_OUTPUT	256
#define UART_QUIET_NS	50000000

/* Where output goes. Called by accesses and advances: had better not block. */
typedef void (*uart_send_fn)(void *arg, const uint8_t *bytes, size_t count);

/**
 * struct uart - a serial port
 * @bus: its place on the bus of ports
 * @clock: its time
 * @irq: the interrupt line, whatever MCR's OUT2 is
 * @send: takes output
 * @arg: for @send
 * @queue: input that is still on its way
 * @queue_head: where the next byte of it is
 * @queue_count: how much of it there is
 * @fifo: received and not yet read
 * @from_line: which of @fifo's bytes came by the line, not by loop-back
 * @fifo_head: where the next byte of it is
 * @fifo_count: how much of it there is
 * @quiet_ns: no input arrives until then
 * @idle_ns: when the FIFO's bytes will have waited long enough for the time-out;
 *	CLOCK_NEVER: it is empty, or timed out
 * @timed_out: the time-out is over, and no byte was read since
 * @output: to be sent
 * @output_count: how much
 * @flush_ns: when; CLOCK_NEVER if there is none
 * @divisor: DLL and DLM
 * @ier: IER
 * @fcr: FCR, without the bits that clear themselves
 * @lcr: LCR
 * @mcr: MCR
 * @errors: LSR's bits of overrun and so on
 * @msr: MSR
 * @scratch: SCR
 * @sent: THR is empty, and IIR has not said so
 */
struct uart {
	struct bus_device bus;
	struct clock *clock;
	struct irq_line irq;
	uart_send_fn send;
	void *arg;
	uint8_t queue[UART_QUEUE + UART_FIFO];
	unsigned int queue_head;
	unsigned int queue_count;
	uint8_t fifo[UART_FIFO];
	bool from_line[UART_FIFO];
	unsigned int fifo_head;
	unsigned int fifo_count;
	uint64_t quiet_ns;
	uint64_t idle_ns;
	bool timed_out;
	uint8_t output[UART_OUTPUT];
	unsigned int output_count;
	uint64_t flush_ns;
	uint16_t divisor;
	uint8_t ier;
	uint8_t fcr;
	uint8_t lcr;
	uint8_t mcr;
	uint8_t errors;
	uint8_t msr;
	uint8_t scratch;
	bool sent;
};

/* How it is made. */
struct uart_config {
	uint16_t port;
	struct clock *clock;
	struct irq_line irq;
	uart_send_fn send;
	void *arg;
};

/* @ports: NULL: whoever has it puts it somewhere, at no address yet. */
void uart_init(struct uart *uart, struct bus *ports,
	       const struct uart_config *config);
/* How many bytes uart_receive() would take. */
unsigned int uart_room(const struct uart *uart);
/* Input; returns how many bytes it took. */
unsigned int uart_receive(struct uart *uart, const uint8_t *bytes, size_t count);
/* Sends what waits to be sent. */
void uart_flush(struct uart *uart);
void uart_advance(struct uart *uart);
uint64_t uart_next_ns(const struct uart *uart);

extern const struct saved_device uart_saved;

#endif /* VEE_UART_H */

// SPDX-License-Identifier: LGPL-2.1-or-later
/* Register by register after the data sheet of the PC16550D. */
#include <string.h>

#include "uart.h"

#define PORTS		8

enum { DATA, IER, IIR_FCR, LCR, MCR, LSR, MSR, SCRATCH };

#define IER_RECEIVED	0x01
#define IER_SENT	0x02
#define IIR_NONE	0x01
#define IIR_SENT	0x02
#define IIR_RECEIVED	0x04
#define IIR_FIFOS	0xc0
#define FCR_ENABLE	0x01
#define FCR_CLEAR_RX	0x02
#define LCR_DIVISOR	0x80
#define MCR_DTR		0x01
#define MCR_RTS		0x02
#define MCR_OUT1	0x04
#define MCR_OUT2	0x08
#define MCR_LOOP	0x10
#define LSR_READY	0x01
#define LSR_SENT	0x60	/* holding and shift register are empty */
#define MSR_CTS		0x10
#define MSR_DSR		0x20
#define MSR_RI		0x40
#define MSR_DCD		0x80

static bool put(struct uart *uart, uint8_t byte)
{
	if (uart->count == UART_FIFO)
		return false;
	uart->queue[(uart->head + uart->count++) % UART_FIFO] = byte;
	return true;
}

bool uart_receive(struct uart *uart, uint8_t byte)
{
	bool done;

	pthread_mutex_lock(&uart->lock);
	done = put(uart, byte);
	pthread_mutex_unlock(&uart->lock);
	return done;
}

static uint8_t take(struct uart *uart)
{
	uint8_t byte;

	if (!uart->count)
		return 0;
	byte = uart->queue[uart->head];
	uart->head = (uart->head + 1) % UART_FIFO;
	uart->count--;
	return byte;
}

static uint8_t identify(struct uart *uart)
{
	uint8_t fifos = uart->fcr & FCR_ENABLE ? IIR_FIFOS : 0;

	if (uart->ier & IER_RECEIVED && uart->count)
		return fifos | IIR_RECEIVED;
	if (uart->ier & IER_SENT && uart->sent) {
		uart->sent = false;
		return fifos | IIR_SENT;
	}
	return fifos | IIR_NONE;
}

/* In loop-back mode the outputs come back as inputs: drivers look for that. */
static uint8_t modem_status(const struct uart *uart)
{
	uint8_t status = 0;

	if (!(uart->mcr & MCR_LOOP))
		return MSR_CTS | MSR_DSR | MSR_DCD;
	if (uart->mcr & MCR_RTS)
		status |= MSR_CTS;
	if (uart->mcr & MCR_DTR)
		status |= MSR_DSR;
	if (uart->mcr & MCR_OUT1)
		status |= MSR_RI;
	if (uart->mcr & MCR_OUT2)
		status |= MSR_DCD;
	return status;
}

static uint8_t read_register(struct uart *uart, uint64_t offset)
{
	bool divisor = uart->lcr & LCR_DIVISOR;

	switch (offset) {
	case DATA:
		return divisor ? uart->divisor & 0xff : take(uart);
	case IER:
		return divisor ? uart->divisor >> 8 : uart->ier;
	case IIR_FCR:
		return identify(uart);
	case LCR:
		return uart->lcr;
	case MCR:
		return uart->mcr;
	case LSR:
		return LSR_SENT | (uart->count ? LSR_READY : 0);
	case MSR:
		return modem_status(uart);
	default:
		return uart->scratch;
	}
}

/* Returns whether the byte is to go out. */
static bool write_data(struct uart *uart, uint8_t value)
{
	if (uart->lcr & LCR_DIVISOR) {
		uart->divisor = (uart->divisor & 0xff00) | value;
		return false;
	}
	uart->sent = true;
	if (!(uart->mcr & MCR_LOOP))
		return true;
	put(uart, value);
	return false;
}

static void write_ier(struct uart *uart, uint8_t value)
{
	if (uart->lcr & LCR_DIVISOR) {
		uart->divisor = (uart->divisor & 0xff) | value << 8;
		return;
	}
	uart->sent |= !(uart->ier & IER_SENT) && value & IER_SENT;
	uart->ier = value & 0x0f;
}

static bool write_register(struct uart *uart, uint64_t offset, uint8_t value)
{
	switch (offset) {
	case DATA:
		return write_data(uart, value);
	case IER:
		write_ier(uart, value);
		break;
	case IIR_FCR:
		uart->fcr = value & ~FCR_CLEAR_RX;
		if (value & FCR_CLEAR_RX)
			uart->count = 0;
		break;
	case LCR:
		uart->lcr = value;
		break;
	case MCR:
		uart->mcr = value & 0x1f;
		break;
	case SCRATCH:
		uart->scratch = value;
		break;
	}
	return false;
}

static void access_uart(struct bus_device *device, uint64_t offset, void *data,
			unsigned int bytes, bool write)
{
	struct uart *uart = (struct uart *)device;
	uint8_t *value = data;
	bool send = false;

	(void)bytes;
	pthread_mutex_lock(&uart->lock);
	if (write)
		send = write_register(uart, offset, *value);
	else
		*value = read_register(uart, offset);
	pthread_mutex_unlock(&uart->lock);
	/* Output may block; input must not wait for it. */
	if (send)
		uart->send(uart->arg, *value);
}

void uart_init(struct uart *uart, uint16_t port,
	       void (*send)(void *arg, uint8_t byte), void *arg)
{
	memset(uart, 0, sizeof(*uart));
	uart->bus = (struct bus_device) {
		.name = "UART", .first = port, .count = PORTS, .width = 1,
		.access = access_uart,
	};
	uart->send = send;
	uart->arg = arg;
	uart->divisor = 1;	/* 115200 baud */
	pthread_mutex_init(&uart->lock, NULL);
}

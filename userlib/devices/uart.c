// SPDX-License-Identifier: LGPL-2.1-or-later
/* Register by register after the data sheet of the PC16550D. */
#include <string.h>

#include "uart.h"

#define PORTS		8

enum { DATA, IER, IIR_FCR, LCR, MCR, LSR, MSR, SCR };

#define IER_ERBFI	0x01	/* received data */
#define IER_ETBEI	0x02	/* THR is empty */
#define IER_ELSI	0x04	/* line status */
#define IER_EDSSI	0x08	/* modem status */
#define IER_BITS	0x0f
#define IIR_MODEM	0x00
#define IIR_NONE	0x01
#define IIR_SENT	0x02
#define IIR_RECEIVED	0x04
#define IIR_LINE	0x06
#define IIR_TIMED_OUT	0x0c
#define IIR_FIFOS	0xc0
#define FCR_ENABLE	0x01
#define FCR_CLEAR_RX	0x02
#define FCR_CLEAR_TX	0x04
#define FCR_TRIGGER	6	/* shift of the two bits */
#define LCR_WLS		0x03	/* word length less 5 */
#define LCR_STB		0x04
#define LCR_PEN		0x08
#define LCR_DLAB	0x80
#define MCR_DTR		0x01
#define MCR_RTS		0x02
#define MCR_OUT1	0x04
#define MCR_OUT2	0x08
#define MCR_LOOP	0x10
#define MCR_BITS	0x1f
#define LSR_DR		0x01
#define LSR_OE		0x02
#define LSR_THRE	0x20
#define LSR_TEMT	0x40
#define MSR_DELTAS	0x0f
#define MSR_TERI	0x04
#define MSR_CTS		0x10
#define MSR_DSR		0x20
#define MSR_RI		0x40
#define MSR_DCD		0x80

#define BAUD_BASE	115200	/* at a divisor of 1 */
#define TIME_OUT_CHARS	4
#define BATCH_NS	1000000
#define QUEUE_BYTES	(UART_QUEUE + UART_FIFO)	/* what is given back fits, too */

/* --- time --- */

/* Start bit, data, parity, stop bits. */
static unsigned int bits_per_char(const struct uart *uart)
{
	return 1 + 5 + (uart->lcr & LCR_WLS) + !!(uart->lcr & LCR_PEN) + 1 +
	       !!(uart->lcr & LCR_STB);
}

static uint64_t time_out_ns(const struct uart *uart)
{
	uint64_t divisor = uart->divisor ? uart->divisor : 1;

	return TIME_OUT_CHARS * bits_per_char(uart) * divisor * CLOCK_NS /
	       BAUD_BASE;
}

/* --- interrupts --- */

static bool fifos_on(const struct uart *uart)
{
	return uart->fcr & FCR_ENABLE;
}

static unsigned int trigger_level(const struct uart *uart)
{
	static const uint8_t levels[] = { 1, 4, 8, 14 };

	return fifos_on(uart) ? levels[uart->fcr >> FCR_TRIGGER] : 1;
}

/* The interrupt of the highest priority, as IIR gives it. */
static uint8_t cause(const struct uart *uart)
{
	if (uart->ier & IER_ELSI && uart->errors)
		return IIR_LINE;
	if (uart->ier & IER_ERBFI && uart->fifo_count >= trigger_level(uart))
		return IIR_RECEIVED;
	if (uart->ier & IER_ERBFI && uart->timed_out)
		return IIR_TIMED_OUT;
	if (uart->ier & IER_ETBEI && uart->sent)
		return IIR_SENT;
	if (uart->ier & IER_EDSSI && uart->msr & MSR_DELTAS)
		return IIR_MODEM;
	return IIR_NONE;
}

/*
 * On a PC OUT2 enables the buffer between the chip and the bus, and loop-back turns it off.
 * Here OUT2 doesn't matter: there are systems that never set it, xv6 for one, and would not
 * hear of input; who has no use for interrupts has them off in IER.
 */
static void update_irq(struct uart *uart)
{
	irq_set(&uart->irq, !(uart->mcr & MCR_LOOP) && cause(uart) != IIR_NONE);
}

/* --- input --- */

static unsigned int fifo_room(const struct uart *uart)
{
	return (fifos_on(uart) ? UART_FIFO : 1) - uart->fifo_count;
}

/* Each byte that comes or is read starts the time-out over. */
static void restart_time_out(struct uart *uart, uint64_t now)
{
	uart->timed_out = false;
	if (fifos_on(uart) && uart->fifo_count)
		uart->idle_ns = now + time_out_ns(uart);
	else
		uart->idle_ns = CLOCK_NEVER;
}

static void push(struct uart *uart, uint8_t byte, bool from_line)
{
	unsigned int at = (uart->fifo_head + uart->fifo_count++) % UART_FIFO;

	uart->fifo[at] = byte;
	uart->from_line[at] = from_line;
}

/* In loop-back mode the line leads nowhere. */
static bool can_arrive(const struct uart *uart)
{
	return uart->queue_count && fifo_room(uart) && !(uart->mcr & MCR_LOOP);
}

/* Input arrives as there is room for it. */
static void arrive(struct uart *uart, uint64_t now)
{
	if (now < uart->quiet_ns || !can_arrive(uart))
		return;
	while (can_arrive(uart)) {
		push(uart, uart->queue[uart->queue_head], true);
		uart->queue_head = (uart->queue_head + 1) % QUEUE_BYTES;
		uart->queue_count--;
	}
	restart_time_out(uart, now);
}

static uint8_t take(struct uart *uart, uint64_t now)
{
	uint8_t byte;

	if (!uart->fifo_count)
		return 0;
	byte = uart->fifo[uart->fifo_head];
	uart->fifo_head = (uart->fifo_head + 1) % UART_FIFO;
	uart->fifo_count--;
	restart_time_out(uart, now);
	arrive(uart, now);
	return byte;
}

/* The other end sends again what the guest has not read. */
static void give_back(struct uart *uart)
{
	while (uart->fifo_count) {
		unsigned int at = (uart->fifo_head + --uart->fifo_count) % UART_FIFO;

		if (!uart->from_line[at])
			continue;
		uart->queue_head = (uart->queue_head + QUEUE_BYTES - 1) %
				   QUEUE_BYTES;
		uart->queue[uart->queue_head] = uart->fifo[at];
		uart->queue_count++;
	}
}

/* A full FIFO keeps what it has; a single register has the last byte. */
static void loop_back(struct uart *uart, uint8_t byte, uint64_t now)
{
	if (!fifo_room(uart)) {
		uart->errors |= LSR_OE;
		if (!fifos_on(uart))
			give_back(uart);
	}
	if (fifo_room(uart))
		push(uart, byte, false);
	restart_time_out(uart, now);
}

static void clear_receiver(struct uart *uart, uint64_t now)
{
	give_back(uart);
	uart->quiet_ns = now + UART_QUIET_NS;
	restart_time_out(uart, now);
}

unsigned int uart_room(const struct uart *uart)
{
	return uart->queue_count < UART_QUEUE ? UART_QUEUE - uart->queue_count : 0;
}

unsigned int uart_receive(struct uart *uart, const uint8_t *bytes, size_t count)
{
	unsigned int room = uart_room(uart), n = count < room ? count : room;

	for (unsigned int i = 0; i < n; i++)
		uart->queue[(uart->queue_head + uart->queue_count++) %
			    QUEUE_BYTES] = bytes[i];
	uart_advance(uart);
	return n;
}

/* --- output --- */

void uart_flush(struct uart *uart)
{
	unsigned int count = uart->output_count;

	uart->output_count = 0;
	uart->flush_ns = CLOCK_NEVER;
	if (count)
		uart->send(uart->arg, uart->output, count);
}

static void transmit(struct uart *uart, uint8_t byte, uint64_t now)
{
	/* A byte takes the interrupt away, its end brings another one. */
	uart->sent = false;
	update_irq(uart);
	uart->sent = true;
	if (uart->mcr & MCR_LOOP) {
		loop_back(uart, byte, now);
		return;
	}
	if (!uart->output_count)
		uart->flush_ns = now + BATCH_NS;
	uart->output[uart->output_count++] = byte;
	if (uart->output_count == UART_OUTPUT)
		uart_flush(uart);
}

/* --- modem lines --- */

/* In loop-back mode the outputs come back as inputs: drivers look for that. */
static uint8_t modem_inputs(const struct uart *uart)
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

/* The deltas are the inputs' bits shifted; that of RI tells only of its end. */
static void write_mcr(struct uart *uart, uint8_t value)
{
	uint8_t before = uart->msr, inputs, deltas;

	uart->mcr = value & MCR_BITS;
	inputs = modem_inputs(uart);
	deltas = (before ^ inputs) >> 4;
	if (inputs & MSR_RI)
		deltas &= ~MSR_TERI;
	uart->msr = inputs | (before & MSR_DELTAS) | deltas;
}

/* --- registers --- */

static uint8_t read_iir(struct uart *uart)
{
	uint8_t value = cause(uart);

	if (value == IIR_SENT)
		uart->sent = false;
	return fifos_on(uart) ? value | IIR_FIFOS : value;
}

static uint8_t read_lsr(struct uart *uart)
{
	uint8_t value = LSR_THRE | LSR_TEMT | uart->errors;

	uart->errors = 0;
	return uart->fifo_count ? value | LSR_DR : value;
}

static uint8_t read_msr(struct uart *uart)
{
	uint8_t value = uart->msr;

	uart->msr &= ~MSR_DELTAS;
	return value;
}

static uint8_t read_register(struct uart *uart, uint64_t offset, uint64_t now)
{
	bool divisor = uart->lcr & LCR_DLAB;

	switch (offset) {
	case DATA:
		return divisor ? uart->divisor & 0xff : take(uart, now);
	case IER:
		return divisor ? uart->divisor >> 8 : uart->ier;
	case IIR_FCR:
		return read_iir(uart);
	case LCR:
		return uart->lcr;
	case MCR:
		return uart->mcr;
	case LSR:
		return read_lsr(uart);
	case MSR:
		return read_msr(uart);
	default:
		return uart->scratch;
	}
}

static void write_data(struct uart *uart, uint8_t value, uint64_t now)
{
	if (uart->lcr & LCR_DLAB)
		uart->divisor = (uart->divisor & 0xff00) | value;
	else
		transmit(uart, value, now);
}

/* Whoever asks to be told when THR is empty is told at once that it is. */
static void write_ier(struct uart *uart, uint8_t value)
{
	if (uart->lcr & LCR_DLAB) {
		uart->divisor = (uart->divisor & 0xff) | value << 8;
		return;
	}
	if (value & IER_ETBEI && !(uart->ier & IER_ETBEI))
		uart->sent = true;
	uart->ier = value & IER_BITS;
}

/* Without the enabling bit the others have no effect; its change clears all. */
static void write_fcr(struct uart *uart, uint8_t value, uint64_t now)
{
	bool changes = (value ^ uart->fcr) & FCR_ENABLE;

	uart->fcr = value & FCR_ENABLE ?
		    value & ~(FCR_CLEAR_RX | FCR_CLEAR_TX) : 0;
	if (changes || (value & FCR_ENABLE && value & FCR_CLEAR_RX))
		clear_receiver(uart, now);
}

static void write_register(struct uart *uart, uint64_t offset, uint8_t value,
			   uint64_t now)
{
	switch (offset) {
	case DATA:
		write_data(uart, value, now);
		break;
	case IER:
		write_ier(uart, value);
		break;
	case IIR_FCR:
		write_fcr(uart, value, now);
		break;
	case LCR:
		uart->lcr = value;
		break;
	case MCR:
		write_mcr(uart, value);
		break;
	case SCR:
		uart->scratch = value;
		break;
	}
}

static void advance_to(struct uart *uart, uint64_t now)
{
	arrive(uart, now);
	if (now >= uart->idle_ns) {
		uart->timed_out = true;
		uart->idle_ns = CLOCK_NEVER;
	}
	if (now >= uart->flush_ns)
		uart_flush(uart);
	update_irq(uart);
}

static void access_uart(struct bus_device *device, uint64_t offset, void *data,
			unsigned int bytes, bool write)
{
	struct uart *uart = bus_owner(device, struct uart, bus);
	uint64_t now = clock_now(uart->clock);
	uint8_t *value = data;

	(void)bytes;
	advance_to(uart, now);
	if (write)
		write_register(uart, offset, *value, now);
	else
		*value = read_register(uart, offset, now);
	update_irq(uart);
}

void uart_advance(struct uart *uart)
{
	advance_to(uart, clock_now(uart->clock));
}

uint64_t uart_next_ns(const struct uart *uart)
{
	uint64_t next = uart->flush_ns;

	if (uart->ier & IER_ERBFI)
		next = clock_earlier(next, uart->idle_ns);
	if (can_arrive(uart))
		next = clock_earlier(next, uart->quiet_ns);
	return next;
}

void uart_init(struct uart *uart, struct bus *ports,
	       const struct uart_config *config)
{
	memset(uart, 0, sizeof(*uart));
	uart->bus = (struct bus_device) {
		.name = "16550A", .first = config->port, .count = PORTS,
		.width = 1, .access = access_uart,
	};
	uart->clock = config->clock;
	uart->irq = config->irq;
	uart->send = config->send;
	uart->arg = config->arg;
	uart->idle_ns = CLOCK_NEVER;
	uart->flush_ns = CLOCK_NEVER;
	uart->divisor = 1;
	uart->msr = modem_inputs(uart);
	if (ports)
		bus_add(ports, &uart->bus);
}

/* --- as bytes --- */

static const struct saved_member members[] = {
	SAVED(struct uart, queue),
	SAVED_UP_TO(struct uart, queue_head, QUEUE_BYTES - 1),
	SAVED_UP_TO(struct uart, queue_count, QUEUE_BYTES),
	SAVED(struct uart, fifo),
	SAVED_BOOL(struct uart, from_line[0]),
	SAVED_BOOL(struct uart, from_line[1]),
	SAVED_BOOL(struct uart, from_line[2]),
	SAVED_BOOL(struct uart, from_line[3]),
	SAVED_BOOL(struct uart, from_line[4]),
	SAVED_BOOL(struct uart, from_line[5]),
	SAVED_BOOL(struct uart, from_line[6]),
	SAVED_BOOL(struct uart, from_line[7]),
	SAVED_BOOL(struct uart, from_line[8]),
	SAVED_BOOL(struct uart, from_line[9]),
	SAVED_BOOL(struct uart, from_line[10]),
	SAVED_BOOL(struct uart, from_line[11]),
	SAVED_BOOL(struct uart, from_line[12]),
	SAVED_BOOL(struct uart, from_line[13]),
	SAVED_BOOL(struct uart, from_line[14]),
	SAVED_BOOL(struct uart, from_line[15]),
	SAVED_UP_TO(struct uart, fifo_head, UART_FIFO - 1),
	SAVED_UP_TO(struct uart, fifo_count, UART_FIFO),
	SAVED(struct uart, quiet_ns),
	SAVED(struct uart, idle_ns),
	SAVED_BOOL(struct uart, timed_out),
	SAVED(struct uart, output),
	SAVED_UP_TO(struct uart, output_count, UART_OUTPUT - 1),
	SAVED(struct uart, flush_ns),
	SAVED(struct uart, divisor),
	SAVED(struct uart, ier),
	SAVED(struct uart, fcr),
	SAVED(struct uart, lcr),
	SAVED_UP_TO(struct uart, mcr, MCR_BITS),
	SAVED(struct uart, errors),
	SAVED(struct uart, msr),
	SAVED(struct uart, scratch),
	SAVED_BOOL(struct uart, sent),
};

/* The FIFO has no more than it can hold, and the queue room for what it gives back. */
static bool fits(const void *device)
{
	const struct uart *uart = device;

	return uart->fifo_count <= (fifos_on(uart) ? UART_FIFO : 1) &&
	       uart->queue_count + uart->fifo_count <= QUEUE_BYTES;
}

const struct saved_device uart_saved = SAVED_DEVICE("16550", 1, members, fits);

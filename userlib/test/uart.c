// SPDX-License-Identifier: LGPL-2.1-or-later
#include "../devices/uart.h"
#include "bench.h"

#define PORT	0x3f8
#define DATA	PORT
#define IER	(PORT + 1)
#define IIR	(PORT + 2)
#define FCR	(PORT + 2)
#define LCR	(PORT + 3)
#define MCR	(PORT + 4)
#define LSR	(PORT + 5)
#define MSR	(PORT + 6)
#define SCR	(PORT + 7)

static struct uart uart;
static uint8_t sent[1000];
static unsigned int sent_count, batches;

static void send(void *arg, const uint8_t *data, size_t count)
{
	CHECK(arg == &sent);
	batches++;
	for (size_t i = 0; i < count && sent_count < sizeof(sent); i++)
		sent[sent_count++] = data[i];
}

static void begin(void)
{
	struct uart_config config = {
		.port = PORT, .clock = &bench.clock, .irq = bench_line(4),
		.send = send, .arg = &sent,
	};

	bench_begin();
	sent_count = 0;
	batches = 0;
	uart_init(&uart, &bench.ports, &config);
}

/* As a driver does: FIFOs with a trigger level of 8, OUT2, interrupts. */
static void begin_fifos(uint8_t ier)
{
	begin();
	outb(LCR, 0x03);
	outb(FCR, 0x81);
	outb(MCR, 0x0b);
	outb(IER, ier);
	bench.now_ns += 100 * MS;
}

static void receive(const char *text)
{
	CHECK_EQUAL(uart_receive(&uart, (const uint8_t *)text, strlen(text)),
		    strlen(text));
}

static void registers(void)
{
	begin();
	outb(LCR, 0x83);
	out(DATA, 0x1234, 2);
	CHECK_EQUAL(uart.divisor, 0x1234);
	CHECK_EQUAL(in(DATA, 2), 0x1234);
	outb(LCR, 0x03);
	CHECK_EQUAL(inb(LCR), 0x03);
	outb(IER, 0xff);
	CHECK_EQUAL(inb(IER), 0x0f);
	outb(MCR, 0xff);
	CHECK_EQUAL(inb(MCR), 0x1f);
	out(MSR, 0x5500, 2);
	CHECK_EQUAL(inb(SCR), 0x55);
	CHECK_EQUAL(in(SCR, 2), 0xff55);
}

static void sends_in_batches(void)
{
	begin();
	CHECK_EQUAL(inb(LSR), 0x60);
	CHECK_EQUAL(uart_next_ns(&uart), CLOCK_NEVER);
	outb(DATA, 'h');
	outb(DATA, 'i');
	CHECK_EQUAL(inb(LSR), 0x60);
	CHECK_EQUAL(sent_count, 0);
	CHECK(uart_next_ns(&uart) <= bench.now_ns + 10 * MS);
	bench.now_ns = uart_next_ns(&uart);
	uart_advance(&uart);
	CHECK(sent_count == 2 && !memcmp(sent, "hi", 2) && batches == 1);
	CHECK_EQUAL(uart_next_ns(&uart), CLOCK_NEVER);
	for (unsigned int i = 0; i < UART_OUTPUT + 1; i++)
		outb(DATA, i);
	CHECK(sent_count == 2 + UART_OUTPUT && batches == 2);
	uart_flush(&uart);
	uart_flush(&uart);
	CHECK(sent_count == 3 + UART_OUTPUT && batches == 3);
	CHECK_EQUAL(sent[2 + UART_OUTPUT], (uint8_t)UART_OUTPUT);
}

static void sent_interrupt(void)
{
	begin();
	outb(MCR, 0x08);
	outb(DATA, 'a');
	CHECK(!bench.lines[4]);
	outb(IER, 0x02);
	CHECK(bench.lines[4]);
	CHECK_EQUAL(inb(IIR), 0x02);		/* reading it is enough */
	CHECK(!bench.lines[4]);
	CHECK_EQUAL(inb(IIR), 0x01);
	outb(DATA, 'b');
	CHECK(bench.lines[4] && bench.rises[4] == 2);
	outb(IER, 0x00);
	CHECK(!bench.lines[4]);
	inb(IIR);
	outb(IER, 0x02);			/* told anew */
	CHECK(bench.lines[4]);
	CHECK_EQUAL(inb(IIR), 0x02);
	outb(IER, 0x02);			/* but not when it was on */
	CHECK_EQUAL(inb(IIR), 0x01);
	outb(DATA, 'c');
	CHECK(bench.lines[4] && bench.rises[4] == 4);
	outb(DATA, 'd');			/* one more edge, though IIR wasn't read */
	CHECK(bench.lines[4] && bench.rises[4] == 5);
	outb(MCR, 0x00);			/* no OUT2: no matter */
	CHECK(bench.lines[4] && bench.rises[4] == 5);
	outb(MCR, 0x10);			/* loop-back */
	CHECK(!bench.lines[4]);
	CHECK_EQUAL(inb(IIR), 0x02);
}

static void receives_one(void)
{
	begin();
	outb(MCR, 0x08);
	CHECK_EQUAL(inb(DATA), 0);
	receive("ab");
	CHECK_EQUAL(inb(LSR), 0x61);
	CHECK(!bench.lines[4]);
	outb(IER, 0x01);
	CHECK(bench.lines[4]);
	CHECK_EQUAL(inb(IIR), 0x04);
	CHECK_EQUAL(inb(DATA), 'a');
	CHECK_EQUAL(inb(DATA), 'b');
	CHECK(!bench.lines[4]);
	CHECK_EQUAL(inb(IIR), 0x01);
	CHECK_EQUAL(inb(LSR), 0x60);
}

static void trigger_levels(void)
{
	static const uint8_t levels[] = { 1, 4, 8, 14 };

	for (unsigned int i = 0; i < 4; i++) {
		test_case("level %u", levels[i]);
		begin_fifos(0x01);
		outb(FCR, i << 6 | 0x01);
		for (unsigned int n = 1; n < levels[i]; n++)
			receive("x");
		CHECK_EQUAL(inb(IIR), 0xc1);
		CHECK_EQUAL(inb(LSR), levels[i] > 1 ? 0x61 : 0x60);
		receive("x");
		CHECK_EQUAL(inb(IIR), 0xc4);
		CHECK(bench.lines[4]);
		inb(DATA);
		CHECK_EQUAL(inb(IIR), 0xc1);
		CHECK(!bench.lines[4]);
	}
}

/* Four characters of ten bits at 115200 baud. */
static void time_out(void)
{
	uint64_t wait = 4 * 10 * 1000000000ULL / 115200;

	begin_fifos(0x01);
	receive("abc");
	CHECK_EQUAL(uart_next_ns(&uart), bench.now_ns + wait);
	bench.now_ns += wait - 1;
	uart_advance(&uart);
	CHECK(!bench.lines[4]);
	receive("d");				/* starts over */
	bench.now_ns += 1;
	CHECK_EQUAL(inb(IIR), 0xc1);
	bench.now_ns = uart_next_ns(&uart);
	uart_advance(&uart);
	CHECK(bench.lines[4]);
	CHECK_EQUAL(inb(IIR), 0xcc);
	CHECK_EQUAL(inb(DATA), 'a');
	CHECK(!bench.lines[4]);
	CHECK_EQUAL(inb(IIR), 0xc1);
	bench.now_ns += wait;
	CHECK_EQUAL(inb(IIR), 0xcc);
	inb(DATA);
	inb(DATA);
	inb(DATA);
	CHECK_EQUAL(uart_next_ns(&uart), CLOCK_NEVER);
	bench.now_ns += wait;
	CHECK_EQUAL(inb(IIR), 0xc1);
}

static void nothing_is_lost(void)
{
	static uint8_t many[UART_QUEUE];

	begin_fifos(0x01);
	for (unsigned int i = 0; i < UART_QUEUE; i++)
		many[i] = i * 7;
	CHECK_EQUAL(uart_room(&uart), UART_QUEUE);
	CHECK_EQUAL(uart_receive(&uart, many, UART_QUEUE), UART_QUEUE);
	CHECK_EQUAL(uart_room(&uart), UART_FIFO);
	CHECK_EQUAL(uart_receive(&uart, many, UART_QUEUE), UART_FIFO);
	CHECK_EQUAL(uart_receive(&uart, many, 1), 0);
	for (unsigned int i = 0; i < UART_QUEUE; i++)
		CHECK_EQUAL(inb(DATA), many[i]);
	for (unsigned int i = 0; i < UART_FIFO; i++)
		CHECK_EQUAL(inb(DATA), many[i]);
	CHECK_EQUAL(inb(LSR), 0x60);
}

/* Time until the line is no longer quiet. */
static void wait_for_line(void)
{
	CHECK_EQUAL(inb(LSR), 0x60);
	CHECK_EQUAL(inb(DATA), 0);
	CHECK_EQUAL(uart_next_ns(&uart), bench.now_ns + UART_QUIET_NS);
	bench.now_ns += UART_QUIET_NS - 1;
	uart_advance(&uart);
	CHECK_EQUAL(inb(LSR), 0x60);
	bench.now_ns++;
	uart_advance(&uart);
	CHECK_EQUAL(inb(LSR), 0x61);
}

/* What was not read comes again. */
static void resets(void)
{
	begin_fifos(0x01);
	receive("0123456789abcdefXY");
	CHECK_EQUAL(inb(DATA), '0');
	outb(FCR, 0x83);
	wait_for_line();
	CHECK_EQUAL(inb(DATA), '1');
	outb(FCR, 0x02);			/* without bit 0: FIFOs off */
	wait_for_line();
	CHECK_EQUAL(inb(IIR), 0x04);
	outb(FCR, 0x02);			/* no effect */
	CHECK_EQUAL(inb(DATA), '2');
	outb(FCR, 0x81);
	wait_for_line();
	for (const char *at = "3456789abcdefXY"; *at; at++)
		CHECK_EQUAL(inb(DATA), *at);
	CHECK_EQUAL(inb(LSR), 0x60);
}

static void resets_of_a_full_queue(void)
{
	static uint8_t many[UART_QUEUE + UART_FIFO];

	begin_fifos(0x01);
	for (unsigned int i = 0; i < sizeof(many); i++)
		many[i] = i * 7;
	uart_receive(&uart, many, UART_QUEUE);
	uart_receive(&uart, many + UART_QUEUE, UART_FIFO);
	outb(FCR, 0x83);
	CHECK_EQUAL(uart_room(&uart), 0);
	CHECK_EQUAL(uart_receive(&uart, many, 1), 0);
	wait_for_line();
	for (unsigned int i = 0; i < sizeof(many); i++)
		CHECK_EQUAL(inb(DATA), many[i]);
	CHECK_EQUAL(inb(LSR), 0x60);
}

static void loop_back(void)
{
	begin_fifos(0x01);
	outb(MCR, 0x1b);
	CHECK(!bench.lines[4]);
	receive("in");
	outb(DATA, 'l');
	outb(DATA, 'o');
	uart_flush(&uart);
	CHECK_EQUAL(sent_count, 0);
	CHECK_EQUAL(inb(DATA), 'l');
	CHECK_EQUAL(inb(DATA), 'o');
	CHECK_EQUAL(inb(LSR), 0x60);
	outb(IER, 0x02);			/* nothing is at the pin meanwhile */
	CHECK(!bench.lines[4]);
	outb(MCR, 0x0b);
	CHECK(bench.lines[4]);
	outb(IER, 0x03);
	CHECK_EQUAL(inb(DATA), 'i');
	CHECK_EQUAL(inb(DATA), 'n');
}

static void overrun(void)
{
	begin_fifos(0x04);
	outb(MCR, 0x10);
	for (unsigned int i = 0; i <= UART_FIFO; i++)
		outb(DATA, 'a' + i);
	CHECK_EQUAL(inb(IIR), 0xc6);
	CHECK_EQUAL(inb(LSR), 0x63);
	CHECK_EQUAL(inb(LSR), 0x61);
	CHECK_EQUAL(inb(IIR), 0xc1);
	for (unsigned int i = 0; i < UART_FIFO; i++)
		CHECK_EQUAL(inb(DATA), 'a' + i);
	outb(FCR, 0x00);
	outb(DATA, '1');
	outb(DATA, '2');
	CHECK_EQUAL(inb(LSR), 0x63);
	CHECK_EQUAL(inb(DATA), '2');
	outb(MCR, 0x00);
	bench.now_ns += 100 * MS;
	receive("i");
	CHECK_EQUAL(inb(LSR), 0x61);
	outb(MCR, 0x10);			/* not lost: it was not read */
	outb(DATA, '3');
	CHECK_EQUAL(inb(LSR), 0x63);
	CHECK_EQUAL(inb(DATA), '3');
	outb(MCR, 0x00);
	CHECK_EQUAL(inb(DATA), 'i');
}

static void priorities(void)
{
	begin_fifos(0x0f);
	outb(FCR, 0x01);
	CHECK_EQUAL(inb(IIR), 0xc2);		/* IER's own */
	outb(MCR, 0x10);
	outb(DATA, 'x');
	CHECK_EQUAL(inb(IIR), 0xc4);
	for (unsigned int i = 0; i < UART_FIFO; i++)
		outb(DATA, 'x');
	CHECK_EQUAL(inb(IIR), 0xc6);
	inb(LSR);
	CHECK_EQUAL(inb(IIR), 0xc4);
	outb(FCR, 0x03);
	CHECK_EQUAL(inb(IIR), 0xc2);
	CHECK_EQUAL(inb(IIR), 0xc0);		/* the modem lines fell */
	CHECK_EQUAL(inb(MSR), 0x0b);
	CHECK_EQUAL(inb(IIR), 0xc1);
}

/* What a driver does to find out what there is. */
static void probe(void)
{
	outb(IER, 0x0f);
	outb(MCR, 0x1a);
	outb(MCR, 0x01);
	outb(FCR, 0x07);
	outb(FCR, 0x00);
	for (int i = 0; i < 2; i++) {
		inb(LSR);
		inb(DATA);
		inb(IIR);
		inb(MSR);
	}
	outb(IER, 0x00);
}

static void survives_a_set_up(void)
{
	begin();
	receive("a");
	probe();
	outb(MCR, 0x0b);
	probe();
	outb(MCR, 0x0b);
	outb(IER, 0x01);
	bench.now_ns += 100 * MS;
	CHECK_EQUAL(inb(LSR), 0x61);
	CHECK_EQUAL(inb(DATA), 'a');
}

/* However the guest looks, and if it doesn't: the chip doesn't know. */
static void comes_unasked(void)
{
	begin();
	CHECK_EQUAL(inb(LSR), 0x60);
	outb(DATA, '.');
	receive("abc");
	CHECK_EQUAL(inb(LSR), 0x61);		/* between two dots */
	outb(DATA, '.');
	CHECK_EQUAL(inb(DATA), 'a');
	CHECK(!bench.lines[4]);
	outb(IER, 0x01);			/* by an interrupt, without OUT2 */
	CHECK_EQUAL(inb(IIR), 0x04);
	CHECK(bench.lines[4]);
	CHECK_EQUAL(inb(DATA), 'b');
	CHECK_EQUAL(inb(DATA), 'c');		/* not looked for at all */
	CHECK_EQUAL(inb(IIR), 0x01);
}

static void waits_out_a_loop_back(void)
{
	begin();
	outb(MCR, 0x10);
	receive("a");
	CHECK_EQUAL(inb(LSR), 0x60);
	CHECK_EQUAL(uart_next_ns(&uart), CLOCK_NEVER);
	outb(MCR, 0x00);
	CHECK_EQUAL(inb(LSR), 0x61);
}

static void modem_lines(void)
{
	begin();
	CHECK_EQUAL(inb(MSR), 0xb0);
	outb(MCR, 0x1f);			/* all up: RI rose, which is no news */
	CHECK_EQUAL(inb(MSR), 0xf0);
	outb(MCR, 0x1a);			/* RTS and OUT2 stay */
	CHECK_EQUAL(inb(MSR), 0x96);
	CHECK_EQUAL(inb(MSR), 0x90);
	outb(MCR, 0x0a);
	CHECK_EQUAL(inb(MSR), 0xb2);
}

const struct test tests[] = {
	{ "registers", registers },
	{ "output goes in batches", sends_in_batches },
	{ "the transmitter's interrupt", sent_interrupt },
	{ "the receiver without FIFOs", receives_one },
	{ "trigger levels", trigger_levels },
	{ "the time-out", time_out },
	{ "no input is lost", nothing_is_lost },
	{ "FIFO resets", resets },
	{ "and with a full queue", resets_of_a_full_queue },
	{ "loop-back", loop_back },
	{ "overrun", overrun },
	{ "priorities", priorities },
	{ "a driver's set-up loses no input", survives_a_set_up },
	{ "input comes unasked", comes_unasked },
	{ "but not in loop-back mode", waits_out_a_loop_back },
	{ "modem lines", modem_lines },
	{ 0 }
};

// SPDX-License-Identifier: LGPL-2.1-or-later
/* A guest's input, from a terminal. */
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "../cmd/cmd.h"
#include "test.h"

#define DATA		0x3f8
#define LSR		0x3fd
#define LSR_DR		0x01
#define PATIENCE_MS	10000

/* main.c's, whose main() the tests have another one for. */
int end_failure(void)
{
	fputc('\n', stderr);
	return STATUS_FAILED;
}

static struct machine machine;
static int terminal;	/* the end that is typed at */

static bool open_terminal(void)
{
	terminal = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
	return terminal >= 0 && !grantpt(terminal) && !unlockpt(terminal);
}

static void begin(struct rig *rig)
{
	static const struct options options;
	struct pc_config config = { .serial_send = console_send, .arg = &machine };

	rig_begin(rig);
	memset(&machine, 0, sizeof(machine));
	machine.options = &options;
	machine.cpus[0].vcpu = rig->vcpu;
	machine.cpu_count = 1;
	pthread_mutex_init(&machine.lock, NULL);
	pc_init(&machine.pc, &machine.ports, &machine.memory, &config);
	machine.console.in = open(ptsname(terminal), O_RDWR | O_NOCTTY);
	machine.console.out = -1;
	CHECK_EQUAL(console_begin(&machine), STATUS_OK);
	CHECK(machine.console.raw_mode);
}

/* A guest that prints a byte to a file, and ends with @status. */
static int print_to(struct machine *printer, const char *path, int status)
{
	struct pc_config config = { .serial_send = console_send, .arg = printer };
	static const struct options options;
	uint8_t byte = 'x';

	printer->options = &options;
	printer->name = "vee";
	pthread_mutex_init(&printer->lock, NULL);
	pc_init(&printer->pc, &printer->ports, &printer->memory, &config);
	printer->console.in = -1;
	printer->console.out = open(path, O_WRONLY | O_CLOEXEC);
	CHECK_EQUAL(console_begin(printer), STATUS_OK);
	machine_access(printer, &printer->ports, DATA, &byte, 1, true);
	machine_flush(printer);
	console_end(printer);
	return console_status(printer, status);
}

/* A machine for each, and none is freed, since their threads go on. */
static void output_that_is_lost(void)
{
	static struct machine printers[4];
	static struct rig rig;

	rig_begin(&rig);
	for (unsigned int i = 0; i < 4; i++) {
		printers[i].cpus[0].vcpu = rig.vcpu;
		printers[i].cpu_count = 1;
	}
	CHECK_EQUAL(print_to(&printers[0], "/dev/null", STATUS_OK), STATUS_OK);
	CHECK_EQUAL(print_to(&printers[1], "/dev/null", 7), 7);
	CHECK_EQUAL(print_to(&printers[2], "/dev/full", STATUS_OK), STATUS_FAILED);
	CHECK_EQUAL(print_to(&printers[3], "/dev/full", 7), 7);
}

static uint8_t read_port(uint16_t port)
{
	uint8_t value;

	machine_access(&machine, &machine.ports, port, &value, 1, false);
	return value;
}

/* What the terminal takes in @ms, of up to @most bytes that count from @first. */
static unsigned int type(unsigned int first, unsigned int most, int ms)
{
	struct pollfd poll_fd = { .fd = terminal, .events = POLLOUT };
	unsigned int count = 0;

	while (count < most && poll(&poll_fd, 1, ms) == 1) {
		uint8_t byte = 'a' + (first + count) % 26;

		if (write(terminal, &byte, 1) != 1)
			break;
		count++;
	}
	return count;
}

static bool comes(uint8_t *byte)
{
	for (unsigned int ms = 0; ms < PATIENCE_MS; ms++) {
		if (read_port(LSR) & LSR_DR) {
			*byte = read_port(DATA);
			return true;
		}
		poll(NULL, 0, 1);
	}
	return false;
}

/* It sleeps for longer than what is typed has ever been kept. */
static void nothing_typed_is_dropped(void)
{
	unsigned int typed, more;
	struct rig rig;
	uint8_t byte;

	if (!open_terminal()) {
		test_skip("no pseudo-terminals here: is /dev/pts mounted?");
		return;
	}
	begin(&rig);
	typed = type(0, 4 * UART_QUEUE, 2500);
	CHECK(typed > UART_QUEUE);
	CHECK(typed < 4 * UART_QUEUE);
	for (unsigned int i = 0; i < typed; i++) {
		test_case("byte %u of %u", i, typed);
		if (!CHECK(comes(&byte)) || !CHECK_EQUAL(byte, 'a' + i % 26))
			break;
	}
	more = type(typed, 1, 2500);
	CHECK(more == 1 && comes(&byte) && byte == 'a' + typed % 26);
	console_quit();		/* it is for good: this is the last test */
	terminal_end(&machine);
}

const struct test tests[] = {
	{ "output that is lost", output_that_is_lost },
	{ "nothing that is typed is dropped", nothing_typed_is_dropped },
	{ 0 }
};

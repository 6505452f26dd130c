// SPDX-License-Identifier: GPL-2.0-only
/*
 * A program that nobody here wrote: Debian's memtest86+, the file as packaged,
 * booted by the Linux boot protocol. It believes that it runs on a PC. This is
 * that PC: 8 MiB, a terminal, one channel of a timer, and nothing else.
 */
#include <ctype.h>
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <vee.h>
#include <x86intrin.h>

#define NO_VEE	"/dev/vee (loaded? \"vee check\" tells more; \"make demo\" runs this without VMX)"
#define NO_FILE	"memtest86+ (apt-get install memtest86+, or name the file)"
#define MEMORY	(8 << 20)

static char screen[25 * 80 + 1];	/* rows of 80 columns */
static bool drawn;			/* it is not in the middle of a change */

static void check(int ret, const char *what)
{
	if (ret < 0) {
		errno = -ret;
		err(1, "%s", what);
	}
}

/* The terminal: text, ESC [ row ; column H to move, ESC [ J to clear. */
static void put(unsigned char c)
{
	static unsigned int length, row, column;
	static char sequence[16];

	if (c == '\033' || length) {
		sequence[length++] = c;
		if (!isalpha(c) && length < sizeof(sequence) - 1)
			return;
		length = 0;
		if (c == 'J')
			memset(screen, ' ', sizeof(screen) - 1);
		else if (c == 'H')	/* counts from 1 */
			sscanf(sequence, "\033[%u;%u", &row, &column);
	} else if (row - 1 < 25 && column - 1 < 80) {
		screen[(row - 1) * 80 + column++ - 1] = isprint(c) ? c : ' ';
	}
}

/* The number behind the first @label on the screen, -1 if there is none. */
static int number_behind(const char *label)
{
	const char *found = strstr(screen, label);
	int number;

	return found && sscanf(found + strlen(label), "%d", &number) == 1 ? number : -1;
}

/*
 * Channel 2 of the timer counts down at 1.193182 MHz from what port 42H is given, low
 * byte first. Programs find out with it how fast their TSC runs, so it is made from
 * the TSC, which a guest of vee reads without an exit.
 */
static uint32_t timer_count;
static uint64_t timer_start;	/* the TSC when it was set */
static struct vee_info info;	/* how fast that is */

/* All of the PC's ports: memtest86+ reads or writes one. */
static int port(void *arg, uint16_t number, void *data, unsigned int bytes, bool write)
{
	static uint8_t line_control;
	uint8_t *value = data;

	drawn = number == 0x64;			/* done, and looking for a key */
	if (number == 0x3f8 && write && !(line_control & 0x80)) {
		put(*value);			/* serial port: a character */
	} else if (number == 0x3fb && write) {
		line_control = *value;		/* bit 7 makes 3F8H the baud rate */
	} else if (number == 0x42 && write) {
		timer_count = timer_count >> 8 | *value << 8;
		timer_start = __rdtsc();
	} else if (!write) {
		memset(data, 0xff, bytes);	/* nobody there: the lines float high */
		if (number == 0x3fd)
			*value = 0x60;		/* ready to send, nothing received */
		else if (number == 0x61)
			*value = ((__rdtsc() - timer_start) * 1193.182 / info.tsc_khz >=
				  timer_count) << 5;
		else if (number == 0x64)
			*value = 0;		/* keyboard: none was pressed */
	}
	return 0;
}

/* Until it says that it is at its third test, which is a long one. Returns its exits. */
static unsigned int run(struct vee_vcpu *vcpu)
{
	const struct vee_exit *exit = &vcpu->page->exit;
	time_t end = time(NULL) + 120;	/* then it has failed */
	unsigned int exits = 0;
	int ret;

	while ((number_behind("Test #") < 3 || !drawn) && time(NULL) < end) {
		ret = vee_vcpu_run(vcpu);
		if (ret == -EINTR)	/* a signal, and no exit to answer */
			continue;
		if (ret)
			vee_explain(vcpu, stderr);
		check(ret, "running");
		if (exit->reason == VEE_EXIT_PIO)
			check(vee_pio_assist(vcpu, port, NULL), "answering a port");
		else if (exit->reason == VEE_EXIT_RDMSR)
			vee_done_rdmsr(vcpu, 0);	/* its thermometer */
		else if (exit->reason != VEE_EXIT_DEADLINE)
			break;
		exits++;
	}
	return exits;
}

int main(int argc, char **argv)
{
	const char *path = argc > 1 ? argv[1] : "/boot/memtest86+x64.bin";
	struct vee_linux_boot boot = { .cmdline = "console=ttyS0,115200 nopause" };
	time_t start = time(NULL);
	unsigned int exits;
	struct vee_vcpu *vcpu;
	struct vee_vm *vm;
	size_t bytes;
	void *image;

	check(vee_read_file(path, &image, &bytes), NO_FILE);
	check(vee_get_info(&info), NO_VEE);
	check(vee_vm_create(&vm), NO_VEE);
	check(vee_vm_alloc(vm, 0, MEMORY, NULL), "giving it memory");
	check(vee_vcpu_create(vm, 0, &vcpu), "making a vCPU");
	check(vee_load_linux(vcpu, image, bytes, &boot), path);
	vcpu->page->deadline_ns = 100 * 1000 * 1000;	/* to look at the clock */

	exits = run(vcpu);
	for (int row = 0; row < 25; row++)
		printf("| %.80s |\n", screen + row * 80);
	if (number_behind("Test #") < 3) {
		vee_explain(vcpu, stderr);
		errx(1, "it did not come to its third test; the last exit: %s, RIP %#llx",
		     vee_exit_name(vcpu->page->exit.reason), vcpu->page->regs.rip);
	}
	printf("memtest86+ tests its %d MiB; %u exits, %d s\n", MEMORY >> 20, exits,
	       (int)(time(NULL) - start));
	vee_vcpu_destroy(vcpu);
	vee_vm_destroy(vm);
	return number_behind("Errors:") != 0;
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * A program that nobody here wrote: Debian's memtest86+, the file as packaged,
 * booted by the Linux boot protocol. It believes that it runs on a PC. This is
 * that PC: 8 MiB, a serial port, one channel of a timer, and nothing else.
 *
 * usage: 06-memtest86 [/boot/memtest86+x64.bin]
 */
#include <err.h>
#include <errno.h>
#include <time.h>
#include <vee.h>
#include <x86intrin.h>

#include "screen.h"

#define MEMORY		(8 << 20)
#define PATIENCE	120		/* seconds, then it has failed */

static struct screen screen;
static bool drawn;		/* it is not in the middle of a change */

static int check(int ret, const char *what)
{
	if (ret < 0) {
		errno = -ret;
		err(1, "%s", what);
	}
	return ret;
}

/*
 * Channel 2 of the timer counts down at 1.193182 MHz from what port 42H is
 * given, low byte first. Programs find out with it how fast their TSC runs, so
 * it is made from the TSC, which a guest of vee reads without an exit.
 */
static struct {
	uint64_t start;		/* the TSC when it was set */
	uint32_t count;
	uint32_t tsc_khz;
} timer;

static void timer_write(uint8_t value)
{
	static bool high;

	timer.count = high ? timer.count | value << 8 : value;
	timer.start = __rdtsc();
	high = !high;
}

static bool timer_through(void)
{
	double milliseconds = (double)(__rdtsc() - timer.start) / timer.tsc_khz;

	return milliseconds * 1193.182 >= timer.count;
}

/* All of the PC's ports: memtest86+ reads or writes one. */
static int port(void *arg, uint16_t number, void *data, unsigned int bytes, bool write)
{
	static uint8_t line_control, control;
	uint8_t *value = data;

	if (!write)
		memset(data, 0xff, bytes);	/* nobody there: the lines float high */

	drawn = number == 0x64;			/* done, and looking for a key */
	if (number == 0x3f8 && write && !(line_control & 0x80))
		screen_put(&screen, *value);	/* serial port: a character */
	else if (number == 0x3fb && write)
		line_control = *value;		/* bit 7 makes 3F8H the baud rate */
	else if (number == 0x3fb)
		*value = line_control;
	else if (number == 0x3fd && !write)
		*value = 0x60;			/* ready to send, nothing received */
	else if (number == 0x42 && write)
		timer_write(*value);
	else if (number == 0x61 && write)
		control = *value & 0x03;
	else if (number == 0x61)
		*value = control | timer_through() << 5;
	else if (number == 0x64 && !write)
		*value = 0;			/* keyboard: none was pressed */
	return 0;
}

/* Does what the guest waits for, so that it can go on. */
static void answer(struct vee_vcpu *vcpu)
{
	const struct vee_exit *exit = &vcpu->page->exit;

	if (exit->reason == VEE_EXIT_PIO) {
		check(vee_pio_assist(vcpu, port, NULL), "answering a port");
	} else if (exit->reason == VEE_EXIT_RDMSR) {
		vee_done_rdmsr(vcpu, 0);	/* its thermometer */
	} else if (exit->reason != VEE_EXIT_DEADLINE) {
		screen_print(&screen);
		errx(1, "an unexpected exit: %s, RIP %#llx", vee_exit_name(exit->reason),
		     (unsigned long long)vcpu->page->regs.rip);
	}
}

int main(int argc, char **argv)
{
	const char *path = argc > 1 ? argv[1] : "/boot/memtest86+x64.bin";
	const struct vee_linux_boot boot = { .cmdline = "console=ttyS0,115200 nopause" };
	struct vee_info info;
	time_t start = time(NULL);
	unsigned long exits = 0;
	struct vee_vcpu *vcpu;
	struct vee_vm *vm;
	size_t bytes;
	void *image;
	int ret;

	screen_clear(&screen);
	check(vee_read_file(path, &image, &bytes), path);
	check(vee_get_info(&info), "asking for the TSC's frequency");
	timer.tsc_khz = info.tsc_khz;

	check(vee_vm_create(&vm), "making a VM");
	check(vee_vm_alloc(vm, 0, MEMORY, NULL), "giving it memory");
	check(vee_vcpu_create(vm, 0, &vcpu), "making a vCPU");
	check(vee_load_linux(vcpu, image, bytes, &boot), path);
	vcpu->page->deadline_ns = 100 * 1000 * 1000;	/* to look at the clock */

	/* Until it says that it is at its third test, which is a long one. */
	while (screen_number(&screen, "Test #") < 3 || !drawn) {
		if (time(NULL) - start > PATIENCE) {
			screen_print(&screen);
			errx(1, "it did not come to its third test in %d s", PATIENCE);
		}
		ret = vee_vcpu_run(vcpu);
		if (ret == -EINTR)	/* a signal, and no exit to answer */
			continue;
		check(ret, "running");
		answer(vcpu);
		exits++;
	}
	screen_print(&screen);
	printf("memtest86+ tests its %d MiB; %lu exits, %d s\n", MEMORY >> 20, exits,
	       (int)(time(NULL) - start));
	vee_vcpu_destroy(vcpu);
	vee_vm_destroy(vm);
	return screen_number(&screen, "Errors:") != 0;
}

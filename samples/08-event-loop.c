// SPDX-License-Identifier: GPL-2.0-only
/*
 * An event loop: one thread that waits for a guest, a timer and a socket at once.
 * The guest sleeps in HLT; a tick of the timer is an interrupt to it, and its answer
 * is a byte to a port. What the socket brings goes to the guest by another
 * interrupt. When it has seen the last byte, the guest shuts itself down.
 */
#include <err.h>
#include <errno.h>
#include <liburing.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vee.h>

/* The guest, in real mode: handlers for vectors 20H (tick) and 21H (mail). */
extern const char guest[], guest_end[], on_tick[], on_mail[];
asm(".pushsection .rodata; .code16\n"
"guest:	sti; hlt; jmp guest\n"
"on_tick: out	%al, $0x20; iret\n"
"on_mail: in	$0x21, %al\n"
"	out	%al, $0xe9\n"
"	cmp	$'!', %al\n"
"	je	over; iret\n"
"over:	cli; hlt\n"
"guest_end: .code64; .popsection\n");

#define CODE		0x1000
#define MEMORY		0x10000
#define BUDGET_US	500
#define TICK		0x20	/* vectors, and the ports that go with them */
#define MAIL		0x21
#define NO_VEE	"/dev/vee (loaded? \"vee check\" tells more; \"make demo\" runs this without VMX)"

/* user_data of our own requests: even numbers. */
enum { TIMER = 2, SOCKET = 4 };

static const char *message = "mail, by way of a socket!";
static int pair[2];		/* a socket, and its other end */
static struct vee_vcpu *vcpu;
static struct vee_ring *ring;
static unsigned int ticks;
static bool mail;		/* letter is for the guest, which doesn't know yet */
static char letter;

static void check(int ret, const char *what)
{
	if (ret < 0) {
		errno = -ret;
		err(1, "%s", what);
	}
}

static void build(struct vee_vm **vm)
{
	uint16_t vectors[] = { on_tick - guest, CODE >> 4, on_mail - guest, CODE >> 4 };

	check(vee_vm_create(vm), NO_VEE);
	check(vee_vm_alloc(*vm, 0, MEMORY, NULL), "giving the VM memory");
	check(vee_vm_write(*vm, CODE, guest, guest_end - guest), "copying the guest");
	check(vee_vm_write(*vm, 4 * TICK, vectors, sizeof(vectors)), "copying its vectors");
	check(vee_vcpu_create(*vm, 0, &vcpu), "making a vCPU");
	vee_vcpu_set_real_mode(vcpu, CODE >> 4, 0);
	vcpu->page->regs.rsp = 0x8000;		/* in the same segment */
	vcpu->page->options = VEE_OPTION_HLT_SLEEPS;
}

static void wait_for_timer(void)
{
	static struct __kernel_timespec interval = { .tv_nsec = 5000000 };
	struct io_uring_sqe *sqe = io_uring_get_sqe(vee_ring_uring(ring));

	io_uring_prep_timeout(sqe, &interval, 0, 0);
	sqe->user_data = TIMER;
}

static void wait_for_mail(void)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(vee_ring_uring(ring));

	io_uring_prep_recv(sqe, pair[1], &letter, 1, 0);
	sqe->user_data = SOCKET;
}

/* One interrupt at a time waits for the guest: mail tries again, a tick may be lost. */
static void on_event(const struct vee_ring_event *event)
{
	if (event->data == TIMER) {
		vee_vcpu_inject(vcpu, VEE_EVENT_INTERRUPT, TICK);
		if (*message)
			check(write(pair[0], message++, 1), "the socket");
		wait_for_timer();
	} else {
		check(event->result, "the socket");
		mail = true;
	}
	if (mail && !vee_vcpu_inject(vcpu, VEE_EVENT_INTERRUPT, MAIL))
		mail = false;
}

/* True: the guest has shut itself down. */
static bool on_exit_of_guest(int result)
{
	const struct vee_exit_pio *pio = &vcpu->page->exit.pio;

	if (result == VEE_EXIT_HLT)
		return true;
	if (result != -EINTR && result != VEE_EXIT_PIO) {
		vee_explain(vcpu, stderr);
		errx(1, "the guest stopped: %d", result);
	}
	if (result == VEE_EXIT_PIO && pio->direction == VEE_PIO_IN) {
		vee_done_in(vcpu, letter);
		wait_for_mail();
	} else if (result == VEE_EXIT_PIO) {
		ticks += pio->port == TICK;
		if (pio->port != TICK)
			putchar(pio->data);
		vee_done(vcpu);
	}
	check(vee_ring_run(ring, vcpu, BUDGET_US), "queueing a run");
	return false;
}

int main(void)
{
	struct vee_ring_event event;
	struct vee_vm *vm;
	int ret;

	check(vee_ring_create(&ring, 1), "a ring of io_uring's (\"vee check\" tells more)");
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		err(1, "a socket");
	build(&vm);
	wait_for_timer();
	wait_for_mail();
	check(vee_ring_run(ring, vcpu, BUDGET_US), "queueing a run");
	for (;;) {
		ret = vee_ring_wait(ring, &event);
		if (ret == -EINTR)	/* a signal, and no event */
			continue;
		check(ret, "waiting");
		if (!event.vcpu)
			on_event(&event);
		else if (on_exit_of_guest(event.result))
			break;
	}
	printf("\n%u ticks of a timer on the way, and one thread for all of it\n", ticks);
	vee_ring_destroy(ring);
	vee_vcpu_destroy(vcpu);
	vee_vm_destroy(vm);
}

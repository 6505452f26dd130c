// SPDX-License-Identifier: LGPL-2.1-or-later
/* The devices together, as guests use them. */
#include "../devices/pc.h"
#include <time.h>

#include "bench.h"

#define SECOND	1000000000ULL

static struct pc pc;
static char serial[100], debug[100];
static unsigned int serial_count, debug_count, pci_serial_count;

static void send_serial(void *arg, const uint8_t *data, size_t count)
{
	CHECK(arg == &bench);
	for (size_t i = 0; i < count; i++)
		serial[serial_count++ % sizeof(serial)] = data[i];
}

static void send_debug(void *arg, uint8_t byte)
{
	CHECK(arg == &bench);
	debug[debug_count++ % sizeof(debug)] = byte;
}

static void send_pci_serial(void *arg, const uint8_t *data, size_t count)
{
	CHECK(arg == &bench && data);
	pci_serial_count += count;
}

static void begin_as(const struct pc_config *config)
{
	bench_begin();
	serial_count = 0;
	debug_count = 0;
	pci_serial_count = 0;
	pc_init(&pc, &bench.ports, &bench.memory, config);
}

static struct pc_config config_with(ioapic_send_fn message_send, unsigned int cpus)
{
	return (struct pc_config) {
		.low_memory = 64 << 20, .clock = &bench.clock,
		.serial_send = send_serial, .debug_send = send_debug,
		.message_send = message_send, .cpus = cpus, .arg = &bench,
	};
}

static void begin_with(ioapic_send_fn message_send, unsigned int cpus, bool host_bridge)
{
	struct pc_config config = config_with(message_send, cpus);

	config.host_bridge = host_bridge;
	begin_as(&config);
}

static void begin_pci_serial(ioapic_send_fn message_send, unsigned int cpus)
{
	struct pc_config config = config_with(message_send, cpus);

	config.pci_serial_send = send_pci_serial;
	begin_as(&config);
}

static void begin(bool host_bridge)
{
	begin_with(NULL, 0, host_bridge);
}

/* Vectors 20H and 28H; all masked but what @mask's zeros say. */
static void set_up_pic(uint16_t mask)
{
	outb(0x20, 0x11);
	outb(0xa0, 0x11);
	outb(0x21, 0x20);
	outb(0xa1, 0x28);
	outb(0x21, 0x04);
	outb(0xa1, 0x02);
	outb(0x21, 0x01);
	outb(0xa1, 0x01);
	outb(0x21, mask);
	outb(0xa1, mask >> 8);
}

static void set_up_timer(uint16_t count)
{
	outb(0x43, 0x34);
	outb(0x40, count);
	outb(0x40, count >> 8);
}

static void end_of_interrupt(uint8_t vector)
{
	if (vector >= 0x28)
		outb(0xa0, 0x20);
	outb(0x20, 0x20);
}

static void set_up_hpet(uint32_t ticks)
{
	store(HPET_BASE + 0x100, 0x04, 4);
	store(HPET_BASE + 0x108, ticks, 4);
	store(HPET_BASE + 0x010, 0x03, 4);
}

static void quiet_after_power_on(void)
{
	begin(false);
	CHECK_EQUAL(pc_next_ns(&pc), CLOCK_NEVER);
	bench.now_ns += 1000 * SECOND;
	pc_advance(&pc);
	CHECK(!pc_interrupt_pending(&pc));
	CHECK_EQUAL(pc.request, PC_NONE);
	CHECK_EQUAL(in(0x4d0, 2), 0x0200);	/* the SCI's level */
}

/* When the devices ask for it, or up to 20 ms after. */
static void wake_up_late(void)
{
	uint64_t next = pc_next_ns(&pc);

	if (next < bench.now_ns)
		next = bench.now_ns;
	bench.now_ns = next + test_random() % (20 * MS);
	pc_advance(&pc);
}

/* How long a guest sleeps that counts ticks, on a host that is late at random. */
static void ticks_keep_time(void)
{
	uint64_t end, ticks = 0;

	begin(false);
	set_up_pic(0xfffa);
	set_up_timer(4773);			/* 250 Hz */
	end = bench.now_ns + 10 * SECOND;
	while (bench.now_ns < end) {
		wake_up_late();
		while (pc_interrupt_pending(&pc)) {
			uint8_t vector = pc_acknowledge(&pc);

			CHECK_EQUAL(vector, 0x20);
			end_of_interrupt(vector);
			ticks++;
		}
	}
	CHECK(ticks >= 2499 && ticks <= 2506);
}

static void unmasking_forgets(void)
{
	begin(false);
	set_up_pic(0xffff);
	set_up_timer(1193);
	bench.now_ns += SECOND / 2;
	pc_advance(&pc);
	CHECK(!pc_interrupt_pending(&pc));
	CHECK_EQUAL(pc_next_ns(&pc), CLOCK_NEVER);
	outb(0x21, 0xfa);
	CHECK_EQUAL(pc_acknowledge(&pc), 0x20);
	end_of_interrupt(0x20);
	CHECK(!pc_interrupt_pending(&pc));
	CHECK(pc_next_ns(&pc) < bench.now_ns + 2 * MS);
}

/* A PIC that is set up again while the timer's request waits hears of it anew. */
static void setting_up_twice(void)
{
	begin(false);
	set_up_pic(0xffff);
	set_up_timer(1193);
	bench.now_ns += SECOND / 2;
	pc_advance(&pc);
	set_up_pic(0xfffa);
	CHECK(!pc_interrupt_pending(&pc));
	bench.now_ns = pc_next_ns(&pc);
	pc_advance(&pc);
	CHECK(pc_interrupt_pending(&pc));
}

/* The 8254 keeps counting, but IRQ0 is no longer its own; nor IRQ8 the clock's. */
static void hpet_instead(void)
{
	begin(false);
	set_up_pic(0x0000);
	set_up_timer(1193);
	outb(0x70, 0x0b);
	outb(0x71, 0x42);
	set_up_hpet(50000000);
	bench.now_ns += 2 * MS;
	pc_advance(&pc);
	CHECK(!pc_interrupt_pending(&pc));
	CHECK_EQUAL(pc_next_ns(&pc), bench.now_ns + 5 * SECOND - 2 * MS);
	bench.now_ns = pc_next_ns(&pc) - 1;
	pc_advance(&pc);
	CHECK(!pc_interrupt_pending(&pc));
	bench.now_ns++;
	pc_advance(&pc);
	CHECK_EQUAL(pc_acknowledge(&pc), 0x20);
	end_of_interrupt(0x20);
	CHECK(!pc_interrupt_pending(&pc));
	store(HPET_BASE + 0x010, 0, 4);
	CHECK(pc_next_ns(&pc) <= bench.now_ns + 2 * MS);
	bench.now_ns += 2 * MS;
	pc_advance(&pc);
	CHECK_EQUAL(pc_acknowledge(&pc), 0x20);
}

static void all_interrupts(void)
{
	begin(false);
	set_up_pic(0x0000);
	outb(0x3fc, 0x08);
	outb(0x3f9, 0x01);
	CHECK_EQUAL(pc_receive(&pc, (const uint8_t *)"x", 1), 1);
	CHECK_EQUAL(pc_acknowledge(&pc), 0x24);
	CHECK_EQUAL(inb(0x3f8), 'x');
	end_of_interrupt(0x24);
	outb(0x70, 0x0b);
	outb(0x71, 0x42);
	bench.now_ns = pc_next_ns(&pc);
	pc_advance(&pc);
	CHECK_EQUAL(pc_acknowledge(&pc), 0x28);
	end_of_interrupt(0x28);
	outb(0x64, 0x60);
	outb(0x60, 0x01);
	outb(0x60, 0xff);
	CHECK_EQUAL(pc_acknowledge(&pc), 0x21);
	end_of_interrupt(0x21);
	out(0x602, 1, 2);
	bench.now_ns += 1000 * SECOND;
	pc_advance(&pc);
	CHECK_EQUAL(pc_acknowledge(&pc), 0x29);
	end_of_interrupt(0x29);
	CHECK_EQUAL(pc_acknowledge(&pc), 0x29);	/* a level: still up */
}

/* What takes time in the UART: a FIFO's time-out, a batch of output. */
static void the_uarts_time(void)
{
	begin(false);
	set_up_pic(0xffef);
	outb(0x3fc, 0x08);
	outb(0x3fa, 0x81);
	outb(0x3f9, 0x01);
	CHECK_EQUAL(pc_receive(&pc, (const uint8_t *)"x", 1), 1);
	for (unsigned int i = 0; i < 2; i++) {	/* to arrive, to time out */
		CHECK(pc_next_ns(&pc) < bench.now_ns + SECOND);
		bench.now_ns = pc_next_ns(&pc);
		pc_advance(&pc);
	}
	CHECK(pc_interrupt_pending(&pc));
	CHECK_EQUAL(inb(0x3fa), 0xcc);
	inb(0x3f8);
	outb(0x3f8, '!');
	CHECK(pc_next_ns(&pc) < bench.now_ns + SECOND);
	bench.now_ns = pc_next_ns(&pc);
	pc_advance(&pc);
	CHECK_EQUAL(serial_count, 1);
	CHECK_EQUAL(pc_next_ns(&pc), CLOCK_NEVER);
}

static void output(void)
{
	begin(false);
	outb(0x3f8, 'o');
	outb(0x3f8, 'k');
	pc_flush(&pc);
	CHECK(serial_count == 2 && !memcmp(serial, "ok", 2));
	CHECK_EQUAL(inb(0xe9), 0xe9);
	CHECK_EQUAL(inb(0x402), 0xe9);
	outb(0xe9, 'E');
	outb(0x402, 'S');
	CHECK(debug_count == 2 && !memcmp(debug, "ES", 2));
}

static void requests(void)
{
	begin(false);
	outb(0x64, 0xfe);
	CHECK_EQUAL(pc.request, PC_RESET);
	begin(false);
	outb(0x92, 0x01);
	CHECK_EQUAL(pc.request, PC_RESET);
	begin(false);
	outb(0xcf9, 0x06);
	CHECK_EQUAL(pc.request, PC_RESET);
	begin(false);
	out(0x604, 0x2000, 2);
	CHECK_EQUAL(pc.request, PC_POWER_OFF);
}

static void with_a_host_bridge(void)
{
	begin(false);
	out(0xcf8, 0x80000000, 4);
	CHECK_EQUAL(in(0xcfc, 4), 0xffffffff);
	begin(true);
	out(0xcf8, 0x80000000, 4);
	CHECK_EQUAL(in(0xcfc, 4), 0x12378086);
}

static void the_hosts_clock(void)
{
	struct pc_config config = { .serial_send = send_serial };
	uint16_t first, second;

	bench_begin();
	pc_init(&pc, &bench.ports, &bench.memory, &config);
	set_up_timer(0);
	outb(0x43, 0x00);
	first = inb(0x40);
	first |= inb(0x40) << 8;
	nanosleep(&(struct timespec) { .tv_nsec = 2000000 }, NULL);
	outb(0x43, 0x00);
	second = inb(0x40);
	second |= inb(0x40) << 8;
	CHECK((uint16_t)(first - second) > 2000);
	outb(0x70, 0x32);
	CHECK(inb(0x71) >= 0x20 && inb(0x71) < 0x22);
}

static void exits(void)
{
	begin(false);
	CHECK_EQUAL(in(0xf4, 1), 0xff);
	CHECK_EQUAL(pc.request, PC_NONE);
	out(0xf3, 0x1234, 4);			/* the second of its bytes */
	CHECK_EQUAL(pc.request, PC_EXIT);
	CHECK_EQUAL(pc.exit_status, 0x12);
}

/* --- with an I/O APIC --- */

#define LEVEL	0x8000
#define LOW	0x2000
#define MASKED	0x10000

static void set_entry(unsigned int pin, uint32_t low)
{
	ioapic_put(0x10 + 2 * pin, low);
}

static void begin_ioapic(void)
{
	begin_with(bench_take_message, 2, false);
}

static void an_ioapic(void)
{
	static const struct {
		unsigned int cpus;
		unsigned int id;
	} numbers[] = { { 1, 1 }, { 2, 2 }, { 15, 15 }, { 16, 0 }, { 64, 0 } };

	begin(false);
	CHECK_EQUAL(ioapic_get(1), 0xffffffff);
	CHECK_EQUAL(fetch(HPET_BASE + 0x104, 4), 0);
	for (unsigned int i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		begin_with(bench_take_message, numbers[i].cpus, false);
		CHECK_EQUAL(ioapic_get(0), numbers[i].id << 24);
		CHECK_EQUAL(ioapic_get(1), 0x00170020);
		CHECK_EQUAL(pc_next_ns(&pc), CLOCK_NEVER);
	}
	CHECK_EQUAL(fetch(HPET_BASE + 0x104, 4), 0x00f00000);
}

/* ISA's IRQs, each at both controllers: which of them is masked is the guest's affair. */
static void interrupts_by_message(void)
{
	begin_ioapic();
	set_up_pic(0xffff);
	for (unsigned int pin = 0; pin < 16; pin++)
		set_entry(pin, 0x30 + pin);
	set_entry(9, LEVEL | 0x39);
	CHECK_EQUAL(bench_messages(), 0);
	outb(0x3fc, 0x08);
	outb(0x3f9, 0x01);
	CHECK_EQUAL(pc_receive(&pc, (const uint8_t *)"x", 1), 1);
	CHECK_EQUAL(bench_messages(), 1);
	CHECK_EQUAL(bench.sent.data, 0x34);
	CHECK(!bench.sent.level);
	outb(0x21, 0xef);			/* the other one has it, too */
	CHECK_EQUAL(pc_acknowledge(&pc), 0x24);
	outb(0x21, 0xff);
	outb(0x70, 0x0b);
	outb(0x71, 0x42);
	bench.now_ns = pc_next_ns(&pc);
	pc_advance(&pc);
	CHECK_EQUAL(bench.sent.data, 0x38);
	outb(0x64, 0x60);
	outb(0x60, 0x01);
	outb(0x60, 0xff);
	CHECK_EQUAL(bench.sent.data, 0x31);
	CHECK_EQUAL(bench_messages(), 2);
	out(0x602, 1, 2);
	bench.now_ns += 1000 * SECOND;
	pc_advance(&pc);
	CHECK_EQUAL(bench_messages(), 1);
	CHECK_EQUAL(bench.sent.data, 0xc039);
	pc_eoi(&pc, 0x39);
	CHECK_EQUAL(bench_messages(), 1);		/* a level: still up */
	out(0x600, 1, 2);
	pc_eoi(&pc, 0x39);
	CHECK_EQUAL(bench_messages(), 0);
	CHECK(!pc_interrupt_pending(&pc));
}

/* As with the 8259As: of a busy host's ticks none is lost, and they don't pile up. */
static void ticks_by_message(void)
{
	uint64_t end, ticks = 0;

	begin_ioapic();
	set_up_pic(0xffff);
	set_up_timer(4773);			/* 250 Hz */
	set_entry(2, 0x30);
	end = bench.now_ns + 10 * SECOND;
	while (bench.now_ns < end) {
		wake_up_late();
		while (bench_messages()) {
			CHECK_EQUAL(bench.sent.data, 0x30);
			CHECK_EQUAL(bench.sent.count, 0);
			CHECK(bench.sent.level);
			ticks++;
			pc_eoi(&pc, 0x31);	/* not its */
			CHECK_EQUAL(bench.sent.count, 0);
			pc_eoi(&pc, 0x30);
		}
	}
	CHECK(ticks >= 2499 && ticks <= 2506);
}

/* What waits at an 8259A that nobody listens to holds no ticks back, nor does a mask. */
static void unmasking_the_pin_forgets(void)
{
	begin_ioapic();
	set_up_pic(0xffff);
	set_up_timer(1193);
	bench.now_ns += SECOND / 2;
	pc_advance(&pc);
	CHECK_EQUAL(pc_next_ns(&pc), CLOCK_NEVER);
	set_entry(2, 0x30);
	CHECK_EQUAL(bench_messages(), 0);
	CHECK(pc_next_ns(&pc) < bench.now_ns + 2 * MS);
	bench.now_ns = pc_next_ns(&pc);
	pc_advance(&pc);
	CHECK_EQUAL(bench_messages(), 1);
	pc_eoi(&pc, 0x30);
	CHECK_EQUAL(bench_messages(), 0);
	/* While one waits there is no other to tell of, */
	bench.now_ns = pc_next_ns(&pc);
	pc_advance(&pc);
	CHECK_EQUAL(bench_messages(), 1);
	CHECK_EQUAL(pc_next_ns(&pc), bench.now_ns + SECOND);
	/* and masked it goes back to the 8259As. */
	set_entry(2, MASKED | 0x30);
	outb(0x21, 0xfe);
	CHECK_EQUAL(pc_acknowledge(&pc), 0x20);
	end_of_interrupt(0x20);
	bench.now_ns = pc_next_ns(&pc);
	CHECK(bench.now_ns != CLOCK_NEVER);
	pc_advance(&pc);
	CHECK_EQUAL(pc_acknowledge(&pc), 0x20);
	CHECK_EQUAL(bench_messages(), 0);
}

/* A tick that was sent to no CPU, or to one that was reset, isn't the last one. */
static void a_lost_tick(void)
{
	uint64_t lost_ns;

	begin_ioapic();
	set_up_pic(0xffff);
	set_up_timer(1193);
	set_entry(2, 0x30);
	bench.now_ns = pc_next_ns(&pc);
	pc_advance(&pc);
	CHECK_EQUAL(bench_messages(), 1);
	lost_ns = pc_next_ns(&pc);
	CHECK_EQUAL(lost_ns, bench.now_ns + SECOND);
	bench.now_ns = lost_ns - 1;
	pc_advance(&pc);
	CHECK_EQUAL(bench_messages(), 0);
	bench.now_ns = lost_ns;
	pc_advance(&pc);
	CHECK_EQUAL(bench_messages(), 1);
	CHECK_EQUAL(pc_next_ns(&pc), bench.now_ns + SECOND);
}

static void hpet_by_message(void)
{
	begin_ioapic();
	set_up_pic(0xffff);
	set_entry(2, 0x30);
	set_up_hpet(100);
	bench.now_ns = pc_next_ns(&pc);
	pc_advance(&pc);
	CHECK_EQUAL(bench_messages(), 1);
	CHECK_EQUAL(bench.sent.data, 0x30);
	/* A pin of its own, active low as PCI's are; edges either way. */
	begin_ioapic();
	set_entry(21, LEVEL | LOW | 0x45);
	set_entry(22, LOW | 0x46);
	set_entry(23, 0x47);
	CHECK_EQUAL(bench_messages(), 0);
	for (unsigned int n = 0; n < 3; n++) {
		store(HPET_BASE + 0x100 + 0x20 * n, (21 + n) << 9 | 4 | (n ? 0 : 2), 4);
		store(HPET_BASE + 0x108 + 0x20 * n, 100 + 100 * n, 4);
	}
	store(HPET_BASE + 0x010, 1, 4);
	for (unsigned int n = 0; n < 3; n++) {
		bench.now_ns = pc_next_ns(&pc);
		pc_advance(&pc);
		CHECK_EQUAL(bench_messages(), 1);
		CHECK_EQUAL(bench.sent.data, (n ? 0 : 0xc000) | (0x45 + n));
	}
	store(HPET_BASE + 0x020, 1, 4);
	pc_eoi(&pc, 0x45);
	CHECK_EQUAL(bench_messages(), 0);
}

/* Each device's four on the four wires, one further on with each device. */
static void pci_interrupts(void)
{
	struct irq_line line;

	begin_ioapic();
	for (unsigned int pin = 16; pin < 20; pin++)
		set_entry(pin, LEVEL | LOW | (0x50 + pin));
	CHECK_EQUAL(bench_messages(), 0);
	for (unsigned int device = 0; device < 32; device++) {
		for (unsigned int pin = 0; pin < 4; pin++) {
			unsigned int vector = 0x60 + (device + pin) % 4;

			line = pc_pci_line(&pc, device, pin);
			CHECK(!irq_waits(&line));
			irq_set(&line, true);
			CHECK_EQUAL(bench_messages(), 1);
			CHECK_EQUAL(bench.sent.data, 0xc000 | vector);
			CHECK(irq_waits(&line));
			irq_set(&line, false);
			pc_eoi(&pc, vector);
			CHECK_EQUAL(bench_messages(), 0);
		}
	}
	/* Two on one wire. */
	line = pc_pci_line(&pc, 1, 0);
	irq_set(&line, true);
	line = pc_pci_line(&pc, 5, 0);
	irq_set(&line, true);
	CHECK_EQUAL(bench_messages(), 1);
	irq_set(&line, false);
	pc_eoi(&pc, 0x61);
	CHECK_EQUAL(bench_messages(), 1);
	line = pc_pci_line(&pc, 1, 0);
	irq_set(&line, false);
	pc_eoi(&pc, 0x61);
	CHECK_EQUAL(bench_messages(), 0);
}

/* One input of the 8259As for all: level-triggered, as long as any of them is. */
static void pci_interrupts_at_the_8259as(void)
{
	struct irq_line first, second;

	begin_pci_serial(NULL, 0);
	set_up_pic(0);
	first = pc_pci_line(&pc, 2, 0);
	second = pc_pci_line(&pc, 3, 0);
	irq_set(&first, true);
	irq_set(&second, true);
	CHECK(pc_interrupt_pending(&pc));
	CHECK_EQUAL(pc_acknowledge(&pc), 0x2b);
	irq_set(&first, false);
	end_of_interrupt(0x2b);
	CHECK_EQUAL(pc_acknowledge(&pc), 0x2b);
	irq_set(&second, false);
	end_of_interrupt(0x2b);
	CHECK(!pc_interrupt_pending(&pc));
}

/* --- the serial port on PCI --- */

#define PCI_SERIAL(at)	(0x80000800 | (at))

static uint32_t config_read(uint32_t address, unsigned int bytes)
{
	out(0xcf8, address & ~3U, 4);
	return in(0xcfc + (address & 3), bytes);
}

static void config_write(uint32_t address, uint32_t value, unsigned int bytes)
{
	out(0xcf8, address & ~3U, 4);
	out(0xcfc + (address & 3), value, bytes);
}

static void pci_serial_config(void)
{
	begin(false);
	CHECK_EQUAL(config_read(PCI_SERIAL(0), 4), 0xffffffff);
	CHECK_EQUAL(config_read(0x80000000, 4), 0xffffffff);
	begin_pci_serial(NULL, 0);
	CHECK_EQUAL(config_read(0x80000000, 4), 0x12378086);
	CHECK_EQUAL(config_read(PCI_SERIAL(0), 4), 0x99229710);
	CHECK_EQUAL(config_read(PCI_SERIAL(0x08), 4), 0x07000200);
	CHECK_EQUAL(config_read(PCI_SERIAL(0x2c), 4), 0x1000a000);
	CHECK_EQUAL(config_read(PCI_SERIAL(0x06), 2), 0);
	CHECK_EQUAL(config_read(PCI_SERIAL(0x34), 1), 0);
	CHECK_EQUAL(config_read(PCI_SERIAL(0x0e), 1), 0);
	CHECK_EQUAL(config_read(PCI_SERIAL(0x3c), 2), 0x010b);
	CHECK_EQUAL(config_read(PCI_SERIAL(0x10), 4), 0xc001);
	config_write(PCI_SERIAL(0x10), 0xffffffff, 4);
	CHECK_EQUAL(config_read(PCI_SERIAL(0x10), 4), 0xfffffff1);
	config_write(PCI_SERIAL(0x04), 0xffffffff, 4);
	CHECK_EQUAL(config_read(PCI_SERIAL(0x04), 4), 0x00000401);
}

/* Where BAR 0 says, unless somebody is there, or ports are off. */
static void pci_serial_place(void)
{
	begin_pci_serial(NULL, 0);
	outb(0xc007, 0x5a);			/* scratch */
	CHECK_EQUAL(inb(0xc007), 0x5a);
	config_write(PCI_SERIAL(0x04), 0, 2);
	CHECK_EQUAL(inb(0xc007), 0xff);
	config_write(PCI_SERIAL(0x10), 0xc100, 4);
	config_write(PCI_SERIAL(0x04), 1, 2);
	CHECK_EQUAL(inb(0xc007), 0xff);
	CHECK_EQUAL(inb(0xc107), 0x5a);
	CHECK_EQUAL(inb(0xc10f), 0xff);
	config_write(PCI_SERIAL(0x10), 0x40, 4);	/* the 8254's */
	CHECK_EQUAL(inb(0x47), 0xff);
	outb(0x43, 0x34);
	outb(0x40, 0xa5);
	outb(0x40, 0xa5);
	CHECK_EQUAL(pc.pit.channels[0].count, 0xa5a5);
	config_write(PCI_SERIAL(0x12), 0x1, 2);	/* no port has that number */
	config_write(PCI_SERIAL(0x10), 0xc000, 2);
	CHECK_EQUAL(inb(0xc007), 0xff);
	config_write(PCI_SERIAL(0x12), 0, 2);
	CHECK_EQUAL(inb(0xc007), 0x5a);
}

/* THR is empty: level, until that has been read, or INTx is off. */
static void pci_serial_interrupt(void)
{
	begin_pci_serial(bench_take_message, 2);
	set_entry(17, LEVEL | LOW | 0x61);
	outb(0xc001, 0x02);
	CHECK_EQUAL(bench_messages(), 1);
	CHECK_EQUAL(bench.sent.data, 0xc061);
	CHECK_EQUAL(config_read(PCI_SERIAL(0x06), 2), 0x0018);
	config_write(PCI_SERIAL(0x04), 0x0401, 2);
	pc_eoi(&pc, 0x61);
	CHECK_EQUAL(bench_messages(), 0);
	CHECK_EQUAL(config_read(PCI_SERIAL(0x06), 2), 0x0018);
	config_write(PCI_SERIAL(0x04), 0x0001, 2);
	CHECK_EQUAL(bench_messages(), 1);
	CHECK_EQUAL(inb(0xc002) & 0x0f, 0x02);	/* IIR */
	CHECK_EQUAL(config_read(PCI_SERIAL(0x06), 2), 0x0010);
	pc_eoi(&pc, 0x61);
	CHECK_EQUAL(bench_messages(), 0);
}

/* --- its MSI --- */

#define MSI(at)		PCI_SERIAL(0x50 + (at))
#define MSI_CONTROL	0x02
#define MSI_ADDRESS	0x04
#define MSI_DATA	0x0c
#define MSI_MASK	0x10
#define MSI_PENDING	0x14
#define MASTER_PORTS	0x0005

static bool wire_is_up(void)
{
	return !(pc.ioapic.lines >> 17 & 1);
}

/* With local APICs alone; only what the specification has as writable is. */
static void pci_serial_msi_config(void)
{
	begin_pci_serial(bench_take_message, 2);
	CHECK_EQUAL(config_read(PCI_SERIAL(0x06), 2), 0x0010);
	CHECK_EQUAL(config_read(PCI_SERIAL(0x34), 1), 0x50);
	CHECK_EQUAL(config_read(MSI(0), 4), 0x01800005);
	for (unsigned int at = 4; at < 24; at += 4)
		CHECK_EQUAL(config_read(MSI(at), 4), 0);
	for (unsigned int at = 0; at < 24; at += 4)
		config_write(MSI(at), 0xffffffff, 4);
	CHECK_EQUAL(config_read(MSI(0), 4), 0x01810005);
	CHECK_EQUAL(config_read(MSI(MSI_ADDRESS), 4), 0xfffffffc);
	CHECK_EQUAL(config_read(MSI(MSI_ADDRESS + 4), 4), 0xffffffff);
	CHECK_EQUAL(config_read(MSI(MSI_DATA), 4), 0xffff);
	CHECK_EQUAL(config_read(MSI(MSI_MASK), 4), 1);
	CHECK_EQUAL(config_read(MSI(MSI_PENDING), 4), 0);
	config_write(PCI_SERIAL(0x04), 0xffffffff, 4);
	CHECK_EQUAL(config_read(PCI_SERIAL(0x04), 2), 0x0405);
	CHECK_EQUAL(bench_messages(), 0);
}

/* Vector 61H to the CPU with number 2; input 17 of the I/O APIC would be vector 71H. */
static void begin_msi(uint16_t command)
{
	begin_pci_serial(bench_take_message, 2);
	set_entry(17, LEVEL | LOW | 0x71);
	config_write(MSI(MSI_ADDRESS), 0xfee02000, 4);
	config_write(MSI(MSI_DATA), 0x0061, 2);
	config_write(PCI_SERIAL(0x04), command, 2);
	config_write(MSI(MSI_CONTROL), 1, 2);
}

static void check_one_message(void)
{
	CHECK_EQUAL(bench_messages(), 1);
	CHECK_EQUAL(bench.sent.address, 0xfee02000);
	CHECK_EQUAL(bench.sent.data, 0x61);
	CHECK(!bench.sent.level);
}

/* One message for each time that THR gets empty, and the wire is at rest. */
static void pci_serial_msi(void)
{
	begin_msi(MASTER_PORTS);
	outb(0xc001, 0x02);
	check_one_message();
	CHECK(!wire_is_up());
	CHECK_EQUAL(config_read(PCI_SERIAL(0x06), 2), 0x0018);
	CHECK_EQUAL(config_read(MSI(MSI_PENDING), 4), 0);
	config_write(PCI_SERIAL(0x04), MASTER_PORTS, 2);
	CHECK_EQUAL(bench_messages(), 0);
	CHECK_EQUAL(inb(0xc002) & 0x0f, 0x02);	/* IIR */
	CHECK_EQUAL(bench_messages(), 0);
	outb(0xc000, 'h');
	bench.now_ns += MS;
	pc_advance(&pc);
	check_one_message();
	/* That one goes by the wire when the MSI is switched off, and to and fro. */
	config_write(MSI(MSI_CONTROL), 0, 2);
	CHECK_EQUAL(bench_messages(), 1);
	CHECK_EQUAL(bench.sent.data, 0xc071);
	CHECK(wire_is_up());
	config_write(MSI(MSI_CONTROL), 1, 2);
	check_one_message();
	CHECK(!wire_is_up());
}

/* While it is masked it is pending, as long as it is asked for. */
static void pci_serial_msi_masked(void)
{
	begin_msi(MASTER_PORTS);
	config_write(MSI(MSI_MASK), 1, 4);
	outb(0xc001, 0x02);
	CHECK_EQUAL(bench_messages(), 0);
	CHECK(!wire_is_up());
	CHECK_EQUAL(config_read(MSI(MSI_PENDING), 4), 1);
	config_write(MSI(MSI_MASK), 0, 4);
	check_one_message();
	CHECK_EQUAL(config_read(MSI(MSI_PENDING), 4), 0);
	config_write(MSI(MSI_MASK), 1, 4);
	CHECK_EQUAL(config_read(MSI(MSI_PENDING), 4), 0);
	outb(0xc001, 0x00);
	outb(0xc001, 0x02);
	CHECK_EQUAL(config_read(MSI(MSI_PENDING), 4), 1);
	CHECK_EQUAL(inb(0xc002) & 0x0f, 0x02);
	CHECK_EQUAL(config_read(MSI(MSI_PENDING), 4), 0);
	config_write(MSI(MSI_MASK), 0, 4);
	CHECK_EQUAL(bench_messages(), 0);
}

/* Who is no bus master sends nothing, and does as soon as it is one. */
static void pci_serial_msi_no_master(void)
{
	begin_msi(MASTER_PORTS & ~4);
	outb(0xc001, 0x02);
	CHECK_EQUAL(bench_messages(), 0);
	CHECK(!wire_is_up());
	config_write(PCI_SERIAL(0x04), MASTER_PORTS, 2);
	check_one_message();
}

static void pci_serial_output(void)
{
	begin_pci_serial(NULL, 0);
	outb(0xc000, 'h');
	outb(0xc000, 'i');
	CHECK_EQUAL(pci_serial_count, 0);
	CHECK_EQUAL(pc_next_ns(&pc), bench.now_ns + MS);
	bench.now_ns += MS;
	pc_advance(&pc);
	CHECK_EQUAL(pci_serial_count, 2);
	outb(0xc000, '!');
	pc_flush(&pc);
	CHECK_EQUAL(pci_serial_count, 3);
	CHECK_EQUAL(serial_count, 0);
}

static void crt_controller(void)
{
	begin(false);
	outb(0x3d4, 0x0e);
	CHECK_EQUAL(inb(0x3d4), 0x0e);
	outb(0x3d5, 0x07);
	outb(0x3d4, 0x0f);
	outb(0x3d5, 0xcf);
	outb(0x3d4, 0x0e);
	CHECK_EQUAL(inb(0x3d5), 0x07);
	outb(0x3d4, 0x19);			/* from here on there are none */
	outb(0x3d5, 0x55);
	CHECK_EQUAL(inb(0x3d5), 0xff);
	outb(0x3d4, 0x0f);
	CHECK_EQUAL(inb(0x3d5), 0xcf);
}

const struct test tests[] = {
	{ "quiet after power-on", quiet_after_power_on },
	{ "ticks keep time on a busy host", ticks_keep_time },
	{ "unmasking the timer forgets", unmasking_forgets },
	{ "setting up the PIC twice", setting_up_twice },
	{ "the HPET in place of others", hpet_instead },
	{ "every interrupt", all_interrupts },
	{ "the UART's time", the_uarts_time },
	{ "output", output },
	{ "requests", requests },
	{ "a status", exits },
	{ "a host bridge", with_a_host_bridge },
	{ "the host's clock", the_hosts_clock },
	{ "an I/O APIC", an_ioapic },
	{ "interrupts by message", interrupts_by_message },
	{ "ticks by message keep time on a busy host", ticks_by_message },
	{ "unmasking the timer's pin forgets", unmasking_the_pin_forgets },
	{ "a lost tick", a_lost_tick },
	{ "the HPET by message", hpet_by_message },
	{ "PCI's interrupts", pci_interrupts },
	{ "PCI's interrupts at the 8259As", pci_interrupts_at_the_8259as },
	{ "serial port on PCI, its numbers", pci_serial_config },
	{ "serial port on PCI, its place", pci_serial_place },
	{ "serial port on PCI, its interrupt", pci_serial_interrupt },
	{ "serial port on PCI, its MSI's numbers", pci_serial_msi_config },
	{ "serial port on PCI, its MSI", pci_serial_msi },
	{ "serial port on PCI, its MSI masked", pci_serial_msi_masked },
	{ "serial port on PCI, its MSI, no master", pci_serial_msi_no_master },
	{ "serial port on PCI, its output", pci_serial_output },
	{ "a CRT controller", crt_controller },
	{ 0 }
};

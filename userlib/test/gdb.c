// SPDX-License-Identifier: LGPL-2.1-or-later
/* The stub for gdb, by what goes over the wire. */
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../gdb/gdb.h"
#include "test.h"

#define RAM_BYTES	0x10000
#define CODE		0x1000
#define UNMAPPED	0x7000000000ULL
#define HIGH		0xffff800000001000ULL	/* mapped to CODE */
#define INT3		0xcc
#define DR7_GD		0x2000ULL
#define DR6_BD		0x2000ULL
#define DR6_BS		0x4000ULL
#define MXCSR_INITIAL	0x1f80

static struct rig rig;
static uint8_t *ram;
static struct vee_gdb *gdb;
static int wire = -1;

/* --- the other end --- */

static void open_wire(void)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
		abort();
	wire = ends[0];
	CHECK_EQUAL(vee_gdb_open_fd(rig.vcpu, ends[1], &gdb), 0);
	close(ends[1]);
}

static void setup(unsigned int mode)
{
	const uint32_t mxcsr = MXCSR_INITIAL;

	ram = rig_begin_mode(&rig, mode, RAM_BYTES);
	if (mode == 8) {
		fake_map(HIGH, CODE, VEE_READ | VEE_WRITE, false);
		fake_paging(&rig);
	}
	rig.vcpu->page->regs.rip = CODE;
	memcpy(fake.xsave + 24, &mxcsr, sizeof(mxcsr));
	open_wire();
	vee_gdb_stop(gdb);
}

static void teardown(void)
{
	vee_gdb_close(gdb, 0);
	close(wire);
	rig_end(&rig);
}

static char heard[4 * PACKET_BYTES];
static size_t heard_count;

static void put(const void *bytes, size_t count)
{
	if (write(wire, bytes, count) != (ssize_t)count)
		abort();
}

/* Without runs, as gdb sends them. */
static void put_packet(const char *text)
{
	static char frame[FRAME_BYTES];
	uint8_t sum = 0;

	for (size_t i = 0; text[i]; i++)
		sum += text[i];
	put(frame, snprintf(frame, sizeof(frame), "$%s#%02x", text, sum));
}

static void hear_run(char last, int more)
{
	while (more-- > 0 && heard_count < sizeof(heard) - 1)
		heard[heard_count++] = last;
}

/* What has come, without acknowledgements and frames, packets one after the other. */
static void hear(void)
{
	static char raw[sizeof(heard)];
	ssize_t count = recv(wire, raw, sizeof(raw), MSG_DONTWAIT);
	bool inside = false;

	heard_count = 0;
	for (ssize_t i = 0; i < count && heard_count < sizeof(heard) - 1; i++) {
		if (!inside) {
			inside = raw[i] == '$';
		} else if (raw[i] == '#') {
			i += 2;
			inside = false;
		} else if (raw[i] == '*') {
			hear_run(heard[heard_count - 1], raw[++i] - 29);
		} else {
			heard[heard_count++] = raw[i] == '}' ? raw[++i] ^ 0x20 : raw[i];
		}
	}
	heard[heard_count] = 0;
}

static void ask(const char *packet)
{
	put_packet(packet);
	CHECK_EQUAL(vee_gdb_serve(gdb, 0), -EAGAIN);
	hear();
}

static void check_heard(const char *expected)
{
	test_case("\"%.90s\", not \"%.90s\"", heard, expected);
	CHECK(!strcmp(heard, expected));
	*test_case_name = 0;
}

static void check(const char *packet, const char *expected)
{
	ask(packet);
	check_heard(expected);
}

/* The guest goes on. */
static void resume(const char *packet)
{
	put_packet(packet);
	CHECK_EQUAL(vee_gdb_serve(gdb, 0), 1);
	hear();
	check_heard("");
}

static void debug_exit(unsigned int vector, bool is_step, uint64_t dr6)
{
	rig.vcpu->page->exit = (struct vee_exit) {
		.reason = VEE_EXIT_DEBUG,
		.debug = { .vector = vector, .step = is_step, .dr6 = dr6 },
	};
}

static void stops(const char *expected)
{
	CHECK_EQUAL(vee_gdb_serve(gdb, 0), -EAGAIN);
	hear();
	check_heard(expected);
}

/* --- packets --- */

static enum packet_event feed(struct packet *packet, const char *bytes)
{
	enum packet_event event = PACKET_NONE;

	while (*bytes)
		event = packet_take(packet, *bytes++);
	return event;
}

static void test_packets_in(void)
{
	static struct packet packet;

	CHECK_EQUAL(feed(&packet, "+$g#67"), PACKET_WHOLE);
	CHECK(!strcmp(packet.bytes, "g"));
	CHECK_EQUAL(feed(&packet, "$g#66"), PACKET_BAD);
	CHECK_EQUAL(feed(&packet, "$g#zz"), PACKET_BAD);
	CHECK_EQUAL(feed(&packet, "$X}\003#d8"), PACKET_WHOLE);
	CHECK(!strcmp(packet.bytes, "X#"));
	CHECK_EQUAL(feed(&packet, "$X}#d5"), PACKET_BAD);
	CHECK_EQUAL(feed(&packet, "$mlost$g#67"), PACKET_WHOLE);
	CHECK(!strcmp(packet.bytes, "g"));
	CHECK_EQUAL(feed(&packet, "-"), PACKET_RESEND);
	CHECK_EQUAL(feed(&packet, "\x03"), PACKET_INTERRUPT);
	packet_take(&packet, '$');
	for (unsigned int i = 0; i < PACKET_BYTES + 1; i++)
		packet_take(&packet, 'a');
	CHECK_EQUAL(feed(&packet, "#61"), PACKET_BAD);
	CHECK_EQUAL(feed(&packet, "$#00"), PACKET_WHOLE);
}

static void check_frame(const char *text, const char *expected)
{
	char frame[FRAME_BYTES];
	size_t count = packet_frame(frame, text, strlen(text));

	test_case("%s", text);
	CHECK(count == strlen(expected) && !memcmp(frame, expected, count));
}

static void test_packets_out(void)
{
	check_frame("OK", "$OK#9a");
	check_frame("", "$#00");
	check_frame("000", "$000#90");
	check_frame("0000", "$0* #7a");
	check_frame("00000000", "$0*\"00#dc");	/* not with '$', which would be 7 more */
	check_frame("a#b", "$a}\003b#43");
}

static void test_acknowledgements(void)
{
	char bytes[16];

	setup(8);
	put("$qC#00", 6);
	CHECK_EQUAL(vee_gdb_serve(gdb, 0), -EAGAIN);
	CHECK(read(wire, bytes, sizeof(bytes)) == 1 && *bytes == '-');
	check("qC", "QC1");
	put("-", 1);
	stops("QC1");
	check("QStartNoAckMode", "OK");
	put("$qC#b4", 6);
	CHECK_EQUAL(vee_gdb_serve(gdb, 0), -EAGAIN);
	CHECK(read(wire, bytes, sizeof(bytes)) == 7 && *bytes == '$');
	teardown();
}

/* --- registers --- */

static void test_registers(void)
{
	struct vee_vcpu_page *page;

	setup(8);
	page = rig.vcpu->page;
	page->regs.rbx = 0x1122334455667788;
	check("p1", "8877665544332211");
	check("p10", "0010000000000000");
	CHECK_EQUAL(page->dirty & VEE_STATE_REGS, VEE_STATE_REGS);
	page->dirty = 0;
	check("P1=8877665544332211", "OK");
	CHECK_EQUAL(page->dirty, 0);	/* nothing has changed */
	check("P1=0100000000000000", "OK");
	CHECK_EQUAL(page->regs.rbx, 1);
	CHECK_EQUAL(page->dirty, VEE_STATE_REGS);
	check("P1=01", "E16");
	check("P1", "E16");
	check("pffff", "E16");
	check("p", "E16");
	/* A selector of protected mode has a descriptor that gdb doesn't give. */
	check("P12=ff000000", "E5f");
	teardown();
}

static void test_all_registers(void)
{
	static char all[PACKET_BYTES];

	setup(8);
	ask("g");
	CHECK(strlen(heard) > 2 * (17 * 8 + 4 + 24 + 80 + 32 + 256 + 4));
	all[0] = 'G';
	strcpy(all + 1, heard);
	rig.vcpu->page->dirty = 0;
	check(all, "OK");
	CHECK_EQUAL(rig.vcpu->page->dirty, 0);
	memcpy(all + 1, "2a", 2);
	check(all, "OK");
	CHECK_EQUAL(rig.vcpu->page->regs.rax, 0x2a);
	all[strlen(all) - 1] = 0;
	check(all, "E16");
	teardown();
}

/* st0, fctrl, ftag and xmm0 by their numbers, with nothing in the XSAVE area but MXCSR. */
static void test_vector_registers(void)
{
	setup(8);
	fake.xsave[XSAVE_BV] = 0;
	fake.xsave[XSAVE_XMM] = 0x55;
	check("p20", "7f030000");
	check("p22", "ffff0000");
	check("p29", "00000000000000000000000000000000");
	check("P29=01000000000000000000000000000002", "OK");
	CHECK_EQUAL(fake.xsave[XSAVE_BV], 2);
	CHECK_EQUAL(fake.xsave[XSAVE_XMM + 15], 2);
	check("P22=feff0000", "OK");
	CHECK_EQUAL(fake.xsave[XSAVE_BV], 3);
	CHECK_EQUAL(fake.xsave[4], 1);	/* of the full tags 3 is empty, 2 is not */
	teardown();
}

/* The upper halves of YMM0 and YMM1 by their numbers. */
static void test_avx(void)
{
	setup(8);
	CHECK_EQUAL(gdb->at[2], XSAVE_YMM);
	ask("qXfer:features:read:target.xml:0,ffff");
	CHECK(strstr(heard, "org.gnu.gdb.i386.avx") && strstr(heard, "\"ymm15h\""));
	CHECK(!strstr(heard, "avx512"));
	fake.xsave[XSAVE_BV] = 0;
	fake.xsave[XSAVE_YMM] = 0x55;		/* not there, by XSTATE_BV */
	check("p39", "00000000000000000000000000000000");
	check("P3a=01000000000000000000000000000002", "OK");
	CHECK_EQUAL(fake.xsave[XSAVE_BV], 4);
	CHECK_EQUAL(fake.xsave[XSAVE_YMM], 0);
	CHECK_EQUAL(fake.xsave[XSAVE_YMM + 16], 1);
	CHECK_EQUAL(fake.xsave[XSAVE_YMM + 31], 2);
	check("p3a", "01000000000000000000000000000002");
	teardown();
}

/* What "p" has of register @number in 64-bit mode, and "P" changes, is @bytes at @at. */
static void check_register(unsigned int number, unsigned int at, unsigned int bytes)
{
	char packet[128], value[2 * REGISTER_BYTES + 1] = "";

	test_case("register %u", number);
	for (unsigned int i = 0; i < bytes; i++)
		sprintf(value + 2 * i, "%02x", i + 1);
	snprintf(packet, sizeof(packet), "P%x=%s", number, value);
	check(packet, "OK");
	for (unsigned int i = 0; i < bytes; i++)
		CHECK_EQUAL(fake.xsave[at + i], i + 1);
	snprintf(packet, sizeof(packet), "p%x", number);
	check(packet, value);
}

static unsigned int registers_in(const char *description)
{
	unsigned int count = 0;

	while ((description = strstr(description, "<reg "))) {
		description++;
		count++;
	}
	return count;
}

static void test_avx512(void)
{
	const unsigned int k0 = 0x39 + 16, zmm0h = k0 + 8, xmm16 = zmm0h + 16;

	fake.avx512 = true;
	setup(8);
	CHECK(strstr(gdb->description, "\"org.gnu.gdb.i386.avx512\""));
	CHECK(strstr(gdb->description, "\"zmm31h\" bitsize=\"256\""));
	CHECK_EQUAL(registers_in(gdb->description), registers_count(gdb));
	memset(fake.xsave + XSAVE_MASKS, 0x55, XSAVE_BYTES - XSAVE_MASKS);
	fake.xsave[XSAVE_BV] = 0;	/* none of that is there */
	check("p49", "0000000000000000");
	check_register(k0 + 7, XSAVE_MASKS + 56, 8);
	CHECK_EQUAL(fake.xsave[XSAVE_BV], 1 << 5);
	CHECK_EQUAL(fake.xsave[XSAVE_MASKS], 0);
	check_register(zmm0h, XSAVE_ZMM_HIGH, 32);
	check_register(zmm0h + 15, XSAVE_ZMM_HIGH + 480, 32);
	check_register(xmm16, XSAVE_HIGH_ZMM, 16);
	check_register(xmm16 + 16, XSAVE_HIGH_ZMM + 16, 16);
	check_register(xmm16 + 32, XSAVE_HIGH_ZMM + 32, 32);
	check_register(xmm16 + 15, XSAVE_HIGH_ZMM + 960, 16);
	check_register(xmm16 + 47, XSAVE_HIGH_ZMM + 992, 32);
	CHECK_EQUAL(fake.xsave[XSAVE_BV], 7 << 5);
	ask("g");
	CHECK(heard_count > 2 * (64 + 512 + 1024));
	ask("qRcmd,617263682069333836");	/* arch i386 */
	CHECK(strstr(gdb->description, "\"zmm7h\"") && !strstr(gdb->description, "\"zmm8h\""));
	CHECK(!strstr(gdb->description, "\"xmm16\""));
	CHECK_EQUAL(registers_in(gdb->description), registers_count(gdb));
	teardown();
}

static void test_real_mode(void)
{
	setup(2);
	ask("qRcmd,617263682069333836");	/* arch i386 */
	check("p8", "00100000");
	check("Pa=00120000", "OK");	/* CS */
	CHECK_EQUAL(rig.vcpu->page->segments.cs.base, 0x12000);
	ask("qXfer:features:read:target.xml:0,1000");
	CHECK(strstr(heard, "<architecture>i386</architecture>"));
	CHECK(!strstr(heard, "segments"));
	teardown();
}

static void test_description(void)
{
	setup(8);
	ask("qSupported:swbreak+;xmlRegisters=i386");
	CHECK(strstr(heard, "qXfer:features:read+"));
	ask("qXfer:features:read:target.xml:0,ffff");
	CHECK(*heard == 'l' && strstr(heard, "org.gnu.gdb.i386.core") &&
	      strstr(heard, "org.gnu.gdb.i386.segments") && strstr(heard, "</target>"));
	ask("qXfer:features:read:target.xml:5,3");
	check_heard("m ve");
	check("qXfer:features:read:other.xml:0,10", "E02");
	check("qXfer:features:read:target.xml:ffffff,10", "E16");
	check("qXfer:features:read:target.xml:0", "E16");
	teardown();
}

/* From here on the page has nothing: what is asked for takes a request, of which one fails. */
static void fail_sync(unsigned int number)
{
	rig.vcpu->page->valid = 0;
	rig.vcpu->page->dirty = 0;
	fake.fail_request = number;
	fake.request_error = -EIO;
}

/* The reply says it, and then all is as before. */
static void check_error(const char *packet, unsigned int number)
{
	fail_sync(number);
	check(packet, "E05");
	CHECK_EQUAL(fake.fail_request, 0);
	rig.vcpu->page->valid = VEE_STATE_ALL;
	check("qC", "QC1");
}

static void test_register_errors(void)
{
	setup(4);
	check_error("p1", 1);
	check_error("g", 1);
	check_error("P1=0100000000000000", 1);
	check_error("p20", 1);		/* of the XSAVE area */
	check_error("c2000", 1);
	check_error("m7000,4", 1);
	CHECK_EQUAL(rig.vcpu->page->regs.rip, CODE);
	/* A selector's write asks for the mode, too. */
	fail_sync(1);
	rig.vcpu->page->valid = VEE_STATE_SEGMENTS;
	check("P12=ff000000", "E05");
	check("p20", "7f030000");
	fake.request_error = -EIO;
	fake.fail_request = 1;
	check("P20=7f020000", "E05");	/* which the kernel refuses... */
	check("p20", "7f030000");	/* ...and so it has not got */
	teardown();
}

/* A CPU, or a VM, without AVX: gdb knows the registers by their shorter lists. */
static void test_no_avx(void)
{
	unsigned int count;

	setup(8);
	count = registers_count(gdb);
	teardown();
	fake.no_avx = true;
	setup(8);
	CHECK_EQUAL(registers_count(gdb), count - 16);
	CHECK(!strstr(gdb->description, "ymm"));
	CHECK_EQUAL(registers_in(gdb->description), registers_count(gdb));
	ask("qRcmd,617263682069333836");	/* arch i386 */
	CHECK_EQUAL(registers_in(gdb->description), registers_count(gdb));
	CHECK(strstr(gdb->description, "xmm7\"") && !strstr(gdb->description, "xmm8\""));
	teardown();
}

/* --- memory --- */

static void test_memory(void)
{
	setup(8);
	memcpy(ram + CODE, "\x11\x22\x33\x44", 4);
	check("m1000,4", "11223344");
	check("mffff800000001000,4", "11223344");
	check("m7000000000,4", "E0e");
	check("m1000", "E16");
	check("mfffffffffffffffff,1", "E16");
	check("mfffe,8", "0000");	/* and there the memory ends */
	check("Mffff800000001001,2:aabb", "OK");
	CHECK(!memcmp(ram + CODE, "\x11\xaa\xbb\x44", 4));
	check("M1000,2:aa", "E16");
	check("M1000,2:aabbcc", "E16");
	check("M7000000000,1:aa", "E0e");
	check("X1000,3:}\003ab", "OK");
	teardown();
}

static void test_physical_memory(void)
{
	setup(8);
	fake.identity = false;
	ram[CODE] = 0x77;
	check("m1000,1", "E0e");
	check("Qqemu.PhyMemMode:1", "OK");
	check("qqemu.PhyMemMode", "1");
	check("m1000,1", "77");
	check("Qqemu.PhyMemMode:0", "OK");
	check("m1000,1", "E0e");
	teardown();
}

/* --- breakpoints --- */

static void test_software_breakpoint(void)
{
	setup(8);
	ram[CODE] = 0x90;
	check("Z0,1000,1", "OK");
	check("Z0,1000,1", "OK");
	CHECK_EQUAL(ram[CODE], INT3);
	check("m1000,1", "90");
	check("M1000,1:91", "OK");
	CHECK_EQUAL(ram[CODE], INT3);
	check("z0,1000,1", "OK");
	CHECK_EQUAL(ram[CODE], 0x91);
	check("Z0,1000,1", "OK");
	ram[CODE] = 0x42;	/* the guest's doing */
	check("z0,1000,1", "OK");
	CHECK_EQUAL(ram[CODE], 0x42);
	teardown();
}

/* In memory that nobody may write: a debug register has it, and gdb's bytes go nowhere. */
static void test_rom(void)
{
	void *rom = mmap(NULL, PAGE_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	setup(8);
	CHECK_EQUAL(vee_vm_map(rig.vm, 0x100000, rom, PAGE_BYTES, VEE_READ | VEE_EXECUTE), 0);
	check("m100000,2", "0000");
	check("Z0,100000,1", "OK");
	CHECK_EQUAL(gdb->hardware[0].gva, 0x100000);
	check("M100000,1:aa", "E0e");
	check("X100000,1:a", "E0e");
	check("z0,100000,1", "OK");
	CHECK_EQUAL(gdb->hardware[0].length, 0);
	check("z0,100000,0", "E16");
	teardown();
	munmap(rom, PAGE_BYTES);
}

static void test_too_many(void)
{
	char packet[32];

	setup(8);
	for (unsigned int i = 0; i < SOFTWARE_BREAKS; i++) {
		snprintf(packet, sizeof(packet), "Z0,%x,1", CODE + i);
		check(packet, "OK");
	}
	check("Z0,2000,1", "E1c");
	for (unsigned int i = 0; i < HARDWARE_BREAKS; i++) {
		snprintf(packet, sizeof(packet), "Z1,%x,1", CODE + i);
		check(packet, "OK");
	}
	check("Z1,2000,1", "E1c");
	check("Z2,1001,2", "E16");
	check("Z2,1000,3", "E16");
	check("Z3,1000,4", "");
	check("Z9,1000,4", "");
	check("Z0,1000", "E16");
	teardown();
}

static void test_software_stop(void)
{
	struct vee_vcpu_page *page;

	setup(8);
	page = rig.vcpu->page;
	ask("qSupported:swbreak+");
	check("Z0,1000,1", "OK");
	resume("c");
	CHECK_EQUAL(page->intercept, VEE_INTERCEPT_BREAKPOINT);
	debug_exit(3, false, 0);
	stops("T05thread:1;swbreak:;");
	resume("vCont;c");
	/* Another INT3 is the guest's own. */
	page->regs.rip = CODE + 0x10;
	debug_exit(3, false, 0);
	page->exit.instruction_length = 1;
	CHECK_EQUAL(vee_gdb_serve(gdb, 0), 1);
	CHECK_EQUAL(page->inject.type, VEE_EVENT_SOFT_EXCEPTION);
	CHECK_EQUAL(page->inject.vector, 3);
	teardown();
}

static void test_hardware_stop(void)
{
	struct vee_vcpu_page *page;

	setup(8);
	page = rig.vcpu->page;
	page->debug.dr7 = 0x400;
	page->debug.dr[1] = 0x1234;
	check("Z1,1000,1", "OK");
	check("Z2,2000,8", "OK");
	check("Z4,2004,4", "OK");
	check("Z0,7000000000,1", "OK");	/* not there yet */
	resume("c");
	CHECK_EQUAL(page->intercept, VEE_INTERCEPT_DEBUG);
	CHECK_EQUAL(page->debug.dr[3], UNMAPPED);
	CHECK_EQUAL(page->debug.dr7, 0x400 | DR7_GD | 0xaa | 0x0f900000);
	CHECK(page->regs.rflags & RFLAGS_RF);	/* off the first one */
	debug_exit(1, false, 2);
	stops("T05thread:1;watch:2000;");
	resume("c");
	debug_exit(1, false, 4);
	stops("T05thread:1;awatch:2004;");
	resume("c");
	debug_exit(1, false, 3);	/* at once */
	stops("T05thread:1;watch:2000;");
	check("z1,1000,1", "OK");
	check("z2,2000,8", "OK");
	check("z4,2004,4", "OK");
	check("z0,7000000000,1", "OK");
	resume("c");
	CHECK_EQUAL(page->debug.dr7, 0x400);
	CHECK_EQUAL(page->debug.dr[1], 0x1234);
	CHECK_EQUAL(page->intercept, 0);
	teardown();
}

/* Who says that it can is told which kind it was, also of one that has no memory yet. */
static void test_kinds_of_stop(void)
{
	setup(8);
	ask("qSupported:swbreak+");
	check("Z1,1000,1", "OK");
	check("Z0,7000000000,1", "OK");
	resume("c");
	debug_exit(1, false, 1);
	stops("T05thread:1;hwbreak:;");
	resume("c");
	debug_exit(1, false, 2);
	stops("T05thread:1;swbreak:;");
	resume("c");
	rig.vcpu->page->exit = (struct vee_exit) { .reason = VEE_EXIT_DEBUG };
	rig.vcpu->page->exit.debug.vector = 3;	/* which gdb has not asked for */
	CHECK_EQUAL(vee_gdb_serve(gdb, 0), 0);
	teardown();
}

/* Where the kernel can't say what a stop is about gdb is told of it. */
static void test_stop_errors(void)
{
	struct vee_vcpu_page *page;

	setup(8);
	page = rig.vcpu->page;
	check("Z0,1000,1", "OK");
	check("Z1,2000,1", "OK");
	resume("c");
	debug_exit(3, false, 0);
	fail_sync(1);
	stops("T05thread:1;");
	page->valid = VEE_STATE_ALL;
	resume("c");
	page->regs.rip = 0x3000;
	debug_exit(1, false, DR6_BD);		/* a MOV of the guest's... */
	fail_sync(1);
	stops("T05thread:1;");
	page->valid = VEE_STATE_ALL;
	resume("c");
	debug_exit(1, false, DR6_BD);		/* ...that is none */
	stops("T05thread:1;");
	resume("c");
	page->regs.rip = UNMAPPED;		/* ...that has gone */
	debug_exit(1, false, DR6_BD);
	stops("T05thread:1;");
	page->regs.rip = 0x3000;
	resume("c");
	debug_exit(1, false, DR6_BS);		/* a trap of its own */
	fail_sync(1);
	stops("T05thread:1;");
	CHECK_EQUAL(page->inject.flags, 0);
	page->valid = VEE_STATE_ALL;
	/* It does not go on half armed, and gdb may ask again. */
	put_packet("c");
	fail_sync(1);
	CHECK_EQUAL(vee_gdb_serve(gdb, 0), -EIO);
	hear();
	page->valid = VEE_STATE_ALL;
	check("?", "T05thread:1;");
	resume("c");
	teardown();
}

/* MOV DR1, RBX; MOV R9, DR7: the guest has its own. */
static void test_guest_debugs(void)
{
	struct vee_vcpu_page *page;

	setup(8);
	page = rig.vcpu->page;
	page->debug.dr7 = 0x400;
	memcpy(ram + CODE, "\x0f\x23\xcb\x41\x0f\x21\xf9", 7);
	check("Z1,2000,1", "OK");
	resume("c");
	page->regs.rbx = 0x5678;
	debug_exit(1, false, DR6_BD);
	CHECK_EQUAL(vee_gdb_serve(gdb, 0), 1);
	CHECK_EQUAL(page->regs.rip, CODE + 3);
	CHECK_EQUAL(page->debug.dr[0], 0x2000);
	CHECK_EQUAL(vee_gdb_serve(gdb, 0), 1);
	CHECK_EQUAL(page->regs.rip, CODE + 7);
	CHECK_EQUAL(page->regs.r9, 0x400);
	/* A trap of its own. */
	debug_exit(1, false, DR6_BS);
	CHECK_EQUAL(vee_gdb_serve(gdb, 0), 1);
	CHECK_EQUAL(page->inject.vector, 1);
	CHECK_EQUAL(page->debug.dr6 & DR6_BS, DR6_BS);
	vee_gdb_stop(gdb);
	check("z1,2000,1", "OK");
	resume("c");
	CHECK_EQUAL(page->debug.dr[1], 0x5678);
	teardown();
}

/* Of the guest's breakpoints those are in force that gdb leaves room for. */
static void test_breakpoints_of_both(void)
{
	struct vee_vcpu_page *page;

	setup(8);
	page = rig.vcpu->page;
	page->debug.dr[1] = 0x2000;		/* to write 4 bytes, and to execute */
	page->debug.dr[3] = 0x3000;
	page->debug.dr7 = 0x400 | 1 << 2 | 0xdU << 20 | 2 << 6;
	check("Z1,4000,1", "OK");
	resume("c");
	CHECK_EQUAL(page->debug.dr[0], 0x4000);
	CHECK_EQUAL(page->debug.dr[1], 0x2000);
	CHECK_EQUAL(page->debug.dr[2], 0x3000);
	CHECK_EQUAL(page->debug.dr7, 0x400 | DR7_GD | 2 | 1 << 2 | 0xdU << 20 | 2 << 4);
	debug_exit(1, false, 4);		/* DR2, the guest's DR3 */
	CHECK_EQUAL(vee_gdb_serve(gdb, 0), 1);
	CHECK_EQUAL(page->inject.vector, 1);
	CHECK_EQUAL(page->debug.dr6 & 0xf, 8);
	page->inject.flags = 0;
	debug_exit(1, false, 3);		/* both at once */
	stops("T05thread:1;");
	CHECK_EQUAL(page->inject.flags, VEE_EVENT_VALID);
	CHECK_EQUAL(page->debug.dr6 & 0xf, 2);
	page->inject.flags = 0;
	check("Z1,4001,1", "OK");
	check("Z1,4002,1", "OK");
	check("Z1,4003,1", "OK");
	resume("c");				/* and now it has none */
	CHECK_EQUAL(page->debug.dr7, 0x400 | DR7_GD | 0xaa);
	debug_exit(1, false, 4);
	stops("T05thread:1;");
	CHECK_EQUAL(page->inject.flags, 0);
	teardown();
}

/* One MOV of a debug register, at CODE. */
static void move(const char *code, size_t bytes)
{
	struct vee_vcpu_page *page = rig.vcpu->page;

	page->regs.rip = CODE;
	page->inject.flags = 0;
	page->resume = VEE_RESUME_HERE;
	memcpy(ram + CODE, code, bytes);
	debug_exit(1, false, DR6_BD);
	CHECK_EQUAL(vee_gdb_serve(gdb, 0), 1);
	CHECK(page->inject.flags || page->regs.rip == CODE + bytes);
}

#define MOVE(code)	move(code, sizeof(code) - 1)

static void start_moves(unsigned int mode)
{
	setup(mode);
	fake.identity = true;
	check("Z1,2000,1", "OK");
	resume("c");
}

static void test_guest_moves(void)
{
	struct vee_vcpu_page *page;

	start_moves(8);
	page = rig.vcpu->page;
	page->regs.rax = 0xffffdbff;
	MOVE("\x0f\x23\xf8");			/* DR7 */
	MOVE("\x66\x2e\x0f\x21\xe9");		/* DR5, which is DR7, with prefixes */
	CHECK_EQUAL(page->regs.rcx, 0xffff0fff);
	CHECK_EQUAL(page->resume, VEE_RESUME_DONE);
	page->regs.rax |= DR7_GD;
	MOVE("\x0f\x23\xf8");
	MOVE("\x0f\x21\xf9");			/* it has set GD */
	CHECK_EQUAL(page->inject.vector, 1);
	CHECK_EQUAL(page->debug.dr6 & DR6_BD, DR6_BD);
	MOVE("\x0f\x21\xf9");			/* which that has cleared */
	CHECK_EQUAL(page->inject.flags, 0);
	CHECK_EQUAL(page->regs.rcx, 0xffff0fff);
	page->regs.rax = 1ULL << 32;
	MOVE("\x0f\x23\xf0");			/* DR6 */
	CHECK_EQUAL(page->inject.vector, 13);
	page->regs.rax = 0xffff0ff0 | DR6_BS;
	MOVE("\x0f\x23\xf0");			/* which takes this */
	CHECK_EQUAL(page->inject.flags, 0);
	CHECK_EQUAL(page->debug.dr6, 0xffff0ff0 | DR6_BS);
	CHECK_EQUAL(page->dirty & VEE_STATE_DEBUG, VEE_STATE_DEBUG);
	MOVE("\x41\x0f\x23\xc0");		/* DR0 from R8 takes anything */
	CHECK_EQUAL(page->inject.flags, 0);
	page->segments.ss.access_rights |= VEE_AR_DPL;
	MOVE("\x0f\x21\xc1");
	CHECK_EQUAL(page->inject.vector, 13);
	teardown();
}

static void test_guest_moves_32(void)
{
	struct vee_vcpu_page *page;

	start_moves(4);
	page = rig.vcpu->page;
	page->regs.rax = 0x1234567890ULL;
	page->regs.rcx = ~0ULL;
	MOVE("\x0f\x23\xd0");			/* DR2 */
	MOVE("\x0f\x21\xd1");
	CHECK_EQUAL(page->regs.rcx, 0x34567890);
	teardown();
}

/* --- going on --- */

static void test_step(void)
{
	struct vee_vcpu_page *page;

	setup(8);
	page = rig.vcpu->page;
	resume("s");
	CHECK(vee_gdb_is_stepping(gdb));
	CHECK_EQUAL(page->intercept, VEE_INTERCEPT_STEP);
	page->exit.reason = VEE_EXIT_PIO;	/* it takes the caller's work */
	CHECK_EQUAL(vee_gdb_serve(gdb, 0), 0);
	debug_exit(1, true, 0);
	stops("T05thread:1;");
	CHECK(!vee_gdb_is_stepping(gdb));
	resume("vCont;s:1;c");
	CHECK(vee_gdb_is_stepping(gdb));
	debug_exit(1, true, 0);
	stops("T05thread:1;");
	resume("vCont;c:-1");
	CHECK_EQUAL(page->intercept, 0);
	vee_gdb_stop(gdb);
	resume("vCont;S05:1;C05");	/* a guest has no signals */
	CHECK_EQUAL(page->intercept, VEE_INTERCEPT_STEP);
	debug_exit(1, true, 0);
	stops("T05thread:1;");
	resume("vCont;C05:1");
	CHECK_EQUAL(page->intercept, 0);
	vee_gdb_stop(gdb);
	check("vCont;C", "E16");
	resume("c2000");
	CHECK_EQUAL(page->regs.rip, 0x2000);
	vee_gdb_stop(gdb);
	check("cxyz", "E16");
	check("vCont;x", "E16");
	check("vCont", "E16");
	check("vCont;s:7", "E16");
	check("vCont?", "vCont;c;C;s;S");
	teardown();
}

/* Until the watcher has seen it. */
static bool wait_for_kick(void)
{
	for (unsigned int i = 0; i < 2000; i++) {
		if (link_wants_attention(&gdb->link))
			return true;
		usleep(1000);
	}
	return false;
}

static void test_interrupt(void)
{
	struct vee_vcpu_page *page;

	setup(8);
	page = rig.vcpu->page;
	page->generation = 7;
	resume("c");
	page->exit.reason = VEE_EXIT_KICKED;
	CHECK_EQUAL(vee_gdb_serve(gdb, 0), 0);	/* somebody else's */
	put("\x03", 1);
	CHECK(wait_for_kick());
	CHECK_EQUAL(fake.kick.generation, 7);
	/* The run was about to end, with something to do. */
	page->exit.reason = VEE_EXIT_PIO;
	page->generation = 8;
	CHECK_EQUAL(vee_gdb_serve(gdb, 0), 0);
	CHECK_EQUAL(fake.kick.generation, 8);
	page->exit.reason = VEE_EXIT_KICKED;
	stops("T02thread:1;");
	resume("c");
	put("+", 1);
	CHECK(wait_for_kick());
	CHECK_EQUAL(vee_gdb_serve(gdb, 0), 1);
	teardown();
}

static void test_shutdown(void)
{
	setup(8);
	resume("c");
	rig.vcpu->page->exit.reason = VEE_EXIT_SHUTDOWN;
	stops("T06thread:1;");
	put_packet("c");
	CHECK_EQUAL(vee_gdb_serve(gdb, 0), 0);
	hear();
	vee_gdb_close(gdb, 3);
	hear();
	check_heard("W03");
	gdb = NULL;
	teardown();
}

static void test_goodbye(void)
{
	setup(8);
	ram[CODE] = 0x90;
	check("Z0,1000,1", "OK");
	put_packet("k");
	CHECK_EQUAL(vee_gdb_serve(gdb, 0), -ECANCELED);
	hear();
	check_heard("");
	put_packet("vKill;1");
	CHECK_EQUAL(vee_gdb_serve(gdb, 0), -ECANCELED);
	hear();
	check_heard("OK");
	put_packet("D");
	CHECK_EQUAL(vee_gdb_serve(gdb, 0), 1);
	hear();
	check_heard("OK");
	CHECK_EQUAL(ram[CODE], 0x90);
	CHECK_EQUAL(rig.vcpu->page->intercept, 0);
	CHECK_EQUAL(vee_gdb_serve(gdb, 0), 0);
	teardown();
}

/* gdb dies. */
static void test_hang_up(void)
{
	setup(8);
	ram[CODE] = 0x90;
	check("Z0,1000,1", "OK");
	resume("c");
	close(wire);
	CHECK(wait_for_kick());
	rig.vcpu->page->exit.reason = VEE_EXIT_KICKED;
	CHECK_EQUAL(vee_gdb_serve(gdb, 0), 1);
	CHECK_EQUAL(ram[CODE], 0x90);
	teardown();
}

/* Likewise, while the guest runs, and in the middle of a packet. */
static void test_hang_up_in_packet(void)
{
	setup(8);
	ram[CODE] = 0x90;
	check("Z0,1000,1", "OK");
	resume("c");
	put("$m10", 4);
	close(wire);
	CHECK(wait_for_kick());
	rig.vcpu->page->exit.reason = VEE_EXIT_KICKED;
	CHECK_EQUAL(vee_gdb_serve(gdb, 0), 1);
	CHECK_EQUAL(ram[CODE], 0x90);
	CHECK_EQUAL(rig.vcpu->page->intercept, 0);
	CHECK_EQUAL(vee_gdb_serve(gdb, 0), 0);
	teardown();
}

static void test_threads(void)
{
	setup(8);
	check("qfThreadInfo", "m1");
	check("qsThreadInfo", "l");
	check("qThreadExtraInfo,1", "764350552030");
	check("Hg0", "OK");
	check("Hc-1", "OK");
	check("Hg2", "E16");
	check("H", "E16");
	check("T1", "OK");
	check("T2", "E16");
	check("?", "T05thread:1;");
	check("qAttached", "1");
	check("vMustReplyEmpty", "");
	check("qNobodyKnows:1,2", "");
	check("QNobodyKnows", "");
	check("\x7f\x80", "");
	check("", "");
	teardown();
}

/* --- monitor --- */

static char shown[sizeof(heard)];

/* "O" and hexadecimal, any number of times, then "OK". */
static void monitor(const char *line)
{
	char packet[256] = "qRcmd,";
	size_t count = 0;

	for (size_t i = 0; line[i]; i++)
		sprintf(packet + 6 + 2 * i, "%02x", line[i]);
	ask(packet);
	for (size_t i = 0; i + 1 < heard_count; ) {
		if (heard[i] == 'O')
			i++;
		else if (hex_bytes(heard + i, shown + count, 1))
			i += 2, count++;
		else
			break;
	}
	shown[count] = 0;
	CHECK(heard_count >= 2 && !strcmp(heard + heard_count - 2, "OK"));
}

static void test_monitor(void)
{
	setup(8);
	monitor("help");
	CHECK(strstr(shown, "walk"));
	monitor("nonsense");
	CHECK(strstr(shown, "no such command"));
	monitor("regs");
	CHECK(strstr(shown, "CR3") || strstr(shown, "cr3"));
	monitor("vmcs");
	CHECK(strstr(shown, "RIP"));
	monitor("exits");
	CHECK(strstr(shown, "not kept"));
	monitor("walk 0xffff800000001000");
	CHECK(strstr(shown, "is gpa 0x1000"));
	CHECK(strstr(shown, "PML4E"));
	monitor("walk 0x7000000000");
	CHECK(strstr(shown, "PML4E") && !strstr(shown, "is gpa"));
	monitor("walk");
	CHECK(strstr(shown, "a number"));
	ram[CODE] = 0x5a;
	monitor("phys 0x1000 2");
	CHECK(!strcmp(shown, "0x1000: 5a 00\n"));
	monitor("phys 0x100000000");
	CHECK(strstr(shown, "no memory"));
	monitor("phys 0 99999");
	CHECK(strstr(shown, "up to"));
	check("qRcmd,6", "E16");
	check("qRcmd,zz", "E16");
	teardown();
}

static void test_monitor_errors(void)
{
	setup(4);
	monitor("walk 0x1000");
	CHECK(strstr(shown, "paging is off"));
	monitor("why");
	CHECK(*shown);
	monitor("arch z80");
	CHECK(!strcmp(shown, "vee: \"monitor arch i386\" or \"monitor arch x86-64\"\n"));
	fail_sync(1);
	monitor("walk 0x1000");
	CHECK(!strcmp(shown, "vee: Input/output error\n"));
	fail_sync(1);
	monitor("regs");
	CHECK(!strcmp(shown, "vee: Input/output error\n"));
	rig.vcpu->page->valid = VEE_STATE_ALL;
	fail_call("open_memstream", 1, ENOMEM);
	check("qRcmd,68656c70", "E0c");
	CHECK(call_failed());
	fail_call("fclose", 1, ENOMEM);
	check("qRcmd,68656c70", "E0c");
	CHECK(call_failed());
	teardown();
	setup(8);
	rig.vcpu->page->control.cr3 = 0x7000000;
	monitor("walk 0x1000");
	CHECK(strstr(shown, "a table is where the guest has no memory"));
	teardown();
}

/* The description that gdb has stays, and so does what it has been told the registers are. */
static void test_arch_without_memory(void)
{
	static const char *const calls[] = { "open_memstream", "fclose" };
	unsigned int count, at[] = { 2, 1 };

	setup(8);
	count = registers_count(gdb);
	for (unsigned int i = 0; i < 2; i++) {
		fail_call(calls[i], at[i], ENOMEM);
		monitor("arch i386");
		CHECK(call_failed());
		CHECK(!strcmp(shown, "vee: Cannot allocate memory\n"));
		CHECK_EQUAL(registers_count(gdb), count);
		ask("qXfer:features:read:target.xml:8,ffff");
		CHECK(strstr(heard, "<architecture>i386:x86-64</architecture>"));
	}
	teardown();
}

/* --- a connection that fails --- */

/* gdb has gone, and what it is sent does not arrive: the guest goes on as if it detached. */
static void check_lost(unsigned int number)
{
	setup(8);
	test_case("send %u", number);
	ram[CODE] = 0x90;
	check("Z0,1000,1", "OK");
	put_packet("qC");
	fail_call("send", number, ECONNRESET);
	CHECK_EQUAL(vee_gdb_serve(gdb, 0), 1);
	CHECK(call_failed());
	CHECK_EQUAL(gdb->link.peer, -1);
	CHECK_EQUAL(ram[CODE], 0x90);
	CHECK_EQUAL(vee_gdb_serve(gdb, 0), 0);
	*test_case_name = 0;
	teardown();
}

static void test_lost(void)
{
	check_lost(1);		/* its "+" */
	check_lost(2);		/* the reply */
	/* One that is full for a moment, and a signal. */
	setup(8);
	fail_call("send", 2, EAGAIN);
	check("qC", "QC1");
	CHECK(call_failed());
	fail_call("send", 1, EINTR);
	check("qC", "QC1");
	CHECK(call_failed());
	teardown();
}

/* --- where it listens --- */

static char path[] = "/tmp/vee-gdb-XXXXXX";

static void connect_to(const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	strcpy(address.sun_path, name);
	wire = socket(AF_UNIX, SOCK_STREAM, 0);
	CHECK(!connect(wire, (struct sockaddr *)&address, sizeof(address)));
}

static void test_socket(void)
{
	struct stat stat_of;

	rig_begin_mode(&rig, 8, RAM_BYTES);
	close(mkstemp(path));
	CHECK_EQUAL(vee_gdb_open(rig.vcpu, path, &gdb), -EADDRINUSE);
	unlink(path);
	CHECK_EQUAL(vee_gdb_open(rig.vcpu, path, &gdb), 0);
	CHECK(!stat(path, &stat_of) && (stat_of.st_mode & 0777) == 0600);
	CHECK_EQUAL(vee_gdb_serve(gdb, 0), 0);
	connect_to(path);
	CHECK(wait_for_kick());		/* the guest stops for it */
	check("?", "T05thread:1;");
	resume("c");
	teardown();
	CHECK(stat(path, &stat_of));
}

/* What a second gdb gets to hear, and nothing after it. */
static void check_turned_away(int other)
{
	char said[64];
	struct pollfd poll_fd = { .fd = other, .events = POLLIN };
	ssize_t count;

	CHECK_EQUAL(poll(&poll_fd, 1, 2000), 1);
	count = recv(other, said, sizeof(said) - 1, 0);
	if (!CHECK(count > 0))
		return;
	said[count] = 0;
	CHECK(!strcmp(said, "+$E.another gdb has this guest already#2f"));
	CHECK_EQUAL(send(other, "+", 1, MSG_NOSIGNAL), 1);
	CHECK_EQUAL(recv(other, said, sizeof(said), 0), 0);
	close(other);
}

static int connect_second(void)
{
	int first = wire, second;

	connect_to(path);
	second = wire;
	wire = first;
	return second;
}

static void test_second_gdb(void)
{
	int second;

	rig_begin_mode(&rig, 8, RAM_BYTES);
	CHECK_EQUAL(vee_gdb_open(rig.vcpu, path, &gdb), 0);
	connect_to(path);
	vee_gdb_stop(gdb);
	check("qC", "QC1");
	second = connect_second();
	check("qC", "QC1");
	check_turned_away(second);
	resume("c");
	check_turned_away(connect_second());	/* and the guest goes on */
	CHECK(!link_wants_attention(&gdb->link));
	put("\x03", 1);
	CHECK(wait_for_kick());
	rig.vcpu->page->exit.reason = VEE_EXIT_KICKED;
	stops("T02thread:1;");
	put_packet("D");
	CHECK_EQUAL(vee_gdb_serve(gdb, 0), 1);
	close(wire);
	connect_to(path);		/* now it can */
	CHECK(wait_for_kick());
	check("?", "T05thread:1;");
	teardown();
}

static void test_port(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t bytes = sizeof(address);
	struct vee_gdb *other;
	char port[8];
	int taken = socket(AF_INET, SOCK_STREAM, 0);

	rig_begin_mode(&rig, 8, RAM_BYTES);
	CHECK_EQUAL(vee_gdb_open(rig.vcpu, "0", &gdb), -EINVAL);
	CHECK_EQUAL(vee_gdb_open(rig.vcpu, "65536", &gdb), -EINVAL);
	CHECK_EQUAL(vee_gdb_open(rig.vcpu, "", &gdb), -EINVAL);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK(!bind(taken, (struct sockaddr *)&address, bytes));
	getsockname(taken, (struct sockaddr *)&address, &bytes);
	snprintf(port, sizeof(port), "%u", ntohs(address.sin_port));
	CHECK_EQUAL(vee_gdb_open(rig.vcpu, port, &other), -EADDRINUSE);
	close(taken);
	CHECK_EQUAL(vee_gdb_open(rig.vcpu, port, &gdb), 0);
	wire = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(!connect(wire, (struct sockaddr *)&address, bytes));
	vee_gdb_stop(gdb);
	check("qC", "QC1");
	teardown();
}

static int open_path(void)
{
	int err = vee_gdb_open(rig.vcpu, path, &gdb);

	if (!err)
		vee_gdb_close(gdb, 0);
	return err;
}

/* A port for root alone, and taken by none. */
static int open_port(void)
{
	int err = vee_gdb_open(rig.vcpu, "1", &gdb);

	if (!err)
		vee_gdb_close(gdb, 0);
	return err == -EACCES ? 0 : err;
}

static int open_once(void);

/* Nothing is left behind: neither a socket in the way of the next, nor a thread. */
static void test_open_fails(void)
{
	char far[200];

	rig_begin_mode(&rig, 8, RAM_BYTES);
	CHECK_EQUAL(fail_each_call("socket", EMFILE, -EMFILE, open_path), 1);
	CHECK_EQUAL(fail_each_call("socket", EMFILE, -EMFILE, open_port), 1);
	CHECK_EQUAL(fail_each_call("eventfd", EMFILE, -EMFILE, open_path), 1);
	CHECK_EQUAL(fail_each_call("pthread_create", EAGAIN, -EAGAIN, open_path), 1);
	CHECK_EQUAL(fail_each_call("pthread_create", EAGAIN, -EAGAIN, open_once), 1);
	CHECK_EQUAL(fail_each_call("open_memstream", ENOMEM, -ENOMEM, open_once), 1);
	CHECK_EQUAL(fail_each_call("fclose", ENOMEM, -ENOMEM, open_once), 1);
	memset(far, 'a', sizeof(far) - 1);
	far[0] = '/';
	far[sizeof(far) - 1] = 0;
	CHECK_EQUAL(vee_gdb_open(rig.vcpu, far, &gdb), -ENAMETOOLONG);
	rig_end(&rig);
}

/* Neither a signal nor a gdb that has gone already is an end; nor is one too many. */
static void test_accept_fails(void)
{
	int second;

	rig_begin_mode(&rig, 8, RAM_BYTES);
	CHECK_EQUAL(vee_gdb_open(rig.vcpu, path, &gdb), 0);
	vee_gdb_stop(gdb);
	connect_to(path);
	fail_call("accept4", 1, EINTR);
	CHECK_EQUAL(vee_gdb_serve(gdb, 0), -EINTR);
	fail_call("accept4", 1, ECONNABORTED);
	CHECK_EQUAL(vee_gdb_serve(gdb, 0), -EAGAIN);
	CHECK(call_failed());
	check("qC", "QC1");
	second = connect_second();
	fail_call("accept4", 1, EMFILE);
	check("qC", "QC1");		/* the one that is there is served all the same */
	CHECK(call_failed());
	check("qC", "QC1");
	check_turned_away(second);
	teardown();
}

static int open_once(void)
{
	int ends[2], err;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends))
		abort();
	err = vee_gdb_open_fd(rig.vcpu, ends[0], &gdb);
	if (!err)
		vee_gdb_close(gdb, 0);
	close(ends[0]);
	close(ends[1]);
	return err;
}

static void test_no_memory(void)
{
	rig_begin_mode(&rig, 8, RAM_BYTES);
	CHECK(fail_each_allocation(open_once) >= 2);
	rig_end(&rig);
}

/* --- several vCPUs --- */

static struct vee_vcpu *second;

static void setup_two(void)
{
	setup(8);
	if (vee_vcpu_create(rig.vm, 1, &second))
		abort();
	second->page->control = rig.vcpu->page->control;
	second->page->segments = rig.vcpu->page->segments;
	second->page->regs.rip = CODE + 0x10;
	CHECK_EQUAL(vee_gdb_add(gdb, second), 0);
}

static void teardown_two(void)
{
	vee_gdb_close(gdb, 0);
	gdb = NULL;
	vee_vcpu_destroy(second);
	teardown();
}

static int serve_second(void)
{
	return vee_gdb_serve_vcpu(gdb, second, 0);
}

static void resume_two(const char *packet)
{
	resume(packet);
	CHECK_EQUAL(serve_second(), 1);
	rig.vcpu->page->exit.reason = VEE_EXIT_KICKED;
	second->page->exit.reason = VEE_EXIT_KICKED;
	CHECK_EQUAL(vee_gdb_serve(gdb, 0), 0);
	CHECK_EQUAL(serve_second(), 0);
}

/* The second one, with what @vcpu's exit will be. */
static void second_exits(unsigned int vector, bool is_step, uint64_t dr6)
{
	second->page->exit = (struct vee_exit) {
		.reason = VEE_EXIT_DEBUG,
		.debug = { .vector = vector, .step = is_step, .dr6 = dr6 },
	};
}

static void hear_nothing_from(struct vee_vcpu *vcpu)
{
	CHECK_EQUAL(vee_gdb_serve_vcpu(gdb, vcpu, 0), -EAGAIN);
	hear();
	check_heard("");
}

static void second_stops(const char *expected)
{
	CHECK_EQUAL(serve_second(), -EAGAIN);
	hear();
	check_heard(expected);
}

static void test_two(void)
{
	struct vee_vcpu stranger = { .vm = rig.vm, .id = 5 };
	struct vee_vcpu foreigner = { .id = 6 };

	setup_two();
	stranger.vm = rig.vm;
	CHECK_EQUAL(vee_gdb_add(gdb, second), -EEXIST);
	CHECK_EQUAL(vee_gdb_add(gdb, &foreigner), -EXDEV);
	CHECK_EQUAL(vee_gdb_serve_vcpu(gdb, &stranger, 0), -EINVAL);
	check("qfThreadInfo", "m1,2");
	check("qThreadExtraInfo,2", "764350552031");
	check("qThreadExtraInfo,3", "E16");
	check("T2", "OK");
	check("T3", "E16");
	check("Hg2", "OK");
	check("qC", "QC2");
	check("p10", "1010000000000000");
	check("P0=2a00000000000000", "OK");
	CHECK_EQUAL(second->page->regs.rax, 0x2a);
	CHECK_EQUAL(rig.vcpu->page->regs.rax, 0);
	check("Hg3", "E16");
	check("Hg0", "OK");
	check("qC", "QC2");
	check("Hg1", "OK");
	check("p10", "0010000000000000");
	teardown_two();
}

/* One breaks; gdb hears of it when the other has stopped, which had something to do. */
static void test_all_stop(void)
{
	setup_two();
	ram[CODE] = 0x90;
	check("Z0,1000,1", "OK");
	resume_two("vCont;c");
	CHECK(rig.vcpu->page->intercept & VEE_INTERCEPT_BREAKPOINT);
	CHECK(second->page->intercept & VEE_INTERCEPT_BREAKPOINT);
	second->page->generation = 9;
	debug_exit(3, false, 0);
	hear_nothing_from(rig.vcpu);
	CHECK_EQUAL(fake.kick.generation, 9);
	second->page->exit.reason = VEE_EXIT_PIO;
	second->page->generation = 10;
	CHECK_EQUAL(serve_second(), 0);
	CHECK_EQUAL(fake.kick.generation, 10);	/* the next run is to end at once */
	hear_nothing_from(rig.vcpu);
	second->page->exit.reason = VEE_EXIT_KICKED;
	second_stops("T05thread:1;");
	check("?", "T05thread:1;");
	check("qC", "QC1");
	teardown_two();
}

/* At one moment: a breakpoint is met again later, what a watchpoint has seen is kept. */
static void test_stops_at_once(void)
{
	setup_two();
	ram[CODE] = 0x90;
	check("Z0,1000,1", "OK");
	check("Z2,2000,4", "OK");
	resume_two("c");
	debug_exit(3, false, 0);
	second_exits(1, false, 1);
	hear_nothing_from(rig.vcpu);
	second_stops("T05thread:1;");
	resume("vCont;s:1");		/* not the second one */
	CHECK(rig.vcpu->page->intercept & VEE_INTERCEPT_STEP);
	hear_nothing_from(second);
	debug_exit(1, true, 0);
	stops("T05thread:1;");
	put_packet("c");
	stops("T05thread:2;watch:2000;");	/* and nobody has gone on */
	CHECK_EQUAL(serve_second(), -EAGAIN);
	resume_two("c");
	/* The other way round. */
	second_exits(3, false, 0);
	second->page->regs.rip = CODE;
	second_stops("");
	debug_exit(3, false, 0);
	stops("T05thread:1;");
	resume_two("c");
	teardown_two();
}

/* A hardware breakpoint that gdb has not heard of is met again, not stepped off. */
static void test_untold_breakpoint(void)
{
	setup_two();
	second->page->regs.rip = CODE;
	check("Z1,1000,1", "OK");
	resume_two("c");
	debug_exit(1, false, 1);
	second_exits(1, false, 1);
	hear_nothing_from(rig.vcpu);
	second_stops("T05thread:1;");
	rig.vcpu->page->regs.rflags &= ~RFLAGS_RF;
	second->page->regs.rflags &= ~RFLAGS_RF;
	resume_two("c");
	CHECK(rig.vcpu->page->regs.rflags & RFLAGS_RF);
	CHECK(!(second->page->regs.rflags & RFLAGS_RF));
	teardown_two();
}

static void test_some_go_on(void)
{
	setup_two();
	check("vCont;s:2;x", "E16");		/* all of it or nothing */
	check("vCont;c:1;c:3", "E16");
	hear_nothing_from(second);
	put_packet("vCont;s:2");
	CHECK_EQUAL(serve_second(), 1);
	CHECK(second->page->intercept & VEE_INTERCEPT_STEP);
	CHECK(vee_gdb_is_stepping(gdb));
	hear_nothing_from(rig.vcpu);
	second_exits(1, true, 0);
	second_stops("T05thread:2;");
	CHECK(!vee_gdb_is_stepping(gdb));
	/* The first of the list that is for a thread counts. */
	resume_two("vCont;s:2;c");
	CHECK(second->page->intercept & VEE_INTERCEPT_STEP);
	CHECK(!(rig.vcpu->page->intercept & VEE_INTERCEPT_STEP));
	second_exits(1, true, 0);
	second_stops("");
	stops("T05thread:2;");
	check("Hc1", "OK");
	put_packet("c");
	CHECK_EQUAL(vee_gdb_serve(gdb, 0), 1);
	hear_nothing_from(second);
	/* What comes for the others comes to the one that runs. */
	rig.vcpu->page->generation = 12;
	put("\x03", 1);
	CHECK(wait_for_kick());
	CHECK_EQUAL(fake.kick.generation, 12);
	rig.vcpu->page->exit.reason = VEE_EXIT_KICKED;
	stops("T02thread:1;");
	check("Hc-1", "OK");
	resume_two("s");
	CHECK(rig.vcpu->page->intercept & VEE_INTERCEPT_STEP);
	CHECK(!(second->page->intercept & VEE_INTERCEPT_STEP));
	teardown_two();
}

/* gdb detaches, kills, goes away: all of them are told, and free. */
static void test_goodbye_to_two(void)
{
	setup_two();
	ram[CODE] = 0x90;
	check("Z0,1000,1", "OK");
	check("Z2,2000,4", "OK");
	resume_two("c");
	close(wire);
	CHECK(wait_for_kick());
	CHECK_EQUAL(vee_gdb_serve(gdb, 0), -EAGAIN);	/* the other one may be at INT3 */
	CHECK_EQUAL(ram[CODE], INT3);
	CHECK_EQUAL(serve_second(), 1);
	CHECK_EQUAL(vee_gdb_serve(gdb, 0), 1);
	CHECK_EQUAL(ram[CODE], 0x90);
	CHECK_EQUAL(rig.vcpu->page->intercept | second->page->intercept, 0);
	CHECK_EQUAL(second->page->debug.dr7 & 0xff, 0);
	teardown_two();
	setup_two();
	put_packet("k");
	CHECK_EQUAL(vee_gdb_serve(gdb, 0), -ECANCELED);
	CHECK_EQUAL(serve_second(), -ECANCELED);
	put_packet("D");
	CHECK_EQUAL(serve_second(), 1);
	CHECK_EQUAL(vee_gdb_serve(gdb, 0), 1);
	teardown_two();
}

#define TALKS		300

static atomic_bool threads_end;

struct runner {
	struct vee_vcpu *vcpu;
	int timeout_ms;
	pthread_t thread;
	atomic_uint runs;
	int error;
};

/* Its runs are short, and each ends as if kicked. */
static void *run_and_serve(void *arg)
{
	struct runner *runner = arg;

	while (!threads_end && !runner->error) {
		int ret = vee_gdb_serve_vcpu(gdb, runner->vcpu, runner->timeout_ms);

		if (ret >= 0) {
			runner->runs++;
			runner->vcpu->page->exit.reason = VEE_EXIT_KICKED;
			sched_yield();
		} else if (ret != -EAGAIN) {
			runner->error = ret;
		}
	}
	return NULL;
}

static bool hear_within_seconds(void)
{
	struct pollfd fds = { .fd = wire, .events = POLLIN };

	do {
		if (poll(&fds, 1, 10000) != 1)
			return false;
		hear();
	} while (!heard_count);
	return true;
}

/* Both do. */
static void go_on(struct runner runners[2])
{
	unsigned int before[2] = { runners[0].runs, runners[1].runs };

	put_packet("vCont;c");
	for (unsigned int i = 0; i < 2; i++) {
		for (unsigned int wait = 0; runners[i].runs == before[i] && wait < 10000; wait++)
			usleep(1000);
		CHECK(runners[i].runs != before[i]);
	}
}

/* While gdb has its say neither runs. */
static void talk_to(struct runner runners[2])
{
	unsigned int before[2];

	put("\x03", 1);
	if (!CHECK(hear_within_seconds()))
		return;
	CHECK(!strncmp(heard, "T02thread:", 10));
	for (unsigned int i = 0; i < 2; i++)
		before[i] = runners[i].runs;
	put_packet("qfThreadInfo");
	CHECK(hear_within_seconds());
	check_heard("m1,2");
	for (unsigned int i = 0; i < 2; i++)
		CHECK_EQUAL(runners[i].runs, before[i]);
	go_on(runners);
}

static void test_threads_of_two(void)
{
	struct runner runners[2] = { 0 };

	setup_two();
	runners[0].vcpu = rig.vcpu;
	runners[1].vcpu = second;
	/* Into the next second, and for ever. */
	runners[0].timeout_ms = 999;
	runners[1].timeout_ms = -1;
	threads_end = false;
	for (unsigned int i = 0; i < 2; i++)
		if (pthread_create(&runners[i].thread, NULL, run_and_serve, &runners[i]))
			abort();
	go_on(runners);
	for (unsigned int i = 0; i < TALKS; i++)
		talk_to(runners);
	threads_end = true;
	for (unsigned int i = 0; i < 2; i++) {
		pthread_join(runners[i].thread, NULL);
		CHECK_EQUAL(runners[i].error, 0);
	}
	teardown_two();
}

/* --- nonsense --- */

#define ROUNDS	30000

static const char *const samples[] = {
	"g", "G00", "p1", "P1=0100000000000000", "m1000,4", "M1000,2:aabb", "X1000,2:ab",
	"Z0,1000,1", "z0,1000,1", "Z2,2000,4", "z2,2000,4", "vCont?", "Hg0", "T1",
	"qSupported:swbreak+", "qXfer:features:read:target.xml:0,100", "qRcmd,68656c70",
	"qRcmd,77616c6b2030", "Qqemu.PhyMemMode:1", "vCont;c", "s", "c1000", "D",
};

static void put_nonsense(void)
{
	char frame[FRAME_BYTES], text[64];
	size_t count;

	strcpy(text, samples[test_random() % (sizeof(samples) / sizeof(*samples))]);
	count = strlen(text);
	if (test_random() % 2)
		text[test_random() % count] = test_random();
	count = packet_frame(frame, text, count);
	if (!(test_random() % 8))
		frame[test_random() % count] = test_random();
	put(frame, count);
}

/* Ten times what a packet may be, in the pieces that a socket takes. */
static void test_too_long(void)
{
	static char much[PACKET_BYTES];

	setup(8);
	memset(much, 'm', sizeof(much));
	put("$", 1);
	for (unsigned int i = 0; i < 10; i++) {
		put(much, sizeof(much));
		CHECK_EQUAL(vee_gdb_serve(gdb, 0), -EAGAIN);
	}
	put("#00", 3);
	CHECK_EQUAL(vee_gdb_serve(gdb, 0), -EAGAIN);
	CHECK(recv(wire, much, sizeof(much), MSG_DONTWAIT) == 1 && *much == '-');
	check("qC", "QC1");
	teardown();
}

/* It never waits, never fails but as it may, and answers a sound packet afterwards. */
static void test_nonsense(void)
{
	setup(8);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		int ret;

		put_nonsense();
		ret = vee_gdb_serve(gdb, 0);
		if (!CHECK(ret == -EAGAIN || ret == 1 || ret == -ECANCELED))
			break;
		hear();
		if (gdb->link.peer < 0) {	/* "D" */
			vee_gdb_close(gdb, 0);
			close(wire);
			open_wire();
		}
		vee_gdb_stop(gdb);
	}
	put("#00", 3);
	check("qC", "QC1");
	check("z0,1000,1", "OK");
	teardown();
}

const struct test tests[] = {
	{ "packets in", test_packets_in },
	{ "packets out", test_packets_out },
	{ "acknowledgements", test_acknowledgements },
	{ "registers", test_registers },
	{ "all registers at once", test_all_registers },
	{ "registers that can't be had", test_register_errors },
	{ "registers of the FPU and SSE", test_vector_registers },
	{ "registers of AVX", test_avx },
	{ "registers of AVX-512", test_avx512 },
	{ "a CPU without AVX", test_no_avx },
	{ "real mode, as i386", test_real_mode },
	{ "target description", test_description },
	{ "memory", test_memory },
	{ "physical memory", test_physical_memory },
	{ "software breakpoint in memory", test_software_breakpoint },
	{ "a breakpoint in a ROM", test_rom },
	{ "too many breakpoints, and bad ones", test_too_many },
	{ "software breakpoint met", test_software_stop },
	{ "debug registers", test_hardware_stop },
	{ "the kind of a breakpoint", test_kinds_of_stop },
	{ "a stop that can't be looked at", test_stop_errors },
	{ "a guest that uses the debug registers", test_guest_debugs },
	{ "breakpoints of gdb's and of the guest's", test_breakpoints_of_both },
	{ "each access of a guest's to them", test_guest_moves },
	{ "of 32 bits", test_guest_moves_32 },
	{ "steps", test_step },
	{ "Ctrl-C", test_interrupt },
	{ "triple fault", test_shutdown },
	{ "detach and kill", test_goodbye },
	{ "gdb goes away", test_hang_up },
	{ "gdb goes away in a packet", test_hang_up_in_packet },
	{ "threads and the like", test_threads },
	{ "monitor", test_monitor },
	{ "monitor, when it fails", test_monitor_errors },
	{ "another description, without memory for it", test_arch_without_memory },
	{ "a connection that is lost", test_lost },
	{ "Unix socket", test_socket },
	{ "a second gdb", test_second_gdb },
	{ "TCP port", test_port },
	{ "it can't listen", test_open_fails },
	{ "it can't accept", test_accept_fails },
	{ "no memory", test_no_memory },
	{ "two vCPUs", test_two },
	{ "all stop when one does", test_all_stop },
	{ "stops at one moment", test_stops_at_once },
	{ "a breakpoint that gdb has not heard of", test_untold_breakpoint },
	{ "some go on", test_some_go_on },
	{ "goodbye to both", test_goodbye_to_two },
	{ "two threads, and gdb", test_threads_of_two },
	{ "a packet that is too long", test_too_long },
	{ "nonsense", test_nonsense },
	{ 0 }
};

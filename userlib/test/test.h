/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The unit tests' own small frame, and the kernel that they stand in for. */
#ifndef VEE_TEST_H
#define VEE_TEST_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../internal.h"

struct test {
	const char *name;
	void (*run)(void);
};

/* Each program has one list, ended by a test without a name. */
extern const struct test tests[];

bool test_check(bool good, const char *what, const char *file, int line);

bool test_equal(uint64_t a, uint64_t b, const char *what, const char *file,
		int line);

/* A check that does not hold fails the test, which goes on. */
#define CHECK(condition) \
	test_check(condition, #condition, __FILE__, __LINE__)

#define CHECK_EQUAL(a, b) \
	test_equal((uint64_t)(a), (uint64_t)(b), #a " == " #b, __FILE__, __LINE__)

/* This machine lacks what the test takes: @why is said, and it has not failed. */
void test_skip(const char *why);

/* Says which of many cases a check failed for. */
extern char test_case_name[200];

#define test_case(...) snprintf(test_case_name, sizeof(test_case_name), __VA_ARGS__)

/* --- the kernel --- */

struct fake_page {
	uint64_t gva;
	uint64_t gpa;
	unsigned int access;
	bool user;
};

#define FAKE_PAGES 16

/* SDM 1, "XSAVE Area": with AVX, and PKRU behind it; then AVX-512, if the test says so. */
#define XSAVE_BYTES	2688
#define XSAVE_PKRU	832
#define XSAVE_XMM	160
#define XSAVE_BV	512
#define XSAVE_YMM	576
#define XSAVE_MASKS	1088
#define XSAVE_ZMM_HIGH	1152
#define XSAVE_HIGH_ZMM	1664

struct io_uring;

/* The linker's names for a wrapped function and the wrapper. */
int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);
int __wrap_run_request(int fd);
void *__real_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__real_realloc(void *old, size_t bytes);
void *__wrap_aligned_alloc(size_t alignment, size_t bytes);
void *__real_aligned_alloc(size_t alignment, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);
int __real_io_uring_submit(struct io_uring *uring);
int __wrap_io_uring_submit(struct io_uring *uring);
int __real_io_uring_submit_and_get_events(struct io_uring *uring);
int __wrap_io_uring_submit_and_get_events(struct io_uring *uring);
unsigned int __real_xsave_offset(unsigned int component);
unsigned int __wrap_xsave_offset(unsigned int component);

/* What the stand-in answers, and what it saw. */
extern struct fake_kernel {
	int error;			/* every request fails so, if not 0 */
	int open_error;			/* likewise errno of opening the device */
	uint32_t api_version;		/* the module's; 0: the library's */
	unsigned int fail_allocation;	/* the how-manieth from now; 0: none */
	unsigned int fail_request;	/* likewise... */
	int request_error;		/* ...with this, -errno */
	bool submits_nothing;		/* io_uring */
	const int *results;		/* of a batch's runs, in turn */
	void (*batch_begun)(struct io_uring *uring);	/* NULL, or what happens then */
	bool identity;			/* every page maps to itself */
	int page_count;
	struct fake_page pages[FAKE_PAGES];
	unsigned int syncs;
	unsigned int translations;
	struct vee_kick kick;
	struct vee_inject inject;
	struct vee_coalesce coalesce;
	struct vee_doorbell doorbell;
	uint32_t vm_flags;
	struct vee_cpuid_entry cpuid[VEE_MAX_CPUID];
	unsigned int cpuid_count;
	uint32_t tsc_khz;
	uint64_t tsc;			/* the host's */
	struct vee_signal signal;
	unsigned int signals;
	struct vee_bind bind;
	struct vee_dirty dirty;
	unsigned int marks;
	struct vee_template template;
	struct vee_map map;		/* the last */
	uint32_t apic[PAGE_BYTES / 16];	/* registers, by offset / 16 */
	unsigned int apic_reads;
	unsigned int apic_writes;
	uint32_t apic_offset;		/* of the last */
	unsigned int map_count;
	uint64_t vmcs_value;		/* of every field... */
	void (*snapshot)(struct vee_vmcs_value *values);	/* ...unless this puts others */
	const struct vee_exit *exits;	/* of runs, in turn; NULL: what the page says already */
	int run_error;			/* of the next run alone */
	unsigned int runs;
	uint64_t rip;			/* after a run, which is what the page says already */
	int (*answer_dirty)(struct vee_dirty *dirty);	/* NULL, or who knows of writes */
	bool no_templates;		/* a module that is too old for them */
	void (*run)(struct vee_vcpu_page *page);	/* NULL, or who is the guest */
	uint8_t xsave[XSAVE_BYTES];
	bool avx512;
	bool no_avx;
} fake;

/* A VM with one vCPU, for the length of a test. */
struct rig {
	struct vee_vm *vm;
	struct vee_vcpu *vcpu;
};

void rig_begin(struct rig *rig);
/* With code of @mode bytes at 1000H, and memory from 0 up, which is returned. */
uint8_t *rig_begin_mode(struct rig *rig, unsigned int mode, uint64_t ram_bytes);
void rig_end(struct rig *rig);

/* What was mapped there; NULL: nothing. */
const struct vee_map *fake_map_at(uint64_t gpa);

/* --- copies.c: slots with a template, as the module has them --- */

/* VEE_VM_TEMPLATE */
int copies_answer(struct vee_template *template);
/* The pool is free. */
void copies_forget(const struct vee_map *map);
/* How many pages of the slot with @gpa are in its pool. */
unsigned int copies_count(uint64_t gpa);
/* How often the module was asked to reset a slot, since the program began. */
extern unsigned int copies_resets;

/* --- kernel.c --- */

/* For vee_mmio_assist(): each byte of it reads as 77H. */
int any_device(void *arg, uint64_t gpa, void *data, unsigned int bytes, bool write);
/* Fails each allocation of @call's in turn, which must give -ENOMEM for it. */
unsigned int fail_each_allocation(int (*call)(void));
/* Likewise each request, with @error, -errno, which it must give. */
unsigned int fail_each_request(int error, int (*call)(void));
/* What @call does besides can't fail, between these two; nor does it count. */
void failures_hold(void);
void failures_go_on(void);
void fake_paging(struct rig *rig);
/* An entry of those tables; @level 0: of a page. */
uint64_t *fake_entry(uint64_t gva, unsigned int level);
void fake_map(uint64_t gva, uint64_t gpa, unsigned int access, bool user);

/* --- calls.c: system calls that fail --- */

/* The @number-th call of @name from now on, of this thread's, fails with errno @error. */
void fail_call(const char *name, unsigned int number, int error);
/* Has it? None fails from here on. */
bool call_failed(void);
/* By failures_hold(). */
void hold_calls(bool hold);
/* Each of @call's in turn, which must give @expected for it. How many there were. */
unsigned int fail_each_call(const char *name, int error, int expected, int (*call)(void));

/* --- native.c: the machine that the tests run on --- */

struct native {
	uint64_t gpr[16];	/* RSP is not loaded */
	uint64_t rflags;
	uint8_t xmm[16][16];
};

/* Its part in assembly. */
void native_enter(void);
/* Runs @bytes of code with these registers. */
void native_run(struct native *native, const uint8_t *code, size_t bytes);

uint64_t test_random(void);

/* For free(). Of just that size, so that a sanitizer sees an access past the end. */
static inline uint8_t *exact_copy(const void *data, size_t bytes)
{
	uint8_t *copy = malloc(bytes ? bytes : 1);

	memcpy(copy, data, bytes);
	return copy;
}

/* What a device's function or a port's does with its bytes, which are at @place. */
static inline void move_bytes(void *place, void *data, size_t bytes, bool write)
{
	if (write)
		memcpy(place, data, bytes);
	else
		memcpy(data, place, bytes);
}

/* As the module has it: bytes of a default address in the code segment. */
static inline uint8_t test_code_width(const struct vee_vcpu_page *page)
{
	uint32_t access_rights = page->segments.cs.access_rights;

	if (access_rights & VEE_AR_L)
		return 8;
	return access_rights & VEE_AR_DB ? 4 : 2;
}

#endif /* VEE_TEST_H */

// SPDX-License-Identifier: GPL-2.0-only
/*
 * Machines that begin as a template, under KVM: by a private mapping of the file; and where one
 * is put back, by KVM's dirty log and copies.
 */
#include <immintrin.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench_calls.h"
#include "bench_kvm.h"
#include "bench_template.h"

#define GUEST_PAGES	(GUEST_BYTES / 4096)

static const uint8_t *template;
static int template_fd;

static void open_template(int fd)
{
	template_fd = dup(fd);
	template = mmap(NULL, GUEST_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	if (template == MAP_FAILED || template_fd < 0)
		die("no memory for the template");
}

static void create(struct guest *g)
{
	g->memory = mmap(NULL, GUEST_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE, template_fd, 0);
	if (g->memory == MAP_FAILED)
		die("no memory for a guest");
	engine->create(g);
}

static void destroy(struct guest *g)
{
	engine->destroy(g);
	munmap(g->memory, GUEST_BYTES);
}

static void create_kept(struct guest *g)
{
	create(g);
	kvm_log_memory(g);
}

/* REP MOVSB, which memcpy() may be, counts each byte in the lab. */
__attribute__((target("avx")))
static void copy_page(void *to, const void *from)
{
	const __m256i *source = from;
	__m256i *page = to;

	for (unsigned int i = 0; i < 4096 / sizeof(*page); i += 4) {
		page[i] = source[i];
		page[i + 1] = source[i + 1];
		page[i + 2] = source[i + 2];
		page[i + 3] = source[i + 3];
	}
}

static void put_back(struct guest *g)
{
	uint64_t bitmap[GUEST_PAGES / 64];

	kvm_get_log(g, bitmap);
	for (unsigned int i = 0; i < GUEST_PAGES / 64; i++)
		for (uint64_t bits = bitmap[i]; bits; bits &= bits - 1) {
			size_t at = (64 * i + __builtin_ctzll(bits)) * 4096;

			copy_page(g->memory + at, template + at);
		}
}

const struct template_engine template_kvm = {
	.open = open_template,
	.create = create,
	.destroy = destroy,
	.create_kept = create_kept,
	.put_back = put_back,
	.destroy_kept = destroy,
};

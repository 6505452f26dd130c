/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A saved VM: a file of a header, a table of sections, and these, each from a page on.
 *
 * Memory is as it is at its place in the file, so that it can be mapped; pages of zeros are
 * holes. All numbers are as x86 has them in memory.
 */
#ifndef VEE_SAVE_H
#define VEE_SAVE_H

#include <stdarg.h>
#include <stdio.h>

#include "../internal.h"

#define SAVE_MAGIC	"vee save"
#define SAVE_VERSION	1

#define SECTION_NAME	32
/* Slots, vCPUs, and what a program has. */
#define SECTIONS_MAX	(VEE_MAX_SLOTS + VEE_MAX_VCPUS + 64)

enum section_kind { SECTION_VCPU = 1, SECTION_MEMORY, SECTION_PROGRAM };

/**
 * struct save_header - the beginning of the file
 * @magic: SAVE_MAGIC
 * @version: SAVE_VERSION
 * @crc: of the header, with 0 here, and of the table
 * @sections: how many entries the table has, which follows at once
 * @flags: VEE_VM_ flags of the VM
 * @bytes: of the file
 * @tsc_khz: vee_info.tsc_khz of the machine
 * @xsave_bytes: vee_info.xsave_bytes
 */
struct save_header {
	char magic[8];
	uint32_t version;
	uint32_t crc;
	uint32_t sections;
	uint32_t flags;
	uint64_t bytes;
	uint32_t tsc_khz;
	uint32_t xsave_bytes;
};

/**
 * struct save_entry - an entry of the table
 * @kind: enum section_kind
 * @crc: of the section
 * @offset: where in the file it begins
 * @bytes: how many
 * @gpa: of memory: where it is
 * @access: ... VEE_READ and so on
 * @id: of a vCPU: which
 * @name: the program's
 */
struct save_entry {
	uint32_t kind;
	uint32_t crc;
	uint64_t offset;
	uint64_t bytes;
	uint64_t gpa;
	uint32_t access;
	uint32_t id;
	char name[SECTION_NAME];
};

/* Where it is told what is wrong. */
struct why {
	char *text;
	size_t size;
};

/* Returns @err. */
int why_say(const struct why *why, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* CRC-32C (RFC 3720, appendix B.4), continued from @crc; 0 at first. */
uint32_t crc32c(uint32_t crc, const void *data, size_t bytes);
/* The same without the CPU's instruction, and with all bits of @crc and the result inverted. */
uint32_t crc_by_bit(uint32_t crc, const uint8_t *data, size_t bytes);
/* Of pages, by their place and contents; those of zeros don't count. */
uint32_t crc_of_pages(uint32_t crc, const uint8_t *data, uint64_t bytes);

static inline uint64_t to_page(uint64_t bytes)
{
	return (bytes + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
}

/* Some of what is written or sent. */
struct part {
	const void *data;
	uint64_t bytes;
};

struct vcpu_blob;
#define VCPU_PARTS	3

/* All state of a vCPU, for free(3); NULL: *@err, and @why says it. */
struct vcpu_blob *vcpu_blob_read(struct vee_vcpu *vcpu, uint32_t xsave_bytes,
				 const struct why *why, int *err);
/* What its section is made of; how many bytes. */
uint64_t vcpu_blob_parts(const struct vcpu_blob *blob, struct part parts[VCPU_PARTS]);

/**
 * struct vee_saved - a saved VM, or one that was received
 * @fd: the file
 * @bytes: of it
 * @file: all of it, to be read
 * @header: in @file, or @table
 * @entries: likewise
 * @table: of one that was received; NULL: of none
 * @stream: where it came from
 */
struct vee_saved {
	int fd;
	uint64_t bytes;
	const uint8_t *file;
	const struct save_header *header;
	const struct save_entry *entries;
	struct received_table *table;
	struct stream *stream;
};

/* A section is in the file, and of its kind. */
bool save_entry_fits(const struct vee_saved *saved, const struct save_entry *entry);

/* Of the names of features. */
#define FEATURES_BYTES	400
/* 0, or the errors of vee_vcpu_get_cpuid(). */
int features_of_vcpu(struct vee_vcpu *vcpu, uint32_t features[FEATURE_WORDS]);
/* What a guest is told that nobody tells more or less, in a VM with these VEE_VM_ flags. */
int features_of_host(unsigned int flags, uint32_t features[FEATURE_WORDS]);
/* -EOPNOTSUPP: some are wanted that aren't here; @why has their names. */
int features_check(const uint32_t wanted[FEATURE_WORDS], const uint32_t here[FEATURE_WORDS],
		   const struct why *why);
/* -EOPNOTSUPP: it was set by a clock of another speed. */
int saved_check_tsc(const struct vee_saved *saved, const struct why *why);

#endif /* VEE_SAVE_H */

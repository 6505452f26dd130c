/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The tables of the MultiProcessor Specification, for systems that know no ACPI: which
 * CPUs there are, and how the interrupts of ISA and PCI reach the I/O APIC.
 */
#ifndef VEE_MP_TABLE_H
#define VEE_MP_TABLE_H

#include <stddef.h>
#include <stdint.h>

/* Where systems look for the first of them, every 16 bytes. */
#define MP_AREA		0xf0000
#define MP_AREA_END	0x100000

#define MP_CPUS		64
#define MP_TABLE_BYTES	0xc00	/* enough for as many */

/**
 * struct mp_cpus - the CPUs
 * @count: how many, with APICs of numbers from 0 up; the first one boots
 * @signature: what CPUID leaf 1 says in EAX
 * @features: ... and in EDX
 */
struct mp_cpus {
	unsigned int count;
	uint32_t signature;
	uint32_t features;
};

/*
 * Writes the tables to @buf, which the guest has at @gpa, a multiple of 16 in the area
 * above. Returns how many bytes they take, or -ENOSPC, -EINVAL.
 */
int mp_build(void *buf, size_t size, uint64_t gpa, const struct mp_cpus *cpus);

#endif /* VEE_MP_TABLE_H */

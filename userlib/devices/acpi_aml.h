/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The definition block of ACPI's DSDT. */
#ifndef VEE_ACPI_AML_H
#define VEE_ACPI_AML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Writes it, with objects for @cpus processors, and with a PCI bus if @pci; returns how
 * many bytes it takes.
 */
size_t aml_build(uint8_t *bytes, unsigned int cpus, bool pci);

#endif /* VEE_ACPI_AML_H */

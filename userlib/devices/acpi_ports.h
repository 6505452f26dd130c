/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What ACPI's hardware and its tables must agree on. */
#ifndef VEE_ACPI_PORTS_H
#define VEE_ACPI_PORTS_H

#define ACPI_PM1_EVENTS		0x600
#define ACPI_PM1_EVENT_BYTES	4
#define ACPI_PM1_CONTROL	0x604
#define ACPI_PM1_CONTROL_BYTES	2
#define ACPI_TIMER		0x608
#define ACPI_TIMER_BYTES	4

/* SLP_TYP of the soft-off state, as in Intel's PIIX4. */
#define ACPI_SOFT_OFF		0

#endif /* VEE_ACPI_PORTS_H */

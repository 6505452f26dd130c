// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * SSE moves to and from a device, as compilers make of copies. The registers are
 * fetched and put back as an XSAVE area; 16 bytes are two accesses.
 */
#include <stdlib.h>

#include "mmio.h"

/* SDM 1, "XSAVE Area": the legacy region, the header's XSTATE_BV, and its bit. */
#define XMM_OFFSET	160
#define XMM_BYTES	16
#define XMM_COUNT	16
#define BV_OFFSET	512
#define BV_SSE		2U

/* For free(). NULL: @err says why. */
static uint8_t *get_area(const struct mmio *mmio, int *err)
{
	size_t bytes = vm_xsave_bytes(mmio->vcpu->vm);
	uint8_t *area = calloc(1, bytes);

	*err = area ? vee_vcpu_get_xsave(mmio->vcpu, area, bytes) : -ENOMEM;
	if (*err) {
		free(area);
		return NULL;
	}
	/* Registers that are as after RESET need not be in the area. */
	if (!(area[BV_OFFSET] & BV_SSE))
		memset(area + XMM_OFFSET, 0, XMM_COUNT * XMM_BYTES);
	area[BV_OFFSET] |= BV_SSE;
	return area;
}

static uint8_t *find_xmm(const struct mmio *mmio, uint8_t *area)
{
	return area + XMM_OFFSET + mmio->insn->reg * XMM_BYTES;
}

/* All of them clear what they don't load. */
int mmio_vector_load(const struct mmio *mmio)
{
	uint8_t data[XMM_BYTES] = { 0 };
	uint8_t *area;
	int err;

	area = get_area(mmio, &err);
	if (!area)
		return err;
	err = mmio_access(mmio, data, false);
	if (!err) {
		memcpy(find_xmm(mmio, area), data, XMM_BYTES);
		err = vee_vcpu_set_xsave(mmio->vcpu, area,
					 vm_xsave_bytes(mmio->vcpu->vm));
	}
	free(area);
	return err;
}

int mmio_vector_store(const struct mmio *mmio)
{
	uint8_t *area;
	int err;

	area = get_area(mmio, &err);
	if (!area)
		return err;
	err = mmio_access(mmio, find_xmm(mmio, area), true);
	free(area);
	return err;
}

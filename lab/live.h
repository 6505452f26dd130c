/* SPDX-License-Identifier: GPL-2.0-only */
/* What programs share that hold libvee against a live vCPU. */
#ifndef LAB_LIVE_H
#define LAB_LIVE_H

#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <vee.h>

/* @ret: of libvee: if it is an error, that is the program's end. */
static inline void check(int ret, const char *what)
{
	if (ret < 0) {
		errno = -ret;
		err(1, "%s", what);
	}
}

/* As vee_vcpu_run(), whatever the kernel interrupts it for. */
static inline int run_vcpu(struct vee_vcpu *vcpu)
{
	int ret;

	do {
		ret = vee_vcpu_run(vcpu);
	} while (ret == -EINTR);
	return ret;
}

/* What vee_explain() says, as a string. */
static inline void explain_to(struct vee_vcpu *vcpu, char *said, size_t bytes)
{
	FILE *out;

	memset(said, 0, bytes);
	out = fmemopen(said, bytes - 1, "w");
	if (!out)
		err(1, "no memory");
	check(vee_explain(vcpu, out), "explaining");
	fclose(out);
}

#endif /* LAB_LIVE_H */

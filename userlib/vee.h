/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libvee: virtual machines from a C program, on the vee kernel module.
 *
 * The library is a thin layer over the requests that <linux/vee.h> describes,
 * plus what every user of them would write again: starting modes, loaders and
 * the decoding of instructions that touch a device's memory.
 *
 * Every function that returns int returns 0 (or a count that is not negative),
 * or an error number as a negative: -ENOENT, never errno. None prints but
 * to a FILE that it is given, none ends the process, none keeps global state.
 *
 * Threads: a VM's functions may be called from any thread at any time, except
 * that nothing may use it while it is being destroyed. A vCPU belongs to one
 * thread at a time; vee_vcpu_kick() and vee_vcpu_inject() may come from any, and
 * from a signal handler.
 *
 * Everything in guest memory and in guest registers is the guest's choice: the
 * library checks all of it before use.
 */
#ifndef VEE_H
#define VEE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <linux/vee.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A virtual machine: its descriptor, its memory slots, the memory it owns. */
struct vee_vm;

/**
 * struct vee_vcpu - a virtual CPU; made by vee_vcpu_create()
 * @page: what the kernel and this process share about it; see <linux/vee.h>
 * @fd: its file descriptor
 * @id: its number, also its initial APIC id
 * @vm: the VM that it belongs to
 * @assist: the library's own: instructions that vee_mmio_assist() has decoded
 * @exits: the library's own: see vee_vcpu_keep_exits()
 * @error: the library's own: what the last run that failed gave, for vee_explain()
 * @error_generation: likewise, when that was: the page's generation after it
 * @has_cpuid: the library's own: the answers to CPUID have been set
 * @features: likewise, what these say of the CPU
 *
 * A later version of the library may append members: never put one inside
 * another struct or on the stack.
 */
struct vee_vcpu {
	struct vee_vcpu_page *page;
	int fd;
	unsigned int id;
	struct vee_vm *vm;
	void *assist;
	void *exits;
	int error;
	uint64_t error_generation;
	bool has_cpuid;
	uint32_t features[9];
};

/* --- the machine, VMs and their memory --- */

/**
 * vee_get_info() - ask what the module and the machine offer
 * @info: filled in
 *
 * Opens /dev/vee for the call.
 *
 * Return: 0, or -ENOENT (the module isn't loaded), -EACCES (no permission for
 * /dev/vee), or another error of open(2).
 */
int vee_get_info(struct vee_info *info);

/**
 * vee_vm_create() - make a VM, with no memory and no vCPU
 * @vm: where to put it
 *
 * Return: 0, or the errors of vee_get_info(), -EPROTONOSUPPORT (the module
 * speaks another version of the interface), -ENOMEM, -EMFILE, -ENFILE.
 */
int vee_vm_create(struct vee_vm **vm);

/**
 * vee_vm_create_with() - make a VM that has more than the least
 * @vm: where to put it
 * @flags: VEE_VM_LOCAL_APIC: each of its vCPUs has a local APIC; or 0
 *
 * With local APICs vCPUs reach each other, and devices reach them by vee_vm_signal(). The
 * vCPU with id 0 runs at once, the others wait in vee_vcpu_run() for INIT and SIPI. What
 * a guest does in the page of its APIC, wherever that is, vee_mmio_assist() sees to.
 *
 * Return: 0, or the errors of vee_vm_create(), -EINVAL (no such flag, or the module is
 * too old for it).
 */
int vee_vm_create_with(struct vee_vm **vm, unsigned int flags);

/**
 * vee_vm_create_on() - make a VM by way of /dev/vee as it is open already
 * @vm: where to put it
 * @device: a descriptor of /dev/vee, which stays the caller's
 * @flags: as for vee_vm_create_with()
 *
 * For who makes many VMs, since opening and closing the device is a good part of each; and
 * for who could not open it any more.
 *
 * Return: 0, or the errors of vee_vm_create_with() but those of open(2), -EBADF, -ENOTTY
 * (that is not /dev/vee).
 */
int vee_vm_create_on(struct vee_vm **vm, int device, unsigned int flags);

/**
 * vee_vm_destroy() - destroy a VM
 * @vm: the VM, or NULL; its vCPUs must have been destroyed
 *
 * Frees the memory that vee_vm_alloc() made, not what vee_vm_map() was given.
 */
void vee_vm_destroy(struct vee_vm *vm);

/**
 * vee_vm_fd() - a VM's file descriptor
 * @vm: the VM
 *
 * Return: the descriptor; it stays the library's to close.
 */
int vee_vm_fd(const struct vee_vm *vm);

/**
 * vee_vm_map() - lend memory of this process to a VM: add a slot
 * @vm: the VM
 * @gpa: guest-physical address, a multiple of 4096
 * @hva: memory of this process, at a multiple of 4096
 * @bytes: length, a multiple of 4096, not 0
 * @access: VEE_READ, with or without VEE_WRITE and VEE_EXECUTE
 *
 * @access binds the guest; vee_vm_write() writes to a slot that the guest may
 * only read. The memory must stay mapped here as long as the VM has it.
 *
 * Return: 0, or the errors of VEE_VM_MAP: -EINVAL, -EEXIST, -EFAULT, -ENOSPC,
 * -ENOMEM, -EINTR (a signal, at the first slot of a process: call again), -EIO.
 */
int vee_vm_map(struct vee_vm *vm, uint64_t gpa, void *hva, size_t bytes,
	       unsigned int access);

/**
 * vee_vm_unmap() - take a slot back
 * @vm: the VM
 * @gpa: where the slot begins
 * @bytes: its length
 *
 * When this returns no vCPU can reach the memory. What vee_vm_alloc() made is
 * freed: pointers from vee_vm_at() into it must not be used any more.
 *
 * Return: 0, or -ENOENT (no slot has just this @gpa and @bytes), -EIO.
 */
int vee_vm_unmap(struct vee_vm *vm, uint64_t gpa, size_t bytes);

/**
 * vee_vm_alloc() - give a VM fresh memory, all zeros
 * @vm: the VM
 * @gpa: guest-physical address, a multiple of 4096
 * @bytes: length, a multiple of 4096, not 0
 * @hva: where to put this process's address of it; may be NULL
 *
 * The guest may read, write and execute it. The host spends memory on those
 * pages alone that are touched, in huge pages (2 MiB) as far as it has them.
 *
 * Return: 0, or the errors of vee_vm_map().
 */
int vee_vm_alloc(struct vee_vm *vm, uint64_t gpa, size_t bytes, void **hva);

/**
 * vee_vm_at() - where guest memory is in this process
 * @vm: the VM
 * @gpa: guest-physical address
 * @bytes: how much is wanted there
 *
 * The guest may change what is there while it is being read: read once what is
 * checked. The pointer is good until the slot is unmapped. Of a slot with a template it is
 * the copy: vee_vm_map_template().
 *
 * Return: the address, or NULL if not all of it is in one slot, and in one page if that has a
 * template.
 */
void *vee_vm_at(const struct vee_vm *vm, uint64_t gpa, size_t bytes);

/**
 * vee_vm_read() - copy out of guest memory
 * @vm: the VM
 * @gpa: guest-physical address
 * @buf: where to
 * @bytes: how many; they may lie in several slots
 *
 * Return: 0, or -EFAULT (the guest has no memory at some of it; @buf is as it
 * was).
 */
int vee_vm_read(const struct vee_vm *vm, uint64_t gpa, void *buf, size_t bytes);

/**
 * vee_vm_write() - copy into guest memory
 * @vm: the VM
 * @gpa: guest-physical address
 * @buf: where from
 * @bytes: how many; they may lie in several slots
 *
 * Return: 0, or -EFAULT (the guest has no memory at some of it; none of it is
 * written).
 */
int vee_vm_write(const struct vee_vm *vm, uint64_t gpa, const void *buf,
		 size_t bytes);

/**
 * vee_vm_identity_map() - write page tables that map every address to itself
 * @vm: the VM
 * @tables_gpa: where to put them, a multiple of 4096
 * @bytes: how much to map from 0 on, rounded up to 2 MiB; at most 512 GiB
 *
 * Four levels, pages of 2 MiB, supervisor, readable, writable and executable.
 * They take 4096 bytes for each GiB and 8192 more. @tables_gpa is what CR3 has
 * to hold: vee_vcpu_set_long_mode().
 *
 * Return: bytes used at @tables_gpa, or -EINVAL (alignment, @bytes 0 or too
 * much), -EFAULT (no guest memory there), -ENOMEM.
 */
int vee_vm_identity_map(struct vee_vm *vm, uint64_t tables_gpa, uint64_t bytes);

/* --- a VM as it was --- */

/**
 * vee_vm_vcpu() - a VM's vCPU, by its number
 * @vm: the VM
 * @id: which
 *
 * Return: the vCPU, or NULL: none has that number.
 */
struct vee_vcpu *vee_vm_vcpu(const struct vee_vm *vm, unsigned int id);

/* The state of a VM's vCPUs, and a copy of its memory: to go back to, to begin others from. */
struct vee_vm_snapshot;

/**
 * vee_vm_snapshot() - keep a VM as it is
 * @vm: the VM, with none of its vCPUs running
 * @snapshot: where to put it; vee_vm_snapshot_free() frees it
 *
 * What vee_done() and its like have asked of a vCPU's next run is in it. An exit that has
 * not been answered is not: answer it first, or the guest does that instruction again. Of the
 * memory, what the guest may write is copied; pages that hold nothing but zeros cost none. A
 * slot that the guest may only read stays the caller's.
 *
 * From here on the kernel notes what is written (vee_vm_dirty_start()), so that going back
 * costs by that. What the program itself writes to guest memory, by other means than the
 * library's, it has to tell: vee_vm_dirty_mark(). To ask what was written is not for others
 * then.
 *
 * What a program has of devices is its own, to keep and to put back, as are posted
 * writes, doorbells and what is bound.
 *
 * Return: 0, or -EINVAL (VEE_RESUME_NEXT, and there is no instruction to go past),
 * -ENOMEM, -EMFILE, -ENFILE, -EBUSY (a vCPU runs), -EIO, -ESHUTDOWN.
 */
int vee_vm_snapshot(struct vee_vm *vm, struct vee_vm_snapshot **snapshot);

/**
 * vee_vm_snapshot_free() - done with a snapshot
 * @snapshot: the snapshot, or NULL; VMs that were begun from it go on
 */
void vee_vm_snapshot_free(struct vee_vm_snapshot *snapshot);

/**
 * vee_vm_restore() - have a VM as it was
 * @vm: the VM that it was taken of, or that vee_vm_fork() made of it, with none of its
 *	vCPUs running
 * @snapshot: the snapshot
 *
 * Memory and vCPUs are as they were, whatever the guest, the library and the program, if it
 * has told, have done since, and whatever the last exits were. The guest's TSC goes on, and
 * what the caller has asked for in the vCPU pages (prefetch, options and so on) stays. No
 * exit is waiting then: run the vCPUs. Of the groups of a vCPU page VEE_STATE_REGS alone is
 * valid; vee_vcpu_sync() reads others.
 *
 * Return: 0, or -ESTALE (it has other slots or other vCPUs than it had; nothing has
 * changed), -ENOMEM, -EBUSY (a vCPU runs), -EIO, -ESHUTDOWN. After those from -EBUSY on
 * call it again before the VM is run.
 */
int vee_vm_restore(struct vee_vm *vm, const struct vee_vm_snapshot *snapshot);

/**
 * vee_vm_fork() - begin another VM from a snapshot
 * @snapshot: the snapshot; it may be freed then
 * @vm: where to put the VM; vee_vm_vcpu() gives its vCPUs, which are destroyed as any
 *
 * It has memory, vCPUs, their answers to CPUID and settings as they were. The memory is shared
 * with the snapshot until it is written, and freed with the VM; slots that the guest may
 * only read are the same memory as there.
 *
 * Slots of up to 16 MiB that share no memory have the snapshot for a template, as by
 * vee_vm_map_template(): vee_vm_at() gives one page of them at a time, and its pointer is good
 * until the VM is put back. With a snapshot of its own, saved, or put back to another
 * snapshot, the VM has memory like any other from then on, and elsewhere.
 *
 * Return: 0, or the errors of vee_vm_create(), vee_vm_map() and vee_vcpu_create().
 */
int vee_vm_fork(const struct vee_vm_snapshot *snapshot, struct vee_vm **vm);

/* --- writes of the guest's that end no run --- */

/**
 * vee_vm_coalesce() - have writes posted, not ended by an exit
 * @vm: the VM
 * @range: which ports or addresses, or that it is to be removed; @size is the
 *	library's to fill in
 *
 * A plain OUT, or a MOV to where no memory is, that lies in the range is noted, and
 * the guest goes on; vee_vm_take_post() gives it. For devices that need not act on a
 * write at once: it is seen when a run ends for another reason. What can't be posted
 * is an exit, as ever: when VEE_POSTS of them wait, and for VEE_SPACE_MEMORY any other
 * instruction.
 *
 * Return: 0, or the errors of VEE_VM_COALESCE: -EINVAL (the range), -EEXIST (asked
 * for already), -ENOENT (remove: it wasn't), -ENOSPC (VEE_MAX_WATCHES), -ENOMEM,
 * -EIO.
 */
int vee_vm_coalesce(struct vee_vm *vm, const struct vee_coalesce *range);

/**
 * vee_vm_take_post() - take the oldest write that was posted
 * @vm: the VM
 * @post: filled in
 *
 * After each run take all, before the exit is looked at: then everything a vCPU
 * wrote comes in the order in which it did. No system call.
 *
 * Return: false if there is none.
 */
bool vee_vm_take_post(struct vee_vm *vm, struct vee_post *post);

/**
 * vee_vm_doorbell() - have a write to a port or an address signal an eventfd
 * @vm: the VM
 * @doorbell: which write, which eventfd, or that it is to be removed; @size is the
 *	library's to fill in
 *
 * The guest goes on; another thread waits for the eventfd. The module keeps the
 * eventfd: its descriptor may be closed.
 *
 * Return: 0, or the errors of VEE_VM_DOORBELL: -EINVAL (a member; not an eventfd),
 * -EBADF, -EEXIST, -ENOENT, -ENOSPC, -ENOMEM, -EIO.
 */
int vee_vm_doorbell(struct vee_vm *vm, const struct vee_doorbell *doorbell);

/* --- interrupts by message: VMs with local APICs --- */

/**
 * vee_vm_signal() - send an interrupt by message, an MSI, from any thread
 * @vm: the VM, with local APICs
 * @address: FEEH in bits 31:20, destination in 19:12, bit 3 redirection hint, bit 2
 *	logical destination mode
 * @data: vector in bits 7:0, delivery mode in 10:8
 * @flags: 0, or VEE_SIGNAL_LEVEL: the guest's end of interrupt is VEE_EXIT_EOI
 *
 * SDM 3A, "Message Signalled Interrupts". A destination that isn't there is no error.
 *
 * Return: 0, or -EINVAL (bits 63:20 of @address, a delivery mode, @flags), -ENODEV (the
 * VM has no local APICs), -EIO.
 */
int vee_vm_signal(struct vee_vm *vm, uint64_t address, uint32_t data, unsigned int flags);

/**
 * vee_vm_bind() - have an eventfd send an interrupt by message
 * @vm: the VM, with local APICs
 * @eventfd: an eventfd(2), which stays the caller's
 * @address: as for vee_vm_signal()
 * @data: likewise
 * @flags: likewise
 *
 * Whoever signals the eventfd from then on, this process, another or the kernel, sends the
 * message, and no thread of the caller's has a part in it. What was signalled before is sent
 * at once. That ends by vee_vm_unbind(), with the eventfd's last descriptor, or with the VM.
 *
 * Return: 0, or the errors of VEE_VM_BIND: -EINVAL (as for vee_vm_signal(), or not an
 * eventfd), -EBADF, -EEXIST (it is bound already), -ENOSPC (VEE_MAX_BINDS), -ENOMEM, -ENODEV
 * (the VM has no local APICs), -ENOTTY (the module is too old for it), -EIO.
 */
int vee_vm_bind(struct vee_vm *vm, int eventfd, uint64_t address, uint32_t data,
		unsigned int flags);

/**
 * vee_vm_bind_level() - have an eventfd send a level-triggered interrupt, another hear its end
 * @vm: the VM, with local APICs
 * @eventfd: an eventfd(2), which stays the caller's
 * @eoi: another one; both may be closed, and the module keeps this one
 * @address: as for vee_vm_signal()
 * @data: likewise
 *
 * As vee_vm_bind() with VEE_SIGNAL_LEVEL, but the guest's end of interrupt ends no run: it adds 1
 * to @eoi. Who waits for that, and has its line still asserted, signals @eventfd anew. It is
 * told of the end of each level-triggered interrupt with this vector.
 *
 * Return: 0, or the errors of vee_vm_bind(); -EINVAL also if both are the same eventfd, or the
 * module is too old for it.
 */
int vee_vm_bind_level(struct vee_vm *vm, int eventfd, int eoi, uint64_t address,
		      uint32_t data);

/**
 * vee_vm_unbind() - have it send nothing any more
 * @vm: the VM
 * @eventfd: what was bound
 *
 * Once this returns nothing more comes: what is signalled is counted, for who reads it or
 * binds it again.
 *
 * Return: 0, or -ENOENT (it isn't bound), -EINVAL, -EBADF, -ENODEV, -ENOTTY, -EIO.
 */
int vee_vm_unbind(struct vee_vm *vm, int eventfd);

/**
 * vee_vm_dirty_start() - note which pages of guest memory are written
 * @vm: the VM
 * @gpa: where the range begins, a multiple of 4096
 * @bytes: its length, a multiple of 4096, not 0; in one slot, all of it or a part
 *
 * From then on vee_vm_dirty_fetch() tells. What vCPUs write counts, whether they run now or
 * later, and what the library writes for them: vee_assist(), vee_vm_write(), a loader. What
 * the caller writes by other means is vee_vm_dirty_mark()'s. It ends by vee_vm_dirty_stop(),
 * or with the slot.
 *
 * Return: 0, or the errors of VEE_VM_DIRTY: -EINVAL, -ENOENT (no slot has all of it),
 * -EEXIST (some of it is noted already), -ENOSPC (vee_info.max_slots of them), -ENOMEM,
 * -ENOTTY (the module is too old for it), -EIO.
 */
int vee_vm_dirty_start(struct vee_vm *vm, uint64_t gpa, size_t bytes);

/**
 * vee_vm_dirty_stop() - note it no longer
 * @vm: the VM
 * @gpa: as it was begun
 * @bytes: likewise
 *
 * Return: 0, or -ENOENT (it wasn't, or its slot is gone), -EINVAL, -ENOTTY, -EIO.
 */
int vee_vm_dirty_stop(struct vee_vm *vm, uint64_t gpa, size_t bytes);

/**
 * vee_vm_dirty_fetch() - list the pages that were written
 * @vm: the VM
 * @gpa: a range that was begun, or a part of it
 * @bytes: its length
 * @pages: their guest-physical addresses, ascending
 * @room: for how many there is room
 *
 * Each page of 4 KiB that was written since the range was begun or the page was last told.
 * If that fills @pages there may be more, behind the last: they will be told. The contents
 * are to be read afterwards: what is written meanwhile is told the next time.
 *
 * Return: how many, or -ENOENT (no such range has all of it), -EFAULT (@pages; nothing was
 * told), -EINVAL, -ENOMEM, -ENOTTY, -EIO.
 */
int vee_vm_dirty_fetch(struct vee_vm *vm, uint64_t gpa, size_t bytes, uint64_t *pages,
		       size_t room);

/**
 * vee_vm_dirty_bitmap() - the same as a bitmap
 * @vm: the VM
 * @gpa: a range that was begun, or a part of it
 * @bytes: its length
 * @bitmap: a bit for each page, in words of 64, lowest first; all words are written
 *
 * Return: how many bits are set, or an error of vee_vm_dirty_fetch().
 */
int vee_vm_dirty_bitmap(struct vee_vm *vm, uint64_t gpa, size_t bytes, uint64_t *bitmap);

/**
 * vee_vm_dirty_mark() - the caller has written for the guest
 * @vm: the VM
 * @gpa: where, by vee_vm_at(), say; any address
 * @bytes: how much, not 0
 *
 * To be called after writing. Where nothing is noted it does nothing.
 *
 * Return: 0, or -EINVAL (the range wraps), -ENOTTY, -EIO.
 */
int vee_vm_dirty_mark(const struct vee_vm *vm, uint64_t gpa, size_t bytes);

/* --- memory that begins as a template --- */

/**
 * vee_vm_map_template() - lend memory to be read, and memory for copies of it
 * @vm: the VM
 * @gpa: where the guest sees it, a multiple of 4096
 * @hva: the template, this process's memory, a multiple of 4096; never written
 * @bytes: its length, a multiple of 4096, less than 16 TiB
 * @pool: memory for copies, a multiple of 4096
 * @pool_bytes: its length, a multiple of 4096, not 0 and not more than @bytes
 * @access: VEE_READ | VEE_WRITE, with or without VEE_EXECUTE
 *
 * A slot in which the guest reads the template; a page that it writes is copied first, to the
 * next page of @pool, and is there from then on. When that is used up a write to another page
 * ends the run with VEE_EXIT_MEMORY and -ENOSPC: @pool_bytes is what such a VM can have
 * of its own. Many slots can have the same template, which must not change meanwhile; each
 * has a pool of its own. Both stay the caller's.
 *
 * What the library writes for the guest, by vee_assist() or vee_vm_write(), is copied first,
 * too; these are -ENOSPC if the pool has no room for that. vee_vm_at() gives what lies in one
 * page of it, has that copied, and the pointer is good until vee_vm_template_reset(). Such a VM
 * can't be saved, nor can vee_vm_snapshot() be made of it: -EOPNOTSUPP.
 *
 * Return: 0, or the errors of vee_vm_map(), -EINVAL of @pool as well; -E2BIG: the module is too
 * old for it.
 */
int vee_vm_map_template(struct vee_vm *vm, uint64_t gpa, const void *hva, size_t bytes,
			void *pool, size_t pool_bytes, unsigned int access);

/**
 * vee_vm_template_reset() - a slot is its template again
 * @vm: the VM
 * @gpa: an address in the slot
 * @keep: what was written will be written again
 *
 * In time by the pages that were written. With @keep they are copied anew and stay in the pool,
 * so that a guest that writes the same ones each time takes no exits for them; but those that
 * it writes no more are not free for others, until a reset without. If vCPUs run meanwhile they
 * see page after page change. Which pages they are the kernel is not asked again as long as
 * vee_vcpu_page.copies tells that there is no other one; what somebody has had copied by a
 * VEE_VM_TEMPLATE of his own, and not by the library, shows there no sooner than the guest's
 * next.
 *
 * Return: how many pages of the pool are still in use, 0 without @keep; or -ENOENT (there is no
 * slot with a template), -EINTR (being killed), -ENOTTY (the module is too old for it), -EIO.
 */
int vee_vm_template_reset(struct vee_vm *vm, uint64_t gpa, bool keep);

/**
 * vee_vm_template_fetch() - list the pages that were written
 * @vm: the VM
 * @gpa: an address in the slot
 * @pages: their guest-physical addresses: the first is that of the pool's first page
 * @room: for how many there is room, may be 0
 *
 * Return: how many there are, whatever @room is; or -ENOENT (there is no slot with a template),
 * -EFAULT (@pages), -EINTR (being killed), -ENOTTY, -EIO.
 */
int vee_vm_template_fetch(const struct vee_vm *vm, uint64_t gpa, uint64_t *pages, size_t room);

/* An I/O APIC, by which devices' wires are interrupts for local APICs. */
struct vee_irqchip;

#define VEE_IRQCHIP_PINS	24

/**
 * vee_irqchip_create() - make an I/O APIC, an 82093AA, at FEC00000H
 * @vm: the VM, with local APICs
 * @chip: where to put it; all of its pins are masked
 *
 * All functions on it may be called from any thread at any time.
 *
 * Return: 0, or -ENODEV (the VM has no local APICs), -ENOMEM.
 */
int vee_irqchip_create(struct vee_vm *vm, struct vee_irqchip **chip);

/**
 * vee_irqchip_destroy() - destroy an I/O APIC, before its VM
 * @chip: the chip, which nobody uses any more; or NULL
 */
void vee_irqchip_destroy(struct vee_irqchip *chip);

/**
 * vee_irqchip_set() - move a wire
 * @chip: the chip
 * @pin: which: below VEE_IRQCHIP_PINS
 * @level: whether it is high
 *
 * What the guest has made of the pin says whether that is an interrupt, and whose.
 *
 * Return: 0, or -EINVAL (@pin).
 */
int vee_irqchip_set(struct vee_irqchip *chip, unsigned int pin, bool level);

/**
 * vee_irqchip_access() - read or write its registers
 * @chip: the struct vee_irqchip
 * @gpa: guest-physical address
 * @data: read: to fill in; write: what to write
 * @bytes: 1, 2, 4 or 8
 * @write: which
 *
 * A vee_mmio_fn: if there is no other device, vee_mmio_assist() can have it as it is.
 *
 * Return: 0, or -ENOENT (@gpa is not its).
 */
int vee_irqchip_access(void *chip, uint64_t gpa, void *data, unsigned int bytes, bool write);

/**
 * vee_irqchip_eoi() - the guest has ended a level-triggered interrupt
 * @chip: the chip
 * @vector: exit.eoi.vector of a VEE_EXIT_EOI
 *
 * If the wire is still asserted the interrupt comes again.
 */
void vee_irqchip_eoi(struct vee_irqchip *chip, uint8_t vector);

/* --- vCPUs --- */

/**
 * vee_vcpu_create() - make a vCPU, in the state after RESET
 * @vm: the VM
 * @id: 0 to vee_info.max_vcpus - 1; no two alike
 * @vcpu: where to put it
 *
 * Return: 0, or -EINVAL (@id), -EEXIST (@id is taken), -ENOMEM, -EMFILE,
 * -ENFILE, -EIO.
 */
int vee_vcpu_create(struct vee_vm *vm, unsigned int id, struct vee_vcpu **vcpu);

/**
 * vee_vcpu_destroy() - destroy a vCPU
 * @vcpu: the vCPU, not running; or NULL
 */
void vee_vcpu_destroy(struct vee_vcpu *vcpu);

/**
 * vee_vcpu_run() - run the guest until an exit needs the caller
 * @vcpu: the vCPU
 *
 * vcpu->page->exit then tells why.
 *
 * Return: 0, or the errors of VEE_VCPU_RUN: -EINTR (a signal; run again),
 * -EINVAL (what the page asks for or holds can't be), -EBUSY (another thread
 * runs it, or an event is already waiting), -ENOMEM (for the first tpr_threshold),
 * -EIO, -ESHUTDOWN, -ENODEV (somebody else has VMX).
 */
int vee_vcpu_run(struct vee_vcpu *vcpu);

/**
 * vee_vcpu_kick() - end a run of a vCPU, from any thread or a signal handler
 * @vcpu: the vCPU
 * @generation: which run: vcpu->page->generation, read when the wish arose
 *
 * That run ends with VEE_EXIT_KICKED, or will as soon as it begins; no other
 * run is disturbed.
 *
 * Return: 0, or -ESTALE (that run has ended), -EINVAL (a run yet to come), -EIO.
 */
int vee_vcpu_kick(struct vee_vcpu *vcpu, uint64_t generation);

/**
 * vee_vcpu_inject() - send an event to a vCPU, from any thread or a signal handler
 * @vcpu: the vCPU
 * @type: VEE_EVENT_INTERRUPT or VEE_EVENT_NMI
 * @vector: 0 to 255; 2 for an NMI
 *
 * The guest takes it as soon as it is ready, and wakes up if it sleeps in HLT
 * (VEE_OPTION_HLT_SLEEPS).
 *
 * Return: 0, or -EBUSY (one of the kind that was sent before has not been taken
 * yet), -EINVAL (no such event), -EIO.
 */
int vee_vcpu_inject(struct vee_vcpu *vcpu, uint8_t type, uint8_t vector);

/**
 * vee_vcpu_sync() - fill groups of the vCPU page
 * @vcpu: the vCPU
 * @groups: VEE_STATE_ bits; those that are valid or dirty stay as they are
 *
 * A system call only if some group isn't valid yet.
 *
 * Return: 0, or -EINVAL (an unknown group, or VEE_STATE_APIC without local APICs), -EBUSY,
 * -EIO, -ESHUTDOWN.
 */
int vee_vcpu_sync(struct vee_vcpu *vcpu, unsigned int groups);

/**
 * vee_vcpu_translate() - walk the guest's page tables
 * @vcpu: the vCPU
 * @gva: guest-linear address
 * @out: @gpa, @access and @user are filled in
 *
 * Return: 0, or -ENOENT (the guest's tables don't map it), -EFAULT (a table is
 * where the VM has no memory), -EINTR (a signal came first), -EBUSY, -EIO, -ESHUTDOWN.
 */
int vee_vcpu_translate(struct vee_vcpu *vcpu, uint64_t gva,
		       struct vee_translate *out);

/**
 * vee_vcpu_get_cpuid() - read a vCPU's answers to CPUID
 * @vcpu: the vCPU
 * @entries: room for *@count of them
 * @count: in: how many fit; out: how many there are
 *
 * Return: 0, or -E2BIG (they don't fit; *@count says how many there are),
 * -EFAULT (@entries), -EBUSY, -EIO.
 */
int vee_vcpu_get_cpuid(struct vee_vcpu *vcpu, struct vee_cpuid_entry *entries,
		       unsigned int *count);

/**
 * vee_vcpu_set_cpuid() - replace a vCPU's answers to CPUID
 * @vcpu: the vCPU
 * @entries: the answers
 * @count: how many, up to VEE_MAX_CPUID
 *
 * Return: 0, or -EINVAL (too many; two for one leaf and subleaf; unknown flags),
 * -EFAULT (@entries), -ENOMEM, -EBUSY, -EIO.
 */
int vee_vcpu_set_cpuid(struct vee_vcpu *vcpu,
		       const struct vee_cpuid_entry *entries,
		       unsigned int count);

/**
 * vee_vcpu_get_xsave() - read the guest's x87, SSE, AVX and AVX-512 state
 * @vcpu: the vCPU
 * @area: filled in: an XSAVE area in the standard format
 * @bytes: its size: vee_info.xsave_bytes
 *
 * Return: 0, or -EINVAL (@bytes), -EFAULT, -EBUSY, -EIO.
 */
int vee_vcpu_get_xsave(struct vee_vcpu *vcpu, void *area, size_t bytes);

/**
 * vee_vcpu_set_xsave() - set the guest's x87, SSE, AVX and AVX-512 state
 * @vcpu: the vCPU
 * @area: an XSAVE area in the standard format
 * @bytes: its size: vee_info.xsave_bytes
 *
 * Return: 0, or -EINVAL (@bytes, a compacted format, a component outside
 * vee_info.xcr0, reserved bits), -EFAULT, -ENOMEM, -EBUSY, -EIO.
 */
int vee_vcpu_set_xsave(struct vee_vcpu *vcpu, const void *area, size_t bytes);

/**
 * vee_vcpu_save() - all state of a vCPU
 * @vcpu: the vCPU, not being run
 * @state: in: @xsave, @xsave_bytes, @cpuid, @cpuid_count, for parts that @skip leaves;
 *	out: the state, as linux/vee.h has it (VEE_VCPU_SAVE)
 *
 * Takes over what the vCPU's page asks the next run for.
 *
 * Return: 0; -EINVAL (vee_vcpu_page.refused says what), -E2BIG (@cpuid_count is now how
 * many there are), -EFAULT, -EBUSY, -EINTR, -ENOMEM, -EIO, -ESHUTDOWN, -ENODEV.
 */
int vee_vcpu_save(struct vee_vcpu *vcpu, struct vee_vcpu_state *state);

/**
 * vee_vcpu_load() - a vCPU as it was when saved
 * @vcpu: the vCPU, not being run; of this or another VM
 * @state: as vee_vcpu_save() has given it, in this or another process
 *
 * All of it is loaded, or with an error nothing.
 *
 * Return: 0; -EINVAL (vee_vcpu_page.refused says what), -EFAULT, -EBUSY, -ENOMEM, -EIO.
 */
int vee_vcpu_load(struct vee_vcpu *vcpu, struct vee_vcpu_state *state);

/**
 * struct vee_section - something of a program's own in a saved VM
 * @name: how it is found, 1 to 31 bytes
 * @data: what is saved
 * @bytes: how much
 */
struct vee_section {
	const char *name;
	const void *data;
	size_t bytes;
};

/**
 * vee_save() - save a VM to a file
 * @vcpus: all of its vCPUs, none being run
 * @count: how many
 * @sections: the program's own
 * @section_count: how many
 * @fd: a regular file, to be written from its beginning; what was in it is gone
 * @why: where it says, in a line without newline, what went wrong; or NULL
 * @size: how much room is there
 *
 * All state of the vCPUs (vee_vcpu_save()), and all memory that is lent to the VM; pages of
 * zeros take no room. The VM is as before, and can go on.
 *
 * Return: 0; -EINVAL (no vCPU; a section's name), -ESPIPE (not a regular file), -E2BIG
 * (too many sections), -EOPNOTSUPP (a slot with a template that is the caller's), -ENOSPC,
 * -ENOMEM, the errors of vee_vcpu_save(), vee_get_info(), of ftruncate(2), write(2) and
 * fsync(2). The file is no saved VM then.
 */
int vee_save(struct vee_vcpu *const *vcpus, unsigned int count,
	     const struct vee_section *sections, unsigned int section_count, int fd,
	     char *why, size_t size);

/**
 * vee_save_file() - save a VM to a file that has a path
 * @vcpus: as for vee_save()
 * @count: likewise
 * @sections: likewise
 * @section_count: likewise
 * @path: where; a file there is replaced once all is written, and not before
 * @why: likewise
 * @size: likewise
 *
 * Return: as vee_save(), and the errors of mkostemp(3) and rename(2).
 */
int vee_save_file(struct vee_vcpu *const *vcpus, unsigned int count,
		  const struct vee_section *sections, unsigned int section_count,
		  const char *path, char *why, size_t size);

struct vee_saved;

/* vee_saved_open(), @flags: memory is not read before the guest does, nor checked. */
#define VEE_SAVED_LAZY	0x01U

/**
 * vee_saved_open() - open a saved VM
 * @path: where it is; it must stay as it is while what was restored from it exists
 * @flags: 0, or VEE_SAVED_LAZY
 * @saved: where to put it; vee_saved_close() closes it
 * @why: where it says, in a line without newline, what is wrong; or NULL
 * @size: how much room is there
 *
 * Return: 0; -ENOEXEC (no saved VM, or its saving was cut short), -EPROTONOSUPPORT (of
 * another version), -ENODATA (the file is cut short), -EBADMSG (it is damaged), -EINVAL
 * (@flags), -ENOMEM, or the errors of open(2).
 */
int vee_saved_open(const char *path, unsigned int flags, struct vee_saved **saved, char *why,
		   size_t size);

/**
 * vee_saved_close() - done with a saved VM
 * @saved: it, or NULL; what was restored from it stays
 */
void vee_saved_close(struct vee_saved *saved);

/**
 * vee_saved_flags() - how it was made
 * @saved: a saved VM
 *
 * Return: VEE_VM_ flags.
 */
unsigned int vee_saved_flags(const struct vee_saved *saved);

/**
 * vee_saved_vcpus() - how many vCPUs it has
 * @saved: a saved VM
 *
 * Return: the count.
 */
unsigned int vee_saved_vcpus(const struct vee_saved *saved);

/**
 * vee_saved_memory() - how much memory it has
 * @saved: a saved VM
 *
 * Return: bytes, with those that are zero.
 */
uint64_t vee_saved_memory(const struct vee_saved *saved);

/**
 * vee_saved_section() - something of the program's own
 * @saved: a saved VM
 * @name: its name
 * @bytes: where to put how much there is
 *
 * Return: it, until vee_saved_close(); NULL: there is no such section.
 */
const void *vee_saved_section(const struct vee_saved *saved, const char *name, size_t *bytes);

/**
 * vee_saved_restore() - make a VM what was saved
 * @saved: a saved VM
 * @vcpus: vCPUs with the ids of those that were saved, of a VM with vee_saved_flags() that
 *	has no memory where that has
 * @count: how many
 * @why: where it says, in a line without newline, what is wrong; or NULL
 * @size: how much room is there
 *
 * Memory is mapped privately from the file, and read from it as the guest touches it. The
 * guests' TSCs go on from where they were. The caller has set answers to CPUID as for a
 * new VM, if any: what was saved is compared with them.
 *
 * Return: 0; -EINVAL (@count, the VM's flags, addresses that it can't have, a state that
 * can't be here), -EOPNOTSUPP (it needs what this CPU lacks, or another TSC), -ENOENT (a
 * vCPU is not in it), -EBADMSG (it is damaged), -EEXIST (the VM has memory there), -ENOMEM,
 * or the errors of vee_vcpu_load(), vee_vcpu_save(), vee_vcpu_get_cpuid(), vee_vm_map() and
 * vee_get_info(). Some may be restored by then: the VM is for vee_vm_destroy().
 */
int vee_saved_restore(const struct vee_saved *saved, struct vee_vcpu *const *vcpus,
		      unsigned int count, char *why, size_t size);

/**
 * struct vee_sending - how a VM is moved to another process
 * @vcpus: all of its vCPUs, which others may run
 * @count: how many
 * @downtime_ms: for how long it may stand still, in milliseconds
 * @stop: called at most once, when the rest is believed to take no longer than that: from its
 *	return on no vCPU is run, and nobody writes the VM's memory, until vee_send()
 *	returns. It gives the program's own sections, which stay until then. 0, or -errno: the
 *	VM is not moved
 * @arg: for @stop
 * @rounds: out: how often memory was gone through
 * @pages: out: how many pages were sent
 * @stopped_ns: out: nanoseconds from @stop to the end
 */
struct vee_sending {
	struct vee_vcpu *const *vcpus;
	unsigned int count;
	unsigned int downtime_ms;
	int (*stop)(void *arg, const struct vee_section **sections, unsigned int *section_count);
	void *arg;
	unsigned int rounds;
	uint64_t pages;
	uint64_t stopped_ns;
};

/**
 * vee_send() - move a VM to another process while it runs
 * @sending: which, and how
 * @fd: a stream socket, connected to who calls vee_receive(); it stays open. To shutdown(2)
 *	it gives up
 * @why: where it says, in a line without newline, what went wrong; or NULL
 * @size: how much room is there
 *
 * Sends all memory, then again and again what was written meanwhile; at last it has the VM
 * stopped, and sends the rest. It is told what is written by VEE_VM_DIRTY, so that nobody
 * else can be meanwhile; who writes memory otherwise than by the library marks it. Slots
 * must not change. Memory goes as it is: whom the socket leads to is the caller's to know.
 *
 * Return: 0: it runs there, and must not run here any more. -EINPROGRESS: the connection
 * broke after the last word was sent, and whether it runs there can't be known: to run it
 * here could be to run it twice. With all others it doesn't run there, and never will, so it
 * can go on here: -ETIME (it writes faster than can be sent), -ETIMEDOUT (the other side
 * takes too long, with the VM stopped), -ECONNRESET (the connection broke),
 * -ECONNABORTED (the other side refuses), -EBADMSG, -EINVAL (no vCPU, no @stop, a section's
 * name), -ENOTSOCK, -E2BIG (a section), -EBUSY (slots have changed), -EOPNOTSUPP (a slot with
 * a template), -ENOMEM, what @stop gave, or the errors of vee_vcpu_save(),
 * vee_vm_dirty_start(), vee_get_info(), vee_vm_create(), vee_vcpu_create(), send(2) and
 * recv(2).
 */
int vee_send(struct vee_sending *sending, int fd, char *why, size_t size);

/**
 * vee_receive() - receive a VM that another process sends
 * @fd: a stream socket, connected to who calls vee_send(); it is open until vee_saved_close()
 * @saved: where to put it: as from vee_saved_open(), to be restored once
 * @why: where it says, in a line without newline, what went wrong; or NULL
 * @size: how much room is there
 *
 * Returns when all is there, and the VM stands still; or, before memory comes, with the names of
 * what this CPU lacks and that of the first vCPU had. What comes next is vee_saved_restore(),
 * what the program has of its own, and vee_take_over(). Who closes the socket before that
 * has the VM go on where it was.
 *
 * Return: 0; -ENOEXEC (what comes is no VM), -EPROTONOSUPPORT (of another version),
 * -EOPNOTSUPP (it needs what this CPU lacks, or another TSC), -EBADMSG (it was damaged on its
 * way), -ECONNRESET (the connection broke), -ENOTSOCK, -ENOMEM, or the errors of
 * vee_vm_create(), vee_vcpu_create() and recv(2).
 */
int vee_receive(int fd, struct vee_saved **saved, char *why, size_t size);

/**
 * vee_take_over() - the VM that was received is to run here
 * @saved: from vee_receive(), and restored
 * @why: where it says, in a line without newline, what went wrong; or NULL
 * @size: how much room is there
 *
 * Tells the sender that it could run here, and waits for its word.
 *
 * Return: 0: it runs here, and nowhere else. With all others it must not run here:
 * -ECONNRESET (the connection broke), -EBADMSG, -EINVAL (it was not received), or the errors
 * of send(2) and recv(2).
 */
int vee_take_over(const struct vee_saved *saved, char *why, size_t size);

/**
 * vee_vcpu_vmcs_read() - read a field of a vCPU's VMCS
 * @vcpu: the vCPU
 * @encoding: which; vee_vmcs_name() names it
 * @value: where to put it
 *
 * Return: 0, or -ENOENT (no such field here), -EPERM (an address of the host's,
 * without CAP_SYS_ADMIN), -EBUSY, -EIO, -ESHUTDOWN.
 */
int vee_vcpu_vmcs_read(struct vee_vcpu *vcpu, uint32_t encoding, uint64_t *value);

/**
 * vee_vcpu_vmcs_write() - write a guest-state field of a vCPU's VMCS
 * @vcpu: the vCPU
 * @encoding: which
 * @value: what
 *
 * For experiments: it can make the next VM entry fail, nothing worse. Groups of
 * the vCPU page stop being valid.
 *
 * Return: 0, or -ENOENT (no such field here), -EPERM (not a writable field),
 * -EINVAL (too wide, a forbidden activity state, or a bit of IA32_DEBUGCTL but BTF),
 * -EBUSY, -EIO, -ESHUTDOWN.
 */
int vee_vcpu_vmcs_write(struct vee_vcpu *vcpu, uint32_t encoding, uint64_t value);

/**
 * vee_vcpu_vmcs_snapshot() - read all fields of a vCPU's VMCS
 * @vcpu: the vCPU
 * @values: room for *@count of them
 * @count: in: how many fit; out: how many there are
 *
 * Return: 0, or -E2BIG (they don't fit; *@count says how many there are),
 * -EFAULT (@values), -ENOMEM, -EBUSY, -EIO, -ESHUTDOWN.
 */
int vee_vcpu_vmcs_snapshot(struct vee_vcpu *vcpu, struct vee_vmcs_value *values,
			   unsigned int *count);

/* --- why a VM entry failed --- */

#define VEE_RULE_FIELDS	5

/**
 * struct vee_broken_rule - a check of a VM entry that a VMCS does not pass
 * @rule: its name in vee: "GUEST_CS_DB"; docs/audit.md has all of them
 * @expected: what must hold, in words
 * @section: the title of the SDM's section (volume 3C) that has the rule
 * @field_count: how many of @fields there are
 * @fields: the fields that it is about, the broken one first, and their values
 * @wrong: where @expected leaves open which bits of the first field are wrong: these
 *
 * The strings are constant.
 */
struct vee_broken_rule {
	const char *rule;
	const char *expected;
	const char *section;
	unsigned int field_count;
	struct vee_vmcs_value fields[VEE_RULE_FIELDS];
	uint64_t wrong;
};

/**
 * vee_audit() - which rules of a VM entry does a VMCS break?
 * @info: the machine that it is of: what vee_get_info() said there
 * @values: its fields, as vee_vcpu_vmcs_snapshot() had them
 * @count: how many
 * @broken: room for @room of the rules that it breaks
 * @room: may be 0
 * @unjudged: where to put how many rules can't be judged; may be NULL
 *
 * Goes through the SDM's lists, "Checks on VMX Controls and Host-State Area" and
 * "Checking and Loading Guest State". Needs no module and no VMX. A rule that asks for
 * a field which is withheld (VEE_VMCS_WITHHELD) or not among @values is not judged.
 *
 * Return: how many rules are broken, which may be more than @room; or -EOPNOTSUPP (@info
 * is of a module that is too old to say what a CPU's checks go by).
 */
int vee_audit(const struct vee_info *info, const struct vee_vmcs_value *values,
	      unsigned int count, struct vee_broken_rule *broken, unsigned int room,
	      unsigned int *unjudged);

/**
 * vee_vcpu_audit() - which rules of a VM entry does a vCPU break?
 * @vcpu: the vCPU, after VEE_EXIT_ENTRY_FAILED
 * @broken: room for @room of the rules that it breaks
 * @room: may be 0
 * @unjudged: where to put how many rules can't be judged; may be NULL
 *
 * vee_audit() of the VMCS as it is. Without CAP_SYS_ADMIN what is about addresses of
 * the host can't be judged.
 *
 * Return: the count, or the errors of vee_get_info(), vee_vcpu_vmcs_snapshot() and
 * vee_audit().
 */
int vee_vcpu_audit(struct vee_vcpu *vcpu, struct vee_broken_rule *broken, unsigned int room,
		   unsigned int *unjudged);

/**
 * vee_audit_text() - a broken rule in one line
 * @broken: the rule
 * @text: room for @bytes, with the NUL at the end
 * @bytes: may be 0
 *
 * The name, the fields with their values, what must hold, the section; no newline.
 *
 * Return: how long the line is without the NUL; if that is not below @bytes, not all
 * of it is there.
 */
size_t vee_audit_text(const struct vee_broken_rule *broken, char *text, size_t bytes);

/* A VMCS to keep: all its fields, and the machine that it is of. */
struct vee_snapshot;

/**
 * vee_snapshot_take() - keep a vCPU's VMCS
 * @vcpu: the vCPU
 * @snapshot: where to put it; vee_snapshot_free() frees it
 *
 * Return: 0, or -ENOMEM, or the errors of vee_get_info() and vee_vcpu_vmcs_snapshot().
 */
int vee_snapshot_take(struct vee_vcpu *vcpu, struct vee_snapshot **snapshot);

/**
 * vee_snapshot_free() - done with a snapshot
 * @snapshot: the snapshot, or NULL
 */
void vee_snapshot_free(struct vee_snapshot *snapshot);

/**
 * vee_snapshot_audit() - which rules of a VM entry does it break?
 * @snapshot: the snapshot, which is judged by the CPU that it is of
 * @broken: room for @room of the rules that it breaks
 * @room: may be 0
 * @unjudged: where to put how many rules can't be judged; may be NULL
 *
 * Return: the count, or the errors of vee_audit().
 */
int vee_snapshot_audit(const struct vee_snapshot *snapshot, struct vee_broken_rule *broken,
		       unsigned int room, unsigned int *unjudged);

/**
 * vee_snapshot_write() - write a snapshot to a file
 * @snapshot: the snapshot
 * @out: where to; it is text, of lines
 *
 * Return: 0, or -EIO (not all of it was written).
 */
int vee_snapshot_write(const struct vee_snapshot *snapshot, FILE *out);

/**
 * vee_snapshot_read() - read what vee_snapshot_write() has written
 * @snapshot: where to put it; vee_snapshot_free() frees it
 * @in: where it is
 * @line: where to put the number of the last line that was looked at; may be NULL
 *
 * Needs no module and no VMX, and takes nothing in the file on trust.
 *
 * Return: 0, or -EBADMSG (the first line says that it is no snapshot), -EPROTONOSUPPORT (it
 * is of another version of the format), -ENODATA (its end is missing: it is cut), -EINVAL
 * (a line that makes no sense), -EIO (it can't be read), -ENOMEM.
 */
int vee_snapshot_read(struct vee_snapshot **snapshot, FILE *in, unsigned int *line);

/**
 * vee_snapshot_print() - show a snapshot, by groups, the bits of each field in words
 * @snapshot: the snapshot
 * @out: where to
 *
 * Return: 0, or -EIO (not all of it was written).
 */
int vee_snapshot_print(const struct vee_snapshot *snapshot, FILE *out);

/**
 * vee_vmcs_bits() - what the bits of a VMCS field mean: "PE, ET, NE, PG"
 * @encoding: its encoding
 * @value: what it holds
 * @text: room for @bytes, with the NUL at the end
 * @bytes: may be 0
 *
 * Return: how long the text is without the NUL; if that is not below @bytes, not all of
 * it is there. 0 for a field that is a plain number, or has no bit set.
 */
size_t vee_vmcs_bits(uint32_t encoding, uint64_t value, char *text, size_t bytes);

/**
 * vee_vcpu_stats() - read what a vCPU has been through
 * @vcpu: the vCPU
 * @stats: filled in
 *
 * Return: 0, or -EBUSY, -EIO.
 */
int vee_vcpu_stats(struct vee_vcpu *vcpu, struct vee_stats *stats);

/* --- io_uring: one thread runs many vCPUs --- */

/*
 * A ring belongs to the thread that made it. Runs are queued, and vee_ring_wait()
 * gives those that have ended: short ones at once, long ones from threads of the
 * kernel's. It needs Linux 6.1; where io_uring is switched off
 * (/proc/sys/kernel/io_uring_disabled) there is vee_vcpu_run().
 */
struct vee_ring;
struct io_uring;

/* vee_ring_event.data: a vee_ring_signal() has failed. */
#define VEE_RING_SIGNAL	7ULL

/**
 * struct vee_ring_event - something that was queued has ended
 * @vcpu: whose run; NULL: a request of the caller's own, or VEE_RING_SIGNAL
 * @data: the caller's own: its user_data; or VEE_RING_SIGNAL
 * @result: a run: the exit's reason, VEE_EXIT_PIO and so on, or an error as a
 *	negative; the caller's own: what its request gave
 * @flags: the caller's own: flags of its completion
 */
struct vee_ring_event {
	struct vee_vcpu *vcpu;
	uint64_t data;
	int result;
	unsigned int flags;
};

/**
 * vee_ring_create() - make a ring for the thread that calls
 * @ring: where to put it
 * @vcpus: how many vCPUs it is to run at most at a time, not 0
 *
 * Lets the kernel have a thread for each of them, so that guests which wait for each
 * other all run.
 *
 * Return: 0, or -EINVAL (@vcpus is 0 or more than INT_MAX; or the kernel is older
 * than 6.1), -ENOSYS (the kernel was built without io_uring), -EPERM (io_uring is
 * switched off), -ENOMEM, -EMFILE, -ENFILE, -ENOENT or -EACCES (/dev/vee).
 */
int vee_ring_create(struct vee_ring **ring, unsigned int vcpus);

/**
 * vee_ring_destroy() - destroy a ring
 * @ring: the ring, or NULL
 *
 * Runs that are under way end soon after; until then vee_vcpu_run() on their vCPUs
 * is -EBUSY.
 */
void vee_ring_destroy(struct vee_ring *ring);

/**
 * vee_ring_uring() - the io_uring behind a ring, for requests of one's own
 * @ring: the ring
 *
 * Take SQEs from it and fill them in with <liburing.h>; user_data must be even.
 * vee_ring_wait() submits them, and gives their completions, too.
 *
 * Return: the io_uring; it stays the library's.
 */
struct io_uring *vee_ring_uring(struct vee_ring *ring);

/**
 * vee_ring_run() - queue a run of a vCPU
 * @ring: the ring
 * @vcpu: the vCPU; no run of it may be under way
 * @budget_us: how many microseconds of it vee_ring_wait() may do itself, up to
 *	VEE_MAX_BUDGET_US; what takes longer, or sleeps, goes on in a thread of the
 *	kernel's. 0: none
 *
 * The vCPU page is taken when the run begins, in vee_ring_wait(): leave it alone
 * from here on until the run has ended.
 *
 * Return: 0, or -EBUSY (too much is queued: wait first), -EEXIST (the ring is
 * another thread's), or another error of io_uring_enter(2).
 */
int vee_ring_run(struct vee_ring *ring, struct vee_vcpu *vcpu, unsigned int budget_us);

/**
 * vee_ring_cancel() - end a run that was queued
 * @ring: the ring
 * @vcpu: whose run
 *
 * It ends with -EINTR, or -ECANCELED if it was waiting for a thread or had not begun;
 * both mean: run again to go on. Or as it would have ended by itself, if that was sooner.
 * From other threads there is vee_vcpu_kick().
 *
 * Return: 0, or the errors of vee_ring_run().
 */
int vee_ring_cancel(struct vee_ring *ring, struct vee_vcpu *vcpu);

/**
 * vee_ring_signal() - queue an interrupt by message
 * @ring: the ring
 * @vm: the VM, with local APICs
 * @address: as for vee_vm_signal()
 * @data: likewise
 * @flags: likewise
 *
 * vee_vm_signal() without a system call of its own: it is sent when vee_ring_wait() next
 * makes one, before runs that begin by the same. vee_ring_wait() gives nothing for it unless
 * it fails: then VEE_RING_SIGNAL, and the error as its result.
 *
 * Return: 0, or the errors of vee_ring_run().
 */
int vee_ring_signal(struct vee_ring *ring, struct vee_vm *vm, uint64_t address, uint32_t data,
		    unsigned int flags);

/**
 * vee_ring_wait() - submit what is queued, and wait until something has ended
 * @ring: the ring
 * @event: filled in
 *
 * No system call as long as there is more that has ended already.
 *
 * Return: 0, or -EINTR (a signal; wait again), -EEXIST (the ring is another
 * thread's), or another error of io_uring_enter(2).
 */
int vee_ring_wait(struct vee_ring *ring, struct vee_ring_event *event);

/* --- answering an exit: all in the vCPU page --- */

/**
 * vee_done() - the instruction that exited is done: resume after it
 * @vcpu: the vCPU
 *
 * For exits whose instruction needs no result: OUT, HLT, WRMSR, VMCALL. Memory
 * exits are for vee_mmio_assist().
 */
void vee_done(struct vee_vcpu *vcpu);

/**
 * vee_done_in() - complete an IN
 * @vcpu: the vCPU, after VEE_EXIT_PIO with a plain IN
 * @value: what the port gave; goes to AL, AX or EAX, whichever the exit says
 */
void vee_done_in(struct vee_vcpu *vcpu, uint32_t value);

/**
 * vee_done_rdmsr() - complete an RDMSR
 * @vcpu: the vCPU, after VEE_EXIT_RDMSR
 * @value: goes to EDX:EAX
 */
void vee_done_rdmsr(struct vee_vcpu *vcpu, uint64_t value);

/**
 * vee_done_cpuid() - complete a CPUID
 * @vcpu: the vCPU, after VEE_EXIT_CPUID
 * @eax: answer in EAX
 * @ebx: answer in EBX
 * @ecx: answer in ECX
 * @edx: answer in EDX
 */
void vee_done_cpuid(struct vee_vcpu *vcpu, uint32_t eax, uint32_t ebx,
		    uint32_t ecx, uint32_t edx);

/**
 * vee_inject_interrupt() - give the guest an external interrupt
 * @vcpu: the vCPU, not running
 * @vector: 0 to 255
 *
 * Delivered when the guest is ready for it. The next vee_vcpu_run() gives
 * -EBUSY if one is waiting already (VEE_STATE_EVENTS tells). One event fits into
 * the page between two runs: a second call replaces the first.
 */
void vee_inject_interrupt(struct vee_vcpu *vcpu, uint8_t vector);

/**
 * vee_inject_nmi() - give the guest a non-maskable interrupt
 * @vcpu: the vCPU, not running; see vee_inject_interrupt()
 */
void vee_inject_nmi(struct vee_vcpu *vcpu);

/**
 * vee_inject_exception() - give the guest an exception without an error code
 * @vcpu: the vCPU, not running
 * @vector: 0 to 31
 *
 * Delivered at the next VM entry, at the instruction that exited.
 */
void vee_inject_exception(struct vee_vcpu *vcpu, uint8_t vector);

/**
 * vee_inject_exception_error() - give the guest an exception with an error code
 * @vcpu: the vCPU, not running
 * @vector: 8, 10 to 14, 17; 21 (#CP) where the CPU can deliver it, which bit 56 of
 *	vee_info.vmx_basic tells: elsewhere vee_vcpu_run() gives -EINVAL
 * @error_code: what the CPU pushes; dropped in real mode, which has none
 *
 * Takes a system call to know the mode if VEE_STATE_CONTROL isn't valid.
 */
void vee_inject_exception_error(struct vee_vcpu *vcpu, uint8_t vector,
				uint32_t error_code);

/* --- starting modes --- */

/*
 * Each sets RIP, RFLAGS (2), all segment registers and the control registers,
 * zeroes the general registers, and marks the three groups dirty. Set RSP and
 * the others after it.
 */

/**
 * vee_vcpu_set_real_mode() - start in real mode
 * @vcpu: the vCPU, not running
 * @segment: selector of every segment register, and a 16th of their base
 * @ip: instruction pointer
 */
void vee_vcpu_set_real_mode(struct vee_vcpu *vcpu, uint16_t segment, uint16_t ip);

/**
 * vee_vcpu_set_protected_mode() - start in 32-bit code, flat, without paging
 * @vcpu: the vCPU, not running
 * @eip: instruction pointer
 *
 * The selectors are 8 (CS) and 16 (the others); there is no GDT behind them
 * until the guest loads one.
 */
void vee_vcpu_set_protected_mode(struct vee_vcpu *vcpu, uint32_t eip);

/**
 * vee_vcpu_set_long_mode() - start in 64-bit code
 * @vcpu: the vCPU, not running
 * @cr3: guest-physical address of four-level tables: vee_vm_identity_map()
 * @rip: instruction pointer
 *
 * Selectors as vee_vcpu_set_protected_mode(). SSE is on (CR4.OSFXSR).
 */
void vee_vcpu_set_long_mode(struct vee_vcpu *vcpu, uint64_t cr3, uint64_t rip);

/* --- loaders --- */

/*
 * Each copies an image into memory that the VM already has and sets @vcpu to
 * the state in which such an image expects to start. The errors of all:
 *
 *	-ENOEXEC	not of this format
 *	-EINVAL		of this format, but damaged
 *	-EOPNOTSUPP	sound, but needs what the loader doesn't have
 *	-EACCES		it would go where the guest may not write
 *	-E2BIG		the guest has no memory where it must go, or too little
 *	-ENOMEM		memory of this process ran out
 *
 * None of them has written to the guest then.
 */

/**
 * vee_load_flat() - load bytes as they are, and start at the first
 * @vcpu: the vCPU
 * @image: the bytes
 * @bytes: how many, not 0
 * @gpa: where to put them
 *
 * Starts in real mode if @gpa is below 1 MiB (at 0:@gpa below 64 KiB), else in
 * protected mode, which reaches up to 4 GiB.
 *
 * Return: 0, or -ENOEXEC (no bytes), -EACCES, -E2BIG.
 */
int vee_load_flat(struct vee_vcpu *vcpu, const void *image, size_t bytes,
		  uint64_t gpa);

/**
 * vee_load_elf() - load a statically linked ELF program
 * @vcpu: the vCPU
 * @image: the file
 * @bytes: its size
 *
 * Segments go to their physical addresses. A 32-bit program starts in protected
 * mode, a 64-bit one in long mode with at least the first 4 GiB mapped to
 * themselves; both with a stack of 16 KiB and no arguments. Page tables and stack
 * are in memory that no segment takes.
 *
 * Return: 0, or -ENOEXEC, -EINVAL, -EOPNOTSUPP (another machine's, dynamically
 * linked, or to be relocated), -EACCES, -E2BIG, -ENOMEM.
 */
int vee_load_elf(struct vee_vcpu *vcpu, const void *image, size_t bytes);

/**
 * vee_load_multiboot() - load a kernel by the Multiboot Specification, version 1
 * @vcpu: the vCPU
 * @image: the file
 * @bytes: its size
 * @cmdline: its command line, or NULL
 *
 * Return: 0, or -ENOEXEC, -EINVAL, -EOPNOTSUPP (its header requires a feature
 * Return: 0, or -ENOEXEC, -EINVAL, -EOPNOTSUPP (its header requires a feature
 * besides page alignment and memory information; or as of vee_load_elf()), -EACCES,
 * -E2BIG, -ENOMEM.
 */
int vee_load_multiboot(struct vee_vcpu *vcpu, const void *image, size_t bytes,
		       const char *cmdline);

/**
 * struct vee_linux_boot - what goes along with a Linux kernel
 * @cmdline: command line, or NULL
 * @initrd: initial RAM disk, or NULL
 * @initrd_bytes: its size
 */
struct vee_linux_boot {
	const char *cmdline;
	const void *initrd;
	size_t initrd_bytes;
};

/**
 * vee_load_linux() - load a bzImage by the Linux/x86 boot protocol
 * @vcpu: the vCPU
 * @image: the file
 * @bytes: its size
 * @boot: command line and initial RAM disk, or NULL
 *
 * Starts at the 32-bit entry point. The memory map (e820) tells of the VM's
 * slots as they are now, without A0000H to FFFFFH.
 *
 * Return: 0, or -ENOEXEC, -EINVAL, -EOPNOTSUPP (a protocol before 2.03, or a
 * zImage), -EACCES, -E2BIG (also: the command line is longer than the kernel takes),
 * -ENOMEM.
 */
int vee_load_linux(struct vee_vcpu *vcpu, const void *image, size_t bytes,
		   const struct vee_linux_boot *boot);

/**
 * vee_load() - load an image of any of these formats
 * @vcpu: the vCPU
 * @image: the file
 * @bytes: its size
 * @cmdline: command line for those that take one, or NULL
 *
 * Looks for a bzImage, a multiboot header and ELF, in this order. Anything else
 * is taken as a flat image and goes to 7C00H, where a PC loads a boot sector.
 *
 * Return: 0, or -ENOEXEC (an empty file, nothing else), -EINVAL, -EOPNOTSUPP,
 * -EACCES, -E2BIG, -ENOMEM.
 */
int vee_load(struct vee_vcpu *vcpu, const void *image, size_t bytes,
	     const char *cmdline);

/**
 * vee_read_file() - read a whole file
 * @path: which
 * @data: where to put its contents; free(3) it
 * @bytes: where to put its size
 *
 * Return: 0, or -EISDIR, -EINVAL (no regular file), -EFBIG (more than 2 GiB),
 * -ENOMEM, or an error of open(2) or read(2).
 */
int vee_read_file(const char *path, void **data, size_t *bytes);

/* --- assists: complete an exit by calling back --- */

/**
 * typedef vee_mmio_fn - a device's memory is read or written
 * @arg: what vee_mmio_assist() was given
 * @gpa: guest-physical address
 * @data: read: to fill in; write: what to write. Little endian
 * @bytes: 1, 2, 4 or 8
 * @write: which
 *
 * Return: 0, or an error that vee_mmio_assist() then returns.
 */
typedef int (*vee_mmio_fn)(void *arg, uint64_t gpa, void *data,
			   unsigned int bytes, bool write);

/**
 * vee_mmio_assist() - do the instruction of VEE_EXIT_MMIO
 * @vcpu: the vCPU
 * @fn: called for each access to the device
 * @arg: for @fn
 *
 * Or that of VEE_EXIT_DESCRIPTOR, wherever its operand is; or that of VEE_EXIT_MEMORY,
 * if it is a write to a slot that the guest may only read, such as a ROM: @fn is then
 * called in place of the slot. In a VM with local APICs what is in the page of the
 * vCPU's APIC is done there, and @fn, which may be NULL, is not called.
 *
 * Does what a guest may use anywhere: loads, stores, arithmetic, logic and shifts, the
 * string instructions, the stack, jumps, segment and table registers, moves of MMX and
 * SSE; flags as the CPU sets them. vee_mmio_assist(3) has the list, and what is not on
 * it. Accesses that cross a border are done on both sides. Checks segments and page
 * tables, sets accessed and dirty flags, calls @fn, sets registers and memory, and
 * arranges to resume after the instruction, or at it while a REP has more to do.
 * If the instruction would fault, the fault is injected and that is success.
 *
 * It needs VEE_PREFETCH_INSN and VEE_STATE_REGS in vcpu->page->prefetch, which
 * is what a new vCPU has; with VEE_STATE_SEGMENTS and VEE_STATE_CONTROL there too it
 * spares system calls.
 *
 * Return: 0, or -EINVAL (the last exit was another one), -EOPNOTSUPP (not an
 * instruction that it does, and nothing is changed: exit.memory.insn has its bytes),
 * -ENOMEM, what @fn returned, or an error of vee_vcpu_sync(), vee_vcpu_vmcs_read(),
 * vee_vcpu_get_xsave() or vee_vcpu_set_xsave().
 */
int vee_mmio_assist(struct vee_vcpu *vcpu, vee_mmio_fn fn, void *arg);

/* --- task switches --- */

/**
 * vee_task_switch_assist() - switch to another task
 * @vcpu: the vCPU
 *
 * For VEE_EXIT_OTHER with exit.hardware_reason 9: CALL, JMP or IRET to another task,
 * an interrupt or exception whose gate in the IDT is a task gate. Does it as SDM 3A,
 * chapter "Task Management" says, from and to TSSs of 32 and of 16 bits: registers
 * saved and loaded, with all checks, busy flags, links, and the error code.
 * The event that a task gate delivers is taken out of struct vee_events.
 *
 * If it faults, in the old task or in the new one, the fault is injected and that is
 * success; so is the debug trap of a TSS with T set. vee_vcpu_run() then goes on.
 * What exit.flags said of interrupts and NMIs no longer holds; the flags are cleared.
 *
 * Return: 0, or -EINVAL (the last exit was no task switch), -EFAULT (a TSS, a
 * descriptor or a page table where the VM has no memory), -ENOTRECOVERABLE (a fault
 * while #DF is delivered: the guest has shut down, as at VEE_EXIT_SHUTDOWN), or an
 * error of vee_vcpu_sync() or vee_vcpu_vmcs_read(). Then nothing has changed.
 */
int vee_task_switch_assist(struct vee_vcpu *vcpu);

/**
 * typedef vee_pio_fn - a port is read or written
 * @arg: what vee_pio_assist() was given
 * @port: the port
 * @data: IN: to fill in; OUT: what to write. Little endian
 * @bytes: 1, 2 or 4
 * @write: true for OUT
 *
 * Return: 0, or an error that vee_pio_assist() then returns.
 */
typedef int (*vee_pio_fn)(void *arg, uint16_t port, void *data,
			  unsigned int bytes, bool write);

/**
 * vee_pio_assist() - complete VEE_EXIT_PIO
 * @vcpu: the vCPU
 * @fn: called for each access to the port
 * @arg: for @fn
 *
 * IN, OUT, INS and OUTS, with and without REP. Of a REP it does what lies in one
 * page of memory and resumes at the instruction while there is more to do. If
 * the memory is not the guest's to access, the fault is injected before the port is
 * accessed, and that is success.
 *
 * Return: 0, or -EINVAL (the last exit wasn't VEE_EXIT_PIO), -EFAULT (INS or
 * OUTS on an address that no slot covers, or that its slot forbids: vee_assist() does
 * those), what @fn returned, or an error of vee_vcpu_sync() or vee_vcpu_vmcs_read().
 */
int vee_pio_assist(struct vee_vcpu *vcpu, vee_pio_fn fn, void *arg);

/**
 * struct vee_bus - all devices of a machine, for vee_assist()
 * @memory: called for each access to a device's memory
 * @port: called for each access to a port
 * @arg: for both
 */
struct vee_bus {
	vee_mmio_fn memory;
	vee_pio_fn port;
	void *arg;
};

/**
 * vee_assist() - complete VEE_EXIT_PIO, VEE_EXIT_MMIO, VEE_EXIT_MEMORY or VEE_EXIT_DESCRIPTOR
 * @vcpu: the vCPU
 * @bus: the devices
 *
 * vee_pio_assist() and vee_mmio_assist() in one; INS and OUTS between a port and a
 * device's memory take both.
 *
 * Return: 0, or -EINVAL (the last exit was another one), or an error of
 * vee_mmio_assist() or vee_pio_assist().
 */
int vee_assist(struct vee_vcpu *vcpu, const struct vee_bus *bus);

/**
 * vee_irqchip_run() - run a vCPU, and answer what the I/O APIC and the devices can
 * @vcpu: the vCPU
 * @chip: the I/O APIC of its VM
 * @devices: all other devices; NULL: there are none, as for what of it is NULL
 *
 * Runs it on and on, past signals, too, until an exit that is none of theirs: HLT, a
 * shutdown, a kick, a deadline, a port if @devices has no function for that, and so on.
 * It is in the vCPU page, as after vee_vcpu_run().
 *
 * Return: 0, or an error of vee_vcpu_run(), signals excepted, or of vee_assist(): -ENOENT
 * where neither has anything.
 */
int vee_irqchip_run(struct vee_vcpu *vcpu, struct vee_irqchip *chip,
		    const struct vee_bus *devices);

/* --- a function in a machine of its own --- */

/* A program that is called with bytes and gives bytes, each time in a fresh machine. */
struct vee_fn;

/**
 * typedef vee_fn_host - a function of the host's that the guest may call
 * @arg: vee_fn_options.arg
 * @in: the request, in the guest's memory
 * @in_bytes: how many bytes it has
 * @out: room for the answer, likewise; the two don't overlap
 * @out_room: how many bytes fit
 *
 * Both are the guest's choice, within its memory: trust nothing that is in them. It is
 * called by the thread that is in vee_fn_call(), several at a time if several are.
 *
 * Return: how many bytes the answer has; or a negative number, which the guest gets.
 */
typedef long (*vee_fn_host)(void *arg, const void *in, size_t in_bytes, void *out,
			    size_t out_room);

/**
 * struct vee_fn_options - what a function has
 * @memory: bytes of memory, a multiple of 4096; 0: 4 MiB
 * @machines: how many calls there can be at a time, up to 65536; 0: 1
 * @deadline_ns: nanoseconds that a call may take, waits for a CPU included, and the
 *	beginning; 0: any number
 * @hosts: functions of the host's, which the guest calls by their index
 * @host_count: how many
 * @arg: for all of these
 */
struct vee_fn_options {
	size_t memory;
	unsigned int machines;
	uint64_t deadline_ns;
	const vee_fn_host *hosts;
	unsigned int host_count;
	void *arg;
};

/**
 * vee_fn_load() - load a function, and run it to where it can be called
 * @fn: where to put it; vee_fn_free() frees it
 * @image: an ELF program of 64 bits that guest/fn.h and guest.ld are in
 * @bytes: its size
 * @options: what it has, or NULL: the defaults; not needed any more when this returns
 * @why: where to write what is wrong, if something is, and what helps; or NULL
 *
 * Return: 0, or -ENOEXEC (@image: no such program, or it ends before it can be called),
 * -EINVAL (@options), -EDQUOT (@options->memory is too little for it), -ETIME
 * (@options->deadline_ns likewise), or the errors of vee_vm_create(), vee_vm_alloc(),
 * vee_vcpu_create(), vee_vcpu_run(), vee_vm_snapshot() and vee_vm_fork().
 */
int vee_fn_load(struct vee_fn **fn, const void *image, size_t bytes,
		const struct vee_fn_options *options, FILE *why);

/**
 * vee_fn_call() - call a function
 * @fn: the function
 * @in: the bytes that it is called with
 * @in_bytes: how many
 * @out: where to put its result
 * @out_room: how many bytes fit there
 * @why: where to write what has gone wrong, if something has, and what helps; or NULL
 *
 * From any thread, and several at a time. Each call has a machine that is as it was after
 * fn_init(); what a call leaves in it nobody sees. If vee_fn_options.machines calls are
 * under way, it waits for one to end.
 *
 * Whatever the function does, it is an error of its call and no more. Of one that
 * crashed @why has what vee_explain() says.
 *
 * Return: how many bytes the result has; or -ETIME (vee_fn_options.deadline_ns are over),
 * -EDQUOT (it wants more memory than there is), -ENOTRECOVERABLE (it has crashed),
 * -EBADMSG (it says itself that it has failed), -E2BIG (@in_bytes: more than it has
 * room for), -ENOBUFS (@out_room: less than the result has), or the errors of
 * vee_vm_fork() and vee_vcpu_run().
 */
int vee_fn_call(struct vee_fn *fn, const void *in, size_t in_bytes, void *out,
		size_t out_room, FILE *why);

/**
 * vee_fn_free() - done with a function
 * @fn: the function, with no call under way; or NULL
 */
void vee_fn_free(struct vee_fn *fn);

/* --- for people --- */

#define VEE_EXPLAIN_LINES	24

/**
 * vee_explain() - say why a vCPU came back from its guest
 * @vcpu: the vCPU, not running
 * @out: where to write it, up to VEE_EXPLAIN_LINES lines
 *
 * For any exit, right after it, and for a run that failed (of -EINVAL: which member of the
 * vCPU page can't be as it is): what the guest did and what the exit waits for, the
 * instruction at RIP, the walk of the guest's page tables level by level where there
 * was one, and the registers. Of a triple fault: which exception came first, and what
 * kept it and those after it from their handlers. vee_explain(3) has examples.
 *
 * It looks only: nothing of the guest changes. For people: the words may change from
 * version to version.
 *
 * Return: 0, or -ENOMEM, -EBUSY, -EIO, -ESHUTDOWN; then nothing is written.
 */
int vee_explain(struct vee_vcpu *vcpu, FILE *out);

/**
 * vee_dump_registers() - write a vCPU's registers
 * @vcpu: the vCPU, not running
 * @out: where to
 *
 * General registers, segment and table registers with their hidden parts, control and
 * debug registers, those of a local APIC, in hexadecimal.
 *
 * Return: 0, or -EBUSY, -EIO, -ESHUTDOWN; then nothing is written.
 */
int vee_dump_registers(struct vee_vcpu *vcpu, FILE *out);

/**
 * vee_disassemble() - the instruction at a vCPU's RIP
 * @vcpu: the vCPU, not running
 * @text: where to: a string, in Intel's syntax; cut if it is longer. If there is an error,
 *	an empty one
 * @room: how many bytes there are at @text; 96 are always enough
 *
 * As the guest would fetch it, in the mode that it is in. It looks only: nothing of the
 * guest changes.
 *
 * Return: 0, -EFAULT (it can't be fetched: a fault, or no memory), -ENOEXEC (it is none
 * that the decoder knows), -ENOMEM, or -EBUSY, -EIO, -ESHUTDOWN.
 */
int vee_disassemble(struct vee_vcpu *vcpu, char *text, size_t room);

#define VEE_KEPT_EXITS		32

/**
 * vee_vcpu_keep_exits() - from now on keep a vCPU's last exits
 * @vcpu: the vCPU, not running
 *
 * vee_explain() then tells of the last ones too, and of an exit that came again because
 * nobody had answered it; vee_dump_exits() tells of VEE_KEPT_EXITS. It costs each run
 * some dozen instructions.
 *
 * Return: 0, or -ENOMEM.
 */
int vee_vcpu_keep_exits(struct vee_vcpu *vcpu);

/**
 * vee_dump_exits() - write a vCPU's last exits
 * @vcpu: the vCPU, not running
 * @out: where to, the latest first: a line each, or one for those in a row that are
 *	the same
 *
 * Return: 0, or -ENOENT (they are not kept: vee_vcpu_keep_exits()).
 */
int vee_dump_exits(struct vee_vcpu *vcpu, FILE *out);

/* --- gdb --- */

/* A stub of gdb's remote serial protocol, for the vCPUs of one VM. */
struct vee_gdb;

/**
 * vee_gdb_open() - let gdb debug a vCPU's guest: "target remote" of it
 * @vcpu: the vCPU, not running
 * @where: a TCP port of this machine alone, in decimal; or the path of a Unix socket to
 *	make, for this user alone
 * @gdb: where to put it; vee_gdb_close() closes it
 *
 * The caller goes on running the vCPU itself, and calls vee_gdb_serve() after each run.
 * While the guest runs a thread of the library's waits for gdb, and kicks the vCPU when
 * gdb connects or wants it to stop.
 *
 * Return: 0, or -EINVAL (@where: no port), -EADDRINUSE (somebody has that port, or there
 * is a file of that name), -ENAMETOOLONG, -ENOMEM, or an error of socket(2), bind(2) or
 * pthread_create(3).
 */
int vee_gdb_open(struct vee_vcpu *vcpu, const char *where, struct vee_gdb **gdb);

/**
 * vee_gdb_open_fd() - likewise, with a gdb that is connected
 * @vcpu: the vCPU, not running
 * @fd: a connected stream socket; it stays the caller's to close
 * @gdb: where to put it
 *
 * Return: 0, or -EBADF, -EMFILE, -ENOMEM, or an error of pthread_create(3).
 */
int vee_gdb_open_fd(struct vee_vcpu *vcpu, int fd, struct vee_gdb **gdb);

/**
 * vee_gdb_add() - let gdb have one more vCPU, as a thread
 * @gdb: the stub
 * @vcpu: another vCPU of the same VM, not running, before gdb can have noticed any run
 *
 * Each vCPU is run by a thread of its own then, which calls vee_gdb_serve_vcpu() before
 * its first run and after each. When one stops they all do.
 *
 * Return: 0, or -EXDEV (of another VM), -EEXIST (gdb has it already), -ENOMEM.
 */
int vee_gdb_add(struct vee_gdb *gdb, struct vee_vcpu *vcpu);

/**
 * vee_gdb_stop() - have the guest stopped, as of the next vee_gdb_serve()
 * @gdb: the stub
 *
 * Before the first run: vee_gdb_serve() then waits for gdb to connect and to say "continue".
 */
void vee_gdb_stop(struct vee_gdb *gdb);

/**
 * vee_gdb_serve() - see to gdb, after each run of the vCPU
 * @gdb: the stub
 * @timeout_ms: how long to wait for gdb's next word while the guest is stopped, in
 *	milliseconds; -1: for ever
 *
 * While the guest is not to stop it returns at once. VEE_EXIT_DEBUG that is gdb's
 * doing, VEE_EXIT_SHUTDOWN and VEE_EXIT_ENTRY_FAILED stop the guest, and gdb has its say
 * until it says to go on. It uses VEE_INTERCEPT_DEBUG, _BREAKPOINT and _STEP in the vCPU
 * page; the caller must leave these to it, and call it by the thread that runs the vCPU.
 *
 * Return: 1: run the vCPU again, there is nothing to handle; 0: the exit is the caller's to
 * handle; -EAGAIN (gdb has said nothing for so long: call it again, not the vCPU), -EINTR
 * (a signal: likewise), -ECANCELED (gdb wants the guest killed), or the errors of
 * vee_vcpu_sync(); then the guest stays stopped.
 */
int vee_gdb_serve(struct vee_gdb *gdb, int timeout_ms);

/**
 * vee_gdb_serve_vcpu() - likewise, of several vCPUs the one that has run
 * @gdb: the stub
 * @vcpu: vee_gdb_open()'s, or one of vee_gdb_add()'s
 * @timeout_ms: likewise, also while it waits for the other vCPUs
 *
 * One that stops has the others kicked, whose next call then waits, too, until gdb lets
 * them go on. One thread talks to gdb meanwhile, whichever it is.
 *
 * Return: as vee_gdb_serve(), -ECANCELED to each vCPU's thread, -EINTR to the one alone that
 * talks; or -EINVAL (gdb does not have this vCPU).
 */
int vee_gdb_serve_vcpu(struct vee_gdb *gdb, struct vee_vcpu *vcpu, int timeout_ms);

/**
 * vee_gdb_is_stepping() - is the next run to be one instruction?
 * @gdb: the stub
 *
 * Who injects no interrupts then has gdb step through the guest's code, not through its
 * interrupt handlers.
 *
 * Return: true after "stepi" and its like, until the step is over, whichever vCPU
 * does it.
 */
bool vee_gdb_is_stepping(const struct vee_gdb *gdb);

/**
 * vee_gdb_close() - done with gdb
 * @gdb: the stub, or NULL; its vCPU not running, and not yet destroyed
 * @status: what gdb is told that the guest has exited with, 0 to 255
 *
 * Breakpoints are taken out of the guest, which can go on.
 */
void vee_gdb_close(struct vee_gdb *gdb, unsigned int status);

/* --- names --- */

/**
 * vee_exit_name() - name of an exit: "PIO" for VEE_EXIT_PIO
 * @reason: vee_exit.reason
 *
 * Return: the name, "unknown" for none; as with all of these a constant string.
 */
const char *vee_exit_name(uint32_t reason);

/**
 * vee_hardware_reason_name() - name of a basic exit reason: "EPT violation"
 * @reason: vee_exit.hardware_reason, or its low 16 bits
 *
 * Return: the SDM's name, "unknown" for none.
 */
const char *vee_hardware_reason_name(uint32_t reason);

/**
 * vee_vmcs_name() - name of a VMCS field: "guest CR0"
 * @encoding: its encoding, full access
 *
 * Return: the name, "unknown" for none.
 */
const char *vee_vmcs_name(uint32_t encoding);

/**
 * vee_instruction_error_name() - what a VM-instruction error means
 * @error: vee_exit_entry.instruction_error
 *
 * Return: the SDM's words, "unknown" for none.
 */
const char *vee_instruction_error_name(uint32_t error);

#ifdef __cplusplus
}
#endif

#endif /* VEE_H */

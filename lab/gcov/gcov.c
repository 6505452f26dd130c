// SPDX-License-Identifier: GPL-2.0-only
/*
 * What gcc's -fprofile-arcs has counted in vee.ko, to files for gcov(1): those of a
 * kernel built for that (CONFIG_GCOV_KERNEL) nobody packages. They are written as the
 * module goes, or when it can't be loaded, to a folder; what is there already is added to.
 * For the lab alone.
 */
#define pr_fmt(fmt) "vee: coverage: " fmt

#include <linux/err.h>
#include <linux/fs.h>
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/printk.h>
#include <linux/string.h>
#include <linux/types.h>
#include <linux/vmalloc.h>

#include "gcov.h"

#define FOLDER	"/coverage/"

/* gcc's gcov-io.h: the file. Lengths are bytes. */
#define MAGIC		0x67636461	/* "gcda" */
#define TAG_FUNCTION	0x01000000
#define TAG_COUNTER(n)	(0x01a10000 + ((n) << 17))

#if __GNUC__ < 12
#error "gcov.c knows gcc's format from 12 on"
#endif
#define KINDS	(__GNUC__ >= 14 ? 9 : 8)

/* gcc's libgcov.h: what the compiler makes of each object. */
struct counters {
	u32 count;
	u64 *values;
};

struct function {
	const struct object *of;
	u32 ident;
	u32 line_checksum;
	u32 graph_checksum;
	struct counters kinds[];	/* those that the object has */
};

struct object {
	u32 version;
	struct object *next;
	u32 stamp;
	u32 checksum;
	const char *file;
	void *merge[KINDS];		/* NULL: it has none of this kind */
	u32 function_count;
	const struct function *const *functions;
};

static struct object *objects;

void __gcov_init(struct object *object)
{
	object->next = objects;
	objects = object;
}

void __gcov_exit(void)
{
}

void __gcov_merge_add(void *values, u32 count)
{
}

/* --- a file ------------------------------------------------------------------- */

/**
 * struct file_image - what becomes a file
 * @words: NULL: to find out how many it takes
 * @old: what the file had before, or NULL
 */
struct file_image {
	u32 *words;
	const u32 *old;
	size_t count;
};

static void put(struct file_image *image, u32 word)
{
	if (image->words)
		image->words[image->count] = word;
	image->count++;
}

static void put_counter(struct file_image *image, u64 value)
{
	if (image->old)
		value += image->old[image->count] | (u64)image->old[image->count + 1] << 32;
	put(image, value);
	put(image, value >> 32);
}

static void put_function(struct file_image *image, const struct object *object,
			 const struct function *function)
{
	const struct counters *counters = function->kinds;

	put(image, TAG_FUNCTION);
	put(image, 3 * sizeof(u32));
	put(image, function->ident);
	put(image, function->line_checksum);
	put(image, function->graph_checksum);
	for (u32 kind = 0; kind < KINDS; kind++) {
		if (!object->merge[kind])
			continue;
		put(image, TAG_COUNTER(kind));
		put(image, counters->count * sizeof(u64));
		for (u32 i = 0; i < counters->count; i++)
			put_counter(image, READ_ONCE(counters->values[i]));
		counters++;
	}
}

static size_t put_object(struct file_image *image, const struct object *object)
{
	image->count = 0;
	put(image, MAGIC);
	put(image, object->version);
	put(image, object->stamp);
	put(image, object->checksum);
	for (u32 i = 0; i < object->function_count; i++)
		if (object->functions[i] && object->functions[i]->of == object)
			put_function(image, object, object->functions[i]);
	return image->count * sizeof(u32);
}

/* One level of folders: '/' is '#'. */
static struct file *open_for(const struct object *object)
{
	char path[256] = FOLDER;

	strlcat(path, object->file, sizeof(path));
	strreplace(path + sizeof(FOLDER) - 1, '/', '#');
	return filp_open(path, O_RDWR | O_CREAT, 0644);
}

static int write_object(struct file *file, const struct object *object)
{
	struct file_image image = { };
	size_t bytes = put_object(&image, object);
	u32 *old = vmalloc(bytes);
	ssize_t done = -ENOMEM;
	loff_t at = 0;

	image.words = vmalloc(bytes);
	if (image.words && old) {
		if (kernel_read(file, old, bytes, &at) == bytes)
			image.old = old;
		put_object(&image, object);
		at = 0;
		done = kernel_write(file, image.words, bytes, &at);
	}
	vfree(image.words);
	vfree(old);
	return done == bytes ? 0 : done < 0 ? done : -EIO;
}

static void write_all(void)
{
	for (const struct object *object = objects; object; object = object->next) {
		struct file *file = open_for(object);
		int err = PTR_ERR_OR_ZERO(file);

		if (!err) {
			err = write_object(file, object);
			filp_close(file, NULL);
		}
		if (err)
			pr_info("%s: %d\n", object->file, err);
	}
}

/* --- the module's beginning and end, in main.c's stead ------------------------------ */

int __init init_module(void)
{
	int err;

	for (void (*const *make)(void) = gcov_begin; make < gcov_end; make++)
		(*make)();
	err = covered_init_module();
	if (err)
		write_all();
	return err;
}

void __exit cleanup_module(void)
{
	covered_cleanup_module();
	write_all();
}

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The module coming and going, for tests that load it themselves: as it was, or
 * with other parameters.
 */
#ifndef SELFTESTS_MODULE_UTIL_H
#define SELFTESTS_MODULE_UTIL_H

#include <dirent.h>

#include "vee_util.h"

/**
 * struct module - the module as it was loaded
 * @path: the file
 * @parameters: all of them, with their values
 */
struct module {
	char path[256];
	char parameters[256];
};

static inline int module_unload(void)
{
	return syscall(SYS_delete_module, "vee", O_NONBLOCK) ? -errno : 0;
}

static inline int module_load_with(const struct module *module, const char *parameters)
{
	int fd = open(module->path, O_RDONLY | O_CLOEXEC);
	int ret;

	if (fd < 0)
		return -errno;
	ret = syscall(SYS_finit_module, fd, parameters, 0) ? -errno : 0;
	close(fd);
	return ret;
}

/* As it was. */
static inline int module_load(const struct module *module)
{
	return module_load_with(module, module->parameters);
}

/* The file that the module was loaded from: the kernel doesn't know. */
static inline bool find_module(char *path, size_t bytes)
{
	const char *named = getenv("VEE_KO");

	/* Where the lab has it. */
	snprintf(path, bytes, "%s", named ? named : "/lab/vee.ko");
	return !access(path, R_OK);
}

/* As they are now, so that the module can come back the same. */
static inline void read_parameters(char *text, size_t bytes)
{
	DIR *dir = opendir(MODULE "/parameters");
	struct dirent *entry;
	size_t used = 0;

	while (dir && (entry = readdir(dir))) {
		char path[512], value[64] = "";
		FILE *f;

		snprintf(path, sizeof(path), MODULE "/parameters/%s", entry->d_name);
		f = entry->d_name[0] == '.' ? NULL : fopen(path, "r");
		if (!f)
			continue;
		if (fscanf(f, "%63s", value) == 1 && used < bytes)
			used += snprintf(text + used, bytes - used, "%s=%s ",
					 entry->d_name, value);
		fclose(f);
	}
	if (dir)
		closedir(dir);
}

/* For FIXTURE_SETUP: all that unloading and loading takes, or the test is skipped. */
static inline void module_take(struct __test_metadata *_metadata, struct module *module)
{
	int dev = vee_open(_metadata);

	close(dev);
	if (!find_module(module->path, sizeof(module->path)))
		VEE_SKIP("no vee.ko here: name it by VEE_KO");
	if (geteuid())
		VEE_SKIP("loading modules takes root");
	if (!WAIT_FOR(!module_users()))
		VEE_SKIP("somebody else uses the module");
	read_parameters(module->parameters, sizeof(module->parameters));
}

/* For FIXTURE_TEARDOWN: loaded again, if a test has left it out. */
static inline void module_give_back(struct __test_metadata *_metadata,
				    const struct module *module)
{
	if (module_users() < 0)
		EXPECT_EQ(0, module_load(module));
	/* Not on every machine is the device there at once. */
	EXPECT_TRUE(WAIT_FOR(!access("/dev/vee", F_OK)));
}

/* Loaded anew: as it was, but for @parameters. */
static inline void module_change(struct __test_metadata *_metadata,
				 const struct module *module, const char *parameters)
{
	char all[sizeof(module->parameters) + 64];

	/* Of two values the kernel takes the latter. */
	snprintf(all, sizeof(all), "%s%s", module->parameters, parameters);
	ASSERT_TRUE(WAIT_FOR(!module_users()));
	ASSERT_EQ(0, module_unload());
	ASSERT_EQ(0, module_load_with(module, all));
	ASSERT_TRUE(WAIT_FOR(!access("/dev/vee", F_OK)));
}

/* --- many tests with the same parameters ---------------------------------------- */

/* As it was loaded when the program began; ->path is empty: nothing has been changed. */
static struct module *module_at_start;

/* Of @module's parameters, with those of @changed ("name=value ...") in their place. */
static inline void module_parameters_with(const struct module *module, const char *changed,
					  char *text, size_t bytes)
{
	char all[sizeof(module->parameters)], *word, *rest;
	size_t used = 0;

	snprintf(all, sizeof(all), "%s", module->parameters);
	text[0] = 0;
	for (word = strtok_r(all, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
		size_t name = strcspn(word, "=") + 1;
		const char *found = changed;

		while (*found && strncmp(found, word, name)) {
			found += strcspn(found, " ");
			found += strspn(found, " ");
		}
		if (*found)
			used += snprintf(text + used, bytes - used, "%.*s ",
					 (int)strcspn(found, " "), found);
		else
			used += snprintf(text + used, bytes - used, "%s ", word);
	}
}

/*
 * For FIXTURE_SETUP: loaded with @changed, values as sysfs has them (Y, N), if it isn't
 * already. Tests of a variant stand together, so each variant loads it once.
 */
static inline void module_want(struct __test_metadata *_metadata, const char *changed)
{
	char wanted[sizeof(module_at_start->parameters)];
	struct module now;

	module_take(_metadata, &now);
	if (!module_at_start->path[0])
		*module_at_start = now;
	module_parameters_with(module_at_start, changed, wanted, sizeof(wanted));
	if (!strcmp(now.parameters, wanted))
		return;
	ASSERT_EQ(0, module_unload());
	ASSERT_EQ(0, module_load_with(module_at_start, wanted));
	ASSERT_TRUE(WAIT_FOR(!access("/dev/vee", F_OK)));
}

/* Each test is a process of its own; they share this. */
__attribute__((constructor)) static void module_share(void)
{
	module_at_start = mmap(NULL, sizeof(*module_at_start), PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

/* The program's end, not a test's: those end by _exit(). */
__attribute__((destructor)) static void module_restore(void)
{
	if (module_at_start->path[0] && WAIT_FOR(!module_users()) && !module_unload())
		module_load(module_at_start);
}

#endif /* SELFTESTS_MODULE_UTIL_H */

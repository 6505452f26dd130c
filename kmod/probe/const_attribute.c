// SPDX-License-Identifier: GPL-2.0-only
/* The attributes of modules are const. */
#include <linux/module.h>

ssize_t probe(const struct module_attribute *from, struct module_kobject *module);

ssize_t probe(const struct module_attribute *from, struct module_kobject *module)
{
	return from->show(from, module, NULL);
}

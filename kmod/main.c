// SPDX-License-Identifier: GPL-2.0-only
/* Wires up the module: the device and what it needs, and takes it down again. */
#include <linux/miscdevice.h>
#include <linux/module.h>

#include "gcheap.h"

#ifdef CONFIG_GCHEAP_DEBUG
ulong gch_rules_off;
module_param_named(rules_off, gch_rules_off, ulong, 0644);
MODULE_PARM_DESC(rules_off, "Soundness rules switched off, a bit each (tests only)");
#endif

static struct miscdevice gch_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "gcheap",
	.fops = &gch_fops,
	.mode = 0666,
};

static int __init gch_init(void)
{
	int err;

	err = gch_roots_module_init();
	if (err)
		return err;
	err = gch_pool_module_init();
	if (err)
		return err;
	err = gch_stop_module_init();
	if (err)
		goto err_pool;
	err = gch_pressure_module_init();
	if (err)
		goto err_stop;
	err = misc_register(&gch_device);
	if (err)
		goto err_pressure;
	return 0;

err_pressure:
	gch_pressure_module_exit();
err_stop:
	gch_stop_module_exit();
err_pool:
	gch_pool_module_exit();
	return err;
}

static void __exit gch_exit(void)
{
	misc_deregister(&gch_device);
	gch_pressure_module_exit();
	gch_pool_module_exit();
	gch_stop_module_exit();
}

module_init(gch_init);
module_exit(gch_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Garbage-collected heaps for C programs");

// SPDX-License-Identifier: GPL-2.0
/*
 * Wrappers for what is inline or a macro in C. No logic, no locks; called by
 * kmod/sys only.
 */
#include <linux/build_bug.h>
#include <linux/io.h>
#include <linux/kref.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/sched/task.h>
#include "glue.h"

/* Seven pointers before get_mtu, two before create_ept: the rpmsg core's view. */
static_assert(sizeof(struct rpmsg_device_ops) == 5 * sizeof(void *));
static_assert(offsetof(struct rpmsg_device_ops, create_ept) == 2 * sizeof(void *));
static_assert(sizeof(struct rpmsg_endpoint_ops) == 8 * sizeof(void *));
static_assert(offsetof(struct rpmsg_endpoint_ops, trysend) == 3 * sizeof(void *));
static_assert(offsetof(struct rpmsg_endpoint_ops, get_mtu) == 7 * sizeof(void *));

/* Kernel address of a page of RAM, NULL for everything that is no RAM. */
void *qda_sim_phys_to_virt(phys_addr_t phys)
{
	return pfn_valid(PHYS_PFN(phys)) ? phys_to_virt(phys) : NULL;
}

void qda_sim_init_irq_work(struct irq_work *work, void (*func)(struct irq_work *))
{
	/*
	 * Runs in hard interrupt context here, and in a thread on PREEMPT_RT,
	 * just like the interrupt handler of GLINK.
	 */
	*work = IRQ_WORK_INIT(func);
}

void qda_sim_init_ept(struct rpmsg_endpoint *ept, struct rpmsg_device *rpdev,
		      rpmsg_rx_cb_t cb, void *priv, u32 addr,
		      const struct rpmsg_endpoint_ops *ops)
{
	memset(ept, 0, sizeof(*ept));
	kref_init(&ept->refcount);
	mutex_init(&ept->cb_lock);
	ept->rpdev = rpdev;
	ept->cb = cb;
	ept->priv = priv;
	ept->addr = addr;
	ept->ops = ops;
}

bool qda_sim_in_hardirq(void)
{
	return in_hardirq();
}

void qda_sim_rest(void)
{
	cond_resched();
}

void qda_sim_get_task(struct task_struct *task)
{
	get_task_struct(task);
}

void qda_sim_put_task(struct task_struct *task)
{
	put_task_struct(task);
}

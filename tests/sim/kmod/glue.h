/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the second bindgen run reads: rpmsg, the private operation tables of
 * rpmsg transports, and the glue functions.
 *
 * The two tables are a mirror of drivers/rpmsg/rpmsg_internal.h, which no
 * headers package ships. They must have the same members in the same order;
 * tests/sim/check-rpmsg-mirror compares them with a kernel source.
 */
#ifndef QDA_SIM_GLUE_H
#define QDA_SIM_GLUE_H

#include <linux/device.h>
#include <linux/irq_work.h>
#include <linux/kthread.h>
#include <linux/mod_devicetable.h>
#include <linux/poll.h>
#include <linux/rpmsg.h>

/* Mirror of rpmsg_internal.h begins. */
struct rpmsg_device_ops {
	struct rpmsg_device *(*create_channel)(struct rpmsg_device *rpdev,
					       struct rpmsg_channel_info *chinfo);
	int (*release_channel)(struct rpmsg_device *rpdev,
			       struct rpmsg_channel_info *chinfo);
	struct rpmsg_endpoint *(*create_ept)(struct rpmsg_device *rpdev,
					    rpmsg_rx_cb_t cb, void *priv,
					    struct rpmsg_channel_info chinfo);
	int (*announce_create)(struct rpmsg_device *rpdev);
	int (*announce_destroy)(struct rpmsg_device *rpdev);
};

struct rpmsg_endpoint_ops {
	void (*destroy_ept)(struct rpmsg_endpoint *ept);
	int (*send)(struct rpmsg_endpoint *ept, const void *data, int len);
	int (*sendto)(struct rpmsg_endpoint *ept, const void *data, int len, u32 dst);
	int (*trysend)(struct rpmsg_endpoint *ept, const void *data, int len);
	int (*trysendto)(struct rpmsg_endpoint *ept, const void *data, int len, u32 dst);
	__poll_t (*poll)(struct rpmsg_endpoint *ept, struct file *filp,
			     poll_table *wait);
	int (*set_flow_control)(struct rpmsg_endpoint *ept, bool pause, u32 dst);
	ssize_t (*get_mtu)(struct rpmsg_endpoint *ept);
};
/* Mirror of rpmsg_internal.h ends. */

void *qda_sim_phys_to_virt(phys_addr_t phys);
bool qda_sim_iova_writable(struct device *dev, u64 iova);
void qda_sim_init_irq_work(struct irq_work *work, void (*func)(struct irq_work *));
void qda_sim_init_ept(struct rpmsg_endpoint *ept, struct rpmsg_device *rpdev,
		      rpmsg_rx_cb_t cb, void *priv, u32 addr,
		      const struct rpmsg_endpoint_ops *ops);
bool qda_sim_in_hardirq(void);
void qda_sim_rest(void);
void qda_sim_get_task(struct task_struct *task);
void qda_sim_put_task(struct task_struct *task);

#endif

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the second bindgen run reads: C API that kernel::bindings lacks, our
 * helpers, and the user ABI. See Kbuild.
 */
#include <linux/device.h>
#include <linux/mod_devicetable.h>
#include <linux/rpmsg.h>
#include <linux/vmalloc.h>
#include <drm/drm_accel.h>
#include <drm/drm_print.h>
#include <drm/qda_accel.h>
#include "helpers.h"

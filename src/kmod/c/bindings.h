/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the second bindgen run reads: C API that kernel::bindings lacks, our
 * helpers, and the user ABI. See Kbuild.
 */
#include <linux/device.h>
#include <linux/gfp.h>
#include <linux/mod_devicetable.h>
#include <linux/rpmsg.h>
#include <linux/shmem_fs.h>
#include <linux/vmalloc.h>
#include <drm/drm_accel.h>
#include <drm/drm_print.h>
#include <drm/drm_vma_manager.h>
#include <drm/qda_accel.h>
#include "helpers.h"

/* Macros with casts, which bindgen cannot evaluate otherwise. */
static const gfp_t QDA_GFP_BUFFER = GFP_HIGHUSER;
static const gfp_t QDA_GFP_PIN = GFP_HIGHUSER | __GFP_RETRY_MAYFAIL |
				 __GFP_NOWARN;
static const u64 QDA_DRM_FILE_OFFSET_START =
	(u64)DRM_FILE_PAGE_OFFSET_START << PAGE_SHIFT;

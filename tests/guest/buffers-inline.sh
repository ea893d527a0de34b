# SPDX-License-Identifier: GPL-2.0
#
# Calls with buffers and what other sessions reach of them, DSPs that answer before send returns.

. /host/lib.sh

modprobe vgem || bail "vgem.ko does not load"
load_qda
load_sim inline
wait_nodes 2
qda-guest-test buffers buffer-isolation

# SPDX-License-Identifier: GPL-2.0
#
# Buffers that are exported and imported; vgem is the other device.

. /host/lib.sh

modprobe vgem || bail "vgem.ko does not load"
load_qda
load_sim
wait_nodes 2
qda-guest-test prime

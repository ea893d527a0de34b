# SPDX-License-Identifier: GPL-2.0
#
# Buffers of the node. The cases load the module anew and take DSPs away by themselves.

. /host/lib.sh

load_qda
load_sim
wait_nodes 2
qda-guest-test gem

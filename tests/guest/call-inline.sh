# SPDX-License-Identifier: GPL-2.0
#
# Calls and isolation, DSPs that answer before send returns.

. /host/lib.sh

load_qda
load_sim inline
wait_nodes 2
qda-guest-test call isolation

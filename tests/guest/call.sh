# SPDX-License-Identifier: GPL-2.0
#
# Calls and isolation, DSPs that answer from their own thread. The simulator comes first.

. /host/lib.sh

load_sim
load_qda
wait_nodes 2
qda-guest-test call isolation

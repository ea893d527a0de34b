# SPDX-License-Identifier: GPL-2.0
#
# Clients that die or are interrupted, DSPs that answer from their own thread.

. /host/lib.sh

load_qda
load_sim
wait_nodes 2
qda-guest-test death

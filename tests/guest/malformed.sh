# SPDX-License-Identifier: GPL-2.0
#
# Requests that no sane client makes.

. /host/lib.sh

load_qda
load_sim
wait_nodes 2
qda-guest-test malformed

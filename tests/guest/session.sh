# SPDX-License-Identifier: GPL-2.0
#
# Sessions of two DSPs. The driver comes first.

. /host/lib.sh

load_qda
load_sim
wait_nodes 2
qda-guest-test session

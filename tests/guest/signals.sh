# SPDX-License-Identifier: GPL-2.0
#
# Signals, stops and freezers that meet calls under way.

. /host/lib.sh

load_qda
load_sim
wait_nodes 2
qda-guest-test signals

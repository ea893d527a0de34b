# SPDX-License-Identifier: GPL-2.0
#
# A DSP whose processes rewrite the messages of their calls, answering from its own thread.

. /host/lib.sh

load_qda
load_sim
wait_nodes 2
qda-guest-test hostile

# SPDX-License-Identifier: GPL-2.0
#
# Clients that die or are interrupted, DSPs that answer before send returns.

. /host/lib.sh

load_qda
load_sim inline
wait_nodes 2
QDA_DEATHS=${QDA_DEATHS:-200} qda-guest-test death

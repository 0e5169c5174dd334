#!/bin/sh
# After an installation or an upgrade. Units that run go on with the older program until they are restarted: which of
# them first, and when, is for whoever upgrades to decide (doc/operating.md).
set -e
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
fi

#!/bin/sh
# Before a removal, and not before an upgrade: dpkg says "remove" then, rpm 0.
set -e
case "$1" in
remove | 0)
    if [ -d /run/systemd/system ]; then
        systemctl disable --now accountexport-projector.service accountexport-api.service accountexport-relay.service
    fi
    ;;
esac

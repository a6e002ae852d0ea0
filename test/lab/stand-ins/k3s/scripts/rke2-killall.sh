#!/bin/sh
# As the installer's: stops the services and kills what lives in containers. It finds those by the data directory,
# so where that was moved, RKE2_DATA_DIR must say so.
[ "$(id -u)" -eq 0 ] || exec sudo --preserve-env=RKE2_DATA_DIR "$0" "$@"
systemctl stop rke2-server.service || true
systemctl stop rke2-agent.service || true
for pid in $(pgrep -f "^${RKE2_DATA_DIR:-/var/lib/rancher/rke2}/data/" || true); do kill -9 "$pid"; done
rm -rf /run/k3s
exit 0

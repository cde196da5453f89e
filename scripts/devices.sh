#!/usr/bin/env bash
# What the tests of devices need: an OpenSSH server for loopback, adb's client, a browser for the server's page, a GPU in
# software (Chromium's SwiftShader, under Vulkan), and the aarch64 userland that QEMU runs.
# As root they are installed; as anyone else the tests that need them are skipped with the line that says what to type
# (and fail where CI is set). $1 is the virtual environment's Python. Nothing is started here: tests start their own.
set -euo pipefail

python=${1:?usage: scripts/devices.sh PYTHON}
missing=()
[ -x /usr/sbin/sshd ] || command -v sshd >/dev/null || missing+=(openssh-server)
command -v ssh >/dev/null || missing+=(openssh-client)
command -v adb >/dev/null || missing+=(adb)
command -v pgrep >/dev/null || missing+=(procps)
[ -e /usr/lib/chromium/libvk_swiftshader.so ] || missing+=(chromium-common)
command -v chromium-headless-shell >/dev/null || command -v chromium >/dev/null || missing+=(chromium-headless-shell)
if [ ${#missing[@]} != 0 ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        # The tests start a server of their own on loopback; the package's must not be started on the network.
        policy=/usr/sbin/policy-rc.d
        if [ ! -e $policy ]; then
            trap 'rm -f $policy' EXIT
            printf '#!/bin/sh\nexit 101\n' >$policy
            chmod +x $policy
        fi
        DEBIAN_FRONTEND=noninteractive apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
    else
        echo "note: the tests of devices are left out; as root: apt-get install ${missing[*]}" >&2
    fi
fi
"$python" -m export.certificate.userland >/dev/null || echo "note: the tests of emulated ARM are left out" >&2

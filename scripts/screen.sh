#!/usr/bin/env bash
# What the app's tests and screenshots need to open a real window without a display: an X server in memory, a hand that
# moves the mouse, OpenGL in software, and a clipboard. As root they are installed; as anyone else the tests that need
# them are skipped with the line that says what to type (and fail where CI is set).
set -euo pipefail

missing=()
command -v Xvfb >/dev/null || missing+=(xvfb)
command -v xdotool >/dev/null || missing+=(xdotool)
command -v xclip >/dev/null || missing+=(xclip)
if [ "$(uname -s)" = Linux ] && ! ldconfig -p | grep -q 'libGL\.so\.1'; then missing+=(libgl1); fi
if [ "$(uname -s)" = Linux ] && ! ls /usr/lib/*/dri/swrast_dri.so /usr/lib/*/libgallium*.so >/dev/null 2>&1; then missing+=(libgl1-mesa-dri); fi
[ ${#missing[@]} = 0 ] && exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    DEBIAN_FRONTEND=noninteractive apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
else
    echo "note: the app's window tests are left out; as root: apt-get install ${missing[*]}" >&2
fi

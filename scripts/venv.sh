#!/usr/bin/env bash
# Makes the virtual environment $1 on a machine that has only python3. Debian ships python3 without the venv module;
# as root that is mended here with apt-get, as anyone else with one line that says what to type.
set -euo pipefail

venv=${1:?usage: scripts/venv.sh FOLDER}
python=${PYTHON:-python3}

stop() { echo "error: $*" >&2; exit 2; }

command -v "$python" >/dev/null || stop "$python is not installed; install Python 3.11, 3.12 or 3.13"
"$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' ||
    stop "$("$python" --version) is not supported; use Python 3.11, 3.12 or 3.13, for example: make PYTHON=python3.12"

if [ -x "$venv/bin/python" ] && "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    exit 0
fi
if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
    package=python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        DEBIAN_FRONTEND=noninteractive apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package"
    else
        stop "$python has no venv module; as root: apt-get install $package"
    fi
fi
"$python" -m venv --clear "$venv"

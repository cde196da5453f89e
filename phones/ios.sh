#!/usr/bin/env bash
# The Xcode project for iOS, on a Mac with Xcode: docs/phones.md says what comes before and after, and what is missing.
set -euo pipefail
cd "$(dirname "$0")/../build"

[ "$(uname -s)" = Darwin ] || { echo "error: kivy-ios needs a Mac with Xcode" >&2; exit 2; }
[ -f phone/main.py ] || { echo "error: build/phone is missing; run make phone first" >&2; exit 2; }
toolchain build python3 kivy numpy pillow pyobjus plyer
toolchain create "PULSE ECG" "$PWD/phone"
open "pulse ecg-ios/pulse ecg.xcodeproj"

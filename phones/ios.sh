#!/usr/bin/env bash
# The Xcode project for iOS, on a Mac with Xcode, from the Core ML bundle $1: docs/phones.md says what comes before and
# after.
set -euo pipefail
cd "$(dirname "$0")/.."

bundle=${1:-build/pulse-nano-coreml}
stop() { echo "error: $*" >&2; exit 2; }

[ -f "$bundle/manifest.json" ] ||
    stop "$bundle is no bundle; run: pulse-export pulse-nano --target coreml --out build/pulse-nano-coreml"
grep -q '"target": "coreml"' "$bundle/manifest.json" || stop "$bundle is not for coreml, which is what iOS runs"
[ "$(uname -s)" = Darwin ] || stop "kivy-ios needs a Mac with Xcode"
command -v toolchain >/dev/null || stop "kivy-ios is missing; run: pip install kivy-ios cython"
command -v cargo >/dev/null || stop "Rust is missing; install it from https://rustup.rs"
rustup target add aarch64-apple-ios aarch64-apple-ios-sim x86_64-apple-ios

scripts/phone_sources.sh "$bundle" build/phone-ios
recipes=$PWD/phones/ios-recipes
mkdir -p build/ios
cd build/ios
toolchain build --add-custom-recipe "$recipes/pillow" --add-custom-recipe "$recipes/tokenizers" \
    python3 kivy numpy pillow pyobjus plyer photolibrary tokenizers
toolchain pip install --no-deps rubicon-objc==0.5.7
toolchain create pulse-ecg "$PWD/../phone-ios"
python3 ../../phones/ios_project.py pulse-ecg-ios dist
echo "build/ios/pulse-ecg-ios/pulse-ecg.xcodeproj is made; docs/phones.md goes on from here"

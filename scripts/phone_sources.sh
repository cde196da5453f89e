#!/usr/bin/env bash
# Lays out what goes on a phone: main.py, demo_app and edge_runtime, and the bundle $1 inside the app. Nothing
# else: not the bundle that comes with edge_runtime's wheel.
set -euo pipefail

bundle=${1:?usage: scripts/phone_sources.sh BUNDLE FOLDER}
target=${2:?usage: scripts/phone_sources.sh BUNDLE FOLDER}
[ -f "$bundle/manifest.json" ] || { echo "error: $bundle is no bundle; run make demo first" >&2; exit 2; }
rm -rf "$target"
mkdir -p "$target"
cp phones/main.py "$target"
for package in demo_app edge_runtime; do
    (cd "$(dirname "$package")" && find "$package" -name __pycache__ -prune -o -path edge_runtime/nano -prune -o -type f -print) | while read -r file; do
        mkdir -p "$target/$(dirname "$file")"
        cp "$file" "$target/$file"
    done
done
cp -r "$bundle" "$target/demo_app/bundle"

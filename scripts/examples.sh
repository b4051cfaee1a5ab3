#!/usr/bin/env bash
# Runs every example input from a release build; a failed verdict fails the script.
. "$(dirname "$0")/setup.sh"
cargo build --release --locked
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
for input in examples/*.toml; do
    echo "-- $input" >&2
    target/release/caloron run "$input" --quiet --out "$out/$(basename "$input" .toml)"
done

#!/usr/bin/env bash
# Sets everything up, builds Caloron and runs the main job: liquid argon, within a minute on two cores.
# Usage: scripts/start.sh [INPUT.toml [more arguments of `caloron run`]]
. "$(dirname "$0")/setup.sh"
cargo build --release --locked
[ $# -gt 0 ] || set -- examples/argon.toml --out "target/argon-$(date +%Y%m%d-%H%M%S)"
exec target/release/caloron run "$@"

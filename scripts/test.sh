#!/usr/bin/env bash
# Sets everything up and passes the tests.
. "$(dirname "$0")/setup.sh"
exec cargo test --workspace --locked "$@"

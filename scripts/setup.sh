# Sourced by the other scripts: makes sure that what the build needs is there, and installs what is missing
# without asking. Needs git, a Rust toolchain, a C++ compiler and python3's pip.
#
# What may be installed: cmake (builds the chemfiles library), from pip into target/tools, without root.
set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/.."

need() {
    command -v "$1" >/dev/null 2>&1 || { echo "setup: $1 is missing: $2" >&2; exit 1; }
}
need cargo "install a Rust toolchain, 1.90 or newer"
command -v c++ >/dev/null 2>&1 || command -v g++ >/dev/null 2>&1 || command -v clang++ >/dev/null 2>&1 ||
    { echo "setup: a C++ compiler is missing" >&2; exit 1; }

if ! command -v cmake >/dev/null 2>&1; then
    tools=$PWD/target/tools
    if [ ! -x "$tools/cmake/data/bin/cmake" ]; then
        echo "setup: installing cmake with pip into target/tools" >&2
        need python3 "it is needed to install cmake"
        python3 -m pip install --quiet --disable-pip-version-check --target "$tools" "cmake<4"
    fi
    PATH=$tools/cmake/data/bin:$PATH
    export PATH
fi

#!/usr/bin/env bash
# Measures what docs/benchmarks.md shows, on a quiet machine. With LAMMPS: CALORON_LAMMPS names a script that takes
# `lj RANKS` and prints one line of JSON with atom_steps_per_second; ours and theirs run in turn, five times each.
. "$(dirname "$0")/setup.sh"
cargo build --release --locked
caloron=target/release/caloron
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
field() { python3 -c 'import json,sys; print(json.loads(sys.argv[1])[sys.argv[2]])' "$1" "$2"; }

echo "## Machine"
grep -m1 'model name' /proc/cpuinfo | cut -d: -f2
echo "$(nproc) cores, $(rustc --version), $(date -u +%F)"

if [ -n "${CALORON_LAMMPS:-}" ]; then
    for n in 1 2; do
        echo "## Lennard-Jones melt, 32,000 atoms, $n thread(s) against $n rank(s)"
        echo "| run | caloron, M atom-steps/s | LAMMPS opt | ratio | builds, % of time |"
        echo "|---|---|---|---|---|"
        for run in 1 2 3 4 5; do
            ours=$($caloron bench benches/peers/lj.toml --threads $n 2>/dev/null)
            theirs=$("$CALORON_LAMMPS" lj $n)
            python3 - "$run" "$ours" "$theirs" <<'PY'
import json, sys
run, a, b = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
x, y = a["atom_steps_per_second"] / 1e6, b["atom_steps_per_second"] / 1e6
print(f"| {run} | {x:.2f} | {y:.2f} | {x / y:.2f} | {100 * a['neighbor_seconds'] / a['loop_seconds']:.1f} |")
PY
        done
    done
fi

echo "## Threads"
for run in 1 2 3; do
    one=$(field "$($caloron bench benches/peers/lj.toml --threads 1 2>/dev/null)" atom_steps_per_second)
    two=$(field "$($caloron bench benches/peers/lj.toml --threads 2 2>/dev/null)" atom_steps_per_second)
    python3 -c 'import sys; a, b = map(float, sys.argv[1:]); print(f"1 thread {a/1e6:.2f} M, 2 threads {b/1e6:.2f} M: {b/a:.2f} x")' "$one" "$two"
done

echo "## Growth, 1 thread"
echo "| atoms | ns per atom-step | peak bytes per atom |"
echo "|---|---|---|"
for size in 6:20000 14:2000 30:300 63:40; do
    repeat=${size%:*} steps=${size#*:}
    sed "s/repeat = \[20, 20, 20\]/repeat = [$repeat, $repeat, $repeat]/" benches/peers/lj.toml >"$work/lj.toml"
    json=$($caloron bench "$work/lj.toml" --steps "$steps" --threads 1 2>/dev/null)
    python3 - "$json" <<'PY'
import json, sys
a = json.loads(sys.argv[1])
print(f"| {a['atoms']:,} | {1e9 / a['atom_steps_per_second']:.1f} | {a['peak_rss_bytes'] / a['atoms']:.0f} |")
PY
done

echo "## Start-up: whole process, 108 atoms, 1 step"
cat >"$work/start.toml" <<'TOML'
units = "lj"
seed = 1
[system]
lattice = { fcc = { density = 0.8, species = "A", repeat = [3, 3, 3] } }
velocities = { temperature = 1.0 }
[[potential]]
[potential.lennard_jones]
cutoff = 2.5
pairs = [{ species = ["A", "A"], epsilon = 1.0, sigma = 1.0 }]
[[stage]]
name = "start"
steps = 1
[stage.nve]
timestep = 0.004
TOML
for run in 1 2 3 4 5; do
    rm -rf "$work/out"
    python3 - "$caloron" "$work" <<'PY'
import subprocess, sys, time
t = time.perf_counter()
subprocess.run([sys.argv[1], "run", "--quiet", sys.argv[2] + "/start.toml", "--out", sys.argv[2] + "/out"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(f"{1e3 * (time.perf_counter() - t):.1f} ms")
PY
done

"""Times NEP_CPU on the crystal of nep.toml: OMP_NUM_THREADS=1 python nep.py PbTe_NEP4.txt

Prints one JSON line: atom-steps per second for energy, forces and stress in double precision, the median of five calls, with a small displacement
before each. Needs calorine (4.1 was used) and ASE.
"""

import json
import statistics
import sys
import time

from ase.build import bulk
from calorine.calculators import CPUNEP

atoms = bulk("PbTe", "rocksalt", a=6.57, cubic=True) * (7, 7, 7)
atoms.rattle(0.05, seed=3)
atoms.calc = CPUNEP(sys.argv[1])
atoms.get_forces()
times = []
for seed in range(5):
    atoms.rattle(1e-3, seed=seed)
    start = time.perf_counter()
    atoms.get_forces()
    times.append(time.perf_counter() - start)
print(json.dumps(dict(program="NEP_CPU", atoms=len(atoms), atom_steps_per_second=len(atoms) / statistics.median(times))))

"""Makes the models and numbers of this folder: python make.py

Needs calorine 4.1, of which NEP_CPU itself is called (its calculator takes no version 3), with ASE. The models have random numbers and few functions: version 3 with two elements, without and with the universal ZBL;
version 4 with ZBL of other parameters for each pair (`zbl 0 0`) and with radii by type (`zbl 1 3 0.7`). `nep.extxyz` holds what NEP_CPU gives.

Models and numbers were made by this script for Caloron's tests and have Caloron's licence (MIT OR Apache-2.0).
"""

import os

import _nepy
import numpy as np
from ase import Atoms


OUT = os.path.dirname(os.path.abspath(__file__))
SYMBOLS = ["O", "Si"]
CASES = {
    "nep3": ("nep3", None, (3, 2, 0)),
    "nep3_zbl": ("nep3_zbl", "zbl 0.9 2.1", (4, 2, 1)),
    "nep4_flexible": ("nep4_zbl", "zbl 0 0", (4, 2, 1)),
    "nep4_typewise": ("nep4_zbl", "zbl 1 3 0.7", (2, 0, 0)),
}


def model(path, tag, zbl, l, random):
    radial, angular, hidden = (3, 2), (4, 4), 6
    dimension = radial[0] + 1 + (radial[1] + 1) * (l[0] + (l[1] > 0) + (l[2] > 0))
    types = len(SYMBOLS)
    networks = 1 if tag.startswith("nep3") else types
    lines = [f"{tag} {types} {' '.join(SYMBOLS)}"] + ([zbl] if zbl else [])
    lines += ["cutoff 5 4 100 100", f"n_max {radial[0]} {radial[1]}", f"basis_size {angular[0]} {angular[1]}"]
    lines += [f"l_max {l[0]} {l[1]} {l[2]}", f"ANN {hidden} 0"]
    numbers = []
    for _ in range(networks):
        numbers += [*random.normal(0, 0.4, hidden * dimension), *random.normal(0, 0.3, hidden), *random.normal(0, 0.5, hidden)]
    numbers.append(-0.8)
    numbers += list(random.normal(0, 0.4, types**2 * ((radial[0] + 1) * (angular[0] + 1) + (radial[1] + 1) * (angular[1] + 1))))
    numbers += list(random.uniform(0.2, 0.6, dimension))
    if zbl == "zbl 0 0":
        universal = [(0.18, 3.2), (0.51, 0.94), (0.28, 0.4), (0.028, 0.2)]
        for pair in range(types * (types + 1) // 2):
            numbers += [0.8 + 0.1 * pair, 1.9 + 0.15 * pair]
            numbers += [x * (1 + 0.1 * (k - 0.5) * pair) for a in universal for k, x in enumerate(a)]
    with open(path, "w") as to:
        to.write("\n".join(lines + [f"{x:.7e}" for x in numbers]) + "\n")


def structures(random):
    sites = np.array([[i, j, k] for i in (0, 0.5) for j in (0, 0.5) for k in (0, 0.5)])
    for name, scale in [("crystal", 1.0), ("dense", 0.62)]:
        cell = scale * np.array([[4.4, 0, 0], [0.3, 4.7, 0], [-0.2, 0.4, 4.9]])
        positions = np.round(sites @ cell + scale * random.normal(0, 0.15, (8, 3)), 8)
        yield name, Atoms("OSiOSiSiOOO", positions=positions, cell=cell, pbc=True)
    positions = np.round([[0, 0, 0], [1.1, 0.2, 0], [-0.5, 1.0, 0.3], [0.4, -0.9, 1.5]] + random.normal(0, 0.05, (4, 3)), 8)
    yield "molecule", Atoms("SiOOSi", positions=positions, cell=np.eye(3) * 40, pbc=True)


numbers = lambda a: " ".join(repr(float(v)) for v in np.ravel(a))
random = np.random.default_rng(11)
with open(f"{OUT}/nep.extxyz", "w") as to:
    for case, (tag, zbl, l) in CASES.items():
        model(f"{OUT}/{case}.txt", tag, zbl, l, random)
        for name, atoms in structures(np.random.default_rng(12)):
            cell, places = atoms.cell.array.T.ravel().tolist(), atoms.positions.T.ravel().tolist()
            program = _nepy.NEPY(f"{OUT}/{case}.txt", len(atoms), cell, atoms.get_chemical_symbols(), places, atoms.get_masses().tolist())
            sites, forces, virials = (np.array(a) for a in program.get_potential_forces_and_virials())
            forces, virial = forces.reshape(3, -1).T, virials.reshape(9, -1).sum(1).reshape(3, 3)
            energy, stress = float(sites.sum()), -virial / atoms.get_volume()
            line = f'name={name} model={case} Lattice="{numbers(atoms.cell)}" pbc="T T T" stress="{numbers(stress)}"'
            to.write(f"{len(atoms)}\n{line} energy={energy!r} Properties=species:S:1:pos:R:3:forces:R:3:energies:R:1\n")
            for k, symbol in enumerate(atoms.get_chemical_symbols()):
                to.write(f"{symbol} {numbers([*atoms.positions[k], *forces[k], sites[k]])}\n")
            print(case, name, energy, abs(forces).max())

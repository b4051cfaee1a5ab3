"""Makes reference.extxyz with s-dftd3 (pip install dftd3==1.7.0 numpy): energies in eV, forces in eV/A, virials in eV.

Positions and cells are given in A; 1 bohr = 0.529177210903 A, 1 hartree = 27.211386245988 eV.
"""
import numpy as np
from dftd3.interface import DispersionModel, RationalDampingParam, ZeroDampingParam

BOHR, HARTREE = 0.529177210903, 27.211386245988
NUMBERS = {"H": 1, "C": 6, "N": 7, "O": 8, "Na": 11, "Si": 14, "Cl": 17, "Cu": 29, "Mo": 42, "Au": 79, "S": 16}
rng = np.random.default_rng(3)

water = [("O", -1.551007, -0.114520, 0.0), ("H", -1.934259, 0.762503, 0.0), ("H", -0.599677, 0.040712, 0.0),
         ("O", 1.350625, 0.111469, 0.0), ("H", 1.680398, -0.373741, -0.758561), ("H", 1.680398, -0.373741, 0.758561)]
gold = [("Au", 0.0, 0.0, 0.0), ("Au", 2.8, 0.1, 0.0), ("S", 1.4, 1.9, 0.4), ("C", 1.6, 2.6, 2.0), ("H", 0.7, 3.1, 2.4),
        ("H", 2.4, 3.3, 2.0), ("H", 1.9, 1.8, 2.8), ("Mo", -1.3, 2.4, -0.9), ("Cu", 1.2, -2.2, 0.6), ("N", 3.9, 2.0, -0.7)]
salt = [(s, *p) for s, p in zip(["Na", "Cl"] * 4, rng.uniform(0, 1, (8, 3)) * 0.25
        + np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)]) * 2.8)]
carbon = [("C", 0.0, 0.0, 0.0), ("C", 1.42, 0.05, 0.1), ("Si", 0.2, 2.2, 0.3)]
CASES = [("water", water, None), ("gold", gold, None),
         ("salt", salt, np.array([[5.6, 0.1, 0.2], [-0.3, 5.7, 0.15], [0.25, 0.05, 5.5]])),
         ("carbon", carbon, np.array([[2.53, 0.0, 0.0], [-1.2, 4.1, 0.0], [0.1, 0.3, 6.6]]))]
# name, parameters, s9, cutoffs of pairs, triples, coordination numbers (A; None: 60, 40 and 40 bohr)
MODELS = [("bj pbe", lambda: RationalDampingParam(method="pbe", atm=False), None),
          ("bj b3lyp", lambda: RationalDampingParam(method="b3lyp", atm=True), (16.0, 10.0, 12.0)),
          ("zero pbe", lambda: ZeroDampingParam(method="pbe", atm=False), (16.0, 10.0, 12.0)),
          ("zero b2plyp", lambda: ZeroDampingParam(method="b2plyp", atm=True), (16.0, 10.0, 12.0))]

out = []
for name, atoms, cell in CASES:
    symbols = [a[0] for a in atoms]
    positions = np.round(np.array([a[1:] for a in atoms], float), 6)
    for label, param, cutoffs in MODELS:
        if cell is not None and cutoffs is None and name == "carbon":
            continue
        model = DispersionModel(np.array([NUMBERS[s] for s in symbols]), positions / BOHR,
                                None if cell is None else cell / BOHR,
                                None if cell is None else np.array([True] * 3))
        if cutoffs:
            model.set_realspace_cutoff(*(c / BOHR for c in cutoffs))
        r = model.get_dispersion(param(), grad=True)
        virial = -np.array(r["virial"]) * HARTREE
        forces = -np.array(r["gradient"]) * HARTREE / BOHR
        text = lambda m: " ".join(repr(float(x)) for x in np.ravel(m))
        lattice = "" if cell is None else f'Lattice="{text(cell)}" pbc="T T T" '
        out.append(f"{len(atoms)}\n{lattice}Properties=species:S:1:pos:R:3:forces:R:3 name=\"{name} {label}\" "
                   f"cutoffs=\"{text(cutoffs or (60 * BOHR, 40 * BOHR, 40 * BOHR))}\" "
                   f"energy={float(r['energy']) * HARTREE!r} virial=\"{text(virial)}\"\n")
        for s, p, f in zip(symbols, positions, forces):
            out.append(f"{s} {text(p)} {text(f)}\n")
        print(name, label, float(r["energy"]), abs(forces).max())
open("reference.extxyz", "w").writelines(out)

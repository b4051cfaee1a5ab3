"""Makes chamber.prmtop (ParmEd 4.3.1) and chamber.golden (OpenMM 8.6.1, Reference platform): chamber.py

A chain of two peptide bonds with parameters that belong to no force field; every term of a CHARMM force field occurs: springs between
the ends of angles, dihedrals of several periods, impropers, a map, 1-4 pairs with Lennard-Jones numbers of their own, a pair of types
with its own numbers, scaled 1-4 pairs.
"""
import math
import os

import numpy as np
import openmm
import parmed as pm
from openmm import app, unit
from parmed.amber import ChamberParm
from parmed.topologyobjects import (
    Angle, AngleType, Atom, AtomType, Bond, BondType, Cmap, CmapType, Dihedral, DihedralType, Improper, ImproperType, UreyBradley,
)

HERE = os.path.dirname(os.path.abspath(__file__)) + "/"
rng = np.random.default_rng(5)

# name, type, element, mass, charge; types: half of the distance of the minimum and depth, both also for 1-4 pairs
TYPES = {
    "CT": (2.06, 0.078, 1.95, 0.010),
    "CC": (2.00, 0.110, 2.00, 0.110),
    "NP": (1.85, 0.200, 1.55, 0.200),
    "OC": (1.70, 0.120, 1.40, 0.120),
    "HP": (0.22, 0.046, 0.22, 0.046),
    "HC": (1.34, 0.028, 1.30, 0.024),
}
ATOMS = [
    ("CY", "CC", 6, 12.011, 0.49), ("OY", "OC", 8, 15.999, -0.53), ("HY", "HC", 1, 1.008, 0.06),
    ("N", "NP", 7, 14.007, -0.45), ("HN", "HP", 1, 1.008, 0.29), ("CA", "CT", 6, 12.011, 0.05), ("HA", "HC", 1, 1.008, 0.09),
    ("CB", "CT", 6, 12.011, -0.09), ("HB", "HC", 1, 1.008, 0.07), ("C", "CC", 6, 12.011, 0.51), ("O", "OC", 8, 15.999, -0.51),
    ("NT", "NP", 7, 14.007, -0.60), ("HT1", "HP", 1, 1.008, 0.31), ("HT2", "HP", 1, 1.008, 0.31),
]
BONDS = [("CY", "OY"), ("CY", "HY"), ("CY", "N"), ("N", "HN"), ("N", "CA"), ("CA", "HA"), ("CA", "CB"), ("CB", "HB"), ("CA", "C"),
         ("C", "O"), ("C", "NT"), ("NT", "HT1"), ("NT", "HT2")]
POSITIONS = {
    "CY": (-2.35, 0.55, 0.31), "OY": (-2.48, 1.76, 0.42), "HY": (-3.21, -0.10, 0.11), "N": (-1.17, -0.08, 0.36), "HN": (-1.13, -1.07, 0.33),
    "CA": (0.08, 0.66, 0.22), "HA": (-0.05, 1.61, -0.30), "CB": (0.73, 0.93, 1.58), "HB": (1.65, 1.50, 1.45), "C": (1.02, -0.15, -0.66),
    "O": (0.72, -1.25, -1.10), "NT": (2.25, 0.35, -0.92), "HT1": (2.55, 1.24, -0.61), "HT2": (2.87, -0.21, -1.44),
}

molecule = pm.Structure()
types = {}
for k, (name, (r, e, r14, e14)) in enumerate(TYPES.items()):
    types[name] = AtomType(name, k + 1, 12.0, 6)
    types[name].set_lj_params(e, r, e14, r14)
types["OC"].add_nbfix("HP", 1.75, 0.09, 1.70, 0.07)
types["HP"].add_nbfix("OC", 1.75, 0.09, 1.70, 0.07)
at = {}
for name, kind, number, mass, charge in ATOMS:
    a = Atom(name=name, type=kind, atomic_number=number, mass=mass, charge=charge)
    a.atom_type = types[kind]
    molecule.add_atom(a, "ALA", 1)
    at[name] = a


def place(types, make, *key):
    """The type of these parameters, made once."""
    for t in types:
        if t._key == key:
            return t
    t = make(*key)
    t._key = key
    t.list = types
    types.append(t)
    return t


bonds = {}
for a, b in BONDS:
    t = place(molecule.bond_types, BondType, 300.0 + 10 * len(molecule.bond_types), round(float(1.0 + 0.3 * rng.random()), 3))
    molecule.bonds.append(Bond(at[a], at[b], t))
    bonds.setdefault(a, []).append(b)
    bonds.setdefault(b, []).append(a)
angles = [(a, b, c) for b in at for a in bonds[b] for c in bonds[b] if list(at).index(a) < list(at).index(c)]
for k, (a, b, c) in enumerate(angles):
    t = place(molecule.angle_types, AngleType, 40.0 + 2.5 * (k % 5), 105.0 + 3.0 * (k % 4))
    molecule.angles.append(Angle(at[a], at[b], at[c], t))
    if k % 2 == 0:
        t = place(molecule.urey_bradley_types, BondType, 11.0 + k % 3, round(2.1 + 0.05 * (k % 3), 3))
        molecule.urey_bradleys.append(UreyBradley(at[a], at[c], t))
k = 0
for b in at:
    for c in bonds[b]:
        if list(at).index(c) < list(at).index(b):
            continue
        for a in bonds[b]:
            for d in bonds[c]:
                if a in (c, d) or d == b:
                    continue
                for per in [2] if k % 3 else [1, 3]:
                    t = place(molecule.dihedral_types, DihedralType, round(0.2 + 0.15 * (k % 4), 3), per, 180.0 * (k % 2), 1.0 + 0.2 * (k % 2), 1.0 + 0.6 * (k % 2))
                    # two lines of one dihedral count its 1-4 pair once
                    molecule.dihedrals.append(Dihedral(at[a], at[b], at[c], at[d], ignore_end=per == 3, type=t))
                k += 1
for center, others, psi in (("CY", ("N", "OY", "HY"), 0.0), ("C", ("CA", "NT", "O"), 0.0), ("CA", ("N", "C", "CB"), 35.0)):
    t = place(molecule.improper_types, ImproperType, 45.0 if psi == 0.0 else 12.0, psi)
    molecule.impropers.append(Improper(at[center], *[at[o] for o in others], t))
n = 12
phi = np.arange(n) * 2 * math.pi / n
grid = [round(float(1.2 * math.cos(x) + 0.7 * math.sin(2 * y + 0.4) - 0.6 * math.cos(x - y)), 5) for x in phi for y in phi]
molecule.cmap_types.append(CmapType(n, grid))
molecule.cmap_types[0].list = molecule.cmap_types
molecule.cmaps.append(Cmap(*[at[x] for x in ("CY", "N", "CA", "C", "NT")], type=molecule.cmap_types[0]))
molecule.coordinates = np.array([POSITIONS[x] for x in at])
molecule.update_dihedral_exclusions()
parm = ChamberParm.from_structure(molecule)
parm.parm_data["CTITLE"] = ["made-up peptide"]
parm.write_parm(HERE + "chamber.prmtop")

system = app.AmberPrmtopFile(HERE + "chamber.prmtop").createSystem(nonbondedMethod=app.NoCutoff, removeCMMotion=False)
names = []
for k, force in enumerate(system.getForces()):
    force.setForceGroup(k)
    names.append(force.getName())
context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
context.setPositions([openmm.Vec3(*POSITIONS[x]) * 0.1 for x in at])
energy = lambda groups: context.getState(getEnergy=True, groups=groups).getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole)
with open(HERE + "chamber.golden", "w") as out:
    out.write("# OpenMM 8.6.1, Reference platform, no cutoff: kJ/mol, kJ/mol/nm; positions in angstroms\n")
    for k, name in enumerate(names):
        out.write(f"{name} {energy({k})!r}\n")
    out.write("positions\n")
    for x in at:
        out.write("%.6f %.6f %.6f\n" % POSITIONS[x])
    out.write("forces\n")
    for f in context.getState(getForces=True).getForces(asNumpy=True)._value:
        out.write("%.15g %.15g %.15g\n" % tuple(f))
print(open(HERE + "chamber.golden").read())

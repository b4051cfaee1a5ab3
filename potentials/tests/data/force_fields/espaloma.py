"""Makes espaloma.system.xml and espaloma.golden (OpenMM, Reference platform): espaloma.py

A molecule of acetamide with parameters of the kind that espaloma 0.3 deploys: every bond, angle and torsion has numbers of its own, torsions
and impropers have six periods of which negative ones turn the phase, charges come from a network and add up to zero only nearly; no
term occurs that an OpenFF system would not have. The numbers are random and belong to no force field.
"""
import math
import os

import numpy as np
import openmm
from openmm import unit

HERE = os.path.dirname(os.path.abspath(__file__)) + "/"
rng = np.random.default_rng(11)
single = lambda x: float(np.float32(x))

ELEMENTS = "C C O N H H H H H".split()
MASS = {"C": 12.01, "O": 15.999, "N": 14.007, "H": 1.008}
LJ = {"C": (0.337953, 0.45539), "O": (0.303981, 0.87950), "N": (0.320687, 0.70102), "H": (0.258321, 0.06849)}
CHARGES = [-0.1473, 0.6584, -0.6021, -0.6711, 0.0581, 0.0577, 0.0583, 0.2952, 0.2931]
BONDS = [(0, 1), (0, 4), (0, 5), (0, 6), (1, 2), (1, 3), (3, 7), (3, 8)]
POSITIONS = np.array([
    (-1.36, -0.27, 0.05), (0.08, 0.18, -0.02), (0.38, 1.36, 0.09), (0.99, -0.81, -0.14), (-1.97, 0.49, 0.55), (-1.76, -0.45, -0.96),
    (-1.43, -1.21, 0.61), (0.72, -1.77, -0.22), (1.98, -0.62, -0.06),
]) * 0.1

near = {i: sorted({b for a, b in BONDS if a == i} | {a for a, b in BONDS if b == i}) for i in range(9)}
angles = [(a, i, b) for i in range(9) for a in near[i] for b in near[i] if a < b]
torsions = [(a, i, j, b) for i, j in BONDS for a in near[i] if a != j for b in near[j] if b != i and b != a]
impropers = [(i, *others) for i in (1, 3) for others in
             [(near[i][0], near[i][1], near[i][2]), (near[i][1], near[i][2], near[i][0]), (near[i][2], near[i][0], near[i][1])]]

system = openmm.System()
for e in ELEMENTS:
    system.addParticle(MASS[e])
bond, angle, torsion = openmm.HarmonicBondForce(), openmm.HarmonicAngleForce(), openmm.PeriodicTorsionForce()
for a, b in BONDS:
    r = float(np.linalg.norm(POSITIONS[a] - POSITIONS[b]))
    bond.addBond(a, b, single(r * rng.uniform(0.97, 1.03)), single(rng.uniform(2.5e5, 5.5e5)))
for a, i, b in angles:
    angle.addAngle(a, i, b, single(rng.uniform(1.85, 2.15)), single(rng.uniform(300, 600)))


def periods(atoms, scale, by):
    for n in range(1, 7):
        k, phase = single(rng.normal() * scale / n), 0.0
        if k < 0:
            k, phase = -k, math.pi
        torsion.addTorsion(*atoms, n, phase, by * k)


for atoms in torsions:
    periods(atoms, 3.0, 1.0)
for atoms in impropers:
    periods(atoms, 4.0, 0.5)
pairs = openmm.NonbondedForce()
pairs.setNonbondedMethod(openmm.NonbondedForce.NoCutoff)
for e, q in zip(ELEMENTS, CHARGES):
    pairs.addParticle(single(q + 1e-4 * rng.normal()), *LJ[e])
pairs.createExceptionsFromBonds(BONDS, 0.8333333333, 0.5)
for k, force in enumerate((bond, angle, torsion, pairs)):
    force.setName(force.__class__.__name__)
    system.addForce(force)
open(HERE + "espaloma.system.xml", "w").write(openmm.XmlSerializer.serialize(system))
for k, force in enumerate(system.getForces()):
    force.setForceGroup(k)
context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
context.setPositions(POSITIONS)
with open(HERE + "espaloma.golden", "w") as out:
    print(f"# OpenMM {openmm.version.version}, Reference platform; kJ/mol, Å and kJ/mol/nm", file=out)
    for k, force in enumerate(system.getForces()):
        energy = context.getState(getEnergy=True, groups={k}).getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole)
        print(force.getName(), repr(energy), file=out)
    print("positions", file=out)
    for x in POSITIONS * 10:
        print(*(repr(round(float(c), 6)) for c in x), file=out)
    print("forces", file=out)
    forces = context.getState(getForces=True).getForces(asNumpy=True).value_in_unit(unit.kilojoule_per_mole / unit.nanometer)
    for f in forces:
        print(*(repr(float(c)) for c in f), file=out)

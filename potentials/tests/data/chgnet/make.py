"""Makes the numbers of this folder: python make.py chgnet_0.3.0_float64.extxyz

Needs chgnet 0.4.2, whose package holds the r2SCAN weights (pretrained/r2scan/chgnet_r2scan_transfer_learning_e15f36s161m23.pth.tar). Structures are some of
the given file, which says what version 0.3.0 gives for them; the network runs in double precision with the weights as they are. The weights
themselves are not here.
"""

import os
import sys

import ase.io
import chgnet.graph.converter
import chgnet.graph.crystalgraph
import chgnet.model.model
import numpy as np
import torch
from chgnet.model import CHGNet
from pymatgen.io.ase import AseAtomsAdaptor

torch.set_num_threads(1)
OUT = os.path.dirname(os.path.abspath(__file__))
GPA = 160.21766208
NAMES = ["limno2_pmmn_8", "licoo2_layered_12", "fe_1atom", "batio3_5", "si_skewed_supercell_16", "mos2_bilayer_vacuum", "water_8_box",
         "random_mix_light_10", "random_mix_heavy_12", "triclinic_general_6"]  # fmt: skip

model = CHGNet.load(model_name="r2scan", use_device="cpu", verbose=False).to(torch.float64)
composition = model.composition_model._get_energy
model.composition_model._get_energy = lambda x: composition(x.to(torch.float64))
for module in (chgnet.graph.converter, chgnet.graph.crystalgraph, chgnet.model.model):
    assert hasattr(module, "TORCH_DTYPE")
    module.TORCH_DTYPE = torch.float64
torch.set_default_dtype(torch.float64)
model.eval()

numbers = lambda a: " ".join(repr(float(v)) for v in np.ravel(a))
frames = {a.info["name"]: a for a in ase.io.read(sys.argv[1], ":")}
with open(f"{OUT}/r2scan.extxyz", "w") as to:
    for name in NAMES:
        atoms = frames[name]
        r = model.predict_structure(AseAtomsAdaptor.get_structure(atoms), task="efsm", return_site_energies=True)
        stress = np.asarray(r["s"], float)
        stress = 0.5 * (stress + stress.T) / GPA
        line = f'name={name} Lattice="{numbers(atoms.cell)}" pbc="T T T" energy={float(r["e"]) * len(atoms)!r} stress="{numbers(stress)}"'
        to.write(f"{len(atoms)}\n{line} Properties=species:S:1:pos:R:3:forces:R:3:magmoms:R:1:energies:R:1\n")
        for k, symbol in enumerate(atoms.get_chemical_symbols()):
            row = [*atoms.positions[k], *r["f"][k], np.ravel(r["m"])[k], r["site_energies"][k]]
            to.write(f"{symbol} {numbers(row)}\n")
        print(name, float(r["e"]), np.abs(r["f"]).max(), np.abs(r["m"]).max(), flush=True)

"""Makes the models and numbers of this folder: python make.py

Needs mace-torch 0.3.16 with ASE. Every model has random weights, few channels and options that no published model has; it is saved by
`torch.save(model)` as mace-torch does, without the compiled code of e3nn's layers and of the contractions, which nobody reads, and compressed.
`mace.extxyz` holds what mace-torch gives in double precision for two crystals and a molecule.

Energies of atoms of a model with a readout of its embedding contain what that gives, which mace-torch adds to the total energy alone.
The gate of `mh` is written as the class of e3nn that mace-torch 0.3.14 saved, with which the published models were made.

mace-torch's Chebyshev functions have a derivative that is too small (torch.special.chebyshev_polynomial_t is not differentiable in the distance), so that
its forces are not the derivative of its energy. The energies here are its own; forces and stress are the derivative of the same energy with
the functions written as T_(n+1) = 2 x T_n - T_(n-1).

Models and numbers were made by this script for Caloron's tests and have Caloron's licence (MIT OR Apache-2.0).
"""

import glob
import gzip
import io
import os
import warnings

warnings.filterwarnings("ignore")
# e3nn loads tables of its own with torch.load
os.environ.setdefault("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
import numpy as np
import torch
from ase import Atoms
from e3nn import nn as e3nn_nn
from e3nn import o3
from e3nn.util.codegen import CodeGenMixin
from mace import data, modules
from mace.modules import radial
from mace.modules.symmetric_contraction import Contraction
from mace.tools import torch_geometric
from mace.tools.utils import AtomicNumberTable

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
OUT = os.path.dirname(os.path.abspath(__file__))
NUMBERS, CUTOFF = [1, 6, 8], 4.2
RESIDUAL, PLAIN = "RealAgnosticResidualInteractionBlock", "RealAgnosticInteractionBlock"
NONLINEAR = "RealAgnosticResidualNonLinearInteractionBlock"
BASE = dict(
    r_max=CUTOFF, num_bessel=5, num_polynomial_cutoff=5, max_ell=2, interaction_cls=RESIDUAL, interaction_cls_first=RESIDUAL, num_interactions=2,
    hidden_irreps="3x0e+3x1o", MLP_irreps="4x0e", atomic_numbers=NUMBERS, num_elements=3, atomic_energies=[-1.0, -2.0, -3.0], avg_num_neighbors=8.0,
    correlation=2, gate="silu", pair_repulsion=False, distance_transform="None", radial_MLP=[8, 8], radial_type="bessel",
    atomic_inter_scale=0.8, atomic_inter_shift=0.1, use_reduced_cg=True,
)  # fmt: skip
CASES = {
    "gaussian_soft_zbl": dict(radial_type="gaussian", distance_transform="Soft", pair_repulsion=True),
    "chebyshev_agnesi": dict(radial_type="chebyshev", distance_transform="Agnesi", max_ell=1),
    "soft_tanh": dict(distance_transform="Soft", gate="tanh", max_ell=1),
    "correlation_1": dict(correlation=1, num_polynomial_cutoff=7),
    "correlation_4": dict(correlation=4, max_ell=1),
    "degree_4": dict(max_ell=4, hidden_irreps="2x0e+2x1o", correlation=2),
    "features_3": dict(max_ell=3, hidden_irreps="2x0e+2x1o+2x2e+2x3o", correlation=2),
    "plain": dict(interaction_cls=PLAIN, interaction_cls_first=PLAIN),
    "density": dict(
        interaction_cls="RealAgnosticDensityResidualInteractionBlock", interaction_cls_first="RealAgnosticDensityInteractionBlock"
    ),
    "gate_none": dict(gate="None", max_ell=1),
    "gate_abs": dict(gate="abs", max_ell=1),
    "two_heads": dict(
        heads=["first", "second"], max_ell=1,
        atomic_energies=[[-1.0, -2.0, -3.0], [-2.0, -3.0, -4.0]], atomic_inter_scale=[0.8, 1.2], atomic_inter_shift=[0.1, -0.1],
    ),
    "one_layer": dict(num_interactions=1, interaction_cls_first="RealAgnosticDensityInteractionBlock", correlation=3, max_ell=1),
    "edges": dict(hidden_irreps="3x0e+3x1o", edge_irreps="2x0e+2x1o", use_last_readout_only=True, interaction_cls_first=PLAIN),
    "omol": dict(
        interaction_cls=NONLINEAR, interaction_cls_first=NONLINEAR, hidden_irreps="4x0e+4x1o+4x2e", edge_irreps="3x0e+3x1o+3x2e", apply_cutoff=False,
        readout_cls=modules.NonLinearBiasReadoutBlock, use_last_readout_only=True, use_embedding_readout=True, use_edge_irreps_first=True,
        embedding_specs={
            "total_spin": dict(type="categorical", per="graph", num_classes=8, emb_dim=5),
            "total_charge": dict(type="categorical", per="graph", num_classes=9, emb_dim=6, offset=4),
        },
    ),
    "mh": dict(
        interaction_cls=NONLINEAR, interaction_cls_first=NONLINEAR, edge_irreps="5x0e+5x1o", apply_cutoff=False, use_agnostic_product=True,
        readout_cls=modules.NonLinearBiasReadoutBlock, use_edge_irreps_first=True, pair_repulsion=True, distance_transform="Agnesi", max_ell=1,
        correlation=3, heads=["first", "second"],
        atomic_energies=[[-1.0, -2.0, -3.0], [-2.0, -3.0, -4.0]], atomic_inter_scale=[0.8, 1.2], atomic_inter_shift=[0.1, -0.1],
    ),
    "charged": dict(
        num_interactions=1, interaction_cls_first=NONLINEAR, max_ell=1, apply_cutoff=True,
        embedding_specs={"total_charge": dict(type="continuous", per="graph", in_dim=1, emb_dim=3)},
    ),
}  # fmt: skip
# what the structures have: total charge and spin multiplicity
STATES = {"crystal": (0, 1), "dilute": (-2, 3), "molecule": (1, 2)}
ONE_LAYER_HIDDEN = "3x0e"


def small(self):
    """The state of a layer without its compiled code."""
    state = dict(self.__dict__)
    state["_modules"] = {k: v for k, v in state["_modules"].items() if not k.startswith(("_compiled", "graph_opt", "contractions_"))}
    if hasattr(self, "__codegen__"):
        state["__codegen__"] = {}
    return state


def chebyshev(self, x):
    x = x.repeat(1, self.num_basis)
    t = [torch.ones_like(x[:, :1]), x[:, :1]]
    while len(t) <= self.num_basis:
        t.append(2 * x[:, :1] * t[-1] - t[-2])
    return torch.cat(t[1 : self.num_basis + 1], dim=1)


def make(name, changes, seed):
    torch.manual_seed(seed)
    c = dict(BASE, **changes)
    if c["num_interactions"] == 1:
        c["hidden_irreps"] = ONE_LAYER_HIDDEN
    for key in ("interaction_cls", "interaction_cls_first"):
        c[key] = modules.interaction_classes[c[key]]
    for key in ("hidden_irreps", "MLP_irreps", "edge_irreps"):
        c[key] = o3.Irreps(c[key]) if c.get(key) else None
    c["atomic_energies"] = np.array(c["atomic_energies"])
    c["gate"] = modules.gate_dict[c["gate"]]
    model = modules.ScaleShiftMACE(**c).eval()
    nonlinear = c["interaction_cls_first"] is modules.interaction_classes[NONLINEAR]
    with torch.no_grad():
        for key, p in model.named_parameters():
            if nonlinear:
                untrained(key, p)
            elif "contractions" in key and "weights" in key:
                p.mul_(20 if "max" in key else 5)
            elif key.startswith("readouts"):
                p.mul_(3)
    if name == "mh":
        for block in model.interactions:
            block.equivariant_nonlin = former_gate(block.equivariant_nonlin)
    return model


def untrained(key, p):
    """Numbers of a size that a trained model has, where mace-torch begins with zeros, ones or what hardly matters; in half precision, so that
    the files are small."""
    if key.endswith("alpha"):
        p.fill_(3.0)
    elif key.endswith("beta"):
        p.fill_(0.7)
    elif "_embedding.weight" in key:
        p.mul_(800)
    elif p.dim() == 1 and (".net." in key or key.endswith("bias")):
        p.add_(0.4 * torch.randn_like(p))
    elif "contractions" in key:
        p.mul_(3)
    p.copy_(p.half())


def former_gate(gate):
    silu, sigmoid = torch.nn.functional.silu, torch.nn.functional.sigmoid
    return e3nn_nn.Gate(gate.irreps_scalars, [silu], gate.irreps_gates, [sigmoid] * len(gate.irreps_gates), gate.irreps_gated)


def save(model, path):
    kept = CodeGenMixin.__getstate__
    CodeGenMixin.__getstate__ = small
    Contraction.__getstate__ = small
    bare = io.BytesIO()
    torch.save(model, bare)
    CodeGenMixin.__getstate__ = kept
    del Contraction.__getstate__
    with open(path, "wb") as to:
        to.write(gzip.compress(bare.getvalue(), 9, mtime=0))


def structures():
    random = np.random.default_rng(3)
    sites = np.array([[i, j, k] for i in (0, 0.5) for j in (0, 0.5) for k in (0, 0.5)])
    cell = np.array([[3.7, 0, 0], [0.3, 3.9, 0], [-0.2, 0.4, 4.1]])
    yield "crystal", Atoms("HCOHCOHC", positions=sites @ cell + random.normal(0, 0.12, (8, 3)), cell=cell, pbc=True)
    cell = np.array([[7.4, 0, 0], [0.9, 7.1, 0], [-0.7, 0.6, 7.8]])
    sites = (sites + 0.1 * random.normal(size=(8, 3)) * 0.5) @ cell
    yield "dilute", Atoms("OCHHOCHH", positions=sites, cell=cell, pbc=True)
    molecule = np.array([[0, 0, 0], [1.2, 0.1, 0], [-0.6, 0.9, 0.1], [-0.5, -0.9, 0.2], [2.5, 2.2, 1.9], [2.4, 1.2, 2.9]])
    yield "molecule", Atoms("COHHCO", positions=molecule + random.normal(0, 0.05, (6, 3)))


def evaluate(model, atoms, heads, head, state):
    atoms = atoms.copy()
    config = data.config_from_atoms(atoms, head_name=head or "Default")
    config.properties.update(total_charge=state[0], total_spin=state[1])
    more = {"heads": heads} if heads else {}
    config = data.AtomicData.from_config(config, z_table=AtomicNumberTable(NUMBERS), cutoff=CUTOFF, **more)
    batch = next(iter(torch_geometric.dataloader.DataLoader([config], batch_size=1))).to_dict()
    embedded = []
    if hasattr(model, "embedding_readout"):
        hook = model.embedding_readout.register_forward_hook(lambda module, inputs, out: embedded.append(out.detach().numpy()[:, 0]))
    out = model(batch, compute_stress=bool(atoms.pbc.any()))
    out = {k: v.detach().numpy() for k, v in out.items() if isinstance(v, torch.Tensor)}
    if embedded:
        hook.remove()
        out["node_energy"] = out["node_energy"] + embedded[0]
    assert abs(out["node_energy"].sum() - out["energy"][0]) < 1e-10
    return out


numbers = lambda a: " ".join(repr(float(v)) for v in np.ravel(a))
with open(f"{OUT}/mace.extxyz", "w") as to:
    for seed, (case, changes) in enumerate(CASES.items()):
        model = make(case, changes, seed + 5)
        save(model, f"{OUT}/{case}.model.gz")
        heads = changes.get("heads")
        for head in heads or [None]:
            for name, atoms in structures():
                atoms.positions = np.round(atoms.positions, 8)
                state = STATES[name]
                out = evaluate(model, atoms, heads, head, state)
                if changes.get("radial_type") == "chebyshev":
                    own, radial.ChebychevBasis.forward = radial.ChebychevBasis.forward, chebyshev
                    derived = evaluate(model, atoms, heads, head, state)
                    radial.ChebychevBasis.forward = own
                    assert abs(derived["energy"] - out["energy"]) < 1e-11, (derived["energy"], out["energy"])
                    print(f"forces of mace-torch differ by {abs(derived['forces'] - out['forces']).max():.2f}")
                    out["forces"], out["stress"] = derived["forces"], derived.get("stress")
                line = f"name={name} model={case}" + (f" head={head}" if head else "")
                if changes.get("embedding_specs"):
                    line += "".join(f" {key}={value}" for key, value in zip(("total_charge", "total_spin"), state) if key in changes["embedding_specs"])
                if atoms.pbc.any():
                    line += f' Lattice="{numbers(atoms.cell)}" pbc="T T T" stress="{numbers(out["stress"])}"'
                line += f" energy={float(out['energy'][0])!r} Properties=species:S:1:pos:R:3:forces:R:3:energies:R:1"
                to.write(f"{len(atoms)}\n{line}\n")
                for k, symbol in enumerate(atoms.get_chemical_symbols()):
                    to.write(f"{symbol} {numbers([*atoms.positions[k], *out['forces'][k], out['node_energy'][k]])}\n")
                print(case, head, name, float(out["energy"][0]), abs(out["forces"]).max(), flush=True)
sizes = {os.path.basename(f): os.path.getsize(f) for f in glob.glob(f"{OUT}/*")}
print(sizes, sum(sizes.values()))

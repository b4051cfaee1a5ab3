"""Makes the checkpoints and numbers of this folder: python make.py
Makes a checkpoint of the size that is published for rMD17, with random weights, for benchmarks: python make.py FILE.ckpt

Needs torchmd-net 3.1.0 with lightning and torch_geometric. Checkpoints get random weights and are written by the program's own training module.
They are evaluated with their weights in double precision by the program's operations in PyTorch, because its fused ones round 1/3 to single
precision; powers of atomic numbers in ZBL and ln 2 in the shifted softplus, which the program rounds too, are in double precision. Neighbours are
found here, with all periodic images (the program takes the nearest) and differentiable in the cell. The program takes every edge from an atom to
an image of itself for that of the atom with itself: a cell that is smaller than the cutoff is evaluated as a supercell. Everything is converted to
eV and Å; energies of pairs belong to their atoms in halves, the mean to all alike; stress is dE/dstrain/V.
"""

import itertools
import os
import sys

import lightning.pytorch as pl
import numpy as np
import torch
import torchmdnet.models.tensornet as tensornet
import torchmdnet.models.utils as utils
from torchmdnet import priors
from torchmdnet.models.model import load_model
from torchmdnet.module import LNNP

tensornet.OPT = False
for name in ("compose_tensor", "decompose_tensor", "tensor_matmul_o3", "tensor_matmul_so3"):
    setattr(tensornet, name, getattr(tensornet, "_" + name))
torch.set_num_threads(1)

OUT = os.path.dirname(os.path.abspath(__file__))
EV, MOLE = 1.602176634e-19, 6.02214076e23
HARTREE, KCAL, KJ = 4.3597447222071e-18, 4184 / MOLE, 1000 / MOLE
CELL = {"rows": None}


def neighbours(self, pos, batch=None, box=None):
    cell, n = CELL["rows"], len(pos)
    shifts = [(0, 0, 0)]
    if cell is not None:
        inverse = torch.linalg.inv(cell.detach())
        reach = [int(np.ceil(self.cutoff_upper * float(inverse[:, k].norm()) + 1)) for k in range(3)]
        shifts = list(itertools.product(*[range(-r, r + 1) for r in reach]))
    first, second, vectors = [], [], []
    for shift in shifts:
        v = pos[:, None] - pos[None]
        if cell is not None:
            v = v - torch.tensor(shift, dtype=pos.dtype) @ cell
        near = v.detach().norm(dim=2) < self.cutoff_upper
        if shift == (0, 0, 0):
            near &= ~torch.eye(n, dtype=bool)
        i, j = torch.nonzero(near, as_tuple=True)
        first.append(i)
        second.append(j)
        vectors.append(v[i, j])
    i, j, v = torch.cat(first), torch.cat(second), torch.cat(vectors)
    d = v.norm(dim=1)
    if self.loop:
        k = torch.arange(n)
        i, j = torch.cat([i, k]), torch.cat([j, k])
        v, d = torch.cat([v, v.new_zeros(n, 3)]), torch.cat([d, d.new_zeros(n)])
    return torch.stack([i, j]), d.clone(), v if self.return_vecs else None


utils.OptimizedDistance.forward = neighbours

BASE = dict(
    model="tensornet", load_model=None, embedding_dimension=8, num_layers=2, num_rbf=8, rbf_type="expnorm", trainable_rbf=False,
    activation="silu", cutoff_lower=0.0, cutoff_upper=4.5, max_z=10, max_num_neighbors=200, equivariance_invariance_group="O(3)",
    output_model="Scalar", reduce_op="add", derivative=True, prior_model=None, precision=64, atom_filter=-1, static_shapes=False,
    box_vecs=None, output_mlp_num_layers=0, charge=False, spin=False, aggr="add", remove_ref_energy=False, train_loss="mse_loss",
    lr=1e-3, weight_decay=0.0, lr_factor=0.8, lr_patience=10, lr_min=1e-7, lr_warmup_steps=0, y_weight=1.0, neg_dy_weight=1.0,
    ema_alpha_y=1.0, ema_alpha_neg_dy=1.0, dataset="Custom", lr_metric="val",
)  # fmt: skip
NUMBERS = list(range(10))
ZBL = ("ZBL", dict(cutoff_distance=3.6, max_num_neighbors=200, atomic_number=NUMBERS, distance_scale=1e-10, energy_scale=HARTREE))
D2 = ("D2", dict(cutoff_distance=0.6, max_num_neighbors=400, atomic_number=NUMBERS, distance_scale=1e-9, energy_scale=KJ))
ATOMS = ("Atomref", dict(max_z=10))
# settings, priors, Å, J, total charges, mean and scale
CASES = {
    "o3_zbl": (1, {}, [ATOMS, ZBL], 1.0, HARTREE, [None], None, None),
    "so3_gauss_d2": (
        2,
        dict(num_layers=3, embedding_dimension=10, rbf_type="gauss", num_rbf=7, trainable_rbf=True, activation="tanh",
             equivariance_invariance_group="SO(3)", cutoff_upper=0.42, precision=32),
        [D2, ATOMS], 10.0, KJ, [None], 3.25, 11.0,
    ),  # fmt: skip
    "old_charged": (3, dict(num_layers=1, embedding_dimension=6, charge=True, activation="ssp", cutoff_upper=3.7), [], 1.0, KCAL, [1, -2], None, 5.0),
    "no_layers": (4, dict(num_layers=0, precision=32), [], 1.0, EV, [None], None, None),
}


# for benchmarks: the settings of the published models of small molecules, all elements
PUBLISHED = dict(embedding_dimension=128, num_rbf=32, max_z=100, precision=32)


def make(path, seed, changes, prior_list=(), mean=None, std=None, former_order=False):
    torch.manual_seed(seed)
    settings = dict(BASE, **changes)
    models = []
    for kind, given in prior_list:
        prior = getattr(priors, kind)(**given)
        if kind == "Atomref":
            for z in (1, 6, 7, 8):
                prior.initial_atomref[z, 0] = -0.7 * z - 0.13 * z * z
        models.append(prior)
    if models:
        settings["prior_model"] = [{kind: given} for kind, given in prior_list]
        settings["prior_args"] = [prior.get_init_args() for prior in models]
    tensor = lambda x: None if x is None else torch.tensor(x, dtype=torch.float64)
    module = LNNP(settings, prior_model=models or None, mean=tensor(mean), std=tensor(std))
    with torch.no_grad():
        for prior in models:
            if isinstance(prior, priors.Atomref):
                prior.atomref.weight.copy_(prior.initial_atomref)
        # away from initial values
        for key, p in module.named_parameters():
            if "atomref" in key:
                continue
            p.add_(0.1 * torch.randn_like(p))
            if "norm" in key and key.endswith("weight"):
                p.add_(0.2 * torch.randn_like(p))
            if "output_network" in key:
                p.mul_(1.5)
    trainer = pl.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu", devices=1)
    trainer.strategy.connect(module)
    trainer.save_checkpoint(path, weights_only=True)
    if former_order:
        former(path, settings)


def former(path, settings):
    """The form before the order of tensors changed: rows by channel, former names, and the setting that went away."""
    checkpoint = torch.load(path, weights_only=False)
    state, f = checkpoint["state_dict"], settings["embedding_dimension"]
    network = "model.representation_model."
    names = [f"layers.{k}.linears_scalar.2" for k in range(settings["num_layers"])] + ["tensor_embedding.linears_scalar.1"]
    for name in names:
        for part in (".weight", ".bias"):
            w = state[network + name + part]
            state[network + name + part] = w.view(3, f, -1).transpose(0, 1).reshape(w.shape).contiguous()
    checkpoint["state_dict"] = {k.replace("output_network.layers.", "output_network."): v for k, v in state.items()}
    checkpoint["hyper_parameters"]["check_errors"] = True
    torch.save(checkpoint, path)


def structures():
    random = np.random.default_rng(7)
    molecule = np.array([[0, 0, 0], [1.1, 0.1, 0], [-0.6, 0.8, 0.1], [-0.5, -0.9, 0.2],
                         [2.5, 2.2, 1.9], [2.4, 1.2, 2.9], [1.6, 2.9, 1.2], [-1.9, 1.4, -0.8]])  # fmt: skip
    yield "molecule", [6, 8, 1, 1, 7, 1, 1, 8], molecule + 0.05 * random.normal(size=molecule.shape), None
    yield "pair", [8, 1], np.array([[0, 0, 0], [0.3, 0.5, 0.8]]), None
    yield "atom", [7], np.zeros((1, 3)), None
    for name, cell, count in [
        ("small_cell", [[3.1, 0, 0], [0.4, 3.4, 0], [-0.3, 0.5, 2.9]], 5),
        ("triclinic", [[9.3, 0, 0], [1.2, 9.6, 0], [-0.8, 1.1, 9.2]], 16),
    ]:
        cell, places = np.array(cell, float), []
        images = [np.array(s) @ cell for s in itertools.product((-1, 0, 1), repeat=3)]
        while len(places) < count:
            x = random.random(3) @ cell
            if all(min(np.linalg.norm(x - y + s) for s in images) > 1.0 for y in places):
                places.append(x)
        yield name, [int(z) for z in random.choice([1, 6, 7, 8], count)], np.array(places), cell


def halves(prior, z, x):
    """Energies of a prior between pairs by atom."""
    module, found = sys.modules[type(prior).__module__], []
    scatter = module.scatter
    distance = prior.distance if hasattr(prior, "distance") else prior.distances

    def kept(e, batch, dim=0, reduce="sum"):
        found.append((distance(x)[0][0], e))
        return scatter(e, batch, dim=dim, reduce=reduce)

    module.scatter = kept
    total = prior.post_reduce(x.new_zeros(1, 1), z, x, torch.zeros(len(z), dtype=torch.long), None, None).sum()
    module.scatter = scatter
    if not found:
        return x.new_zeros(len(z))
    atoms, e = found[0]
    raw = x.new_zeros(len(z)).index_add(0, atoms, e.reshape(-1))
    return raw * (total / raw.sum())


def evaluate(model, name, case, z, positions, cell, length, joule, charge, to):
    energy, n = joule / EV, len(z)
    full = name if charge is None else f"{name}_{charge}"
    # copies of a small cell in a larger one
    times = 2 if name == "small_cell" else 1
    copies = [np.array(s) for s in itertools.product(range(times), repeat=3)]
    unit, original = cell, positions
    if times > 1:
        positions, z, cell = np.concatenate([positions + s @ cell for s in copies]), z * len(copies), times * cell
    strain = torch.zeros(3, 3, dtype=torch.float64, requires_grad=True)
    start = torch.tensor(positions / length, dtype=torch.float64, requires_grad=True)
    deformed = torch.eye(3, dtype=torch.float64) + 0.5 * (strain + strain.T)
    CELL["rows"] = None if cell is None else torch.tensor(cell / length, dtype=torch.float64) @ deformed
    x, z = start @ deformed, torch.tensor(z)
    reduce, kept = model.output_model.reduce, {}

    def keep(x, batch, num_systems=None):
        kept["sites"] = x
        return reduce(x, batch, num_systems=num_systems)

    model.output_model.reduce, model.derivative = keep, False
    q = None if charge is None else torch.tensor([charge], dtype=torch.float64)
    total = model(z, x, q=q)[0].sum()
    model.output_model.reduce = reduce
    gradient, virial = torch.autograd.grad(total, [start, strain], allow_unused=True)
    gradient = torch.zeros_like(start) if gradient is None else gradient
    sites = kept["sites"][:, 0] + model.mean / len(z)
    for prior in model.prior_model or []:
        if not isinstance(prior, priors.Atomref):
            sites = sites + halves(prior, z, x)
    assert abs(sites.sum() - total) < 1e-9 * max(1, abs(total.item()))
    total = (total - model.mean) / len(copies) + model.mean
    sites = sites + model.mean * (1 / n - 1 / len(z))
    numbers = lambda a: " ".join(repr(float(v)) for v in np.ravel(a))
    head = f"name={full} model={case}" + ("" if charge is None else f" charge={charge}")
    if cell is not None:
        stress = virial.detach().numpy() * energy / abs(np.linalg.det(cell))
        head += f' Lattice="{numbers(unit)}" pbc="T T T" stress="{numbers(stress)}"'
    to.write(f"{n}\n{head} energy={float(total) * energy!r} Properties=species:S:1:pos:R:3:forces:R:3:energies:R:1\n")
    forces, sites = -gradient.numpy() * energy / length, sites.detach().numpy() * energy
    symbols = {1: "H", 6: "C", 7: "N", 8: "O"}
    for k in range(n):
        to.write(f"{symbols[int(z[k])]} {numbers([*original[k], *forces[k], sites[k]])}\n")


if len(sys.argv) > 1:
    make(sys.argv[1], 5, PUBLISHED)
    sys.exit()
with open(f"{OUT}/tensornet.extxyz", "w") as to:
    for case, (seed, changes, prior_list, length, joule, charges, mean, std) in CASES.items():
        path = f"{OUT}/{case}.ckpt"
        make(path, seed, changes, prior_list, mean, std, case.startswith("old"))
        settings = dict(torch.load(path, weights_only=False)["hyper_parameters"], precision=64)
        model = load_model(path, args=settings).eval()
        for prior in model.prior_model or []:
            if isinstance(prior, priors.ZBL):
                prior.atomic_number = prior.atomic_number.double()
        for part in model.modules():
            if isinstance(part, utils.ShiftedSoftplus):
                part.shift = float(np.log(2))
        for charge in charges:
            for name, z, positions, cell in structures():
                evaluate(model, name, case, z, positions, cell, length, joule, charge, to)
        print(case, os.path.getsize(path))

"""A TensorNet of the published size for MgO, and the time that torchmd-net takes with it.

python mgo.py train MODEL.ckpt [--caloron PROGRAM] [--steps 1500]
    trains 128 channels in two layers with a cutoff of 4.5 Å, the size published for rMD17, on energies and forces of CHGNet, which the
    program `caloron` evaluates: 54 atoms of rock salt, strained by up to 3 % and displaced by 0.01 to 0.15 Å (standard deviation of a
    coordinate). Minutes on two cores. The model is good for a stable crystal, for timing and for the conservation of energy, and for nothing else.
python mgo.py time MODEL.ckpt STRUCTURE [--dtype float32|float64] [--threads N] [--calls 10]
    prints one JSON line: seconds per call for energy and forces (the program gives no stress), the median over calls, with a small
    displacement before each. `--plain` takes PyTorch's operations instead of the program's own fused ones, `--compile` the model compiled.

Needs torchmd-net 3.1.0 with lightning, torch_geometric and warp-lang, and ASE.
"""

import argparse
import itertools
import json
import math
import pathlib
import statistics
import subprocess
import tempfile
import time

import lightning.pytorch as pl
import numpy as np
import torch
import torchmdnet.models.tensornet as tensornet
import torchmdnet.models.utils as utils
from ase import Atoms
from ase.build import bulk
from ase.io import read, write
from torchmdnet import priors
from torchmdnet.models.model import load_model
from torchmdnet.module import LNNP

SETTINGS = dict(
    model="tensornet", load_model=None, embedding_dimension=128, num_layers=2, num_rbf=32, rbf_type="expnorm", trainable_rbf=False,
    activation="silu", cutoff_lower=0.0, cutoff_upper=4.5, max_z=100, max_num_neighbors=64, equivariance_invariance_group="O(3)",
    output_model="Scalar", reduce_op="add", derivative=True, prior_model=[{"Atomref": {"max_z": 100}}], precision=32, atom_filter=-1,
    static_shapes=False, box_vecs=None, output_mlp_num_layers=0, charge=False, spin=False, aggr="add", remove_ref_energy=False,
    train_loss="mse_loss", lr=1e-3, weight_decay=0.0, lr_factor=0.8, lr_patience=10, lr_min=1e-7, lr_warmup_steps=0, y_weight=1.0,
    neg_dy_weight=1.0, ema_alpha_y=1.0, ema_alpha_neg_dy=1.0, dataset="Custom", lr_metric="val",
)  # fmt: skip


def plain():
    """PyTorch's operations in place of the program's own."""
    tensornet.OPT = False
    for name in ("compose_tensor", "decompose_tensor", "tensor_matmul_o3", "tensor_matmul_so3"):
        setattr(tensornet, name, getattr(tensornet, "_" + name))


def neighbours(self, pos, batch=None, box=None):
    """All images of pairs; the program takes the nearest, which needs cells of twice the cutoff. No atom is near its own images here."""
    inside = torch.eye(len(pos), dtype=torch.bool)
    first, second, vectors = [], [], []
    for shift in itertools.product((-1, 0, 1), repeat=3):
        v = pos[:, None] - pos[None] - torch.tensor(shift, dtype=pos.dtype) @ box
        near = v.detach().norm(dim=2) < self.cutoff_upper
        if shift == (0, 0, 0):
            near &= ~inside
        i, j = torch.nonzero(near, as_tuple=True)
        first.append(i)
        second.append(j)
        vectors.append(v[i, j])
    own = torch.arange(len(pos))
    i, j = torch.cat([*first, own]), torch.cat([*second, own])
    v = torch.cat(vectors)
    distances = torch.cat([v.norm(dim=1), v.new_zeros(len(pos))])
    return torch.stack([i, j]), distances, torch.cat([v, v.new_zeros(len(pos), 3)])


def structures(count, random):
    """Crystals of 3 × 3 × 3 primitive cells."""
    for _ in range(count):
        atoms = bulk("MgO", "rocksalt", a=4.23) * (3, 3, 3)
        strain = random.uniform(-0.03, 0.03, (3, 3))
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
        atoms.positions += random.uniform(0.01, 0.15) * random.normal(size=atoms.positions.shape)
        yield atoms


def labelled(program, atoms):
    """The same structures with energies and forces of CHGNet."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        write(folder / "in.extxyz", [Atoms(a.symbols, a.positions, cell=a.cell, pbc=True) for a in atoms])
        (folder / "chgnet.toml").write_text("[[potential]]\nchgnet = {}\n")
        files = [folder / "in.extxyz", "-p", folder / "chgnet.toml", "-o", folder / "out.extxyz"]
        subprocess.run([program, "eval", *files], check=True, stdout=subprocess.DEVNULL)
        return read(folder / "out.extxyz", ":")


def tensors(atoms, dtype):
    number = lambda a: torch.tensor(a, dtype=dtype)
    return torch.tensor(atoms.numbers), number(atoms.positions), torch.zeros(len(atoms), dtype=torch.long), number(atoms.cell.array)


def train(path, program, steps):
    utils.OptimizedDistance.forward = neighbours
    torch.manual_seed(1)
    random = np.random.default_rng(1)
    data = labelled(program, structures(200, random))
    energy = np.mean([a.get_potential_energy() / len(a) for a in data])
    spread = np.std(np.concatenate([a.get_forces() for a in data]))
    prior = priors.Atomref(max_z=100)
    for z in (8, 12):
        prior.initial_atomref[z, 0] = energy
    settings = dict(SETTINGS, prior_args=[prior.get_init_args()])
    module = LNNP(settings, prior_model=[prior], std=torch.tensor(spread, dtype=torch.float32))
    model = module.model
    with torch.no_grad():
        prior.atomref.weight.copy_(prior.initial_atomref)
    prior.atomref.weight.requires_grad_(False)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    rate = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda k: min(1, (k + 1) / 30) * 0.5 * (1.01 + math.cos(math.pi * k / steps)))
    order, errors = [], []
    for step in range(steps):
        order = order or list(random.permutation(len(data) - 8))
        atoms = data[order.pop()]
        z, x, batch, box = tensors(atoms, torch.float32)
        y, f = model(z, x, batch, box=box)
        de = (y.sum() - atoms.get_potential_energy()) / len(atoms)
        df = f - torch.tensor(atoms.get_forces(), dtype=torch.float32)
        loss = (df**2).mean() + 100 * de**2
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimizer.step()
        rate.step()
        errors.append((float((df.detach() ** 2).mean()) ** 0.5, abs(float(de.detach()))))
        if (step + 1) % 100 == 0:
            f, e = np.mean(errors[-100:], axis=0)
            print(f"{step + 1}: forces {f:.4f} eV/Å, energy {e:.5f} eV/atom", flush=True)
    # Lightning saves the model, as at the end of torchmd-net's own training
    trainer = pl.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu", devices=1)
    trainer.strategy.connect(module)
    trainer.save_checkpoint(path, weights_only=True)
    model.eval()
    for atoms in data[-8:]:
        z, x, batch, box = tensors(atoms, torch.float32)
        y, f = model(z, x, batch, box=box)
        forces = atoms.get_forces()
        de = (float(y.detach().sum()) - atoms.get_potential_energy()) / len(atoms)
        print(f"held out: forces {np.std(f.detach().numpy() - forces):.4f} of {np.std(forces):.3f} eV/Å, energy {de:.5f} eV/atom")


def measure(path, structure, dtype, calls, compiled):
    """As the program's own ASE calculator calls its model: fixed weights, a derivative by the positions."""
    kind = getattr(torch, dtype)
    settings = dict(torch.load(path, weights_only=False)["hyper_parameters"], precision={"float32": 32, "float64": 64}[dtype])
    settings.update(derivative=False, static_shapes=compiled)
    model = load_model(path, args=settings).to(kind).eval().requires_grad_(False)
    atoms, times = read(structure), []
    for k in range(calls + 2):
        atoms.rattle(1e-4, seed=k)
        z, x, batch, box = tensors(atoms, kind)
        x.requires_grad_()
        if compiled and k == 0:
            with torch.no_grad():
                model(z, x, batch, box=box)
            model = torch.compile(model, dynamic=False, fullgraph=True, mode="reduce-overhead")
        start = time.perf_counter()
        model(z, x, batch, box=box)[0].backward()
        times.append(time.perf_counter() - start)
    operations = ("fused" if tensornet.OPT else "plain") + (", compiled" if compiled else "")
    report = dict(program="torchmd-net", operations=operations, atoms=len(atoms), dtype=dtype, threads=torch.get_num_threads())
    print(json.dumps(dict(report, seconds_per_call=statistics.median(times[2:]))))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["train", "time"])
    parser.add_argument("model")
    parser.add_argument("structure", nargs="?")
    parser.add_argument("--caloron", default="caloron")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--calls", type=int, default=10)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--compile", action="store_true")
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    if a.plain:
        plain()
    if a.what == "train":
        train(a.model, a.caloron, a.steps)
    else:
        measure(a.model, a.structure, a.dtype, a.calls, a.compile)

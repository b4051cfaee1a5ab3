//! CHGNet as a candle module: the equations one by one, differentiable in the edge vectors and in all weights.
//!
//! It is what trains and what the fused kernel is tested against. Layer norms are written out, because the fast path of candle-nn has
//! no backward; the inverse cosine is an operation of its own, which candle lacks.
use super::bonds::Bonds;
use super::weights::{ATOM_CUTOFF, BOND_CUTOFF, ENVELOPE, LAYERS};
use crate::ml::checkpoint::ModelFile;
use crate::ml::graph::Graph;
use caloron_engine::Input;
use candle_core::backend::{BackendDevice, BackendStorage};
use candle_core::{CpuStorage, CudaStorage, CustomOp1, D, DType, Device, Layout, Result, Shape, Tensor};
use std::collections::HashMap;

/// θ = acos x with dθ/dx = -1/sqrt(1 - x²).
struct Acos;

impl CustomOp1 for Acos {
    fn name(&self) -> &'static str {
        "acos"
    }
    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let Some((start, end)) = layout.contiguous_offsets() else {
            candle_core::bail!("acos takes contiguous tensors")
        };
        let out = match storage {
            CpuStorage::F32(x) => CpuStorage::F32(x[start..end].iter().map(|x| x.acos()).collect()),
            CpuStorage::F64(x) => CpuStorage::F64(x[start..end].iter().map(|x| x.acos()).collect()),
            _ => candle_core::bail!("acos takes floating-point numbers"),
        };
        Ok((out, layout.shape().clone()))
    }
    // candle has no such kernel: the cosines make a detour over the processor
    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let (out, shape) = self.cpu_fwd(&storage.to_cpu_storage()?, layout)?;
        Ok((storage.device().storage_from_cpu_storage_owned(out)?, shape))
    }
    fn bwd(&self, x: &Tensor, _: &Tensor, bar: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some((bar / x.sqr()?.affine(-1.0, 1.0)?.sqrt()?)?.neg()?))
    }
}

/// Who is bonded to whom, as index tensors.
pub struct Connections {
    atoms: usize,
    /// Row of the embedding of each node.
    species: Tensor,
    /// The edge that gives the length of each bond, and the bonds that are short.
    bond_edge: Tensor,
    bonds: usize,
    short: usize,
    /// Node, bond and other node of each directed edge.
    edges: [Tensor; 3],
    /// Edges and bonds of both arms of each angle, and its vertex; `None` without angles.
    angles: Option<([Tensor; 2], [Tensor; 2], Tensor)>,
    /// d of each edge of the graph, Å, [edges, 3], and the atom of each node.
    vectors: Vec<[f64; 3]>,
    nodes: Vec<u32>,
}

impl Connections {
    /// Of a geometry.
    ///
    /// # Errors
    /// When a species is none of the model's elements, or candle fails.
    pub fn new(input: &Input<'_>, device: &Device) -> Result<Self> {
        let (mut graph, mut bonds) = (Graph::default(), Bonds::default());
        graph.build(input, ATOM_CUTOFF);
        if !bonds.build(&graph, BOND_CUTOFF) {
            candle_core::bail!("there are more than 4 billion angles")
        }
        let mut numbers = Vec::new();
        for s in input.system.species() {
            match super::element(s.number) {
                Some(z) => numbers.push(z),
                None => candle_core::bail!("the model was not trained on `{}`", s.symbol),
            }
        }
        Self::of(&graph, &bonds, |kind| numbers[usize::from(kind)], device)
    }
    /// Of a graph with its bonds; `number` is the atomic number of a species.
    pub(super) fn of(
        graph: &Graph,
        bonds: &Bonds,
        number: impl Fn(u16) -> u8,
        device: &Device,
    ) -> Result<Self> {
        let species = graph.species().iter().map(|&kind| u32::from(number(kind)) - 1).collect();
        let index = |v: Vec<u32>| Tensor::new(v, device);
        let of =
            |side: usize, f: &dyn Fn(u32) -> u32| index(bonds.angles.iter().map(|a| f(a[side])).collect());
        let edge = |arm: u32| bonds.arm_edge[arm as usize];
        let graph_edge = |arm: u32| bonds.edge[edge(arm) as usize];
        let angles = if bonds.angles.is_empty() {
            None
        } else {
            Some((
                [of(0, &graph_edge)?, of(1, &graph_edge)?],
                [of(0, &|arm| bonds.arm_bond(arm))?, of(1, &|arm| bonds.arm_bond(arm))?],
                of(0, &|arm| bonds.center[edge(arm) as usize])?,
            ))
        };
        Ok(Self {
            atoms: graph.nodes(),
            species: index(species)?,
            bond_edge: index((0..bonds.bonds.len()).map(|u| bonds.graph_edge(u) as u32).collect())?,
            bonds: bonds.bonds.len(),
            short: bonds.short,
            edges: [index(bonds.center.clone())?, index(bonds.bond.clone())?, index(bonds.neighbor.clone())?],
            angles,
            vectors: graph.vectors().to_vec(),
            nodes: graph.atoms().to_vec(),
        })
    }
    /// The vectors of the edges, Å, [edges, 3]: what the energy is a function of.
    ///
    /// # Errors
    /// When candle fails.
    pub fn vectors(&self, dtype: DType, device: &Device) -> Result<Tensor> {
        let flat: Vec<f64> = self.vectors.iter().flatten().copied().collect();
        Tensor::from_vec(flat, (self.vectors.len(), 3), device)?.to_dtype(dtype)
    }
    /// The atom of each node.
    pub fn nodes(&self) -> &[u32] {
        &self.nodes
    }
}

/// The weights, by the names they have in the original program.
pub struct Reference {
    tensors: HashMap<String, Tensor>,
}

impl Reference {
    /// From a model file, in a precision.
    ///
    /// # Errors
    /// When candle fails.
    pub fn new(model: &ModelFile, dtype: DType, device: &Device) -> Result<Self> {
        let convert = |(name, t): (&String, &crate::ml::checkpoint::Tensor)| -> Result<(String, Tensor)> {
            Ok((name.clone(), t.to_candle(device)?.to_dtype(dtype)?))
        };
        Ok(Self { tensors: model.tensors.iter().map(convert).collect::<Result<_>>()? })
    }
    /// With weights that may be variables.
    pub fn from_tensors(tensors: HashMap<String, Tensor>) -> Self {
        Self { tensors }
    }
    /// All weights by name.
    pub fn tensors(&self) -> &HashMap<String, Tensor> {
        &self.tensors
    }
    fn get(&self, name: &str) -> Result<&Tensor> {
        match self.tensors.get(name) {
            Some(t) => Ok(t),
            None => candle_core::bail!("the model has no tensor `{name}`"),
        }
    }
    /// x Wᵀ (+ b).
    fn linear(&self, name: &str, x: &Tensor) -> Result<Tensor> {
        let y = x.matmul(&self.get(&format!("{name}.weight"))?.t()?)?;
        match self.tensors.get(&format!("{name}.bias")) {
            Some(b) => y.broadcast_add(b),
            None => Ok(y),
        }
    }
    /// γ (x - ⟨x⟩)/sqrt(⟨(x - ⟨x⟩)²⟩ + 1e-5) + β.
    fn norm(&self, name: &str, x: &Tensor) -> Result<Tensor> {
        let x = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
        let deviation = (x.sqr()?.mean_keepdim(D::Minus1)? + super::gated::EPSILON)?.sqrt()?;
        let x = x.broadcast_div(&deviation)?;
        x.broadcast_mul(self.get(&format!("{name}.weight"))?)?
            .broadcast_add(self.get(&format!("{name}.bias"))?)
    }
    /// silu(LN₁(core(x))) σ(LN₂(gate(x))).
    fn gated(&self, name: &str, x: &Tensor, layers: &[usize]) -> Result<Tensor> {
        let maps = |part: &str| -> Result<Tensor> {
            let mut x = x.clone();
            for (k, layer) in layers.iter().enumerate() {
                x = self.linear(&format!("{name}.mlp_{part}.layers.{layer}"), &x)?;
                if k + 1 < layers.len() {
                    x = x.silu()?;
                }
            }
            Ok(x)
        };
        let core = self.norm(&format!("{name}.bn1"), &maps("core")?)?.silu()?;
        let gate = candle_nn::ops::sigmoid(&self.norm(&format!("{name}.bn2"), &maps("gate")?)?)?;
        core * gate
    }
    /// Radial functions of distances [n, 1] below the cutoff.
    fn radial(&self, name: &str, r: &Tensor, cutoff: f64) -> Result<Tensor> {
        let p = f64::from(ENVELOPE);
        let t = (r / cutoff)?;
        let power = |k: f64, factor: f64| t.powf(k)? * factor;
        let envelope = ((power(p, -0.5 * (p + 1.0) * (p + 2.0))? + power(p + 1.0, p * (p + 2.0))?)?
            + power(p + 2.0, -0.5 * p * (p + 1.0))?)?;
        let envelope = (envelope + 1.0)?;
        let waves = t.broadcast_mul(&self.get(&format!("{name}.frequencies"))?.unsqueeze(0)?)?.sin()?;
        waves.broadcast_mul(&((envelope / r)? * (2.0 / cutoff).sqrt())?)
    }
    /// Site energies, eV, with the reference energies of the elements, and magnetic moments, mu_B; both in the order of the nodes.
    ///
    /// # Errors
    /// When a tensor is missing or has another shape.
    pub fn forward(&self, at: &Connections, vectors: &Tensor) -> Result<(Tensor, Tensor)> {
        let features = (at.bonds > 0).then(|| self.embed(at, vectors)).transpose()?;
        let stages = self.interact(at, features.as_ref())?;
        Ok((stages.energies, stages.moments))
    }
    /// Everything behind the embedding; atoms without bonds have no features of edges.
    pub(super) fn interact(&self, at: &Connections, features: Option<&Features>) -> Result<Stages> {
        let mut x = self.get("atom_embedding.embedding.weight")?.index_select(&at.species, 0)?;
        let mut moments = self.moments(&x)?;
        let (mut atoms, mut bonds, mut angles) = (vec![x.clone()], Vec::new(), Vec::new());
        if let Some(features) = features {
            let mut b = features.bond.clone();
            let mut a = features.angle.clone();
            bonds.push(b.clone());
            angles.extend(a.clone());
            for l in 0..LAYERS {
                x = self.update_atoms(l, at, &x, &b, &features.weight_atom)?;
                atoms.push(x.clone());
                if l == LAYERS - 2 {
                    moments = self.moments(&x)?;
                }
                if let (Some((_, [first, second], vertex)), Some(angle)) = (&at.angles, &a) {
                    if l == LAYERS - 1 {
                        continue;
                    }
                    let input = |b: &Tensor| {
                        let of = |index: &Tensor| b.index_select(index, 0);
                        Tensor::cat(&[of(first)?, of(second)?, angle.clone(), x.index_select(vertex, 0)?], 1)
                    };
                    let name = format!("bond_conv_layers.{l}");
                    let m = self.gated(&format!("{name}.twoBody_bond"), &input(&b)?, &[0, 3])?;
                    let w = &features.weight_bond;
                    let m = ((m * w.index_select(first, 0)?)? * w.index_select(second, 0)?)?;
                    let sum = b.zeros_like()?.index_add(first, &m, 0)?;
                    b = (&b + self.linear(&format!("{name}.mlp_out.layers.1"), &sum)?)?;
                    let update = self.gated(&format!("angle_layers.{l}.twoBody_bond"), &input(&b)?, &[1])?;
                    a = Some((angle + update)?);
                    bonds.push(b.clone());
                    angles.extend(a.clone());
                }
            }
        }
        let mut y = self.norm("readout_norm", &x)?;
        for layer in [0, 2, 4] {
            y = self.linear(&format!("mlp.layers.{layer}"), &y)?.silu()?;
        }
        let energy = self.linear("mlp.layers.7", &y)?.reshape(at.atoms)?;
        let own = self.get("composition_model.fc.weight")?.flatten_all()?.index_select(&at.species, 0)?;
        Ok(Stages { atoms, bonds, angles, energies: (energy + own)?, moments })
    }
    /// |w x + b|.
    fn moments(&self, x: &Tensor) -> Result<Tensor> {
        self.linear("site_wise", x)?.abs()?.reshape(x.dim(0)?)
    }
    fn update_atoms(&self, l: usize, at: &Connections, x: &Tensor, b: &Tensor, w: &Tensor) -> Result<Tensor> {
        let [center, bond, neighbor] = &at.edges;
        let of = |t: &Tensor, index: &Tensor| t.index_select(index, 0);
        let input = Tensor::cat(&[of(x, center)?, of(b, bond)?, of(x, neighbor)?], 1)?;
        let name = format!("atom_conv_layers.{l}");
        let m = (self.gated(&format!("{name}.twoBody_atom"), &input, &[0, 3])? * of(w, bond)?)?;
        let sum = x.zeros_like()?.index_add(center, &m, 0)?;
        x + self.linear(&format!("{name}.mlp_out.layers.1"), &sum)?
    }
    /// Features of bonds and angles at the start.
    pub(super) fn embed(&self, at: &Connections, vectors: &Tensor) -> Result<Features> {
        let lengths = vectors.sqr()?.sum_keepdim(1)?.sqrt()?;
        let r = lengths.index_select(&at.bond_edge, 0)?;
        let name = |part: &str| format!("bond_basis_expansion.rbf_expansion_{part}");
        let atom = self.radial(&name("ag"), &r, ATOM_CUTOFF)?;
        let angle = match &at.angles {
            None => None,
            Some((edges, _, _)) => {
                let unit = vectors.broadcast_div(&lengths)?;
                let [e, f] = [unit.index_select(&edges[0], 0)?, unit.index_select(&edges[1], 0)?];
                let theta = ((e * f)?.sum_keepdim(1)? * (1.0 - 1e-6))?.contiguous()?.apply_op1(Acos)?;
                let frequencies = self.get("angle_basis_expansion.fourier_expansion.frequencies")?;
                let phase = theta.broadcast_mul(&frequencies.unsqueeze(0)?)?;
                let constant = theta.zeros_like()?.affine(0.0, std::f64::consts::FRAC_1_SQRT_2)?;
                let basis = Tensor::cat(&[constant, phase.sin()?, phase.cos()?], 1)?;
                let basis = (basis / std::f64::consts::PI.sqrt())?;
                Some(self.linear("angle_embedding", &basis)?)
            }
        };
        // bonds of the bond graph come first
        let weight_bond = if at.short == 0 {
            atom.zeros_like()?
        } else {
            let short = self.radial(&name("bg"), &r.narrow(0, 0, at.short)?, BOND_CUTOFF)?;
            self.linear("bond_weights_bg", &short)?
        };
        Ok(Features {
            bond: self.linear("bond_embedding", &atom)?,
            weight_atom: self.linear("bond_weights_ag", &atom)?,
            weight_bond,
            angle,
        })
    }
}

/// Features at the start and the weights of messages.
pub(super) struct Features {
    pub bond: Tensor,
    pub weight_atom: Tensor,
    pub weight_bond: Tensor,
    pub angle: Option<Tensor>,
}

/// What the model computes on the way, and its results.
pub(super) struct Stages {
    /// Features of atoms, bonds and angles at the start and after every layer.
    #[cfg_attr(not(test), expect(dead_code, reason = "what the kernels are tested against"))]
    pub atoms: Vec<Tensor>,
    #[cfg_attr(not(test), expect(dead_code, reason = "what the kernels are tested against"))]
    pub bonds: Vec<Tensor>,
    #[cfg_attr(not(test), expect(dead_code, reason = "what the kernels are tested against"))]
    pub angles: Vec<Tensor>,
    pub energies: Tensor,
    pub moments: Tensor,
}

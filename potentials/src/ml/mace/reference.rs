//! MACE in candle: the readable form of the model, differentiable with respect to edge vectors and weights.
//!
//! It is what the fused kernels are tested against, and what a trainer starts from. It stores every edge and channel, so it
//! is for hundreds of atoms. Tensors of features are (atoms or edges, 2l + 1, C).
use super::model::{Division, Layer, Model, Product, Readout, Skip};
use crate::ml::equivariant::Activation;
use crate::ml::radial::{Basis, Dense, Network, Transform};
use candle_core::{DType, Device, Result, Tensor, Var};
use std::collections::BTreeMap;

/// The model with its weights as variables.
pub struct Reference {
    model: Model,
    weights: BTreeMap<String, Var>,
    dtype: DType,
    device: Device,
}

/// One geometry.
pub struct Edges<'a> {
    /// d = r_j − r_i of every edge, (edges, 3).
    pub vectors: &'a Tensor,
    /// Node i of every edge.
    pub receivers: &'a [u32],
    /// Node j of every edge.
    pub senders: &'a [u32],
    /// Element (place in the model) of every node.
    pub elements: &'a [u32],
}

/// What the model computes on the way.
pub struct Stages {
    /// After the convolution, before the product, for every layer: (nodes, (lmax + 1)², C).
    pub messages: Vec<Tensor>,
    /// Features after every layer, by degree: (nodes, 2l + 1, C).
    pub features: Vec<Vec<Tensor>>,
    /// Energy of every node, eV: (nodes).
    pub energies: Tensor,
}

fn rows(x: &Tensor, w: &Tensor) -> Result<Tensor> {
    let (n, d, c) = x.dims3()?;
    x.reshape((n * d, c))?.matmul(w)?.reshape((n, d, w.dim(1)?))
}

fn activate(f: Activation, x: &Tensor) -> Result<Tensor> {
    // (1 + tanh(x/2))/2, whose derivatives stay finite
    let sigmoid = |x: &Tensor| ((x * 0.5)?.tanh()? + 1.0)? * 0.5;
    match f {
        Activation::Silu => x * sigmoid(x)?,
        Activation::Tanh => x.tanh(),
        Activation::Abs => x.abs(),
        Activation::Sigmoid => sigmoid(x),
        Activation::ShiftedSoftplus => {
            (x.relu()? + (x.abs()?.neg()?.exp()? + 1.0)?.log()?)? - std::f64::consts::LN_2
        }
    }
}

impl Reference {
    /// The model on a device.
    ///
    /// # Errors
    /// When candle fails.
    pub fn new(model: Model, dtype: DType, device: &Device) -> Result<Self> {
        let mut this = Self { model, weights: BTreeMap::new(), dtype, device: device.clone() };
        let model = this.model.clone();
        this.matrix("embedding", &model.embedding)?;
        for (t, layer) in model.layers.iter().enumerate() {
            for (k, w) in layer.up.iter().enumerate() {
                this.matrix(&format!("{t}.up.{k}"), w)?;
            }
            for (k, w) in layer.network.layers.iter().enumerate() {
                this.matrix(&format!("{t}.network.{k}"), w)?;
            }
            for (k, p) in layer.paths.iter().enumerate() {
                this.matrix(&format!("{t}.path.{k}"), &p.linear)?;
            }
            if let Division::Density(w) = &layer.division {
                this.variable(&format!("{t}.density"), &[w.len(), 1], w)?;
            }
            let skips: Vec<(usize, &Vec<Dense>)> = match &layer.skip {
                Skip::Residual(map) => map.iter().map(|(l, m)| (*l, m)).collect(),
                Skip::Message(list) => list.iter().enumerate().collect(),
            };
            for (l, matrices) in skips {
                for (z, w) in matrices.iter().enumerate() {
                    this.matrix(&format!("{t}.skip.{l}.{z}"), w)?;
                }
            }
            for p in &layer.products {
                for (k, order) in p.orders.iter().enumerate() {
                    let shape = [model.elements.len(), order.count, model.channels];
                    this.variable(&format!("{t}.product.{}.{k}", p.l), &shape, &order.weights)?;
                }
                this.matrix(&format!("{t}.product.{}.linear", p.l), &p.linear)?;
            }
            match &layer.readout {
                Some(Readout::Linear(w)) => this.matrix(&format!("{t}.readout.0"), w)?,
                Some(Readout::Network(w1, _, w2)) => {
                    this.matrix(&format!("{t}.readout.0"), w1)?;
                    this.matrix(&format!("{t}.readout.1"), w2)?;
                }
                None => {}
            }
        }
        Ok(this)
    }
    fn variable(&mut self, name: &str, shape: &[usize], values: &[f64]) -> Result<()> {
        let tensor = Tensor::from_slice(values, shape, &self.device)?.to_dtype(self.dtype)?;
        self.weights.insert(name.to_owned(), Var::from_tensor(&tensor)?);
        Ok(())
    }
    fn matrix(&mut self, name: &str, w: &Dense) -> Result<()> {
        self.variable(name, &[w.inputs, w.outputs], &w.values)
    }
    /// The variables, with the normalisations of the layers in them.
    pub fn weights(&self) -> &BTreeMap<String, Var> {
        &self.weights
    }
    fn weight(&self, name: String) -> &Tensor {
        self.weights[&name].as_tensor()
    }
    fn constant(&self, values: &[f64], shape: &[usize]) -> Result<Tensor> {
        Tensor::from_slice(values, shape, &self.device)?.to_dtype(self.dtype)
    }
    fn indices(&self, values: &[u32]) -> Result<Tensor> {
        Tensor::from_slice(values, values.len(), &self.device)
    }
    /// The model on a geometry with at least one edge, with the head of the given number.
    ///
    /// # Errors
    /// When candle fails.
    pub fn forward(&self, edges: &Edges<'_>, head: usize) -> Result<Stages> {
        let model = &self.model;
        let (receivers, senders) = (self.indices(edges.receivers)?, self.indices(edges.senders)?);
        let species = self.indices(edges.elements)?;
        let nodes = edges.elements.len();
        let r = edges.vectors.sqr()?.sum_keepdim(1)?.sqrt()?;
        let unit = edges.vectors.neg()?.broadcast_div(&r)?;
        let harmonics = self.harmonics(&unit)?;
        let (basis, cutoff) = self.basis(&r, edges)?;
        let mut features = vec![self.weight("embedding".to_owned()).index_select(&species, 0)?.unsqueeze(1)?];
        let mut sum = self.zbl(&r, edges, &receivers)?;
        let mut stages = Stages { messages: Vec::new(), features: Vec::new(), energies: sum.clone() };
        for (t, layer) in model.layers.iter().enumerate() {
            let messages = self.convolution(
                t,
                layer,
                &features,
                &harmonics,
                &basis,
                &cutoff,
                edges,
                (&receivers, &senders),
            )?;
            let all = Tensor::cat(&messages, 1)?;
            let mut next = Vec::new();
            for product in &layer.products {
                let b = self.contraction(t, product, &all, &species)?;
                let mut h = rows(&b, self.weight(format!("{t}.product.{}.linear", product.l)))?;
                if let Skip::Residual(map) = &layer.skip
                    && map.contains_key(&product.l)
                {
                    let k = layer.input.iter().position(|l| *l == product.l).unwrap_or(0);
                    let skip = format!("{t}.skip.{}", product.l);
                    h = (h + self.by_element(&features[k], &skip, edges.elements)?)?;
                }
                next.push(h);
            }
            features = next;
            if let Some(readout) = &layer.readout {
                sum = (sum + self.readout(t, readout, &features[0].squeeze(1)?, head)?)?;
            }
            stages.messages.push(all);
            stages.features.push(features.clone());
        }
        let head = &model.heads[head];
        let own: Vec<f64> = edges.elements.iter().map(|z| head.atomic_energies[*z as usize]).collect();
        stages.energies = (((sum * head.scale)? + head.shift)? + self.constant(&own, &[nodes])?)?;
        Ok(stages)
    }
    /// Spherical harmonics of unit vectors by the recursion of [`crate::ml::equivariant::spherical_harmonics`]: (edges, (lmax + 1)²).
    fn harmonics(&self, unit: &Tensor) -> Result<Tensor> {
        let lmax = self.model.lmax;
        let [x, y, z] = [unit.narrow(1, 0, 1)?, unit.narrow(1, 1, 1)?, unit.narrow(1, 2, 1)?];
        let one = x.ones_like()?;
        let zero = x.zeros_like()?;
        let mut columns = vec![one.clone(); (lmax + 1) * (lmax + 1)];
        let (mut c, mut s, mut first) = (one.clone(), zero.clone(), one.clone());
        for m in 0..=lmax {
            let (mut before, mut q) = (zero.clone(), first.clone());
            for l in m..=lmax {
                let ratio: f64 = (l - m + 1..=l + m).map(|k| k as f64).product();
                let n = ((2 * l + 1) as f64 * if m == 0 { 1.0 } else { 2.0 } / ratio).sqrt();
                columns[l * l + l + m] = ((&q * &c)? * n)?;
                if m > 0 {
                    columns[l * l + l - m] = ((&q * &s)? * n)?;
                }
                let next = (((&y * &q)? * (2 * l + 1) as f64)? - (&before * (l + m) as f64)?)?;
                before = q;
                q = (next / (l + 1 - m) as f64)?;
            }
            (c, s) = (((&z * &c)? - (&x * &s)?)?, ((&z * &s)? + (&x * &c)?)?);
            first = (first * (2 * m + 1) as f64)?;
        }
        Tensor::cat(&columns, 1)
    }
    /// Radial functions, (edges, B), and the cutoff, (edges, 1).
    fn basis(&self, r: &Tensor, edges: &Edges<'_>) -> Result<(Tensor, Tensor)> {
        let radial = &self.model.radial;
        let of = |n: &u32| radial.radii[edges.elements[*n as usize] as usize];
        let sums: Vec<f64> = edges.receivers.iter().zip(edges.senders).map(|(i, j)| of(i) + of(j)).collect();
        let sum = self.constant(&sums, &[sums.len(), 1])?;
        let x = match radial.transform {
            Transform::None => r.clone(),
            Transform::Agnesi { q, p, a } => {
                let u = (r / (sum * 0.5)?)?;
                let f = ((u.powf(q)? * a)? / (u.powf(q - p)? + 1.0)?)?;
                (f + 1.0)?.recip()?
            }
            Transform::Soft { alpha } => {
                let (p0, p1) = ((&sum * 0.75)?, (&sum * (4.0 / 3.0))?);
                let middle = ((&p0 + &p1)? * 0.5)?;
                let t = (((r - middle)? * alpha)? / (p1 - &p0)?)?.tanh()?;
                ((r - &p0)? * ((t + 1.0)? * 0.5)? + p0)?
            }
            Transform::FormerSoft { a, b } => {
                let u = ((r * 4.0)? / sum)?;
                let t = (u.neg()? - (u.powf(b)? * a)?)?.tanh()?;
                ((r + (t * 0.5)?)? + 0.5)?
            }
        };
        let functions = match &radial.basis {
            Basis::Bessel { frequencies, prefactor } => {
                let w = self.constant(frequencies, &[1, frequencies.len()])?;
                (x.broadcast_mul(&w)?.sin()?.broadcast_div(&x)? * *prefactor)?
            }
            Basis::Gaussian { centers, coefficient } => {
                let d = x.broadcast_sub(&self.constant(centers, &[1, centers.len()])?)?;
                (d.sqr()? * *coefficient)?.exp()?
            }
            Basis::Chebyshev { degrees } => {
                let highest = degrees.iter().copied().max().unwrap_or(0);
                let mut all = vec![x.ones_like()?, x.clone()];
                for k in 1..highest {
                    let next = (((&x * &all[k])? * 2.0)? - &all[k - 1])?;
                    all.push(next);
                }
                Tensor::cat(&degrees.iter().map(|n| all[*n].clone()).collect::<Vec<_>>(), 1)?
            }
        };
        let cutoff = envelope(&(r / self.model.cutoff)?, radial.power)?;
        let functions = if radial.on_basis { functions.broadcast_mul(&cutoff)? } else { functions };
        Ok((functions, cutoff))
    }
    fn network(&self, prefix: &str, network: &Network, x: &Tensor) -> Result<Tensor> {
        let mut x = x.clone();
        for k in 0..network.layers.len() {
            x = x.matmul(self.weight(format!("{prefix}.{k}")))?;
            if k + 1 < network.layers.len() {
                x = activate(network.activation, &x)?;
            }
        }
        Ok(x)
    }
    /// Σ over the elements of what the matrix of each does to its nodes.
    fn by_element(&self, x: &Tensor, prefix: &str, elements: &[u32]) -> Result<Tensor> {
        let mut sum = None;
        let mut present = elements.to_vec();
        present.sort_unstable();
        present.dedup();
        for z in present {
            let mask: Vec<f64> = elements.iter().map(|e| f64::from(u8::from(*e == z))).collect();
            let mask = self.constant(&mask, &[mask.len(), 1, 1])?;
            let y = rows(x, self.weight(format!("{prefix}.{z}")))?.broadcast_mul(&mask)?;
            sum = Some(match sum {
                None => y,
                Some(s) => (s + y)?,
            });
        }
        sum.map_or_else(|| x.zeros_like(), Ok)
    }
    /// A of every degree.
    #[expect(clippy::too_many_arguments, reason = "what the geometry gives is shared by all layers")]
    fn convolution(
        &self,
        t: usize,
        layer: &Layer,
        features: &[Tensor],
        harmonics: &Tensor,
        basis: &Tensor,
        cutoff: &Tensor,
        edges: &Edges<'_>,
        (receivers, senders): (&Tensor, &Tensor),
    ) -> Result<Vec<Tensor>> {
        let (c, nodes) = (self.model.channels, edges.elements.len());
        let mut weights = self.network(&format!("{t}.network"), &layer.network, basis)?;
        if !self.model.radial.on_basis {
            weights = weights.broadcast_mul(cutoff)?;
        }
        let up: Vec<Tensor> = features
            .iter()
            .enumerate()
            .map(|(k, h)| rows(h, self.weight(format!("{t}.up.{k}")))?.index_select(senders, 0))
            .collect::<Result<_>>()?;
        let mut sums: Vec<Option<Tensor>> = vec![None; self.model.lmax + 1];
        for (k, path) in layer.paths.iter().enumerate() {
            let [d1, d2, d3] = path.degrees.map(|l| 2 * l + 1);
            let y = harmonics.narrow(1, path.degrees[1] * path.degrees[1], d2)?;
            let mut matrix = vec![0.0; d2 * d1 * d3];
            for ([a, b, c], v) in &path.coupling {
                matrix[(b * d1 + a) * d3 + c] += v;
            }
            // (edges, m1, m3)
            let couple = y.matmul(&self.constant(&matrix, &[d2, d1 * d3])?)?;
            let mut components = Vec::new();
            for m3 in 0..d3 {
                let mut sum: Option<Tensor> = None;
                for m1 in 0..d1 {
                    let term = up[path.input]
                        .narrow(1, m1, 1)?
                        .squeeze(1)?
                        .broadcast_mul(&couple.narrow(1, m1 * d3 + m3, 1)?)?;
                    sum = Some(match sum {
                        None => term,
                        Some(s) => (s + term)?,
                    });
                }
                if let Some(sum) = sum {
                    components.push((sum * weights.narrow(1, k * c, c)?)?.unsqueeze(1)?);
                }
            }
            let message = Tensor::cat(&components, 1)?.contiguous()?;
            let zero = Tensor::zeros((nodes, d3, c), self.dtype, &self.device)?;
            let message = zero.index_add(receivers, &message, 0)?;
            let mixed = rows(&message, self.weight(format!("{t}.path.{k}")))?;
            let slot = &mut sums[path.degrees[2]];
            *slot = Some(match slot.take() {
                None => mixed,
                Some(s) => (s + mixed)?,
            });
        }
        let divisor = match &layer.division {
            Division::Constant(n) => Tensor::full(*n, (nodes, 1, 1), &self.device)?.to_dtype(self.dtype)?,
            Division::Density(_) => {
                let mut d = basis.matmul(self.weight(format!("{t}.density")))?.sqr()?.tanh()?;
                if !self.model.radial.on_basis {
                    d = (d * cutoff)?;
                }
                let zero = Tensor::zeros((nodes, 1), self.dtype, &self.device)?;
                (zero.index_add(receivers, &d.contiguous()?, 0)? + 1.0)?.unsqueeze(2)?
            }
        };
        let mut messages = Vec::new();
        for (l, sum) in sums.into_iter().enumerate() {
            let sum = match sum {
                Some(sum) => sum.broadcast_div(&divisor)?,
                None => Tensor::zeros((nodes, 2 * l + 1, c), self.dtype, &self.device)?,
            };
            messages.push(match layer.skip {
                Skip::Message(_) => self.by_element(&sum, &format!("{t}.skip.{l}"), edges.elements)?,
                Skip::Residual(_) => sum,
            });
        }
        Ok(messages)
    }
    /// Σ_k W_k Σ u (product of components), (nodes, 2l + 1, C).
    fn contraction(&self, t: usize, product: &Product, a: &Tensor, species: &Tensor) -> Result<Tensor> {
        let (nodes, size, c) = a.dims3()?;
        let d = 2 * product.l + 1;
        let flat = a.transpose(0, 1)?.contiguous()?.reshape((size, nodes * c))?;
        let mut sum: Option<Tensor> = None;
        for (k, order) in product.orders.iter().enumerate() {
            let mut used: Vec<u32> = order.terms.iter().map(|t| t.0).collect();
            used.sort_unstable();
            used.dedup();
            if used.is_empty() {
                continue;
            }
            let mut powers: Option<Tensor> = None;
            for slot in 0..=k {
                let index: Vec<u32> =
                    used.iter().map(|m| u32::from(product.monomials[*m as usize][slot])).collect();
                let x = flat.index_select(&self.indices(&index)?, 0)?;
                powers = Some(match powers {
                    None => x,
                    Some(p) => (p * x)?,
                });
            }
            let Some(powers) = powers else { continue };
            let mut u = vec![0.0; d * order.count * used.len()];
            for (monomial, m, n, value) in &order.terms {
                let column = used.binary_search(monomial).unwrap_or(0);
                u[(usize::from(*m) * order.count + usize::from(*n)) * used.len() + column] += value;
            }
            let u = self.constant(&u, &[d * order.count, used.len()])?;
            let coupled = u.matmul(&powers)?.reshape((d, order.count, nodes, c))?;
            let w = self.weight(format!("{t}.product.{}.{k}", product.l)).index_select(species, 0)?;
            let w = w.transpose(0, 1)?.contiguous()?.unsqueeze(0)?;
            let term = coupled.broadcast_mul(&w)?.sum(1)?;
            sum = Some(match sum {
                None => term,
                Some(s) => (s + term)?,
            });
        }
        match sum {
            Some(sum) => sum.transpose(0, 1)?.contiguous(),
            None => Tensor::zeros((nodes, d, c), self.dtype, &self.device),
        }
    }
    fn readout(&self, t: usize, readout: &Readout, x: &Tensor, head: usize) -> Result<Tensor> {
        let first = self.weight(format!("{t}.readout.0"));
        match readout {
            Readout::Linear(_) => x.matmul(&first.narrow(1, head, 1)?.contiguous()?)?.squeeze(1),
            Readout::Network(w, f, _) => {
                let n = w.outputs / self.model.heads.len();
                let hidden = activate(*f, &x.matmul(&first.narrow(1, head * n, n)?.contiguous()?)?)?;
                let last = self.weight(format!("{t}.readout.1"));
                let last = last.narrow(0, head * n, n)?.narrow(1, head, 1)?.contiguous()?;
                hidden.matmul(&last)?.squeeze(1)
            }
        }
    }
    /// Nuclear repulsion, (nodes).
    fn zbl(&self, r: &Tensor, edges: &Edges<'_>, receivers: &Tensor) -> Result<Tensor> {
        let nodes = edges.elements.len();
        let zero = Tensor::zeros(nodes, self.dtype, &self.device)?;
        let Some(zbl) = &self.model.zbl else { return Ok(zero) };
        let element = |n: &u32| edges.elements[*n as usize] as usize;
        let charge = |n: &u32| f64::from(self.model.elements[element(n)]);
        let pairs = || edges.receivers.iter().zip(edges.senders);
        let column = |values: Vec<f64>| self.constant(&values, &[values.len(), 1]);
        let product =
            column(pairs().map(|(i, j)| 0.5 * super::ZBL_COULOMB * charge(i) * charge(j)).collect())?;
        let length = column(
            pairs()
                .map(|(i, j)| {
                    (charge(i).powf(zbl.exponent) + charge(j).powf(zbl.exponent))
                        / (zbl.prefactor * super::ZBL_BOHR)
                })
                .collect(),
        )?;
        let reach = column(pairs().map(|(i, j)| zbl.radii[element(i)] + zbl.radii[element(j)]).collect())?;
        let x = (r * length)?;
        let mut phi = x.zeros_like()?;
        for (c, rate) in zbl.amplitudes.iter().zip(super::ZBL_RATES) {
            phi = (phi + ((&x * -rate)?.exp()? * *c)?)?;
        }
        let inside = r.lt(&reach)?.to_dtype(self.dtype)?;
        let cut = (envelope(&(r / reach)?, zbl.power)? * inside)?;
        let energy = (((product / r)? * phi)? * cut)?.squeeze(1)?;
        zero.index_add(receivers, &energy.contiguous()?, 0)
    }
}

/// The polynomial cutoff of t = r/cutoff.
fn envelope(t: &Tensor, p: f64) -> Result<Tensor> {
    let (a, b, c) = ((p + 1.0) * (p + 2.0) / 2.0, p * (p + 2.0), p * (p + 1.0) / 2.0);
    let inner = ((((t * -c)? + b)? * t)? - a)?;
    (t.powf(p)? * inner)? + 1.0
}

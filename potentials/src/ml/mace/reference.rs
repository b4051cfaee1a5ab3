//! MACE in candle: the readable form of the model, differentiable with respect to edge vectors and weights.
//!
//! It is what the fused kernels are tested against, and what a trainer starts from. It stores every edge and channel, so it
//! is for hundreds of atoms. Tensors of features are (atoms or edges, 2l + 1, C).
use super::model::{Division, Layer, Model, Product, Readout, Skip};
pub use crate::ml::differentiable::Edges;
use crate::ml::differentiable::{Variables, activate, envelope, harmonics, rows};
use crate::ml::radial::{Basis, Dense, Transform};
use candle_core::{DType, Device, Result, Tensor, Var};
use std::collections::BTreeMap;

/// The model with its weights as variables.
pub struct Reference {
    model: Model,
    variables: Variables,
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

impl Reference {
    /// The model on a device.
    ///
    /// # Errors
    /// When candle fails.
    pub fn new(model: Model, dtype: DType, device: &Device) -> Result<Self> {
        let mut this = Self { model, variables: Variables::new(dtype, device) };
        let (model, variables) = (&this.model, &mut this.variables);
        variables.matrix("embedding", &model.embedding)?;
        for (t, layer) in model.layers.iter().enumerate() {
            for (k, w) in layer.up.iter().enumerate() {
                variables.matrix(&format!("{t}.up.{k}"), w)?;
            }
            variables.network(&format!("{t}.network"), &layer.network)?;
            for (k, p) in layer.paths.iter().enumerate() {
                variables.matrix(&format!("{t}.path.{k}"), &p.linear)?;
            }
            if let Division::Density(w) = &layer.division {
                variables.add(&format!("{t}.density"), &[w.len(), 1], w)?;
            }
            let skips: Vec<(usize, &Vec<Dense>)> = match &layer.skip {
                Skip::Residual(map) => map.iter().map(|(l, m)| (*l, m)).collect(),
                Skip::Message(list) => list.iter().enumerate().collect(),
            };
            for (l, matrices) in skips {
                for (z, w) in matrices.iter().enumerate() {
                    variables.matrix(&format!("{t}.skip.{l}.{z}"), w)?;
                }
            }
            for p in &layer.products {
                for (k, order) in p.orders.iter().enumerate() {
                    let shape = [model.elements.len(), order.count, model.channels];
                    variables.add(&format!("{t}.product.{}.{k}", p.l), &shape, &order.weights)?;
                }
                variables.matrix(&format!("{t}.product.{}.linear", p.l), &p.linear)?;
            }
            match &layer.readout {
                Some(Readout::Linear(w)) => variables.matrix(&format!("{t}.readout.0"), w)?,
                Some(Readout::Network(w1, _, w2)) => {
                    variables.matrix(&format!("{t}.readout.0"), w1)?;
                    variables.matrix(&format!("{t}.readout.1"), w2)?;
                }
                None => {}
            }
        }
        Ok(this)
    }
    /// The variables, with the normalisations of the layers in them.
    pub fn weights(&self) -> &BTreeMap<String, Var> {
        &self.variables.all
    }
    /// The model on a geometry with at least one edge, with the head of the given number.
    ///
    /// # Errors
    /// When candle fails.
    pub fn forward(&self, edges: &Edges<'_>, head: usize) -> Result<Stages> {
        let model = &self.model;
        let (receivers, senders) =
            (self.variables.indices(edges.receivers)?, self.variables.indices(edges.senders)?);
        let species = self.variables.indices(edges.elements)?;
        let nodes = edges.elements.len();
        let r = edges.vectors.sqr()?.sum_keepdim(1)?.sqrt()?;
        let unit = edges.vectors.neg()?.broadcast_div(&r)?;
        let harmonics = harmonics(&unit, self.model.lmax)?;
        let (basis, cutoff) = self.basis(&r, edges)?;
        let mut features =
            vec![self.variables.weight("embedding".to_owned()).index_select(&species, 0)?.unsqueeze(1)?];
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
                let mut h = rows(&b, self.variables.weight(format!("{t}.product.{}.linear", product.l)))?;
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
        stages.energies = (((sum * head.scale)? + head.shift)? + self.variables.constant(&own, &[nodes])?)?;
        Ok(stages)
    }
    /// Radial functions, (edges, B), and the cutoff, (edges, 1).
    fn basis(&self, r: &Tensor, edges: &Edges<'_>) -> Result<(Tensor, Tensor)> {
        let radial = &self.model.radial;
        let of = |n: &u32| radial.radii[edges.elements[*n as usize] as usize];
        let sums: Vec<f64> = edges.receivers.iter().zip(edges.senders).map(|(i, j)| of(i) + of(j)).collect();
        let sum = self.variables.constant(&sums, &[sums.len(), 1])?;
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
                let w = self.variables.constant(frequencies, &[1, frequencies.len()])?;
                (x.broadcast_mul(&w)?.sin()?.broadcast_div(&x)? * *prefactor)?
            }
            Basis::Gaussian { centers, coefficient } => {
                let d = x.broadcast_sub(&self.variables.constant(centers, &[1, centers.len()])?)?;
                (d.sqr()? * *coefficient)?.exp()?
            }
            Basis::ExpNormal { .. } => candle_core::bail!("MACE has no exponentials as radial functions"),
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
    /// Σ over the elements of what the matrix of each does to its nodes.
    fn by_element(&self, x: &Tensor, prefix: &str, elements: &[u32]) -> Result<Tensor> {
        let mut sum = None;
        let mut present = elements.to_vec();
        present.sort_unstable();
        present.dedup();
        for z in present {
            let mask: Vec<f64> = elements.iter().map(|e| f64::from(u8::from(*e == z))).collect();
            let mask = self.variables.constant(&mask, &[mask.len(), 1, 1])?;
            let y = rows(x, self.variables.weight(format!("{prefix}.{z}")))?.broadcast_mul(&mask)?;
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
        let mut weights = self.variables.run(&format!("{t}.network"), &layer.network, basis)?;
        if !self.model.radial.on_basis {
            weights = weights.broadcast_mul(cutoff)?;
        }
        let up: Vec<Tensor> = features
            .iter()
            .enumerate()
            .map(|(k, h)| rows(h, self.variables.weight(format!("{t}.up.{k}")))?.index_select(senders, 0))
            .collect::<Result<_>>()?;
        let mut sums: Vec<Option<Tensor>> = vec![None; self.model.lmax + 1];
        for (k, path) in layer.paths.iter().enumerate() {
            let [_, d2, d3] = path.degrees.map(|l| 2 * l + 1);
            let y = harmonics.narrow(1, path.degrees[1] * path.degrees[1], d2)?;
            let message = self.variables.couple(
                path.degrees,
                &path.coupling,
                &up[path.input],
                &y,
                &weights.narrow(1, k * c, c)?,
            )?;
            let zero = Tensor::zeros((nodes, d3, c), self.variables.dtype, &self.variables.device)?;
            let message = zero.index_add(receivers, &message, 0)?;
            let mixed = rows(&message, self.variables.weight(format!("{t}.path.{k}")))?;
            let slot = &mut sums[path.degrees[2]];
            *slot = Some(match slot.take() {
                None => mixed,
                Some(s) => (s + mixed)?,
            });
        }
        let divisor = match &layer.division {
            Division::Constant(n) => {
                Tensor::full(*n, (nodes, 1, 1), &self.variables.device)?.to_dtype(self.variables.dtype)?
            }
            Division::Density(_) => {
                let mut d = basis.matmul(self.variables.weight(format!("{t}.density")))?.sqr()?.tanh()?;
                if !self.model.radial.on_basis {
                    d = (d * cutoff)?;
                }
                let zero = Tensor::zeros((nodes, 1), self.variables.dtype, &self.variables.device)?;
                (zero.index_add(receivers, &d.contiguous()?, 0)? + 1.0)?.unsqueeze(2)?
            }
        };
        let mut messages = Vec::new();
        for (l, sum) in sums.into_iter().enumerate() {
            let sum = match sum {
                Some(sum) => sum.broadcast_div(&divisor)?,
                None => Tensor::zeros((nodes, 2 * l + 1, c), self.variables.dtype, &self.variables.device)?,
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
                let x = flat.index_select(&self.variables.indices(&index)?, 0)?;
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
            let u = self.variables.constant(&u, &[d * order.count, used.len()])?;
            let coupled = u.matmul(&powers)?.reshape((d, order.count, nodes, c))?;
            let w =
                self.variables.weight(format!("{t}.product.{}.{k}", product.l)).index_select(species, 0)?;
            let w = w.transpose(0, 1)?.contiguous()?.unsqueeze(0)?;
            let term = coupled.broadcast_mul(&w)?.sum(1)?;
            sum = Some(match sum {
                None => term,
                Some(s) => (s + term)?,
            });
        }
        match sum {
            Some(sum) => sum.transpose(0, 1)?.contiguous(),
            None => Tensor::zeros((nodes, d, c), self.variables.dtype, &self.variables.device),
        }
    }
    fn readout(&self, t: usize, readout: &Readout, x: &Tensor, head: usize) -> Result<Tensor> {
        let first = self.variables.weight(format!("{t}.readout.0"));
        match readout {
            Readout::Linear(_) => x.matmul(&first.narrow(1, head, 1)?.contiguous()?)?.squeeze(1),
            Readout::Network(w, f, _) => {
                let n = w.outputs / self.model.heads.len();
                let hidden = activate(*f, &x.matmul(&first.narrow(1, head * n, n)?.contiguous()?)?)?;
                let last = self.variables.weight(format!("{t}.readout.1"));
                let last = last.narrow(0, head * n, n)?.narrow(1, head, 1)?.contiguous()?;
                hidden.matmul(&last)?.squeeze(1)
            }
        }
    }
    /// Nuclear repulsion, (nodes).
    fn zbl(&self, r: &Tensor, edges: &Edges<'_>, receivers: &Tensor) -> Result<Tensor> {
        let nodes = edges.elements.len();
        let zero = Tensor::zeros(nodes, self.variables.dtype, &self.variables.device)?;
        let Some(zbl) = &self.model.zbl else { return Ok(zero) };
        let element = |n: &u32| edges.elements[*n as usize] as usize;
        let charge = |n: &u32| f64::from(self.model.elements[element(n)]);
        let pairs = || edges.receivers.iter().zip(edges.senders);
        let column = |values: Vec<f64>| self.variables.constant(&values, &[values.len(), 1]);
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
        let inside = r.lt(&reach)?.to_dtype(self.variables.dtype)?;
        let cut = (envelope(&(r / reach)?, zbl.power)? * inside)?;
        let energy = (((product / r)? * phi)? * cut)?.squeeze(1)?;
        zero.index_add(receivers, &energy.contiguous()?, 0)
    }
}

//! MACE in candle: the readable form of the model, differentiable with respect to edge vectors and weights.
//!
//! It is what the fused kernels are tested against, and what a trainer starts from. It stores every edge and channel, so it
//! is for hundreds of atoms. Tensors of features are (atoms or edges, 2l + 1, C).
use super::model::{Conditions, Division, Encoding, Interaction, Model, Product, Readout, Skip};
pub use crate::ml::differentiable::Edges;
use crate::ml::differentiable::{Variables, activate, envelope, harmonics, rows};
use crate::ml::equivariant::Activation;
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

/// The ends of the edges, (edges).
struct Ends {
    receivers: Tensor,
    senders: Tensor,
    /// Elements of receivers and senders.
    elements: [Tensor; 2],
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
        if let Some(joint) = &model.joint {
            for (k, (_, encoding)) in joint.inputs.iter().enumerate() {
                match encoding {
                    Encoding::Category { table, .. } => variables.matrix(&format!("joint.{k}"), table)?,
                    Encoding::Network(network) => variables.network(&format!("joint.{k}"), network)?,
                }
            }
            variables.matrix("joint.project", &joint.project)?;
            if let Some(w) = &joint.readout {
                variables.matrix("joint.readout", w)?;
            }
        }
        for (t, layer) in model.layers.iter().enumerate() {
            let interaction = &layer.interaction;
            for (k, w) in interaction.up.iter().enumerate() {
                variables.matrix(&format!("{t}.up.{k}"), w)?;
            }
            variables.pair_network(&format!("{t}.network"), &interaction.network)?;
            for (k, p) in interaction.paths.iter().enumerate() {
                variables.matrix(&format!("{t}.path.{k}"), &p.linear)?;
            }
            if let Division::Density { network, offset, slope } = &interaction.division {
                variables.pair_network(&format!("{t}.density"), network)?;
                variables.add(&format!("{t}.density.offset"), &[1], &[*offset])?;
                variables.add(&format!("{t}.density.slope"), &[1], &[*slope])?;
            }
            if let Some(gate) = &interaction.gate {
                for (k, w) in gate.residual.iter().enumerate() {
                    variables.matrix(&format!("{t}.residual.{k}"), w)?;
                }
                for (l, w) in gate.linear.iter().enumerate() {
                    variables.matrix(&format!("{t}.gated.{l}"), w)?;
                }
            }
            let skips: Vec<(usize, &Vec<Dense>)> = match &interaction.skip {
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
                    let elements = if p.agnostic { 1 } else { model.elements.len() };
                    let shape = [elements, order.count, model.channels];
                    variables.add(&format!("{t}.product.{}.{k}", p.l), &shape, &order.weights)?;
                }
                variables.matrix(&format!("{t}.product.{}.linear", p.l), &p.linear)?;
            }
            if let Some(Readout(network)) = &layer.readout {
                variables.network(&format!("{t}.readout"), network)?;
            }
        }
        Ok(this)
    }
    /// The variables, with the normalisations of the layers in them.
    pub fn weights(&self) -> &BTreeMap<String, Var> {
        &self.variables.all
    }
    /// The model on a geometry with at least one edge, under conditions that it knows: a head, or more.
    ///
    /// # Errors
    /// When candle fails, or the model does not know the conditions.
    pub fn forward(&self, edges: &Edges<'_>, conditions: impl Into<Conditions>) -> Result<Stages> {
        let (model, conditions) = (&self.model, conditions.into());
        let head = conditions.head;
        let (receivers, senders) =
            (self.variables.indices(edges.receivers)?, self.variables.indices(edges.senders)?);
        let species = self.variables.indices(edges.elements)?;
        let nodes = edges.elements.len();
        let r = edges.vectors.sqr()?.sum_keepdim(1)?.sqrt()?;
        let unit = edges.vectors.neg()?.broadcast_div(&r)?;
        let harmonics = harmonics(&unit, self.model.lmax)?;
        let (basis, cutoff) = self.basis(&r, edges)?;
        let ends = Ends {
            elements: [species.index_select(&receivers, 0)?, species.index_select(&senders, 0)?],
            receivers,
            senders,
        };
        let start = self.embedding(&species, &conditions)?;
        let mut features = vec![start.unsqueeze(1)?];
        let mut sum = self.zbl(&r, edges, &ends.receivers)?;
        let mut stages = Stages { messages: Vec::new(), features: Vec::new(), energies: sum.clone() };
        for (t, layer) in model.layers.iter().enumerate() {
            let interaction = &layer.interaction;
            let radial = [&basis, &cutoff];
            let messages = self.convolution(t, interaction, &features, &harmonics, radial, edges, &ends)?;
            let all = Tensor::cat(&messages, 1)?;
            let mut next = Vec::new();
            for product in &layer.products {
                let b = self.contraction(t, product, &all, &species)?;
                let mut h = rows(&b, self.variables.weight(format!("{t}.product.{}.linear", product.l)))?;
                if let Skip::Residual(map) = &interaction.skip
                    && map.contains_key(&product.l)
                {
                    let k = interaction.input.iter().position(|l| *l == product.l).unwrap_or(0);
                    let skip = format!("{t}.skip.{}", product.l);
                    h = (h + self.by_element(&features[k], &skip, edges.elements, map[&product.l].len())?)?;
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
        if model.joint.as_ref().is_some_and(|j| j.readout.is_some()) {
            let w = self.variables.weight("joint.readout".to_owned()).narrow(1, conditions.head, 1)?;
            stages.energies = (stages.energies + start.matmul(&w.contiguous()?)?.squeeze(1)?)?;
        }
        Ok(stages)
    }
    /// Scalars before the first layer, (nodes, C).
    fn embedding(&self, species: &Tensor, conditions: &Conditions) -> Result<Tensor> {
        let v = &self.variables;
        let own = v.weight("embedding".to_owned()).index_select(species, 0)?;
        let Some(joint) = &self.model.joint else { return Ok(own) };
        let mut rows = Vec::new();
        for (k, (quantity, encoding)) in joint.inputs.iter().enumerate() {
            let unknown =
                || candle_core::Error::Msg(format!("the {quantity} is not one that the model knows"));
            let x = quantity.of(conditions).ok_or_else(unknown)?;
            rows.push(match encoding {
                Encoding::Category { offset, table } => {
                    let row = Encoding::row(*offset, table, x).ok_or_else(unknown)?;
                    v.weight(format!("joint.{k}")).narrow(0, row, 1)?
                }
                Encoding::Network(network) => {
                    v.run(&format!("joint.{k}"), network, &v.constant(&[x], &[1, 1])?)?
                }
            });
        }
        let row = Tensor::cat(&rows, 1)?.matmul(v.weight("joint.project".to_owned()))?;
        own.broadcast_add(&activate(Activation::Silu, &row)?)
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
    /// What the only matrix does to all nodes, or Σ over the elements of what that of each does to its own.
    fn by_element(&self, x: &Tensor, prefix: &str, elements: &[u32], count: usize) -> Result<Tensor> {
        if count == 1 {
            return rows(x, self.variables.weight(format!("{prefix}.0")));
        }
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
        layer: &Interaction,
        features: &[Tensor],
        harmonics: &Tensor,
        [basis, cutoff]: [&Tensor; 2],
        edges: &Edges<'_>,
        ends: &Ends,
    ) -> Result<Vec<Tensor>> {
        let (v, on_basis) = (&self.variables, self.model.radial.on_basis);
        let (e, nodes) = (layer.edge_channels, edges.elements.len());
        let elements = [&ends.elements[0], &ends.elements[1]];
        let mut weights = v.run_pairs(&format!("{t}.network"), &layer.network, basis, elements)?;
        if !on_basis {
            weights = weights.broadcast_mul(cutoff)?;
        }
        let up: Vec<Tensor> = layer
            .sent
            .iter()
            .enumerate()
            .map(|(k, l)| {
                let place = layer.input.iter().position(|i| i == l).unwrap_or(0);
                rows(&features[place], v.weight(format!("{t}.up.{k}")))
            })
            .collect::<Result<_>>()?;
        let sent: Vec<Tensor> = up.iter().map(|h| h.index_select(&ends.senders, 0)).collect::<Result<_>>()?;
        let mut sums: Vec<Option<Tensor>> = vec![None; self.model.lmax + 1];
        for (k, path) in layer.paths.iter().enumerate() {
            let [_, d2, d3] = path.degrees.map(|l| 2 * l + 1);
            let y = harmonics.narrow(1, path.degrees[1] * path.degrees[1], d2)?;
            let message =
                v.couple(path.degrees, &path.coupling, &sent[path.input], &y, &weights.narrow(1, k * e, e)?)?;
            let zero = Tensor::zeros((nodes, d3, e), v.dtype, &v.device)?;
            let message = zero.index_add(&ends.receivers, &message, 0)?;
            let mixed = rows(&message, v.weight(format!("{t}.path.{k}")))?;
            let slot = &mut sums[path.degrees[2]];
            *slot = Some(match slot.take() {
                None => mixed,
                Some(s) => (s + mixed)?,
            });
        }
        let divisor = match &layer.division {
            Division::Constant(n) => Tensor::full(*n, (nodes, 1, 1), &v.device)?.to_dtype(v.dtype)?,
            Division::Density { network, .. } => {
                let name = format!("{t}.density");
                let mut d = v.run_pairs(&name, network, basis, elements)?.sqr()?.tanh()?;
                if !on_basis {
                    d = (d * cutoff)?;
                }
                let zero = Tensor::zeros((nodes, 1), v.dtype, &v.device)?;
                let density = zero.index_add(&ends.receivers, &d.contiguous()?, 0)?;
                let density = density.broadcast_mul(v.weight(format!("{name}.slope")))?;
                density.broadcast_add(v.weight(format!("{name}.offset")))?.unsqueeze(2)?
            }
        };
        let mut messages = Vec::new();
        for (l, sum) in sums.into_iter().enumerate() {
            let sum = match sum {
                Some(sum) => sum.broadcast_div(&divisor)?,
                None => Tensor::zeros((nodes, 2 * l + 1, self.model.channels), v.dtype, &v.device)?,
            };
            messages.push(match &layer.skip {
                Skip::Message(skip) => {
                    self.by_element(&sum, &format!("{t}.skip.{l}"), edges.elements, skip[l].len())?
                }
                Skip::Residual(_) => sum,
            });
        }
        match &layer.gate {
            Some(_) => self.gate(t, layer, &up, messages),
            None => Ok(messages),
        }
    }
    /// The non-linear end of a convolution.
    fn gate(&self, t: usize, layer: &Interaction, up: &[Tensor], mut x: Vec<Tensor>) -> Result<Vec<Tensor>> {
        let (v, c) = (&self.variables, self.model.channels);
        for (k, l) in layer.sent.iter().enumerate() {
            x[*l] = (&x[*l] + rows(&up[k], v.weight(format!("{t}.residual.{k}")))?)?;
        }
        let scalars = x[0].clone();
        x[0] = activate(Activation::Silu, &scalars.narrow(2, 0, c)?)?;
        for (l, x) in x.iter_mut().enumerate().skip(1) {
            *x = x.broadcast_mul(&activate(Activation::Sigmoid, &scalars.narrow(2, l * c, c)?)?)?;
        }
        x.iter().enumerate().map(|(l, x)| rows(x, v.weight(format!("{t}.gated.{l}")))).collect()
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
            let mut w = self.variables.weight(format!("{t}.product.{}.{k}", product.l)).clone();
            if !product.agnostic {
                w = w.index_select(species, 0)?;
            }
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
    /// Energies of the nodes, (nodes), from their scalars.
    fn readout(&self, t: usize, readout: &Readout, x: &Tensor, head: usize) -> Result<Tensor> {
        let (Readout(network), heads) = (readout, self.model.heads.len());
        let mut x = x.clone();
        for (k, w) in network.layers.iter().enumerate() {
            let own = w.outputs / heads;
            let mut weight = self.variables.weight(format!("{t}.readout.{k}")).narrow(1, head * own, own)?;
            if k > 0 {
                let before = w.inputs / heads;
                weight = weight.narrow(0, head * before, before)?;
                x = activate(network.activation, &x)?;
            }
            x = x.matmul(&weight.contiguous()?)?;
            if network.biases.len() > k {
                let bias = self.variables.weight(format!("{t}.readout.{k}.bias"));
                x = x.broadcast_add(&bias.narrow(1, head * own, own)?)?;
            }
        }
        x.squeeze(1)
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

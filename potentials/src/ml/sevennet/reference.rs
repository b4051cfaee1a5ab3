//! SevenNet in candle: the readable form of the model, differentiable with respect to edge vectors and weights.
//!
//! It is what the fused kernels are tested against, and what a trainer starts from. It stores every edge and channel, so it
//! is for hundreds of atoms.
use super::model::{Layer, Model};
use crate::ml::differentiable::{Edges, Variables, activate, cosine, envelope, harmonics, rows};
use crate::ml::equivariant::Activation;
use crate::ml::radial::{Basis, Envelope};
use candle_core::{DType, Device, Result, Tensor, Var};
use std::collections::BTreeMap;

/// The model with its weights as variables.
pub struct Reference {
    model: Model,
    variables: Variables,
}

/// What the model computes on the way.
pub struct Stages {
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
        let mut variables = Variables::new(dtype, device);
        let v = &mut variables;
        let rows = |v: &mut Variables, name: &str, rows: &[Vec<f64>]| match rows.first() {
            Some(row) => v.add(name, &[rows.len(), row.len()], &rows.concat()),
            None => Ok(()),
        };
        v.matrix("embedding", &model.embedding)?;
        rows(v, "embedding.constant", &model.embedding_constants)?;
        for (t, layer) in model.layers.iter().enumerate() {
            for (k, w) in layer.up.iter().enumerate() {
                v.matrix(&format!("{t}.up.{k}"), w)?;
            }
            rows(v, &format!("{t}.up.constant"), &layer.up_constants)?;
            v.network(&format!("{t}.network"), &layer.network)?;
            for (k, p) in layer.paths.iter().enumerate() {
                v.matrix(&format!("{t}.path.{k}"), &p.linear)?;
            }
            for (k, w) in layer.skip.iter().enumerate() {
                if let Some(w) = w {
                    v.matrix(&format!("{t}.skip.{k}"), w)?;
                }
            }
            rows(v, &format!("{t}.constant"), &layer.constants)?;
        }
        v.matrix("readout", &model.readout)?;
        rows(v, "readout.constant", &model.readout_constants)?;
        rows(v, "scale", &model.scale)?;
        rows(v, "shift", &model.shift)?;
        Ok(Self { model, variables })
    }
    /// The variables, with the normalisations of the layers in them.
    pub fn weights(&self) -> &BTreeMap<String, Var> {
        &self.variables.all
    }
    /// Adds what a modality adds to scalars (n, C), if anything.
    fn shifted(&self, x: Tensor, name: String, modality: usize) -> Result<Tensor> {
        match self.variables.all.get(&name) {
            Some(rows) => x.broadcast_add(&rows.narrow(0, modality, 1)?),
            None => Ok(x),
        }
    }
    /// The model on a geometry with at least one edge, with the modality of the given number (0 where there are none).
    ///
    /// # Errors
    /// When candle fails.
    pub fn forward(&self, edges: &Edges<'_>, modality: usize) -> Result<Stages> {
        let (model, v) = (&self.model, &self.variables);
        let species = v.indices(edges.elements)?;
        let r = edges.vectors.sqr()?.sum_keepdim(1)?.sqrt()?;
        let y = if model.solid {
            self.solid(edges.vectors, &r)?
        } else {
            harmonics(&edges.vectors.broadcast_div(&r)?, model.lmax)?
        };
        let basis = self.basis(&r)?;
        let scalars = v.weight("embedding".to_owned()).index_select(&species, 0)?;
        let mut features =
            vec![self.shifted(scalars, "embedding.constant".to_owned(), modality)?.unsqueeze(1)?];
        let mut stages = Vec::new();
        for (t, layer) in model.layers.iter().enumerate() {
            features = self.layer(t, layer, &features, &y, &basis, edges, modality)?;
            stages.push(features.clone());
        }
        let energy = features[0].squeeze(1)?.matmul(v.weight("readout".to_owned()))?;
        let energy = self.shifted(energy, "readout.constant".to_owned(), modality)?.squeeze(1)?;
        let of = |name: &str| {
            v.weight(name.to_owned()).narrow(0, modality, 1)?.squeeze(0)?.index_select(&species, 0)
        };
        let energies = ((energy * of("scale")?)? + of("shift")?)?;
        Ok(Stages { features: stages, energies })
    }
    /// r^l Y_l.
    fn solid(&self, vectors: &Tensor, r: &Tensor) -> Result<Tensor> {
        let y = harmonics(&vectors.broadcast_div(r)?, self.model.lmax)?;
        let degree = |l: usize| y.narrow(1, l * l, 2 * l + 1)?.broadcast_mul(&r.powf(l as f64)?);
        Tensor::cat(&(0..=self.model.lmax).map(degree).collect::<Result<Vec<_>>>()?, 1)
    }
    /// Radial functions, (edges, B).
    fn basis(&self, r: &Tensor) -> Result<Tensor> {
        let (v, cutoff) = (&self.variables, self.model.cutoff);
        let Basis::Bessel { frequencies, prefactor } = &self.model.basis else {
            candle_core::bail!("SevenNet has a basis of Bessel functions")
        };
        let w = v.constant(frequencies, &[1, frequencies.len()])?;
        let functions = (r.broadcast_mul(&w)?.sin()?.broadcast_div(r)? * *prefactor)?;
        let cut = match self.model.envelope {
            Envelope::Polynomial(p) => envelope(&(r / cutoff)?, p)?,
            Envelope::Xplor { on } => {
                let (r2, on2, cut2) = (r.sqr()?, on * on, cutoff * cutoff);
                let outer = (((r2.neg()? + cut2)?.sqr()? * ((&r2 * 2.0)? + (cut2 - 3.0 * on2))?)?
                    / (cut2 - on2).powi(3))?;
                let beyond = r.ge(on)?.to_dtype(v.dtype)?;
                (((outer - 1.0)? * beyond)? + 1.0)?
            }
            Envelope::Cosine => cosine(r, cutoff)?,
        };
        functions.broadcast_mul(&cut)
    }
    #[expect(clippy::too_many_arguments, reason = "what the geometry gives is shared by all layers")]
    fn layer(
        &self,
        t: usize,
        layer: &Layer,
        features: &[Tensor],
        harmonics: &Tensor,
        basis: &Tensor,
        edges: &Edges<'_>,
        modality: usize,
    ) -> Result<Vec<Tensor>> {
        let (v, nodes) = (&self.variables, edges.elements.len());
        let (receivers, senders) = (v.indices(edges.receivers)?, v.indices(edges.senders)?);
        let weights = v.run(&format!("{t}.network"), &layer.network, basis)?;
        let mut sent = Vec::new();
        for (k, x) in features.iter().enumerate() {
            let mut up = rows(x, v.weight(format!("{t}.up.{k}")))?;
            if k == 0 {
                up = self.shifted(up.squeeze(1)?, format!("{t}.up.constant"), modality)?.unsqueeze(1)?;
            }
            sent.push(up.index_select(&senders, 0)?);
        }
        // what enters the gate, by degree
        let mut gate: Vec<Option<Tensor>> = vec![None; layer.output.len()];
        let add = |to: &mut Option<Tensor>, x: Tensor| -> Result<()> {
            *to = Some(match to.take() {
                None => x,
                Some(s) => (s + x)?,
            });
            Ok(())
        };
        for (k, path) in layer.paths.iter().enumerate() {
            let [_, d2, d3] = path.degrees.map(|l| 2 * l + 1);
            let c = path.linear.inputs;
            let y = harmonics.narrow(1, path.degrees[1] * path.degrees[1], d2)?;
            let w = weights.narrow(1, path.first, c)?;
            let message = v.couple(path.degrees, &path.coupling, &sent[path.input], &y, &w)?;
            let zero = Tensor::zeros((nodes, d3, c), v.dtype, &v.device)?;
            let sum = zero.index_add(&receivers, &message, 0)?;
            let mixed = rows(&sum, v.weight(format!("{t}.path.{k}")))?;
            if let Some(place) = layer.output.iter().position(|b| b.l == path.degrees[2]) {
                add(&mut gate[place], mixed)?;
            }
        }
        for (k, b) in layer.output.iter().enumerate() {
            let from = layer.input.iter().position(|i| i.l == b.l);
            if let (Some(_), Some(from)) = (&layer.skip[k], from) {
                add(&mut gate[k], rows(&features[from], v.weight(format!("{t}.skip.{k}")))?)?;
            }
        }
        let blocks = layer.gate();
        let mut values = Vec::new();
        for (value, b) in gate.into_iter().zip(&blocks) {
            values.push(match value {
                Some(value) => value,
                None => Tensor::zeros((nodes, 2 * b.l + 1, b.channels), v.dtype, &v.device)?,
            });
        }
        let scalars = self.shifted(values[0].squeeze(1)?, format!("{t}.constant"), modality)?;
        let active = (activate(Activation::Silu, &scalars)? * Activation::Silu.constant())?;
        let mut at = layer.scalars();
        let mut next = vec![active.narrow(1, 0, at)?.unsqueeze(1)?];
        for (b, x) in layer.output.iter().zip(&values).skip(1) {
            next.push(x.broadcast_mul(&active.narrow(1, at, b.channels)?.unsqueeze(1)?)?);
            at += b.channels;
        }
        Ok(next)
    }
}

//! TensorNet in candle: the readable form of the network, differentiable with respect to edge vectors and weights.
//!
//! It is what the fused kernels are tested against, and what a trainer starts from. Tensors of features are (atoms or edges, 3, 3, F). It
//! stores every edge and channel, so it is for hundreds of atoms. The priors between pairs are not part of it.
use super::model::{Affine, Group, Model, Norm};
use crate::ml::differentiable::{Edges, Variables, activate, cosine};
use crate::ml::radial::Basis;
use candle_core::{D, DType, Device, Result, Tensor, Var};
use std::collections::BTreeMap;

/// The model with its weights as variables.
pub struct Reference {
    model: Model,
    variables: Variables,
}

/// What the model computes on the way.
pub struct Stages {
    /// X after the embedding and after every layer: (nodes, 3, 3, F).
    pub features: Vec<Tensor>,
    /// M of every layer: (nodes, 3, 3, F).
    pub messages: Vec<Tensor>,
    /// Energy of every node without that of the priors between pairs and without the mean, eV: (nodes).
    pub energies: Tensor,
}

/// What has the symmetry of a scalar, a vector and a symmetric tensor, each as matrices (n, 3, 3, F).
struct Parts([Tensor; 3]);

impl Parts {
    /// I, A and S of matrices.
    fn of(x: &Tensor) -> Result<Self> {
        let transposed = x.transpose(1, 2)?;
        let trace = (((entry(x, 0, 0)? + entry(x, 1, 1)?)? + entry(x, 2, 2)?)? / 3.0)?;
        let scalar = identity(x)?.broadcast_mul(&trace)?;
        let skew = ((x - &transposed)? * 0.5)?;
        let symmetric = (((x + &transposed)? * 0.5)? - &scalar)?;
        Ok(Self([scalar, skew, symmetric]))
    }
    fn sum(&self) -> Result<Tensor> {
        (&self.0[0] + &self.0[1])? + &self.0[2]
    }
    fn map(&self, f: impl Fn(usize, &Tensor) -> Result<Tensor>) -> Result<Self> {
        Ok(Self([f(0, &self.0[0])?, f(1, &self.0[1])?, f(2, &self.0[2])?]))
    }
}

fn entry(x: &Tensor, row: usize, column: usize) -> Result<Tensor> {
    x.narrow(1, row, 1)?.narrow(2, column, 1)
}

fn identity(like: &Tensor) -> Result<Tensor> {
    Tensor::eye(3, like.dtype(), like.device())?.reshape((1, 3, 3, 1))
}

/// Matrix products for every node and channel.
fn product(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let term = |k: usize| a.narrow(2, k, 1)?.broadcast_mul(&b.narrow(1, k, 1)?);
    (term(0)? + term(1)?)? + term(2)?
}

/// Σ of all squares of each matrix, (n, F).
fn squares(x: &Tensor) -> Result<Tensor> {
    x.sqr()?.sum(1)?.sum(1)
}

/// (n, F) to (n, 1, 1, F).
fn spread(x: &Tensor) -> Result<Tensor> {
    x.unsqueeze(1)?.unsqueeze(1)
}

impl Reference {
    /// The model on a device.
    ///
    /// # Errors
    /// When candle fails.
    pub fn new(model: Model, dtype: DType, device: &Device) -> Result<Self> {
        let mut v = Variables::new(dtype, device);
        let affine = |v: &mut Variables, name: String, map: &Affine| {
            v.matrix(&name, &map.matrix)?;
            v.add(&format!("{name}.bias"), &[1, map.bias.len()], &map.bias)
        };
        let norm = |v: &mut Variables, name: &str, norm: &Norm| {
            v.add(&format!("{name}.gamma"), &[1, norm.gamma.len()], &norm.gamma)?;
            v.add(&format!("{name}.beta"), &[1, norm.beta.len()], &norm.beta)
        };
        match &model.basis {
            Basis::ExpNormal { means, betas, .. } => {
                v.add("basis.means", &[1, means.len()], means)?;
                v.add("basis.betas", &[1, betas.len()], betas)?;
            }
            Basis::Gaussian { centers, coefficient } => {
                v.add("basis.centers", &[1, centers.len()], centers)?;
                v.add("basis.coefficient", &[1, 1], &[*coefficient])?;
            }
            _ => candle_core::bail!("TensorNet has exponentials or Gaussians as radial functions"),
        }
        v.matrix("embedding", &model.embedding)?;
        affine(&mut v, "pair".to_owned(), &model.pair)?;
        for (k, map) in model.distance.iter().enumerate() {
            affine(&mut v, format!("distance.{k}"), map)?;
        }
        norm(&mut v, "norm", &model.norm)?;
        for (k, map) in model.scalars.iter().enumerate() {
            affine(&mut v, format!("scalars.{k}"), map)?;
        }
        for (k, w) in model.tensors.iter().enumerate() {
            v.matrix(&format!("tensors.{k}"), w)?;
        }
        for (t, layer) in model.layers.iter().enumerate() {
            for (k, map) in layer.radial.iter().enumerate() {
                affine(&mut v, format!("{t}.radial.{k}"), map)?;
            }
            for (k, w) in layer.tensors.iter().enumerate() {
                v.matrix(&format!("{t}.tensors.{k}"), w)?;
            }
        }
        norm(&mut v, "out_norm", &model.out_norm)?;
        for (k, map) in model.readout.iter().enumerate() {
            affine(&mut v, format!("readout.{k}"), map)?;
        }
        v.add("atomic_energies", &[model.atomic_energies.len()], &model.atomic_energies)?;
        Ok(Self { model, variables: v })
    }
    /// The variables.
    pub fn weights(&self) -> &BTreeMap<String, Var> {
        &self.variables.all
    }
    fn affine(&self, name: &str, x: &Tensor) -> Result<Tensor> {
        let v = &self.variables;
        x.matmul(v.weight(name.to_owned()))?.broadcast_add(v.weight(format!("{name}.bias")))
    }
    fn norm(&self, name: &str, x: &Tensor) -> Result<Tensor> {
        let v = &self.variables;
        let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
        let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
        let normal = centred.broadcast_div(&(variance + Norm::EPSILON)?.sqrt()?)?;
        normal
            .broadcast_mul(v.weight(format!("{name}.gamma")))?
            .broadcast_add(v.weight(format!("{name}.beta")))
    }
    /// The channels of every component times a matrix.
    fn mix(&self, name: String, x: &Tensor) -> Result<Tensor> {
        let (n, a, b, f) = x.dims4()?;
        x.reshape((n * a * b, f))?.matmul(self.variables.weight(name))?.reshape((n, a, b, f))
    }
    /// Radial functions of distances (n, 1), and the cutoff function.
    fn basis(&self, r: &Tensor) -> Result<(Tensor, Tensor)> {
        let v = &self.variables;
        let weight = |name: &str| v.weight(name.to_owned());
        let cut = cosine(r, self.model.cutoff)?;
        let functions = match &self.model.basis {
            Basis::ExpNormal { rate, .. } => {
                let e = (r * -rate)?.exp()?;
                let d = e.broadcast_sub(weight("basis.means"))?.sqr()?;
                d.broadcast_mul(&weight("basis.betas").neg()?)?.exp()?.broadcast_mul(&cut)?
            }
            _ => {
                let d = r.broadcast_sub(weight("basis.centers"))?.sqr()?;
                d.broadcast_mul(weight("basis.coefficient"))?.exp()?
            }
        };
        Ok((functions, cut))
    }
    /// Weights (n, F) of the three parts for edges and, in the last row, of an atom for itself.
    fn parts_of(&self, all: &Tensor) -> Result<([Tensor; 3], [Tensor; 3])> {
        let (rows, f) = (all.dim(0)? - 1, self.model.channels);
        let part = |k: usize| all.narrow(1, k * f, f)?.contiguous();
        let parts = [part(0)?, part(1)?, part(2)?];
        let edges =
            [parts[0].narrow(0, 0, rows)?, parts[1].narrow(0, 0, rows)?, parts[2].narrow(0, 0, rows)?];
        let own = [parts[0].narrow(0, rows, 1)?, parts[1].narrow(0, rows, 1)?, parts[2].narrow(0, rows, 1)?];
        Ok((edges, own))
    }
    /// The model on a geometry with at least one edge, for a total charge.
    ///
    /// # Errors
    /// When candle fails.
    pub fn forward(&self, edges: &Edges<'_>, charge: f64) -> Result<Stages> {
        let (model, v) = (&self.model, &self.variables);
        let species = v.indices(edges.elements)?;
        let (receivers, senders) = (v.indices(edges.receivers)?, v.indices(edges.senders)?);
        let r = edges.vectors.sqr()?.sum_keepdim(1)?.sqrt()?;
        // from the sender to the receiver
        let unit = edges.vectors.broadcast_div(&r)?.neg()?;
        // the last row is the edge of an atom with itself
        let r = Tensor::cat(&[&r, &v.constant(&[0.0], &[1, 1])?], 0)?;
        let (basis, cut) = self.basis(&r)?;
        let mut x = self.embed(&basis, &cut, &unit, [&species, &receivers, &senders])?;
        let (mut features, mut messages) = (vec![x.clone()], Vec::new());
        for t in 0..model.layers.len() {
            let (next, message) =
                self.interact(t, &x, &basis, &cut, [&receivers, &senders], 1.0 + 0.1 * charge)?;
            x = next;
            features.push(x.clone());
            messages.push(message);
        }
        let parts = Parts::of(&x)?;
        let norms = [squares(&parts.0[0])?, squares(&parts.0[1])?, squares(&parts.0[2])?];
        let mut h = self.norm("out_norm", &Tensor::cat(&norms, 1)?)?;
        for k in 0..model.readout.len() {
            h = self.affine(&format!("readout.{k}"), &h)?;
            if k + 1 < model.readout.len() {
                h = activate(model.activation, &h)?;
            }
        }
        let own = v.weight("atomic_energies".to_owned()).index_select(&species, 0)?;
        let energies = ((h.squeeze(1)? * model.scale)? + own)?;
        Ok(Stages { features, messages, energies })
    }
    fn embed(
        &self,
        basis: &Tensor,
        cut: &Tensor,
        unit: &Tensor,
        [species, receivers, senders]: [&Tensor; 3],
    ) -> Result<Tensor> {
        let v = &self.variables;
        let (nodes, f) = (species.dim(0)?, self.model.channels);
        let project = |k: usize| self.affine(&format!("distance.{k}"), basis)?.broadcast_mul(cut);
        let (weights, own) = self.parts_of(&Tensor::cat(&[project(0)?, project(1)?, project(2)?], 1)?)?;
        let table = v.weight("embedding".to_owned());
        let of = |nodes: &Tensor| table.index_select(&species.index_select(nodes, 0)?, 0);
        let pair = self.affine("pair", &Tensor::cat(&[of(receivers)?, of(senders)?], 1)?)?;
        let itself = table.index_select(species, 0)?;
        let itself = self.affine("pair", &Tensor::cat(&[&itself, &itself], 1)?)?;
        let zero = |shape: &[usize]| Tensor::zeros(shape, v.dtype, &v.device);
        let scalar = zero(&[nodes, f])?.index_add(receivers, &(&weights[0] * &pair)?, 0)?;
        let scalar = (scalar + itself.broadcast_mul(&own[0])?)?;
        let vector = unit.unsqueeze(2)?.broadcast_mul(&(&weights[1] * &pair)?.unsqueeze(1)?)?;
        let vector = zero(&[nodes, 3, f])?.index_add(receivers, &vector, 0)?;
        let outer = unit.unsqueeze(2)?.broadcast_mul(&unit.unsqueeze(1)?)?.unsqueeze(3)?;
        let tensor = outer.broadcast_mul(&spread(&(&weights[2] * &pair)?)?)?;
        let tensor = zero(&[nodes, 3, 3, f])?.index_add(receivers, &tensor, 0)?;
        let skew = {
            let [x, y, z] = [vector.narrow(1, 0, 1)?, vector.narrow(1, 1, 1)?, vector.narrow(1, 2, 1)?];
            let o = x.zeros_like()?;
            let rows = [
                Tensor::cat(&[&o, &z.neg()?, &y], 1)?,
                Tensor::cat(&[&z, &o, &x.neg()?], 1)?,
                Tensor::cat(&[&y.neg()?, &x, &o], 1)?,
            ];
            Tensor::stack(&rows, 1)?
        };
        let scalar = identity(&tensor)?.broadcast_mul(&spread(&scalar)?)?;
        let symmetric = Parts::of(&tensor)?.0[2].clone();
        let parts = Parts([scalar, skew, symmetric]);
        let mut h = self.norm("norm", &squares(&parts.sum()?)?)?;
        for k in 0..2 {
            h = activate(self.model.activation, &self.affine(&format!("scalars.{k}"), &h)?)?;
        }
        parts
            .map(|k, x| {
                let factor = spread(&h.narrow(1, k * f, f)?.contiguous()?)?;
                self.mix(format!("tensors.{k}"), &x.contiguous()?)?.broadcast_mul(&factor)
            })?
            .sum()
    }
    /// X after a layer, and M.
    fn interact(
        &self,
        t: usize,
        x: &Tensor,
        basis: &Tensor,
        cut: &Tensor,
        [receivers, senders]: [&Tensor; 2],
        charge: f64,
    ) -> Result<(Tensor, Tensor)> {
        let mut h = basis.clone();
        for k in 0..3 {
            h = activate(self.model.activation, &self.affine(&format!("{t}.radial.{k}"), &h)?)?;
        }
        let (weights, own) = self.parts_of(&h.broadcast_mul(cut)?)?;
        let x = x.broadcast_div(&spread(&(squares(x)? + 1.0)?)?)?;
        let mixed = |k: usize, x: &Tensor| -> Result<Tensor> {
            self.mix(format!("{t}.tensors.{k}"), &x.contiguous()?)
        };
        let sent = Parts::of(&x)?.map(mixed)?;
        let y = sent.sum()?;
        let message = sent
            .map(|k, part| {
                let each = part.index_select(senders, 0)?.broadcast_mul(&spread(&weights[k])?)?;
                part.broadcast_mul(&spread(&own[k])?)?.index_add(receivers, &each, 0)
            })?
            .sum()?;
        let c = match self.model.group {
            Group::O3 => ((product(&message, &y)? + product(&y, &message)?)? * charge)?,
            Group::So3 => (product(&y, &message)? * 2.0)?,
        };
        let c_over = c.broadcast_div(&spread(&(squares(&c)? + 1.0)?)?)?;
        let d = Parts::of(&c_over)?.map(|k, x| mixed(k + 3, x))?.sum()?;
        Ok((((x + &d)? + (product(&d, &d)? * charge)?)?, message))
    }
}

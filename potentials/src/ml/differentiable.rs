//! What the candle forms of equivariant models share: the readable form of a model, differentiable with respect to edge vectors and
//! weights, which the fused kernels are tested against. Tensors of features are (atoms or edges, 2l + 1, C).
use super::equivariant::Activation;
use super::radial::{Dense, Network, PairNetwork};
use candle_core::{DType, Device, Result, Tensor, Var};
use std::collections::BTreeMap;

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

/// The weights of a model by name, with the normalisations of the layers in them.
pub struct Variables {
    /// The variables.
    pub all: BTreeMap<String, Var>,
    /// Their type.
    pub dtype: DType,
    /// Where they are.
    pub device: Device,
}

impl Variables {
    pub(crate) fn new(dtype: DType, device: &Device) -> Self {
        Self { all: BTreeMap::new(), dtype, device: device.clone() }
    }
    pub(crate) fn add(&mut self, name: &str, shape: &[usize], values: &[f64]) -> Result<()> {
        let tensor = self.constant(values, shape)?;
        self.all.insert(name.to_owned(), Var::from_tensor(&tensor)?);
        Ok(())
    }
    pub(crate) fn matrix(&mut self, name: &str, w: &Dense) -> Result<()> {
        self.add(name, &[w.inputs, w.outputs], &w.values)
    }
    pub(crate) fn network(&mut self, prefix: &str, network: &Network) -> Result<()> {
        for (k, w) in network.layers.iter().enumerate() {
            self.matrix(&format!("{prefix}.{k}"), w)?;
        }
        for (k, b) in network.biases.iter().enumerate() {
            self.add(&format!("{prefix}.{k}.bias"), &[1, b.len()], b)?;
        }
        for (k, norm) in network.norms.iter().enumerate() {
            self.add(&format!("{prefix}.{k}.norm.scale"), &[1, norm.scale.len()], &norm.scale)?;
            self.add(&format!("{prefix}.{k}.norm.shift"), &[1, norm.shift.len()], &norm.shift)?;
        }
        Ok(())
    }
    pub(crate) fn weight(&self, name: String) -> &Tensor {
        self.all[&name].as_tensor()
    }
    pub(crate) fn constant(&self, values: &[f64], shape: &[usize]) -> Result<Tensor> {
        Tensor::from_slice(values, shape, &self.device)?.to_dtype(self.dtype)
    }
    pub(crate) fn indices(&self, values: &[u32]) -> Result<Tensor> {
        Tensor::from_slice(values, values.len(), &self.device)
    }
    /// A network whose matrices were added with [`Variables::network`], for rows x.
    pub(crate) fn run(&self, prefix: &str, network: &Network, x: &Tensor) -> Result<Tensor> {
        self.run_with(prefix, network, x, None)
    }
    /// The same with rows that are added to the outputs of the first layer.
    fn run_with(&self, prefix: &str, network: &Network, x: &Tensor, added: Option<Tensor>) -> Result<Tensor> {
        let mut x = x.clone();
        for k in 0..network.layers.len() {
            x = x.matmul(self.weight(format!("{prefix}.{k}")))?;
            if network.biases.len() > k {
                x = x.broadcast_add(self.weight(format!("{prefix}.{k}.bias")))?;
            }
            if let Some(added) = added.as_ref().filter(|_| k == 0) {
                x = (x + added)?;
            }
            if let Some(norm) = network.norms.get(k) {
                let centred = x.broadcast_sub(&x.mean_keepdim(1)?)?;
                let width = (centred.sqr()?.mean_keepdim(1)? + norm.epsilon)?.sqrt()?;
                let weight = |what: &str| self.weight(format!("{prefix}.{k}.norm.{what}"));
                x = centred.broadcast_div(&width)?.broadcast_mul(weight("scale"))?;
                x = x.broadcast_add(weight("shift"))?;
            }
            if k + 1 < network.layers.len() {
                x = activate(network.activation, &x)?;
            }
        }
        Ok(x)
    }
    pub(crate) fn pair_network(&mut self, prefix: &str, network: &PairNetwork) -> Result<()> {
        self.network(prefix, &network.network)?;
        for (k, w) in network.elements.iter().flatten().enumerate() {
            self.matrix(&format!("{prefix}.elements.{k}"), w)?;
        }
        Ok(())
    }
    /// A network whose matrices were added with [`Variables::pair_network`], for a row of every edge and the elements of its receiver and
    /// sender.
    pub(crate) fn run_pairs(
        &self,
        prefix: &str,
        network: &PairNetwork,
        x: &Tensor,
        elements: [&Tensor; 2],
    ) -> Result<Tensor> {
        let row = |k: usize| self.weight(format!("{prefix}.elements.{k}")).index_select(elements[k], 0);
        let added = if network.elements.is_some() { Some((row(0)? + row(1)?)?) } else { None };
        self.run_with(prefix, &network.network, x, added)
    }
    /// Messages of a path: `h` (edges, 2l₁ + 1, C) with harmonics `y` (edges, 2l₂ + 1) and weights (edges, C) to (edges, 2l₃ + 1, C).
    pub(crate) fn couple(
        &self,
        degrees: [usize; 3],
        coupling: &[([usize; 3], f64)],
        h: &Tensor,
        y: &Tensor,
        weights: &Tensor,
    ) -> Result<Tensor> {
        let [d1, d2, d3] = degrees.map(|l| 2 * l + 1);
        let mut matrix = vec![0.0; d2 * d1 * d3];
        for ([a, b, c], v) in coupling {
            matrix[(b * d1 + a) * d3 + c] += v;
        }
        // (edges, m1, m3)
        let couple = y.matmul(&self.constant(&matrix, &[d2, d1 * d3])?)?;
        let mut components = Vec::new();
        for m3 in 0..d3 {
            let mut sum: Option<Tensor> = None;
            for m1 in 0..d1 {
                let term =
                    h.narrow(1, m1, 1)?.squeeze(1)?.broadcast_mul(&couple.narrow(1, m1 * d3 + m3, 1)?)?;
                sum = Some(match sum {
                    None => term,
                    Some(s) => (s + term)?,
                });
            }
            if let Some(sum) = sum {
                components.push((sum * weights)?.unsqueeze(1)?);
            }
        }
        Tensor::cat(&components, 1)?.contiguous()
    }
}

/// The channels of every component times a matrix.
pub(crate) fn rows(x: &Tensor, w: &Tensor) -> Result<Tensor> {
    let (n, d, c) = x.dims3()?;
    x.reshape((n * d, c))?.matmul(w)?.reshape((n, d, w.dim(1)?))
}

/// An activation, without its constant.
pub(crate) fn activate(f: Activation, x: &Tensor) -> Result<Tensor> {
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
        Activation::Identity => Ok(x.clone()),
    }
}

/// The polynomial cutoff of t = r/cutoff.
pub(crate) fn envelope(t: &Tensor, p: f64) -> Result<Tensor> {
    let (a, b, c) = ((p + 1.0) * (p + 2.0) / 2.0, p * (p + 2.0), p * (p + 1.0) / 2.0);
    let inner = ((((t * -c)? + b)? * t)? - a)?;
    (t.powf(p)? * inner)? + 1.0
}

/// ½ (cos(π r/cutoff) + 1).
pub(crate) fn cosine(r: &Tensor, cutoff: f64) -> Result<Tensor> {
    ((r * (std::f64::consts::PI / cutoff))?.cos()? + 1.0)? * 0.5
}

/// Spherical harmonics of unit vectors by the recursion of [`super::equivariant::spherical_harmonics`]: (edges, (lmax + 1)²).
pub(crate) fn harmonics(unit: &Tensor, lmax: usize) -> Result<Tensor> {
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

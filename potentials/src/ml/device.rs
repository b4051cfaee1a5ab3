//! Where a learned potential runs: the kernels of this crate on the processor, or its candle module on a CUDA device. This is the one place that
//! opens devices and takes energies and derivatives from candle, for all models.
use super::differentiable::Edges;
use super::fused::potential::{Evaluation, Kernel};
use super::graph::Graph;
use crate::Precision;
use caloron_engine::SpecError;
use candle_core::{DType, Device, Result, Tensor, Var};
use schemars::JsonSchema;
use serde::Deserialize;

/// Where a model runs: `cpu` (default), with kernels written for it, or `cuda` or `cuda:N`, the CUDA device of number N (0 without one), with the
/// model in candle. Devices need a program that was built with the feature `cuda`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
pub enum DeviceSpec {
    /// The processor.
    #[default]
    Cpu,
    /// The CUDA device of this number.
    Cuda(usize),
}

impl TryFrom<String> for DeviceSpec {
    type Error = String;
    fn try_from(text: String) -> std::result::Result<Self, String> {
        match text.as_str() {
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            other => {
                let number = other.strip_prefix("cuda:").and_then(|n| n.parse().ok());
                number.map(Self::Cuda).ok_or_else(|| {
                    format!(
                        "unknown device `{text}`, expected \"cpu\", \"cuda\" or a number as in \"cuda:0\""
                    )
                })
            }
        }
    }
}

impl DeviceSpec {
    /// The device of candle that is asked for; `None` for the kernels on the processor.
    ///
    /// # Errors
    /// When the program was built without support, or there is no such device; the error is at `device`.
    pub(crate) fn open(self) -> std::result::Result<Option<Device>, SpecError> {
        let Self::Cuda(number) = self else { return Ok(None) };
        if !candle_core::utils::cuda_is_available() {
            return Err(SpecError::new("device", "this program was built without support for CUDA devices")
                .hint(
                    "remove `device` to run on the processor, or build with `cargo build --release --features cuda`",
                ));
        }
        Device::new_cuda(number).map(Some).map_err(|e| {
            SpecError::new("device", format!("the CUDA device {number} cannot be used: {e}"))
                .hint("remove `device` to run on the processor")
        })
    }
}

/// The type of candle for a precision.
pub(crate) fn dtype(precision: Precision) -> DType {
    match precision {
        Precision::F32 => DType::F32,
        Precision::F64 => DType::F64,
    }
}

/// Where candle runs, in words.
pub(crate) fn place(device: &Device) -> &'static str {
    if device.is_cuda() { "on a CUDA device" } else { "in candle" }
}

/// Numbers in double precision, on the processor.
///
/// # Errors
/// When candle fails.
pub(crate) fn numbers(tensor: &Tensor) -> Result<Vec<f64>> {
    tensor.to_dtype(DType::F64)?.to_device(&Device::Cpu)?.flatten_all()?.to_vec1()
}

/// Derivatives of the sum of energies with respect to vectors (edges, 3), on the processor.
///
/// # Errors
/// When candle fails.
pub(crate) fn gradient(energies: &Tensor, vectors: &Var) -> Result<Vec<[f64; 3]>> {
    let all = energies.sum_all()?.backward()?;
    let Some(g) = all.get(vectors.as_tensor()) else {
        // the energy does not depend on them
        return Ok(vec![[0.0; 3]; vectors.dim(0)?]);
    };
    let rows: Vec<Vec<f64>> = g.to_dtype(DType::F64)?.to_device(&Device::Cpu)?.to_vec2()?;
    Ok(rows.into_iter().map(|r| [r[0], r[1], r[2]]).collect())
}

/// A candle module as the kernel of a potential: a function that gives the energy of every node, eV, (nodes), from edges.
pub(crate) struct OnDevice<F> {
    module: F,
    /// Place in the model of each species of the system.
    of_species: Vec<u32>,
    /// Cutoff, Å.
    cutoff: f64,
    dtype: DType,
    device: Device,
    elements: Vec<u32>,
    receivers: Vec<u32>,
    senders: Vec<u32>,
    energies: Vec<f64>,
    g: Vec<[f64; 3]>,
}

impl<F: Fn(&Edges<'_>) -> Result<Tensor> + Send> OnDevice<F> {
    /// A module with a cutoff, Å, for species that have the places `of_species` in it.
    pub(crate) fn new(module: F, of_species: &[usize], cutoff: f64, dtype: DType, device: &Device) -> Self {
        Self {
            module,
            of_species: of_species.iter().map(|z| *z as u32).collect(),
            cutoff,
            dtype,
            device: device.clone(),
            elements: Vec::new(),
            receivers: Vec::new(),
            senders: Vec::new(),
            energies: Vec::new(),
            g: Vec::new(),
        }
    }
}

impl<F: Fn(&Edges<'_>) -> Result<Tensor> + Send> Kernel for OnDevice<F> {
    fn describe(&self) -> String {
        format!("network {}", place(&self.device))
    }
    fn bytes(&self) -> usize {
        let lists = [&self.elements, &self.receivers, &self.senders];
        lists.iter().map(|l| 4 * l.capacity()).sum::<usize>()
            + 8 * self.energies.capacity()
            + 24 * self.g.capacity()
    }
    fn evaluate(&mut self, graph: &Graph, derivatives: bool) -> Evaluation<'_> {
        self.elements.clear();
        self.elements.extend(graph.species().iter().map(|s| self.of_species[usize::from(*s)]));
        self.receivers.clear();
        self.receivers.extend((0..graph.nodes()).flat_map(|k| graph.row(k).map(move |_| k as u32)));
        self.senders.clear();
        self.senders.extend_from_slice(graph.neighbors());
        let mut flat: Vec<f64> = graph.vectors().iter().flatten().copied().collect();
        if graph.nodes() > 0 && graph.edges() == 0 {
            // modules want an edge: one as long as the cutoff adds nothing
            self.receivers.push(0);
            self.senders.push(0);
            flat.extend([self.cutoff, 0.0, 0.0]);
        }
        self.energies.clear();
        self.g.clear();
        if graph.nodes() > 0 {
            let vectors = Tensor::from_vec(flat, (self.senders.len(), 3), &self.device)?;
            let vectors = Var::from_tensor(&vectors.to_dtype(self.dtype)?)?;
            let energies = (self.module)(&Edges {
                vectors: vectors.as_tensor(),
                receivers: &self.receivers,
                senders: &self.senders,
                elements: &self.elements,
            })?;
            self.energies = numbers(&energies)?;
            if derivatives {
                self.g = gradient(&energies, &vectors)?;
            }
        }
        self.g.resize(graph.edges(), [0.0; 3]);
        Ok((&self.energies, &self.g))
    }
}

#[cfg(test)]
mod tests {
    use super::DeviceSpec;

    #[test]
    fn devices_have_numbers() {
        let of = |text: &str| DeviceSpec::try_from(text.to_owned());
        assert_eq!(of("cpu"), Ok(DeviceSpec::Cpu));
        assert_eq!(of("cuda"), Ok(DeviceSpec::Cuda(0)));
        assert_eq!(of("cuda:3"), Ok(DeviceSpec::Cuda(3)));
        for wrong in ["gpu", "cuda:", "cuda:-1", "cuda:x", "CPU"] {
            assert!(of(wrong).is_err_and(|e| e.contains(wrong)), "{wrong}");
        }
    }
}

//! Where a learned potential runs: the kernels of this crate on the processor, or its candle module on a CUDA device.
use crate::Precision;
use caloron_engine::SpecError;
use candle_core::{DType, Device};
use schemars::JsonSchema;
use serde::Deserialize;

/// Where a model runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeviceSpec {
    /// The processor, with kernels written for it.
    #[default]
    Cpu,
    /// The first CUDA device, with the model in candle. It needs a program that was built with the feature `cuda`.
    Cuda,
}

impl DeviceSpec {
    /// The device of candle that is asked for; `None` for the kernels on the processor.
    ///
    /// # Errors
    /// When the program was built without support, or there is no such device; the error is at `device`.
    pub(crate) fn open(self) -> Result<Option<Device>, SpecError> {
        match self {
            Self::Cpu => Ok(None),
            Self::Cuda if !candle_core::utils::cuda_is_available() => {
                Err(SpecError::new("device", "this program was built without support for CUDA devices").hint(
                    "remove `device` to run on the processor, or build with `cargo build --release --features cuda`",
                ))
            }
            Self::Cuda => Device::new_cuda(0).map(Some).map_err(|e| {
                SpecError::new("device", format!("the CUDA device cannot be used: {e}"))
                    .hint("remove `device` to run on the processor")
            }),
        }
    }
}

/// The type of candle for a precision.
pub(crate) fn dtype(precision: Precision) -> DType {
    match precision {
        Precision::F32 => DType::F32,
        Precision::F64 => DType::F64,
    }
}

/// Rows of three numbers in double precision, on the processor.
///
/// # Errors
/// When candle fails.
pub(crate) fn rows_of_three(tensor: &candle_core::Tensor) -> candle_core::Result<Vec<[f64; 3]>> {
    let rows: Vec<Vec<f64>> = tensor.to_dtype(DType::F64)?.to_device(&Device::Cpu)?.to_vec2()?;
    Ok(rows.into_iter().map(|r| [r[0], r[1], r[2]]).collect())
}

/// Numbers in double precision, on the processor.
///
/// # Errors
/// When candle fails.
pub(crate) fn numbers(tensor: &candle_core::Tensor) -> candle_core::Result<Vec<f64>> {
    tensor.to_dtype(DType::F64)?.to_device(&Device::Cpu)?.flatten_all()?.to_vec1()
}

//! Arrays as model files hold them.
use super::error::{Fault, Read};
use serde_json::Value;

/// Type of the numbers in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Dtype {
    F64,
    F32,
    F16,
    Bf16,
    I64,
    I32,
    I16,
    I8,
    U64,
    U32,
    U16,
    U8,
    Bool,
}

impl Dtype {
    /// Bytes of one number.
    pub fn size(self) -> usize {
        match self {
            Self::F64 | Self::I64 | Self::U64 => 8,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F16 | Self::Bf16 | Self::I16 | Self::U16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }
    /// Name as in PyTorch.
    pub fn name(self) -> &'static str {
        match self {
            Self::F64 => "float64",
            Self::F32 => "float32",
            Self::F16 => "float16",
            Self::Bf16 => "bfloat16",
            Self::I64 => "int64",
            Self::I32 => "int32",
            Self::I16 => "int16",
            Self::I8 => "int8",
            Self::U64 => "uint64",
            Self::U32 => "uint32",
            Self::U16 => "uint16",
            Self::U8 => "uint8",
            Self::Bool => "bool",
        }
    }
    /// Is it a floating-point type?
    pub fn is_float(self) -> bool {
        matches!(self, Self::F64 | Self::F32 | Self::F16 | Self::Bf16)
    }
    pub(super) fn safetensors(self) -> safetensors::Dtype {
        use safetensors::Dtype as S;
        match self {
            Self::F64 => S::F64,
            Self::F32 => S::F32,
            Self::F16 => S::F16,
            Self::Bf16 => S::BF16,
            Self::I64 => S::I64,
            Self::I32 => S::I32,
            Self::I16 => S::I16,
            Self::I8 => S::I8,
            Self::U64 => S::U64,
            Self::U32 => S::U32,
            Self::U16 => S::U16,
            Self::U8 => S::U8,
            Self::Bool => S::BOOL,
        }
    }
    pub(super) fn from_safetensors(dtype: safetensors::Dtype) -> Option<Self> {
        const ALL: [Dtype; 13] = [
            Dtype::F64,
            Dtype::F32,
            Dtype::F16,
            Dtype::Bf16,
            Dtype::I64,
            Dtype::I32,
            Dtype::I16,
            Dtype::I8,
            Dtype::U64,
            Dtype::U32,
            Dtype::U16,
            Dtype::U8,
            Dtype::Bool,
        ];
        ALL.into_iter().find(|d| d.safetensors() == dtype)
    }
}

/// An array: numbers in row-major order (the last index is the fastest), little-endian in memory as in the file.
#[derive(Clone, PartialEq)]
pub struct Tensor {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl std::fmt::Debug for Tensor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?}", self.dtype.name(), self.shape)
    }
}

/// One of the numbers as another type.
macro_rules! convert {
    ($self:ident, $to:ty) => {
        match $self.dtype {
            Dtype::F64 => $self.map(|b| f64::from_le_bytes(b) as $to),
            Dtype::F32 => $self.map(|b| f32::from_le_bytes(b) as $to),
            Dtype::F16 => $self.map(|b| half(u16::from_le_bytes(b)) as $to),
            Dtype::Bf16 => $self.map(|b| brain(u16::from_le_bytes(b)) as $to),
            Dtype::I64 => $self.map(|b| i64::from_le_bytes(b) as $to),
            Dtype::I32 => $self.map(|b| i32::from_le_bytes(b) as $to),
            Dtype::I16 => $self.map(|b| i16::from_le_bytes(b) as $to),
            Dtype::I8 => $self.map(|b| i8::from_le_bytes(b) as $to),
            Dtype::U64 => $self.map(|b| u64::from_le_bytes(b) as $to),
            Dtype::U32 => $self.map(|b| u32::from_le_bytes(b) as $to),
            Dtype::U16 => $self.map(|b| u16::from_le_bytes(b) as $to),
            Dtype::U8 => $self.map(|b| u8::from_le_bytes(b) as $to),
            Dtype::Bool => $self.map(|[b]: [u8; 1]| u8::from(b != 0) as $to),
        }
    };
}

impl Tensor {
    /// From the bytes of a contiguous little-endian array.
    ///
    /// # Errors
    /// When the number of bytes does not fit the shape.
    pub fn from_bytes(dtype: Dtype, shape: Vec<usize>, bytes: Vec<u8>) -> Read<Self> {
        let want = shape.iter().try_fold(dtype.size(), |n, d| n.checked_mul(*d));
        match want {
            Some(n) if n == bytes.len() => Ok(Self { dtype, shape, bytes }),
            _ => Err(Fault::Damaged(format!(
                "{} bytes for an array {shape:?} of {}",
                bytes.len(),
                dtype.name()
            ))),
        }
    }
    /// From double-precision numbers.
    ///
    /// # Panics
    /// When their number does not fit the shape.
    pub fn from_f64(shape: &[usize], values: &[f64]) -> Self {
        assert_eq!(shape.iter().product::<usize>(), values.len());
        let bytes = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        Self { dtype: Dtype::F64, shape: shape.to_vec(), bytes }
    }
    /// Type of the numbers.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }
    /// Lengths of the axes.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.bytes.len() / self.dtype.size()
    }
    /// True without elements.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
    /// The numbers in memory, little-endian.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
    fn map<const N: usize, T>(&self, f: impl Fn([u8; N]) -> T) -> Vec<T> {
        self.bytes.chunks_exact(N).map(|b| f(b.try_into().expect("chunks of N bytes"))).collect()
    }
    /// All numbers in double precision.
    pub fn to_f64(&self) -> Vec<f64> {
        convert!(self, f64)
    }
    /// All numbers in single precision.
    pub fn to_f32(&self) -> Vec<f32> {
        convert!(self, f32)
    }
    /// All numbers as integers; fractions are cut.
    pub fn to_i64(&self) -> Vec<i64> {
        convert!(self, i64)
    }
    /// The only number of an array with one element.
    pub fn scalar(&self) -> Option<f64> {
        if self.len() == 1 { self.to_f64().first().copied() } else { None }
    }
    /// The tensor as one of candle, of the same type where candle has it (integers become `i64`, booleans `u8`, and
    /// half precision single precision).
    ///
    /// # Errors
    /// When candle fails.
    pub fn to_candle(&self, device: &candle_core::Device) -> candle_core::Result<candle_core::Tensor> {
        use candle_core::Tensor as T;
        let shape = self.shape.as_slice();
        match self.dtype {
            Dtype::F64 => T::from_vec(self.to_f64(), shape, device),
            Dtype::F32 | Dtype::F16 | Dtype::Bf16 => T::from_vec(self.to_f32(), shape, device),
            Dtype::U8 | Dtype::Bool => T::from_vec(self.bytes.clone(), shape, device),
            _ => T::from_vec(self.to_i64(), shape, device),
        }
    }
    /// The numbers in nested lists; `None` for very large arrays.
    pub(super) fn to_json(&self) -> Option<Value> {
        const MOST: usize = 4096;
        if self.len() > MOST {
            return None;
        }
        let mut values: Vec<Value> = match self.dtype {
            Dtype::Bool => self.bytes.iter().map(|b| Value::Bool(*b != 0)).collect(),
            d if d.is_float() => self.to_f64().into_iter().map(super::flatten::float).collect(),
            _ => self.to_i64().into_iter().map(Value::from).collect(),
        };
        for &n in self.shape.iter().skip(1).rev() {
            if n == 0 {
                return Some(Value::Array(Vec::new()));
            }
            values = values.chunks(n).map(|c| Value::Array(c.to_vec())).collect();
        }
        Some(if self.shape.is_empty() { values.pop()? } else { Value::Array(values) })
    }
}

/// IEEE half precision.
fn half(x: u16) -> f32 {
    let sign = if x >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(x >> 10 & 31), f32::from(x & 1023));
    match exponent {
        0 => sign * fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => sign * f32::INFINITY,
        31 => f32::NAN,
        e => sign * (1.0 + fraction / 1024.0) * 2f32.powi(e - 15),
    }
}

/// The upper half of single precision.
fn brain(x: u16) -> f32 {
    f32::from_bits(u32::from(x) << 16)
}

/// A view into a storage: element k has the index offset + Σ_a i_a stride_a.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct View {
    pub dtype: Dtype,
    pub offset: u64,
    pub shape: Vec<u64>,
    pub stride: Vec<u64>,
}

impl View {
    /// Number of elements, if it can be counted.
    pub fn elements(&self) -> Option<u64> {
        self.shape.iter().try_fold(1_u64, |n, d| n.checked_mul(*d))
    }
    /// Copies what the view shows of a storage. The caller has bounded the number of elements.
    pub fn gather(&self, storage: &[u8]) -> Read<Tensor> {
        let beyond = || Fault::damaged("a tensor reaches beyond its storage");
        let size = self.dtype.size();
        let count = self.elements().and_then(|n| usize::try_from(n).ok()).ok_or_else(beyond)?;
        let shape: Vec<usize> = self.shape.iter().map(|d| *d as usize).collect();
        if count == 0 {
            return Tensor::from_bytes(self.dtype, shape, Vec::new());
        }
        let last = self
            .shape
            .iter()
            .zip(&self.stride)
            .try_fold(self.offset, |at, (n, s)| at.checked_add((n - 1).checked_mul(*s)?))
            .ok_or_else(beyond)?;
        if last >= (storage.len() / size) as u64 {
            return Err(beyond());
        }
        let mut bytes = Vec::with_capacity(count * size);
        // the last axes that lie without gaps are copied at once
        let (mut run, mut axes) = (1_u64, self.shape.len());
        while axes > 0 && (self.shape[axes - 1] == 1 || self.stride[axes - 1] == run) {
            axes -= 1;
            run *= self.shape[axes];
        }
        let mut index = vec![0_u64; axes];
        let mut at = self.offset;
        loop {
            let start = at as usize * size;
            bytes.extend_from_slice(&storage[start..start + run as usize * size]);
            let mut axis = axes;
            loop {
                if axis == 0 {
                    return Tensor::from_bytes(self.dtype, shape, bytes);
                }
                axis -= 1;
                index[axis] += 1;
                // the stride of an axis of length 1 can be anything
                at = at.wrapping_add(self.stride[axis]);
                if index[axis] < self.shape[axis] {
                    break;
                }
                at = at.wrapping_sub(index[axis].wrapping_mul(self.stride[axis]));
                index[axis] = 0;
            }
        }
    }
}

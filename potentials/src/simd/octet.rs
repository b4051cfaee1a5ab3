//! Eight numbers of either precision, for kernels whose natural width is eight whatever the precision.
#[cfg(target_arch = "x86_64")]
use super::{Avx2, Avx512};
use super::{Lanes, Level, Portable, Real};
use std::ops::Mul;

/// Numbers in an octet.
pub const OCTET: usize = 8;

/// Eight numbers of type T.
pub trait Octet<T>: Copy + Mul<Output = Self> {
    /// From memory.
    fn load(from: &[T; OCTET]) -> Self;
    /// To memory.
    fn store(self, to: &mut [T; OCTET]);
    /// The same number everywhere.
    fn all(x: T) -> Self;
    /// self a + b with one rounding.
    fn fused(self, a: Self, b: Self) -> Self;
    /// Sum: ((0+4) + (2+6)) + ((1+5) + (3+7)).
    fn total(self) -> T;
}

/// A precision with its octets.
pub trait Octets: Real {
    /// Octets with AVX-512.
    #[cfg(target_arch = "x86_64")]
    type Wide: Octet<Self>;
    /// Octets with AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    type Narrow: Octet<Self>;
    /// Octets in plain Rust.
    type Plain: Octet<Self>;
}

impl Octets for f64 {
    #[cfg(target_arch = "x86_64")]
    type Wide = Avx512;
    #[cfg(target_arch = "x86_64")]
    type Narrow = Avx2;
    type Plain = Portable;
}

impl Octets for f32 {
    #[cfg(target_arch = "x86_64")]
    type Wide = x86::Eight;
    #[cfg(target_arch = "x86_64")]
    type Narrow = x86::Eight;
    type Plain = PlainEight;
}

/// A computation with octets of T; run it with [`run_octets`].
pub trait OctetKernel<T> {
    /// The computation; must be `#[inline(always)]`.
    fn run<V: Octet<T>>(self);
}

/// Runs a kernel with the instructions of `level`. A level the machine lacks is replaced by plain Rust; the numbers are
/// the same.
#[inline]
pub fn run_octets<T: Octets, K: OctetKernel<T>>(level: Level, kernel: K) {
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx2,fma")]
    fn wide<T: Octets, K: OctetKernel<T>>(kernel: K) {
        kernel.run::<T::Wide>();
    }
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    fn narrow<T: Octets, K: OctetKernel<T>>(kernel: K) {
        kernel.run::<T::Narrow>();
    }
    match level {
        // SAFETY: detected
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 if Level::detect() == Level::Avx512 => unsafe { wide(kernel) },
        // SAFETY: detected
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 if Level::detect() != Level::Portable => unsafe { narrow(kernel) },
        _ => kernel.run::<T::Plain>(),
    }
}

impl<V: Lanes> Octet<f64> for V {
    #[inline(always)]
    fn load(from: &[f64; OCTET]) -> Self {
        V::from_array(*from)
    }
    #[inline(always)]
    fn store(self, to: &mut [f64; OCTET]) {
        *to = self.to_array();
    }
    #[inline(always)]
    fn all(x: f64) -> Self {
        V::splat(x)
    }
    #[inline(always)]
    fn fused(self, a: Self, b: Self) -> Self {
        self.mul_add(a, b)
    }
    #[inline(always)]
    fn total(self) -> f64 {
        self.sum()
    }
}

/// Eight numbers in an array.
#[derive(Clone, Copy, Debug)]
pub struct PlainEight([f32; OCTET]);

impl Mul for PlainEight {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        Self(std::array::from_fn(|k| self.0[k] * other.0[k]))
    }
}

impl Octet<f32> for PlainEight {
    fn load(from: &[f32; OCTET]) -> Self {
        Self(*from)
    }
    fn store(self, to: &mut [f32; OCTET]) {
        *to = self.0;
    }
    fn all(x: f32) -> Self {
        Self([x; OCTET])
    }
    fn fused(self, a: Self, b: Self) -> Self {
        Self(std::array::from_fn(|k| self.0[k].mul_add(a.0[k], b.0[k])))
    }
    fn total(self) -> f32 {
        let p = self.0;
        ((p[0] + p[4]) + (p[2] + p[6])) + ((p[1] + p[5]) + (p[3] + p[7]))
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Mul, OCTET, Octet};
    use std::arch::x86_64::*;

    /// Eight numbers in a 256-bit register. Use it only where AVX2 and FMA are enabled.
    #[derive(Clone, Copy, Debug)]
    pub struct Eight(__m256);

    // SAFETY of all blocks below: the type is used only where its instructions are enabled, and references are to eight numbers.
    impl Mul for Eight {
        type Output = Self;
        #[inline(always)]
        fn mul(self, other: Self) -> Self {
            Self(unsafe { _mm256_mul_ps(self.0, other.0) })
        }
    }

    impl Octet<f32> for Eight {
        #[inline(always)]
        fn load(from: &[f32; OCTET]) -> Self {
            Self(unsafe { _mm256_loadu_ps(from.as_ptr()) })
        }
        #[inline(always)]
        fn store(self, to: &mut [f32; OCTET]) {
            unsafe { _mm256_storeu_ps(to.as_mut_ptr(), self.0) }
        }
        #[inline(always)]
        fn all(x: f32) -> Self {
            Self(unsafe { _mm256_set1_ps(x) })
        }
        #[inline(always)]
        fn fused(self, a: Self, b: Self) -> Self {
            Self(unsafe { _mm256_fmadd_ps(self.0, a.0, b.0) })
        }
        #[inline(always)]
        fn total(self) -> f32 {
            unsafe {
                let x = _mm_add_ps(_mm256_castps256_ps128(self.0), _mm256_extractf128_ps::<1>(self.0));
                let x = _mm_add_ps(x, _mm_movehl_ps(x, x));
                _mm_cvtss_f32(_mm_add_ss(x, _mm_shuffle_ps::<1>(x, x)))
            }
        }
    }
}

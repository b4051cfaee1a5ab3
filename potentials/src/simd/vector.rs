//! Vectors of f32 or f64, for kernels that are written once for both precisions.
//!
//! A vector is 16 numbers in single and 8 in double precision at every level, with the same operations in the same order,
//! so that results do not depend on the machine. [`run_vector`] chooses the instructions.
#[cfg(target_arch = "x86_64")]
use super::{Avx2, Avx2Single, Avx512, Avx512Single};
use super::{Lanes, Level, Portable, PortableSingle};
use std::fmt::Debug;
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

/// A precision of kernels: f32 or f64.
pub trait Real:
    Copy
    + Debug
    + Default
    + PartialOrd
    + Send
    + Sync
    + 'static
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
{
    /// Numbers in a vector.
    const LANES: usize;
    /// ln 2 as a short number and the rest, and 1/ln 2.
    const LN2: [Self; 3];
    /// 1/k! from the highest power that e^r needs for |r| < ln(2)/2 down to 1/2!.
    const INVERSE_FACTORIALS: &'static [Self];
    /// Steps from the first guess to the last bit of a reciprocal.
    const RECIPROCAL_STEPS: usize;
    /// Arguments of exponentials in [`Vector::sigmoid_pair`] are kept below this, so that a product of two of them is finite.
    const SATURATION: Self;
    /// Vectors with AVX-512.
    #[cfg(target_arch = "x86_64")]
    type Avx512: Vector<Scalar = Self>;
    /// Vectors with AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    type Avx2: Vector<Scalar = Self>;
    /// Vectors in plain Rust.
    type Portable: Vector<Scalar = Self>;
    /// Rounded.
    fn from_f64(x: f64) -> Self;
    /// Exact.
    fn to_f64(self) -> f64;
    /// Square root.
    fn sqrt(self) -> Self;
}

impl Real for f64 {
    const LANES: usize = 8;
    const LN2: [Self; 3] = [6.931_471_803_691_238e-1, 1.908_214_929_270_587_7e-10, std::f64::consts::LOG2_E];
    const INVERSE_FACTORIALS: &'static [Self] = &[
        1.0 / 6_227_020_800.0,
        1.0 / 479_001_600.0,
        1.0 / 39_916_800.0,
        1.0 / 3_628_800.0,
        1.0 / 362_880.0,
        1.0 / 40_320.0,
        1.0 / 5_040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
    ];
    const RECIPROCAL_STEPS: usize = 3;
    const SATURATION: Self = 300.0;
    #[cfg(target_arch = "x86_64")]
    type Avx512 = Avx512;
    #[cfg(target_arch = "x86_64")]
    type Avx2 = Avx2;
    type Portable = Portable;
    #[inline(always)]
    fn from_f64(x: f64) -> Self {
        x
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        self.sqrt()
    }
}

impl Real for f32 {
    const LANES: usize = 16;
    const LN2: [Self; 3] = [0.693_359_4, -2.121_944_4e-4, std::f32::consts::LOG2_E];
    const INVERSE_FACTORIALS: &'static [Self] =
        &[1.0 / 5_040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5];
    const RECIPROCAL_STEPS: usize = 2;
    const SATURATION: Self = 40.0;
    #[cfg(target_arch = "x86_64")]
    type Avx512 = Avx512Single;
    #[cfg(target_arch = "x86_64")]
    type Avx2 = Avx2Single;
    type Portable = PortableSingle;
    #[inline(always)]
    fn from_f64(x: f64) -> Self {
        x as Self
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        self.sqrt()
    }
}

/// [`Real::LANES`] numbers.
pub trait Vector: Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> {
    /// What it holds.
    type Scalar: Real;
    /// True with 32 registers of one vector each, so that a matrix kernel can keep more sums.
    const WIDE: bool;

    /// From memory, of any alignment.
    ///
    /// # Safety
    /// There must be [`Real::LANES`] numbers.
    unsafe fn load(from: *const Self::Scalar) -> Self;
    /// To memory, of any alignment.
    ///
    /// # Safety
    /// There must be room for [`Real::LANES`] numbers.
    unsafe fn store(self, to: *mut Self::Scalar);
    /// The same number everywhere.
    fn splat(x: Self::Scalar) -> Self;
    /// self a + b with one rounding.
    fn mul_add(self, a: Self, b: Self) -> Self;
    /// b - self a with one rounding.
    fn neg_mul_add(self, a: Self, b: Self) -> Self;
    /// `if self < other { self } else { other }`.
    fn min(self, other: Self) -> Self;
    /// `if self > other { self } else { other }`.
    fn max(self, other: Self) -> Self;
    /// The nearest integer, ties to even.
    fn round(self) -> Self;
    /// 2^self for integers within the range of normal numbers.
    fn exp2_integer(self) -> Self;
    /// 1/self within 13 %, from the bits of a positive number.
    fn reciprocal_guess(self) -> Self;
    /// Sum of all, halves first: s_k = x_k + x_(k+n/2) until one is left.
    fn sum(self) -> Self::Scalar;

    /// 1/self of positive normal numbers up to 1e35 (f32) or 1e300 (f64), within about one unit in the last place.
    ///
    /// With e = 1 - d y for a guess y: 1/d = y (1 + e + e² + ...), cut after e² in every step.
    #[inline(always)]
    fn reciprocal(self) -> Self {
        let one = Self::splat(Self::Scalar::from_f64(1.0));
        let mut y = self.reciprocal_guess();
        for _ in 0..Self::Scalar::RECIPROCAL_STEPS {
            let e = self.neg_mul_add(y, one);
            y = (y * e).mul_add(e + one, y);
        }
        y
    }
    /// e^self for arguments up to [`Real::SATURATION`] in size, within about one unit in the last place.
    #[inline(always)]
    fn exp(self) -> Self {
        let [high, low, inverse] = Self::Scalar::LN2;
        let n = (self * Self::splat(inverse)).round();
        let r = n.neg_mul_add(Self::splat(low), n.neg_mul_add(Self::splat(high), self));
        let c = Self::Scalar::INVERSE_FACTORIALS;
        let mut p = Self::splat(c[0]);
        for &c in &c[1..] {
            p = p.mul_add(r, Self::splat(c));
        }
        let one = Self::splat(Self::Scalar::from_f64(1.0));
        let small = (r * r).mul_add(p, r);
        (one + small) * n.exp2_integer()
    }
    /// 1 + e^-self, with the argument of the exponential kept within ± [`Real::SATURATION`]; NaN stays NaN.
    // a method and not a closure: closures are not always inlined to where the instructions are enabled
    #[inline(always)]
    fn one_plus_exp_minus(self) -> Self {
        let limit = Self::splat(Self::Scalar::SATURATION);
        let zero = Self::splat(Self::Scalar::default());
        // the clamped number comes last, so that a NaN comes through
        let x = limit.min((zero - limit).max(zero - self));
        Self::splat(Self::Scalar::from_f64(1.0)) + x.exp()
    }
    /// σ(a) and σ(b), where σ(x) = 1/(1 + e^-x): two exponentials share a reciprocal. Beyond ± [`Real::SATURATION`] σ
    /// stays what it is there; NaN stays NaN.
    #[inline(always)]
    fn sigmoid_pair(a: Self, b: Self) -> (Self, Self) {
        let (ea, eb) = (a.one_plus_exp_minus(), b.one_plus_exp_minus());
        let both = (ea * eb).reciprocal();
        (both * eb, both * ea)
    }
}

/// A computation written for vectors of T; run it with [`run_vector`].
pub trait VectorKernel<T: Real> {
    /// What it gives.
    type Output;
    /// The computation; must be `#[inline(always)]`.
    fn run<V: Vector<Scalar = T>>(self) -> Self::Output;
}

/// Runs a kernel with the instructions of `level`. A level the machine lacks is replaced by plain Rust; the numbers are
/// the same.
#[inline]
pub fn run_vector<T: Real, K: VectorKernel<T>>(level: Level, kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx2,fma")]
    fn wide<T: Real, K: VectorKernel<T>>(kernel: K) -> K::Output {
        kernel.run::<T::Avx512>()
    }
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    fn narrow<T: Real, K: VectorKernel<T>>(kernel: K) -> K::Output {
        kernel.run::<T::Avx2>()
    }
    match level {
        // SAFETY: detected
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 if Level::detect() == Level::Avx512 => unsafe { wide(kernel) },
        // SAFETY: detected
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 if Level::detect() != Level::Portable => unsafe { narrow(kernel) },
        _ => kernel.run::<T::Portable>(),
    }
}

/// [`Vector`] for lanes of f64.
macro_rules! double {
    ($type:ident, $wide:expr) => {
        impl Vector for $type {
            type Scalar = f64;
            const WIDE: bool = $wide;
            #[inline(always)]
            unsafe fn load(from: *const f64) -> Self {
                // SAFETY: as the caller promises
                Lanes::from_array(unsafe { from.cast::<[f64; 8]>().read_unaligned() })
            }
            #[inline(always)]
            unsafe fn store(self, to: *mut f64) {
                // SAFETY: as the caller promises
                unsafe { to.cast::<[f64; 8]>().write_unaligned(Lanes::to_array(self)) }
            }
            #[inline(always)]
            fn splat(x: f64) -> Self {
                Lanes::splat(x)
            }
            #[inline(always)]
            fn mul_add(self, a: Self, b: Self) -> Self {
                Lanes::mul_add(self, a, b)
            }
            #[inline(always)]
            fn neg_mul_add(self, a: Self, b: Self) -> Self {
                Lanes::mul_add(-self, a, b)
            }
            #[inline(always)]
            fn min(self, other: Self) -> Self {
                Lanes::min(self, other)
            }
            #[inline(always)]
            fn max(self, other: Self) -> Self {
                Lanes::max(self, other)
            }
            #[inline(always)]
            fn round(self) -> Self {
                Lanes::round(self)
            }
            #[inline(always)]
            fn exp2_integer(self) -> Self {
                Lanes::exp2_integer(self)
            }
            #[inline(always)]
            fn reciprocal_guess(self) -> Self {
                let guess = |x: f64| f64::from_bits(0x7FDE_6238_22FC_16E6u64.wrapping_sub(x.to_bits()));
                Lanes::from_array(Lanes::to_array(self).map(guess))
            }
            #[inline(always)]
            fn sum(self) -> f64 {
                Lanes::sum(self)
            }
        }
    };
}
double!(Portable, false);
#[cfg(target_arch = "x86_64")]
double!(Avx2, false);
#[cfg(target_arch = "x86_64")]
double!(Avx512, true);

#[cfg(test)]
mod tests;

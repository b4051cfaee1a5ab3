//! Eight numbers at a time: AVX-512, AVX2 with FMA, and plain Rust, with the same bits from each.
//!
//! Kernels are written once, generic over [`Lanes`] and `#[inline(always)]`, and called from wrappers that enable the
//! instructions; [`Level::detect`] says at run time which wrapper the machine can run. Every operation rounds as IEEE
//! 754 says (fused multiply-add included) and the order of sums is fixed, so results do not depend on the machine.
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod count;
mod functions;
mod octet;
mod points;
mod portable;
mod single;
mod vector;

#[cfg(target_arch = "x86_64")]
pub use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub use avx512::Avx512;
pub use count::counted;
pub use functions::{exp, ln, sin_cos};
pub use octet::{OCTET, Octet, OctetKernel, Octets, run_octets};
pub use points::{PairKernel, Pairs, Point, WIDE, run_pairs};
pub use portable::Portable;
pub use single::PortableSingle;
#[cfg(target_arch = "x86_64")]
pub use single::{Avx2Single, Avx512Single};
pub use vector::{Real, Vector, VectorKernel, run_vector};

use caloron_engine::neighbors::Site;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// Number of lanes.
pub const LANES: usize = 8;

/// Instructions a kernel can be compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// 512-bit registers.
    Avx512,
    /// Two 256-bit registers, fused multiply-add.
    Avx2,
    /// Plain Rust.
    Portable,
}

impl Level {
    /// The best level of this machine.
    pub fn detect() -> Self {
        // operations are counted in plain Rust
        #[cfg(all(target_arch = "x86_64", not(feature = "count")))]
        {
            use std::arch::is_x86_feature_detected as has;
            if has!("avx512f") && has!("avx512dq") && has!("avx512vl") && has!("fma") && has!("avx2") {
                return Self::Avx512;
            }
            if has!("avx2") && has!("fma") {
                return Self::Avx2;
            }
        }
        Self::Portable
    }
}

/// Eight numbers.
pub trait Lanes:
    Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self> + Neg<Output = Self>
{
    /// One truth value per lane.
    type Mask: Copy;

    /// The same number in every lane.
    fn splat(x: f64) -> Self;
    /// From memory order.
    fn from_array(x: [f64; LANES]) -> Self;
    /// To memory order.
    fn to_array(self) -> [f64; LANES];
    /// self a + b with one rounding.
    fn mul_add(self, a: Self, b: Self) -> Self;
    /// Square root.
    fn sqrt(self) -> Self;
    /// `if self < other { self } else { other }`, so `other` where one of them is NaN.
    fn min(self, other: Self) -> Self;
    /// `if self > other { self } else { other }`, so `other` where one of them is NaN.
    fn max(self, other: Self) -> Self;
    /// self < other; false for NaN.
    fn lt(self, other: Self) -> Self::Mask;
    /// not (self >= other); true for NaN.
    fn not_ge(self, other: Self) -> Self::Mask;
    /// `a` where the mask is true, else `b`.
    fn select(mask: Self::Mask, a: Self, b: Self) -> Self;
    /// The nearest integer, ties to even.
    fn round(self) -> Self;
    /// 2^self for integers in -1022..=1023.
    fn exp2_integer(self) -> Self;
    /// Position and species of the sites with the given indices.
    ///
    /// # Safety
    /// All indices must be within the array.
    unsafe fn load_sites(sites: *const Site, index: *const u32) -> [Self; 4];
    /// Four numbers from each of the given places of a table, as [`Lanes::load_sites`] with the addresses already worked
    /// out: offsets count numbers.
    ///
    /// # Safety
    /// The offsets must be multiples of four, with four numbers of the table from each of them on; the table must be
    /// aligned as sites are.
    #[inline(always)]
    unsafe fn load_records(table: *const f64, offsets: &[u32; LANES]) -> [Self; 4] {
        // SAFETY: as the caller promises
        unsafe { Self::load_sites(table.cast(), offsets.map(|k| k / 4).as_ptr()) }
    }
    /// `table[index]` for integers `index` in each lane.
    ///
    /// # Safety
    /// The indices must be whole numbers within the table.
    unsafe fn lookup(table: *const f64, index: Self) -> Self;
    /// `table[index]` for integers `index` in 0..8 in each lane.
    ///
    /// # Safety
    /// The table must have eight entries and the indices must be whole numbers below eight.
    #[inline(always)]
    unsafe fn lookup8(table: *const f64, index: Self) -> Self {
        // SAFETY: as the caller promises
        unsafe { Self::lookup(table, index) }
    }
    /// Sum over the lanes: ((0+4) + (2+6)) + ((1+5) + (3+7)).
    fn sum(self) -> f64;

    /// Lanes as indices, for whole numbers that fit.
    #[inline(always)]
    fn indices(self) -> [u32; LANES] {
        self.to_array().map(|x| x as u32)
    }
    /// Writes the indices and values of the lanes where the mask is true one after another and returns how many there
    /// are; what lies behind them up to eight places is overwritten with anything.
    #[inline(always)]
    fn compress(
        self,
        mask: Self::Mask,
        index: &[u32; LANES],
        indices: &mut [u32; LANES],
        values: &mut [f64; LANES],
    ) -> usize {
        let kept = Self::keep(mask, Self::splat(1.0)).to_array();
        let all = self.to_array();
        let mut n = 0;
        for k in 0..LANES {
            indices[n] = index[k];
            values[n] = all[k];
            n += usize::from(kept[k] != 0.0);
        }
        n
    }
    /// Writes the lanes where the mask is true one after another; what lies behind them up to eight places is
    /// overwritten with anything.
    #[inline(always)]
    fn compact(self, mask: Self::Mask, values: &mut [f64; LANES]) {
        self.compress(mask, &[0; LANES], &mut [0; LANES], values);
    }
    /// Writes `columns` as the positions and species of eight sites.
    #[inline(always)]
    fn store_sites(columns: [Self; 4], sites: &mut [Site; LANES]) {
        let [x, y, z, species] = columns.map(Self::to_array);
        for (k, site) in sites.iter_mut().enumerate() {
            *site = Site { position: [x[k], y[k], z[k]], species: species[k] };
        }
    }
    /// Mantissa and exponent of positive normal numbers: self = m 2^n with m in \[1, 2).
    #[inline(always)]
    fn split(self) -> (Self, Self) {
        let bits = self.to_array().map(f64::to_bits);
        let mantissa = bits.map(|b| f64::from_bits((b & ((1 << 52) - 1)) | (1023 << 52)));
        (Self::from_array(mantissa), Self::from_array(bits.map(|b| ((b >> 52) as i64 - 1023) as f64)))
    }
    /// `f` of every lane, for functions that are rarely needed.
    #[inline(always)]
    fn map(self, f: impl Fn(f64) -> f64) -> Self {
        Self::from_array(self.to_array().map(f))
    }
    /// Brings what `place` points at near, if the machine can; never reads it.
    #[inline(always)]
    fn prefetch<T>(_place: *const T) {}
    /// `x` where the mask is true, else 0.
    #[inline(always)]
    fn keep(mask: Self::Mask, x: Self) -> Self {
        Self::select(mask, x, Self::splat(0.0))
    }
    /// e^self, within about one unit in the last place; 0 below -708, as at 709 above.
    #[inline(always)]
    fn exp(self) -> Self {
        functions::exp(self)
    }
    /// Natural logarithm of positive normal numbers, within about one unit in the last place.
    #[inline(always)]
    fn ln(self) -> Self {
        functions::ln(self)
    }
    /// Sine and cosine for arguments between -π/2 and π/2, with an absolute error of about 1e-16.
    #[inline(always)]
    fn sin_cos_half_pi(self) -> (Self, Self) {
        functions::sin_cos_half_pi(self)
    }
}

/// A computation written for any lanes; run it with [`run`].
pub trait Kernel {
    /// What it gives.
    type Output;
    /// The computation; must be `#[inline(always)]`.
    fn run<V: Lanes>(self) -> Self::Output;
}

/// Every lane of each vector is that number. Like [`sums`] a loop: what `map` makes of closures is not compiled for the instructions
/// of the lanes, and calls a function for each of them.
#[inline(always)]
pub fn splats<V: Lanes, const N: usize>(numbers: [f64; N]) -> [V; N] {
    let mut out = [V::splat(0.0); N];
    for (to, x) in out.iter_mut().zip(numbers) {
        *to = V::splat(x);
    }
    out
}

/// The sum of the lanes of each vector.
#[inline(always)]
pub fn sums<V: Lanes, const N: usize>(vectors: [V; N]) -> [f64; N] {
    let mut out = [0.0; N];
    for (to, v) in out.iter_mut().zip(vectors) {
        *to = v.sum();
    }
    out
}

/// Runs a kernel with the lanes of `level`. A level the machine lacks is replaced by plain Rust; the numbers are the
/// same.
#[inline]
pub fn run<K: Kernel>(level: Level, kernel: K) -> K::Output {
    match level {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 if Level::detect() == Level::Avx512 => run_avx512(kernel),
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 if Level::detect() != Level::Portable => run_avx2(kernel),
        _ => kernel.run::<Portable>(),
    }
}

/// Runs a kernel compiled for AVX-512 alone.
///
/// # Panics
/// When the machine has no AVX-512.
#[cfg(target_arch = "x86_64")]
#[inline]
pub fn run_avx512<K: Kernel>(kernel: K) -> K::Output {
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx2,fma")]
    fn inner<K: Kernel>(kernel: K) -> K::Output {
        kernel.run::<Avx512>()
    }
    assert_eq!(Level::detect(), Level::Avx512);
    // SAFETY: detected
    unsafe { inner(kernel) }
}

/// Runs a kernel compiled for AVX2 alone.
///
/// # Panics
/// When the machine has no AVX2.
#[cfg(target_arch = "x86_64")]
#[inline]
pub fn run_avx2<K: Kernel>(kernel: K) -> K::Output {
    #[target_feature(enable = "avx2,fma")]
    fn inner<K: Kernel>(kernel: K) -> K::Output {
        kernel.run::<Avx2>()
    }
    assert_ne!(Level::detect(), Level::Portable);
    // SAFETY: detected
    unsafe { inner(kernel) }
}

#[cfg(test)]
mod tests;

//! Lanes in plain Rust.
use super::count::operations;
use super::{LANES, Lanes, functions};
use caloron_engine::neighbors::Site;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// Eight numbers in an array.
#[derive(Clone, Copy, Debug)]
pub struct Portable([f64; LANES]);

impl Portable {
    #[inline(always)]
    fn zip(self, other: Self, f: impl Fn(f64, f64) -> f64) -> Self {
        Self(std::array::from_fn(|k| f(self.0[k], other.0[k])))
    }
}
macro_rules! operator {
    ($trait:ident, $name:ident, $op:tt) => {
        impl $trait for Portable {
            type Output = Self;
            #[inline(always)]
            fn $name(self, other: Self) -> Self {
                operations(LANES);
                self.zip(other, |a, b| a $op b)
            }
        }
    };
}
operator!(Add, add, +);
operator!(Sub, sub, -);
operator!(Mul, mul, *);
operator!(Div, div, /);
impl Neg for Portable {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Self(self.0.map(|x| -x))
    }
}

impl Lanes for Portable {
    type Mask = [bool; LANES];
    #[inline(always)]
    fn splat(x: f64) -> Self {
        Self([x; LANES])
    }
    #[inline(always)]
    fn from_array(x: [f64; LANES]) -> Self {
        Self(x)
    }
    #[inline(always)]
    fn to_array(self) -> [f64; LANES] {
        self.0
    }
    // out of line: without the instruction this is a call for each lane, and speed is elsewhere
    #[inline(never)]
    fn mul_add(self, a: Self, b: Self) -> Self {
        operations(2 * LANES);
        Self(std::array::from_fn(|k| self.0[k].mul_add(a.0[k], b.0[k])))
    }
    #[inline(never)]
    fn exp(self) -> Self {
        functions::exp(self)
    }
    #[inline(never)]
    fn ln(self) -> Self {
        functions::ln(self)
    }
    #[inline(never)]
    fn sin_cos_half_pi(self) -> (Self, Self) {
        functions::sin_cos_half_pi(self)
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        operations(LANES);
        Self(self.0.map(f64::sqrt))
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        self.zip(other, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        self.zip(other, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn lt(self, other: Self) -> [bool; LANES] {
        std::array::from_fn(|k| self.0[k] < other.0[k])
    }
    #[inline(always)]
    #[allow(clippy::neg_cmp_op_on_partial_ord)]
    fn not_ge(self, other: Self) -> [bool; LANES] {
        std::array::from_fn(|k| !(self.0[k] >= other.0[k]))
    }
    #[inline(always)]
    fn select(mask: [bool; LANES], a: Self, b: Self) -> Self {
        Self(std::array::from_fn(|k| if mask[k] { a.0[k] } else { b.0[k] }))
    }
    #[inline(always)]
    fn round(self) -> Self {
        Self(self.0.map(f64::round_ties_even))
    }
    #[inline(always)]
    fn exp2_integer(self) -> Self {
        Self(self.0.map(|n| f64::from_bits(((n as i64 + 1023) as u64) << 52)))
    }
    #[inline(always)]
    unsafe fn load_sites(sites: *const Site, index: *const u32) -> [Self; 4] {
        let mut out = [Self([0.0; LANES]); 4];
        for k in 0..LANES {
            // SAFETY: as the caller promises
            let site = unsafe { *sites.add(*index.add(k) as usize) };
            out[0].0[k] = site.position[0];
            out[1].0[k] = site.position[1];
            out[2].0[k] = site.position[2];
            out[3].0[k] = site.species;
        }
        out
    }
    #[inline(always)]
    unsafe fn lookup(table: *const f64, index: Self) -> Self {
        // SAFETY: as the caller promises
        Self(index.0.map(|k| unsafe { *table.add(k as usize) }))
    }
    #[inline(always)]
    fn sum(self) -> f64 {
        operations(LANES - 1);
        let x = self.0;
        ((x[0] + x[4]) + (x[2] + x[6])) + ((x[1] + x[5]) + (x[3] + x[7]))
    }
}

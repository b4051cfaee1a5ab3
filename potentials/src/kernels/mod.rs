//! Numerical pieces that several interactions share.
pub mod b_spline;
pub(crate) mod row_results;
pub mod spline;
pub mod uniform_spline;

use caloron_engine::Mat3;

/// The symmetric matrix of xx, yy, zz, yz, xz, xy.
#[inline]
pub(crate) fn symmetric([xx, yy, zz, yz, xz, xy]: [f64; 6]) -> Mat3 {
    Mat3::new(xx, xy, xz, xy, yy, yz, xz, yz, zz)
}

/// 1.5·2^52: adding it to |x| < 2^51 rounds to the nearest integer, which the low bits then hold.
pub(crate) const ROUND: f64 = 6_755_399_441_055_744.0;

/// The largest integer not above x, for |x| < 2^51. Without a call, which `f64::floor` is
/// where the instruction may be missing.
#[inline]
pub(crate) fn floor(x: f64) -> f64 {
    let nearest = (x + ROUND) - ROUND;
    if nearest > x { nearest - 1.0 } else { nearest }
}

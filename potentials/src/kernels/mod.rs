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

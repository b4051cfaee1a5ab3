//! Numerical pieces that several interactions share.
pub mod b_spline;
pub mod spline;
pub mod uniform_spline;

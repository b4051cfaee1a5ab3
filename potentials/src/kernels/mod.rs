//! Numerical pieces that several interactions share.
pub mod uniform_spline;

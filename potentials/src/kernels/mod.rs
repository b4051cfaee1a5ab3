//! Numerical pieces that several interactions share.
pub mod spline;
pub mod uniform_spline;

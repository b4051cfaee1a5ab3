//! Minimisers: FIRE and L-BFGS, with fixed or variable cell.

//! Monte Carlo moves.

//! Extended XYZ: number of atoms, a line of `key=value`, then one line for each atom whose columns the key
//! `Properties` describes. Plain XYZ is read as the special case without keys.
//!
//! Conventions follow ASE: `Lattice` (a, b, c one after the other), `pbc`, `energy`, `stress` (3x3 or Voigt
//! xx yy zz yz xz xy, tension positive), columns `momenta` (u times internal velocity), `forces`, `masses`,
//! `initial_charges`. Besides them: `velo` or `vel` (Å/fs), `velocities` (internal), `virial` (eV, positive
//! under compression), `step`, `time` (fs).
mod comment;
mod read;
mod write;

use crate::format::{Holds, Info, Input, Output};

pub(crate) const FORMATS: &[Info] = &[Info {
    name: "extxyz",
    extensions: &["extxyz", "xyz", "exyz"],
    file_names: &[],
    about: "extended XYZ, the native format; reads plain XYZ",
    holds: Holds::ALL,
    input: Input::Text(|_| Box::new(read::ExtXyz)),
    output: Output::Native(|options| Box::new(write::ExtXyz::new(options))),
}];

#[cfg(test)]
mod tests;

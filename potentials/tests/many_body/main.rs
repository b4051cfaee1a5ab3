//! Many-body potentials against the numbers of LAMMPS, and what their readers say about wrong files.
mod adp;
mod conformance;
mod crystals;
mod dispersion;
mod eam;
mod fitted;
mod golden;
mod meam;
mod selection;
mod semiconductors;
mod trajectories;

//! Neuroevolution potentials (NEP), versions 3 and 4, with and without a ZBL core.
//!
//! E = Σ_i E_i, E_i = Σ_h w_h tanh(Σ_d W_hd q_id s_d − b_h) − b. Descriptors q of an atom are, with
//! g_n(r_ij) = Σ_k c_nk^(t_i t_j) f_k(r_ij) (`radial`) and S_n,lm = Σ_j g_n(r_ij) Y_lm(r̂_ij) (`angular`):
//!
//! - radial: q_n = Σ_j g_n(r_ij) within the radial cutoff,
//! - three-body: q_nl = Σ_m C_lm S_n,lm² within the angular cutoff,
//! - four-body: cubic invariants of S_n,2m; five-body: quartic ones of S_n,1m.
//!
//! Version 4 has one network for each element, version 3 one for all; the cutoff of a pair is the mean of its elements'.
//!
//! Sources: Fan et al., Phys. Rev. B 104, 104309 (2021), doi 10.1103/PhysRevB.104.104309; Fan et al., J. Chem. Phys. 157, 114801
//! (2022), doi 10.1063/5.0106617; Song et al., Nat. Commun. 15, 10208 (2024), doi 10.1038/s41467-024-54554-x.
mod angular;
pub(super) mod file;
mod kernel;
mod model;
mod neighbors;
mod radial;
mod zbl;

use super::checkpoint::ModelFile;
use super::domain::domain;
use crate::BuildContext;
use crate::many_body::files::map_species;
use crate::many_body::{ParameterFile, site_energy};
use crate::simd::{self, Level};
use caloron_engine::neighbors::AtomRows;
use caloron_engine::{
    Domain, Input, Mat3, Outputs, Potential, PotentialError, Properties, SpecError, UnitSystem, Vec3,
    parallel,
};
use kernel::{Block, First, ROWS, Second};
use model::Model;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

const NAME: &str = "nep";

/// Neuroevolution potential from a `nep.txt` file, or from one that `caloron model import` made.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct NepSpec(pub ParameterFile);

impl NepSpec {
    /// The interaction for a system.
    ///
    /// # Errors
    /// When the file is malformed, or a species is not in it.
    pub fn build(&self, context: &mut BuildContext<'_>) -> Result<Nep, SpecError> {
        let spec = &self.0;
        if context.units != UnitSystem::Physical {
            return Err(SpecError::new("file", "a learned potential has energies in eV and lengths in Å")
                .hint("remove `units = \"lj\"` from the input"));
        }
        let file = ModelFile::open(context, "file", &spec.file)?;
        if file.architecture != NAME {
            return Err(super::other_architecture(&spec.file, &file, NAME));
        }
        let map = map_species(context.system, spec.elements.as_ref(), &file.species, &spec.file)?;
        let mut potential = Nep::new(&file, &map)
            .map_err(|fault| SpecError::new("file", format!("`{}`: {fault}", spec.file.display())))?;
        potential.domain = domain(&file, context.system, |s| &file.species[map[s]])?;
        Ok(potential)
    }
}

/// The potential.
pub struct Nep {
    model: Model,
    cutoff: f64,
    /// Squares of the larger cutoff of each pair of species.
    reach: Vec<f64>,
    description: Vec<String>,
    blocks: Vec<Block>,
    slopes: Vec<f64>,
    row_of_atom: AtomRows,
    forces: Vec<[f64; 3]>,
    virials: Vec<Mat3>,
    level: Level,
    domain: Domain,
}

impl Nep {
    /// The potential for species that are the elements `map` of a model.
    ///
    /// # Errors
    /// When something is missing in the file or has the wrong shape.
    pub fn new(file: &ModelFile, map: &[usize]) -> Result<Self, super::checkpoint::Fault> {
        let model = Model::new(file, map)?;
        let larger = |(a, b): (&f64, &f64)| a.max(*b);
        let cutoffs: Vec<f64> = model.radial.cutoffs.iter().zip(&model.angular.cutoffs).map(larger).collect();
        let names: Vec<&str> = map.iter().map(|e| file.species[*e].as_str()).collect();
        let line = format!(
            "nep: `{}` for {}, cutoffs {} Å (radial) and {} Å (angular), {} descriptors",
            file.source.name,
            names.join(", "),
            model.radial.cutoffs.iter().fold(0.0, |a: f64, b| a.max(*b)),
            model.angular.cutoffs.iter().fold(0.0, |a: f64, b| a.max(*b)),
            model.dimension
        );
        Ok(Self {
            cutoff: cutoffs.iter().copied().fold(0.0, f64::max),
            reach: cutoffs.iter().map(|c| c * c).collect(),
            description: vec![line],
            model,
            blocks: Vec::new(),
            slopes: Vec::new(),
            row_of_atom: AtomRows::default(),
            forces: Vec::new(),
            virials: Vec::new(),
            level: Level::detect(),
            domain: Domain::default(),
        })
    }
}

impl Potential for Nep {
    fn name(&self) -> &'static str {
        NAME
    }
    fn cutoff(&self) -> Option<f64> {
        Some(self.cutoff)
    }
    fn compute(
        &mut self,
        input: Input<'_>,
        want: Properties,
        out: &mut Outputs,
    ) -> Result<(), PotentialError> {
        let model = &self.model;
        site_energy::check_species(NAME, model.species, &input)?;
        let (list, atoms) = (input.neighbors, input.system.len());
        self.row_of_atom.update(list);
        let per_row = model.species * model.radial.basis;
        if atoms.saturating_mul(per_row) > i32::MAX as usize {
            let reason = format!("{atoms} atoms are more than its tables can number");
            return Err(PotentialError::Geometry { potential: NAME, reason });
        }
        let virial = want.intersects(Properties::VIRIAL | Properties::ATOM_VIRIALS);
        let gradient = virial || want.contains(Properties::FORCES);
        self.blocks.resize_with(atoms.div_ceil(ROWS), Block::default);
        self.slopes.resize(if gradient { atoms * per_row } else { 0 }, 0.0);
        let (row_of_atom, level, reach) = (&self.row_of_atom, self.level, &self.reach);
        let first = |(b, (block, slopes)): (usize, (&mut Block, &mut [f64]))| {
            let rows = b * ROWS..((b + 1) * ROWS).min(atoms);
            simd::run(level, First { model, list, reach, rows, row_of_atom, gradient, block, slopes });
        };
        let mut none: Vec<&mut [f64]> = Vec::new();
        if gradient {
            let parts = self.blocks.par_iter_mut().zip(self.slopes.par_chunks_mut(ROWS * per_row));
            parts.enumerate().for_each(first);
        } else {
            none.resize_with(self.blocks.len(), Default::default);
            self.blocks.par_iter_mut().zip(none.into_par_iter()).enumerate().for_each(first);
        }
        for block in &self.blocks {
            out.energy += block.energy;
        }
        let (blocks, at) = (&self.blocks, |i: usize| row_of_atom[i] as usize);
        if want.contains(Properties::ATOM_ENERGIES) {
            parallel::for_each_mut(&mut out.atom_energies, |i, e| {
                *e += blocks[at(i) / ROWS].energies[at(i) % ROWS];
            });
        }
        if !gradient {
            return Ok(());
        }
        let unique = input.cell.images_are_beyond(2.0 * self.cutoff);
        self.forces.resize(atoms, [0.0; 3]);
        self.virials.resize(atoms, Mat3::zeros());
        let slopes = &self.slopes;
        let parts = self.forces.par_chunks_mut(ROWS).zip(self.virials.par_chunks_mut(ROWS));
        parts.enumerate().for_each(|(index, (forces, virials))| {
            let second =
                Second { model, list, blocks, index, slopes, row_of_atom, unique, virial, forces, virials };
            simd::run(level, second);
        });
        let (forces, virials) = (&self.forces, &self.virials);
        if want.contains(Properties::FORCES) {
            parallel::for_each_mut(&mut out.forces, |i, f| *f += Vec3::from(forces[at(i)]));
        }
        if want.contains(Properties::VIRIAL) {
            out.virial += parallel::sum(atoms, Mat3::zeros(), |k| virials[k]);
        }
        if want.contains(Properties::ATOM_VIRIALS) {
            parallel::for_each_mut(&mut out.atom_virials, |i, w| *w += virials[at(i)]);
        }
        Ok(())
    }
    fn domain(&self) -> Option<&Domain> {
        Some(&self.domain)
    }
    fn citations(&self) -> Vec<&'static str> {
        vec![
            "Fan et al., Phys. Rev. B 104, 104309 (2021), doi 10.1103/PhysRevB.104.104309",
            "Fan et al., J. Chem. Phys. 157, 114801 (2022), doi 10.1063/5.0106617",
        ]
    }
    fn describe(&self) -> Vec<String> {
        self.description.clone()
    }
}

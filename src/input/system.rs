//! The system at the start: what an input says about its atoms beyond where they come from (`atoms.rs`).
use super::atoms::{Atoms, Field};
use super::building::{
    LatticeSpec, PackSpec, RandomSpec, SolvateSpec, SubstitutionSpec, SurfaceSpec, VacancySpec,
};
use super::cell::CellOverride;
use super::checks::{check_places, check_reach, closest};
use super::groups::{self, GroupSpec};
use super::molecules::{ConstraintsSpec, Molecules, RigidSpec};
use super::structure::Structure;
use super::velocities::{self, VelocitiesSpec};
use caloron_engine::quantity::{Charge, Length, Mass};
use caloron_engine::{Cell, Quantity, SpecError, State, Stream, Streams, System, UnitSystem};
use caloron_potentials::force_field::ForceFieldSpec;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What is simulated: `[system]`. Give exactly one of `structure`, `lattice` and `random`; `pack` and a force field whose
/// file holds positions can do without. The keys that build act in the order in which they stand here.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SystemSpec {
    /// File with the atoms, relative to the folder of the input file; any format that is read.
    pub structure: Option<PathBuf>,
    /// Frame of the file, from 0; negative numbers count from the end. Default -1, the last.
    pub frame: Option<i64>,
    /// Format of the file, where its name does not tell.
    pub format: Option<String>,
    /// A crystal.
    pub lattice: Option<LatticeSpec>,
    /// Atoms at random places.
    pub random: Option<RandomSpec>,
    /// A molecular force field, which gives the structure its masses, charges, bonds, constraints and interactions.
    pub force_field: Option<ForceFieldSpec>,
    /// Replaces the cell of the structure, or some of its properties; positions stay. Applied before `repeat`.
    pub cell: Option<CellOverride>,
    /// Cuts a slab with a face of given Miller indices. Comes after `cell`, before `supercell`.
    pub surface: Option<SurfaceSpec>,
    /// Makes a larger cell: the rows are its vectors in terms of those of the structure. Comes before `repeat`.
    pub supercell: Option<[[i32; 3]; 3]>,
    /// Repeats the cell along its vectors.
    pub repeat: Option<[u32; 3]>,
    /// Random alloys: the species that share the sites of a species, with fractions that add up to 1 (the numbers of atoms
    /// are exact, the largest remainders are rounded up) or numbers of atoms. Comes after `repeat`; the seed of the run
    /// chooses the places.
    #[serde(default)]
    pub alloy: BTreeMap<String, BTreeMap<String, f64>>,
    /// Atoms that become another species, one entry after the other. Comes after `alloy`.
    #[serde(default)]
    pub substitutions: Vec<SubstitutionSpec>,
    /// Atoms that are taken out, one entry after the other. Comes after `substitutions`.
    #[serde(default)]
    pub vacancies: Vec<VacancySpec>,
    /// Packs molecules into the cell, or makes a box of them. Comes after `vacancies`.
    pub pack: Option<PackSpec>,
    /// Fills the cell, or a new one around the structure, with a solvent and ions. Comes after `pack`.
    pub solvate: Option<SolvateSpec>,
    /// Standard deviation of a random displacement of every free atom along each axis; default none.
    pub rattle: Option<Quantity<Length>>,
    /// Mass of each species. Default: those of the file, else the standard atomic weights, also of elements that an interaction names
    /// for a species (`elements = { O1 = "O" }`); 1 with `units = "lj"`.
    #[serde(default)]
    pub masses: BTreeMap<String, Quantity<Mass>>,
    /// Charge of each species. Default: those of the file, else 0.
    #[serde(default)]
    pub charges: BTreeMap<String, Quantity<Charge>>,
    /// Elements of species that the interactions name.
    #[serde(skip)]
    pub(crate) elements: BTreeMap<String, String>,
    /// Named groups of atoms.
    #[serde(default)]
    pub groups: BTreeMap<String, GroupSpec>,
    /// Group of atoms that never move; default none.
    pub fixed: Option<String>,
    /// Distances that are kept; default those of the force-field file alone.
    pub constraints: Option<ConstraintsSpec>,
    /// Atoms that move as rigid bodies.
    #[serde(default)]
    pub rigid: Vec<RigidSpec>,
    /// Mass of every hydrogen outside of water, taken from the atom it is bonded to, so that bonds to hydrogen move more
    /// slowly and the time step can be longer (hydrogen mass repartitioning). Needs bonds. Default: masses as they are.
    pub hydrogen_mass: Option<Quantity<Mass>>,
    /// Initial velocities: drawn at a temperature, or "from_file". Default: those of the file when it has some
    /// (the run says so), else all atoms at rest.
    pub velocities: Option<VelocitiesSpec>,
    /// Two atoms closer than this are refused as overlapping. Default 0.3 Å, in reduced units 0.1; 0 allows all.
    pub min_distance: Option<Quantity<Length>>,
}

/// The atoms at the start of a run.
pub(crate) struct Start {
    pub system: System,
    /// The force field, with what the input says about it.
    pub force_field: Option<Field>,
    pub state: State,
    /// Molecules that were added, in the order of the atoms.
    pub molecules: Vec<(String, usize)>,
    /// Files that were read.
    pub files: Vec<PathBuf>,
    /// What was chosen where the input is silent, for the user.
    pub notes: Vec<String>,
    pub warnings: Vec<String>,
}

impl SystemSpec {
    /// Reads or generates everything `[system]` asks for; errors are relative to that table.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub(crate) fn build(&self, units: UnitSystem, seed: u64, directory: &Path) -> Result<Start, SpecError> {
        let atoms = self.atoms(units, seed, directory)?;
        let Atoms { mut structure, force_field, molecules, files, mut notes, mut warnings } = atoms;
        let key = self.source_key();
        if structure.len() == 0 {
            return Err(
                SpecError::new(key, "the structure has no atoms").hint("name a file or frame that has some")
            );
        }
        check_places(&structure).map_err(|e| e.within(key))?;
        let mut system = structure.system(&self.masses, &self.charges, &self.elements, units)?;
        for (name, atoms) in groups::resolve(&self.groups, &system, &structure.positions, &structure.cell)? {
            system.set_group(name, atoms);
        }
        if let Some(name) = &self.fixed {
            let atoms = groups::find(&system, name).map_err(|e| e.within("fixed"))?.to_vec();
            system.fix(&atoms);
            if system.fixed() == system.len() {
                return Err(SpecError::new("fixed", format!("all {} atoms are fixed", system.len()))
                    .hint("fix a group that leaves some atoms free"));
            }
        } else {
            notes.extend(structure.hold(&mut system));
        }
        self.shake(&mut structure, &system, seed)?;
        check_places(&structure).map_err(|e| e.within(key))?;
        let connected = Molecules {
            constraints: self.constraints.as_ref(),
            rigid: &self.rigid,
            hydrogen_mass: self.hydrogen_mass,
            units,
        };
        let connections = system.topology().parts().clone();
        connected.connect(connections, &mut system, &mut structure, &mut notes, &mut warnings)?;
        self.check_distances(&structure, &system, units)?;
        let state = State::at_rest(Vec::new(), Cell::open());
        let mut start = Start { state, system, force_field, molecules, files, notes, warnings };
        let v = velocities::initial(
            self.velocities.as_ref(),
            structure.velocities.take(),
            &structure.positions,
            &mut start,
            units,
            seed,
        )
        .map_err(|e| e.within("velocities"))?;
        start.state = State::new(structure.positions, v, structure.cell);
        Ok(start)
    }
    /// Random displacements of the free atoms.
    fn shake(&self, structure: &mut Structure, system: &System, seed: u64) -> Result<(), SpecError> {
        let Some(width) = self.rattle.map(Quantity::internal) else { return Ok(()) };
        if !(width >= 0.0 && width.is_finite()) {
            return Err(
                SpecError::new("rattle", "`rattle` must not be negative").hint("leave it out for none")
            );
        }
        let random = Streams { seed };
        for (i, r) in structure.positions.iter_mut().enumerate() {
            if !system.is_fixed(i) {
                *r += width * random.normal3(Stream::Rattle, 0, 0, i as u64);
            }
        }
        Ok(())
    }
    fn check_distances(
        &self,
        structure: &Structure,
        system: &System,
        units: UnitSystem,
    ) -> Result<(), SpecError> {
        let default = if units == UnitSystem::Lj { 0.1 } else { 0.3 };
        let limit = self.min_distance.map_or(default, Quantity::internal);
        if !(limit >= 0.0 && limit.is_finite()) {
            return Err(SpecError::new("min_distance", "`min_distance` must not be negative")
                .hint("write 0 to allow all"));
        }
        if limit == 0.0 {
            return Ok(());
        }
        check_reach("min_distance", "distance", limit, &structure.cell, structure.len())?;
        let Some((i, j, d)) = closest(structure, system, limit) else { return Ok(()) };
        let length = units.length_label();
        let who = if i == j {
            format!("atom {i} ({}) and its own periodic image are {d:.4} {length} apart", system.symbol(i))
        } else {
            format!(
                "atoms {i} ({}) and {j} ({}) are {d:.4} {length} apart: they overlap (limit {limit} {length})",
                system.symbol(i),
                system.symbol(j)
            )
        };
        Err(SpecError::new(self.source_key(), who)
            .hint("correct the structure or its cell; `min_distance` in [system] sets the limit, 0 turns the check off"))
    }
}

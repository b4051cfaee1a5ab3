//! Where the atoms come from and how they are multiplied and changed: source, cell, surface, supercell, repetition, species,
//! vacancies, in this order.
use super::building::Sites;
use super::files::read_frame;
use super::structure::{Structure, mass_of};
use super::system::SystemSpec;
use caloron_engine::{SpecError, Topology, UnitSystem};
use caloron_potentials::force_field::{ForceFieldSpec, MolecularModel};
use std::path::{Path, PathBuf};

/// A force field with what an input says about it.
pub(crate) type Field = (ForceFieldSpec, MolecularModel);

/// Atoms in their places.
pub(crate) struct Atoms {
    pub structure: Structure,
    pub force_field: Option<Field>,
    /// Molecules that were added, in the order of the atoms.
    pub molecules: Vec<(String, usize)>,
    /// Files that were read.
    pub files: Vec<PathBuf>,
    /// What was chosen or done, for the user.
    pub notes: Vec<String>,
    pub warnings: Vec<String>,
}

impl SystemSpec {
    /// The atoms as the input has them made; errors are relative to `[system]`.
    pub(crate) fn atoms(&self, units: UnitSystem, seed: u64, directory: &Path) -> Result<Atoms, SpecError> {
        let (mut files, mut notes, mut warnings) = (Vec::new(), Vec::new(), Vec::new());
        let mut force_field = read_force_field(self.force_field.as_ref(), units, directory, &mut files)?;
        if force_field.is_some() {
            self.check_force_field_keys()?;
        }
        let of_model = force_field.as_ref().and_then(|(_, model)| self.coordinates_of(model));
        let mut structure = match of_model {
            Some(structure) => structure,
            None => self.source(units, seed, directory, &mut files)?,
        };
        if let Some(field) = &force_field {
            structure.apply(field, &mut notes).map_err(|e| e.within("force_field"))?;
            warnings.extend(field.1.warnings.iter().cloned());
        }
        if let Some(spec) = &self.cell {
            structure = spec.apply(structure).map_err(|e| e.within("cell"))?;
        }
        if let Some(spec) = &self.surface {
            self.check_unit_cell()?;
            structure = structure.surface(spec).map_err(|e| e.within("surface"))?;
            let [a, b, _] = structure.cell.lengths_angles().0;
            notes.push(format!("the cell of the surface is {a:.4} x {b:.4}, with {} atoms", structure.len()));
        }
        structure = self.multiplied(structure, &mut force_field)?;
        let sites = Sites {
            alloy: &self.alloy,
            substitutions: &self.substitutions,
            vacancies: &self.vacancies,
            seed,
        };
        if !sites.is_empty() {
            sites.apply(&mut structure, &mut notes)?;
        }
        Ok(Atoms { structure, force_field, molecules: vec![], files, notes, warnings })
    }
    /// A force field lists its atoms: keys that change them cannot be combined with one.
    fn check_force_field_keys(&self) -> Result<(), SpecError> {
        if !self.charges.is_empty() {
            return Err(SpecError::new("charges", "`charges` cannot be combined with a force field")
                .hint("the force-field file lists every atom with its charge; change the file"));
        }
        for (key, given) in [
            ("surface", self.surface.is_some()),
            ("alloy", !self.alloy.is_empty()),
            ("substitutions", !self.substitutions.is_empty()),
            ("vacancies", !self.vacancies.is_empty()),
        ] {
            if given {
                let message =
                    format!("`{key}` cannot be combined with a force field, whose file lists the atoms");
                return Err(SpecError::new(key, message).hint("change the structure and the file together"));
            }
        }
        Ok(())
    }
    /// Miller indices count in the cell of the crystal, which must not have been repeated.
    fn check_unit_cell(&self) -> Result<(), SpecError> {
        match self.lattice.as_ref().map(super::LatticeSpec::repeat) {
            Some((name, repeat)) if repeat != [1; 3] => {
                let key = format!("lattice.{name}.repeat");
                Err(SpecError::new(
                    key,
                    "Miller indices count in one cell of the crystal, and this repeats it",
                )
                .hint("repeat the slab instead, with `repeat` in [system]"))
            }
            _ => Ok(()),
        }
    }
    /// The structure in its supercell, with its force field.
    fn multiplied(
        &self,
        mut structure: Structure,
        force_field: &mut Option<Field>,
    ) -> Result<Structure, SpecError> {
        if self.supercell.is_none() && self.repeat.is_none() {
            return Ok(structure);
        }
        // a molecule that the cell cuts must not be copied in pieces
        if let Some(topology) = &structure.topology {
            let key = if self.supercell.is_some() { "supercell" } else { "repeat" };
            let cell = structure.cell.clone();
            topology.make_whole(&mut structure.positions, &cell).map_err(|e| e.within(key))?;
        }
        if let Some(rows) = self.supercell {
            structure = structure.supercell(rows)?;
        }
        if let Some(repeat) = self.repeat {
            structure = structure.repeated(repeat)?;
        }
        if let Some((_, model)) = force_field {
            *model = model.repeated(structure.len() / model.len());
            structure.topology = Some(Topology::new(model.len(), model.topology.clone())?);
        }
        Ok(structure)
    }
    /// The atoms of a force-field file that has positions, where no other source is named.
    fn coordinates_of(&self, model: &MolecularModel) -> Option<Structure> {
        if self.structure.is_some() || self.lattice.is_some() || self.random.is_some() {
            return None;
        }
        Structure::coordinates_of(model)
    }
    /// The key that says where the atoms come from.
    pub(crate) fn source_key(&self) -> &'static str {
        if self.structure.is_some() {
            "structure"
        } else if self.lattice.is_some() {
            "lattice"
        } else {
            "random"
        }
    }
    fn source(
        &self,
        units: UnitSystem,
        seed: u64,
        directory: &Path,
        files: &mut Vec<PathBuf>,
    ) -> Result<Structure, SpecError> {
        if self.structure.is_none() {
            for (key, given) in [("frame", self.frame.is_some()), ("format", self.format.is_some())] {
                if given {
                    return Err(SpecError::new(
                        key,
                        format!("`{key}` belongs to `structure`, which is not given"),
                    )
                    .hint(format!("remove `{key}`, or name a file with `structure`")));
                }
            }
        }
        let one = "give exactly one of `structure`, `lattice` and `random`";
        match (&self.structure, &self.lattice, &self.random) {
            (Some(file), None, None) => {
                let path = directory.join(file);
                let frame = read_frame(&path, self.format.as_deref(), self.frame.unwrap_or(-1))?;
                files.push(path);
                Ok(Structure::from_frame(frame))
            }
            (None, Some(lattice), None) => lattice.build().map_err(|e| e.within("lattice")),
            (None, None, Some(random)) => random
                .build(seed, |symbol| mass_of(symbol, &self.masses, units))
                .map_err(|e| e.within("random")),
            (None, None, None) => {
                Err(SpecError::new("", "there are no atoms: `[system]` names no source").hint(one))
            }
            (Some(_), _, _) => {
                Err(SpecError::new("structure", "the atoms have more than one source").hint(one))
            }
            (None, Some(_), _) => {
                Err(SpecError::new("lattice", "the atoms have more than one source").hint(one))
            }
        }
    }
}

/// Reads the force field of an input; the errors are at `force_field`.
pub(crate) fn read_force_field(
    spec: Option<&ForceFieldSpec>,
    units: UnitSystem,
    directory: &Path,
    files: &mut Vec<PathBuf>,
) -> Result<Option<Field>, SpecError> {
    let Some(spec) = spec else { return Ok(None) };
    if units == UnitSystem::Lj {
        return Err(SpecError::new("force_field", "force-field files have physical units")
            .hint("remove `units = \"lj\"`"));
    }
    let model = spec.read(directory, files).map_err(|e| e.within("force_field"))?;
    Ok(Some((spec.clone(), model)))
}

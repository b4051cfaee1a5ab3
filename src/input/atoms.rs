//! Where the atoms come from and how they are multiplied and changed: source, cell, surface, supercell, repetition, species,
//! vacancies, packed molecules, solvent, in this order.
use super::building::{Ion, Sites, Template, usual_charge};
use super::files::read_frame;
use super::structure::{Structure, mass_of};
use super::system::SystemSpec;
use caloron_engine::{SpecError, Topology, UnitSystem, elements};
use caloron_potentials::force_field::{Composition, ForceFieldSpec, MolecularModel};
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

const ONE_SOURCE: &str = "give exactly one of `structure`, `lattice` and `random`";

/// A molecule that was added, with the key of its name: name in the topology, shape, number.
type Added = (String, (Option<String>, Template, usize));

impl SystemSpec {
    /// The atoms as the input has them made; errors are relative to `[system]`.
    pub(crate) fn atoms(&self, units: UnitSystem, seed: u64, directory: &Path) -> Result<Atoms, SpecError> {
        let (mut files, mut notes, mut warnings) = (Vec::new(), Vec::new(), Vec::new());
        let from_nothing = !self.has_source() && self.pack.is_some();
        let mut force_field = match from_nothing {
            // the topology lists what is packed, or nothing yet
            true => None,
            false => read_force_field(self.force_field.as_ref(), units, directory, &mut files)?,
        };
        if self.force_field.is_some() {
            self.check_force_field_keys()?;
        }
        let of_model = force_field.as_ref().and_then(|(_, model)| self.coordinates_of(model));
        let mut structure = match of_model {
            Some(structure) => Some(structure),
            None if from_nothing => None,
            None => Some(self.source(units, seed, directory, &mut files)?),
        };
        let mut copies = 1;
        if let Some(source) = structure.take() {
            let (changed, n) = self.changed(source, seed, &mut force_field, &mut notes, &mut warnings)?;
            (structure, copies) = (Some(changed), n);
            // a molecule that the cell cuts has no place to keep clear of, and no centre
            if let (Some(s), true) = (&mut structure, self.pack.is_some() || self.solvate.is_some())
                && let Some(topology) = &s.topology
            {
                topology.make_whole(&mut s.positions, &s.cell)?;
            }
        }
        let mut added = Vec::new();
        if let Some(pack) = &self.pack {
            let before = structure.as_ref().map_or(0, Structure::len);
            let kinds =
                pack.apply(&mut structure, seed, directory, &mut files).map_err(|e| e.within("pack"))?;
            if let Some(s) = &mut structure {
                self.columns(s, before, &mut notes).map_err(|e| e.within("pack"))?;
            }
            let keys = |k: usize| format!("pack.molecules[{k}].name");
            added.extend(kinds.into_iter().enumerate().map(|(k, m)| (keys(k), m)));
        }
        let Some(mut structure) = structure else {
            return Err(SpecError::new("", "there are no atoms: `[system]` names no source").hint(ONE_SOURCE));
        };
        if let Some(solvate) = &self.solvate {
            let before = structure.len();
            let net = self.net_charge(&structure, force_field.is_some(), !added.is_empty());
            let ion = |name: &str| self.ion(name, directory);
            let done = solvate.apply(&mut structure, seed, directory, &mut files, net, ion);
            let done = done.map_err(|e| e.within("solvate"))?;
            self.columns(&mut structure, before, &mut notes).map_err(|e| e.within("solvate"))?;
            notes.extend(done.notes);
            let keys = ["name", "ions.cation", "ions.anion"];
            added.extend(done.molecules.into_iter().zip(keys).map(|(m, k)| (format!("solvate.{k}"), m)));
        }
        let mut molecules = Vec::new();
        if !added.is_empty() {
            if self.force_field.is_some() {
                let field = self.extended(&structure, copies, &added, directory, &mut files)?;
                structure.masses = None;
                structure.apply(&field, &mut notes).map_err(|e| e.within("force_field"))?;
                warnings.extend(
                    field.1.warnings.iter().filter(|w| !warnings.contains(w)).cloned().collect::<Vec<_>>(),
                );
                force_field = Some(field);
            }
            molecules = added
                .into_iter()
                .map(|(_, (name, t, n))| (name.unwrap_or_else(|| t.symbols.concat()), n))
                .collect();
        }
        Ok(Atoms { structure, force_field, molecules, files, notes, warnings })
    }
    /// The source with its force field, cell, surface, copies, species and vacancies; also how many copies there are.
    fn changed(
        &self,
        mut structure: Structure,
        seed: u64,
        force_field: &mut Option<Field>,
        notes: &mut Vec<String>,
        warnings: &mut Vec<String>,
    ) -> Result<(Structure, usize), SpecError> {
        if let Some(field) = &force_field {
            structure.apply(field, notes).map_err(|e| e.within("force_field"))?;
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
        let before = structure.len().max(1);
        structure = self.multiplied(structure, force_field)?;
        let copies = structure.len() / before;
        let sites = Sites {
            alloy: &self.alloy,
            substitutions: &self.substitutions,
            vacancies: &self.vacancies,
            seed,
        };
        if !sites.is_empty() {
            sites.apply(&mut structure, notes)?;
        }
        Ok((structure, copies))
    }
    /// Masses, charges and velocities of the file for the atoms after the first `before`.
    fn columns(
        &self,
        structure: &mut Structure,
        before: usize,
        notes: &mut Vec<String>,
    ) -> Result<(), SpecError> {
        if structure.velocities.take().is_some() && before > 0 {
            notes.push("velocities of the structure file are not used: molecules were added".into());
        }
        if self.force_field.is_some() {
            (structure.masses, structure.charges, structure.topology) = (None, None, None);
            return Ok(());
        }
        let added = structure.symbols[before..].to_vec();
        if let Some(charges) = &mut structure.charges {
            let missing = added.iter().find(|s| !self.charges.contains_key(*s));
            if let (Some(s), true) = (missing, charges.iter().any(|q| *q != 0.0)) {
                return Err(SpecError::new(
                    "",
                    format!("the structure has charges, but none are known for {s}"),
                )
                .hint("give charges by species in `charges`, or use a force field"));
            }
            charges.resize(structure.symbols.len(), 0.0);
        }
        if let Some(masses) = &mut structure.masses {
            for s in &added {
                let given = self.masses.get(s).map(|m| m.internal());
                let Some(m) = given.or_else(|| elements::mass(s)) else {
                    return Err(SpecError::new(
                        "",
                        format!("the species `{s}` is no element and has no mass"),
                    )
                    .hint("sites without mass belong to a force field; choose a model without them"));
                };
                masses.push(m);
            }
        }
        Ok(())
    }
    /// The net charge of a structure, where every atom's charge is known.
    fn net_charge(&self, structure: &Structure, of_force_field: bool, packed: bool) -> Option<f64> {
        if let (Some(q), true) = (&structure.charges, of_force_field && !packed) {
            return Some(q.iter().sum());
        }
        if self.force_field.is_some() {
            return None;
        }
        let own = structure.charges.as_ref();
        let of = |i: usize| match self.charges.get(&structure.symbols[i]) {
            Some(q) => Some(q.internal()),
            None => own.map(|q| q[i]),
        };
        (0..structure.len()).map(of).sum()
    }
    /// What an ion's name stands for: a molecule of one atom of the topology, else an element.
    fn ion(&self, name: &str, directory: &Path) -> Result<Ion, SpecError> {
        let Some(spec) = &self.force_field else {
            return match usual_charge(name) {
                Some(charge) => Ok(Ion { symbol: name.to_owned(), name: None, charge }),
                None => Err(SpecError::new("", format!("the charge of `{name}` is not known")).hint(
                    "elements of the groups 1 and 2, zinc and halogens can be ions without a force field",
                )),
            };
        };
        let one = Composition { own: 0, added: vec![(name.to_owned(), 1)] };
        let model = spec.read_composed(directory, &mut vec![], &one)?;
        if model.len() != 1 {
            return Err(SpecError::new("", format!("`{name}` has {} atoms", model.len()))
                .hint("an ion takes the place of one solvent molecule; name a molecule of one atom"));
        }
        let symbol = model.symbols[0].clone().unwrap_or_else(|| name.to_owned());
        Ok(Ion { symbol, name: Some(name.to_owned()), charge: model.charges[0] })
    }
    /// The force field of the structure with molecules that were added.
    fn extended(
        &self,
        structure: &Structure,
        copies: usize,
        added: &[Added],
        directory: &Path,
        files: &mut Vec<PathBuf>,
    ) -> Result<Field, SpecError> {
        let Some(spec) = &self.force_field else {
            return Err(SpecError::new("force_field", "there is no force field"));
        };
        let mut names = Vec::new();
        for (key, (name, template, count)) in added {
            let Some(name) = name else {
                return Err(SpecError::new(
                    key,
                    "the force field does not know which of its molecules this is",
                )
                .hint("write the name of the molecule in the topology, such as name = \"SOL\""));
            };
            self.same_molecule(spec, name, template, directory).map_err(|e| e.within(key))?;
            names.push((name.clone(), *count));
        }
        let read = |composition: &Composition, files: &mut Vec<PathBuf>| {
            spec.read_composed(directory, files, composition).map_err(|e| e.within("force_field"))
        };
        let model = read(&Composition { own: copies, added: names }, files)?;
        if model.len() == structure.len() || self.has_source() {
            return Ok((spec.clone(), model));
        }
        // the topology lists the packed molecules itself
        let own = read(&Composition::default(), &mut vec![])?;
        if own.len() == structure.len() {
            return Ok((spec.clone(), own));
        }
        let message = format!(
            "the topology lists {} atoms of its own, {} are packed: they are neither none nor the same",
            own.len(),
            structure.len()
        );
        Err(SpecError::new("force_field", message)
            .hint("list nothing under [ molecules ], or what is packed in the same order"))
    }
    /// Refuses a molecule of the topology that has other atoms than the one that was added.
    fn same_molecule(
        &self,
        spec: &ForceFieldSpec,
        name: &str,
        template: &Template,
        directory: &Path,
    ) -> Result<(), SpecError> {
        let one = Composition { own: 0, added: vec![(name.to_owned(), 1)] };
        let model = spec.read_composed(directory, &mut vec![], &one)?;
        let of_model: Vec<&str> = model.symbols.iter().map(|s| s.as_deref().unwrap_or("M")).collect();
        let same = model.len() == template.symbols.len()
            && (0..model.len()).all(|i| {
                model.masses[i] == 0.0 || model.symbols[i].as_ref().is_none_or(|s| *s == template.symbols[i])
            });
        if same {
            return Ok(());
        }
        let message = format!(
            "`{name}` of the topology has the atoms {}, the one that is added {}",
            of_model.join(" "),
            template.symbols.join(" ")
        );
        Err(SpecError::new("", message)
            .hint("both must have the same atoms in the same order, sites included"))
    }
    fn has_source(&self) -> bool {
        self.structure.is_some() || self.lattice.is_some() || self.random.is_some()
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
        if self.has_source() {
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
        } else if self.random.is_some() || self.pack.is_none() {
            "random"
        } else {
            "pack"
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
        match (&self.structure, &self.lattice, &self.random) {
            (Some(file), None, None) => {
                let path = directory.join(file);
                let frame = read_frame(&path, self.format.as_deref(), self.frame.unwrap_or(-1))?;
                files.push(path);
                Ok(Structure::from_frame(frame))
            }
            (None, Some(lattice), None) => lattice.build().map_err(|e| e.within("lattice")),
            (None, None, Some(random)) => random
                .build(seed, |symbol| mass_of(symbol, &self.masses, &self.elements, units))
                .map_err(|e| e.within("random")),
            (None, None, None) => {
                Err(SpecError::new("", "there are no atoms: `[system]` names no source").hint(ONE_SOURCE))
            }
            (Some(_), _, _) => {
                Err(SpecError::new("structure", "the atoms have more than one source").hint(ONE_SOURCE))
            }
            (None, Some(_), _) => {
                Err(SpecError::new("lattice", "the atoms have more than one source").hint(ONE_SOURCE))
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

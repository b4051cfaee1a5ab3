//! A molecular force field in an input file.
use super::composition::{Composition, Template};
use super::lammps::LammpsStyles;
use super::model::{FileMethod, MolecularModel};
use super::settings::{Electrostatics, Overrides, non_bonded};
use crate::Precision;
use crate::bonded::Bonded;
use crate::implicit::{Obc, ObcAtom, ObcModel};
use crate::nonbonded::{Modifier, NonBonded};
use crate::pair::PairStyles;
use caloron_engine::quantity::{EnergyLength, InverseLength, Length};
use caloron_engine::{Cell, Potential, Quantity, SpecError, units};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A molecular force field: one file with the terms of every atom, and how non-bonded pairs are treated where the file
/// does not say. Give exactly one of `openmm`, `amber`, `gromacs` and `lammps`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForceFieldSpec {
    /// An OpenMM `System` (XML).
    pub openmm: Option<PathBuf>,
    /// An AMBER topology (`prmtop`, `parm7`).
    pub amber: Option<PathBuf>,
    /// A GROMACS topology (`top`).
    pub gromacs: Option<PathBuf>,
    /// Folders in which files that a GROMACS topology includes are searched, beside its own. Default: none.
    #[serde(default)]
    pub include: Vec<PathBuf>,
    /// Names that are defined for a GROMACS topology, such as "FLEXIBLE" or "NAME=value". Default: none.
    #[serde(default)]
    pub define: Vec<String>,
    /// Sections of an AMBER or GROMACS file that are left out although they are not known here, such as
    /// "implicit_genborn_params" of older GROMACS force fields. Default: none; a section that is not known is an error.
    #[serde(default)]
    pub ignored_sections: Vec<String>,
    /// A LAMMPS data file with coefficients.
    pub lammps: Option<PathBuf>,
    /// What a LAMMPS data file does not say.
    pub lammps_styles: Option<LammpsStyles>,
    /// Molecules by name that `pack` and `solvate` can add to the system of an OpenMM, AMBER or LAMMPS file. Default: those whose residue
    /// name an AMBER file has. A GROMACS topology defines its own.
    #[serde(default)]
    pub molecules: BTreeMap<String, MoleculeFileSpec>,
    /// Treatment of charges. Default: that of the file; all pairs for an open system of a file that says nothing.
    pub electrostatics: Option<ElectrostaticsSpec>,
    /// Cutoff of non-bonded pairs. Default: that of the file.
    pub cutoff: Option<Quantity<Length>>,
    /// Distance from which the Lennard-Jones interaction is switched to zero at the cutoff; the cutoff itself turns
    /// switching off. Default: that of the file, else no switching.
    pub switch: Option<Quantity<Length>>,
    /// How the Lennard-Jones interaction ends at the cutoff. Default: `potential_switch`, which acts where there is a `switch`.
    pub modifier: Option<ModifierSpec>,
    /// Correction of energy and pressure for the dispersion beyond the cutoff. Default: that of the file, else true for
    /// a cell that is periodic in all directions.
    pub dispersion_correction: Option<bool>,
    /// Error tolerance of lattice sums, from which the splitting parameter and the grid follow. Default: that of the file,
    /// else 1e-4 (1e-6 for `ewald`).
    pub tolerance: Option<f64>,
    /// Splitting parameter α of lattice sums. Default: that of the file, else it follows from the tolerance.
    pub alpha: Option<Quantity<InverseLength>>,
    /// Grid points of particle-mesh Ewald along the lattice vectors. Default: that of the file, else they follow from
    /// the tolerance.
    pub grid: Option<[usize; 3]>,
    /// Order of the splines of particle-mesh Ewald: 4, 5 or 6. Default: 5.
    pub order: Option<usize>,
    /// Relative permittivity beyond the cutoff of a reaction field: `inf` or 0 for a conductor; with 1 it is a Coulomb potential
    /// that is shifted to zero at the cutoff. Default: that of the file, else 78.3.
    pub dielectric: Option<f64>,
    /// Precision of the pairs within the cutoff: `f64` (default), or `f32` for molecules in boxes: faster, with relative errors of the
    /// forces of about 1e-6. Sums, lattice sums, all other terms and the state are in double precision with both.
    #[serde(default)]
    pub precision: Precision,
    /// Implicit solvent for the radii that an AMBER file holds. Default: none (an OpenMM file names its own).
    pub implicit_solvent: Option<ImplicitSolventSpec>,
    /// Coulomb constant e²/(4 π ε0). Default: that of the program the file belongs to.
    pub coulomb_constant: Option<Quantity<EnergyLength>>,
    /// Force groups of the parts of the force field, for multiple time steps. Default: all in group 0.
    pub force_groups: Option<ForceGroupsSpec>,
    /// Group of whole molecules whose inner interactions are left out, bonded and non-bonded, because a `[[potential]]` that is
    /// restricted to the group gives them: mechanical embedding of a learned potential. Their interactions with all other
    /// atoms stay. The group may cut bonds where that `[[potential]]` has a `link_ratio`. Default none.
    pub replaced: Option<String>,
}

/// A molecule that can be added: one of the system itself, or the only one that another file describes. Pairs of Lennard-Jones types of two
/// files follow the mixing rule, which must be the same for both. Give exactly one of `like_atom`, `openmm`, `amber`, `gromacs` and `lammps`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MoleculeFileSpec {
    /// The molecule of the system's own file that holds this atom, from 0.
    pub like_atom: Option<u32>,
    /// An OpenMM `System` (XML) of the molecule.
    pub openmm: Option<PathBuf>,
    /// An AMBER topology of the molecule.
    pub amber: Option<PathBuf>,
    /// A GROMACS topology of the molecule.
    pub gromacs: Option<PathBuf>,
    /// A LAMMPS data file of the molecule.
    pub lammps: Option<PathBuf>,
    /// What a LAMMPS data file does not say.
    pub lammps_styles: Option<LammpsStyles>,
}

impl MoleculeFileSpec {
    fn template(&self, directory: &Path, files: &mut Vec<PathBuf>) -> Result<Template, SpecError> {
        let file = ForceFieldSpec {
            openmm: self.openmm.clone(),
            amber: self.amber.clone(),
            gromacs: self.gromacs.clone(),
            lammps: self.lammps.clone(),
            lammps_styles: self.lammps_styles.clone(),
            ..ForceFieldSpec::default()
        };
        match (self.like_atom, file.named().is_empty()) {
            (Some(atom), true) => Ok(Template::Like(atom)),
            (None, false) => Ok(Template::File(Box::new(file.read(directory, files)?))),
            _ => Err(SpecError::new("", "a molecule is described in one place")
                .hint("give exactly one of `like_atom`, `openmm`, `amber`, `gromacs` and `lammps`")),
        }
    }
}

/// Force groups of the parts of a force field: 0 is the slowest, evaluated once a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForceGroupsSpec {
    /// Bonds, angles, dihedrals, maps. Default 0.
    #[serde(default)]
    pub bonded: u8,
    /// Pairs within the cutoff and exceptions, an implicit solvent. Default 0.
    #[serde(default)]
    pub non_bonded: u8,
    /// Reciprocal sums of charges and dispersion. Default: with the pairs.
    pub reciprocal: Option<u8>,
}

/// Treatment of charges and of non-bonded pairs beyond the cutoff.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ElectrostaticsSpec {
    /// All pairs of an open system, without a cutoff.
    NoCutoff,
    /// Plain truncation.
    Cut,
    /// A dielectric continuum beyond the cutoff.
    ReactionField,
    /// Ewald sum.
    Ewald,
    /// Smooth particle-mesh Ewald.
    Pme,
    /// Smooth particle-mesh Ewald of the charges and of the dispersion.
    LjPme,
}

/// How the Lennard-Jones interaction ends at the cutoff.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ModifierSpec {
    /// Multiplied by a function that falls to zero between `switch` and the cutoff.
    PotentialSwitch,
    /// Shifted to zero at the cutoff; the default of GROMACS.
    PotentialShift,
    /// The force is switched to zero between `switch` and the cutoff; what CHARMM36 expects in GROMACS.
    ForceSwitch,
}

impl From<ModifierSpec> for Modifier {
    fn from(spec: ModifierSpec) -> Self {
        match spec {
            ModifierSpec::PotentialSwitch => Self::PotentialSwitch,
            ModifierSpec::PotentialShift => Self::PotentialShift,
            ModifierSpec::ForceSwitch => Self::ForceSwitch,
        }
    }
}

/// An implicit solvent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImplicitSolventSpec {
    /// Generalised Born model of Onufriev, Bashford and Case (model II) in water of permittivity 78.5, without a surface
    /// term.
    Obc2,
}

impl From<ElectrostaticsSpec> for Electrostatics {
    fn from(spec: ElectrostaticsSpec) -> Self {
        match spec {
            ElectrostaticsSpec::NoCutoff => Self::NoCutoff,
            ElectrostaticsSpec::Cut => Self::Cut,
            ElectrostaticsSpec::ReactionField => Self::ReactionField,
            ElectrostaticsSpec::Ewald => Self::Ewald,
            ElectrostaticsSpec::Pme => Self::Pme,
            ElectrostaticsSpec::LjPme => Self::LjPme,
        }
    }
}

/// A potential of a force field with its name in reports.
pub type NamedPotential = (&'static str, Box<dyn Potential>);

impl ForceFieldSpec {
    /// Reads the file; `directory` is where its name starts from. The path read is added to `files`.
    ///
    /// # Errors
    /// When none or several files are named, or the file is wrong.
    pub fn read(&self, directory: &Path, files: &mut Vec<PathBuf>) -> Result<MolecularModel, SpecError> {
        self.read_composed(directory, files, &Composition::default())
    }
    /// Reads the file for other molecules than it lists, which are those of a GROMACS topology or of `molecules`.
    ///
    /// # Errors
    /// As [`Self::read`], and when a molecule is not known.
    pub fn read_composed(
        &self,
        directory: &Path,
        files: &mut Vec<PathBuf>,
        composition: &Composition,
    ) -> Result<MolecularModel, SpecError> {
        match self.named().as_slice() {
            [(format, file)] => {
                let path = directory.join(file);
                if *format == "gromacs" && !self.molecules.is_empty() {
                    let message = "a GROMACS topology defines its molecules itself";
                    return Err(
                        SpecError::new("molecules", message).hint("include their files in the topology")
                    );
                }
                let model = match *format {
                    "amber" => super::amber::read(&path, &self.ignored_sections),
                    "gromacs" => {
                        let folders: Vec<PathBuf> = self.include.iter().map(|f| directory.join(f)).collect();
                        let settings = super::gromacs::Settings {
                            folders: &folders,
                            defines: &self.define,
                            ignored: &self.ignored_sections,
                        };
                        super::gromacs::read_composed(&path, settings, composition)
                    }
                    "lammps" => {
                        let styles = self.lammps_styles.clone().unwrap_or_default();
                        super::lammps::read(&path, &styles)
                    }
                    _ => super::openmm::read(&path),
                }?;
                files.push(path);
                if *format == "gromacs" {
                    return Ok(model);
                }
                let composed = model.composed(composition, |name| match self.molecules.get(name) {
                    None => Ok(Template::Named),
                    Some(m) => {
                        m.template(directory, files).map_err(|e| e.within(&format!("molecules.{name}")))
                    }
                })?;
                if !composition.added.is_empty() && composition.own > 0 && self.is_open(&composed) {
                    let message = "molecules are added to a system that the force field treats as open, without a cutoff";
                    return Err(SpecError::new("electrostatics", message)
                        .hint("write electrostatics = \"pme\" and cutoff = \"9 Å\""));
                }
                Ok(composed)
            }
            _ => Err(SpecError::new("", "a force field is one file")
                .hint("give exactly one of `openmm`, `amber`, `gromacs` and `lammps`")),
        }
    }
    /// The formats that are given, with their files.
    fn named(&self) -> Vec<(&'static str, &PathBuf)> {
        let all = [
            ("openmm", &self.openmm),
            ("amber", &self.amber),
            ("gromacs", &self.gromacs),
            ("lammps", &self.lammps),
        ];
        all.into_iter().filter_map(|(k, f)| Some((k, f.as_ref()?))).collect()
    }
    /// True when the system is open, whatever cell a structure file has: there is no cutoff, or one in an open system.
    pub fn is_open(&self, model: &MolecularModel) -> bool {
        match (self.electrostatics, model.settings.method) {
            (Some(chosen), _) => chosen == ElectrostaticsSpec::NoCutoff,
            (None, Some(FileMethod::NoCutoff | FileMethod::ReactionField { periodic: false, .. })) => true,
            (None, _) => false,
        }
    }
    fn overrides(&self) -> Overrides {
        Overrides {
            electrostatics: self.electrostatics.map(Electrostatics::from),
            cutoff: self.cutoff.map(Quantity::internal),
            switch: self.switch.map(Quantity::internal),
            modifier: self.modifier.map(Modifier::from),
            dispersion_correction: self.dispersion_correction,
            tolerance: self.tolerance,
            alpha: self.alpha.map(Quantity::internal),
            grid: self.grid,
            order: self.order,
            dielectric: self.dielectric,
            constant: self.coulomb_constant.map(Quantity::internal),
            precision: self.precision,
        }
    }
    fn solvent(&self, model: &MolecularModel) -> Result<Option<ObcModel>, SpecError> {
        let Some(ImplicitSolventSpec::Obc2) = self.implicit_solvent else { return Ok(model.solvent.clone()) };
        let wrong = |message: String| Err(SpecError::new("implicit_solvent", message));
        if model.solvent.is_some() {
            return wrong("the file has an implicit solvent of its own".into());
        }
        let Some((radii, scales)) = &model.born else {
            return wrong(format!("the {} file has no radii of a generalised Born model", model.format));
        };
        let atoms = (0..model.len())
            .map(|i| ObcAtom { charge: model.charges[i], radius: radii[i], scale: scales[i] })
            .collect();
        let constant = self.overrides().constant.or(model.settings.constant).unwrap_or(units::COULOMB);
        Ok(Some(ObcModel { atoms, solute: 1.0, solvent: 78.5, surface: 0.0, constant }))
    }
    /// The force group of a potential by its name in [`Self::potentials`].
    pub fn force_group(&self, name: &str) -> u8 {
        let groups = self.force_groups.unwrap_or_default();
        match name {
            "bonded" => groups.bonded,
            "reciprocal" => groups.reciprocal.unwrap_or(groups.non_bonded),
            _ => groups.non_bonded,
        }
    }
    /// The interactions of a model in a cell.
    ///
    /// # Errors
    /// When a setting is missing or out of range.
    pub fn potentials(&self, model: &MolecularModel, cell: &Cell) -> Result<Vec<NamedPotential>, SpecError> {
        let mut out: Vec<NamedPotential> = Vec::new();
        if !model.bonded.is_empty() {
            out.push(("bonded", Box::new(Bonded::new(model.len(), model.bonded.clone())?)));
        }
        let non_bonded = non_bonded(model, &self.overrides(), cell)?;
        let groups = self.force_groups.unwrap_or_default();
        if groups.reciprocal.is_some_and(|r| r != groups.non_bonded) {
            let [near, reciprocal] = NonBonded::parts(&non_bonded, cell)?;
            out.push(("non_bonded", Box::new(near)));
            out.push(("reciprocal", Box::new(reciprocal)));
        } else {
            out.push(("non_bonded", Box::new(NonBonded::new(&non_bonded, cell)?)));
        }
        if !model.pair_styles.tables.is_empty() {
            if self.dispersion_correction == Some(true) {
                let message = "this file has pair interactions whose tails are not known: only those of the common Lennard-Jones interaction are";
                return Err(SpecError::new("dispersion_correction", message).hint("leave it out"));
            }
            let excluded: Vec<[u32; 2]> = model.exceptions.iter().map(|e| e.atoms).collect();
            let cutoff = self.overrides().cutoff.or(model.settings.cutoff);
            let styles = PairStyles::new(&model.types, &model.pair_styles, &excluded, cutoff)?;
            out.push(("pair_styles", Box::new(styles)));
        }
        if let Some(solvent) = self.solvent(model)? {
            if !cell.is_open() {
                let message = "the generalised Born model is one of an open system, and the cell is periodic";
                return Err(SpecError::new("implicit_solvent", message)
                    .hint("write electrostatics = \"no_cutoff\", which opens the cell, or leave `implicit_solvent` out"));
            }
            out.push(("implicit_solvent", Box::new(Obc::new(solvent)?)));
        }
        Ok(out)
    }
}

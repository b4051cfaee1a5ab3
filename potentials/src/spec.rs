//! The list of interactions an input file can name.
use crate::dispersion::D3Spec;
use crate::electrostatics::Coulomb;
use crate::external::{
    Confinement, ConstantForce, DistanceRestraint, ElectricField, FlatBottom, Gravity, HarmonicTrap,
    PositionRestraint, Wall,
};
use crate::many_body::adp::AdpSpec;
use crate::many_body::eam::EamSpec;
use crate::many_body::edip::EdipSpec;
use crate::many_body::meam::MeamSpec;
use crate::many_body::snap::SnapSpec;
use crate::many_body::stillinger_weber::StillingerWeberSpec;
use crate::many_body::tersoff::{TersoffModSpec, TersoffSpec, TersoffZblSpec};
use crate::many_body::uf3::Uf3Spec;
use crate::many_body::vashishta::VashishtaSpec;
use crate::ml::checkpoint::ModelCache;
use crate::ml::chgnet::ChgnetSpec;
use crate::ml::committee::CommitteeSpec;
use crate::ml::mace::MaceSpec;
use crate::ml::nep::NepSpec;
use crate::ml::sevennet::SevenNetSpec;
use crate::ml::tensornet::TensorNetSpec;
use crate::pair::{
    born::Born, buckingham::Buckingham, lennard_jones::LennardJones, mie::Mie, morse::Morse,
    soft_sphere::SoftSphere, tabulated::Tabulated, wca::Wca, yukawa::Yukawa, zbl::Zbl,
};
use caloron_engine::error::nearest;
use caloron_engine::{Potential, SpecError, System, UnitSystem};
use schemars::JsonSchema;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// What a spec is built against.
pub struct BuildContext<'a> {
    /// The atoms: species, charges, groups.
    pub system: &'a System,
    /// Positions at the start, for restraints to where atoms are.
    pub positions: &'a [caloron_engine::Vec3],
    /// Cell at the start.
    pub cell: &'a caloron_engine::Cell,
    /// Unit system of the input.
    pub units: UnitSystem,
    /// Folder that relative file names start from (that of the input file).
    pub directory: &'a Path,
    /// Model files that were read, to be shared with other builds.
    pub models: &'a ModelCache,
    /// Files that were read, for the provenance of the run.
    pub files: Vec<PathBuf>,
}

/// What to do about a file named in the input that is not there: a name like it in its folder, or where names start from.
pub(crate) fn missing(error: &std::io::Error, directory: &Path, file: &Path) -> Option<String> {
    if error.kind() != std::io::ErrorKind::NotFound {
        return None;
    }
    let path = directory.join(file);
    let name = path.file_name()?.to_string_lossy().into_owned();
    let folder = path.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Some(format!("there is no folder `{}`", folder.display()));
    };
    let mut names: Vec<String> =
        entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).take(10_000).collect();
    names.sort();
    Some(match nearest(&name, names.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`, which is in that folder?"),
        None => "names of files are relative to the folder of the input file".to_owned(),
    })
}

impl BuildContext<'_> {
    /// Reads a text file named in the input and notes it; names ending in `.gz` are decompressed.
    ///
    /// # Errors
    /// When it cannot be read; the error is at `key`.
    pub fn read(&mut self, key: &str, file: &Path) -> Result<String, SpecError> {
        let path = self.directory.join(file);
        let text = crate::force_field::read_text(&path).map_err(|e| {
            let error = SpecError::new(key, format!("cannot read `{}`: {e}", path.display()));
            match missing(&e, self.directory, file) {
                Some(hint) => error.hint(hint),
                None => error,
            }
        })?;
        self.files.push(path);
        Ok(text)
    }
}

/// One interaction; the terms of an input file add up.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum PotentialSpec {
    /// Lennard-Jones 12-6 pair potential.
    LennardJones(LennardJones),
    /// Springs that hold atoms where they are.
    PositionRestraint(PositionRestraint),
    /// Springs that act only beyond a distance from a reference.
    FlatBottom(FlatBottom),
    /// A harmonic well around a point.
    HarmonicTrap(HarmonicTrap),
    /// Planar walls.
    Wall(Wall),
    /// A sphere or cylinder that keeps atoms inside.
    Confinement(Confinement),
    /// The same force on every atom.
    ConstantForce(ConstantForce),
    /// A uniform electric field.
    ElectricField(ElectricField),
    /// Uniform gravity.
    Gravity(Gravity),
    /// A spring between two atoms or the centres of two groups.
    DistanceRestraint(DistanceRestraint),
    /// Embedded-atom potential (`.eam`, `.eam.alloy`, `.eam.fs` files).
    Eam(EamSpec),
    /// Angular-dependent potential (`.adp` files).
    Adp(AdpSpec),
    /// Stillinger-Weber potential (`.sw` files).
    StillingerWeber(StillingerWeberSpec),
    /// Tersoff potential (`.tersoff` files).
    Tersoff(TersoffSpec),
    /// Modified Tersoff potential of Kumagai and others (`.tersoff.mod` files).
    TersoffMod(TersoffModSpec),
    /// Tersoff potential with a Ziegler-Biersack-Littmark core (`.tersoff.zbl` files).
    TersoffZbl(TersoffZblSpec),
    /// D3 correction for London dispersion.
    D3(D3Spec),
    /// Coulomb interaction of the charges.
    Coulomb(Coulomb),
    /// Buckingham (exponential-6) pair potential.
    Buckingham(Buckingham),
    /// Born-Mayer-Huggins pair potential.
    Born(Born),
    /// Morse pair potential.
    Morse(Morse),
    /// Mie (n-m) pair potential.
    Mie(Mie),
    /// Soft spheres: an inverse power of the distance.
    SoftSphere(SoftSphere),
    /// Weeks-Chandler-Andersen: purely repulsive Lennard-Jones.
    Wca(Wca),
    /// Yukawa: screened Coulomb pair potential.
    Yukawa(Yukawa),
    /// Ziegler-Biersack-Littmark screened nuclear repulsion.
    Zbl(Zbl),
    /// Pair potential from tables.
    Table(Tabulated),
    /// Vashishta potential (`.vashishta` files).
    Vashishta(VashishtaSpec),
    /// Environment-dependent interatomic potential (`.edip` files).
    Edip(EdipSpec),
    /// Modified embedded-atom method (`library.meam` and `.meam` files).
    Meam(MeamSpec),
    /// Spectral neighbour analysis potential (`.snapcoeff` and `.snapparam` files).
    Snap(SnapSpec),
    /// Ultra-fast force field in B-splines (`.uf3` files).
    Uf3(Uf3Spec),
    /// Neuroevolution potential (`nep.txt` files).
    Nep(NepSpec),
    /// The mean of several potentials and how far they are apart.
    Committee(CommitteeSpec),
    /// CHGNet, a graph neural network for crystals with magnetic moments.
    Chgnet(ChgnetSpec),
    /// MACE potential (`.model` files).
    Mace(MaceSpec),
    /// SevenNet potential (`.pth` files).
    #[serde(rename = "sevennet")]
    SevenNet(SevenNetSpec),
    /// TensorNet potential of TorchMD-Net (`.ckpt` files).
    #[serde(rename = "tensornet")]
    TensorNet(TensorNetSpec),
}

impl PotentialSpec {
    /// True when it acts between atoms by their species and charges, so that it can be restricted to some of them; false
    /// when it names atoms or groups itself.
    pub fn can_be_restricted(&self) -> bool {
        match self {
            Self::LennardJones(_)
            | Self::Buckingham(_)
            | Self::Born(_)
            | Self::Morse(_)
            | Self::Mie(_)
            | Self::SoftSphere(_)
            | Self::Wca(_)
            | Self::Yukawa(_)
            | Self::Zbl(_)
            | Self::Table(_)
            | Self::D3(_)
            | Self::Eam(_)
            | Self::Adp(_)
            | Self::StillingerWeber(_)
            | Self::Tersoff(_)
            | Self::TersoffMod(_)
            | Self::TersoffZbl(_)
            | Self::Vashishta(_)
            | Self::Edip(_)
            | Self::Meam(_)
            | Self::Snap(_)
            | Self::Uf3(_)
            | Self::Nep(_)
            | Self::Committee(_)
            | Self::Chgnet(_)
            | Self::Mace(_)
            | Self::SevenNet(_)
            | Self::TensorNet(_) => true,
            Self::Coulomb(coulomb) => coulomb.names_no_atoms(),
            _ => false,
        }
    }
    /// The interaction for a system.
    ///
    /// # Errors
    /// When a value is out of range, a species has no parameters or a file cannot be read. Keys start with the
    /// name of the potential.
    pub fn build(&self, context: &mut BuildContext<'_>) -> Result<Box<dyn Potential>, SpecError> {
        /// One line for each variant and its key; in the second list those that choose between several types.
        macro_rules! build {
            ([$($variant:ident, $key:literal;)+] [$($several:ident, $name:literal;)*]) => {
                match self {$(
                    Self::$variant(spec) => match spec.build(context) {
                        Ok(potential) => Ok(Box::new(potential)),
                        Err(error) => Err(error.within($key)),
                    },
                )+$(
                    Self::$several(spec) => spec.build(context).map_err(|error| error.within($name)),
                )*}
            };
        }
        build! {[
            LennardJones, "lennard_jones";
            PositionRestraint, "position_restraint";
            FlatBottom, "flat_bottom";
            HarmonicTrap, "harmonic_trap";
            Wall, "wall";
            Confinement, "confinement";
            ConstantForce, "constant_force";
            ElectricField, "electric_field";
            Gravity, "gravity";
            DistanceRestraint, "distance_restraint";
            D3, "d3";
            Eam, "eam";
            Adp, "adp";
            StillingerWeber, "stillinger_weber";
            Tersoff, "tersoff";
            TersoffMod, "tersoff_mod";
            TersoffZbl, "tersoff_zbl";
            Vashishta, "vashishta";
            Edip, "edip";
            Meam, "meam";
            Snap, "snap";
            Uf3, "uf3";
            Nep, "nep";
            Committee, "committee";
            Chgnet, "chgnet";
            Mace, "mace";
            SevenNet, "sevennet";
            TensorNet, "tensornet";
            Buckingham, "buckingham";
            Born, "born";
            Morse, "morse";
            Mie, "mie";
            SoftSphere, "soft_sphere";
            Wca, "wca";
            Yukawa, "yukawa";
            Zbl, "zbl";
            Table, "table";
        ] [
            Coulomb, "coulomb";
        ]}
    }
}

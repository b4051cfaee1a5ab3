//! A molecular force field of a system, whatever format it came from.
use crate::bonded::BondedTerms;
use crate::nonbonded::{Combination, ExceptionPair, LennardJonesTypes};
use crate::pair::PairStylesModel;
use caloron_engine::topology::TopologyParts;
use caloron_engine::{Cell, Vec3, units};

/// 1 kJ/mol in eV.
pub const KJ_PER_MOL: f64 = 1e3 / (units::AVOGADRO * units::ELEMENTARY_CHARGE);
/// 1 kcal/mol in eV.
pub const KCAL_PER_MOL: f64 = 4.184 * KJ_PER_MOL;
/// 1 nm in Å.
pub const NANOMETRE: f64 = 10.0;

/// How a file says that the interaction beyond near pairs is treated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FileMethod {
    /// All pairs, open boundaries.
    NoCutoff,
    /// A plain cutoff.
    Cut,
    /// A cutoff with a reaction field; `periodic` or open.
    ReactionField {
        /// Relative permittivity beyond the cutoff.
        dielectric: f64,
        /// Whether the cell repeats.
        periodic: bool,
    },
    /// Ewald sum.
    Ewald,
    /// Particle-mesh Ewald.
    Pme,
    /// Particle-mesh Ewald of charges and dispersion.
    LjPme,
}

/// What a file says about the treatment of non-bonded pairs; all of it may be absent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FileSettings {
    /// Method.
    pub method: Option<FileMethod>,
    /// Cutoff, Å.
    pub cutoff: Option<f64>,
    /// Start of the switching, Å.
    pub switch: Option<f64>,
    /// Correction for the dispersion beyond the cutoff.
    pub dispersion_correction: Option<bool>,
    /// Error tolerance of lattice sums.
    pub tolerance: Option<f64>,
    /// Splitting parameters of charges and dispersion, 1/Å.
    pub alpha: [Option<f64>; 2],
    /// Grids of charges and dispersion.
    pub grid: [Option<[usize; 3]>; 2],
    /// Coulomb constant that the file's program uses, eV Å, where it is not that of CODATA 2018.
    pub constant: Option<f64>,
    /// True where a splitting parameter and a grid that are not given follow the rules of OpenMM.
    pub openmm_rules: bool,
}

/// Everything a force-field file says about a system, in internal units.
#[derive(Clone, Debug, Default)]
pub struct MolecularModel {
    /// Name of the format.
    pub format: &'static str,
    /// Element symbol of each atom; `None` where the file does not say.
    pub symbols: Vec<Option<String>>,
    /// Masses, u; 0 for virtual sites.
    pub masses: Vec<f64>,
    /// Charges, e.
    pub charges: Vec<f64>,
    /// Names, residues, bonds, angles, constraints, virtual sites.
    pub topology: TopologyParts,
    /// Bonded terms.
    pub bonded: BondedTerms,
    /// Lennard-Jones type of each atom.
    pub types: Vec<u32>,
    /// Numbers of the types.
    pub lennard_jones: LennardJonesTypes,
    /// The rule for pairs of types that no table lists; `None` where the file has none.
    pub rule: Option<Combination>,
    /// Excluded pairs and pairs with their own interaction.
    pub exceptions: Vec<ExceptionPair>,
    /// Interactions of pairs of types beside Lennard-Jones ones.
    pub pair_styles: PairStylesModel,
    /// Treatment of non-bonded pairs.
    pub settings: FileSettings,
    /// Implicit solvent.
    pub solvent: Option<crate::implicit::ObcModel>,
    /// Radii (Å) and screening factors of a generalised Born model, where the file has them.
    pub born: Option<(Vec<f64>, Vec<f64>)>,
    /// Cell, where the file has one.
    pub cell: Option<Cell>,
    /// Positions, where the file has them.
    pub positions: Option<Vec<Vec3>>,
    /// Velocities, where the file has them.
    pub velocities: Option<Vec<Vec3>>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

impl MolecularModel {
    /// Number of atoms, virtual sites included.
    pub fn len(&self) -> usize {
        self.masses.len()
    }
    /// True without atoms.
    pub fn is_empty(&self) -> bool {
        self.masses.is_empty()
    }
}

/// Finds equal items: the place of each in a list of distinct ones, compared by their bits.
#[derive(Clone, Debug, Default)]
pub(crate) struct Distinct {
    places: std::collections::HashMap<Vec<u64>, u32>,
    /// The distinct items in the order of their first appearance.
    pub items: Vec<Vec<f64>>,
}

impl Distinct {
    pub fn place(&mut self, item: &[f64]) -> u32 {
        let bits: Vec<u64> = item.iter().map(|x| (x + 0.0).to_bits()).collect();
        let next = self.items.len() as u32;
        *self.places.entry(bits).or_insert_with(|| {
            self.items.push(item.to_vec());
            next
        })
    }
}

/// Most distinct Lennard-Jones types: their pairs are tabulated.
pub(crate) const MOST_TYPES: usize = 1024;

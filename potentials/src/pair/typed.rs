//! Pair forms between atoms by types of their own, with excluded and scaled pairs: what force-field files list beside the Lennard-Jones
//! interaction of all types.
use super::kernel::Around;
use super::truncation::{self, NUMBERS};
use super::{Pair, PairFunction, Parameters, Truncation, Unlisted};
use super::{born, buckingham, lennard_jones, mie, morse};
use crate::bonded::{Form, Terms};
use crate::electrostatics::{Exclusions, ScaledPair};
use crate::nonbonded::rows::{self, Block, Filling, ROWS, Takes};
use crate::simd::{LANES, Lanes, Level, Portable};
use caloron_engine::neighbors::Site;
use caloron_engine::{
    Extra, ExtraSpec, Input, Outputs, Potential, PotentialError, Properties, Revision, Scope, SpecError, Vec3,
};
use rayon::prelude::*;

/// A functional form; coefficients in the order named, in eV and Å.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TypedForm {
    /// A exp(-r/ρ) - C/r⁶: A, ρ, C.
    Buckingham,
    /// A exp((σ - r)/ρ) - C/r⁶ - D/r⁸: A, ρ, σ, C, D.
    Born,
    /// D [exp(-2α(r - r₀)) - 2 exp(-α(r - r₀))]: D, α, r₀.
    Morse,
    /// C ε [(σ/r)ⁿ - (σ/r)ᵐ]: ε, σ, n, m.
    Mie,
    /// 4 ε [(σ/r)¹² - (σ/r)⁶]: ε, σ.
    LennardJones,
}

/// The interaction of a pair of types.
#[derive(Clone, Debug, PartialEq)]
pub struct TypedPair {
    /// The two types, from 0.
    pub types: [u32; 2],
    /// Coefficients of the form; those beyond its number are not used.
    pub coefficients: [f64; 5],
    /// Cutoff, Å; that of the system where it is absent.
    pub cutoff: Option<f64>,
}

/// Pairs of types with one form.
#[derive(Clone, Debug, PartialEq)]
pub struct TypedPairs {
    /// The form.
    pub form: TypedForm,
    /// How it ends at its cutoffs.
    pub truncation: Truncation,
    /// Pairs of types that have it.
    pub pairs: Vec<TypedPair>,
}

/// All forms of a system.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PairStylesModel {
    /// The forms.
    pub tables: Vec<TypedPairs>,
    /// Pairs of atoms, which must be excluded ones, whose interaction is this factor times that of their types.
    pub scaled: Vec<([u32; 2], f64)>,
}

const NAME: &str = "pair_styles";

static EXTRAS: [ExtraSpec; 1] =
    [ExtraSpec { name: "energy_pair_styles", scope: Scope::System, components: 1, unit: "eV" }];

/// s u(r) of a pair within its cutoff.
struct Scaled<F, const K: usize> {
    function: F,
    truncation: Truncation,
    coefficients: [f64; K],
    numbers: [f64; NUMBERS],
    factor: f64,
}

impl<F: PairFunction<K>, const K: usize> Form<2> for Scaled<F, K> {
    fn evaluate(&self, r: &[Vec3; 2]) -> (f64, [Vec3; 2]) {
        let r2 = r[1].norm_squared();
        if r2 >= self.numbers[0] {
            return (0.0, [Vec3::zeros(); 2]);
        }
        let r2 = Portable::from_array([r2; LANES]);
        let (u, g) = self.function.eval(&self.coefficients.map(Portable::splat), r2);
        let (u, g) = truncation::apply(self.truncation, &self.numbers.map(Portable::splat), r2, u, g);
        let (u, g) = (self.factor * u.to_array()[0], self.factor * g.to_array()[0]);
        (u, [r[1] * -g, r[1] * g])
    }
}

/// One form of the sum.
trait Part: Send {
    fn cutoff(&self) -> f64;
    fn jumps(&self) -> bool;
    fn add(&mut self, around: Around<'_>, input: &Input<'_>, want: Properties, out: &mut Outputs) -> f64;
    fn citations(&self) -> Vec<&'static str>;
}

struct PartOf<F, const K: usize> {
    pair: Pair<F, K>,
    scaled: Terms<Scaled<F, K>, 2>,
}

impl<F: PairFunction<K>, const K: usize> Part for PartOf<F, K> {
    fn cutoff(&self) -> f64 {
        self.pair.table.cutoff
    }
    fn jumps(&self) -> bool {
        self.pair.jumps_at_cutoff()
    }
    fn add(&mut self, around: Around<'_>, input: &Input<'_>, want: Properties, out: &mut Outputs) -> f64 {
        self.pair.add(around, want, out) + self.scaled.add(input, want, out)
    }
    fn citations(&self) -> Vec<&'static str> {
        self.pair.citations()
    }
}

/// The sum of all forms over pairs of atoms within their cutoffs that are not excluded.
pub struct PairStyles {
    types: Vec<u32>,
    cutoff: f64,
    exclusions: Exclusions,
    parts: Vec<Box<dyn Part>>,
    blocks: Vec<Block>,
    sites: Vec<Site>,
    built_for: Option<Revision>,
}

impl PairStyles {
    /// The interaction of atoms of the given types; `excluded` pairs are left out but for those the model scales, `cutoff` is that of
    /// pairs without one of their own.
    ///
    /// # Errors
    /// When a type or atom does not exist, a coefficient is out of range, or there is no cutoff.
    pub fn new(
        types: &[u32],
        model: &PairStylesModel,
        excluded: &[[u32; 2]],
        cutoff: Option<f64>,
    ) -> Result<Self, SpecError> {
        let atoms = types.len();
        let pairs: Vec<ScaledPair> = excluded.iter().map(|[i, j]| ScaledPair::excluded(*i, *j)).collect();
        let exclusions = Exclusions::new(atoms, &pairs).map_err(|e| e.within("exceptions"))?;
        let system = System { types, scaled: &model.scaled, cutoff };
        let parts: Vec<Box<dyn Part>> = model
            .tables
            .iter()
            .map(|table| match table.form {
                TypedForm::Buckingham => {
                    system.part(table, buckingham::Function, |c| [c[0], -1.0 / c[1], c[2]])
                }
                TypedForm::Born => {
                    system.part(table, born::Function, |c| [c[0], 1.0 / c[1], c[2], c[3], c[4]])
                }
                TypedForm::Morse => system.part(table, morse::Function, |c| [c[0], c[1], c[2]]),
                TypedForm::Mie => {
                    system.part(table, mie::Function, |c| mie::coefficients(c[0], c[1], c[2], c[3]))
                }
                TypedForm::LennardJones => {
                    system.part(table, lennard_jones::Function, |c| lennard_jones::coefficients(c[0], c[1]))
                }
            })
            .collect::<Result<_, SpecError>>()?;
        let cutoff = parts.iter().map(|p| p.cutoff()).fold(0.0, f64::max);
        let types = types.to_vec();
        Ok(Self { types, cutoff, exclusions, parts, blocks: vec![], sites: vec![], built_for: None })
    }
    /// Brings sites and rows up to date.
    fn prepare(&mut self, input: &Input<'_>) {
        let list = input.neighbors;
        let real = list.sites().len();
        if self.built_for != list.revision() {
            self.built_for = list.revision();
            let count = list.centers().len();
            let takes: Vec<Takes> = (0..real as u32).map(|s| Takes::new(list.atom(s), true, false)).collect();
            self.blocks.resize_with(count.div_ceil(ROWS), Block::default);
            // the kernel reads types from the sites
            let kinds = vec![0; real + 1];
            let (exclusions, level) = (&self.exclusions, Level::detect());
            let filling = Filling { takes: &takes, kinds: &kinds, exclusions, width: LANES, level };
            self.blocks.par_iter_mut().enumerate().for_each(|(b, block)| {
                let first = b * ROWS;
                rows::from_list(block, first..(first + ROWS).min(count), input, &filling);
            });
        }
        self.sites.clear();
        self.sites.extend_from_slice(list.padded_sites());
        for (k, site) in self.sites.iter_mut().enumerate() {
            site.species = if k < real { f64::from(self.types[list.atom(k as u32)]) } else { 0.0 };
        }
    }
}

/// What the parts of a system share.
struct System<'a> {
    types: &'a [u32],
    scaled: &'a [([u32; 2], f64)],
    cutoff: Option<f64>,
}

impl System<'_> {
    fn part<F: PairFunction<K> + Copy, const K: usize>(
        &self,
        table: &TypedPairs,
        function: F,
        coefficients: impl Fn(&[f64; 5]) -> [f64; K],
    ) -> Result<Box<dyn Part>, SpecError> {
        let most = table.pairs.iter().flat_map(|p| p.types).chain(self.types.iter().copied()).max();
        let count = most.map_or(0, |m| m as usize + 1);
        let mut parameters = Parameters::for_types(F::NAME, count);
        let mut numbers: Vec<Option<([f64; K], [f64; NUMBERS])>> = vec![None; count * count];
        for pair in &table.pairs {
            let [i, j] = pair.types.map(|t| t as usize);
            let c = coefficients(&pair.coefficients);
            let cutoff = pair.cutoff.or(self.cutoff).filter(|c| *c > 0.0 && c.is_finite());
            let Some(cutoff) = cutoff else {
                let message = format!("{} of the types {} and {} has no cutoff", F::NAME, i + 1, j + 1);
                return Err(SpecError::new("cutoff", message).hint("write one, such as cutoff = \"9 Å\""));
            };
            if let Some(x) = c.iter().find(|x| !x.is_finite()) {
                let message =
                    format!("{} of the types {} and {} has a coefficient {x}", F::NAME, i + 1, j + 1);
                return Err(SpecError::new("", message));
            }
            parameters.put(i, j, c, cutoff);
            let of_pair = (c, truncation::numbers(table.truncation, &function, &c, cutoff));
            (numbers[i * count + j], numbers[j * count + i]) = (Some(of_pair), Some(of_pair));
        }
        let table_of_kernel = parameters.build(&function, table.truncation, Unlisted::Ignore)?;
        let terms = self.scaled.iter().filter_map(|(atoms, factor)| {
            let [i, j] = atoms.map(|a| self.types.get(a as usize).map_or(0, |t| *t as usize));
            let (coefficients, numbers) = numbers[i * count + j]?;
            let term =
                Scaled { function, truncation: table.truncation, coefficients, numbers, factor: *factor };
            (*factor != 0.0).then_some((*atoms, term))
        });
        let scaled = Terms::new(self.types.len(), terms)?;
        let pair = Pair::new(function, table_of_kernel, false)?;
        Ok(Box::new(PartOf { pair, scaled }))
    }
}

impl Potential for PairStyles {
    fn name(&self) -> &'static str {
        NAME
    }
    fn cutoff(&self) -> Option<f64> {
        Some(self.cutoff)
    }
    fn provides(&self) -> Properties {
        Properties::all()
    }
    fn extras(&self) -> &'static [ExtraSpec] {
        &EXTRAS
    }
    fn jumps_at_cutoff(&self) -> bool {
        self.parts.iter().any(|p| p.jumps())
    }
    fn compute(
        &mut self,
        input: Input<'_>,
        want: Properties,
        out: &mut Outputs,
    ) -> Result<(), PotentialError> {
        if input.positions.len() != self.types.len() {
            let (own, given) = (self.types.len(), input.positions.len());
            let reason = format!("the force field is that of {own} atoms, not {given}");
            return Err(PotentialError::Geometry { potential: NAME, reason });
        }
        self.prepare(&input);
        let around = Around::rows(input.neighbors, &self.sites, &self.blocks);
        let inner = if want.contains(Properties::EXTRAS) { want | Properties::ENERGY } else { want };
        let energy = self.parts.iter_mut().map(|p| p.add(around, &input, inner, out)).fold(0.0, |s, e| s + e);
        if want.contains(Properties::EXTRAS) {
            out.extras.push(Extra { spec: &EXTRAS[0], values: vec![energy] });
        }
        Ok(())
    }
    fn citations(&self) -> Vec<&'static str> {
        self.parts.iter().flat_map(|p| p.citations()).collect()
    }
    fn describe(&self) -> Vec<String> {
        let text = format!("{} pair forms between types, cutoff {:.4}", self.parts.len(), self.cutoff);
        vec![text]
    }
}

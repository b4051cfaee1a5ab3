//! Parameters of every pair of species, as specs give them and as kernels read them.
use super::PairFunction;
use super::truncation::{self, NUMBERS, Truncation};
use crate::simd::LANES;
use caloron_engine::error::nearest;
use caloron_engine::{SpecError, System};
use schemars::JsonSchema;
use serde::Deserialize;

/// What pairs of species without parameters do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unlisted {
    /// They are an error (the default).
    #[default]
    Error,
    /// They do not interact through this term.
    Ignore,
}

/// Coefficients and cutoffs by pair of species, gathered while a spec is read.
pub struct Parameters<const K: usize> {
    form: &'static str,
    species: Vec<String>,
    listed: Vec<String>,
    pairs: Vec<Option<([f64; K], f64)>>,
}

impl<const K: usize> Parameters<K> {
    /// No parameters yet, for the species of a system.
    pub fn new(form: &'static str, system: &System) -> Self {
        let species: Vec<String> = system.species().iter().map(|s| s.symbol.clone()).collect();
        let pairs = vec![None; species.len() * species.len()];
        Self { form, species, listed: Vec::new(), pairs }
    }
    /// No parameters yet, for types that are known by number.
    pub(super) fn for_types(form: &'static str, types: usize) -> Self {
        let species = (1..=types).map(|t| t.to_string()).collect();
        Self { form, species, listed: Vec::new(), pairs: vec![None; types * types] }
    }
    /// The parameters of listed pairs; `read` gives species, coefficients and cutoff of each.
    ///
    /// # Errors
    /// Those of `read` at the key `pairs[k]`, and when a pair is listed twice.
    pub fn listed<'p, P>(
        form: &'static str,
        system: &System,
        pairs: &'p [P],
        read: impl Fn(&'p P) -> Result<(&'p [String; 2], [f64; K], f64), SpecError>,
    ) -> Result<Self, SpecError> {
        let mut parameters = Self::new(form, system);
        for (k, pair) in pairs.iter().enumerate() {
            read(pair)
                .and_then(|(species, c, cutoff)| parameters.set(species, c, cutoff))
                .map_err(|e| e.within(&format!("pairs[{k}]")))?;
        }
        Ok(parameters)
    }
    /// Index of a species; `None` when the system has none of it (files may list more than a system has).
    pub fn index(&mut self, name: &str) -> Option<usize> {
        if !self.listed.iter().any(|l| l == name) {
            self.listed.push(name.to_owned());
        }
        self.species.iter().position(|s| s == name)
    }
    /// Sets a pair that the input lists.
    ///
    /// # Errors
    /// When it is listed twice.
    pub fn set(&mut self, [a, b]: &[String; 2], c: [f64; K], cutoff: f64) -> Result<(), SpecError> {
        let (Some(i), Some(j)) = (self.index(a), self.index(b)) else { return Ok(()) };
        let n = self.species.len();
        if self.pairs[i * n + j].is_some() {
            return Err(SpecError::new("species", format!("the pair {a}-{b} is listed twice")));
        }
        self.put(i, j, c, cutoff);
        Ok(())
    }
    /// Sets a pair by the indices of its species.
    pub fn put(&mut self, i: usize, j: usize, c: [f64; K], cutoff: f64) {
        let n = self.species.len();
        self.pairs[i * n + j] = Some((c, cutoff));
        self.pairs[j * n + i] = Some((c, cutoff));
    }
    /// True when a pair has parameters.
    pub fn has(&self, i: usize, j: usize) -> bool {
        self.pairs[i * self.species.len() + j].is_some()
    }
    /// The table of kernels.
    ///
    /// # Errors
    /// When a pair of the system has no parameters, or a radius is impossible.
    pub fn build<F: PairFunction<K>>(
        self,
        function: &F,
        kind: Truncation,
        unlisted: Unlisted,
    ) -> Result<PairTable<K>, SpecError> {
        let n = self.species.len();
        for i in 0..n {
            for j in i..n {
                match self.pairs[i * n + j] {
                    None if unlisted == Unlisted::Error => return Err(self.missing(i, j)),
                    Some((_, cutoff)) => kind.check(cutoff)?,
                    None => {}
                }
            }
        }
        let cutoff = self.pairs.iter().flatten().map(|p| p.1).fold(0.0, f64::max);
        if cutoff == 0.0 {
            return Err(SpecError::new(
                "pairs",
                format!("{} acts between no atoms of the system", self.form),
            )
            .hint("check the names of the species"));
        }
        let stride = n.next_multiple_of(LANES);
        let rows = K + NUMBERS;
        let mut values = vec![0.0; n * rows * stride];
        for i in 0..n {
            for j in 0..n {
                let Some((c, cutoff)) = &self.pairs[i * n + j] else { continue };
                let numbers = truncation::numbers(kind, function, c, *cutoff);
                for (k, x) in c.iter().chain(&numbers).enumerate() {
                    values[(i * rows + k) * stride + j] = *x;
                }
            }
        }
        Ok(PairTable { truncation: kind, cutoff, species: n, stride, values, pairs: self.pairs })
    }
    fn missing(&self, i: usize, j: usize) -> SpecError {
        let (a, b) = (&self.species[i], &self.species[j]);
        let unknown = [a, b].into_iter().find(|s| !self.listed.contains(s));
        // a listed name that the system does not have may be a misspelling
        let idle = self.listed.iter().filter(|l| !self.species.contains(l)).map(String::as_str);
        let error = SpecError::new("pairs", format!("{} has no parameters for the pair {a}-{b}", self.form));
        match unknown.map(|u| (u, nearest(u, idle))) {
            Some((u, Some(near))) => error.hint(format!("`{u}` is not listed; did you mean it by `{near}`?")),
            _ => error.hint(format!(
                "add {{ species = [\"{a}\", \"{b}\"], ... }} or set unlisted_pairs = \"ignore\""
            )),
        }
    }
}

/// Parameters of every pair of species, ready for the kernels.
#[derive(Clone, Debug)]
pub struct PairTable<const K: usize> {
    pub(super) truncation: Truncation,
    /// The largest cutoff.
    pub(super) cutoff: f64,
    pub(super) species: usize,
    stride: usize,
    values: Vec<f64>,
    pub(super) pairs: Vec<Option<([f64; K], f64)>>,
}

/// The numbers of a table: for each species of a centre, `rows` rows of `stride` numbers, one for each species of
/// a neighbour.
pub(super) struct Numbers<'a> {
    pub rows: usize,
    pub stride: usize,
    pub values: &'a [f64],
}

impl<const K: usize> PairTable<K> {
    pub(super) fn numbers(&self) -> Numbers<'_> {
        Numbers { rows: K + NUMBERS, stride: self.stride, values: &self.values }
    }
}

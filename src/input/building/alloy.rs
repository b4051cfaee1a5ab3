//! Random alloys, substitutions and vacancies: exact numbers of atoms at places chosen by the seed.
use crate::input::structure::Structure;
use caloron_engine::error::nearest;
use caloron_engine::{SpecError, Stream, Streams, elements};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Atoms that become another species. Which: `atoms` by number, or a `fraction` or `count` of those of the species
/// `replace`, chosen at random; all of them when neither is given.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SubstitutionSpec {
    /// Species of the atoms that are replaced.
    pub replace: Option<String>,
    /// Numbers of the atoms that are replaced, from 0, instead of `replace`.
    pub atoms: Option<Vec<u32>>,
    /// Species they become.
    pub with: String,
    /// Fraction of the atoms of the species, from 0 to 1; the nearest whole number of atoms is replaced.
    pub fraction: Option<f64>,
    /// Number of atoms of the species.
    pub count: Option<u32>,
}

/// Atoms that are taken out: `atoms` by number, or a `fraction` or `count` of all atoms or those of `species`, chosen at
/// random.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VacancySpec {
    /// Species of the atoms that are taken out; default all atoms.
    pub species: Option<String>,
    /// Numbers of the atoms that are taken out, from 0.
    pub atoms: Option<Vec<u32>>,
    /// Fraction of the atoms, from 0 to 1; the nearest whole number of atoms is taken out.
    pub fraction: Option<f64>,
    /// Number of atoms.
    pub count: Option<u32>,
}

/// What changes the atoms on the sites of a structure.
pub(crate) struct Sites<'a> {
    pub alloy: &'a BTreeMap<String, BTreeMap<String, f64>>,
    pub substitutions: &'a [SubstitutionSpec],
    pub vacancies: &'a [VacancySpec],
    pub seed: u64,
}

/// How many atoms are meant.
enum Share {
    All,
    Fraction(f64),
    Count(u32),
}

impl Sites<'_> {
    pub fn is_empty(&self) -> bool {
        self.alloy.is_empty() && self.substitutions.is_empty() && self.vacancies.is_empty()
    }
    /// Alloys, substitutions and vacancies, in this order; errors are relative to `[system]`.
    pub fn apply(&self, structure: &mut Structure, notes: &mut Vec<String>) -> Result<(), SpecError> {
        let mut use_of_seed = 0;
        let mut draw = || {
            use_of_seed += 1;
            Draw { streams: Streams { seed: self.seed }, use_of_seed }
        };
        for (name, shares) in self.alloy {
            let at = format!("alloy.{name}");
            mix(structure, name, shares, &draw(), notes).map_err(|e| e.within(&at))?;
        }
        for (k, s) in self.substitutions.iter().enumerate() {
            let at = format!("substitutions[{k}]");
            let atoms = match (&s.atoms, &s.replace) {
                (Some(atoms), None) => by_number(structure, atoms, s.fraction, s.count),
                (None, Some(species)) => share(s.fraction, s.count).and_then(|share| {
                    choose(structure, Some(("replace", species)), share.unwrap_or(Share::All), &draw())
                }),
                _ => Err(SpecError::new("", "it does not say which atoms are replaced")
                    .hint("give one of `replace = \"SPECIES\"` and `atoms = [...]`")),
            };
            let atoms = atoms.map_err(|e| e.within(&at))?;
            let what = s.replace.as_ref().map_or("atoms".into(), |r| format!("atoms of {r}"));
            notes.push(format!("{} {what} become {}", atoms.len(), s.with));
            structure.rename(&atoms, &s.with).map_err(|e| e.within(&at))?;
        }
        for (k, v) in self.vacancies.iter().enumerate() {
            let at = format!("vacancies[{k}]");
            let atoms = match (&v.atoms, share(v.fraction, v.count)) {
                (Some(atoms), _) if v.species.is_none() => by_number(structure, atoms, v.fraction, v.count),
                (Some(_), _) => Err(SpecError::new("species", "`atoms` and `species` are both given")
                    .hint("keep one of them")),
                (None, Ok(Some(share))) => {
                    let of = v.species.as_deref().map(|s| ("species", s));
                    choose(structure, of, share, &draw())
                }
                (None, Ok(None)) => Err(SpecError::new("", "it does not say how many atoms are taken out")
                    .hint("give one of `fraction`, `count` and `atoms`")),
                (None, Err(e)) => Err(e),
            };
            let atoms = atoms.map_err(|e| e.within(&at))?;
            if atoms.len() == structure.len() {
                return Err(SpecError::new(at, "no atom is left").hint("take out fewer atoms"));
            }
            let what = v.species.as_ref().map_or("atoms".into(), |r| format!("atoms of {r}"));
            notes.push(format!("{} {what} are taken out", atoms.len()));
            structure.remove(&atoms);
        }
        Ok(())
    }
}

/// One use of the seed.
pub(crate) struct Draw {
    pub streams: Streams,
    pub use_of_seed: u64,
}

impl Draw {
    /// `count` of the items, in random order (Fisher and Yates).
    pub fn of(&self, mut items: Vec<u32>, count: usize) -> Vec<u32> {
        let mut random = self.streams.sequence(Stream::Building, self.use_of_seed, 0);
        for k in 0..count {
            let rest = items.len() - k;
            let other = k + ((random.uniform() * rest as f64) as usize).min(rest - 1);
            items.swap(k, other);
        }
        items.truncate(count);
        items
    }
}

fn share(fraction: Option<f64>, count: Option<u32>) -> Result<Option<Share>, SpecError> {
    match (fraction, count) {
        (Some(f), None) if (0.0..=1.0).contains(&f) => Ok(Some(Share::Fraction(f))),
        (Some(f), None) => {
            Err(SpecError::new("fraction", format!("the fraction {f} is not between 0 and 1"))
                .hint("write 0.05 for 5 %"))
        }
        (None, Some(n)) => Ok(Some(Share::Count(n))),
        (None, None) => Ok(None),
        (Some(_), Some(_)) => {
            Err(SpecError::new("count", "`fraction` and `count` are both given").hint("keep one of them"))
        }
    }
}

/// Atoms of a species (all without one), as many as the share says, ascending.
fn choose(
    structure: &Structure,
    of: Option<(&str, &str)>,
    share: Share,
    draw: &Draw,
) -> Result<Vec<u32>, SpecError> {
    let atoms = match of {
        Some((key, species)) => of_species(structure, species).map_err(|e| e.within(key))?,
        None => (0..structure.len() as u32).collect(),
    };
    let n = match share {
        Share::All => return Ok(atoms),
        Share::Fraction(f) => (f * atoms.len() as f64).round() as usize,
        Share::Count(n) => n as usize,
    };
    if n > atoms.len() {
        return Err(SpecError::new("count", format!("there are only {} such atoms, not {n}", atoms.len()))
            .hint("choose a smaller number, or repeat the structure"));
    }
    let mut chosen = draw.of(atoms, n);
    chosen.sort_unstable();
    Ok(chosen)
}

fn by_number(
    structure: &Structure,
    atoms: &[u32],
    fraction: Option<f64>,
    count: Option<u32>,
) -> Result<Vec<u32>, SpecError> {
    if fraction.is_some() || count.is_some() {
        return Err(SpecError::new(
            "atoms",
            "`atoms` names the atoms; `fraction` and `count` choose them at random",
        )
        .hint("keep one of them"));
    }
    let n = structure.len();
    for (k, &a) in atoms.iter().enumerate() {
        if a as usize >= n {
            return Err(SpecError::new(format!("atoms[{k}]"), format!("there is no atom {a}"))
                .hint(format!("atoms are counted from 0 to {}", n.saturating_sub(1))));
        }
        if atoms[..k].contains(&a) {
            return Err(SpecError::new(format!("atoms[{k}]"), format!("atom {a} is named twice"))
                .hint("name each atom once"));
        }
    }
    let mut atoms = atoms.to_vec();
    atoms.sort_unstable();
    Ok(atoms)
}

/// The atoms of a species; the error is at the key itself.
fn of_species(structure: &Structure, species: &str) -> Result<Vec<u32>, SpecError> {
    let atoms: Vec<u32> =
        (0..structure.len() as u32).filter(|&i| structure.symbols[i as usize] == species).collect();
    if !atoms.is_empty() {
        return Ok(atoms);
    }
    let mut known: Vec<&str> = structure.symbols.iter().map(String::as_str).collect();
    known.sort_unstable();
    known.dedup();
    let hint = match nearest(species, known.iter().copied()) {
        Some(n) => format!("did you mean `{n}`?"),
        None => format!("the species of this structure are {}", known.join(", ")),
    };
    Err(SpecError::new("", format!("no atom has the species `{species}`")).hint(hint))
}

/// Distributes species over the sites of `name`.
fn mix(
    structure: &mut Structure,
    name: &str,
    shares: &BTreeMap<String, f64>,
    draw: &Draw,
    notes: &mut Vec<String>,
) -> Result<(), SpecError> {
    let sites = of_species(structure, name)?;
    let counts = counts(sites.len(), shares)?;
    let mut order = draw.of(sites.clone(), sites.len()).into_iter();
    let list: Vec<String> = counts.iter().map(|(s, n)| format!("{n} {s}")).collect();
    notes.push(format!("the {} sites of {name} hold {}", sites.len(), list.join(", ")));
    for (species, n) in counts {
        let mut atoms: Vec<u32> = order.by_ref().take(n).collect();
        atoms.sort_unstable();
        structure.rename(&atoms, &species)?;
    }
    Ok(())
}

/// Whole numbers of atoms: those given when they add up to the sites; fractions that add up to 1 are rounded down and the
/// largest remainders get the atoms that are left.
fn counts(sites: usize, shares: &BTreeMap<String, f64>) -> Result<Vec<(String, usize)>, SpecError> {
    if let Some((s, x)) = shares.iter().find(|(_, x)| !(**x >= 0.0 && x.is_finite())) {
        return Err(SpecError::new(s, format!("the share {x} is negative"))
            .hint("write fractions or numbers of atoms"));
    }
    let sum: f64 = shares.values().sum();
    let whole = shares.values().all(|x| x.fract() == 0.0);
    if whole && sum == sites as f64 {
        return Ok(shares.iter().map(|(s, x)| (s.clone(), *x as usize)).collect());
    }
    if (sum - 1.0).abs() > 1e-6 {
        let message = format!("the shares add up to {sum}, neither to 1 nor to the {sites} sites");
        return Err(SpecError::new("", message)
            .hint("write fractions such as { Fe = 0.7, Cr = 0.3 }, or the number of atoms of each species"));
    }
    let exact = |x: f64| x / sum * sites as f64;
    // a fraction that is whole up to rounding is whole
    let floor = |x: f64| (exact(x) + 1e-9).floor() as usize;
    let mut out: Vec<(String, usize)> = shares.iter().map(|(s, x)| (s.clone(), floor(*x))).collect();
    let left = sites.saturating_sub(out.iter().map(|x| x.1).sum());
    let mut order: Vec<usize> = (0..out.len()).collect();
    let remainder: Vec<f64> = shares.values().map(|x| exact(*x) - floor(*x) as f64).collect();
    order.sort_by(|a, b| remainder[*b].total_cmp(&remainder[*a]));
    order.into_iter().cycle().take(left).for_each(|k| out[k].1 += 1);
    Ok(out)
}

impl Structure {
    /// Gives atoms another species. Masses and charges that came with the structure become those of atoms that have the
    /// species already, or the standard mass.
    fn rename(&mut self, atoms: &[u32], species: &str) -> Result<(), SpecError> {
        if species.trim().is_empty() {
            return Err(
                SpecError::new("with", "the species has no name").hint("write a symbol such as \"Ni\"")
            );
        }
        let same = self.symbols.iter().position(|s| s == species);
        let mass = same.and_then(|i| self.masses.as_ref().map(|m| m[i])).or_else(|| elements::mass(species));
        let charge = same.and_then(|i| self.charges.as_ref().map(|q| q[i]));
        if self.charges.as_ref().is_some_and(|q| q.iter().any(|q| *q != 0.0)) && charge.is_none() {
            return Err(SpecError::new("", format!("the structure has charges, but none for `{species}`"))
                .hint("take a file without charges and give them by species in `charges`"));
        }
        if self.masses.is_some() && mass.is_none() {
            return Err(SpecError::new("", format!("the structure has masses, but none for `{species}`"))
                .hint("take a file without masses and give them by species in `masses`"));
        }
        self.forget_names();
        for &a in atoms {
            let a = a as usize;
            self.symbols[a] = species.to_owned();
            if let (Some(m), Some(mass)) = (&mut self.masses, mass) {
                m[a] = mass;
            }
            if let (Some(q), Some(charge)) = (&mut self.charges, charge) {
                q[a] = charge;
            }
        }
        Ok(())
    }
    /// Takes atoms out; the numbers ascend.
    pub(crate) fn remove(&mut self, atoms: &[u32]) {
        fn without<T: Clone>(items: &mut Vec<T>, atoms: &[u32]) {
            let mut k = 0u32;
            items.retain(|_| {
                k += 1;
                atoms.binary_search(&(k - 1)).is_err()
            });
        }
        self.forget_names();
        without(&mut self.symbols, atoms);
        without(&mut self.positions, atoms);
        for column in [&mut self.masses, &mut self.charges].into_iter().flatten() {
            without(column, atoms);
        }
        if let Some(v) = &mut self.velocities {
            without(v, atoms);
        }
        if let Some(v) = &mut self.free {
            without(v, atoms);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use caloron_engine::{Cell, Vec3};

    fn sites(n: usize) -> Structure {
        let mut s = Structure::empty(Cell::orthorhombic(n as f64, 1.0, 1.0).unwrap());
        (0..n).for_each(|k| s.push("M", Vec3::x() * k as f64));
        s
    }

    fn shares(list: &[(&str, f64)]) -> BTreeMap<String, f64> {
        list.iter().map(|(s, x)| ((*s).to_owned(), *x)).collect()
    }

    fn count(s: &Structure, species: &str) -> usize {
        s.symbols.iter().filter(|x| *x == species).count()
    }

    fn apply(s: &mut Structure, text: &str, seed: u64) -> Result<(), SpecError> {
        #[derive(Deserialize)]
        struct All {
            #[serde(default)]
            alloy: BTreeMap<String, BTreeMap<String, f64>>,
            #[serde(default)]
            substitutions: Vec<SubstitutionSpec>,
            #[serde(default)]
            vacancies: Vec<VacancySpec>,
        }
        let all: All = toml::from_str(text).unwrap();
        let sites =
            Sites { alloy: &all.alloy, substitutions: &all.substitutions, vacancies: &all.vacancies, seed };
        sites.apply(s, &mut vec![])
    }

    #[test]
    fn shares_become_exact_numbers() {
        let thirds = shares(&[("A", 1.0 / 3.0), ("B", 1.0 / 3.0), ("C", 1.0 / 3.0)]);
        for n in [1, 2, 10, 999, 1000, 1001] {
            let c = counts(n, &thirds).unwrap();
            assert_eq!(c.iter().map(|x| x.1).sum::<usize>(), n);
            assert!(c.iter().all(|x| x.1.abs_diff(n / 3) <= 1), "{c:?}");
        }
        assert_eq!(counts(500, &shares(&[("A", 0.3), ("B", 0.7)])).unwrap()[0].1, 150);
        assert_eq!(counts(10, &shares(&[("A", 4.0), ("B", 6.0)])).unwrap()[1].1, 6);
        assert!(counts(10, &shares(&[("A", 0.4), ("B", 0.5)])).unwrap_err().message.contains("0.9"));
    }

    #[test]
    fn an_alloy_is_exact_random_and_repeatable() {
        let make = |seed| {
            let mut s = sites(1000);
            apply(&mut s, "alloy = { M = { Fe = 0.7, Cr = 0.2, Ni = 0.1 } }", seed).unwrap();
            s.symbols
        };
        let a = make(1);
        let n = |s: &str| a.iter().filter(|x| *x == s).count();
        assert_eq!([n("Fe"), n("Cr"), n("Ni")], [700, 200, 100]);
        assert_eq!(a, make(1));
        assert_ne!(a, make(2));
        // neighbours are uncorrelated: the share of like pairs is 0.49 + 0.04 + 0.01 within five standard errors
        let like = a.windows(2).filter(|w| w[0] == w[1]).count() as f64 / 999.0;
        assert!((like - 0.54).abs() < 0.08, "{like}");
    }

    #[test]
    fn substitutions_and_vacancies_count() {
        let mut s = sites(100);
        let text = "substitutions = [{ replace = 'M', with = 'A', fraction = 0.25 }, { atoms = [0], with = 'B' }]\n\
                    vacancies = [{ species = 'M', count = 10 }, { fraction = 0.1 }]";
        apply(&mut s, text, 3).unwrap();
        assert_eq!((s.len(), s.positions.len()), (81, 81));
        assert!(count(&s, "A") <= 25 && count(&s, "M") <= 65);
        let error = |text: &str| apply(&mut sites(5), text, 1).unwrap_err();
        assert_eq!(error("vacancies = [{ count = 9 }]").key, "vacancies[0].count");
        assert_eq!(error("vacancies = [{ count = 5 }]").key, "vacancies[0]");
        assert_eq!(error("vacancies = [{ fraction = 1.5 }]").key, "vacancies[0].fraction");
        assert_eq!(error("vacancies = [{ atoms = [1, 1] }]").key, "vacancies[0].atoms[1]");
        assert_eq!(error("substitutions = [{ replace = 'N', with = 'A' }]").key, "substitutions[0].replace");
        assert_eq!(error("alloy = { Q = { A = 1.0 } }").key, "alloy.Q");
    }
}

//! The domain of learned potentials: how close atoms may come, and whether they are closer.
//!
//! A fitted model says nothing about distances that its training data do not hold, least of all about short ones. Two atoms
//! of species a and b are too close when their distance is below
//!
//! - the shortest a-b distance of the training data, where the model file states it,
//! - else φ (r_a + r_b) with covalent radii r and φ = 0.6. Bonds lie between 0.77 (N₂, 1.10 Å of 1.42 Å) and 1.1 of the sum; at
//!   thousands of kelvin or hundreds of gigapascal they reach 0.65, below which few data sets have anything.
use crate::neighbors::Search;
use crate::{Cell, NeighborList, System, Vec3, elements, parallel};
use std::collections::BTreeMap;
use std::fmt;

/// Fraction of the sum of covalent radii that stands for the shortest distance of unknown training data.
pub const FRACTION: f64 = 0.6;

/// Skin of the list of close pairs, Å: it is short, so that a wide skin costs little and lasts long.
const SKIN: f64 = 0.5;

/// What a learned potential knows of the geometries it was fitted to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Domain {
    /// Shortest distance in the training data, Å, for pairs of symbols in alphabetical order.
    shortest: BTreeMap<[String; 2], f64>,
    /// Atoms it acts between; `None` for all.
    atoms: Option<Vec<bool>>,
}

impl Domain {
    /// Notes the shortest distance, Å, of two species in the training data; of several the largest counts, because
    /// below it one model of a committee has seen nothing.
    pub fn set_shortest(&mut self, a: &str, b: &str, distance: f64) {
        let d = self.shortest.entry(key(a, b)).or_insert(distance);
        *d = d.max(distance);
    }
    /// Shortest distance, Å, of two species in the training data, where it is known.
    pub fn shortest(&self, a: &str, b: &str) -> Option<f64> {
        self.shortest.get(&key(a, b)).copied()
    }
    /// The same model between some of the atoms.
    #[must_use]
    pub fn restricted(mut self, atoms: usize, indices: &[u32]) -> Self {
        let mut chosen = vec![false; atoms];
        indices.iter().for_each(|&i| chosen[i as usize] = true);
        self.atoms = Some(chosen);
        self
    }
    /// The domain of a model that needs both.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        for ([a, b], d) in &other.shortest {
            self.set_shortest(a, b, *d);
        }
        self
    }
}

fn key(a: &str, b: &str) -> [String; 2] {
    let (a, b) = if a <= b { (a, b) } else { (b, a) };
    [a.to_owned(), b.to_owned()]
}

/// Where a limit comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Origin {
    /// The training data, as the model file states.
    Training,
    /// This fraction of the sum of covalent radii.
    Radii(f64),
}

/// Two atoms closer than the model has seen.
#[derive(Clone, Debug, PartialEq)]
pub struct TooClose {
    /// Atom indices, from 0; equal for an atom and its own image.
    pub atoms: [usize; 2],
    /// Their symbols.
    pub species: [String; 2],
    /// True when the second is a periodic image.
    pub image: bool,
    /// Distance, Å.
    pub distance: f64,
    /// What it should not be below, Å.
    pub limit: f64,
    /// Where that comes from.
    pub origin: Origin,
}

impl fmt::Display for TooClose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ([i, j], [a, b]) = (self.atoms, &self.species);
        let image = if self.image { ", a periodic image," } else { "" };
        let (d, limit) = (self.distance, self.limit);
        write!(f, "atoms {i} ({a}) and {j} ({b}){image} are {d:.3} Å apart; ")?;
        match self.origin {
            Origin::Training => write!(f, "the training data have no {a}-{b} pair below {limit:.3} Å"),
            Origin::Radii(x) => write!(f, "{limit:.3} Å is {x} of the sum of their covalent radii"),
        }
    }
}

/// Limits for the pairs of species of one model.
struct Limits {
    /// Limit, Å, and its origin, row after row; 0 where there is none.
    pairs: Vec<(f64, Origin)>,
    atoms: Option<Vec<bool>>,
}

/// Finds pairs that are too close, with a short neighbour list of its own.
pub struct Distances {
    models: Vec<Limits>,
    species: usize,
    list: NeighborList,
}

impl Distances {
    /// For the domains of all learned potentials of a system; `None` when there is nothing to compare with. `fraction` is that of
    /// the sum of covalent radii.
    pub fn new<'a>(
        system: &System,
        domains: impl Iterator<Item = &'a Domain>,
        fraction: f64,
    ) -> Option<Self> {
        let species = system.species();
        let radius = |s: usize| species[s].number.and_then(elements::covalent_radius);
        let limit = |domain: &Domain, a: usize, b: usize| {
            if let Some(d) = domain.shortest(&species[a].symbol, &species[b].symbol) {
                return (d, Origin::Training);
            }
            let sum = radius(a).zip(radius(b)).map_or(0.0, |(a, b)| a + b);
            (fraction * sum, Origin::Radii(fraction))
        };
        let n = species.len();
        let models: Vec<Limits> = domains
            .map(|d| Limits {
                pairs: (0..n * n).map(|p| limit(d, p / n, p % n)).collect(),
                atoms: d.atoms.clone(),
            })
            .collect();
        let reach = models.iter().flat_map(|m| &m.pairs).map(|p| p.0).fold(0.0, f64::max);
        (reach > 0.0).then(|| Self { models, species: n, list: NeighborList::new(reach, SKIN, Search::Auto) })
    }
    /// The pair that is farthest below its limit, by ratio.
    pub fn worst(&mut self, system: &System, positions: &[Vec3], cell: &Cell) -> Option<TooClose> {
        self.list.update(system, positions, cell);
        let list = &self.list;
        let best = |k: usize| {
            let none = (f64::NEG_INFINITY, 0, 0);
            self.models.iter().enumerate().fold(none, |best, (m, model)| {
                let (ratio, site) = model.worst_of_row(list, system, self.species, k);
                if ratio > best.0 { (ratio, site, m) } else { best }
            })
        };
        let (k, ratio) = parallel::largest(list.centers().len(), |k| best(k).0)?;
        if ratio <= 1.0 {
            return None;
        }
        let (_, site, m) = best(k);
        let center = list.centers()[k];
        let atoms = [list.atom(center), list.atom(site)];
        let types = atoms.map(|i| usize::from(system.types()[i]));
        let (limit, origin) = self.models[m].pairs[types[0] * self.species + types[1]];
        let distance = distance_squared(list, center, site).sqrt();
        let image = list.shift(site) != list.shift(center);
        let species = atoms.map(|i| system.symbol(i).to_owned());
        let mut found = TooClose { atoms, species, image, distance, limit, origin };
        if atoms[0] > atoms[1] {
            found.atoms.swap(0, 1);
            found.species.swap(0, 1);
        }
        Some(found)
    }
}

fn distance_squared(list: &NeighborList, a: u32, b: u32) -> f64 {
    let sites = list.sites();
    let (a, b) = (&sites[a as usize].position, &sites[b as usize].position);
    (0..3).map(|c| (a[c] - b[c]) * (a[c] - b[c])).sum()
}

impl Limits {
    /// The largest (limit/distance)² of a row, and the site.
    fn worst_of_row(&self, list: &NeighborList, system: &System, species: usize, k: usize) -> (f64, u32) {
        let center = list.centers()[k];
        let i = list.atom(center);
        let (types, topology) = (system.types(), system.topology());
        let outside = |j: usize| topology.is_site(j) || self.atoms.as_ref().is_some_and(|a| !a[j]);
        let mut worst = (f64::NEG_INFINITY, 0);
        if outside(i) {
            return worst;
        }
        let limits = &self.pairs[usize::from(types[i]) * species..][..species];
        for &site in list.row(k) {
            let j = list.atom(site);
            let limit = limits[usize::from(types[j])].0;
            let ratio = limit * limit / distance_squared(list, center, site);
            if ratio > worst.0 && !outside(j) {
                worst = (ratio, site);
            }
        }
        worst
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Species;

    fn oxide() -> (System, Vec<Vec3>, Cell) {
        let one = |symbol: &str| Species {
            symbol: symbol.into(),
            number: elements::atomic_number(symbol),
            mass: 1.0,
        };
        let system = System::new(vec![one("Mg"), one("O")], vec![0, 1, 1]);
        let at = |x: f64| Vec3::new(x, 2.0, 2.0);
        (system, vec![at(0.4), at(2.5), at(6.8)], Cell::orthorhombic(8.0, 8.0, 8.0).unwrap())
    }

    #[test]
    fn covalent_radii_stand_in_for_training_data() {
        let (system, mut positions, cell) = oxide();
        let any = Domain::default();
        let mut distances = Distances::new(&system, [&any].into_iter(), FRACTION).unwrap();
        // 1.6 Å through the boundary; 0.6 (1.25 + 0.63) Å is the limit
        assert_eq!(distances.worst(&system, &positions, &cell), None);
        positions[2].x = 7.5;
        let found = distances.worst(&system, &positions, &cell).unwrap();
        assert_eq!((found.atoms, found.image), ([0, 2], true));
        assert!((found.distance - 0.9).abs() < 1e-12 && (found.limit - 1.128).abs() < 1e-12);
        let text = found.to_string();
        assert!(
            text.contains("atoms 0 (Mg) and 2 (O), a periodic image, are 0.900 Å apart")
                && text.contains("1.128 Å is 0.6 of the sum of their covalent radii"),
            "{text}"
        );
    }

    #[test]
    fn what_the_model_states_counts_and_of_two_models_the_narrower() {
        let (system, positions, cell) = oxide();
        let mut a = Domain::default();
        a.set_shortest("O", "Mg", 1.5);
        let mut b = Domain::default();
        b.set_shortest("Mg", "O", 1.7);
        let both = a.clone().and(&b);
        assert_eq!(both.shortest("O", "Mg"), Some(1.7));
        let worst = |d: &Domain| {
            let mut distances = Distances::new(&system, [d].into_iter(), FRACTION).unwrap();
            distances.worst(&system, &positions, &cell)
        };
        assert_eq!(worst(&a), None);
        let found = worst(&both).unwrap();
        assert_eq!((found.origin, found.limit), (Origin::Training, 1.7));
        assert!(found.to_string().contains("no Mg-O pair below 1.700 Å"), "{found}");
        // between the first two atoms alone
        assert_eq!(worst(&both.restricted(3, &[0, 1])), None);
    }

    #[test]
    fn an_atom_can_be_too_close_to_its_own_image() {
        let (system, ..) = oxide();
        let system = system.subset(&[0]);
        let cell = Cell::orthorhombic(8.0, 1.4, 8.0).unwrap();
        let any = Domain::default();
        let mut distances = Distances::new(&system, [&any].into_iter(), FRACTION).unwrap();
        let found = distances.worst(&system, &[Vec3::zeros()], &cell).unwrap();
        assert!(found.atoms == [0, 0] && found.image && (found.distance - 1.4).abs() < 1e-12);
    }

    #[test]
    fn species_without_a_radius_have_no_limit() {
        let bead = Species { symbol: "B1".into(), number: None, mass: 1.0 };
        let system = System::new(vec![bead], vec![0; 2]);
        assert!(Distances::new(&system, [&Domain::default()].into_iter(), FRACTION).is_none());
    }
}

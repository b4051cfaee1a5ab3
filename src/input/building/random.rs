//! Atoms at random places of a box, no two closer than a given distance.
use crate::input::checks::{check_count, positive};
use crate::input::structure::Structure;
use caloron_engine::quantity::{Density, Length, NumberDensity};
use caloron_engine::{Cell, Quantity, SpecError, Stream, Streams, Vec3};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};

/// A gas or fluid: atoms placed one after the other at random places that keep the minimum distance. Give one
/// of `density`, `mass_density` and `lengths`. The result is no equilibrium state: minimise it first.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandomSpec {
    /// Number of atoms of each species.
    pub atoms: BTreeMap<String, u32>,
    /// Number of atoms per volume, from which the edge of a cubic box follows.
    pub density: Option<Quantity<NumberDensity>>,
    /// Mass per volume, from which the edge of a cubic box follows.
    pub mass_density: Option<Quantity<Density>>,
    /// Edges of the box.
    pub lengths: Option<[Quantity<Length>; 3]>,
    /// Smallest distance between two atoms; 0 places them independently, as an ideal gas.
    pub min_distance: Quantity<Length>,
    /// Seed of the placement; default the seed of the run.
    pub seed: Option<u64>,
}

/// Attempts for one atom before the box counts as full.
const ATTEMPTS: usize = 20_000;

impl RandomSpec {
    /// The atoms and the cell; `mass_of` gives the mass of a species.
    ///
    /// # Errors
    /// When the box is over- or under-determined or too full.
    pub(crate) fn build(
        &self,
        seed: u64,
        mass_of: impl Fn(&str) -> Result<f64, SpecError>,
    ) -> Result<Structure, SpecError> {
        let count: u64 = self.atoms.values().map(|&n| u64::from(n)).sum();
        check_count("atoms", count)?;
        if count == 0 {
            return Err(SpecError::new("atoms", "there are no atoms to place").hint("write { Ar = 500 }"));
        }
        let edges = self.edges(count as f64, mass_of)?;
        let distance = self.min_distance.internal();
        if !(distance >= 0.0 && distance.is_finite()) {
            return Err(SpecError::new("min_distance", "`min_distance` must not be negative")
                .hint("write 0 to place the atoms independently"));
        }
        let [a, b, c] = edges;
        let cell = Cell::orthorhombic(a, b, c).map_err(|e| SpecError::new("", e.to_string()))?;
        let mut grid = Grid::new(edges, distance);
        let mut random = Streams { seed: self.seed.unwrap_or(seed) }.sequence(Stream::Rattle, 0, 1);
        let mut out = Structure::empty(cell);
        for (species, &n) in &self.atoms {
            for _ in 0..n {
                let place = (0..ATTEMPTS)
                    .map(|_| Vec3::new(a * random.uniform(), b * random.uniform(), c * random.uniform()))
                    .find(|r| grid.is_free(r));
                let Some(place) = place else {
                    return Err(SpecError::new(
                        "min_distance",
                        format!(
                            "only {} of {count} atoms fit at random with this distance between them",
                            out.len()
                        ),
                    )
                    .hint("choose a smaller `min_distance` or density, or start from a `lattice`"));
                };
                grid.insert(place);
                out.push(species, place);
            }
        }
        Ok(out)
    }
    fn edges(
        &self,
        count: f64,
        mass_of: impl Fn(&str) -> Result<f64, SpecError>,
    ) -> Result<[f64; 3], SpecError> {
        match (self.density, self.mass_density, self.lengths) {
            (Some(n), None, None) => Ok([(count / positive("density", n.internal())?).cbrt(); 3]),
            (None, Some(rho), None) => {
                let rho = positive("mass_density", rho.internal())?;
                let mut mass = 0.0;
                for (species, &n) in &self.atoms {
                    mass += mass_of(species)? * f64::from(n);
                }
                Ok([(mass / rho).cbrt(); 3])
            }
            (None, None, Some(l)) => {
                let l = l.map(Quantity::internal);
                l.iter()
                    .enumerate()
                    .try_for_each(|(k, x)| positive(&format!("lengths[{k}]"), *x).map(|_| ()))?;
                Ok(l)
            }
            (None, None, None) => Err(SpecError::new("", "the size of the box is missing")
                .hint("add one of `density`, `mass_density` and `lengths`")),
            _ => Err(SpecError::new("", "the size of the box is given more than once")
                .hint("keep one of `density`, `mass_density` and `lengths`")),
        }
    }
}

/// Atoms by cubes at least as wide as the distance, with periodic boundaries.
struct Grid {
    edges: [f64; 3],
    distance: f64,
    bins: [i64; 3],
    atoms: HashMap<[i64; 3], Vec<Vec3>>,
}

impl Grid {
    fn new(edges: [f64; 3], distance: f64) -> Self {
        let bins = edges.map(|l| ((l / distance.max(1e-3 * l)).floor() as i64).max(1));
        Self { edges, distance, bins, atoms: HashMap::new() }
    }
    fn bin(&self, r: &Vec3) -> [i64; 3] {
        std::array::from_fn(|k| ((r[k] / self.edges[k] * self.bins[k] as f64) as i64).min(self.bins[k] - 1))
    }
    fn insert(&mut self, r: Vec3) {
        self.atoms.entry(self.bin(&r)).or_default().push(r);
    }
    fn is_free(&self, r: &Vec3) -> bool {
        if self.distance == 0.0 {
            return true;
        }
        let at = self.bin(r);
        // with fewer than three bins in a direction, neighbours on both sides are the same bin
        let reach: [i64; 3] = std::array::from_fn(|k| i64::from(self.bins[k] > 1));
        for x in -reach[0]..=reach[0] {
            for y in -reach[1]..=reach[1] {
                for z in -reach[2]..=reach[2] {
                    let d = [x, y, z];
                    let bin: [i64; 3] = std::array::from_fn(|k| (at[k] + d[k]).rem_euclid(self.bins[k]));
                    let close = |s: &Vec3| {
                        let mut v = s - r;
                        for k in 0..3 {
                            v[k] -= self.edges[k] * (v[k] / self.edges[k]).round();
                        }
                        v.norm_squared() < self.distance * self.distance
                    };
                    if self.atoms.get(&bin).is_some_and(|atoms| atoms.iter().any(close)) {
                        return false;
                    }
                }
            }
        }
        // an atom is also its own neighbour across the boundary
        self.edges.iter().all(|l| *l >= self.distance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(text: &str) -> RandomSpec {
        caloron_engine::quantity::reading_in(caloron_engine::UnitSystem::Lj, || toml::from_str(text).unwrap())
    }

    #[test]
    fn the_distance_is_kept_across_boundaries() {
        let s = spec("atoms = { A = 150, B = 50 }\ndensity = 0.5\nmin_distance = 0.9");
        let out = s.build(3, |_| Ok(1.0)).unwrap();
        assert_eq!(out.len(), 200);
        assert!((out.len() as f64 / out.cell.volume() - 0.5).abs() < 1e-12);
        for i in 0..200 {
            for j in 0..i {
                let d = out.cell.shortest(&out.positions[i], &out.positions[j]).norm();
                assert!(d >= 0.9, "{i} {j} {d}");
            }
        }
        let other = s.build(4, |_| Ok(1.0)).unwrap();
        assert_ne!(out.positions, other.positions);
    }

    #[test]
    fn a_full_box_is_refused() {
        let s = spec("atoms = { A = 100 }\ndensity = 1.5\nmin_distance = 1.0");
        assert_eq!(s.build(3, |_| Ok(1.0)).unwrap_err().key, "min_distance");
    }
}

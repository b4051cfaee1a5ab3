//! Crystals by name: the sites of a conventional cell, repeated.
use crate::input::checks::positive;
use crate::input::structure::Structure;
use caloron_engine::quantity::{Length, NumberDensity};
use caloron_engine::{Cell, Mat3, Quantity, SpecError, Vec3};
use schemars::JsonSchema;
use serde::Deserialize;

/// A crystal. Lattice vectors are those of the conventional cell: the cube, or for hexagonal crystals a along x
/// and b at 120 degrees to it in the xy plane.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum LatticeSpec {
    /// Face-centred cubic: 4 atoms per cell.
    Fcc(CubicSpec),
    /// Body-centred cubic: 2 atoms per cell.
    Bcc(CubicSpec),
    /// Simple cubic: 1 atom per cell.
    Sc(CubicSpec),
    /// Diamond: 8 atoms per cell.
    Diamond(CubicSpec),
    /// Hexagonal close-packed: 2 atoms per cell.
    Hcp(HexagonalSpec),
    /// Zincblende (sphalerite): 4 + 4 atoms per cell.
    Zincblende(BinarySpec),
    /// Rock salt: 4 + 4 atoms per cell.
    Rocksalt(BinarySpec),
    /// Fluorite: 4 atoms of the first and 8 of the second species per cell.
    Fluorite(BinarySpec),
    /// Caesium chloride: 1 + 1 atoms per cell.
    CesiumChloride(BinarySpec),
    /// Wurtzite: 2 + 2 atoms per cell.
    Wurtzite(WurtziteSpec),
    /// Cubic perovskite ABX3: 5 atoms per cell.
    Perovskite(PerovskiteSpec),
    /// Any cell with any atoms in it.
    Basis(BasisSpec),
}

/// A cubic crystal of one species. Give `a` or `density`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CubicSpec {
    /// Edge of the conventional cube.
    pub a: Option<Quantity<Length>>,
    /// Number of atoms per volume, from which the edge follows.
    pub density: Option<Quantity<NumberDensity>>,
    /// Species of every atom.
    pub species: String,
    /// Number of cells along each lattice vector; default [1, 1, 1].
    #[serde(default = "once")]
    pub repeat: [u32; 3],
}

/// A hexagonal close-packed crystal. Give `a` or `density`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HexagonalSpec {
    /// Edge in the basal plane.
    pub a: Option<Quantity<Length>>,
    /// Height of the cell; default the ideal value a sqrt(8/3).
    pub c: Option<Quantity<Length>>,
    /// Number of atoms per volume, from which the edge follows for the ideal c/a; not together with `c`.
    pub density: Option<Quantity<NumberDensity>>,
    /// Species of every atom.
    pub species: String,
    /// Number of cells along each lattice vector; default [1, 1, 1].
    #[serde(default = "once")]
    pub repeat: [u32; 3],
}

/// A cubic crystal of two species.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BinarySpec {
    /// Edge of the conventional cube.
    pub a: Quantity<Length>,
    /// The two species, for example ["Na", "Cl"]; the first sits at the origin.
    pub species: [String; 2],
    /// Number of cells along each lattice vector; default [1, 1, 1].
    #[serde(default = "once")]
    pub repeat: [u32; 3],
}

/// A wurtzite crystal.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WurtziteSpec {
    /// Edge in the basal plane.
    pub a: Quantity<Length>,
    /// Height of the cell; default the ideal value a sqrt(8/3).
    pub c: Option<Quantity<Length>>,
    /// Internal parameter: the bond along c has the length u c; default the ideal value 3/8.
    pub u: Option<f64>,
    /// The two species, for example ["Zn", "O"].
    pub species: [String; 2],
    /// Number of cells along each lattice vector; default [1, 1, 1].
    #[serde(default = "once")]
    pub repeat: [u32; 3],
}

/// A cubic perovskite ABX3: A at the corner, B in the centre, X on the faces.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PerovskiteSpec {
    /// Edge of the cube.
    pub a: Quantity<Length>,
    /// A, B and X, for example ["Sr", "Ti", "O"].
    pub species: [String; 3],
    /// Number of cells along each lattice vector; default [1, 1, 1].
    #[serde(default = "once")]
    pub repeat: [u32; 3],
}

/// Any crystal: lattice vectors and the atoms of one cell.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BasisSpec {
    /// The lattice vectors a, b, c, each with its x, y, z components.
    pub vectors: [[Quantity<Length>; 3]; 3],
    /// The atoms of one cell.
    pub atoms: Vec<BasisAtomSpec>,
    /// Number of cells along each lattice vector; default [1, 1, 1].
    #[serde(default = "once")]
    pub repeat: [u32; 3],
}

/// An atom of a basis.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BasisAtomSpec {
    /// Its species.
    pub species: String,
    /// Its fractional coordinates.
    pub position: [f64; 3],
}

fn once() -> [u32; 3] {
    [1; 3]
}

type Sites<'a> = Vec<(&'a str, [f64; 3])>;

const FCC: [[f64; 3]; 4] = [[0.0, 0.0, 0.0], [0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]];
const CENTER: [f64; 3] = [0.5; 3];

fn shifted(sites: &[[f64; 3]], by: f64) -> impl Iterator<Item = [f64; 3]> {
    sites.iter().map(move |s| s.map(|x| (x + by).rem_euclid(1.0)))
}

impl LatticeSpec {
    /// Key of the table and number of cells along each lattice vector.
    pub(crate) fn repeat(&self) -> (&'static str, [u32; 3]) {
        match self {
            Self::Fcc(s) => ("fcc", s.repeat),
            Self::Bcc(s) => ("bcc", s.repeat),
            Self::Sc(s) => ("sc", s.repeat),
            Self::Diamond(s) => ("diamond", s.repeat),
            Self::Hcp(s) => ("hcp", s.repeat),
            Self::Zincblende(s) => ("zincblende", s.repeat),
            Self::Rocksalt(s) => ("rocksalt", s.repeat),
            Self::Fluorite(s) => ("fluorite", s.repeat),
            Self::CesiumChloride(s) => ("cesium_chloride", s.repeat),
            Self::Wurtzite(s) => ("wurtzite", s.repeat),
            Self::Perovskite(s) => ("perovskite", s.repeat),
            Self::Basis(s) => ("basis", s.repeat),
        }
    }
    /// The atoms and the cell.
    ///
    /// # Errors
    /// When a length is not positive or the crystal is over- or under-determined.
    pub(crate) fn build(&self) -> Result<Structure, SpecError> {
        let (name, repeat) = self.repeat();
        let inner = || -> Result<Structure, SpecError> {
            let (h, sites) = self.cell_and_sites()?;
            let cell = Cell::from_matrix(h, [true; 3]).map_err(|e| {
                SpecError::new("vectors", e.to_string()).hint("give three independent vectors")
            })?;
            let mut unit = Structure::empty(cell);
            for (species, s) in &sites {
                unit.push(species, h * Vec3::from(*s));
            }
            unit.repeated(repeat)
        };
        inner().map_err(|e| e.within(name))
    }
    fn cell_and_sites(&self) -> Result<(Mat3, Sites<'_>), SpecError> {
        Ok(match self {
            Self::Fcc(s) => s.of(&FCC)?,
            Self::Bcc(s) => s.of(&[[0.0; 3], CENTER])?,
            Self::Sc(s) => s.of(&[[0.0; 3]])?,
            Self::Diamond(s) => s.of(&FCC.iter().copied().chain(shifted(&FCC, 0.25)).collect::<Vec<_>>())?,
            Self::Hcp(s) => s.sites()?,
            Self::Zincblende(s) => s.of(&FCC, &shifted(&FCC, 0.25).collect::<Vec<_>>())?,
            Self::Rocksalt(s) => s.of(&FCC, &shifted(&FCC, 0.5).collect::<Vec<_>>())?,
            Self::Fluorite(s) => {
                s.of(&FCC, &shifted(&FCC, 0.25).chain(shifted(&FCC, 0.75)).collect::<Vec<_>>())?
            }
            Self::CesiumChloride(s) => s.of(&[[0.0; 3]], &[CENTER])?,
            Self::Wurtzite(s) => s.sites()?,
            Self::Perovskite(s) => {
                let a = positive("a", s.a.internal())?;
                let [corner, center, face] = s.species.each_ref().map(String::as_str);
                let mut sites = vec![(corner, [0.0; 3]), (center, CENTER)];
                sites.extend(FCC[1..].iter().map(|f| (face, *f)));
                (Mat3::from_diagonal_element(a), sites)
            }
            Self::Basis(s) => {
                let v = s.vectors.map(|v| Vec3::from(v.map(Quantity::internal)));
                if s.atoms.is_empty() {
                    return Err(
                        SpecError::new("atoms", "the basis has no atoms").hint("list at least one atom")
                    );
                }
                for (k, atom) in s.atoms.iter().enumerate() {
                    if !atom.position.iter().all(|x| x.is_finite()) {
                        return Err(SpecError::new(
                            format!("atoms[{k}].position"),
                            "a fractional coordinate is not finite",
                        )
                        .hint("write three finite numbers"));
                    }
                }
                (Mat3::from_columns(&v), s.atoms.iter().map(|a| (a.species.as_str(), a.position)).collect())
            }
        })
    }
}

impl CubicSpec {
    fn of(&self, sites: &[[f64; 3]]) -> Result<(Mat3, Sites<'_>), SpecError> {
        let a = edge(self.a, self.density, |n| (sites.len() as f64 / n).cbrt())?;
        Ok((Mat3::from_diagonal_element(a), sites.iter().map(|s| (self.species.as_str(), *s)).collect()))
    }
}

impl HexagonalSpec {
    fn sites(&self) -> Result<(Mat3, Sites<'_>), SpecError> {
        if self.c.is_some() && self.density.is_some() {
            return Err(SpecError::new(
                "density",
                "`density` fixes both edges for the ideal c/a; `c` is given too",
            )
            .hint("give `a` and `c`, or `density` alone"));
        }
        // two atoms in a³ sqrt(2) for the ideal c/a
        let a = edge(self.a, self.density, |n| (2.0 / (n * 2f64.sqrt())).cbrt())?;
        let c = self.c.map_or(Ok(ideal_height(a)), |c| positive("c", c.internal()))?;
        let name = self.species.as_str();
        Ok((hexagonal(a, c), vec![(name, [0.0; 3]), (name, [1.0 / 3.0, 2.0 / 3.0, 0.5])]))
    }
}

impl BinarySpec {
    fn of(&self, first: &[[f64; 3]], second: &[[f64; 3]]) -> Result<(Mat3, Sites<'_>), SpecError> {
        let a = positive("a", self.a.internal())?;
        let [x, y] = self.species.each_ref().map(String::as_str);
        let sites = first.iter().map(|s| (x, *s)).chain(second.iter().map(|s| (y, *s)));
        Ok((Mat3::from_diagonal_element(a), sites.collect()))
    }
}

impl WurtziteSpec {
    fn sites(&self) -> Result<(Mat3, Sites<'_>), SpecError> {
        let a = positive("a", self.a.internal())?;
        let c = self.c.map_or(Ok(ideal_height(a)), |c| positive("c", c.internal()))?;
        let u = self.u.unwrap_or(0.375);
        if !(u > 0.0 && u < 0.5) {
            return Err(SpecError::new("u", format!("the internal parameter {u} is not between 0 and 0.5"))
                .hint("the ideal value is 0.375; leave `u` out to use it"));
        }
        let [x, y] = self.species.each_ref().map(String::as_str);
        let (p, q) = (1.0 / 3.0, 2.0 / 3.0);
        Ok((hexagonal(a, c), vec![(x, [p, q, 0.0]), (x, [q, p, 0.5]), (y, [p, q, u]), (y, [q, p, 0.5 + u])]))
    }
}

fn ideal_height(a: f64) -> f64 {
    a * (8f64 / 3.0).sqrt()
}

fn hexagonal(a: f64, c: f64) -> Mat3 {
    Mat3::new(a, -0.5 * a, 0.0, 0.0, 0.75f64.sqrt() * a, 0.0, 0.0, 0.0, c)
}

/// The edge, given or from a density.
fn edge(
    a: Option<Quantity<Length>>,
    density: Option<Quantity<NumberDensity>>,
    from: impl Fn(f64) -> f64,
) -> Result<f64, SpecError> {
    match (a, density) {
        (Some(a), None) => positive("a", a.internal()),
        (None, Some(n)) => positive("density", n.internal()).map(from),
        (Some(_), Some(_)) => Err(SpecError::new("density", "`a` and `density` are both given")
            .hint("the edge follows from the density: give one of them")),
        (None, None) => {
            Err(SpecError::new("", "the size of the crystal is missing")
                .hint("add `a = ...` or `density = ...`"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(text: &str) -> Structure {
        caloron_engine::quantity::reading_in(caloron_engine::UnitSystem::Lj, || {
            toml::from_str::<LatticeSpec>(text).unwrap().build().unwrap()
        })
    }

    /// Distances from each atom of the first species to its nearest neighbours, and how many there are.
    fn shell(s: &Structure) -> (f64, usize) {
        let mut d: Vec<f64> = Vec::new();
        for (j, r) in s.positions.iter().enumerate() {
            for a in -2..=2 {
                for b in -2..=2 {
                    for c in -2..=2 {
                        if j != 0 || [a, b, c] != [0; 3] {
                            d.push((r + s.cell.translation([a, b, c]) - s.positions[0]).norm());
                        }
                    }
                }
            }
        }
        let min = d.iter().copied().fold(f64::INFINITY, f64::min);
        (min, d.iter().filter(|x| **x < min * (1.0 + 1e-9)).count())
    }

    #[test]
    fn crystals_have_their_coordination() {
        let sqrt = f64::sqrt;
        for (text, atoms, distance, number) in [
            ("fcc = { a = 1, species = 'X' }", 4, sqrt(0.5), 12),
            ("bcc = { a = 1, species = 'X' }", 2, sqrt(0.75), 8),
            ("sc = { a = 1, species = 'X' }", 1, 1.0, 6),
            ("diamond = { a = 1, species = 'X' }", 8, sqrt(3.0) / 4.0, 4),
            ("hcp = { a = 1, species = 'X' }", 2, 1.0, 12),
            ("zincblende = { a = 1, species = ['X', 'Y'] }", 8, sqrt(3.0) / 4.0, 4),
            ("rocksalt = { a = 1, species = ['X', 'Y'] }", 8, 0.5, 6),
            ("fluorite = { a = 1, species = ['X', 'Y'] }", 12, sqrt(3.0) / 4.0, 8),
            ("cesium_chloride = { a = 1, species = ['X', 'Y'] }", 2, sqrt(0.75), 8),
            ("wurtzite = { a = 1, species = ['X', 'Y'] }", 4, 0.375 * sqrt(8.0 / 3.0), 4),
            ("perovskite = { a = 1, species = ['X', 'Y', 'Z'] }", 5, sqrt(0.5), 12),
        ] {
            let s = build(text);
            let (d, n) = shell(&s);
            assert_eq!((s.len(), n), (atoms, number), "{text}");
            assert!((d - distance).abs() < 1e-12, "{text} {d}");
        }
    }

    #[test]
    fn the_density_gives_the_edge() {
        for text in [
            "fcc = { density = 0.8442, species = 'X', repeat = [2, 3, 4] }",
            "hcp = { density = 0.8442, species = 'X' }",
        ] {
            let s = build(text);
            assert!((s.len() as f64 / s.cell.volume() - 0.8442).abs() < 1e-12, "{text}");
        }
    }
}

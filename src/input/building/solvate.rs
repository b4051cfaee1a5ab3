//! A solvent around a structure: copies of an equilibrated box, cut where they overlap.
use super::alloy::Draw;
use super::ions::{Ion, IonsSpec};
use super::molecule::{Contact, Kind, MoleculeSource, Template, WaterModel};
use super::pack::{PackSpec, PackedSpec, Packing, contact, list_of};
use crate::input::checks::{check_count, positive};
use crate::input::structure::Structure;
use caloron_engine::quantity::{Density, Length};
use caloron_engine::{Cell, Mat3, Quantity, SpecError, Streams, Vec3};
use schemars::JsonSchema;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// A solvent around the structure, with ions. Give one of `water` and `file`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SolvateSpec {
    /// A water model, filled in from an equilibrated box.
    pub water: Option<WaterModel>,
    /// A file with one molecule of another solvent, which is packed at `mass_density`.
    pub file: Option<PathBuf>,
    /// Mass per volume of the solvent of a file.
    pub mass_density: Option<Quantity<Density>>,
    /// Name of the solvent molecule in the force field, where one is used.
    pub name: Option<String>,
    /// Makes a new cell with at least this distance between the structure and its faces, and puts the structure into its
    /// centre. Default: the cell of the structure, as it is.
    pub padding: Option<Quantity<Length>>,
    /// Shape of that cell; default "cube".
    pub shape: Option<BoxShape>,
    /// Smallest distance between heavy atoms of the structure and of the solvent; two thirds of it where one is hydrogen.
    /// Default 2.4 Å.
    pub min_distance: Option<Quantity<Length>>,
    /// Ions in the place of solvent molecules; default none.
    pub ions: Option<IonsSpec>,
    /// Seed of the places of ions; default the seed of the run.
    pub seed: Option<u64>,
}

/// Shape of a cell around a structure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BoxShape {
    /// A cube with room for the structure in any orientation.
    #[default]
    Cube,
    /// A rectangular box along the extents of the structure as it lies; it must not turn.
    Box,
    /// A rhombic dodecahedron with room for any orientation: 71 % of the cube's volume.
    Dodecahedron,
    /// A truncated octahedron with room for any orientation: 77 % of the cube's volume.
    Octahedron,
}

/// 216 water molecules at 300 K and 0.997 g/cm³, from a simulation with SPC/E: the edge of the cube, then a line
/// for each molecule with its oxygen and the vectors from there to its hydrogens, Å.
const WATER: &str = include_str!("water.txt");

/// What is around a structure: its solvent and ions.
pub(crate) struct Solvated {
    /// Name in the topology, shape, number.
    pub molecules: Vec<(Option<String>, Template, usize)>,
    pub notes: Vec<String>,
}

/// A cube of solvent.
struct Tile {
    edge: f64,
    molecules: Vec<Vec<Vec3>>,
}

impl Tile {
    fn water(template: &Template) -> Result<Self, SpecError> {
        let broken = || SpecError::new("water", "the stored box of water is damaged");
        let mut lines = WATER.lines();
        let edge = lines.next().and_then(|l| l.trim().parse().ok()).ok_or_else(broken)?;
        let mut molecules = Vec::new();
        for line in lines {
            let x: Vec<f64> = line.split_whitespace().filter_map(|w| w.parse().ok()).collect();
            let [ox, oy, oz, ax, ay, az, bx, by, bz] = x[..] else { return Err(broken()) };
            let (o, a, b) =
                (Vec3::new(ox, oy, oz), Vec3::new(ax, ay, az).normalize(), Vec3::new(bx, by, bz).normalize());
            // the axes of the template: the bisector is z, the hydrogens lie in the xz plane
            let (z, x) = ((a + b).normalize(), (a - b).normalize());
            let turn = Mat3::from_columns(&[x, z.cross(&x), z]);
            molecules.push(template.positions.iter().map(|r| o + turn * r).collect());
        }
        Ok(Self { edge, molecules })
    }
}

impl SolvateSpec {
    fn template(&self, directory: &Path, files: &mut Vec<PathBuf>) -> Result<Template, SpecError> {
        if self.water.is_some() == self.file.is_some() {
            return Err(SpecError::new("", "it does not say which solvent")
                .hint("give exactly one of `water = \"spce\"` and `file = \"ethanol.xyz\"`"));
        }
        MoleculeSource { water: self.water, file: self.file.as_ref(), species: None }
            .template(directory, files)
    }
    fn tile(&self, template: &Template, seed: u64, directory: &Path) -> Result<Tile, SpecError> {
        match (self.water, self.mass_density) {
            (Some(_), None) => Tile::water(template),
            (Some(_), Some(_)) => Err(SpecError::new("mass_density", "water comes at its own density")
                .hint("leave it out; `mass_density` belongs to `file`")),
            (None, None) => Err(SpecError::new("mass_density", "the density of the solvent is missing")
                .hint("such as mass_density = \"0.789 g/cm^3\"")),
            (None, Some(rho)) => {
                let rho = positive("mass_density", rho.internal())?;
                // a cube of about 22 Å
                let count = (10_000.0 * rho / template.mass()).round().clamp(8.0, 4000.0) as u32;
                let molecules = vec![PackedSpec {
                    water: None,
                    file: self.file.clone(),
                    species: None,
                    count,
                    name: None,
                }];
                let pack = PackSpec {
                    molecules,
                    lengths: None,
                    mass_density: self.mass_density,
                    min_distance: self.min_distance,
                    seed: self.seed,
                };
                let mut packed = None;
                pack.apply(&mut packed, seed, directory, &mut vec![])?;
                let packed = packed.unwrap_or_else(|| Structure::empty(Cell::open()));
                let n = template.positions.len();
                Ok(Tile {
                    edge: packed.cell.vector(0).norm(),
                    molecules: packed.positions.chunks(n).map(<[Vec3]>::to_vec).collect(),
                })
            }
        }
    }
    /// A new cell around the structure, which moves to its centre.
    fn enclose(&self, structure: &mut Structure) -> Result<(), SpecError> {
        let Some(padding) = self.padding.map(Quantity::internal) else {
            if self.shape.is_some() {
                return Err(SpecError::new("shape", "`shape` is that of the cell that `padding` makes")
                    .hint("add `padding = \"10 Å\"`, or leave `shape` out"));
            }
            return match structure.cell == Cell::open() {
                true => Err(SpecError::new("padding", "the structure has no cell to fill")
                    .hint("add `padding = \"10 Å\"`, or give it a cell with `cell = { lengths = [...] }`")),
                false => Ok(()),
            };
        };
        if !(0.0..1000.0).contains(&padding) {
            return Err(
                SpecError::new("padding", "the padding must be from 0 to 1000 Å").hint("10 Å is usual")
            );
        }
        let (mut low, mut high) = (structure.positions[0], structure.positions[0]);
        for r in &structure.positions {
            (low, high) = (low.inf(r), high.sup(r));
        }
        let middle = 0.5 * (low + high);
        let far = structure.positions.iter().map(|r| (r - middle).norm()).fold(0.0, f64::max);
        let d = 2.0 * (far + padding);
        let at_least = |x: f64| x.max(1.0);
        let (d, s) = (at_least(d), f64::sqrt);
        let vectors = match self.shape.unwrap_or_default() {
            BoxShape::Cube => [Vec3::x() * d, Vec3::y() * d, Vec3::z() * d],
            BoxShape::Box => {
                let l = (high - low).map(|x| at_least(x + 2.0 * padding));
                [Vec3::x() * l.x, Vec3::y() * l.y, Vec3::z() * l.z]
            }
            BoxShape::Dodecahedron => [Vec3::x() * d, Vec3::y() * d, Vec3::new(0.5, 0.5, 0.5 * s(2.0)) * d],
            BoxShape::Octahedron => [
                Vec3::x() * d,
                Vec3::new(1.0 / 3.0, 2.0 * s(2.0) / 3.0, 0.0) * d,
                Vec3::new(-1.0 / 3.0, s(2.0) / 3.0, s(6.0) / 3.0) * d,
            ],
        };
        structure.cell =
            Cell::new(vectors, [true; 3]).map_err(|e| SpecError::new("padding", e.to_string()))?;
        let center = structure.cell.cartesian(&Vec3::new(0.5, 0.5, 0.5));
        structure.positions.iter_mut().for_each(|r| *r += center - middle);
        Ok(())
    }
    /// The structure with solvent and ions; `net` is its charge where it is known, `ion` gives what a name of an ion means.
    /// Errors are relative to `solvate`.
    pub(crate) fn apply(
        &self,
        structure: &mut Structure,
        seed: u64,
        directory: &Path,
        files: &mut Vec<PathBuf>,
        net: Option<f64>,
        ion: impl Fn(&str) -> Result<Ion, SpecError>,
    ) -> Result<Solvated, SpecError> {
        let seed = self.seed.unwrap_or(seed);
        let template = self.template(directory, files)?;
        let contact = contact(self.min_distance)?;
        self.enclose(structure)?;
        let tile = self.tile(&template, seed, directory)?;
        let per_molecule = tile.edge.powi(3) / tile.molecules.len() as f64;
        let atoms = structure.cell.volume() / per_molecule * template.symbols.len() as f64;
        check_count(if self.padding.is_some() { "padding" } else { "" }, atoms as u64)?;
        let mut molecules = fill(&structure.cell, &tile);
        fit(structure, &template, &mut molecules, contact);
        if molecules.is_empty() {
            return Err(SpecError::new("", "no solvent molecule finds a place in the cell")
                .hint("choose a larger `padding` or cell"));
        }
        let mut notes = Vec::new();
        let mut out = Vec::new();
        let mut ions: Vec<(Ion, Vec<Vec3>)> = Vec::new();
        if let Some(spec) = &self.ions {
            let within = |e: SpecError| e.within("ions");
            let [cation, anion] = spec.names();
            let kinds = [
                ion(cation).map_err(|e| e.within("cation")).map_err(within)?,
                ion(anion).map_err(|e| e.within("anion")).map_err(within)?,
            ];
            let volume = per_molecule * molecules.len() as f64;
            let ([plus, minus], salt) = spec.numbers(&kinds, net, volume).map_err(within)?;
            let anchors: Vec<Vec3> = molecules.iter().map(|m| m[0]).collect();
            let order = Draw { streams: Streams { seed }, use_of_seed: 1 << 32 }
                .of((0..anchors.len() as u32).collect(), anchors.len());
            let places = spec.places(&order, &anchors, structure, plus + minus).map_err(within)?;
            let at = |list: &[u32]| list.iter().map(|&m| anchors[m as usize]).collect::<Vec<_>>();
            let [cations, anions] = [at(&places[..plus]), at(&places[plus..])];
            let concentration = salt as f64 / volume * 1e27 / caloron_engine::units::AVOGADRO;
            notes.push(format!(
                "{plus} {} and {minus} {}: {salt} formula units of salt, which are {concentration:.3} mol/L in the volume of the \
                 solvent, beside those that neutralise",
                kinds[0].symbol, kinds[1].symbol
            ));
            let mut gone = places;
            gone.sort_unstable();
            let mut k = 0u32;
            molecules.retain(|_| {
                k += 1;
                gone.binary_search(&(k - 1)).is_err()
            });
            let [a, b] = kinds;
            ions = vec![(a, cations), (b, anions)];
        }
        for m in &molecules {
            structure.extend(&template.symbols, m);
        }
        notes.push(format!("{} solvent molecules", molecules.len()));
        out.push((self.name.clone(), template, molecules.len()));
        for (ion, places) in ions {
            let one = [ion.symbol.clone()];
            for r in &places {
                structure.extend(&one, &[*r]);
            }
            let shape = Template { symbols: one.to_vec(), positions: vec![Vec3::zeros()] };
            out.push((ion.name, shape, places.len()));
        }
        Ok(Solvated { molecules: out, notes })
    }
}

/// Copies of a tile whose first atoms lie in the cell.
fn fill(cell: &Cell, tile: &Tile) -> Vec<Vec<Vec3>> {
    let mut low = Vec3::zeros();
    let mut high = Vec3::zeros();
    for corner in 0..8 {
        let s = Vec3::new(f64::from(corner & 1), f64::from(corner >> 1 & 1), f64::from(corner >> 2));
        let r = cell.cartesian(&s);
        (low, high) = (low.inf(&r), high.sup(&r));
    }
    // molecules of a tile may lie a little outside of it
    let range = |k: usize| {
        let tiles = |x: f64| (x / tile.edge).floor() as i64;
        tiles(low[k]) - 1..=tiles(high[k]) + 1
    };
    let mut out = Vec::new();
    for a in range(0) {
        for b in range(1) {
            for c in range(2) {
                let shift = tile.edge * Vec3::new(a as f64, b as f64, c as f64);
                for m in &tile.molecules {
                    let s = cell.fractional(&(m[0] + shift));
                    if s.iter().all(|x| (0.0..1.0).contains(x)) {
                        out.push(m.iter().map(|r| r + shift).collect());
                    }
                }
            }
        }
    }
    out
}

/// Farthest from a molecule at the seam that others make room for it, Å.
const ROOM: f64 = 5.0;

/// Takes out the molecules that are too close to the structure, and pushes those apart that the cell makes neighbours without the
/// solvent knowing it, together with what is around them: the solvent keeps its density there.
fn fit(structure: &Structure, template: &Template, molecules: &mut Vec<Vec<Vec3>>, contact: Contact) {
    let (n, size) = (structure.len(), template.symbols.len());
    let fixed: Vec<Kind> = structure.symbols.iter().map(|s| Kind::of(s)).collect();
    let kinds: Vec<Kind> = template.symbols.iter().map(|s| Kind::of(s)).collect();
    let all: Vec<Vec3> =
        structure.positions.iter().copied().chain(molecules.iter().flatten().copied()).collect();
    let (_, list) = list_of(&all, &structure.cell, contact.heavy, 0.0);
    let kind = |i: usize| if i < n { fixed[i] } else { kinds[(i - n) % size] };
    let mut keep = vec![true; molecules.len()];
    let mut at_seam = vec![false; molecules.len()];
    for (row, &center) in list.centers().iter().enumerate() {
        let i = list.atom(center);
        if i < n {
            continue;
        }
        let r = Vec3::from(list.sites()[center as usize].position);
        for &s in list.row(row) {
            let j = list.atom(s);
            let d = Vec3::from(list.sites()[s as usize].position) - r;
            if d.norm() >= contact.of(kind(i), kind(j)) {
                continue;
            }
            let a = (i - n) / size;
            if j < n {
                keep[a] = false;
            } else if (all[j] - all[i] - d).norm_squared() > 1e-6 {
                // no neighbours within the solvent as it is
                at_seam[a] = true;
            }
        }
    }
    let flags: Vec<bool> = keep.iter().zip(&at_seam).filter(|(k, _)| **k).map(|(_, s)| *s).collect();
    let mut k = 0;
    molecules.retain(|_| {
        k += 1;
        keep[k - 1]
    });
    if flags.iter().any(|s| *s) {
        close_seam(structure, template, molecules, &flags, contact);
    }
}

fn close_seam(
    structure: &Structure,
    template: &Template,
    molecules: &mut Vec<Vec<Vec3>>,
    at_seam: &[bool],
    contact: Contact,
) {
    let anchors: Vec<Vec3> = molecules.iter().map(|m| m[0]).collect();
    let (_, list) = list_of(&anchors, &structure.cell, ROOM, 0.0);
    let mut moves = at_seam.to_vec();
    for (row, &center) in list.centers().iter().enumerate() {
        if at_seam[list.atom(center)] {
            list.row(row).iter().for_each(|&s| moves[list.atom(s)] = true);
        }
    }
    let mut around = structure.clone();
    for (m, _) in molecules.iter().zip(&moves).filter(|(_, moves)| !**moves) {
        around.extend(&template.symbols, m);
    }
    let mut packing = Packing::new(&around, contact);
    for (m, _) in molecules.iter().zip(&moves).filter(|(_, moves)| **moves) {
        let center = m.iter().sum::<Vec3>() / m.len() as f64;
        packing.put(&template.symbols, m, center);
    }
    let mut places = packing.settle().into_iter();
    let mut k = 0;
    molecules.retain_mut(|m| {
        k += 1;
        if !moves[k - 1] {
            return true;
        }
        match places.next().flatten() {
            Some(place) => *m = place,
            None => return false,
        }
        true
    });
}

#[cfg(test)]
mod tests {
    use super::super::pack::tests::closest;
    use super::*;
    use caloron_engine::{UnitSystem, quantity::reading_in};

    fn spec(text: &str) -> SolvateSpec {
        reading_in(UnitSystem::Physical, || toml::from_str(text).unwrap())
    }

    fn ion(name: &str) -> Result<Ion, SpecError> {
        let charge = super::super::ions::usual_charge(name).unwrap();
        Ok(Ion { symbol: name.into(), name: None, charge })
    }

    fn chain() -> Structure {
        let mut s = Structure::empty(Cell::open());
        (0..6).for_each(|k| s.push("C", Vec3::new(1.3 * f64::from(k), 0.7 * f64::from(k % 2), 40.0)));
        s
    }

    fn solvate(text: &str, net: Option<f64>, seed: u64) -> Result<(Structure, Solvated), SpecError> {
        let mut s = chain();
        let done = spec(text).apply(&mut s, seed, Path::new(""), &mut vec![], net, ion)?;
        Ok((s, done))
    }

    #[test]
    fn cells_have_their_shape_and_water_its_density() {
        let cube = |d: f64| d.powi(3);
        for (shape, ratio) in [("cube", 1.0), ("dodecahedron", 0.5f64.sqrt()), ("octahedron", 0.769_800_4)] {
            let (s, done) =
                solvate(&format!("water = 'spce'\npadding = '9 Å'\nshape = '{shape}'"), None, 1).unwrap();
            let d = s.cell.vector(0).norm();
            assert!((s.cell.volume() / cube(d) - ratio).abs() < 1e-6, "{shape}");
            assert!((0..3).all(|k| (s.cell.vector(k).norm() - d).abs() < 1e-9));
            // the structure lies in the middle, the padding from every face of the cube
            let n = done.molecules[0].2;
            assert_eq!(s.len(), 6 + 3 * n);
            // 29.97 Å³ for each molecule, and about 190 Å³ that the structure takes with its contacts
            let density = n as f64 * 29.97 / (s.cell.volume() - 190.0);
            assert!((density - 1.0).abs() < 0.02, "{shape} {density}");
            let molecule = |i: usize| if i < 6 { 0 } else { i / 3 };
            let across = closest(&s, molecule, Contact { heavy: 2.4 });
            assert!(across > 0.9, "{shape} {across}");
            let mut least = f64::INFINITY;
            for i in 0..6 {
                for j in 6..s.len() {
                    let wanted = Contact { heavy: 2.4 }.of(Kind::Heavy, Kind::of(&s.symbols[j]));
                    least = least.min(s.cell.shortest(&s.positions[i], &s.positions[j]).norm() / wanted);
                }
            }
            assert!(least >= 1.0, "{least}");
        }
    }

    /// The seam of the box is as dense as the rest, whatever its edge.
    #[test]
    fn boxes_without_a_structure_have_the_density_of_water() {
        for edge in [17.0, 25.0, 30.0, 37.28] {
            let mut s = Structure::empty(Cell::orthorhombic(edge, edge, edge).unwrap());
            s.push("Ar", Vec3::zeros());
            let done =
                spec("water = 'spce'").apply(&mut s, 1, Path::new(""), &mut vec![], None, ion).unwrap();
            let n = done.molecules[0].2;
            // 0.997 g/cm³, less the volume of the contacts of an atom
            let wanted = (edge.powi(3) - 58.0) * 0.997 / (18.015_28 * 1.660_539_066_6);
            println!("{edge} Å: {n} molecules, {wanted:.1} at the density of the liquid");
            assert!((n as f64 / wanted - 1.0).abs() < 0.02, "{edge}: {n} {wanted}");
            let molecule = |i: usize| if i == 0 { 0 } else { 1 + (i - 1) / 3 };
            let ratio = closest(&s, molecule, Contact { heavy: 2.4 });
            assert!(ratio > 0.95, "{edge}: {ratio}");
        }
    }

    #[test]
    fn ions_are_counted_and_apart() {
        let text = "water = 'tip3p'\npadding = '12 Å'\nions = { concentration = '0.5 mol/L', cation = 'Mg' }";
        let (s, done) = solvate(text, Some(-3.0), 1).unwrap();
        let [w, plus, minus] = [0, 1, 2].map(|k| done.molecules[k].2);
        assert_eq!(-3 + 2 * plus as i64 - minus as i64, 0);
        // formula units in the volume of the solvent as it was before ions took places
        let volume = (w + plus + minus) as f64 * 29.97;
        let wanted = 0.5 * volume * 6.022e23 * 1e-27;
        assert!((plus as f64 - 2.0 - wanted).abs() <= 0.6, "{plus} {wanted}");
        let salt = plus - 2;
        assert!(done.notes[0].contains(&format!("{salt} formula units of salt")), "{:?}", done.notes);
        assert_eq!(s.len(), 6 + 3 * w + plus + minus);
        assert!(s.symbols[s.len() - minus..].iter().all(|x| x == "Cl"));
        let ions: Vec<usize> = (s.len() - plus - minus..s.len()).collect();
        for (k, &i) in ions.iter().enumerate() {
            for &j in ions[..k].iter().chain(&[0, 1, 2, 3, 4, 5]) {
                assert!(s.cell.shortest(&s.positions[i], &s.positions[j]).norm() >= 5.0);
            }
        }
        assert_eq!(s.positions, solvate(text, Some(-3.0), 1).unwrap().0.positions);
        assert_ne!(s.positions, solvate(text, Some(-3.0), 2).unwrap().0.positions);
    }

    #[test]
    fn what_is_missing_is_named() {
        let key = |text: &str, net| solvate(text, net, 1).err().unwrap().key;
        assert_eq!(key("padding = '9 Å'", None), "");
        assert_eq!(key("water = 'spce'", None), "padding");
        assert_eq!(key("water = 'spce'\nshape = 'box'", None), "shape");
        assert_eq!(key("water = 'spce'\npadding = '9 Å'\nions = {}", None), "ions.charge");
        assert_eq!(key("water = 'spce'\npadding = '9 Å'\nions = {}", Some(0.4)), "ions.charge");
        assert_eq!(
            key("water = 'spce'\npadding = '9 Å'\nions = { concentration = '40 mol/L' }", Some(0.0)),
            "ions"
        );
        assert_eq!(
            key("water = 'spce'\npadding = '9 Å'\nions = { cation = 'Cl' }", Some(0.0)),
            "ions.cation"
        );
    }
}

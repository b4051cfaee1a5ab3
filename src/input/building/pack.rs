//! Molecules at random places and orientations of a box, without overlap.
//!
//! Rigid molecules start at random and are pushed apart: every pair of atoms of different molecules that is closer than
//! its contact distance d has the energy (d - r)²/2, and forces and torques bring the sum down by the fast inertial relaxation
//! engine. Molecules that stay caught are put elsewhere. It ends when no pair is too close.
//!
//! Source: E. Bitzek et al., Phys. Rev. Lett. 97, 170201 (2006), doi:10.1103/PhysRevLett.97.170201.
use super::molecule::{CONTACT, Contact, Kind, MoleculeSource, Template, WaterModel};
use crate::input::checks::{check_count, check_reach, positive};
use crate::input::structure::Structure;
use caloron_engine::quantity::{Density, Length};
use caloron_engine::rng::Sequence;
use caloron_engine::{
    Cell, Mat3, NeighborList, Quantity, SpecError, Species, Stream, Streams, System, Vec3, neighbors,
};
use schemars::JsonSchema;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// Molecules at random places and orientations, rigid, without overlaps. They fill the cell of the structure around its atoms;
/// without `structure`, `lattice` or `random` they make a box of their own, whose size is `lengths` or follows from
/// `mass_density`. The result is no equilibrium state: minimise it first.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PackSpec {
    /// The molecules, in the order in which their atoms follow each other.
    pub molecules: Vec<PackedSpec>,
    /// Edges of the box, where there is no structure.
    pub lengths: Option<[Quantity<Length>; 3]>,
    /// Mass per volume, from which the edge of a cubic box follows, where there is no structure.
    pub mass_density: Option<Quantity<Density>>,
    /// Smallest distance between heavy atoms of different molecules; two thirds of it where one is hydrogen. Default 2.4 Å.
    pub min_distance: Option<Quantity<Length>>,
    /// Seed of the placement; default the seed of the run.
    pub seed: Option<u64>,
}

/// Molecules of one kind. Give one of `water`, `file` and `species`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PackedSpec {
    /// A water model.
    pub water: Option<WaterModel>,
    /// A file with one molecule, any format that is read; its last frame.
    pub file: Option<PathBuf>,
    /// A single atom.
    pub species: Option<String>,
    /// Number of molecules.
    pub count: u32,
    /// Name of the molecule in the force field, where one is used.
    pub name: Option<String>,
}

/// Steps after which molecules that are still caught are put elsewhere, and how often.
const STEPS: usize = 400;
const ROUNDS: usize = 20;
/// A molecule nearer to an atom that was there than this share of the contact is put elsewhere, so many times.
const BURIED: f64 = 0.9;
const TRIES: usize = 50;

impl PackSpec {
    /// The structure with the molecules added; returns names and numbers of them. Errors are relative to `pack`.
    pub(crate) fn apply(
        &self,
        structure: &mut Option<Structure>,
        seed: u64,
        directory: &Path,
        files: &mut Vec<PathBuf>,
    ) -> Result<Vec<(Option<String>, Template, usize)>, SpecError> {
        let count: u64 = self.molecules.iter().map(|m| u64::from(m.count)).sum();
        if count == 0 {
            return Err(SpecError::new("molecules", "there are no molecules to pack")
                .hint("write molecules = [{ water = \"spce\", count = 500 }]"));
        }
        let mut kinds = Vec::new();
        let mut atoms = 0u64;
        for (k, m) in self.molecules.iter().enumerate() {
            let source =
                MoleculeSource { water: m.water, file: m.file.as_ref(), species: m.species.as_ref() };
            let template = source
                .template(directory, files)
                .map_err(|e| e.within(&format!("molecules[{k}]")))?
                .centered();
            atoms = atoms.saturating_add(template.symbols.len() as u64 * u64::from(m.count));
            kinds.push((m.name.clone(), template, m.count as usize));
        }
        check_count("molecules", atoms)?;
        let contact = contact(self.min_distance)?;
        let mut whole = match structure.take() {
            Some(s) => {
                if self.lengths.is_some() || self.mass_density.is_some() {
                    let key = if self.lengths.is_some() { "lengths" } else { "mass_density" };
                    return Err(SpecError::new(key, "the molecules fill the cell of the structure")
                        .hint("leave it out; `cell` in [system] changes the cell"));
                }
                if s.cell == Cell::open() {
                    return Err(SpecError::new("", "the structure has no cell to fill")
                        .hint("give it one with `cell = { lengths = [...] }`"));
                }
                s
            }
            None => Structure::empty(self.cell(&kinds)?),
        };
        check_reach("min_distance", "distance", contact.heavy, &whole.cell, atoms as usize)?;
        let mut packing = Packing::new(&whole, contact);
        let mut random = Streams { seed: self.seed.unwrap_or(seed) }.sequence(Stream::Building, 0, 1);
        for (_, template, n) in &kinds {
            for _ in 0..*n {
                packing.add(template, &mut random);
            }
        }
        packing.relax(&mut random).map_err(|(close, wanted)| {
            let message = format!(
                "the {count} molecules do not fit: the closest atoms stay {close:.2} Å apart instead of {wanted:.2} Å"
            );
            SpecError::new("", message)
                .hint("choose a larger box or lower density, fewer molecules, or a smaller `min_distance`")
        })?;
        whole.symbols.extend(kinds.iter().flat_map(|(_, t, n)| {
            std::iter::repeat_n(&t.symbols, *n).flatten().cloned().collect::<Vec<_>>()
        }));
        whole.positions = packing.positions;
        *structure = Some(whole);
        Ok(kinds)
    }
    fn cell(&self, kinds: &[(Option<String>, Template, usize)]) -> Result<Cell, SpecError> {
        let edges = match (self.lengths, self.mass_density) {
            (Some(l), None) => {
                let l = l.map(Quantity::internal);
                for (k, x) in l.iter().enumerate() {
                    positive(&format!("lengths[{k}]"), *x)?;
                }
                l
            }
            (None, Some(rho)) => {
                let rho = positive("mass_density", rho.internal())?;
                let mass: f64 = kinds.iter().map(|(_, t, n)| t.mass() * *n as f64).sum();
                [(mass / rho).cbrt(); 3]
            }
            (None, None) => {
                return Err(SpecError::new("", "the size of the box is missing")
                    .hint("add `lengths = [...]` or `mass_density = \"0.997 g/cm^3\"`, or name a `structure` to fill"));
            }
            (Some(_), Some(_)) => {
                return Err(SpecError::new("mass_density", "`lengths` and `mass_density` are both given")
                    .hint("keep one of them"));
            }
        };
        Cell::orthorhombic(edges[0], edges[1], edges[2]).map_err(|e| SpecError::new("lengths", e.to_string()))
    }
}

/// The distances of contacts.
pub(crate) fn contact(given: Option<Quantity<Length>>) -> Result<Contact, SpecError> {
    let heavy = given.map_or(CONTACT, Quantity::internal);
    if heavy > 0.0 && heavy < 20.0 {
        return Ok(Contact { heavy });
    }
    Err(SpecError::new("min_distance", "the distance must be above 0 and below 20 Å")
        .hint("2.4 Å is the default"))
}

/// A random rotation, uniform over all (Shoemake, Graphics Gems III, 1992).
pub(crate) fn random_rotation(random: &mut Sequence) -> Mat3 {
    let (u, v, w) = (random.uniform(), random.uniform(), random.uniform());
    let turn = std::f64::consts::TAU;
    let ((s1, c1), (s2, c2)) = ((turn * v).sin_cos(), (turn * w).sin_cos());
    let (a, b) = ((1.0 - u).sqrt(), u.sqrt());
    let [x, y, z, q] = [a * s1, a * c1, b * s2, b * c2];
    Mat3::new(
        1.0 - 2.0 * (y * y + z * z),
        2.0 * (x * y - z * q),
        2.0 * (x * z + y * q),
        2.0 * (x * y + z * q),
        1.0 - 2.0 * (x * x + z * z),
        2.0 * (y * z - x * q),
        2.0 * (x * z - y * q),
        2.0 * (y * z + x * q),
        1.0 - 2.0 * (x * x + y * y),
    )
}

/// A list of neighbours of bare points.
pub(crate) fn list_of(positions: &[Vec3], cell: &Cell, reach: f64, skin: f64) -> (System, NeighborList) {
    let species = Species { symbol: "X".into(), number: None, mass: 1.0 };
    let system = System::new(vec![species], vec![0; positions.len()]);
    let mut list = NeighborList::new(reach, skin, neighbors::Search::Auto);
    list.update(&system, positions, cell);
    (system, list)
}

/// A rigid molecule.
struct Body {
    first: usize,
    end: usize,
    center: Vec3,
    /// Mean square distance of the atoms from the centre, two thirds of it: the moment of inertia of a unit mass.
    inertia: f64,
    velocity: Vec3,
    spin: Vec3,
    force: Vec3,
    torque: Vec3,
    /// Sum of the squared depths of its overlaps; forces may cancel where it is caught between atoms.
    overlap: f64,
    /// True when it sits among atoms that were there.
    buried: bool,
}

/// Molecules on their way to places without overlap.
pub(super) struct Packing {
    cell: Cell,
    contact: Contact,
    positions: Vec<Vec3>,
    kinds: Vec<Kind>,
    /// The body of each atom; none for the atoms that were there.
    owner: Vec<Option<u32>>,
    bodies: Vec<Body>,
}

/// What is wrong with the places.
struct State {
    energy: f64,
    /// The pair that is worst: its distance and what it should be.
    worst: Option<(f64, f64)>,
}

impl Packing {
    pub fn new(around: &Structure, contact: Contact) -> Self {
        Self {
            cell: around.cell.clone(),
            contact,
            positions: around.positions.clone(),
            kinds: around.symbols.iter().map(|s| Kind::of(s)).collect(),
            owner: vec![None; around.len()],
            bodies: vec![],
        }
    }
    fn add(&mut self, template: &Template, random: &mut Sequence) {
        self.put(&template.symbols, &template.positions, Vec3::zeros());
        self.place(self.bodies.len() - 1, random);
    }
    /// Adds a molecule where it is, to be turned about `center`.
    pub fn put(&mut self, symbols: &[String], positions: &[Vec3], center: Vec3) {
        let (first, n) = (self.positions.len(), positions.len());
        let square: f64 = positions.iter().map(|r| (r - center).norm_squared()).sum::<f64>() / n as f64;
        self.positions.extend_from_slice(positions);
        self.kinds.extend(symbols.iter().map(|s| Kind::of(s)));
        self.owner.extend(std::iter::repeat_n(Some(self.bodies.len() as u32), n));
        let zero = Vec3::zeros();
        self.bodies.push(Body {
            first,
            end: first + n,
            center,
            inertia: square * (2.0 / 3.0),
            velocity: zero,
            spin: zero,
            force: zero,
            torque: zero,
            overlap: 0.0,
            buried: false,
        });
    }
    /// Puts a body anywhere.
    fn place(&mut self, k: usize, random: &mut Sequence) {
        let s = Vec3::new(random.uniform(), random.uniform(), random.uniform());
        let (to, turn) = (self.cell.cartesian(&s), random_rotation(random));
        let body = &mut self.bodies[k];
        for r in &mut self.positions[body.first..body.end] {
            *r = to + turn * (*r - body.center);
        }
        (body.center, body.velocity, body.spin) = (to, Vec3::zeros(), Vec3::zeros());
    }
    /// Forces and torques on all bodies.
    fn forces(&mut self, list: &NeighborList) -> State {
        for b in &mut self.bodies {
            (b.force, b.torque) = (Vec3::zeros(), Vec3::zeros());
            (b.overlap, b.buried) = (0.0, false);
        }
        let mut state = State { energy: 0.0, worst: None };
        for (row, &center) in list.centers().iter().enumerate() {
            let i = list.atom(center);
            let Some(owner) = self.owner[i] else { continue };
            let r = Vec3::from(list.sites()[center as usize].position);
            for &s in list.row(row) {
                let j = list.atom(s);
                let wanted = self.contact.of(self.kinds[i], self.kinds[j]);
                let d = Vec3::from(list.sites()[s as usize].position) - r;
                // a little further than asked for, so that the end is reached
                let target = wanted * 1.03;
                let square = d.norm_squared();
                if square >= target * target {
                    continue;
                }
                if self.owner[j] == Some(owner)
                    && (self.positions[j] - self.positions[i] - d).norm_squared() < 1e-6
                {
                    continue;
                }
                let distance = square.sqrt();
                if distance < wanted && state.worst.is_none_or(|(a, b)| distance / wanted < a / b) {
                    state.worst = Some((distance, wanted));
                }
                let depth = target - distance;
                state.energy += 0.25 * depth * depth;
                // atoms in one place are parted along x
                let direction =
                    if distance > 1e-9 { d / distance } else { Vec3::x() * if i < j { 1.0 } else { -1.0 } };
                let body = &mut self.bodies[owner as usize];
                if distance < wanted {
                    body.overlap += (wanted - distance).powi(2);
                    body.buried |= self.owner[j].is_none() && distance < BURIED * wanted;
                }
                let f = direction * -depth;
                body.force += f;
                body.torque += (self.positions[i] - body.center).cross(&f);
            }
        }
        state
    }
    fn advance(&mut self, dt: f64) {
        const FARTHEST: f64 = 0.3;
        for b in &mut self.bodies {
            b.velocity += b.force * dt;
            let step = limited(b.velocity * dt, FARTHEST);
            b.center += step;
            let mut turn = None;
            if b.inertia > 1e-6 {
                b.spin += b.torque * (dt / b.inertia);
                let angle = limited(b.spin * dt, FARTHEST / b.inertia.sqrt().max(0.5));
                turn = rotation(&angle);
            }
            let center = b.center;
            for r in &mut self.positions[b.first..b.end] {
                let arm = *r + step - center;
                *r = center + turn.map_or(arm, |t| t * arm);
            }
        }
    }
    /// Puts the bodies that sit among atoms that were there into other places: in a crystal no force would drive them out.
    fn unbury(&mut self, system: &System, list: &mut NeighborList, random: &mut Sequence) {
        if self.owner.first().is_none_or(Option::is_some) {
            return;
        }
        for _ in 0..TRIES {
            list.update(system, &self.positions, &self.cell);
            self.forces(list);
            let buried: Vec<usize> = (0..self.bodies.len()).filter(|&k| self.bodies[k].buried).collect();
            if buried.is_empty() {
                return;
            }
            buried.into_iter().for_each(|k| self.place(k, random));
        }
    }
    fn list(&self) -> (System, NeighborList) {
        list_of(&self.positions, &self.cell, 1.03 * self.contact.heavy, 1.0)
    }
    /// Moves bodies from where they are; returns the worst pair that stays too close, with overlaps up to date.
    fn descend(&mut self, system: &System, list: &mut NeighborList) -> Option<(f64, f64)> {
        let (mut dt, mut mixing, mut downhill) = (0.1, 0.1, 0);
        for b in &mut self.bodies {
            (b.velocity, b.spin) = (Vec3::zeros(), Vec3::zeros());
        }
        for _ in 0..STEPS {
            list.update(system, &self.positions, &self.cell);
            self.forces(list).worst?;
            let (mut power, mut ff, mut vv) = (0.0, 0.0, 0.0);
            for b in &self.bodies {
                power += b.force.dot(&b.velocity) + b.torque.dot(&b.spin);
                ff += b.force.norm_squared() + b.torque.norm_squared() / b.inertia.max(1e-6);
                vv += b.velocity.norm_squared() + b.spin.norm_squared() * b.inertia;
            }
            if power > 0.0 {
                let scale = if ff > 0.0 { mixing * (vv / ff).sqrt() } else { 0.0 };
                for b in &mut self.bodies {
                    b.velocity = b.velocity * (1.0 - mixing) + b.force * scale;
                    b.spin = b.spin * (1.0 - mixing) + b.torque * (scale / b.inertia.max(1e-6));
                }
                downhill += 1;
                if downhill > 5 {
                    dt = f64::min(dt * 1.1, 0.7);
                    mixing *= 0.99;
                }
            } else {
                (dt, mixing, downhill) = (f64::max(0.5 * dt, 0.02), 0.1, 0);
                for b in &mut self.bodies {
                    (b.velocity, b.spin) = (Vec3::zeros(), Vec3::zeros());
                }
            }
            self.advance(dt);
        }
        list.update(system, &self.positions, &self.cell);
        self.forces(list).worst
    }
    /// Pushes the bodies apart and takes those out that stay too close to others, worst first: their places, none where they went.
    pub fn settle(mut self) -> Vec<Option<Vec<Vec3>>> {
        let (system, mut list) = self.list();
        let mut gone = vec![false; self.bodies.len()];
        let mut worst = self.descend(&system, &mut list);
        while worst.is_some() {
            let most = (0..self.bodies.len())
                .max_by(|a, b| self.bodies[*a].overlap.total_cmp(&self.bodies[*b].overlap).then(b.cmp(a)));
            let Some(k) = most.filter(|&k| self.bodies[k].overlap > 0.0) else { break };
            gone[k] = true;
            // what has no size overlaps nothing
            let body = &self.bodies[k];
            self.kinds[body.first..body.end].fill(Kind::Site);
            worst = self.forces(&list).worst;
        }
        let place = |(k, b): (usize, &Body)| (!gone[k]).then(|| self.positions[b.first..b.end].to_vec());
        self.bodies.iter().enumerate().map(place).collect()
    }
    /// Moves all bodies until no pair is too close; the worst pair where that fails.
    fn relax(&mut self, random: &mut Sequence) -> Result<(), (f64, f64)> {
        let (system, mut list) = self.list();
        let mut last = (0.0, 0.0);
        for _ in 0..ROUNDS {
            self.unbury(&system, &mut list, random);
            match self.descend(&system, &mut list) {
                None => return Ok(()),
                Some(worst) => last = worst,
            }
            // of the bodies that overlap, the tenth that does most starts anew elsewhere
            let load = |k: usize| self.bodies[k].overlap;
            let mut caught: Vec<usize> = (0..self.bodies.len()).filter(|&k| load(k) > 0.0).collect();
            caught.sort_by(|a, b| load(*b).total_cmp(&load(*a)).then(a.cmp(b)));
            caught.truncate(caught.len().div_ceil(10).max(1));
            for k in caught {
                self.place(k, random);
            }
        }
        Err(last)
    }
}

fn limited(v: Vec3, most: f64) -> Vec3 {
    let n = v.norm();
    if n > most { v * (most / n) } else { v }
}

/// The rotation by |angle| about it; none for a tiny one.
fn rotation(angle: &Vec3) -> Option<Mat3> {
    let theta = angle.norm();
    if theta < 1e-12 {
        return None;
    }
    let k = (angle / theta).cross_matrix();
    let (sin, cos) = theta.sin_cos();
    Some(Mat3::identity() + k * sin + k * k * (1.0 - cos))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use caloron_engine::{UnitSystem, quantity::reading_in};

    pub fn spec(text: &str) -> PackSpec {
        reading_in(UnitSystem::Physical, || toml::from_str(text).unwrap())
    }

    fn pack(text: &str, around: Option<Structure>, seed: u64) -> Result<Structure, SpecError> {
        let mut structure = around;
        spec(text).apply(&mut structure, seed, Path::new(""), &mut vec![])?;
        Ok(structure.unwrap())
    }

    /// The smallest ratio of a distance between different molecules of `size` atoms to its contact.
    pub fn closest(s: &Structure, molecule: impl Fn(usize) -> usize, contact: Contact) -> f64 {
        let mut least = f64::INFINITY;
        for i in 0..s.len() {
            for j in (0..i).filter(|&j| molecule(i) != molecule(j)) {
                let wanted = contact.of(Kind::of(&s.symbols[i]), Kind::of(&s.symbols[j]));
                let d = s.cell.shortest(&s.positions[i], &s.positions[j]).norm();
                least = least.min(if wanted > 0.0 { d / wanted } else { f64::INFINITY });
            }
        }
        least
    }

    #[test]
    fn water_at_its_density_without_overlap() {
        let text = "molecules = [{ water = 'spce', count = 216 }]\nmass_density = '0.997 g/cm^3'";
        let s = pack(text, None, 1).unwrap();
        assert_eq!(s.len(), 648);
        let density = 216.0 * 18.015 / s.cell.volume() * 1.660_539_066_6;
        assert!((density - 0.997).abs() < 1e-3, "{density}");
        let ratio = closest(&s, |i| i / 3, Contact { heavy: 2.4 });
        assert!(ratio >= 1.0, "{ratio}");
        for w in s.positions.chunks(3) {
            assert!(((w[1] - w[0]).norm() - 1.0).abs() < 1e-9 && ((w[2] - w[0]).norm() - 1.0).abs() < 1e-9);
        }
        assert_eq!(s.positions, pack(text, None, 1).unwrap().positions);
        assert_ne!(s.positions, pack(text, None, 2).unwrap().positions);
    }

    #[test]
    fn molecules_keep_away_from_the_structure_in_a_skewed_cell() {
        let mut around =
            Structure::empty(Cell::from_lengths_angles([14.0, 15.0, 16.0], [75.0, 80.0, 65.0]).unwrap());
        (0..8).for_each(|k| around.push("C", Vec3::new(5.0 + 1.4 * f64::from(k), 6.0, 7.0)));
        let text = "molecules = [{ water = 'tip4p', count = 50 }, { species = 'Na', count = 3 }]\nmin_distance = '2.6 Å'";
        let s = pack(text, Some(around), 5).unwrap();
        assert_eq!(s.len(), 8 + 200 + 3);
        assert_eq!((s.symbols[11].as_str(), s.symbols[210].as_str()), ("M", "Na"));
        let molecule = |i: usize| {
            if i < 8 {
                0
            } else if i < 208 {
                i / 4
            } else {
                i
            }
        };
        assert!(closest(&s, molecule, Contact { heavy: 2.6 }) >= 1.0);
    }

    /// In the voids of a close-packed crystal the forces on an atom cancel.
    #[test]
    fn nothing_stays_within_a_crystal() {
        let a = 4.08;
        let mut gold = Structure::empty(Cell::orthorhombic(4.0 * a, 4.0 * a, 2.0 * a + 25.0).unwrap());
        for k in 0..4 * 4 * 2 {
            let corner = Vec3::new(f64::from(k % 4), f64::from(k / 4 % 4), f64::from(k / 16));
            for b in [[0.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.5, 0.0, 0.5], [0.0, 0.5, 0.5]] {
                gold.push("Au", a * (corner + Vec3::from(b)));
            }
        }
        let (n, top) = (gold.len(), 1.5 * a);
        for seed in 0..4 {
            let around = Some(gold.clone());
            let s = pack("molecules = [{ species = 'Ar', count = 1 }]", around, seed).unwrap();
            assert!(s.cell.wrap(&s.positions[n]).0.z > top, "{}", s.positions[n]);
        }
        let s = pack("molecules = [{ water = 'spce', count = 100 }]", Some(gold), 1).unwrap();
        let molecule = |i: usize| if i < n { 0 } else { 1 + (i - n) / 3 };
        assert!(closest(&s, molecule, Contact { heavy: 2.4 }) >= 1.0);
    }

    #[test]
    fn what_cannot_fit_is_refused() {
        let text = "molecules = [{ water = 'spce', count = 100 }]\nmass_density = '3.5 g/cm^3'";
        let e = pack(text, None, 1).unwrap_err();
        assert!(e.message.contains("do not fit: the closest atoms stay"), "{}", e.message);
        assert_eq!(pack("molecules = []", None, 1).unwrap_err().key, "molecules");
        assert!(
            pack("molecules = [{ water = 'spce', count = 1 }]", None, 1)
                .unwrap_err()
                .message
                .contains("size of the box")
        );
        assert_eq!(
            pack("molecules = [{ count = 1 }]\nlengths = ['9 Å', '9 Å', '9 Å']", None, 1).unwrap_err().key,
            "molecules[0]"
        );
    }
}

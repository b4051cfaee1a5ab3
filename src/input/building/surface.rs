//! Surfaces: slabs of a crystal with faces of given Miller indices.
use crate::input::checks::{check_count, positive};
use crate::input::structure::Structure;
use caloron_engine::quantity::Length;
use caloron_engine::{Cell, Mat3, Quantity, SpecError, Vec3};
use schemars::JsonSchema;
use serde::Deserialize;

/// A slab cut from the crystal, with its faces normal to z, in the smallest cell of the surface: a along x, b at an angle
/// from 90 to 120 degrees to it, c along z. Repeat it with `repeat = [n, m, 1]`; `supercell = [[1, 0, 0], [1, 2, 0], [0, 0, 1]]`
/// makes the cell of an fcc (111) surface rectangular.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SurfaceSpec {
    /// Miller indices in terms of the cell of the crystal; hexagonal crystals may have four, [h, k, -h-k, l].
    pub miller: Vec<i32>,
    /// Number of atomic layers. Give this or `thickness`.
    pub layers: Option<u32>,
    /// Smallest distance between the outermost layers.
    pub thickness: Option<Quantity<Length>>,
    /// Empty height between the upper face and the next image of the lower one.
    pub vacuum: Quantity<Length>,
    /// Which layer of the crystal is the lowest, counted upwards from 0, for crystals whose layers differ. Default 0.
    #[serde(default)]
    pub termination: u32,
}

/// Most atoms of a crystal in which a smaller cell is looked for.
const LARGEST_CELL: usize = 400;
/// Fractional coordinates closer than this are equal.
const EQUAL: f64 = 1e-5;

type Integers = [i64; 3];

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a.abs() } else { gcd(b, a % b) }
}

/// (g, p, q) with p a + q b = g = gcd(a, b) >= 0.
fn bezout(a: i64, b: i64) -> (i64, i64, i64) {
    if b == 0 {
        return (a.abs(), a.signum(), 0);
    }
    let (g, p, q) = bezout(b, a % b);
    (g, q, p - a / b * q)
}

/// Integer vectors u, v with n·u = n·v = 0 that span that plane, and w with n·w = 1, for coprime n.
fn plane(n: Integers) -> [Integers; 3] {
    let [h, k, l] = n;
    let (g, p, q) = bezout(h, k);
    if g == 0 {
        return [[1, 0, 0], [0, 1, 0], [0, 0, l]];
    }
    let (_, x, y) = bezout(g, l);
    [[k / g, -h / g, 0], [p * l, q * l, -g], [x * p, x * q, y]]
}

/// The difference of two fractional coordinates without whole numbers.
fn rest(d: Vec3) -> Vec3 {
    d.map(|x| x - x.round())
}

impl Structure {
    /// Fractional translations that map the crystal onto itself, the zero one first.
    fn translations(&self, s: &[Vec3]) -> Vec<Vec3> {
        let mut out = vec![Vec3::zeros()];
        if self.len() > LARGEST_CELL {
            return out;
        }
        let like = |i: usize, j: usize| {
            self.symbols[i] == self.symbols[j] && self.charges.as_ref().is_none_or(|q| q[i] == q[j])
        };
        for j in (1..self.len()).filter(|&j| like(0, j)) {
            let t = rest(s[j] - s[0]);
            let maps = |i: usize| (0..s.len()).any(|k| like(i, k) && rest(s[i] + t - s[k]).amax() < EQUAL);
            if (0..s.len()).all(maps) {
                out.push(t);
            }
        }
        out
    }
    /// Vectors of a primitive cell, as columns of fractional coordinates, and how many of its cells the cell holds.
    fn primitive(&self, s: &[Vec3]) -> (Mat3, f64) {
        let translations = self.translations(s);
        let m = translations.len() as f64;
        let h = self.cell.matrix();
        let mut all: Vec<Vec3> = Vec::new();
        for t in &translations {
            for a in -1..=1 {
                for b in -1..=1 {
                    for c in -1..=1 {
                        all.push(t + Vec3::new(f64::from(a), f64::from(b), f64::from(c)));
                    }
                }
            }
        }
        let length = |t: &Vec3| (h * t).norm();
        all.retain(|t| t.amax() > EQUAL);
        all.sort_by(|a, b| length(a).total_cmp(&length(b)));
        // the three shortest independent vectors of a lattice span it
        let mut basis: Vec<Vec3> = Vec::new();
        for t in all {
            let independent = match basis.as_slice() {
                [] => true,
                [a] => a.cross(&t).norm() > EQUAL,
                [a, b] => a.cross(b).dot(&t).abs() > EQUAL,
                _ => break,
            };
            if independent {
                basis.push(t);
            }
        }
        let found = Mat3::from_columns(&basis);
        if (found.determinant().abs() * m - 1.0).abs() < 1e-3 { (found, m) } else { (Mat3::identity(), 1.0) }
    }
    /// A slab; errors are relative to `surface`.
    pub(crate) fn surface(self, spec: &SurfaceSpec) -> Result<Self, SpecError> {
        if !self.cell.is_fully_periodic() {
            return Err(SpecError::new("", "a surface is cut from a crystal that repeats in all directions")
                .hint("give a `lattice`, or a structure with a periodic cell"));
        }
        if self.len() == 0 {
            return Err(SpecError::new("", "the crystal has no atoms").hint("name a structure that has some"));
        }
        let vacuum = spec.vacuum.internal();
        if !(vacuum >= 0.0 && vacuum.is_finite()) {
            return Err(SpecError::new("vacuum", "the vacuum must not be negative").hint("10 Å is usual"));
        }
        let h = *self.cell.matrix();
        let miller = self.indices(&spec.miller).map_err(|e| e.within("miller"))?;
        let s: Vec<Vec3> = self.positions.iter().map(|r| self.cell.fractional(r)).collect();
        let (mut primitive, mut cells) = self.primitive(&s);
        let direction = |p: &Mat3, m: f64| -> Option<Integers> {
            let q: [f64; 3] = std::array::from_fn(|i| m * p.column(i).dot(&miller));
            let n = q.map(|x| x.round() as i64);
            let g = gcd(gcd(n[0], n[1]), n[2]);
            ((0..3).all(|k| (q[k] - n[k] as f64).abs() < 1e-3) && g > 0).then(|| n.map(|x| x / g))
        };
        let n = match direction(&primitive, cells) {
            Some(n) => n,
            None => {
                (primitive, cells) = (Mat3::identity(), 1.0);
                direction(&primitive, 1.0).unwrap_or([0, 0, 1])
            }
        };
        // Cartesian vectors: u and v in the surface, w to the next layer of cells
        let lattice = h * primitive;
        let vector = |c: Integers| lattice * Vec3::new(c[0] as f64, c[1] as f64, c[2] as f64);
        let [mut u, mut v, mut w] = plane(n).map(vector);
        loop {
            if v.norm() < u.norm() * (1.0 - 1e-9) {
                std::mem::swap(&mut u, &mut v);
            }
            let k = (u.dot(&v) / u.norm_squared() + 1e-9).floor();
            let k = if (v - u * (k + 1.0)).norm() < (v - u * k).norm() * (1.0 - 1e-9) { k + 1.0 } else { k };
            if k == 0.0 {
                break;
            }
            v -= u * k;
        }
        // the outward normal is that of the indices
        let up = h.try_inverse().map_or(Vec3::z(), |i| i.transpose() * miller).normalize();
        if u.cross(&v).dot(&up) < 0.0 {
            v = -v;
        }
        if u.dot(&v) > 1e-9 * u.norm_squared() {
            v -= u;
        }
        if w.dot(&up) < 0.0 {
            w = -w;
        }
        let x = u.normalize();
        let turn = Mat3::from_rows(&[x.transpose(), up.cross(&x).transpose(), up.transpose()]);
        let (u, v, w) = (turn * u, turn * v, turn * w);
        let slab = Layers::of(&self, &s, &(turn * h), Mat3::from_columns(&[u, v, w]), cells as usize)?;
        let count = slab.count(spec)?;
        slab.cut(&self, count, spec.termination as usize, [u, v], vacuum)
    }
    /// Three indices, coprime.
    fn indices(&self, given: &[i32]) -> Result<Vec3, SpecError> {
        let three = match *given {
            [h, k, l] => [h, k, l],
            [h, k, i, l] => {
                let ([a, b, _], [_, _, gamma]) = self.cell.lengths_angles();
                if (a - b).abs() > 1e-3 * a || (gamma - 120.0).abs() > 0.1 {
                    return Err(SpecError::new("", "four indices belong to hexagonal crystals")
                        .hint("write three indices"));
                }
                if i64::from(h) + i64::from(k) + i64::from(i) != 0 {
                    return Err(SpecError::new(
                        "",
                        format!(
                            "the first three indices add up to {}, not to 0",
                            i64::from(h) + i64::from(k) + i64::from(i)
                        ),
                    )
                    .hint("the four indices are h, k, -h-k, l"));
                }
                [h, k, l]
            }
            _ => {
                return Err(SpecError::new("", format!("{} indices are given", given.len()))
                    .hint("write three, such as [1, 1, 1], or four for hexagonal crystals"));
            }
        };
        if three == [0; 3] || three.iter().any(|x| x.unsigned_abs() > 50) {
            return Err(SpecError::new("", format!("{three:?} is no face"))
                .hint("at least one index is not 0, and none is above 50"));
        }
        let n = three.map(i64::from);
        let g = gcd(gcd(n[0], n[1]), n[2]);
        Ok(Vec3::from(n.map(|x| (x / g) as f64)))
    }
}

/// The atoms of one cell of a surface by height.
struct Layers {
    /// Lattice vectors of the surface and to the next cell above.
    basis: Mat3,
    /// Atoms with their fractional coordinates in the basis, layer by layer upwards.
    layers: Vec<Vec<(usize, Vec3)>>,
    /// Height of each layer and, last, that of the first of the next cell.
    heights: Vec<f64>,
}

impl Layers {
    fn of(
        structure: &Structure,
        s: &[Vec3],
        turned: &Mat3,
        basis: Mat3,
        cells: usize,
    ) -> Result<Self, SpecError> {
        let broken =
            || SpecError::new("", "the crystal could not be cut").hint("check its cell and positions");
        let inverse = basis.try_inverse().ok_or_else(broken)?;
        let mut atoms: Vec<(usize, Vec3)> = Vec::new();
        for (i, s) in s.iter().enumerate() {
            let f = inverse * (turned * s);
            let wrapped = f.map(|x| if (x - x.round()).abs() < EQUAL { 0.0 } else { x - x.floor() });
            let known = |(j, g): &(usize, Vec3)| {
                structure.symbols[*j] == structure.symbols[i] && rest(wrapped - g).amax() < 10.0 * EQUAL
            };
            if !atoms.iter().any(known) {
                atoms.push((i, wrapped));
            }
        }
        if atoms.len() * cells != structure.len() {
            return Err(broken());
        }
        let spacing = basis[(2, 2)];
        let tolerance = 0.02 * (basis.determinant().abs() / atoms.len() as f64).cbrt();
        atoms.sort_by(|a, b| a.1.z.total_cmp(&b.1.z).then(a.0.cmp(&b.0)));
        let (mut layers, mut heights): (Vec<Vec<(usize, Vec3)>>, Vec<f64>) = (vec![], vec![]);
        for (i, f) in atoms {
            let z = f.z * spacing;
            match (layers.last_mut(), heights.last()) {
                (Some(layer), Some(h)) if z - h < tolerance => layer.push((i, f)),
                _ => {
                    layers.push(vec![(i, f)]);
                    heights.push(z);
                }
            }
        }
        // a layer that the boundary cuts
        if let [first, .., last] = heights.as_slice()
            && first + spacing - last < tolerance
            && let Some(top) = layers.pop()
        {
            heights.pop();
            layers[0].extend(top.into_iter().map(|(i, f)| (i, f - Vec3::z())));
        }
        heights.push(heights[0] + spacing);
        Ok(Self { basis, layers, heights })
    }
    fn height(&self, layer: usize) -> f64 {
        let n = self.layers.len();
        self.heights[layer % n] + (layer / n) as f64 * self.basis[(2, 2)]
    }
    fn count(&self, spec: &SurfaceSpec) -> Result<usize, SpecError> {
        let n = self.layers.len();
        if spec.termination as usize >= n {
            let message =
                format!("there is no layer {}: the crystal has {n} different layers", spec.termination);
            return Err(
                SpecError::new("termination", message).hint(format!("they are counted from 0 to {}", n - 1))
            );
        }
        match (spec.layers, spec.thickness) {
            (Some(0), None) => {
                Err(SpecError::new("layers", "a slab has at least one layer")
                    .hint("write the number of layers"))
            }
            (Some(l), None) => Ok(l as usize),
            (None, Some(t)) => {
                let t = positive("thickness", t.internal())?;
                let most = (t / self.basis[(2, 2)] + 2.0) * n as f64;
                check_count("thickness", most as u64)?;
                let bottom = spec.termination as usize;
                let enough = |l: &usize| self.height(bottom + l - 1) - self.height(bottom) >= t - 1e-6;
                Ok((1..=most as usize).find(enough).unwrap_or(most as usize))
            }
            (Some(_), Some(_)) => Err(SpecError::new("thickness", "`layers` and `thickness` are both given")
                .hint("keep one of them")),
            (None, None) => Err(SpecError::new("", "the thickness of the slab is missing")
                .hint("add `layers = 6` or `thickness = \"20 Å\"`")),
        }
    }
    fn cut(
        &self,
        structure: &Structure,
        count: usize,
        first: usize,
        [u, v]: [Vec3; 2],
        vacuum: f64,
    ) -> Result<Structure, SpecError> {
        let n = self.layers.len();
        let per_layer = self.layers.iter().map(Vec::len).max().unwrap_or(1);
        check_count("layers", (count as u64).saturating_mul(per_layer as u64))?;
        let bottom = self.height(first);
        let height = self.height(first + count - 1) - bottom + vacuum;
        let cell = Cell::new([u, v, Vec3::z() * height], [true; 3]).map_err(|_| {
            SpecError::new("vacuum", "the cell of the slab has no height").hint("add vacuum or layers")
        })?;
        let mut out = Structure::empty(cell);
        out.masses = structure.masses.as_ref().map(|_| vec![]);
        out.charges = structure.charges.as_ref().map(|_| vec![]);
        for layer in first..first + count {
            for (i, f) in &self.layers[layer % n] {
                let mut r = self.basis * (f + Vec3::z() * (layer / n) as f64);
                let z = r.z - bottom + 0.5 * vacuum;
                r.z = 0.0;
                let s = out.cell.fractional(&r);
                let s = s.map(|x| if (x - x.round()).abs() < EQUAL { 0.0 } else { x - x.floor() });
                r = out.cell.cartesian(&s);
                r.z = z;
                out.push(&structure.symbols[*i], r);
                if let (Some(to), Some(from)) = (&mut out.masses, &structure.masses) {
                    to.push(from[*i]);
                }
                if let (Some(to), Some(from)) = (&mut out.charges, &structure.charges) {
                    to.push(from[*i]);
                }
            }
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::LatticeSpec;
    use caloron_engine::{UnitSystem, quantity::reading_in};

    fn slab(lattice: &str, surface: &str) -> Result<Structure, SpecError> {
        reading_in(UnitSystem::Lj, || {
            let spec: SurfaceSpec = toml::from_str(surface).unwrap();
            toml::from_str::<LatticeSpec>(lattice).unwrap().build().unwrap().surface(&spec)
        })
    }

    /// Distinct heights.
    fn heights(s: &Structure) -> Vec<f64> {
        let mut z: Vec<f64> = s.positions.iter().map(|r| r.z).collect();
        z.sort_by(f64::total_cmp);
        z.dedup_by(|a, b| (*a - *b).abs() < 1e-6);
        z
    }

    /// Neighbours of an atom within a distance.
    fn neighbours(s: &Structure, i: usize, within: f64) -> usize {
        let mut n = 0;
        for (j, r) in s.positions.iter().enumerate() {
            for a in -4..=4 {
                for b in -4..=4 {
                    let d = (r + s.cell.translation([a, b, 0]) - s.positions[i]).norm();
                    n += usize::from(d < within && (j != i || [a, b] != [0; 2]));
                }
            }
        }
        n
    }

    #[test]
    fn layers_have_the_distances_areas_and_coordination_of_the_crystal() {
        let sqrt = f64::sqrt;
        let (fcc, bcc) = ("fcc = { a = 4, species = 'X' }", "bcc = { a = 4, species = 'X' }");
        let (dia, sc) = ("diamond = { a = 4, species = 'X' }", "sc = { a = 4, species = 'X' }");
        // indices, distance of layers, area for each atom of a layer, nearest neighbours on top and in the middle
        for (lattice, miller, distance, area, top, bulk) in [
            (fcc, "[1, 1, 1]", 4.0 / sqrt(3.0), 4.0 * sqrt(3.0), 9, 12),
            (fcc, "[0, 0, 1]", 2.0, 8.0, 8, 12),
            (fcc, "[1, 1, 0]", sqrt(2.0), 8.0 * sqrt(2.0), 7, 12),
            (fcc, "[-1, 1, 3]", 4.0 / sqrt(11.0), 4.0 * sqrt(11.0), 7, 12),
            (bcc, "[1, 1, 0]", 2.0 * sqrt(2.0), 8.0 * sqrt(2.0), 6, 8),
            (bcc, "[1, 0, 0]", 2.0, 16.0, 4, 8),
            (bcc, "[1, 1, 1]", 2.0 / sqrt(3.0), 16.0 * sqrt(3.0), 4, 8),
            (sc, "[2, 1, 0]", 4.0 / sqrt(5.0), 16.0 * sqrt(5.0), 4, 6),
            (dia, "[1, 0, 0]", 1.0, 8.0, 2, 4),
        ] {
            let text = format!("miller = {miller}\nlayers = 17\nvacuum = 10");
            let s = slab(lattice, &text).unwrap();
            let z = heights(&s);
            assert_eq!(z.len(), 17, "{lattice} {miller}");
            assert!(z.windows(2).all(|w| (w[1] - w[0] - distance).abs() < 1e-9), "{miller} {z:?}");
            let (a, b) = (s.cell.vector(0), s.cell.vector(1));
            let per_atom = a.cross(&b).norm() * 17.0 / s.len() as f64;
            assert!((per_atom - area).abs() < 1e-9, "{lattice} {miller} {per_atom}");
            assert_eq!(s.len(), 17, "{lattice} {miller}: the cell is not the smallest");
            assert!((s.cell.vector(2) - Vec3::z() * (16.0 * distance + 10.0)).norm() < 1e-9);
            let bond = match lattice {
                l if l == fcc => 4.0 / sqrt(2.0),
                l if l == bcc => 2.0 * sqrt(3.0),
                l if l == sc => 4.0,
                _ => sqrt(3.0),
            };
            let of = |i| neighbours(&s, i, bond * 1.01);
            assert_eq!((of(16), of(8)), (top, bulk), "{lattice} {miller}");
            assert_eq!(of(0), top, "{lattice} {miller}: the faces differ");
        }
    }

    #[test]
    fn hexagonal_and_ionic_crystals() {
        let hcp = "hcp = { a = 3, species = 'X' }";
        let s = slab(hcp, "miller = [0, 0, 0, 1]\nlayers = 4\nvacuum = 8").unwrap();
        assert_eq!(heights(&s).len(), 4);
        assert!((heights(&s)[1] - heights(&s)[0] - 3.0 * (2.0f64 / 3.0).sqrt()).abs() < 1e-9);
        assert_eq!(neighbours(&s, 3, 3.01), 9);
        let wrong = slab(hcp, "miller = [1, 0, 0, 1]\nlayers = 4\nvacuum = 8").unwrap_err();
        assert_eq!(wrong.key, "miller");
        // polar and neutral faces of rock salt
        let salt = "rocksalt = { a = 4, species = ['Na', 'Cl'] }";
        for (termination, lowest) in [(0, "Na"), (1, "Cl")] {
            let text = format!("miller = [1, 1, 1]\nlayers = 3\nvacuum = 8\ntermination = {termination}");
            let s = slab(salt, &text).unwrap();
            assert_eq!((s.len(), s.symbols[0].as_str(), s.symbols[2].as_str()), (3, lowest, lowest));
        }
        let s = slab(salt, "miller = [1, 0, 0]\nthickness = 7.9\nvacuum = 8").unwrap();
        assert_eq!((s.len(), heights(&s).len()), (10, 5));
        assert!(slab(salt, "miller = [1, 1, 1]\nlayers = 3\nvacuum = 8\ntermination = 2").is_err());
    }
}

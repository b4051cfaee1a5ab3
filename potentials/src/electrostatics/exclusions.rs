//! Pairs of atoms of one molecule whose non-bonded interaction is left out or scaled.
use caloron_engine::{Cell, SpecError, Vec3};

/// A pair whose non-bonded interaction is not the full one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScaledPair {
    /// The two atoms, from 0.
    pub atoms: [u32; 2],
    /// Factor of the Coulomb interaction: 0 leaves it out.
    pub coulomb: f64,
    /// Factor of the van der Waals interaction: 0 leaves it out.
    pub van_der_waals: f64,
}

impl ScaledPair {
    /// A pair without any non-bonded interaction.
    pub fn excluded(i: u32, j: u32) -> Self {
        Self { atoms: [i, j], coulomb: 0.0, van_der_waals: 0.0 }
    }
}

/// The excluded and scaled pairs of a system, each atom with its partners.
///
/// A pair stands for the two atoms of one molecule, hence for their nearest images; other periodic images of the
/// same two atoms belong to other copies of the molecule and interact fully.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exclusions {
    offsets: Vec<u32>,
    partners: Vec<Partner>,
}

/// The other atom of a scaled pair, and the factors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Partner {
    /// The other atom.
    pub atom: u32,
    /// Factor of the Coulomb interaction.
    pub coulomb: f64,
    /// Factor of the van der Waals interaction.
    pub van_der_waals: f64,
}

impl Exclusions {
    /// From a list of pairs, in any order.
    ///
    /// # Errors
    /// When an atom does not exist, a pair joins an atom with itself, a factor is not finite, or a pair is given twice
    /// with different factors. The key is the index of the pair.
    pub fn new(atoms: usize, pairs: &[ScaledPair]) -> Result<Self, SpecError> {
        let mut rows: Vec<Vec<Partner>> = vec![Vec::new(); atoms];
        for (k, pair) in pairs.iter().enumerate() {
            let [i, j] = pair.atoms;
            let wrong = |message: String| Err(SpecError::new(format!("[{k}]"), message));
            if i == j {
                return wrong(format!("the pair joins atom {i} with itself"));
            }
            if let Some(&x) = pair.atoms.iter().find(|x| **x as usize >= atoms) {
                return wrong(format!("there is no atom {x}: the system has {atoms} atoms, counted from 0"));
            }
            if !(pair.coulomb.is_finite() && pair.van_der_waals.is_finite()) {
                return wrong(format!("the factors of the pair {i}, {j} must be finite"));
            }
            let partner = |atom| Partner { atom, coulomb: pair.coulomb, van_der_waals: pair.van_der_waals };
            match rows[i as usize].iter().find(|p| p.atom == j) {
                Some(p) if *p == partner(j) => {}
                Some(_) => return wrong(format!("the pair {i}, {j} is given twice with different factors")),
                None => {
                    rows[i as usize].push(partner(j));
                    rows[j as usize].push(partner(i));
                }
            }
        }
        let mut this = Self { offsets: vec![0], partners: Vec::new() };
        for row in &mut rows {
            row.sort_unstable_by_key(|p| p.atom);
            this.partners.extend_from_slice(row);
            this.offsets.push(this.partners.len() as u32);
        }
        if this.partners.is_empty() {
            this.offsets.clear();
        }
        Ok(this)
    }
    /// The usual rule of molecular force fields: atoms one or two bonds apart are excluded, atoms three bonds apart (and
    /// no less on another path) are scaled by `one_four` = [Coulomb, van der Waals].
    ///
    /// # Errors
    /// As [`Exclusions::new`].
    pub fn from_bonds(atoms: usize, bonds: &[[u32; 2]], one_four: [f64; 2]) -> Result<Self, SpecError> {
        let direct: Vec<ScaledPair> = bonds.iter().map(|b| ScaledPair::excluded(b[0], b[1])).collect();
        let bonded = Self::new(atoms, &direct)?;
        let mut pairs = Vec::new();
        for i in 0..atoms as u32 {
            // breadth first, three bonds deep
            let mut seen = vec![i];
            let mut shell = vec![i];
            for depth in 1..=3 {
                let mut next = Vec::new();
                for &a in &shell {
                    for p in bonded.partners(a as usize) {
                        if !seen.contains(&p.atom) {
                            seen.push(p.atom);
                            next.push(p.atom);
                        }
                    }
                }
                let [coulomb, van_der_waals] = if depth < 3 { [0.0; 2] } else { one_four };
                let of = next.iter().filter(|j| **j > i);
                pairs.extend(of.map(|&j| ScaledPair { atoms: [i, j], coulomb, van_der_waals }));
                shell = next;
            }
        }
        Self::new(atoms, &pairs)
    }
    /// True without any pair.
    pub fn is_empty(&self) -> bool {
        self.partners.is_empty()
    }
    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.partners.len() / 2
    }
    /// The partners of an atom, in ascending order.
    pub fn partners(&self, atom: usize) -> &[Partner] {
        match self.offsets.get(atom..atom + 2) {
            Some(&[a, b]) => &self.partners[a as usize..b as usize],
            _ => &[],
        }
    }
    /// Each pair once, the smaller index first.
    pub fn pairs(&self) -> impl Iterator<Item = ScaledPair> {
        (0..self.offsets.len().saturating_sub(1)).flat_map(move |i| {
            let beyond = self.partners(i).iter().filter(move |p| p.atom as usize > i);
            beyond.map(move |p| ScaledPair {
                atoms: [i as u32, p.atom],
                coulomb: p.coulomb,
                van_der_waals: p.van_der_waals,
            })
        })
    }
}

/// Vectors between nearest images; quick where they are shorter than half the smallest height of the cell.
pub(crate) struct Nearest<'a> {
    cell: &'a Cell,
    safe: f64,
}

impl<'a> Nearest<'a> {
    pub(crate) fn new(cell: &'a Cell) -> Self {
        let heights = cell.heights();
        let periodic = cell.periodic();
        let least = (0..3).filter(|&k| periodic[k]).map(|k| heights[k]).fold(f64::INFINITY, f64::min);
        // every lattice vector is at least as long as the smallest height
        Self { cell, safe: (0.5 * least).powi(2) }
    }
    pub(crate) fn vector(&self, from: &Vec3, to: &Vec3) -> Vec3 {
        let d = to - from;
        if self.cell.is_open() || d.norm_squared() < self.safe {
            return d;
        }
        let mut s = self.cell.inverse() * d;
        let periodic = self.cell.periodic();
        for k in 0..3 {
            if periodic[k] {
                s[k] -= s[k].round();
            }
        }
        let d = self.cell.matrix() * s;
        if d.norm_squared() < self.safe { d } else { self.cell.shortest(from, to) }
    }
    /// From atom i to atom j, in the image that j sees too.
    pub(crate) fn between(&self, i: usize, j: usize, positions: &[Vec3]) -> Vec3 {
        if i < j {
            self.vector(&positions[i], &positions[j])
        } else {
            -self.vector(&positions[j], &positions[i])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bonds_give_the_usual_exclusions() {
        // butane backbone and a ring of five
        let chain = Exclusions::from_bonds(4, &[[0, 1], [1, 2], [2, 3]], [0.5, 0.25]).unwrap();
        assert_eq!(chain.len(), 6);
        assert_eq!(chain.partners(0)[2], Partner { atom: 3, coulomb: 0.5, van_der_waals: 0.25 });
        assert_eq!(chain.pairs().filter(|p| p.coulomb == 0.0).count(), 5);
        let ring = Exclusions::from_bonds(5, &[[0, 1], [1, 2], [2, 3], [3, 4], [4, 0]], [0.5, 0.5]).unwrap();
        assert_eq!(ring.pairs().filter(|p| p.coulomb == 0.0).count(), 10);
    }

    #[test]
    fn wrong_pairs_are_refused() {
        let message = |pairs: &[ScaledPair]| Exclusions::new(3, pairs).unwrap_err().message;
        assert!(message(&[ScaledPair::excluded(1, 1)]).contains("itself"));
        assert!(message(&[ScaledPair::excluded(1, 3)]).contains("no atom 3"));
        let scaled = ScaledPair { atoms: [1, 0], coulomb: 0.5, van_der_waals: 0.5 };
        assert!(message(&[ScaledPair::excluded(0, 1), scaled]).contains("twice"));
        assert!(Exclusions::new(3, &[scaled, scaled]).unwrap().len() == 1);
        assert!(Exclusions::new(3, &[]).unwrap().is_empty());
    }

    #[test]
    fn nearest_vectors_are_the_shortest() {
        let cell = Cell::from_lengths_angles([5.0, 6.0, 9.0], [60.0, 70.0, 50.0]).unwrap();
        let nearest = Nearest::new(&cell);
        for k in 0..200 {
            let r =
                |f: f64| Vec3::new((f * 1.7).sin() * 20.0, (f * 2.3).cos() * 20.0, (f * 0.9).sin() * 20.0);
            let (a, b) = (r(f64::from(k)), r(f64::from(k) + 0.37));
            let (x, y) = (nearest.vector(&a, &b), cell.shortest(&a, &b));
            assert!((x.norm() - y.norm()).abs() < 1e-12);
        }
    }
}

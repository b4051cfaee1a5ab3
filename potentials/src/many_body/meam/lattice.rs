//! Reference structures.

/// The structures that pair potentials are derived from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lattice {
    Fcc,
    Bcc,
    Hcp,
    Sc,
    Diamond,
    /// Diamond whose second shell is the third one: the second neighbours are left out.
    DiamondThird,
    Dimer,
    /// Sodium chloride.
    B1,
    /// Caesium chloride.
    B2,
    /// Cu₃Au; the element with the lower number is the majority.
    L12,
    /// MoSi₂ (C11b).
    C11,
    /// Methane; the element with the lower number is in the middle.
    Methane,
    /// A straight chain.
    Linear,
    /// A bent chain, whose second neighbours are of the same element.
    Zigzag,
    /// A bent molecule of three atoms such as water; the element with the lower number is at the ends.
    Trimer,
}

/// Names in files, in the order of [`ALL`].
const NAMES: [&str; 15] =
    ["fcc", "bcc", "hcp", "sc", "dia", "dia3", "dim", "lin", "zig", "tri", "b1", "b2", "l12", "c11", "ch4"];
const ALL: [Lattice; 15] = {
    use Lattice::*;
    [Fcc, Bcc, Hcp, Sc, Diamond, DiamondThird, Dimer, Linear, Zigzag, Trimer, B1, B2, L12, C11, Methane]
};

/// Second neighbours in a reference structure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct SecondShell {
    /// Their number.
    pub count: f64,
    /// Their distance over that of first neighbours.
    pub ratio: f64,
    /// Atoms that screen each of them most.
    pub screens: i32,
    /// C of the ellipses through these.
    pub c: f64,
}

impl Lattice {
    /// The structure of a name in a file.
    pub fn read(word: &str) -> Option<Self> {
        let word = word.to_ascii_lowercase();
        NAMES.iter().position(|n| *n == word).map(|k| ALL[k])
    }
    /// What can be read, for messages.
    pub fn known() -> String {
        NAMES.join(", ")
    }
    /// What an element can have, for messages.
    pub fn known_of_one() -> String {
        let one = NAMES.iter().zip(ALL).filter(|(_, l)| !l.needs_two()).map(|(n, _)| *n);
        one.collect::<Vec<_>>().join(", ")
    }
    /// True for structures of two elements.
    pub fn needs_two(self) -> bool {
        matches!(self, Self::B1 | Self::B2 | Self::L12 | Self::C11 | Self::Methane)
    }
    /// Distance of first neighbours for a lattice constant.
    pub fn distance(self, constant: f64) -> f64 {
        match self {
            Self::Fcc => constant / 2f64.sqrt(),
            Self::Bcc => constant * 3f64.sqrt() / 2.0,
            Self::Diamond | Self::DiamondThird => constant * 3f64.sqrt() / 4.0,
            _ => constant,
        }
    }
    /// Number of first neighbours.
    pub fn neighbors(self) -> f64 {
        match self {
            Self::Fcc | Self::Hcp | Self::L12 => 12.0,
            Self::Bcc | Self::B2 => 8.0,
            Self::C11 => 10.0,
            Self::B1 | Self::Sc => 6.0,
            Self::Diamond | Self::DiamondThird | Self::Methane => 4.0,
            Self::Linear | Self::Zigzag | Self::Trimer => 2.0,
            Self::Dimer => 1.0,
        }
    }
    /// Second neighbours, for the angle of bent structures. `None`: there are none.
    pub fn second(self, angle: f64) -> Option<SecondShell> {
        let shell = |count: f64, square: f64, screens, c: f64| {
            Some(SecondShell { count, ratio: square.sqrt(), screens, c })
        };
        match self {
            Self::Fcc | Self::Hcp | Self::L12 => shell(6.0, 2.0, 4, 1.0),
            Self::Bcc | Self::B2 => shell(6.0, 4.0 / 3.0, 4, 2.0),
            Self::B1 | Self::Sc => shell(12.0, 2.0, 2, 1.0),
            Self::Diamond => shell(12.0, 8.0 / 3.0, 1, 0.5),
            Self::DiamondThird => shell(12.0, 11.0 / 3.0, 4, 1.0),
            Self::Zigzag | Self::Trimer => {
                let across = 4.0 * (0.5 * angle).sin().powi(2);
                // both atoms at the ends of a molecule count as screening each other
                let (count, screens) = if self == Self::Zigzag { (2.0, 1) } else { (1.0, 2) };
                shell(count, across, screens, 4.0 / across - 1.0)
            }
            Self::C11 | Self::Methane | Self::Linear | Self::Dimer => None,
        }
    }
    /// ρ_h²/ρa_h² for h = 1, 2, 3: Σ_jk of cos θ, cos² θ − ⅓ and cos³ θ − ⅗ cos θ over first neighbours, for the angle of
    /// bent structures.
    pub fn shape(self, angle: f64) -> [f64; 3] {
        match self {
            Self::Hcp => [0.0, 0.0, 1.0 / 3.0],
            Self::Diamond | Self::DiamondThird | Self::Methane => [0.0, 0.0, 32.0 / 9.0],
            Self::Dimer => [1.0, 2.0 / 3.0, 0.4],
            Self::Linear => [0.0, 8.0 / 3.0, 0.0],
            Self::Zigzag | Self::Trimer => {
                let cos = angle.cos();
                [2.0 + 2.0 * cos, 2.0 / 3.0 + 2.0 * cos * cos, 0.8 + 2.0 * cos * cos * cos - 1.2 * cos]
            }
            _ => [0.0; 3],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Directions to first neighbours.
    fn directions(lattice: Lattice, angle: f64) -> Vec<[f64; 3]> {
        let mut all = Vec::new();
        let signs = [-1.0, 1.0];
        match lattice {
            Lattice::Fcc | Lattice::L12 => {
                for a in signs {
                    for b in signs {
                        all.extend([[a, b, 0.0], [a, 0.0, b], [0.0, a, b]]);
                    }
                }
            }
            Lattice::Bcc | Lattice::B2 => {
                for k in 0..8 {
                    all.push([0, 1, 2].map(|c| signs[k >> c & 1]));
                }
            }
            Lattice::Sc | Lattice::B1 => {
                for a in signs {
                    all.extend([[a, 0.0, 0.0], [0.0, a, 0.0], [0.0, 0.0, a]]);
                }
            }
            Lattice::Diamond | Lattice::DiamondThird | Lattice::Methane => {
                all = vec![[1.0, 1.0, 1.0], [1.0, -1.0, -1.0], [-1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]];
            }
            Lattice::Dimer => all.push([0.0, 0.0, 1.0]),
            Lattice::Linear => all.extend([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]]),
            Lattice::Zigzag | Lattice::Trimer => {
                all.extend([[0.0, 0.0, 1.0], [angle.sin(), 0.0, angle.cos()]]);
            }
            // the atoms of MoSi₂ have no common surroundings
            Lattice::C11 => {}
            Lattice::Hcp => {
                let third = std::f64::consts::PI / 3.0;
                for k in 0..6 {
                    let turn = f64::from(k) * third;
                    all.push([turn.cos(), turn.sin(), 0.0]);
                }
                // the layers above and below lie over the same three of the six hollows
                for k in 0..3 {
                    let turn = (f64::from(2 * k) + 0.5) * third;
                    let flat = (1.0f64 / 3.0).sqrt();
                    for z in signs {
                        all.push([flat * turn.cos(), flat * turn.sin(), z * (2.0f64 / 3.0).sqrt()]);
                    }
                }
            }
        }
        all.iter()
            .map(|d| {
                let r = d.iter().map(|x| x * x).sum::<f64>().sqrt();
                d.map(|x| x / r)
            })
            .collect()
    }

    #[test]
    fn shells_and_shapes_follow_from_the_structures() {
        let angle = 1.8;
        for lattice in ALL.into_iter().filter(|l| *l != Lattice::C11) {
            let around = directions(lattice, angle);
            assert_eq!(around.len() as f64, lattice.neighbors(), "{lattice:?}");
            let mut shape = [0.0; 3];
            for a in &around {
                for b in &around {
                    let c: f64 = a.iter().zip(b).map(|(x, y)| x * y).sum();
                    shape[0] += c;
                    shape[1] += c * c - 1.0 / 3.0;
                    shape[2] += c * c * c - 0.6 * c;
                }
            }
            for (found, stated) in shape.iter().zip(lattice.shape(angle)) {
                assert!((found - stated).abs() < 1e-12, "{lattice:?}: {shape:?}");
            }
        }
    }

    #[test]
    fn second_neighbors_and_what_screens_them_are_counted() {
        let face = [[0.0; 3], [0.5, 0.5, 0.0], [0.5, 0.0, 0.5], [0.0, 0.5, 0.5]];
        let mut diamond = face.to_vec();
        diamond.extend(face.map(|p| p.map(|x| x + 0.25)));
        let cases = [
            (Lattice::Fcc, face.to_vec()),
            (Lattice::Bcc, vec![[0.0; 3], [0.5; 3]]),
            (Lattice::Sc, vec![[0.0; 3]]),
            (Lattice::Diamond, diamond.clone()),
            (Lattice::DiamondThird, diamond),
        ];
        let square =
            |a: &[f64; 3], b: &[f64; 3]| -> f64 { a.iter().zip(b).map(|(x, y)| (x - y).powi(2)).sum() };
        for (lattice, basis) in cases {
            let mut atoms = Vec::new();
            for cell in 0..343 {
                let cell = [cell / 49, cell / 7 % 7, cell % 7].map(|c| f64::from(c) - 3.0);
                atoms.extend(basis.iter().map(|b| [0, 1, 2].map(|c| cell[c] + b[c])));
            }
            let origin = [0.0; 3];
            let r2 = |p: &[f64; 3]| square(&origin, p);
            let nearest = atoms.iter().map(r2).filter(|r| *r > 1e-9).fold(f64::INFINITY, f64::min);
            let shell = lattice.second(std::f64::consts::PI).unwrap();
            let there = |p: &&[f64; 3]| (r2(p) / nearest - shell.ratio * shell.ratio).abs() < 1e-9;
            assert_eq!(atoms.iter().filter(there).count() as f64, shell.count, "{lattice:?}");
            let far = atoms.iter().find(there).unwrap();
            let ij = r2(far);
            let c: Vec<f64> = atoms
                .iter()
                .filter(|k| r2(k) > 1e-9 && square(far, k) > 1e-9)
                .filter_map(|k| super::super::screening::ellipse(r2(k) / ij, square(far, k) / ij))
                .map(|[c, ..]| c)
                .filter(|c| *c < 2.5)
                .collect();
            assert_eq!(c.len() as i32, shell.screens, "{lattice:?} {c:?}");
            assert!(c.iter().all(|c| (c - shell.c).abs() < 1e-9), "{lattice:?} {c:?}");
        }
    }

    #[test]
    fn names_are_read() {
        for (name, lattice) in NAMES.iter().zip(ALL) {
            assert_eq!(Lattice::read(name), Some(lattice));
        }
        assert_eq!(Lattice::read("a15"), None);
    }
}

//! Irreducible representations of O(3) and the paths of tensor products between them.
use std::fmt;

/// Degree and parity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Irrep {
    /// Degree l.
    pub l: usize,
    /// +1 (e) or −1 (o).
    pub parity: i8,
}

impl Irrep {
    /// The representation of the spherical harmonics of degree l: parity (−1)^l.
    pub fn natural(l: usize) -> Self {
        Self { l, parity: if l.is_multiple_of(2) { 1 } else { -1 } }
    }
    /// Number of components, 2l + 1.
    pub fn dim(self) -> usize {
        2 * self.l + 1
    }
}

impl fmt::Display for Irrep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.l, if self.parity > 0 { 'e' } else { 'o' })
    }
}

/// Blocks of a feature in order: multiplicity and representation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Irreps(pub Vec<(usize, Irrep)>);

impl Irreps {
    /// From text such as `128x0e + 128x1o`; a missing multiplicity is 1. `None` when it is no such text.
    pub fn parse(text: &str) -> Option<Self> {
        let term = |t: &str| {
            let (mul, irrep) = t.trim().split_once('x').unwrap_or(("1", t.trim()));
            let mul = mul.trim().parse().ok()?;
            let irrep = irrep.trim();
            let parity = match irrep.chars().last()? {
                'e' => 1,
                'o' => -1,
                _ => return None,
            };
            let l: usize = irrep[..irrep.len() - 1].parse().ok()?;
            (l <= 11).then_some((mul, Irrep { l, parity }))
        };
        text.split('+').map(term).collect::<Option<Vec<_>>>().map(Self)
    }
    /// Spherical harmonics up to a degree.
    pub fn spherical_harmonics(lmax: usize) -> Self {
        Self((0..=lmax).map(|l| (1, Irrep::natural(l))).collect())
    }
    /// Number of components.
    pub fn dim(&self) -> usize {
        self.0.iter().map(|(mul, i)| mul * i.dim()).sum()
    }
    /// Total multiplicity of a representation.
    pub fn count(&self, irrep: Irrep) -> usize {
        self.0.iter().filter(|b| b.1 == irrep).map(|b| b.0).sum()
    }
    /// The paths of the tensor product with spherical harmonics that give a representation of `target`, in the order of
    /// e3nn's weights: stably sorted by degree and parity of the output, odd before even.
    pub fn paths(&self, harmonics: &Self, target: &Self) -> Vec<Path> {
        let mut paths = self.paths_as_found(harmonics, target);
        paths.sort_by_key(|p| (p.output.l, p.output.parity));
        paths
    }
    /// The same in the order in which they are found: by input block, harmonic, degree of the output.
    pub fn paths_as_found(&self, harmonics: &Self, target: &Self) -> Vec<Path> {
        let mut paths = Vec::new();
        for (input, &(_, a)) in self.0.iter().enumerate() {
            for &(_, b) in &harmonics.0 {
                for l in a.l.abs_diff(b.l)..=a.l + b.l {
                    let output = Irrep { l, parity: a.parity * b.parity };
                    if target.0.iter().any(|t| t.1 == output) {
                        paths.push(Path { input, degrees: [a.l, b.l, l], output });
                    }
                }
            }
        }
        paths
    }
}

impl fmt::Display for Irreps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (k, (mul, irrep)) in self.0.iter().enumerate() {
            write!(f, "{}{mul}x{irrep}", if k == 0 { "" } else { "+" })?;
        }
        Ok(())
    }
}

/// One path of a tensor product of features with spherical harmonics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// Block of the input.
    pub input: usize,
    /// Degrees of input, harmonic and output.
    pub degrees: [usize; 3],
    /// Representation of the output.
    pub output: Irrep,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read() {
        let i = Irreps::parse("128x0e + 64x1o+2e").unwrap();
        assert_eq!(i.to_string(), "128x0e+64x1o+1x2e");
        assert_eq!(i.dim(), 128 + 192 + 5);
        assert_eq!(i.count(Irrep::natural(1)), 64);
        assert_eq!(Irreps::parse("128x0"), None);
        assert_eq!(Irreps::parse(""), None);
    }

    #[test]
    fn paths_come_in_the_order_of_the_weights() {
        let hidden = Irreps::parse("8x0e+8x1o").unwrap();
        let paths = hidden.paths(&Irreps::spherical_harmonics(3), &Irreps::spherical_harmonics(3));
        let degrees: Vec<[usize; 3]> = paths.iter().map(|p| p.degrees).collect();
        let expected = [
            [0, 0, 0],
            [1, 1, 0],
            [0, 1, 1],
            [1, 0, 1],
            [1, 2, 1],
            [0, 2, 2],
            [1, 1, 2],
            [1, 3, 2],
            [0, 3, 3],
            [1, 2, 3],
        ];
        assert_eq!(degrees, expected);
        let count = |text: &str| {
            let sh = Irreps::spherical_harmonics(3);
            Irreps::parse(text).unwrap().paths(&sh, &sh).len()
        };
        assert_eq!((count("8x0e"), count("8x0e+8x1o+8x2e")), (4, 17));
    }
}

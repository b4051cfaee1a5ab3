//! Tables of the method: reference coefficients, radii.
//!
//! `data/dftd3.bin.gz` holds integers, little-endian: the number of reference systems of the elements H to Pu (94 × u8); their
//! coordination numbers (254 × u32, 10⁻⁴); covalent radii (94 × u32, 10⁻² Å; Pyykkö and Atsumi, Chem. Eur. J. 15, 186 (2009),
//! metals shortened by 10 %); ⟨r⁴⟩/⟨r²⟩ (94 × u32, 10⁻⁴ a₀²); cutoff radii R₀ of pairs (4465 × u32, 10⁻⁴ Å, row by row of the lower
//! triangle); C₆ of pairs of reference systems (32385 × u32, 10⁻⁴ E_h a₀⁶, likewise). They are the numbers published with Grimme,
//! Antony, Ehrlich and Krieg, J. Chem. Phys. 132, 154104 (2010), as contained in torch-dftd 0.5.3 (MIT licence, Preferred Networks
//! 2021), and ⟨r⁴⟩/⟨r²⟩ in tad-dftd3 0.7.0 (Apache licence 2.0).
use flate2::read::GzDecoder;
use std::io::Read;
use std::sync::OnceLock;

static DATA: &[u8] = include_bytes!("../../data/dftd3.bin.gz");

/// Number of elements.
pub(super) const ELEMENTS: usize = 94;
/// Reference systems of an element at most.
pub(super) const SYSTEMS: usize = 5;

/// The tables, in their own units; elements count from 0 (hydrogen).
pub(super) struct Tables {
    /// First reference system of each element, and after the last their number.
    offsets: Vec<usize>,
    coordination: Vec<f64>,
    /// Covalent radii, Å.
    pub covalent: Vec<f64>,
    /// ⟨r⁴⟩/⟨r²⟩, a₀².
    pub r4_over_r2: Vec<f64>,
    radii: Vec<f64>,
    c6: Vec<f64>,
}

/// Place of a pair in a lower triangle.
fn triangle(a: usize, b: usize) -> usize {
    let (a, b) = (a.max(b), a.min(b));
    a * (a + 1) / 2 + b
}

impl Tables {
    fn unpack() -> Self {
        let mut bytes = Vec::new();
        GzDecoder::new(DATA).read_to_end(&mut bytes).expect("the built-in tables are intact");
        let (counts, rest) = bytes.split_at(ELEMENTS);
        let mut numbers = rest.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        let mut take = |n: usize, per: f64| -> Vec<f64> {
            numbers.by_ref().take(n).map(|x| f64::from(x) / per).collect()
        };
        let mut offsets = vec![0];
        for &n in counts {
            offsets.push(offsets[offsets.len() - 1] + usize::from(n));
        }
        let systems = offsets[ELEMENTS];
        Self {
            coordination: take(systems, 1e4),
            covalent: take(ELEMENTS, 1e2),
            r4_over_r2: take(ELEMENTS, 1e4),
            radii: take(triangle(ELEMENTS, 0), 1e4),
            c6: take(triangle(systems, 0), 1e4),
            offsets,
        }
    }
    /// The tables, unpacked once.
    pub fn get() -> &'static Self {
        static TABLES: OnceLock<Tables> = OnceLock::new();
        TABLES.get_or_init(Self::unpack)
    }
    /// Coordination numbers of the reference systems of an element.
    pub fn coordination(&self, element: usize) -> &[f64] {
        &self.coordination[self.offsets[element]..self.offsets[element + 1]]
    }
    /// R₀ of a pair of elements, Å.
    pub fn radius(&self, a: usize, b: usize) -> f64 {
        self.radii[triangle(a, b)]
    }
    /// C₆ of pairs of reference systems of two elements, E_h a₀⁶; zero where there is none.
    pub fn c6(&self, a: usize, b: usize) -> [[f64; SYSTEMS]; SYSTEMS] {
        let mut table = [[0.0; SYSTEMS]; SYSTEMS];
        for (m, p) in (self.offsets[a]..self.offsets[a + 1]).enumerate() {
            for (n, q) in (self.offsets[b]..self.offsets[b + 1]).enumerate() {
                table[m][n] = self.c6[triangle(p, q)];
            }
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_numbers_are_found() {
        let t = Tables::get();
        assert_eq!(t.c6.len(), 32385);
        assert_eq!(t.radii.len(), 4465);
        assert_eq!(t.coordination(0), [0.9118, 0.0]);
        assert_eq!(t.coordination(5), [0.0, 0.9868, 1.9985, 2.9987, 3.9844]);
        // H₂, a free hydrogen atom and a free carbon atom
        assert_eq!((t.c6(0, 0)[0][0], t.c6(0, 0)[1][1]), (3.0267, 7.5916));
        assert_eq!((t.c6(5, 5)[0][0], t.c6(5, 5)[4][4]), (49.113, 18.2067));
        assert_eq!(t.c6(0, 5)[1][3], t.c6(5, 0)[3][1]);
        assert_eq!((t.covalent[5], t.r4_over_r2[0], t.radius(5, 5)), (0.75, 8.0589, 2.9103));
    }
}

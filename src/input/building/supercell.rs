//! Supercells: copies of a structure that fill a larger cell.
use crate::input::checks::check_count;
use crate::input::structure::Structure;
use caloron_engine::{Cell, SpecError, Vec3};

/// Largest entry of a matrix.
const LARGEST_ENTRY: i64 = 100_000;

/// Lattice points (in units of the old vectors) of one new cell whose vectors are the rows of a matrix, each once; exact.
///
/// A point n lies in the cell when every component of n M⁻¹ = n adj(M)/det M is in [0, 1).
fn points(m: &[[i64; 3]; 3], det: i64) -> Vec<[i32; 3]> {
    let adjugate = |j: usize, i: usize| {
        let (a, b) = ((i + 1) % 3, (i + 2) % 3);
        let (p, q) = ((j + 1) % 3, (j + 2) % 3);
        m[a][p] * m[b][q] - m[a][q] * m[b][p]
    };
    let bound = |j: usize, sign: i64| (0..3).map(|i| (sign * m[i][j]).max(0)).sum::<i64>() * sign;
    let range = |j: usize| bound(j, -1)..=bound(j, 1);
    let mut out = Vec::with_capacity(det as usize);
    for a in range(0) {
        for b in range(1) {
            for c in range(2) {
                let n = [a, b, c];
                let inside = |i: usize| (0..det).contains(&(0..3).map(|j| n[j] * adjugate(j, i)).sum());
                if (0..3).all(inside) {
                    out.push(n.map(|x| x as i32));
                }
            }
        }
    }
    out
}

impl Structure {
    /// The structure repeated along its lattice vectors; the error is at `repeat`.
    pub(crate) fn repeated(self, repeat: [u32; 3]) -> Result<Self, SpecError> {
        if repeat == [1; 3] {
            return Ok(self);
        }
        if repeat.contains(&0) {
            return Err(SpecError::new("repeat", "a repetition of 0 leaves no atoms")
                .hint("write 1 to keep a direction"));
        }
        if self.cell == Cell::open() {
            return Err(SpecError::new("repeat", "a structure without a cell cannot be repeated")
                .hint("give it lattice vectors with `cell = { lengths = [...] }`"));
        }
        let cells = repeat.iter().fold(1u64, |p, &n| p.saturating_mul(n.into()));
        check_count("repeat", cells.saturating_mul(self.len() as u64))?;
        let [a, b, c] = repeat.map(i64::from);
        self.filled("repeat", &[[a, 0, 0], [0, b, 0], [0, 0, c]], cells as i64)
    }
    /// The structure in a cell whose vectors are the rows of an integer matrix times the old ones; the error is at
    /// `supercell`.
    pub(crate) fn supercell(self, rows: [[i32; 3]; 3]) -> Result<Self, SpecError> {
        const KEY: &str = "supercell";
        if self.cell == Cell::open() {
            return Err(SpecError::new(KEY, "a structure without a cell has no supercells")
                .hint("give it lattice vectors with `cell = { lengths = [...] }`"));
        }
        let m = rows.map(|r| r.map(i64::from));
        if m.iter().flatten().any(|x| x.abs() > LARGEST_ENTRY) {
            return Err(SpecError::new(KEY, format!("an entry is larger than {LARGEST_ENTRY}"))
                .hint("check the matrix"));
        }
        let minor = |a: usize, b: usize| m[1][a] * m[2][b] - m[1][b] * m[2][a];
        let det = m[0][0] * minor(1, 2) - m[0][1] * minor(0, 2) + m[0][2] * minor(0, 1);
        if det <= 0 {
            let what = if det == 0 { "the rows are not independent" } else { "the rows are left-handed" };
            return Err(SpecError::new(KEY, format!("the determinant of the matrix is {det}: {what}")).hint(
                "the rows are the new vectors in terms of the old ones; exchanging two rows changes the sign",
            ));
        }
        check_count(KEY, (det as u64).saturating_mul(self.len() as u64))?;
        let box_points: f64 =
            (0..3).map(|j| 1.0 + (0..3).map(|i| m[i][j].abs() as f64).sum::<f64>()).product();
        if box_points > 1e9 {
            return Err(SpecError::new(KEY, "the cell is too skewed for the number of its atoms")
                .hint("choose shorter vectors of the same lattice"));
        }
        let periodic = self.cell.periodic();
        let mixed = (0..3).find(|&i| (0..3).any(|j| m[i][j] != 0 && periodic[i] != periodic[j]));
        if let Some(i) = mixed {
            return Err(SpecError::new(
                format!("{KEY}[{i}]"),
                "this row mixes directions that repeat with directions that do not",
            )
            .hint("keep periodic and open directions apart"));
        }
        self.filled(KEY, &m, det)
    }
    fn filled(self, key: &str, m: &[[i64; 3]; 3], cells: i64) -> Result<Self, SpecError> {
        let old = std::array::from_fn::<Vec3, 3, _>(|k| self.cell.vector(k));
        let vectors = m.map(|row| old[0] * row[0] as f64 + old[1] * row[1] as f64 + old[2] * row[2] as f64);
        let cell =
            Cell::new(vectors, self.cell.periodic()).map_err(|e| SpecError::new(key, e.to_string()))?;
        let shifts = points(m, cells);
        let n = shifts.len();
        let mut out = Self::empty(cell);
        for shift in shifts {
            let shift = self.cell.translation(shift);
            out.positions.extend(self.positions.iter().map(|r| r + shift));
        }
        out.symbols = many(&self.symbols, n);
        out.velocities = self.velocities.map(|v| many(&v, n));
        out.masses = self.masses.map(|v| many(&v, n));
        out.charges = self.charges.map(|v| many(&v, n));
        out.free = self.free.map(|v| many(&v, n));
        Ok(out)
    }
}

fn many<T: Clone>(items: &[T], n: usize) -> Vec<T> {
    items.iter().cloned().cycle().take(items.len() * n).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rock_salt() -> Structure {
        let mut s = Structure::empty(Cell::orthorhombic(2.0, 2.0, 2.0).unwrap());
        s.push("Na", Vec3::zeros());
        s.push("Cl", Vec3::new(1.0, 0.0, 0.0));
        s
    }

    #[test]
    fn a_matrix_fills_its_cell_without_gaps_or_overlaps() {
        for m in [
            [[1, 1, 0], [-1, 1, 0], [0, 0, 1]],
            [[2, 1, 0], [0, 3, 1], [1, 0, 2]],
            [[0, 1, 0], [0, 0, 1], [1, 0, 0]],
        ] {
            let s = rock_salt().supercell(m).unwrap();
            let cells = s.len() / 2;
            assert!((s.cell.volume() - 8.0 * cells as f64).abs() < 1e-9, "{m:?}");
            for (i, a) in s.positions.iter().enumerate() {
                // the surroundings are those of the crystal: a partner 1 away along +x, over the new boundaries
                let partner = if i % 2 == 0 { a + Vec3::x() } else { a - Vec3::x() };
                let found = s.positions.iter().filter(|b| s.cell.shortest(b, &partner).norm() < 1e-9).count();
                assert_eq!(found, 1, "{m:?} atom {i}");
            }
        }
    }

    #[test]
    fn a_diagonal_matrix_repeats() {
        let a = rock_salt().supercell([[2, 0, 0], [0, 3, 0], [0, 0, 1]]).unwrap();
        let b = rock_salt().repeated([2, 3, 1]).unwrap();
        assert_eq!((a.positions, a.symbols, a.cell), (b.positions, b.symbols, b.cell));
    }

    #[test]
    fn impossible_matrices_are_refused() {
        for m in [[[1, 0, 0], [2, 0, 0], [0, 0, 1]], [[0, 1, 0], [1, 0, 0], [0, 0, 1]]] {
            assert_eq!(rock_salt().supercell(m).unwrap_err().key, "supercell");
        }
    }
}

//! The simulation cell: any triclinic shape, any mix of periodic directions.
use crate::{Mat3, Vec3};

/// Lattice vectors a, b, c as the columns of `h` (so r = h s for fractional s) and the periodic directions.
///
/// An open system has the unit matrix and no periodic direction. Directions that are not periodic may still
/// have a lattice vector (a slab with vacuum); it is kept for files and never used for images.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    h: Mat3,
    h_inv: Mat3,
    periodic: [bool; 3],
}

/// Why lattice vectors do not make a cell.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CellError {
    /// Linearly dependent or non-finite lattice vectors.
    #[error("lattice vectors are linearly dependent or not finite (volume {volume} Å^3)")]
    Singular {
        /// Their determinant.
        volume: f64,
    },
    /// Lengths and angles that no cell has.
    #[error(
        "no cell has lengths {lengths:?} and angles {angles:?} degrees: the angles must be able to meet in a corner"
    )]
    Impossible {
        /// a, b, c.
        lengths: [f64; 3],
        /// alpha, beta, gamma.
        angles: [f64; 3],
    },
}

impl Cell {
    /// A cell from its lattice vectors.
    ///
    /// # Errors
    /// `Singular` when they span no volume or are not finite.
    pub fn new(vectors: [Vec3; 3], periodic: [bool; 3]) -> Result<Self, CellError> {
        Self::from_matrix(Mat3::from_columns(&vectors), periodic)
    }
    /// A cell from the matrix whose columns are the lattice vectors.
    ///
    /// # Errors
    /// `Singular` when the columns span no volume or are not finite.
    pub fn from_matrix(h: Mat3, periodic: [bool; 3]) -> Result<Self, CellError> {
        let volume = h.determinant();
        let scale = h.column(0).norm() * h.column(1).norm() * h.column(2).norm();
        let singular = CellError::Singular { volume };
        if !volume.is_finite() || volume.abs() <= 1e-10 * scale {
            return Err(singular);
        }
        let h_inv = h.try_inverse().ok_or(singular)?;
        Ok(Self { h, h_inv, periodic })
    }
    /// A periodic box with perpendicular edges.
    ///
    /// # Errors
    /// `Singular` when an edge is zero or not finite.
    pub fn orthorhombic(a: f64, b: f64, c: f64) -> Result<Self, CellError> {
        Self::from_matrix(Mat3::from_diagonal(&Vec3::new(a, b, c)), [true; 3])
    }
    /// A periodic cell from lengths (Å) and angles (degrees); a along x, b in the xy plane.
    ///
    /// # Errors
    /// `Impossible` when no such parallelepiped exists.
    pub fn from_lengths_angles(lengths: [f64; 3], angles: [f64; 3]) -> Result<Self, CellError> {
        let impossible = CellError::Impossible { lengths, angles };
        // exact zeros for right angles
        let cos = |deg: f64| if deg == 90.0 { 0.0 } else { deg.to_radians().cos() };
        let [ca, cb, cg] = angles.map(cos);
        let sg = (1.0 - cg * cg).sqrt();
        let cx = cb;
        let cy = (ca - cb * cg) / sg;
        let cz2 = 1.0 - cx * cx - cy * cy;
        if !(cz2 > 0.0 && sg > 0.0 && lengths.iter().all(|l| l.is_finite() && *l > 0.0)) {
            return Err(impossible);
        }
        let [a, b, c] = lengths;
        let h = Mat3::new(a, b * cg, c * cx, 0.0, b * sg, c * cy, 0.0, 0.0, c * cz2.sqrt());
        Self::from_matrix(h, [true; 3])
    }
    /// No periodic direction and no lattice.
    pub fn open() -> Self {
        Self { h: Mat3::identity(), h_inv: Mat3::identity(), periodic: [false; 3] }
    }
    /// The matrix h, columns a, b, c.
    pub fn matrix(&self) -> &Mat3 {
        &self.h
    }
    /// The inverse of h.
    pub fn inverse(&self) -> &Mat3 {
        &self.h_inv
    }
    /// Lattice vector 0, 1 or 2.
    pub fn vector(&self, k: usize) -> Vec3 {
        self.h.column(k).into()
    }
    /// Which directions repeat.
    pub fn periodic(&self) -> [bool; 3] {
        self.periodic
    }
    /// True when all three directions repeat, so that volume, pressure and stress exist.
    pub fn is_fully_periodic(&self) -> bool {
        self.periodic == [true; 3]
    }
    /// True when nothing repeats.
    pub fn is_open(&self) -> bool {
        self.periodic == [false; 3]
    }
    /// |det h|, Å³; of meaning only for fully periodic cells.
    pub fn volume(&self) -> f64 {
        self.h.determinant().abs()
    }
    /// Distance between opposite faces in each direction: 1 / |row k of h⁻¹|.
    pub fn heights(&self) -> [f64; 3] {
        std::array::from_fn(|k| 1.0 / self.h_inv.row(k).norm())
    }
    /// True when all images of a point are farther than `distance` (Å) from each other: they are at least as far as the faces.
    pub fn images_are_beyond(&self, distance: f64) -> bool {
        self.heights().iter().zip(self.periodic()).all(|(h, p)| !p || *h > distance)
    }
    /// Lengths (Å) and angles alpha, beta, gamma (degrees).
    pub fn lengths_angles(&self) -> ([f64; 3], [f64; 3]) {
        let v: [Vec3; 3] = std::array::from_fn(|k| self.vector(k));
        let angle = |a: Vec3, b: Vec3| {
            let c = a.dot(&b) / (a.norm() * b.norm());
            if c == 0.0 { 90.0 } else { c.clamp(-1.0, 1.0).acos().to_degrees() }
        };
        ([v[0].norm(), v[1].norm(), v[2].norm()], [angle(v[1], v[2]), angle(v[0], v[2]), angle(v[0], v[1])])
    }
    /// True when h is lower-left zero: a along x, b in the xy plane, as LAMMPS and GROMACS demand.
    pub fn is_upper_triangular(&self) -> bool {
        self.h[(1, 0)] == 0.0 && self.h[(2, 0)] == 0.0 && self.h[(2, 1)] == 0.0
    }
    /// Fractional coordinates s = h⁻¹ r.
    pub fn fractional(&self, r: &Vec3) -> Vec3 {
        self.h_inv * r
    }
    /// Cartesian coordinates r = h s.
    pub fn cartesian(&self, s: &Vec3) -> Vec3 {
        self.h * s
    }
    /// The image of `r` inside the cell (fractional coordinates in [0, 1) along periodic directions) and the
    /// lattice translation n with r_wrapped = r + h n.
    pub fn wrap(&self, r: &Vec3) -> (Vec3, [i32; 3]) {
        let s = self.fractional(r);
        let n: [i32; 3] = std::array::from_fn(|k| if self.periodic[k] { -(s[k].floor() as i32) } else { 0 });
        if n == [0; 3] { (*r, n) } else { (r + self.translation(n), n) }
    }
    /// The lattice vector h n.
    pub fn translation(&self, n: [i32; 3]) -> Vec3 {
        self.h * Vec3::new(n[0].into(), n[1].into(), n[2].into())
    }
    /// The same periodic directions with lattice vectors F h.
    ///
    /// # Errors
    /// `Singular` when F collapses the cell.
    pub fn deformed(&self, deformation: &Mat3) -> Result<Self, CellError> {
        if self.is_open() {
            return Ok(self.clone());
        }
        Self::from_matrix(deformation * self.h, self.periodic)
    }
    /// The shortest vector from `from` to `to` over all images (exact for any triclinic cell).
    pub fn shortest(&self, from: &Vec3, to: &Vec3) -> Vec3 {
        let mut s = self.h_inv * (to - from);
        for k in 0..3 {
            if self.periodic[k] {
                s[k] -= s[k].round();
            }
        }
        let start = self.h * s;
        let mut best = start;
        // after reduction the nearest image lies within ceil(|r| / height) cells
        let reach: [i32; 3] = {
            let heights = self.heights();
            std::array::from_fn(|k| {
                if self.periodic[k] { ((start.norm() / heights[k] + 0.5).ceil() as i32).min(8) } else { 0 }
            })
        };
        for a in -reach[0]..=reach[0] {
            for b in -reach[1]..=reach[1] {
                for c in -reach[2]..=reach[2] {
                    let d = start + self.translation([a, b, c]);
                    if d.norm_squared() < best.norm_squared() {
                        best = d;
                    }
                }
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_angles_round_trip() {
        let c = Cell::from_lengths_angles([3.0, 4.0, 5.0], [80.0, 95.0, 110.0]).unwrap();
        let (l, a) = c.lengths_angles();
        for (x, y) in l.iter().chain(&a).zip(&[3.0, 4.0, 5.0, 80.0, 95.0, 110.0]) {
            assert!((x - y).abs() < 1e-12);
        }
        assert!(c.is_upper_triangular());
        assert!(Cell::from_lengths_angles([1.0; 3], [10.0, 20.0, 170.0]).is_err());
    }

    #[test]
    fn singular_cells_are_refused() {
        let v = Vec3::new(1.0, 0.0, 0.0);
        assert!(Cell::new([v, v, Vec3::z()], [true; 3]).is_err());
        assert!(Cell::orthorhombic(f64::NAN, 1.0, 1.0).is_err());
    }

    #[test]
    fn wrapping_returns_its_translation() {
        let c = Cell::from_lengths_angles([3.0, 4.0, 5.0], [80.0, 95.0, 110.0]).unwrap();
        let r = Vec3::new(-7.0, 13.0, 4.0);
        let (w, n) = c.wrap(&r);
        let s = c.fractional(&w);
        assert!(s.iter().all(|x| (-1e-12..1.0).contains(x)), "{s}");
        assert!((w - r - c.translation(n)).norm() < 1e-12);
    }
}

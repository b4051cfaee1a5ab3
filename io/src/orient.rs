//! The orientation of the cell that most formats assume: a along x, b in the xy plane.
use crate::Frame;
use crate::error::Fault;
use caloron_engine::{Cell, Mat3, Vec3};
use std::borrow::Cow;

/// The frame rotated so that its cell is upper triangular with a positive diagonal; positions, velocities, forces,
/// stress and every real array of three columns named `dipoles` or `magmoms` turn with it. Open cells and cells in that
/// orientation are returned as they are.
///
/// With h = Q R (Q orthogonal, R upper triangular with positive diagonal) the rotation is Q^T and the new cell R.
pub(crate) fn standard(frame: &Frame) -> Result<Cow<'_, Frame>, Fault> {
    let h = frame.cell.matrix();
    if frame.cell == Cell::open() || (frame.cell.is_upper_triangular() && (0..3).all(|k| h[(k, k)] > 0.0)) {
        return Ok(Cow::Borrowed(frame));
    }
    if h.determinant() < 0.0 {
        return Err(Fault::new("the lattice vectors a, b, c are left-handed, which this format cannot hold")
            .hint("exchange two lattice vectors, or write extxyz"));
    }
    let e1 = frame.cell.vector(0).normalize();
    let b = frame.cell.vector(1);
    let e2 = (b - e1 * e1.dot(&b)).normalize();
    let rotation = Mat3::from_rows(&[e1.transpose(), e2.transpose(), e1.cross(&e2).transpose()]);
    let mut upper = rotation * h;
    for (i, j) in [(1, 0), (2, 0), (2, 1)] {
        upper[(i, j)] = 0.0;
    }
    let mut turned = frame.clone();
    turned.cell = Cell::from_matrix(upper, frame.cell.periodic()).map_err(|e| Fault::new(e.to_string()))?;
    let turn = |v: &mut Vec<Vec3>| v.iter_mut().for_each(|x| *x = rotation * *x);
    turn(&mut turned.positions);
    turned.velocities.iter_mut().for_each(turn);
    turned.forces.iter_mut().for_each(turn);
    if let Some(s) = &mut turned.stress {
        *s = rotation * *s * rotation.transpose();
    }
    Ok(Cow::Owned(turned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turning_keeps_lengths_angles_and_fractions() {
        let h = Mat3::new(1.0, 4.0, 0.3, 2.0, -1.0, 0.2, 0.5, 0.7, 5.0);
        let h = if h.determinant() > 0.0 {
            h
        } else {
            Mat3::from_columns(&[h.column(1), h.column(0), h.column(2)])
        };
        let cell = Cell::from_matrix(h, [true; 3]).unwrap();
        let mut frame = Frame::new(vec!["Ar".into()], vec![Vec3::new(0.3, 0.2, 0.9)], cell);
        frame.velocities = Some(vec![Vec3::new(1.0, 2.0, 3.0)]);
        let t = standard(&frame).unwrap();
        assert!(t.cell.is_upper_triangular());
        let (a, b) = (frame.cell.lengths_angles(), t.cell.lengths_angles());
        assert!(a.0.iter().chain(&a.1).zip(b.0.iter().chain(&b.1)).all(|(x, y)| (x - y).abs() < 1e-9));
        let s = |f: &Frame| f.cell.fractional(&f.positions[0]);
        assert!((s(&frame) - s(&t)).norm() < 1e-12);
        let v = |f: &Frame| f.cell.fractional(&f.velocities.as_ref().unwrap()[0]);
        assert!((v(&frame) - v(&t)).norm() < 1e-12);
        frame.cell =
            Cell::from_matrix(Mat3::from_columns(&[h.column(1), h.column(0), h.column(2)]), [true; 3])
                .unwrap();
        assert!(standard(&frame).is_err());
    }
}

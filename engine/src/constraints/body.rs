//! Rigid bodies: exact projection of velocities, and the free rotor by a symplectic splitting.
//!
//! The velocities of a body are v_i = V + ω x d_i with M V = Σ m v and I ω = Σ m d x v; the projection keeps momentum
//! and angular momentum, so what kicks add beyond a rigid motion is taken out by forces that do no work. A drift moves
//! the centre by V dt and turns the body by the splitting of the kinetic energy of rotation into rotations about its
//! principal axes, R₁(dt/2) R₂(dt/2) R₃(dt) R₂(dt/2) R₁(dt/2), each through the angle L_k dt/I_k: symplectic, reversible,
//! and the angular momentum is exact. Linear bodies turn in a plane, exactly. The atoms are placed from the shape, so
//! distances never change.
//!
//! Source: Dullweber, Leimkuhler and McLachlan, J. Chem. Phys. 107, 5840 (1997), doi:10.1063/1.474310; the same splitting
//! in quaternions is NO_SQUISH: Miller, Eleftheriou, Pattnaik, Ndirango, Newns and Martyna, J. Chem. Phys. 116, 8649
//! (2002), doi:10.1063/1.1473654.
use crate::topology::RigidBody;
use crate::{Mat3, Vec3};
use nalgebra::{Matrix4, Quaternion, Rotation3, Unit, UnitQuaternion};

/// A body, with its atoms by their places in the block.
#[derive(Clone, Debug)]
pub struct Body {
    atoms: Vec<u32>,
    /// Masses over the total mass.
    fraction: Vec<f64>,
    /// Places relative to the centre of mass, along the principal axes.
    shape: Vec<Vec3>,
    /// Principal moments of inertia over the total mass; 0 for the axis of a linear body.
    moments: Vec3,
    linear: bool,
    /// Three atoms (two when linear) that give the orientation, and the inverse of their frame in the body.
    frame_atoms: [usize; 3],
    frame: Mat3,
}

/// Orthonormal axes (columns) of a triangle.
fn axes(a: &Vec3, b: &Vec3, c: &Vec3) -> Mat3 {
    let x = (b - a).normalize();
    let z = x.cross(&(c - a)).normalize();
    Mat3::from_columns(&[x, z.cross(&x), z])
}

impl Body {
    /// From a checked body, the first atom of the block and the masses of all atoms.
    pub fn new(body: &RigidBody, first: usize, masses: &[f64]) -> Self {
        let m: Vec<f64> = body.atoms.iter().map(|&a| masses[a as usize]).collect();
        let total: f64 = m.iter().sum();
        let fraction: Vec<f64> = m.iter().map(|m| m / total).collect();
        let center: Vec3 = body.shape.iter().zip(&fraction).map(|(r, f)| r * *f).sum();
        let d: Vec<Vec3> = body.shape.iter().map(|r| r - center).collect();
        let inertia = d.iter().zip(&fraction).fold(Mat3::zeros(), |s, (d, f)| {
            s + (Mat3::identity() * d.norm_squared() - d * d.transpose()) * *f
        });
        let eigen = inertia.symmetric_eigen();
        let mut q = eigen.eigenvectors;
        if q.determinant() < 0.0 {
            q = -q;
        }
        let shape: Vec<Vec3> = d.iter().map(|d| q.transpose() * d).collect();
        let linear = body.degrees_of_freedom() == 5;
        let mut moments = eigen.eigenvalues;
        if linear {
            let least = moments.imin();
            moments[least] = 0.0;
        }
        // far apart atoms give the orientation with the least rounding
        let n = shape.len();
        let farthest = |score: &dyn Fn(usize) -> f64| {
            (0..n).max_by(|&a, &b| score(a).total_cmp(&score(b))).unwrap_or_default()
        };
        let a = farthest(&|k| shape[k].norm_squared());
        let b = farthest(&|k| (shape[k] - shape[a]).norm_squared());
        let c = farthest(&|k| (shape[b] - shape[a]).cross(&(shape[k] - shape[a])).norm_squared());
        let frame = if linear { Mat3::identity() } else { axes(&shape[a], &shape[b], &shape[c]).transpose() };
        let atoms = body.atoms.iter().map(|&a| a - first as u32).collect();
        Self { atoms, fraction, shape, moments, linear, frame_atoms: [a, b, c], frame }
    }
    fn sum(&self, x: &[Vec3]) -> Vec3 {
        self.atoms.iter().zip(&self.fraction).map(|(&a, f)| x[a as usize] * *f).sum()
    }
    /// Velocity of the centre, and angular momentum over the total mass.
    fn motion(&self, r: &[Vec3], v: &[Vec3]) -> (Vec3, Vec3, Vec3) {
        let first = r[self.atoms[0] as usize];
        let offset: Vec3 =
            self.atoms.iter().zip(&self.fraction).map(|(&a, f)| (r[a as usize] - first) * *f).sum();
        let center = first + offset;
        let velocity = self.sum(v);
        let angular = self
            .atoms
            .iter()
            .zip(&self.fraction)
            .map(|(&a, f)| (r[a as usize] - center).cross(&(v[a as usize] - velocity)) * *f)
            .sum();
        (center, velocity, angular)
    }
    /// The rotation from the body to space.
    fn orientation(&self, r: &[Vec3]) -> Mat3 {
        let [a, b, c] = self.frame_atoms.map(|k| r[self.atoms[k] as usize]);
        axes(&a, &b, &c) * self.frame
    }
    /// ω = I⁻¹ L for an orientation.
    fn angular_velocity(&self, rotation: &Mat3, angular: &Vec3) -> Vec3 {
        let l = rotation.transpose() * angular;
        rotation * l.zip_map(&self.moments, |l, i| if i > 0.0 { l / i } else { 0.0 })
    }
    /// ω of a linear body: what of L is normal to the axis, over the moment.
    fn linear_angular_velocity(&self, r: &[Vec3], angular: &Vec3) -> Vec3 {
        let [a, b, _] = self.frame_atoms.map(|k| r[self.atoms[k] as usize]);
        let axis = (b - a).normalize();
        (angular - axis * axis.dot(angular)) / self.moments.max()
    }
    /// See [`super::Constraints::project`].
    pub fn project(&self, r: &[Vec3], v: &mut [Vec3]) {
        let (center, velocity, angular) = self.motion(r, v);
        let omega = if self.linear {
            self.linear_angular_velocity(r, &angular)
        } else {
            self.angular_velocity(&self.orientation(r), &angular)
        };
        for &a in &self.atoms {
            v[a as usize] = velocity + omega.cross(&(r[a as usize] - center));
        }
    }
    /// See [`super::Constraints::drift`].
    pub fn drift(&self, r: &mut [Vec3], v: &mut [Vec3], dt: f64) {
        let (center, velocity, angular) = self.motion(r, v);
        let center = center + velocity * dt;
        if self.linear {
            let omega = self.linear_angular_velocity(r, &angular);
            let [a, b, _] = self.frame_atoms.map(|k| r[self.atoms[k] as usize]);
            let turn = Rotation3::from_scaled_axis(omega * dt);
            let axis = turn * (b - a).normalize();
            let [p, q, _] = self.frame_atoms.map(|k| self.shape[k]);
            let body_axis = (q - p).normalize();
            for (&k, x) in self.atoms.iter().zip(&self.shape) {
                let d = axis * body_axis.dot(x);
                r[k as usize] = center + d;
                v[k as usize] = velocity + omega.cross(&d);
            }
            return;
        }
        let mut rotation = self.orientation(r);
        let mut l = rotation.transpose() * angular;
        for (k, part) in [(0, 0.5), (1, 0.5), (2, 1.0), (1, 0.5), (0, 0.5)] {
            let (sin, cos) = (l[k] / self.moments[k] * part * dt).sin_cos();
            let (i, j) = ((k + 1) % 3, (k + 2) % 3);
            // the body turns by +θ about its axis, so L turns by -θ as the body sees it
            (l[i], l[j]) = (cos * l[i] + sin * l[j], cos * l[j] - sin * l[i]);
            let (x, y) = (rotation.column(i).into_owned(), rotation.column(j).into_owned());
            rotation.set_column(i, &(x * cos + y * sin));
            rotation.set_column(j, &(y * cos - x * sin));
        }
        let omega = self.angular_velocity(&rotation, &(rotation * l));
        for (&k, x) in self.atoms.iter().zip(&self.shape) {
            let d = rotation * x;
            r[k as usize] = center + d;
            v[k as usize] = velocity + omega.cross(&d);
        }
    }
    /// Puts the body where its atoms are, by the rotation with the least mass-weighted square deviation.
    ///
    /// Source: Horn, J. Opt. Soc. Am. A 4, 629 (1987), doi:10.1364/JOSAA.4.000629.
    pub fn fit(&self, r: &mut [Vec3]) {
        let center = self.sum(r);
        let s = self
            .atoms
            .iter()
            .zip(&self.shape)
            .zip(&self.fraction)
            .fold(Mat3::zeros(), |s, ((&a, x), f)| s + x * (r[a as usize] - center).transpose() * *f);
        let (xx, xy, xz) = (s[(0, 0)], s[(0, 1)], s[(0, 2)]);
        let (yx, yy, yz) = (s[(1, 0)], s[(1, 1)], s[(1, 2)]);
        let (zx, zy, zz) = (s[(2, 0)], s[(2, 1)], s[(2, 2)]);
        #[rustfmt::skip]
        let n = Matrix4::new(
            xx + yy + zz, yz - zy, zx - xz, xy - yx,
            yz - zy, xx - yy - zz, xy + yx, zx + xz,
            zx - xz, xy + yx, yy - xx - zz, yz + zy,
            xy - yx, zx + xz, yz + zy, zz - xx - yy,
        );
        let eigen = n.symmetric_eigen();
        let best = eigen.eigenvectors.column(eigen.eigenvalues.imax()).into_owned();
        let quaternion: UnitQuaternion<f64> =
            Unit::new_normalize(Quaternion::new(best[0], best[1], best[2], best[3]));
        let rotation = *quaternion.to_rotation_matrix().matrix();
        for (&a, x) in self.atoms.iter().zip(&self.shape) {
            r[a as usize] = center + rotation * x;
        }
    }
}

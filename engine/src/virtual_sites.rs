//! Places massless sites and hands their forces on to the atoms they follow.
//!
//! With r_s = r_s(r_1, r_2, …) the force on a parent is f_p += (∂r_s/∂r_p)ᵀ f_s. The virial of the atoms becomes
//! W + Σ_p (r_p - r_s) ⊗ f_p, with f_p what the parent p got: zero for averages, which deform with the cell, and not for
//! sites that are held by directions. The rules are those of [`SiteKind`].
use crate::topology::{SiteKind, VirtualSite};
use crate::{Mat3, Outputs, Vec3};

/// Puts all sites where their parents say.
pub fn place(sites: &[VirtualSite], positions: &mut [Vec3]) {
    for s in sites {
        positions[s.site as usize] = s.kind.position(|a| positions[a as usize]);
    }
}

/// Moves the forces on sites to their parents and corrects the virials.
pub fn redistribute(sites: &[VirtualSite], positions: &[Vec3], out: &mut Outputs) {
    if out.forces.is_empty() {
        return;
    }
    let per_atom = !out.atom_virials.is_empty();
    for s in sites {
        let site = s.site as usize;
        let force = std::mem::replace(&mut out.forces[site], Vec3::zeros());
        let place = positions[site];
        let mut lever = Mat3::zeros();
        s.kind.parts(&|a| positions[a as usize], force, |a, f| {
            out.forces[a as usize] += f;
            lever += (positions[a as usize] - place) * f.transpose();
        });
        out.virial += lever;
        if per_atom {
            out.atom_virials[site] += lever;
        }
    }
}

/// The frame of local coordinates: the vectors x and z with their lengths, and the unit vectors.
struct Axes {
    x_length: f64,
    z_length: f64,
    y_direction: Vec3,
    x_direction: Vec3,
    unit: [Vec3; 3],
}

impl Axes {
    fn new(parents: &[u32], wx: &[f64], wy: &[f64], r: &impl Fn(u32) -> Vec3) -> Self {
        let first = r(parents[0]);
        let sum = |w: &[f64]| -> Vec3 { parents.iter().zip(w).map(|(&p, w)| (r(p) - first) * *w).sum() };
        let (x, y) = (sum(wx), sum(wy));
        let z = x.cross(&y);
        let (x_length, z_length) = (x.norm(), z.norm());
        let (ex, ez) = (x / x_length, z / z_length);
        Self { x_length, z_length, y_direction: y, x_direction: x, unit: [ex, ez.cross(&ex), ez] }
    }
}

impl SiteKind {
    /// Position of the site for positions `r` of the parents. Relative to the first parent, so that a translation of the
    /// parents moves it exactly.
    pub fn position(&self, r: impl Fn(u32) -> Vec3) -> Vec3 {
        match self {
            Self::TwoAverage { parents: [a, b], weights: [_, w] } => r(*a) + (r(*b) - r(*a)) * *w,
            Self::ThreeAverage { parents: [a, b, c], weights: [_, v, w] } => {
                r(*a) + (r(*b) - r(*a)) * *v + (r(*c) - r(*a)) * *w
            }
            Self::OutOfPlane { parents: [a, b, c], w12, w13, cross } => {
                let (x, y) = (r(*b) - r(*a), r(*c) - r(*a));
                r(*a) + x * *w12 + y * *w13 + x.cross(&y) * *cross
            }
            Self::LocalCoordinates { parents, origin, x, y, position } => {
                let first = r(parents[0]);
                let o: Vec3 = parents.iter().zip(origin).map(|(&p, w)| (r(p) - first) * *w).sum();
                let [ex, ey, ez] = Axes::new(parents, x, y, &r).unit;
                first + o + ex * position.x + ey * position.y + ez * position.z
            }
        }
    }
    /// Calls `give` with each parent and its part of the force `f` on the site; the parts sum to `f`.
    fn parts(&self, r: &impl Fn(u32) -> Vec3, f: Vec3, mut give: impl FnMut(u32, Vec3)) {
        match self {
            Self::TwoAverage { parents: [a, b], weights: [_, w] } => {
                let second = f * *w;
                give(*a, f - second);
                give(*b, second);
            }
            Self::ThreeAverage { parents: [a, b, c], weights: [_, v, w] } => {
                let (second, third) = (f * *v, f * *w);
                give(*a, f - second - third);
                give(*b, second);
                give(*c, third);
            }
            Self::OutOfPlane { parents: [a, b, c], w12, w13, cross } => {
                let (x, y) = (r(*b) - r(*a), r(*c) - r(*a));
                let second = f * *w12 + y.cross(&f) * *cross;
                let third = f * *w13 + f.cross(&x) * *cross;
                give(*a, f - second - third);
                give(*b, second);
                give(*c, third);
            }
            Self::LocalCoordinates { parents, origin, x, y, position: p } => {
                let frame = Axes::new(parents, x, y, r);
                let [ex, _, ez] = frame.unit;
                // the part along each unit vector, with ŷ = ẑ x x̂, then back through the two normalisations
                let gx = f * p.x + f.cross(&ez) * p.y;
                let gz = f * p.z + ex.cross(&f) * p.y;
                let gz = (gz - ez * ez.dot(&gz)) / frame.z_length;
                let of_x = (gx - ex * ex.dot(&gx)) / frame.x_length + frame.y_direction.cross(&gz);
                let of_y = gz.cross(&frame.x_direction);
                let mut rest = f;
                for k in 1..parents.len() {
                    let part = f * origin[k] + of_x * x[k] + of_y * y[k];
                    rest -= part;
                    give(parents[k], part);
                }
                give(parents[0], rest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::neighbors::Search;
    use crate::topology::TopologyParts;
    use crate::{
        Cell, Evaluator, Input, Potential, PotentialError, Properties, Species, State, Stream, Streams,
        System, Topology,
    };

    /// Every pair of atoms: U = Σ q_i q_j exp(-r), over nothing periodic.
    struct Screened;

    impl Potential for Screened {
        fn name(&self) -> &'static str {
            "screened"
        }
        fn cutoff(&self) -> Option<f64> {
            None
        }
        fn compute(
            &mut self,
            input: Input<'_>,
            want: Properties,
            out: &mut Outputs,
        ) -> Result<(), PotentialError> {
            let (r, q) = (input.positions, input.system.charges());
            for i in 0..r.len() {
                for j in 0..i {
                    let d = r[i] - r[j];
                    let u = q[i] * q[j] * (-d.norm()).exp();
                    out.energy += u;
                    let f = d.normalize() * u;
                    out.forces[i] += f;
                    out.forces[j] -= f;
                    out.virial += d * f.transpose();
                    if want.contains(Properties::ATOM_VIRIALS) {
                        out.atom_virials[i] += d * f.transpose();
                    }
                }
            }
            Ok(())
        }
    }

    fn kinds() -> Vec<SiteKind> {
        vec![
            SiteKind::TwoAverage { parents: [0, 1], weights: [0.3, 0.7] },
            SiteKind::ThreeAverage { parents: [0, 1, 2], weights: [0.6, 0.5, -0.1] },
            SiteKind::OutOfPlane { parents: [2, 1, 0], w12: 0.4, w13: -0.2, cross: 0.7 },
            SiteKind::LocalCoordinates {
                parents: vec![0, 1, 2, 3],
                origin: vec![0.4, 0.3, 0.2, 0.1],
                x: vec![-1.0, 0.6, 0.4, 0.0],
                y: vec![-0.7, 0.1, 0.2, 0.4],
                position: Vec3::new(0.5, -0.3, 0.8),
            },
            SiteKind::LocalCoordinates {
                parents: vec![1, 0, 3],
                origin: vec![1.0, 0.0, 0.0],
                x: vec![-1.0, 1.0, 0.0],
                y: vec![-1.0, 0.0, 1.0],
                position: Vec3::new(-0.2, 0.4, 0.1),
            },
        ]
    }

    fn system(kind: SiteKind) -> (System, State) {
        let species = vec![Species { symbol: "X".into(), number: None, mass: 2.0 }];
        let mut system = System::new(species, vec![0; 6]);
        system.set_charges(vec![0.3, -0.5, 0.8, 0.4, 1.3, -0.9]);
        let site = VirtualSite { site: 4, kind };
        let parts = TopologyParts { virtual_sites: vec![site], ..TopologyParts::default() };
        system.set_topology(Topology::new(6, parts).unwrap()).unwrap();
        let rng = Streams { seed: 3 };
        let r = (0..6).map(|i| rng.normal3(Stream::Test, 0, 0, i) * 1.5).collect();
        (system, State::at_rest(r, Cell::open()))
    }

    #[test]
    fn forces_and_virial_are_derivatives_of_the_energy() {
        for kind in kinds() {
            let (system, state) = system(kind.clone());
            let evaluate = |r: Vec<Vec3>| {
                let mut e = Evaluator::new(vec![Box::new(Screened)], 0.0, Search::Auto);
                let all = Properties::all().difference(Properties::EXTRAS | Properties::ATOM_ENERGIES);
                e.ensure(&system, &State::at_rest(r, Cell::open()), all, all).unwrap().clone()
            };
            let out = evaluate(state.positions().to_vec());
            assert_eq!(out.forces[4], Vec3::zeros());
            let h = 1e-5;
            for i in [0, 1, 2, 3, 5] {
                for k in 0..3 {
                    let energy = |x: f64| {
                        let mut r = state.positions().to_vec();
                        r[i][k] += x;
                        evaluate(r).energy
                    };
                    let f = -(energy(h) - energy(-h)) / (2.0 * h);
                    assert!((f - out.forces[i][k]).abs() < 1e-9, "{kind:?}: atom {i}: {f} {}", out.forces[i]);
                }
            }
            for i in 0..3 {
                for j in 0..3 {
                    let energy = |x: f64| {
                        let mut strain = Mat3::identity();
                        strain[(i, j)] += x;
                        evaluate(state.positions().iter().map(|r| strain * r).collect()).energy
                    };
                    let w = -(energy(h) - energy(-h)) / (2.0 * h);
                    assert!((w - out.virial[(i, j)]).abs() < 1e-9, "{kind:?}: {w} {}", out.virial);
                }
            }
            let sum = out.atom_virials.iter().fold(Mat3::zeros(), |s, w| s + w);
            assert!((sum - out.virial).norm() < 1e-12);
        }
    }

    #[test]
    fn sites_move_with_their_parents() {
        let shift = Vec3::new(1024.0, -512.0, 256.0);
        let turn = nalgebra::Rotation3::from_scaled_axis(Vec3::new(0.4, 1.1, -0.3));
        for kind in kinds() {
            let (_, state) = system(kind.clone());
            let r = state.positions();
            let here = kind.position(|a| r[a as usize]);
            let there = kind.position(|a| turn * r[a as usize] + shift);
            assert!((turn * here + shift - there).norm() < 1e-12);
        }
    }
}

//! Potentials and a driver for the tests of dynamics.
#![allow(dead_code, missing_docs)]
use caloron_engine::dynamics::momentum::remove_linear;
use caloron_engine::neighbors::Search;
use caloron_engine::sampler::{MolecularDynamics, Sampler, kinetic_energy};
use caloron_engine::*;

/// Independent harmonic wells at the origin: U = k r²/2.
pub struct Well {
    pub k: f64,
}

impl Potential for Well {
    fn name(&self) -> &'static str {
        "well"
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
        for (i, r) in input.positions.iter().enumerate() {
            out.energy += 0.5 * self.k * r.norm_squared();
            let f = -self.k * r;
            if want.contains(Properties::FORCES) {
                out.forces[i] += f;
            }
            out.virial += r * f.transpose();
        }
        Ok(())
    }
    fn breaks_symmetry(&self) -> bool {
        true
    }
}

/// No interaction at all.
pub struct Ideal;

impl Potential for Ideal {
    fn name(&self) -> &'static str {
        "ideal gas"
    }
    fn cutoff(&self) -> Option<f64> {
        None
    }
    fn compute(&mut self, _: Input<'_>, _: Properties, _: &mut Outputs) -> Result<(), PotentialError> {
        Ok(())
    }
}

/// Lennard-Jones times (1 - r²/rc²)³, by all pairs with the nearest image: smooth at the cutoff, for small boxes.
pub struct SmoothLj {
    pub cutoff: f64,
}

impl SmoothLj {
    /// Energy and -u'(r)/r.
    pub fn pair(&self, r2: f64) -> (f64, f64) {
        let s = 1.0 / r2;
        let s6 = s * s * s;
        let u = 4.0 * (s6 * s6 - s6);
        let du = 4.0 * (12.0 * s6 * s6 - 6.0 * s6) * s; // -u'/r
        let x = 1.0 - r2 / (self.cutoff * self.cutoff);
        let (w, dw) = (x * x * x, -6.0 * x * x / (self.cutoff * self.cutoff)); // w and w'/r
        (u * w, du * w - u * dw)
    }
}

impl Potential for SmoothLj {
    fn name(&self) -> &'static str {
        "smooth lj"
    }
    fn cutoff(&self) -> Option<f64> {
        None
    }
    fn compute(&mut self, input: Input<'_>, _: Properties, out: &mut Outputs) -> Result<(), PotentialError> {
        let (h, inv) = (*input.cell.matrix(), *input.cell.inverse());
        let periodic = input.cell.is_fully_periodic();
        let s: Vec<Vec3> = input.positions.iter().map(|r| inv * r).collect();
        let rc2 = self.cutoff * self.cutoff;
        for i in 0..s.len() {
            let mut fi = Vec3::zeros();
            for j in 0..i {
                let mut d = s[i] - s[j];
                if periodic {
                    d = d.map(|x| x - x.round());
                }
                let r = h * d;
                let r2 = r.norm_squared();
                if r2 < rc2 {
                    let (u, f) = self.pair(r2);
                    out.energy += u;
                    let f = r * f;
                    fi += f;
                    out.forces[j] -= f;
                    out.virial += r * f.transpose();
                }
            }
            out.forces[i] += fi;
        }
        Ok(())
    }
}

/// n atoms of mass 1.
pub fn atoms(n: usize) -> System {
    let species = vec![Species { symbol: "X".into(), number: None, mass: 1.0 }];
    System::new(species, vec![0; n])
}

/// A state with everything that a sampler needs to advance it.
pub struct Run {
    pub system: System,
    pub state: State,
    pub evaluator: Evaluator,
    pub rng: Streams,
    pub sampler: Box<dyn Sampler>,
    pub dof: f64,
    pub progress: f64,
}

impl Run {
    /// With the degrees of freedom of the sampler when the total momentum starts at zero.
    pub fn new(
        system: System,
        state: State,
        potential: Box<dyn Potential>,
        sampler: Box<dyn Sampler>,
    ) -> Self {
        let dof = sampler.degrees_of_freedom(&system, !potential.breaks_symmetry());
        let evaluator = Evaluator::new(vec![potential], 0.0, Search::Auto);
        Self { system, state, evaluator, rng: Streams { seed: 2026 }, sampler, dof, progress: 0.0 }
    }
    pub fn step(&mut self) {
        let mut ctx = Ctx {
            system: &self.system,
            state: &mut self.state,
            evaluator: &mut self.evaluator,
            rng: self.rng,
            want: Properties::empty(),
            substep: 0,
            progress: self.progress,
            degrees_of_freedom: self.dof,
        };
        self.sampler.advance(&mut ctx).unwrap();
    }
    pub fn steps(&mut self, n: usize) {
        (0..n).for_each(|_| self.step());
    }
    pub fn outputs(&mut self) -> &Outputs {
        let need = Properties::ENERGY | Properties::FORCES | Properties::VIRIAL;
        self.evaluator.ensure(&self.system, &self.state, need, need).unwrap()
    }
    pub fn potential(&mut self) -> f64 {
        self.outputs().energy
    }
    pub fn kinetic(&self) -> f64 {
        kinetic_energy(&self.system, &self.state)
    }
    pub fn conserved(&mut self) -> f64 {
        let bath = self.sampler.bath_energy(&self.system, &self.state).unwrap();
        self.potential() + self.kinetic() + bath
    }
}

/// Molecular dynamics with a splitting.
pub fn dynamics(splitting: Splitting, dt: f64) -> Box<dyn Sampler> {
    Box::new(MolecularDynamics { dt, splitting, conserves: true })
}

/// A cubic fcc lattice of 4 n³ atoms at a density with random velocities of thermal energy kT, total momentum zero.
pub fn fcc(n: usize, density: f64, kt: f64) -> (System, State) {
    let a = (4.0 / density).cbrt();
    let basis = [[0.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.5, 0.0, 0.5], [0.0, 0.5, 0.5]];
    let mut positions = Vec::new();
    for i in 0..n {
        for j in 0..n {
            for k in 0..n {
                for b in basis {
                    positions.push(Vec3::new(i as f64 + b[0], j as f64 + b[1], k as f64 + b[2]) * a);
                }
            }
        }
    }
    let system = atoms(positions.len());
    let rng = Streams { seed: 5 };
    let velocities =
        (0..positions.len() as u64).map(|i| rng.normal3(Stream::Velocities, 0, 0, i) * kt.sqrt()).collect();
    let l = a * n as f64;
    let mut state = State::new(positions, velocities, Cell::orthorhombic(l, l, l).unwrap());
    remove_linear(&system, &mut state);
    (system, state)
}

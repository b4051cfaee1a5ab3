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

/// A sampler from its table in reduced units, for example `kind = "nvt"`.
pub fn sampler(kind: &str, table: &str, system: &System, state: &State) -> Box<dyn Sampler> {
    use caloron_engine::dynamics::*;
    fn read<T: serde::de::DeserializeOwned>(table: &str) -> T {
        quantity::reading_in(UnitSystem::Lj, || toml::from_str(table)).unwrap()
    }
    let units = UnitSystem::Lj;
    Box::new(
        match kind {
            "nve" => read::<NveSpec>(table).build(system, state, units),
            "nvt" => read::<NvtSpec>(table).build(system, state, units),
            "npt" => read::<NptSpec>(table).build(system, state, units),
            "nph" => read::<NphSpec>(table).build(system, state, units),
            "brownian" => read::<BrownianSpec>(table).build(system, state, units),
            _ => unreachable!("{kind}"),
        }
        .unwrap(),
    )
}

/// Every kind of sampler for a Lennard-Jones fluid: name, kind, table without time step.
pub fn all_samplers() -> Vec<(&'static str, &'static str, String)> {
    let mut list = vec![
        ("NVE", "nve", String::new()),
        ("NVE, momentum removed", "nve", "remove_momentum = { every = 3 }".into()),
        ("Brownian", "brownian", "temperature = 1.2\nfriction = 50.0".into()),
        ("NPH", "nph", "temperature = 1.2\npressure = 1.0\nrelaxation = 1.0\nmode = \"triclinic\"".into()),
    ];
    for (name, thermostat) in THERMOSTATS {
        list.push((name, "nvt", format!("temperature = 1.2\nthermostat = {thermostat}")));
    }
    for (name, barostat) in BAROSTATS {
        for (_, thermostat) in &THERMOSTATS[..3] {
            let table = format!(
                "temperature = 1.2\npressure = 1.0\nthermostat = {thermostat}\nbarostat = {barostat}"
            );
            list.push((name, "npt", table));
        }
    }
    list.push((
        "stress",
        "npt",
        format!(
            "temperature = {{ from = 1.2, to = 1.3 }}\nstress = {{ xx = -1.0, yy = -1.1, zz = -0.9, xy = 0.1 }}\nthermostat = {}\nbarostat = {{ cell_rescale = {{ relaxation = 1.0, compressibility = 0.1, mode = \"triclinic\" }} }}",
            THERMOSTATS[0].1
        ),
    ));
    list
}

pub const THERMOSTATS: [(&str, &str); 5] = [
    ("Langevin", "{ langevin = { friction = 1.0 } }"),
    ("Bussi", "{ bussi = { relaxation = 0.2 } }"),
    ("Nosé-Hoover chain", "{ nose_hoover = { relaxation = 0.3 } }"),
    ("Andersen", "{ andersen = { rate = 1.0 } }"),
    ("Berendsen", "{ berendsen = { relaxation = 0.2 } }"),
];

pub const BAROSTATS: [(&str, &str); 9] = [
    ("cell rescaling, isotropic", "{ cell_rescale = { relaxation = 1.0, compressibility = 0.1 } }"),
    (
        "cell rescaling, semi-isotropic",
        "{ cell_rescale = { relaxation = 1.0, compressibility = 0.1, mode = \"semi_isotropic\" } }",
    ),
    (
        "cell rescaling, triclinic",
        "{ cell_rescale = { relaxation = 1.0, compressibility = 0.1, mode = \"triclinic\" } }",
    ),
    ("MTK, isotropic", "{ mtk = { relaxation = 1.0 } }"),
    ("MTK, anisotropic", "{ mtk = { relaxation = 1.0, mode = \"anisotropic\" } }"),
    ("MTK, triclinic", "{ mtk = { relaxation = 1.0, mode = \"triclinic\" } }"),
    ("Monte Carlo, isotropic", "{ monte_carlo = { every = 10, step = 0.03 } }"),
    ("Monte Carlo, anisotropic", "{ monte_carlo = { every = 10, step = 0.03, mode = \"anisotropic\" } }"),
    ("Berendsen", "{ berendsen = { relaxation = 1.0, compressibility = 0.1 } }"),
];

/// A Lennard-Jones fluid of 4 n³ atoms that has forgotten its lattice, at about kT = 1.2 and density 0.7.
pub fn fluid(n: usize) -> (System, State) {
    let (system, state) = fcc(n, 0.7, 2.4);
    let table = "temperature = 1.2\ntimestep = 0.004\nthermostat = { langevin = { friction = 1.0 } }";
    let sampler = sampler("nvt", table, &system, &state);
    let mut run =
        Run::new(system, state, Box::new(SmoothLj { cutoff: if n < 3 { 1.6 } else { 2.3 } }), sampler);
    run.steps(500);
    remove_linear(&run.system, &mut run.state);
    run.state.step = 0;
    run.state.time = 0.0;
    (run.system, run.state)
}

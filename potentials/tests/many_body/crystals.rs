//! Crystals at zero temperature: lattice constants, cohesive energies, elastic constants, vacancies.
use crate::golden::{build, potentials, system};
use caloron_engine::minimize::{MinimizeSpec, relax};
use caloron_engine::neighbors::Search;
use caloron_engine::units::BAR;
use caloron_engine::{Cell, Evaluator, Mat3, Properties, State, System, UnitSystem, Vec3};

/// A cubic crystal and what LAMMPS gives for it (22 Jul 2025, update 4): lattice constant (Å), energy (eV/atom), C11, C12, C44
/// with relaxed and with clamped ions (GPa), vacancy formation energy (eV) at fixed volume in `cells`³ cells.
struct Case {
    name: &'static str,
    toml: &'static str,
    element: &'static str,
    basis: &'static [[f64; 3]],
    /// The second sublattice of diamond.
    diamond: bool,
    lattice: f64,
    energy: f64,
    elastic: [f64; 4],
    cells: usize,
    vacancy: f64,
}

const FCC: [[f64; 3]; 4] = [[0.0; 3], [0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]];
const BCC: [[f64; 3]; 2] = [[0.0; 3], [0.5; 3]];

const CASES: [Case; 4] = [
    Case {
        name: "Cu, EAM (Mishin)",
        toml: "eam = { file = \"Cu_mishin1.eam.alloy\" }",
        element: "Cu",
        basis: &FCC,
        diamond: false,
        lattice: 3.614_925_065_888,
        energy: -3.540_218_330_205,
        elastic: [169.876_791, 122.584_854, 76.206_153, 76.206_153],
        cells: 6,
        vacancy: 1.272_616_4,
    },
    Case {
        name: "Fe, EAM (Mendelev)",
        toml: "eam = { file = \"Fe_mm.eam.fs\" }",
        element: "Fe",
        basis: &BCC,
        diamond: false,
        lattice: 2.855_324_860_794,
        energy: -4.122_435_102_061,
        elastic: [243.981_759, 145.248_795, 116.285_122, 116.285_122],
        cells: 6,
        vacancy: 1.712_931_8,
    },
    Case {
        name: "Si, Stillinger-Weber",
        toml: "stillinger_weber = { file = \"Si.sw\" }",
        element: "Si",
        basis: &FCC,
        diamond: true,
        lattice: 5.430_949_778_405,
        energy: -4.336_599_999_917,
        elastic: [151.424_490, 76.422_093, 56.449_341, 109.756_491],
        cells: 4,
        vacancy: 4.336_600_0,
    },
    Case {
        name: "Si, Tersoff",
        toml: "tersoff = { file = \"SiC.tersoff\" }",
        element: "Si",
        basis: &FCC,
        diamond: true,
        lattice: 5.432_114_844_309,
        energy: -4.628_872_713_880,
        elastic: [142.512_398, 75.364_040, 69.012_891, 118.794_429],
        cells: 4,
        vacancy: 3.704_271_2,
    },
];

/// A crystal with its potential.
struct Crystal {
    system: System,
    evaluator: Evaluator,
    /// Positions in fractions of the repeated cell.
    fractions: Vec<Vec3>,
    cells: f64,
}

impl Crystal {
    fn new(case: &Case, cells: usize, leave_out: usize) -> Self {
        let mut basis = case.basis.to_vec();
        if case.diamond {
            basis.extend(case.basis.iter().map(|b| b.map(|x| x + 0.25)));
        }
        let mut fractions = Vec::new();
        for k in 0..cells * cells * cells {
            let cell = [k / (cells * cells), k / cells % cells, k % cells].map(|c| c as f64);
            for b in &basis {
                fractions.push(Vec3::from([0, 1, 2].map(|c| (cell[c] + b[c]) / cells as f64)));
            }
        }
        fractions.drain(..leave_out);
        let system = system(&[case.element], &vec![case.element.to_owned(); fractions.len()]);
        let potential = build(case.toml, &potentials().unwrap(), &system).unwrap();
        let evaluator = Evaluator::new(vec![potential], 0.5, Search::Auto);
        Self { system, evaluator, fractions, cells: cells as f64 }
    }
    fn state(&self, lattice: f64, strain: Mat3) -> State {
        let h = (Mat3::identity() + strain) * (lattice * self.cells);
        let positions = self.fractions.iter().map(|s| h * s).collect();
        State::at_rest(positions, Cell::from_matrix(h, [true; 3]).unwrap())
    }
    /// Energy and stress (eV/Å³).
    fn energy_and_stress(&mut self, state: &State) -> (f64, Mat3) {
        let want = Properties::ENERGY | Properties::VIRIAL;
        let out = self.evaluator.ensure(&self.system, state, want, want).unwrap();
        (out.energy, -out.virial / state.cell().volume())
    }
    fn relaxed(&mut self, state: State, fmax: &str) -> State {
        let spec: MinimizeSpec = toml::from_str(&format!("fmax = \"{fmax} eV/Å\"")).unwrap();
        relax(&self.system, state, &mut self.evaluator, &spec, UnitSystem::Physical, |_| true).unwrap().state
    }
    /// The lattice constant without stress, by secants.
    fn lattice(&mut self, guess: f64) -> f64 {
        let mut stress = |a: f64| {
            let state = self.state(a, Mat3::zeros());
            self.energy_and_stress(&state).1.trace()
        };
        let (mut a, mut b) = (guess * 0.999, guess * 1.001);
        let (mut fa, mut fb) = (stress(a), stress(b));
        while (b - a).abs() > 1e-10 && fa != fb {
            let c = b - fb * (b - a) / (fb - fa);
            (a, fa) = (b, fb);
            (b, fb) = (c, stress(c));
        }
        b
    }
    /// C of the component (a, b) of the stress for a strain along (c, d), GPa, by central differences.
    fn elastic(&mut self, lattice: f64, [a, b, c, d]: [usize; 4], relaxed: bool) -> f64 {
        const STEP: f64 = 1e-4;
        let gigapascal = 1e4 * BAR;
        let mut stress = |step: f64| {
            let mut strain = Mat3::zeros();
            strain[(c, d)] += 0.5 * step;
            strain[(d, c)] += 0.5 * step;
            let mut state = self.state(lattice, strain);
            if relaxed {
                state = self.relaxed(state, "1e-8");
            }
            self.energy_and_stress(&state).1[(a, b)]
        };
        (stress(STEP) - stress(-STEP)) / (2.0 * STEP) / gigapascal
    }
}

/// Deviations from the numbers of LAMMPS are below 0.1 %.
fn agree(case: &Case, what: &str, ours: f64, theirs: f64) {
    println!("{:22} {what:22} {ours:14.6} {theirs:14.6} {:10.1e}", case.name, ours / theirs - 1.0);
    assert!((ours / theirs - 1.0).abs() < 1e-3, "{} {what}: {ours} {theirs}", case.name);
}

#[test]
fn lattice_and_elastic_constants() {
    if potentials().is_none() {
        return;
    }
    for case in &CASES {
        let mut crystal = Crystal::new(case, 1, 0);
        let a = crystal.lattice(case.lattice * 1.002);
        agree(case, "a (Å)", a, case.lattice);
        let state = crystal.state(a, Mat3::zeros());
        let energy = crystal.energy_and_stress(&state).0 / crystal.system.len() as f64;
        agree(case, "E (eV/atom)", energy, case.energy);
        let [c11, c12, c44, clamped] = case.elastic;
        agree(case, "C11 (GPa)", crystal.elastic(a, [0, 0, 0, 0], false), c11);
        agree(case, "C12 (GPa)", crystal.elastic(a, [1, 1, 0, 0], false), c12);
        agree(case, "C44 (GPa)", crystal.elastic(a, [0, 1, 0, 1], case.diamond), c44);
        if case.diamond {
            agree(case, "C44, clamped (GPa)", crystal.elastic(a, [0, 1, 0, 1], false), clamped);
        }
    }
}

#[test]
fn vacancies() {
    if potentials().is_none() {
        return;
    }
    for case in &CASES {
        let mut whole = Crystal::new(case, case.cells, 0);
        let state = whole.state(case.lattice, Mat3::zeros());
        let (all, _) = whole.energy_and_stress(&state);
        let n = whole.system.len() as f64;
        let mut vacancy = Crystal::new(case, case.cells, 1);
        let mut state = vacancy.state(case.lattice, Mat3::zeros());
        if case.diamond {
            // away from the symmetric stationary point; the nearest atom is the one a quarter along the diagonal
            let near = Vec3::repeat(0.25 * case.lattice);
            let k = state.positions().iter().position(|r| (r - near).norm() < 1e-6).unwrap();
            state.positions_mut()[k] += Vec3::new(0.1, 0.05, -0.02);
        }
        let state = vacancy.relaxed(state, "1e-5");
        let energy = vacancy.energy_and_stress(&state).0 - (n - 1.0) / n * all;
        agree(case, "vacancy (eV)", energy, case.vacancy);
    }
}

//! The conformance suite on every pair form and every smooth truncation, and the same bits from every instruction set.
mod support;
use caloron_engine::UnitSystem::{Lj, Physical};
use caloron_engine::testing::{Check, Options, check_potential};
use caloron_engine::{Cell, Potential, Species, State, System, Vec3};
use support::potential;

fn system(n: usize) -> System {
    let species = [("Ni", 28), ("Al", 13)];
    let species = species.map(|(s, z)| Species { symbol: s.into(), number: Some(z), mass: 1.0 });
    System::new(species.to_vec(), (0..n).map(|i| u16::from(i % 3 == 0)).collect())
}

/// `n` atoms on a jittered lattice in a triclinic cell, about one per unit of volume.
fn fluid(n: usize, open: bool) -> (System, State) {
    let m = (n as f64).cbrt().round() as usize;
    assert_eq!(m * m * m, n);
    let l = m as f64 * 1.05;
    let vectors = [[l, 0.0, 0.0], [0.15 * l, 0.98 * l, 0.0], [-0.1 * l, 0.2 * l, 1.02 * l]].map(Vec3::from);
    let cell = Cell::new(vectors, [true; 3]).unwrap();
    let mut seed = 77u64;
    let mut jitter = || {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        0.12 * ((seed >> 11) as f64 / (1u64 << 53) as f64 - 0.5)
    };
    let mut positions = Vec::new();
    for k in 0..n {
        let s = [k % m, k / m % m, k / m / m].map(|i| i as f64 / m as f64);
        positions.push(cell.cartesian(&Vec3::from(s)) + Vec3::new(jitter(), jitter(), jitter()));
    }
    let cell = if open { Cell::open() } else { cell };
    (system(n), State::at_rest(positions, cell))
}

/// Every form with parameters of the size of one, except ZBL, which knows only elements.
fn forms() -> Vec<(&'static str, String)> {
    let pairs = |rows: [&str; 3]| {
        let row = |(a, b): (&str, &str), r: &str| format!("{{ species = [\"{a}\", \"{b}\"], {r} }}");
        let names = [("Ni", "Ni"), ("Ni", "Al"), ("Al", "Al")];
        format!(
            "pairs = [{}]",
            names.iter().zip(rows).map(|(n, r)| row(*n, r)).collect::<Vec<_>>().join(", ")
        )
    };
    let lj =
        pairs(["epsilon = 1.0, sigma = 1.0", "epsilon = 1.2, sigma = 0.9", "epsilon = 0.5, sigma = 0.88"]);
    let table = |name: &str, keys: &str, pairs: &str| format!("[{name}]\n{keys}\n{pairs}");
    let mut forms: Vec<(&'static str, String)> = [
        ("force_shifted", "\"force_shifted\""),
        ("switch", "{ switch = { inner = 1.9 } }"),
        ("force_switch", "{ force_switch = { inner = 1.9 } }"),
        ("force_spline", "{ force_spline = { inner = 1.9 } }"),
    ]
    .map(|(name, t)| (name, table("lennard_jones", &format!("cutoff = 2.5\ntruncation = {t}"), &lj)))
    .to_vec();
    let c = "cutoff = 2.5";
    forms.extend([
        ("wca", table("wca", "", &lj)),
        (
            "mie",
            table(
                "mie",
                c,
                &pairs([
                    "epsilon = 1.0, sigma = 1.0, n = 14.0, m = 7.0",
                    "epsilon = 1.2, sigma = 0.9, n = 12.0, m = 6.0",
                    "epsilon = 0.5, sigma = 0.88, n = 9.5, m = 5.5, cutoff = 2.1",
                ]),
            ),
        ),
        ("soft_sphere", table("soft_sphere", "cutoff = 2.5\nn = 9.0", &lj)),
        ("yukawa", table("yukawa", "cutoff = 2.5\nkappa = 1.3", &pairs(["a = 2.0", "a = -1.0", "a = 0.7"]))),
        (
            "buckingham",
            table(
                "buckingham",
                c,
                &pairs([
                    "a = 800.0, rho = 0.17, c = 1.5",
                    "a = 500.0, rho = 0.16, c = 0.7",
                    "a = 300.0, rho = 0.15, c = 0.0",
                ]),
            ),
        ),
        (
            "born",
            table(
                "born",
                c,
                &pairs([
                    "a = 1.0, rho = 0.15, sigma = 1.0, c = 0.8, d = 0.2",
                    "a = 1.3, rho = 0.16, sigma = 0.9, c = 0.5, d = 0.1",
                    "a = 0.8, rho = 0.14, sigma = 0.9, c = 0.2, d = 0.0",
                ]),
            ),
        ),
        (
            "morse",
            table(
                "morse",
                c,
                &pairs([
                    "depth = 1.0, alpha = 4.0, r0 = 1.1",
                    "depth = 0.7, alpha = 5.0, r0 = 1.0",
                    "depth = 0.9, alpha = 4.5, r0 = 1.05",
                ]),
            ),
        ),
    ]);
    let points: Vec<String> = (0..40)
        .map(|k| 0.5 + 0.055 * f64::from(k))
        .map(|r: f64| format!("[{r:?}, {:?}]", r.powi(-8) - 1.5 * r.powi(-5)))
        .collect();
    let points = format!("points = [{}]", points.join(", "));
    forms.push((
        "table",
        table("table", "truncation = \"force_shifted\"", &pairs([&points, &points, &points])),
    ));
    forms
}

fn conforms(name: &str, potential: &mut dyn Potential, system: &System, state: &State) -> usize {
    // third derivatives jump at the knots of a table, the second derivative of WCA at its end (by 57 epsilon/sigma^2)
    let difference_tolerance = match name {
        "wca" => 1e-3,
        "table" => 1e-4,
        _ => Options::default().difference_tolerance,
    };
    let options = Options { difference_tolerance, ..Options::default() };
    let report = check_potential(potential, system, state, &options).unwrap_or_else(|e| panic!("{e}"));
    assert!(report.passed(), "{name}\n{report}");
    report.outcomes.iter().filter(|o| o.measured.is_some()).count()
}

#[test]
fn every_form_conforms() {
    for (name, text) in forms() {
        let mut run = Vec::new();
        // the cell of eight atoms is smaller than the cutoff
        for (n, open) in [(125, false), (8, false), (27, true)] {
            let (system, state) = fluid(n, open);
            let mut potential = potential(&system, Lj, &text);
            run.push(conforms(name, potential.as_mut(), &system, &state));
        }
        // WCA ends before the other side of the small cell
        let small = if name == "wca" { 11 } else { 12 };
        assert_eq!(run, [11, small, 9], "{name}: number of checks");
    }
}

#[test]
fn zbl_and_tail_corrections_conform() {
    let (system, state) = fluid(64, false);
    let mut zbl = potential(&system, Physical, "[zbl]\ninner = \"1.2 Å\"\ncutoff = \"2.5 Å\"");
    conforms("zbl", zbl.as_mut(), &system, &state);
    let tail = "[lennard_jones]\ncutoff = 2.5\ntruncation = \"energy_shifted\"\ntail_correction = true\n\
                mixing = \"sixth_power\"\nspecies = [{ name = \"Ni\", epsilon = 1.0, sigma = 1.0 },\
                { name = \"Al\", epsilon = 0.5, sigma = 0.9 }]";
    let mut tail = potential(&system, Lj, tail);
    // forces jump at the cutoff, and the pressure correction counts what lies beyond it
    let checks = Check::ALL.into_iter().filter(|c| !matches!(c, Check::Forces | Check::Virial)).collect();
    let options = Options { checks, ..Options::default() };
    let report = check_potential(tail.as_mut(), &system, &state, &options).unwrap();
    assert!(report.passed(), "{report}");
}

#[test]
fn threads_do_not_matter_in_large_systems() {
    let (system, state) = fluid(1728, false);
    let (name, text) = &forms()[0];
    let mut potential = potential(&system, Lj, text);
    let options = Options { checks: vec![Check::Threads, Check::Wants], ..Options::default() };
    let report = check_potential(potential.as_mut(), &system, &state, &options).unwrap();
    assert!(report.passed(), "{name}\n{report}");
}

/// A wrong potential must fail: the suite is tested too.
#[test]
fn the_suite_notices_wrong_potentials() {
    use caloron_engine::{Input, Outputs, PotentialError, Properties};
    struct Wrong(Box<dyn Potential>, u8);
    impl Potential for Wrong {
        fn name(&self) -> &'static str {
            "wrong"
        }
        fn cutoff(&self) -> Option<f64> {
            self.0.cutoff()
        }
        fn compute(
            &mut self,
            input: Input<'_>,
            want: Properties,
            out: &mut Outputs,
        ) -> Result<(), PotentialError> {
            self.0.compute(input, want, out)?;
            match self.1 {
                0 => out.forces.iter_mut().for_each(|f| *f *= 1.0001),
                1 => out.virial = -out.virial,
                2 => out.energy += 1e-3 * input.positions[0].x,
                3 => out.energy *= if want == Properties::ENERGY { 1.0 + 1e-15 } else { 1.0 },
                _ => out.atom_energies.iter_mut().for_each(|e| *e *= 1.0001),
            }
            Ok(())
        }
    }
    let (system, state) = fluid(27, false);
    for (kind, check) in [Check::Forces, Check::Virial, Check::Translation, Check::Wants, Check::AtomSums]
        .into_iter()
        .enumerate()
    {
        let mut wrong = Wrong(potential(&system, Lj, &forms()[0].1), kind as u8);
        let report = check_potential(&mut wrong, &system, &state, &Options::default()).unwrap();
        assert!(report.failures().any(|o| o.check == check), "{check:?}\n{report}");
    }
}

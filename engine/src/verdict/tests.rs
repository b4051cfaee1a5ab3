use super::report::with_error;
use super::*;
use crate::dynamics::{Axis, CellMode, HeldPressure, Target};
use crate::minimize::{Goal, Point, Summary};
use crate::observe::Frame;
use crate::sampler::kinetic_energy;
use crate::units::{BOLTZMANN, FEMTOSECOND};
use crate::{
    Archive, Cell, Mat3, Observer, Outputs, Properties, Schedule, Species, State, Stream, Streams, System,
    UnitSystem, Vec3,
};

const ATOMS: usize = 200;
const DT: f64 = 2.0 * FEMTOSECOND;
const EVERY: u64 = 10;
const NOISE: f64 = 0.002;

/// A run without dynamics: velocities and energies drawn anew for each sample.
struct Made {
    samples: u64,
    /// Target and true temperature; that of the second species.
    kt: f64,
    hot: f64,
    /// Energy per step and per sample added to the conserved quantity.
    drift: f64,
    noise: f64,
}

impl Made {
    fn healthy() -> Self {
        let kt = 300.0 * BOLTZMANN;
        Self { samples: 2000, kt, hot: kt, drift: 0.0, noise: NOISE }
    }
    fn system() -> System {
        let species = |symbol: &str, mass| Species { symbol: symbol.into(), number: None, mass };
        let types = (0..ATOMS).map(|i| (i % 2) as u16).collect();
        System::new(vec![species("Na", 23.0), species("Cl", 35.5)], types)
    }
    fn record(&self, recorder: &mut Recorder, from: u64, to: u64) {
        let system = Self::system();
        let rng = Streams { seed: 3 };
        let cell = Cell::orthorhombic(20.0, 20.0, 20.0).unwrap();
        let mut state = State::at_rest(vec![Vec3::zeros(); ATOMS], cell);
        for k in from..to {
            for (i, v) in state.velocities_mut().iter_mut().enumerate() {
                let kt = if i % 2 == 1 { self.hot } else { self.kt };
                *v = rng.normal3(Stream::Test, k, 0, i as u64) * (kt / system.masses()[i]).sqrt();
            }
            let [a, b] = rng.normal2(Stream::Test, k, 1, 0);
            let outputs = Outputs {
                energy: -50.0 + 0.3 * b,
                virial: Mat3::identity() * (0.2 * b),
                ..Outputs::default()
            };
            recorder.record(&Frame {
                system: &system,
                state: &state,
                outputs: &outputs,
                kinetic: kinetic_energy(&system, &state),
                degrees_of_freedom: 3.0 * ATOMS as f64,
                conserved: Some(-1e4 + self.drift * (EVERY * k) as f64 + self.noise * a),
                stage: 0,
                stage_step: EVERY * (k + 1),
                opening: false,
            });
        }
    }
    fn circumstances(&self) -> Circumstances {
        Circumstances {
            stage: "produce".into(),
            sampler: "BAOAB".into(),
            units: UnitSystem::Physical,
            steps: EVERY * self.samples,
            time_step: Some(DT),
            temperature: Some(Schedule::constant(300.0 * BOLTZMANN)),
            has_velocities: true,
            samples_ensemble: true,
            wall_seconds: Some(2.0),
            ..Circumstances::default()
        }
    }
    fn verdict(&self, change: impl Fn(&mut Circumstances)) -> Verdict {
        let mut c = self.circumstances();
        change(&mut c);
        let mut recorder = Recorder::new(EVERY, Properties::all());
        recorder.set_stage(0, &c.held);
        self.record(&mut recorder, 0, self.samples);
        judge(&recorder, &Self::system(), &c)
    }
}

/// Energy per step of a drift in kT/ns/dof.
fn per_step(drift: f64, kt: f64) -> f64 {
    drift * kt * 3.0 * ATOMS as f64 * 2e-6
}

fn causes(v: &Verdict) -> Vec<Cause> {
    v.suspects.iter().map(|s| s.cause).collect()
}

#[test]
fn a_healthy_run_passes_and_its_numbers_are_right() {
    let v = Made::healthy().verdict(|_| {});
    assert_eq!(v.judgement, Judgement::Pass, "{v}");
    assert!(v.suspects.is_empty() && v.notes.is_empty(), "{v}");
    let c = v.conservation.as_ref().unwrap();
    // white noise: error of the slope = noise √(12/n³) per sample
    let expected = NOISE * (12.0 / 2000f64.powi(3)).sqrt() / per_step(1.0, 300.0 * BOLTZMANN) / EVERY as f64;
    assert!((c.error / expected - 1.0).abs() < 0.15, "{} {expected}", c.error);
    assert!(c.drift.abs() < 4.0 * c.error);
    let t = v.temperature.as_ref().unwrap();
    assert!((t.mean - 300.0).abs() < 4.0 * t.error && t.z.unwrap().abs() < 4.0);
    let exact = 300.0 * (2.0 / (3.0 * ATOMS as f64 * 1600.0)).sqrt();
    assert!((t.error / exact - 1.0).abs() < 0.4, "{} {exact}", t.error);
    assert_eq!(v.equipartition.iter().map(|g| g.name.as_str()).collect::<Vec<_>>(), ["Na", "Cl"]);
    // P = (2 K + tr W)/3V = ρ kT
    let p = v.pressure.as_ref().unwrap();
    let ideal = 200.0 / 8000.0 * 300.0 * BOLTZMANN / crate::units::BAR;
    assert!((p.mean - ideal).abs() < 4.0 * p.error && p.target.is_none());
    let rate = v.rate.as_ref().unwrap();
    assert!((rate.steps_per_second - 10_000.0).abs() < 1e-9);
    assert!((rate.time_per_day.unwrap() - 10_000.0 * 2e-6 * 86_400.0).abs() < 1e-6);
    let text = v.to_string();
    for part in ["`produce`: pass", "drift", "kT/ns/dof", "target 300", "ns/day", "40 ps"] {
        assert!(text.contains(part), "`{part}` is missing in\n{text}");
    }
}

#[test]
fn a_drift_is_found_with_its_cause() {
    let mut run = Made::healthy();
    run.drift = per_step(0.02, run.kt);
    let v = run.verdict(|c| c.truncated = true);
    assert_eq!((v.judgement, causes(&v)), (Judgement::Warn, vec![Cause::Truncation]), "{v}");
    let found = v.conservation.as_ref().unwrap().drift;
    assert!((found / 0.02 - 1.0).abs() < 0.02, "{found}");
    run.drift = per_step(-1.0, run.kt);
    let v = run.verdict(|_| {});
    assert_eq!((v.judgement, causes(&v)), (Judgement::Fail, vec![Cause::NeighborList]), "{v}");
    let v = run.verdict(|c| c.single_precision = true);
    assert_eq!(causes(&v), [Cause::Precision]);
}

#[test]
fn a_large_fluctuation_means_a_large_step() {
    let mut run = Made::healthy();
    // σ of the kinetic energy is kT √(dof/2)
    run.noise = 0.3 * run.kt * 300f64.sqrt();
    let v = run.verdict(|_| {});
    assert_eq!((v.judgement, causes(&v)), (Judgement::Warn, vec![Cause::TimeStep]), "{v}");
    let ratio = v.conservation.as_ref().unwrap().fluctuation_ratio.unwrap();
    assert!((ratio - 0.3).abs() < 0.03, "{ratio}");
}

#[test]
fn wrong_temperatures_are_found() {
    let mut run = Made::healthy();
    (run.kt, run.hot) = (1.03 * run.kt, 1.03 * run.kt);
    let v = run.verdict(|_| {});
    assert_eq!((v.judgement, causes(&v)), (Judgement::Warn, vec![Cause::NotEquilibrated]), "{v}");
    let v = run.verdict(|c| c.samples_ensemble = false);
    assert_eq!(causes(&v), [Cause::NoEnsemble]);
    // without a target, or with a ramp, there is nothing to compare with
    assert_eq!(run.verdict(|c| c.temperature = None).judgement, Judgement::Pass);
    let ramp = Schedule { start: 0.01, end: 0.02 };
    assert_eq!(run.verdict(|c| c.temperature = Some(ramp)).judgement, Judgement::Pass);

    let mut run = Made::healthy();
    (run.kt, run.hot) = (0.93 * run.kt, 1.07 * run.kt);
    let v = run.verdict(|_| {});
    assert_eq!(v.judgement, Judgement::Fail, "{v}");
    assert_eq!(v.temperature.as_ref().unwrap().judgement, Judgement::Pass);
    assert!(v.equipartition.iter().all(|g| g.temperature.judgement == Judgement::Fail));
}

#[test]
fn a_wrong_pressure_is_found() {
    let run = Made::healthy();
    let ideal = 200.0 / 8000.0 * run.kt;
    let v = run.verdict(|c| c.held = pressed(ideal));
    assert_eq!(v.judgement, Judgement::Pass, "{v}");
    let v = run.verdict(|c| c.held = pressed(1.5 * ideal));
    assert_eq!(v.pressure.as_ref().unwrap().judgement, Judgement::Fail, "{v}");
}

/// What an isotropic barostat keeps.
fn pressed(p: f64) -> Vec<HeldPressure> {
    CellMode::Isotropic.held(&[], &Target::pressure(Schedule::constant(p)))
}

#[test]
fn components_are_compared_where_they_are_kept() {
    let run = Made::healthy();
    let ideal = 200.0 / 8000.0 * run.kt;
    let kept = |mode: CellMode, fixed: &[Axis], p: f64| {
        run.verdict(|c| c.held = mode.held(fixed, &Target::pressure(Schedule::constant(p))))
    };
    let v = kept(CellMode::Triclinic, &[], ideal);
    assert_eq!(v.judgement, Judgement::Pass, "{v}");
    let names: Vec<&str> = v.stress.iter().map(|s| s.name).collect();
    assert_eq!(names, ["xx", "yy", "zz", "yz", "xz", "xy"]);
    let bar = ideal / crate::units::BAR;
    for s in &v.stress[..3] {
        assert!((s.stress.mean + bar).abs() < 4.0 * s.stress.error && s.stress.error < 0.05 * bar, "{v}");
        assert!((s.stress.target.unwrap() + bar).abs() < 1e-9 * bar);
    }
    assert!(v.stress[3..].iter().all(|s| s.stress.mean.abs() < 4.0 * s.stress.error), "{v}");
    assert!(v.to_string().contains("  stress xx"), "{v}");
    // the mean of two components is known better than one of them, and never taken for better than it is
    let v = kept(CellMode::SemiIsotropic, &[], 1.5 * ideal);
    assert_eq!(v.stress[0].name, "xx+yy");
    assert!(v.stress.iter().all(|s| s.stress.judgement == Judgement::Fail), "{v}");
    // a direction that nothing keeps is not compared, nor is the pressure that it is a part of
    let v = kept(CellMode::Anisotropic, &[Axis::Z], ideal);
    assert_eq!(v.stress.len(), 2);
    assert!(v.pressure.unwrap().target.is_none());
}

#[test]
fn short_runs_are_neither_pass_nor_fail() {
    for samples in [0, 1, 7, 30] {
        let v = Made { samples, ..Made::healthy() }.verdict(|_| {});
        assert_eq!(v.judgement, Judgement::TooShort, "{samples} {v}");
        assert_eq!(causes(&v), [Cause::TooShort]);
    }
    // unless they are plainly wrong
    let mut run = Made { samples: 64, ..Made::healthy() };
    run.drift = per_step(50.0, run.kt);
    assert_eq!(run.verdict(|_| {}).judgement, Judgement::Fail);
}

#[test]
fn minimisations_have_their_own_verdict() {
    let summary = |outcome| Summary {
        outcome,
        iterations: 42,
        goal: Goal { fmax: 0.01, smax: 1e-4, steps: 100 },
        point: Point { energy: -3.5, enthalpy: -3.5, fmax: 0.008, smax: 0.0 },
    };
    let v = Made::healthy().verdict(|c| c.minimization = Some(summary(Outcome::Converged)));
    assert_eq!(v.judgement, Judgement::Pass);
    assert!(v.to_string().contains("converged after 42 iterations"), "{v}");
    assert!(v.to_string().contains("0.008 eV/Å   limit 0.01"), "{v}");
    let v = Made::healthy().verdict(|c| c.minimization = Some(summary(Outcome::Stalled)));
    assert_eq!((v.judgement, causes(&v)), (Judgement::Warn, vec![Cause::NotConverged]));
}

#[test]
fn a_recorder_continues_with_the_same_bits() {
    let run = Made::healthy();
    let mut straight = Recorder::new(EVERY, Properties::all());
    run.record(&mut straight, 0, 700);
    let mut a = Archive::writer();
    straight.archive(&mut a).unwrap();
    let bytes = a.into_bytes();
    assert!(bytes.len() < 14 * 1024 * 8);
    let mut resumed = Recorder::new(EVERY, Properties::all());
    resumed.archive(&mut Archive::reader(bytes)).unwrap();
    for r in [&mut straight, &mut resumed] {
        run.record(r, 700, 1500);
    }
    let c = run.circumstances();
    let verdicts = [straight, resumed].map(|r| judge(&r, &Made::system(), &c));
    assert_eq!(verdicts[0], verdicts[1]);
    let json = serde_json::to_value(&verdicts[0]).unwrap();
    assert_eq!(json["judgement"], "pass");
    assert!(json["temperature"]["mean"].as_f64().is_some_and(|t| t > 250.0));
}

#[test]
fn without_a_virial_there_is_no_pressure() {
    let run = Made::healthy();
    let mut recorder = Recorder::new(EVERY, Properties::ENERGY | Properties::FORCES);
    run.record(&mut recorder, 0, 100);
    assert!(judge(&recorder, &Made::system(), &run.circumstances()).pressure.is_none());
    assert!(!Observer::needs(&recorder).contains(Properties::VIRIAL));
}

#[test]
fn numbers_carry_two_digits_of_their_error() {
    assert_eq!(with_error(94.4123, 0.0213), "94.412 ± 0.021");
    assert_eq!(with_error(-1234.5, 37.0), "-1234 ± 37");
    assert_eq!(with_error(1.234e-7, 4.5e-8), "(1.23 ± 0.45)e-7");
    assert_eq!(with_error(0.0, 0.0), "0 ± 0");
    assert_eq!(with_error(2.5, f64::INFINITY), "2.5 ± unknown");
}

//! The physics gate of `caloron check`: every interaction is tested on the user's own structure.
use crate::Failure;
use crate::input::Plan;
use caloron_engine::testing::{Check, Options, Outcome, check_potential};
use caloron_engine::{State, Stream, Streams};

/// Standard deviation of the displacements that take a perfect crystal out of its symmetry, Å or σ.
const RATTLE: f64 = 0.02;
/// Atoms above which fewer forces are differentiated.
const LARGE: usize = 20_000;

/// Tests all interactions and prints what was found.
pub(super) fn run(plan: &mut Plan) -> Result<(), Failure> {
    let noise = Streams { seed: plan.seed };
    let mut state = State::at_rest(plan.state.positions().to_vec(), plan.state.cell().clone());
    for (i, r) in state.positions_mut().iter_mut().enumerate() {
        *r += noise.normal3(Stream::Test, 0, 0, i as u64) * RATTLE;
    }
    let checks = [&Check::GATE[..], &[Check::Wrapping, Check::Wants, Check::Threads]].concat();
    let atoms = if state.len() > LARGE { 2 } else { 8 };
    say!("physics gate, on the structure with random displacements of {RATTLE}");
    let mut failed = Vec::new();
    for (name, potential) in plan.potentials.iter().zip(plan.evaluator.potentials_mut()) {
        let options = Options { checks: checks.clone(), atoms, ..Options::suited_to(potential) };
        // in single precision no step is short enough to end before a jump of the energy
        let jumps = potential.jumps_at_cutoff() && potential.single_precision();
        let report = check_potential(potential, &plan.system, &state, &options)
            .map_err(|e| Failure::simulation(format!("{name}: {e}")))?;
        for outcome in &report.outcomes {
            let excused = jumps && matches!(outcome.check, Check::Forces | Check::Virial);
            say!("  {name}: {}", line(outcome, excused));
            if !outcome.passed() && !excused {
                failed.push(format!("{name}: {}", outcome.check.name()));
            }
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failure::simulation(format!("the physics gate failed: {}", failed.join("; ")))
        .hint("do not trust a run with this potential on this structure"))
}

fn line(o: &Outcome, excused: bool) -> String {
    let name = o.check.name();
    match o.measured {
        None => format!("{:<8}{name} ({})", "skipped", o.detail),
        Some(m) => {
            let verdict = match (o.passed(), excused) {
                (true, _) => "passed",
                (false, true) => "jumps",
                (false, false) => "FAILED",
            };
            format!("{verdict:<8}{name}: {m:.1e} (limit {:.0e}) {}", o.tolerance, o.detail)
        }
    }
}

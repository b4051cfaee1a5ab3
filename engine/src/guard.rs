//! The guard: stops a run that diverges, early, and says what happened.
//!
//! The default limits lie an order of magnitude above what healthy runs show and many below what an
//! exploding run reaches within a few steps:
//! - force, 1000 eV/Å (10⁵ ε/σ): covalent bonds break near 10 eV/Å; at 1000 eV/Å an argon atom is pushed by 1 Å in a
//!   step of 2 fs. Lennard-Jones pairs feel 10⁵ ε/σ at 0.56 σ, where their energy is near 4000 ε;
//! - temperature, 10⁵ K (1000 ε/k_B): 9 eV, where atoms are a plasma;
//! - displacement, 1 Å per step (0.3 σ): a hydrogen atom at 5 standard deviations of 1000 K moves 0.25 Å
//!   in 1 fs; a step of 1 Å is most of a bond length, over which no integrator is right.
//!
//! All are tested at the start of a stage and after each step. A move is the speed of an atom times the time step; every ten steps
//! (in overdamped motion, which has no speed, at each) also the distance from an earlier copy of the state, over the steps.
//!
//! Collision cascades, plasmas and coarse Brownian motion need wider limits. Minimisers and Monte Carlo moves are
//! not dynamics: of the three limits only the finiteness of the numbers says something about them.
use crate::error::Divergence;
use crate::quantity::{Force, Length, Temperature};
use crate::sampler::kinetic_energy;
use crate::watch::WatchSpec;
use crate::{Outputs, Quantity, SpecError, State, System, UnitSystem, Vec3, parallel};
use schemars::JsonSchema;
use serde::Deserialize;
use std::fmt::Write;

/// Limits beyond which a run counts as diverged and stops: `[guard]`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitsSpec {
    /// Largest force on an atom; default 1000 eV/Å, in reduced units 100000.
    pub force: Option<Quantity<Force>>,
    /// Highest instantaneous temperature, tested at each step; default 100000 K, in reduced units 1000.
    pub temperature: Option<Quantity<Temperature>>,
    /// Largest move of an atom in one step, its speed times the time step; default 1 Å, in reduced units 0.3.
    pub displacement: Option<Quantity<Length>>,
    /// What is watched while a learned potential drives the run.
    #[serde(default)]
    pub learned: WatchSpec,
}

impl LimitsSpec {
    /// The limits in a unit system.
    ///
    /// # Errors
    /// When a limit is not positive.
    pub fn build(&self, units: UnitSystem) -> Result<Limits, SpecError> {
        let d = Limits::defaults(units);
        let limit = |key: &str, value: Option<f64>, default: f64| match value {
            Some(v) if v <= 0.0 => Err(SpecError::new(key, format!("a limit must be positive, not {v}"))
                .hint("leave it out for the default")),
            v => Ok(v.unwrap_or(default)),
        };
        Ok(Limits {
            max_force: limit("force", self.force.map(Quantity::internal), d.max_force)?,
            max_temperature: limit(
                "temperature",
                self.temperature.map(Quantity::internal),
                d.max_temperature,
            )?,
            max_displacement: limit(
                "displacement",
                self.displacement.map(Quantity::internal),
                d.max_displacement,
            )?,
            units,
        })
    }
}

/// Limits beyond which a run counts as diverged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Force on an atom, eV/Å.
    pub max_force: f64,
    /// Instantaneous temperature, K (or reduced).
    pub max_temperature: f64,
    /// Move of an atom in one step, Å.
    pub max_displacement: f64,
    /// Unit system of the run.
    pub units: UnitSystem,
}

impl Limits {
    /// The defaults of a unit system (see the module for the reasons).
    pub fn defaults(units: UnitSystem) -> Self {
        let (max_force, max_temperature, max_displacement) = match units {
            UnitSystem::Physical => (1e3, 1e5, 1.0),
            UnitSystem::Lj => (1e5, 1e3, 0.3),
        };
        Self { max_force, max_temperature, max_displacement, units }
    }
    /// Limits that only non-finite numbers exceed, for minimisers and Monte Carlo.
    pub fn finite_only(units: UnitSystem) -> Self {
        let max = f64::MAX;
        Self { max_force: max, max_temperature: max, max_displacement: max, units }
    }
    /// Tests the numbers of a step: energy, forces, temperature, the next move of every atom and, against an earlier geometry,
    /// how far they went. One pass over the atoms where all is well, allocates nothing.
    ///
    /// # Errors
    /// The first thing beyond a limit; of all atoms the worst one. NaN is beyond every limit.
    pub fn check(
        &self,
        state: &State,
        outputs: &Outputs,
        motion: Option<Motion<'_>>,
        earlier: Option<&State>,
    ) -> Result<(), Divergence> {
        if !outputs.energy.is_finite() {
            return Err(Divergence::Energy(outputs.energy));
        }
        let (f, v) = (&outputs.forces, state.velocities());
        let largest = |limit: f64| (limit * limit).min(f64::MAX);
        let (force2, speed2) =
            (largest(self.max_force), largest(self.suspicious_speed(motion.as_ref(), v.len())));
        let suspects = parallel::sum(f.len().min(v.len()), 0u32, |i| {
            let (a, b) = (f[i].norm_squared(), v[i].norm_squared());
            u32::from((a > force2) | a.is_nan() | (b > speed2) | b.is_nan())
        });
        if suspects > 0 {
            self.check_forces(f)?;
            self.check_velocities(state, motion)?;
        }
        if let Some(earlier) = earlier {
            let steps = state.step.saturating_sub(earlier.step).max(1) as f64;
            if let Some((atom, distance)) = farthest_move(earlier, state, self.max_displacement * steps) {
                let distance = distance / steps;
                if distance.is_nan() || distance > self.max_displacement {
                    return Err(Divergence::Displacement { atom, distance, limit: self.max_displacement });
                }
            }
        }
        Ok(())
    }
    fn check_forces(&self, f: &[Vec3]) -> Result<(), Divergence> {
        let Some((atom, square)) = parallel::largest(f.len(), |i| f[i].norm_squared()) else { return Ok(()) };
        // where the square overflows the largest component will do
        let force = if square.is_finite() { square.sqrt() } else { f[atom].amax() };
        if force.is_nan() || force > self.max_force {
            return Err(Divergence::Force { atom, force, limit: self.max_force });
        }
        Ok(())
    }
    fn check_velocities(&self, state: &State, motion: Option<Motion<'_>>) -> Result<(), Divergence> {
        let v = state.velocities();
        let dof = motion.map_or(0.0, |m| m.degrees_of_freedom);
        let kt = motion.filter(|_| dof > 0.0).map_or(0.0, |m| 2.0 * kinetic_energy(m.system, state) / dof);
        let temperature = kt / self.units.boltzmann();
        if temperature.is_nan() || temperature > self.max_temperature {
            return Err(Divergence::Temperature { temperature, limit: self.max_temperature });
        }
        let Some(dt) = motion.and_then(|m| m.time_step) else { return Ok(()) };
        let Some((atom, square)) = parallel::largest(v.len(), |i| v[i].norm_squared()) else { return Ok(()) };
        let distance = square.sqrt() * dt;
        if distance.is_nan() || distance > self.max_displacement {
            return Err(Divergence::Displacement { atom, distance, limit: self.max_displacement });
        }
        Ok(())
    }
    /// A speed that no atom exceeds while moves and temperature are within their limits: at a temperature above its limit
    /// some atom has more than the mean energy.
    fn suspicious_speed(&self, motion: Option<&Motion<'_>>, atoms: usize) -> f64 {
        let Some(m) = motion else { return f64::MAX };
        let energy =
            m.degrees_of_freedom / atoms.max(1) as f64 * self.units.boltzmann() * self.max_temperature;
        let hot = (energy / m.heaviest).sqrt();
        let far = m.time_step.map_or(f64::MAX, |dt| self.max_displacement / dt);
        if hot.is_nan() { far } else { hot.min(far) }
    }
}

/// How atoms move, as far as the limits depend on it.
#[derive(Clone, Copy)]
pub struct Motion<'a> {
    /// Masses.
    pub system: &'a System,
    /// Mass of the heaviest atom, u.
    pub heaviest: f64,
    /// Degrees of freedom of the kinetic energy.
    pub degrees_of_freedom: f64,
    /// Time step, internal units; `None` where velocities are no motion (overdamped dynamics).
    pub time_step: Option<f64>,
}

/// The atom that moved farthest between two states and how far, not counting the deformation of the cell; `None` when
/// all moved less than `limit`.
fn farthest_move(earlier: &State, state: &State, limit: f64) -> Option<(usize, f64)> {
    let (old, new) = (earlier.positions(), state.positions());
    let n = old.len().min(new.len());
    if earlier.cell() == state.cell() {
        farthest(n, limit, |i| (new[i] - old[i]).norm_squared())
    } else {
        let f = state.cell().matrix() * earlier.cell().inverse();
        farthest(n, limit, |i| (new[i] - f * old[i]).norm_squared())
    }
}

/// The largest of n distances, given by their squares, if any is beyond a limit.
fn farthest(n: usize, limit: f64, square: impl Fn(usize) -> f64 + Sync) -> Option<(usize, f64)> {
    if !any_beyond(n, limit, &square) {
        return None;
    }
    parallel::largest(n, square).map(|(i, d)| (i, d.sqrt()))
}

/// True when one of n squares is beyond the square of a limit, or is NaN or infinite: a cheap first look.
fn any_beyond(n: usize, limit: f64, square: impl Fn(usize) -> f64 + Sync) -> bool {
    let limit = (limit * limit).min(f64::MAX);
    parallel::sum(n, 0u32, |i| {
        let x = square(i);
        u32::from((x > limit) | x.is_nan())
    }) > 0
}

/// A neighbour in a report: atom, distance, true for an image of it.
type Near = (usize, f64, bool);

/// The atoms nearest to one, over periodic images, by brute force; without virtual sites.
fn nearest(system: &System, state: &State, atom: usize, count: usize) -> Vec<Near> {
    let (r, cell) = (state.positions(), state.cell());
    let reach = cell.periodic().map(|p| if p { 1 } else { 0 });
    let mut found: Vec<Near> = Vec::new();
    // a virtual site may lie in an atom
    let topology = system.topology();
    for j in (0..r.len()).filter(|&j| j == atom || !(topology.is_site(j) || topology.is_site(atom))) {
        let mut s = cell.fractional(&(r[j] - r[atom]));
        for k in 0..3 {
            s[k] -= if reach[k] == 1 { s[k].round() } else { 0.0 };
        }
        for a in -reach[0]..=reach[0] {
            for b in -reach[1]..=reach[1] {
                for c in -reach[2]..=reach[2] {
                    let n = Vec3::new(f64::from(a), f64::from(b), f64::from(c));
                    let d = cell.cartesian(&(s + n)).norm();
                    let image = [a, b, c] != [0; 3];
                    if d.is_finite() && (j != atom || image) {
                        found.push((j, d, image));
                    }
                }
            }
        }
        if found.len() > 4096 {
            keep_nearest(&mut found, count);
        }
    }
    keep_nearest(&mut found, count);
    found
}

fn keep_nearest(found: &mut Vec<Near>, count: usize) {
    found.sort_by(|x, y| x.1.total_cmp(&y.1).then(x.0.cmp(&y.0)));
    found.truncate(count);
}

/// The atom to show for a divergence: the one it names, else the one with the worst position, velocity or force.
fn culprit(cause: &Divergence, state: &State, outputs: Option<&Outputs>) -> Option<usize> {
    if let Divergence::Force { atom, .. } | Divergence::Displacement { atom, .. } = cause {
        return Some(*atom);
    }
    if let Divergence::Constraint { atoms, .. } = cause {
        return Some(atoms[0]);
    }
    let (r, v) = (state.positions(), state.velocities());
    let bad = |x: &Vec3| !x.iter().all(|c| c.is_finite());
    if let Some(i) = (0..r.len()).find(|&i| bad(&r[i]) || bad(&v[i])) {
        return Some(i);
    }
    let forces = outputs.map(|o| &o.forces).filter(|f| f.len() == r.len());
    let worst = match forces {
        Some(f) if !matches!(cause, Divergence::Temperature { .. }) => {
            parallel::largest(f.len(), |i| f[i].norm_squared())
        }
        _ => parallel::largest(v.len(), |i| v[i].norm_squared()),
    };
    worst.map(|w| w.0)
}

/// What a user reads about a divergence: the atom with position, velocity and force, its nearest neighbours, and
/// likely causes. `outputs` are those of the diverged geometry if they exist, `time_step` is in internal units
/// (`None` for a sampler without time).
pub fn describe(
    cause: &Divergence,
    system: &System,
    state: &State,
    outputs: Option<&Outputs>,
    time_step: Option<f64>,
    units: UnitSystem,
) -> String {
    let (length, energy, time) = (units.length_label(), units.energy_label(), units.time_label());
    let mut text = format!("step {}: {cause}\n", state.step);
    let Some(atom) = culprit(cause, state, outputs) else {
        return text;
    };
    let vector = |v: Vec3| {
        if v.amax() < 1e5 {
            format!("{:>13.6} {:>13.6} {:>13.6}", v.x, v.y, v.z)
        } else {
            format!("{:>13.4e} {:>13.4e} {:>13.4e}", v.x, v.y, v.z)
        }
    };
    let (r, v) = (state.positions()[atom], state.velocities()[atom]);
    let near = nearest(system, state, atom, 6);
    let force = outputs.and_then(|o| o.forces.get(atom));
    let write = |text: &mut String, line: String| {
        let _ = writeln!(text, "{line}");
    };
    write(&mut text, format!("  atom {atom} ({}), counted from 0", system.symbol(atom)));
    write(&mut text, format!("    position {} {length}", vector(r)));
    write(&mut text, format!("    velocity {} {length}/{time}", vector(v * units.time())));
    if let Some(f) = force {
        let f = format!("{:>13.4e} {:>13.4e} {:>13.4e}", f.x, f.y, f.z);
        write(&mut text, format!("    force    {f} {energy}/{length}"));
    }
    if !near.is_empty() {
        write(&mut text, "    nearest atoms".into());
        for (j, d, image) in &near {
            let image = if *image { ", periodic image" } else { "" };
            write(&mut text, format!("      {d:>9.4} {length}  atom {j} ({}){image}", system.symbol(*j)));
        }
    }
    write(&mut text, "  likely causes".into());
    for line in causes(cause, state, atom, &near, time_step, units) {
        write(&mut text, format!("    - {line}"));
    }
    text
}

/// A number with four digits.
fn short(x: f64) -> String {
    format!("{x:.3e}").parse::<f64>().unwrap_or(x).to_string()
}

/// Explanations that fit the numbers, the most likely first.
fn causes(
    cause: &Divergence,
    state: &State,
    atom: usize,
    near: &[Near],
    time_step: Option<f64>,
    units: UnitSystem,
) -> Vec<String> {
    let length = units.length_label();
    // shorter than any bond but those of hydrogen; a pair inside its repulsive core
    let close = if units == UnitSystem::Lj { 0.8 } else { 0.7 };
    let mut list = Vec::new();
    let young = state.step < 200;
    if let Some((j, d, _)) = near.first().filter(|n| n.1 < close) {
        list.push(format!(
            "atoms {atom} and {j} overlap ({d:.3} {length}): {}",
            if young {
                "the structure has overlaps, begin with a [stage.minimize]"
            } else {
                "they were driven into each other, see the time step"
            }
        ));
    }
    if let Some(dt) = time_step {
        let step = short(dt / units.time());
        let move_per_step = state.velocities()[atom].norm() * dt;
        let far = if units == UnitSystem::Lj { 0.05 } else { 0.15 };
        let label = units.time_label();
        if move_per_step > far
            || !move_per_step.is_finite()
            || matches!(cause, Divergence::Displacement { .. })
        {
            list.push(format!(
                "the time step of {step} {label} is too large: this atom moves {} {length} in it",
                short(move_per_step)
            ));
        } else {
            list.push(format!("the time step of {step} {label} is too large for the stiffest bond"));
        }
    }
    if young && list.len() < 2 {
        list.push(
            "the start is far from equilibrium: minimise it, or warm it up from a low temperature".into(),
        );
    }
    if near.first().is_none_or(|n| n.1 > 5.0 * close) {
        list.push("the atom has left the others: check the units of the structure and the cell".into());
    }
    list.push("the potential is used outside its domain: `caloron check` tests it on this structure".into());
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cell, Species};

    fn two() -> (System, State, Outputs) {
        let ar = Species { symbol: "Ar".into(), number: Some(18), mass: 39.95 };
        let system = System::new(vec![ar], vec![0; 2]);
        let cell = Cell::orthorhombic(10.0, 10.0, 10.0).unwrap();
        let state = State::at_rest(vec![Vec3::zeros(), Vec3::new(9.5, 0.0, 0.0)], cell);
        let outputs = Outputs { forces: vec![Vec3::x(), Vec3::new(0.0, -3.0, 0.0)], ..Outputs::default() };
        (system, state, outputs)
    }

    fn motion(system: &System, dt: f64) -> Option<Motion<'_>> {
        Some(Motion { system, heaviest: 39.95, degrees_of_freedom: 3.0, time_step: Some(dt) })
    }

    #[test]
    fn healthy_numbers_pass_and_each_limit_is_seen() {
        let (system, mut state, mut out) = two();
        let limits = Limits::defaults(UnitSystem::Physical);
        let earlier = state.clone();
        let motion = motion(&system, 0.01);
        assert_eq!(limits.check(&state, &out, motion, Some(&earlier)), Ok(()));

        state.step = 1;
        state.positions_mut()[1].y = 1.25;
        let moved = limits.check(&state, &out, motion, Some(&earlier));
        assert_eq!(moved, Err(Divergence::Displacement { atom: 1, distance: 1.25, limit: 1.0 }));
        state.step = 2; // the same distance over two steps is allowed
        assert_eq!(limits.check(&state, &out, motion, Some(&earlier)), Ok(()));

        // too hot at any time step; not too hot, and too far in a long step
        state.velocities_mut()[1].z = 50.0;
        let hot = limits.check(&state, &out, motion, None);
        assert!(matches!(hot, Err(Divergence::Temperature { temperature, .. }) if temperature > 1e5));
        state.velocities_mut()[1].z = 0.5;
        assert_eq!(limits.check(&state, &out, motion, None), Ok(()));
        assert_eq!(limits.check(&state, &out, self::motion(&system, 1.9), None), Ok(()));
        let far = limits.check(&state, &out, self::motion(&system, 3.0), None);
        assert_eq!(far, Err(Divergence::Displacement { atom: 1, distance: 1.5, limit: 1.0 }));
        assert_eq!(limits.check(&state, &out, None, None), Ok(()));
        out.forces[1].x = 2e3;
        assert!(matches!(limits.check(&state, &out, None, None), Err(Divergence::Force { atom: 1, .. })));
        out.forces[0].z = f64::NAN;
        let nan = limits.check(&state, &out, None, None);
        assert!(matches!(nan, Err(Divergence::Force { atom: 0, force, .. }) if force.is_nan()));
        out.energy = f64::INFINITY;
        assert_eq!(limits.check(&state, &out, None, None), Err(Divergence::Energy(f64::INFINITY)));
    }

    #[test]
    fn numbers_that_are_not_numbers_are_beyond_every_limit() {
        let (system, mut state, out) = two();
        let limits = Limits::finite_only(UnitSystem::Lj);
        let earlier = state.clone();
        state.velocities_mut()[0].x = f64::NAN;
        let hot = limits.check(&state, &out, motion(&system, 0.01), None);
        assert!(matches!(hot, Err(Divergence::Temperature { .. })));
        state.velocities_mut()[0].x = 0.0;
        state.positions_mut()[0].x = f64::NAN;
        let lost = limits.check(&state, &out, None, Some(&earlier));
        assert!(matches!(lost, Err(Divergence::Displacement { atom: 0, .. })));
        let (_, state, mut out) = two();
        out.forces[0].x = 1e200; // its square overflows, the force itself is a number
        assert_eq!(limits.check(&state, &out, None, None), Ok(()));
    }

    #[test]
    fn the_deformation_of_the_cell_is_no_displacement() {
        let (_, mut state, out) = two();
        state.positions_mut()[1].x = 1e5; // far from the origin, unwrapped
        let earlier = state.clone();
        let f = crate::Mat3::identity() * 1.001;
        let cell = state.cell().deformed(&f).unwrap();
        state.set_cell(cell);
        state.positions_mut().iter_mut().for_each(|r| *r = f * *r);
        let limits = Limits::defaults(UnitSystem::Physical);
        assert_eq!(limits.check(&state, &out, None, Some(&earlier)), Ok(()));
    }

    #[test]
    fn the_report_names_the_atom_its_neighbour_across_the_boundary_and_the_cause() {
        let (system, mut state, out) = two();
        state.velocities_mut()[1].x = 0.5;
        state.step = 5;
        let cause = Divergence::Force { atom: 1, force: 3e4, limit: 1e3 };
        let dt = 2.0 * crate::units::FEMTOSECOND;
        let text = describe(&cause, &system, &state, Some(&out), Some(dt), UnitSystem::Physical);
        for part in
            ["step 5: the force on atom 1", "atom 1 (Ar)", "0.5000 Å  atom 0 (Ar)", "overlap", "minimize"]
        {
            assert!(text.contains(part), "`{part}` is missing in\n{text}");
        }
        assert!(text.contains("49.113474"), "{text}"); // 0.5 Å sqrt(eV/u)/Å in Å/ps
        assert!(text.contains("0.002 ps"), "{text}");
    }

    #[test]
    fn wrong_limits_are_refused() {
        let spec = LimitsSpec { force: Some(Quantity::new(0.0)), ..LimitsSpec::default() };
        assert_eq!(spec.build(UnitSystem::Lj).unwrap_err().key, "force");
        let spec = LimitsSpec::default().build(UnitSystem::Lj).unwrap();
        assert_eq!(spec, Limits::defaults(UnitSystem::Lj));
    }
}

//! What a run shows while it goes: thermo lines, and a progress bar on a terminal.
use super::stage::StageRun;
use crate::input::Plan;
use caloron_engine::error::BoxError;
use caloron_engine::units::FEMTOSECOND;
use caloron_engine::watch::largest_force_spread;
use caloron_engine::{Cell, Flow, Frame, Interval, Observer, Properties, Simulation, UnitSystem};
use indicatif::{ProgressBar, ProgressStyle};
use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// Lines of thermo output on the terminal for a stage, about.
const LINES: u64 = 20;

/// Prints thermo lines to standard output, keeps a progress bar on standard error when that is a terminal, and
/// copies every line into the log of the run.
pub struct Terminal {
    units: UnitSystem,
    quiet: bool,
    /// Shows the spread of the forces of a committee.
    committee: bool,
    log: RefCell<File>,
    interval: Interval,
    bar: Option<ProgressBar>,
    started: Instant,
    first_step: u64,
    shown: Instant,
    dt: Option<f64>,
    temperature: f64,
    /// Conserved quantity at the start of the stage, and how far it has moved.
    start: Option<f64>,
    drift: Option<f64>,
}

impl Terminal {
    /// Nothing is printed when `quiet`, but everything is logged, at the end of an existing log.
    ///
    /// # Errors
    /// When the log cannot be written.
    pub fn new(units: UnitSystem, quiet: bool, committee: bool, log: &Path) -> std::io::Result<Self> {
        let now = Instant::now();
        Ok(Self {
            units,
            quiet,
            committee,
            log: RefCell::new(OpenOptions::new().create(true).append(true).open(log)?),
            interval: Interval { every: 1, origin: 0 },
            bar: None,
            started: now,
            first_step: 0,
            shown: now,
            dt: None,
            temperature: 0.0,
            start: None,
            drift: None,
        })
    }
    /// Says what is about to run.
    pub fn banner(&self, plan: &Plan, threads: usize) {
        let title = plan.title.as_deref().unwrap_or("untitled");
        let cell = cell_text(plan.state.cell(), self.units);
        let plural = if threads == 1 { "" } else { "s" };
        self.print(&format!("caloron {}: {title}", env!("CARGO_PKG_VERSION")));
        self.print(&format!("  {} atoms, cell {cell}", plan.system.len()));
        self.print(&format!(
            "  potential {}, {} precision, {threads} thread{plural}",
            plan.potentials.join(" + "),
            if plan.evaluator.potentials().any(|p| p.single_precision()) { "single" } else { "double" }
        ));
        for line in plan.evaluator.potentials().flat_map(|p| p.describe()) {
            self.print(&format!("    {line}"));
        }
        for note in &plan.notes {
            self.print(&format!("  note: {note}"));
        }
    }
    /// A warning, on standard error and in the log, also when quiet.
    pub fn warn(&self, message: &str) {
        self.log_line(&format!("warning: {message}"));
        let show = || eprintln!("warning: {message}");
        match &self.bar {
            Some(bar) => bar.suspend(show),
            None => show(),
        }
    }
    /// Prepares for a stage.
    pub fn begin(&mut self, plan: &StageRun, index: usize, simulation: &Simulation) {
        self.end();
        let (steps, done) = (plan.stage.steps, simulation.stage_step);
        // on a round number of steps, so that it meets the steps of the thermo table
        let lines = (steps / LINES).max(1);
        let magnitude = 10u64.pow(lines.ilog10());
        self.interval =
            Interval { every: lines.next_multiple_of(magnitude), origin: simulation.state.step - done };
        (self.started, self.first_step) = (Instant::now(), simulation.state.step);
        (self.start, self.drift) = (None, None);
        self.dt = plan.stage.sampler.time_step();
        self.print("");
        self.print(&format!(
            "stage {} `{}`: {} ({}), {steps} steps{}",
            index + 1,
            plan.stage.name,
            plan.ensemble.name,
            plan.stage.sampler.notation(),
            if done > 0 { format!(", {done} done") } else { String::new() }
        ));
        self.print(&header(self.units, self.committee));
        if !self.quiet && std::io::stderr().is_terminal() {
            let bar = ProgressBar::new(steps).with_position(done);
            if let Ok(style) =
                ProgressStyle::with_template("{bar:32.cyan/blue} {percent:>3}%  {pos}/{len}  {msg}")
            {
                bar.set_style(style);
            }
            self.bar = Some(bar);
        }
    }
    /// Prints one line without disturbing the bar.
    pub fn print(&self, line: &str) {
        self.log_line(line);
        if self.quiet {
            return;
        }
        self.show(line);
    }
    /// Prints one line also when quiet.
    pub fn report(&self, line: &str) {
        self.log_line(line);
        self.show(line);
    }
    fn show(&self, line: &str) {
        let show = || {
            // a closed pipe must not end a simulation
            let _ = writeln!(std::io::stdout(), "{line}");
        };
        match &self.bar {
            Some(bar) => bar.suspend(show),
            None => show(),
        }
    }
    fn log_line(&self, line: &str) {
        // the log is a copy of what was printed; the run goes on without it
        let _ = writeln!(self.log.borrow_mut(), "{line}");
    }
    /// Called every step; does something five times a second.
    pub fn tick(&mut self, simulation: &Simulation) {
        let Some(bar) = &self.bar else { return };
        let step = simulation.state.step;
        if !step.is_multiple_of(8) || self.shown.elapsed() < Duration::from_millis(200) {
            return;
        }
        self.shown = Instant::now();
        let rate = self.rate(step);
        let left = bar.length().unwrap_or(0).saturating_sub(simulation.stage_step) as f64 / rate.max(1e-9);
        let mut message = format!("{} steps/s", short(rate));
        if let (Some(dt), UnitSystem::Physical) = (self.dt, self.units) {
            message += &format!("  {} ns/day", short(rate * 86400.0 * dt / FEMTOSECOND * 1e-6));
        }
        message +=
            &format!("  {} left  T {:.4} {}", clock(left), self.temperature, self.units.temperature_label());
        if let Some(drift) = self.drift {
            message += &format!("  drift {drift:+.1e} {}", self.units.energy_label());
        }
        bar.set_position(simulation.stage_step);
        bar.set_message(message);
    }
    /// Steps per second since the stage began.
    pub fn rate(&self, step: u64) -> f64 {
        (step - self.first_step) as f64 / self.started.elapsed().as_secs_f64().max(1e-9)
    }
    /// Takes the bar away.
    pub fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Observer for Terminal {
    fn name(&self) -> &str {
        "terminal"
    }
    fn due(&self, step: u64) -> bool {
        self.interval.is_due(step)
    }
    fn needs(&self) -> Properties {
        if self.committee { Properties::VIRIAL | Properties::EXTRAS } else { Properties::VIRIAL }
    }
    fn observe(&mut self, frame: &Frame<'_>) -> Result<Flow, BoxError> {
        if self.start.is_none() {
            self.start = frame.conserved;
        }
        self.drift = frame.conserved.zip(self.start).map(|(now, start)| now - start);
        self.temperature = frame.kt() / self.units.boltzmann();
        self.print(&line(frame, self.units, self.committee));
        Ok(Flow::Continue)
    }
}

fn header(units: UnitSystem, committee: bool) -> String {
    let time = format!("time/{}", units.time_label());
    let t = format!("T/{}", units.temperature_label());
    let e = units.energy_label();
    let p = format!("P/{}", units.pressure_label());
    let spread = if committee {
        format!(" {:>14}", format!("spread/{e}/{}", units.length_label()))
    } else {
        String::new()
    };
    format!(
        "{:>10} {time:>12} {t:>10} {:>16} {:>16} {:>18} {p:>14}{spread}",
        "step",
        format!("potential/{e}"),
        format!("kinetic/{e}"),
        format!("conserved/{e}")
    )
}

fn line(frame: &Frame<'_>, units: UnitSystem, committee: bool) -> String {
    let optional = |x: Option<f64>, digits: usize| x.map_or("-".to_owned(), |x| format!("{x:.digits$}"));
    let spread = largest_force_spread(frame).filter(|_| committee);
    let spread = spread.map_or(String::new(), |(_, s)| format!(" {s:>14.4}"));
    format!(
        "{:>10} {:>12.4} {:>10.4} {:>16.6} {:>16.6} {:>18} {:>14}{spread}",
        frame.state.step,
        frame.state.time / units.time(),
        frame.kt() / units.boltzmann(),
        frame.outputs.energy,
        frame.kinetic,
        optional(frame.conserved, 6),
        optional(frame.pressure().map(|p| p / units.pressure()), 4)
    )
}

/// Lengths, angles and periodic directions of a cell.
pub fn cell_text(cell: &Cell, units: UnitSystem) -> String {
    if cell.is_open() {
        return "open".to_owned();
    }
    let (l, a) = cell.lengths_angles();
    let axes: String = ["a", "b", "c"].iter().zip(cell.periodic()).filter(|x| x.1).map(|x| *x.0).collect();
    let unit = units.length_label();
    format!(
        "{:.4} {:.4} {:.4} {unit}, {:.2} {:.2} {:.2} deg, periodic along {axes}",
        l[0], l[1], l[2], a[0], a[1], a[2]
    )
}

/// A number with three significant digits or so.
pub fn short(x: f64) -> String {
    match x.abs() {
        a if a >= 1e6 => format!("{:.2} M", x / 1e6),
        a if a >= 100.0 => format!("{x:.0}"),
        a if a >= 10.0 => format!("{x:.1}"),
        a if a >= 0.01 => format!("{x:.2}"),
        _ => format!("{x:.2e}"),
    }
}

/// Seconds as a person reads them.
pub fn clock(seconds: f64) -> String {
    let s = seconds.round() as u64;
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} min {:02} s", s / 60, s % 60),
        _ => format!("{} h {:02} min", s / 3600, s / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_rates_are_readable() {
        assert_eq!(clock(59.4), "59 s");
        assert_eq!(clock(61.0), "1 min 01 s");
        assert_eq!(clock(7260.0), "2 h 01 min");
        assert_eq!(short(6_200_000.0), "6.20 M");
        assert_eq!(short(0.5), "0.50");
    }
}

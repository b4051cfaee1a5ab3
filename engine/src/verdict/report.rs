//! The verdict as a block of text.
use super::{Judgement, Measured, Verdict};
use std::fmt;

impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pass => "pass",
            Self::Warn => "WARN",
            Self::Fail => "FAIL",
            Self::TooShort => "too short to judge",
            Self::NotJudged => "-",
        })
    }
}

/// `value ± error` with two digits of the error.
pub(super) fn with_error(value: f64, error: f64) -> String {
    if !value.is_finite() {
        return "unknown".into();
    }
    if error.is_nan() || error <= 0.0 || error.is_infinite() {
        return format!("{} ± {}", digits(value, 5), if error == 0.0 { "0" } else { "unknown" });
    }
    // place of the second digit of the error
    let place = 1 - error.log10().floor() as i32;
    let size = value.abs().max(error);
    if !(1e-4..1e7).contains(&size) {
        let exponent = size.log10().floor() as i32;
        let scale = 10f64.powi(exponent);
        let decimals = (place + exponent).clamp(0, 9) as usize;
        return format!("({:.decimals$} ± {:.decimals$})e{exponent}", value / scale, error / scale);
    }
    let decimals = place.clamp(0, 9) as usize;
    format!("{value:.decimals$} ± {error:.decimals$}")
}

/// A number with so many significant digits.
pub(super) fn digits(value: f64, count: usize) -> String {
    let text = format!("{value:.*e}", count.saturating_sub(1));
    let x: f64 = text.parse().unwrap_or(value);
    if x == 0.0 || (1e-4..1e7).contains(&x.abs()) { x.to_string() } else { format!("{x:e}") }
}

fn line(f: &mut fmt::Formatter<'_>, name: &str, text: &str, judgement: Judgement) -> fmt::Result {
    match judgement {
        Judgement::NotJudged => writeln!(f, "  {name:<13} {text}"),
        j => writeln!(f, "  {name:<13} {text:<52} {j}"),
    }
}

fn mean_line(f: &mut fmt::Formatter<'_>, name: &str, m: &Measured) -> fmt::Result {
    let mut text = format!("{} {}", with_error(m.mean, m.error), m.unit);
    if !m.resolved && m.error.is_finite() {
        text += " (error at least)";
    }
    if let Some(target) = m.target {
        text += &format!("   target {}", digits(target, 6));
        if let Some(z) = m.z {
            text += &format!("   z {z:+.1}");
        }
    }
    line(f, name, &text, m.judgement)
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let title = match self.judgement {
            Judgement::Pass => "pass",
            Judgement::NotJudged => "done, nothing to judge",
            Judgement::Warn => "WARN",
            Judgement::Fail => "FAIL",
            Judgement::TooShort => "too short to judge",
        };
        write!(f, "stage `{}`: {title}   ({}, {} steps", self.stage, self.sampler, self.steps)?;
        if let Some(t) = self.time {
            write!(f, ", {} {}", digits(t, 6), self.time_unit)?;
        }
        writeln!(f, ", {} atoms)", self.atoms)?;
        if let Some(m) = &self.minimum {
            let [length, energy] = m.units;
            let text = format!("{} after {} iterations", m.end, m.iterations);
            line(f, "minimum", &text, if m.converged { Judgement::Pass } else { Judgement::Warn })?;
            let limit = digits(m.fmax_limit, 3);
            let text = format!("{} {energy}/{length}   limit {limit}", digits(m.fmax, 3));
            line(f, "fmax", &text, Judgement::NotJudged)?;
            if m.smax > 0.0 {
                let text = format!("{} {energy}/{length}^3", digits(m.smax, 3));
                line(f, "smax", &text, Judgement::NotJudged)?;
            }
            line(f, "energy", &format!("{:.9} {energy}", m.energy), Judgement::NotJudged)?;
        }
        if let Some(c) = &self.conservation {
            let limit = digits(c.warn_above, 2);
            let text = format!("{} {}   limit {limit}", with_error(c.drift, c.error), c.unit);
            line(f, "drift", &text, c.judgement)?;
            let ratio = c.fluctuation_ratio.map_or(String::new(), |r| {
                format!(", {} % of that of the kinetic energy", digits(100.0 * r, 2))
            });
            let text = format!("{} kT{ratio}", digits(c.fluctuation_kt, 2));
            line(f, "fluctuation", &text, c.fluctuation_judgement)?;
        }
        for (name, m) in [("temperature", &self.temperature), ("pressure", &self.pressure)] {
            if let Some(m) = m {
                mean_line(f, name, m)?;
            }
        }
        for c in &self.stress {
            mean_line(f, &format!("  stress {}", c.name), &c.stress)?;
        }
        for (name, m) in [("energy", &self.potential_energy), ("volume", &self.volume)] {
            if let Some(m) = m {
                mean_line(f, name, m)?;
            }
        }
        for g in &self.equipartition {
            mean_line(f, &format!("  {}", g.name), &g.temperature)?;
        }
        if let Some(r) = &self.rate {
            let mut text = format!(
                "{} steps/s, {} atom-steps/s",
                digits(r.steps_per_second, 4),
                digits(r.atom_steps_per_second, 3)
            );
            if let Some(t) = r.time_per_day {
                text += &format!(", {} {}", digits(t, 3), r.unit);
            }
            line(f, "rate", &text, Judgement::NotJudged)?;
        }
        for s in &self.suspects {
            writeln!(f, "  suspect: {}", s.reason)?;
        }
        for n in &self.notes {
            writeln!(f, "  note: {n}")?;
        }
        Ok(())
    }
}

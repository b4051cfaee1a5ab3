//! Multiple time steps: reversible reference system propagation (r-RESPA).
use super::kick_drift::{Drift, Kick, MAX_GROUPS};
use crate::Op;

/// Operators and schedule of a nested multiple-time-step velocity Verlet.
///
/// Force group 0 is kicked with the outer time step dt; inside, `inner[0]` steps of length dt / `inner[0]` with
/// group 1, inside each of them `inner[1]` steps with group 2, and so on. Two half kicks that meet are merged into
/// one. With an empty `inner` it is velocity Verlet with the total force. Thermostats go around it, once for an outer
/// step (XO-RESPA), so that they see complete steps.
///
/// Source: Tuckerman, Berne and Martyna, J. Chem. Phys. 97, 1990 (1992), doi:10.1063/1.463137.
pub struct Respa {
    inner: Vec<u32>,
}

impl Respa {
    /// From the numbers of steps of each level within the level around it.
    ///
    /// # Panics
    /// When a number is 0 or there are more than [`MAX_GROUPS`] groups.
    pub fn new(inner: Vec<u32>) -> Self {
        assert!(inner.len() < MAX_GROUPS && inner.iter().all(|&n| n > 0));
        Self { inner }
    }
    /// The kicks, one for each force group, and the drift.
    pub fn operators(&self) -> Vec<Box<dyn Op>> {
        let groups = self.inner.len() + 1;
        let kick = |g| if groups == 1 { Kick::new() } else { Kick::with_group(g as u8, groups) };
        let mut ops: Vec<Box<dyn Op>> = Vec::new();
        for g in 0..groups {
            ops.push(Box::new(kick(g)));
        }
        ops.push(Box::new(Drift));
        ops
    }
    /// Their order, and the part of the time step each is applied with.
    pub fn schedule(&self) -> Vec<(usize, f64)> {
        let mut schedule = Vec::new();
        self.level(0, 1.0, &mut schedule);
        schedule.dedup_by(|next, last| {
            let same = next.0 == last.0;
            if same {
                last.1 += next.1;
            }
            same
        });
        schedule
    }
    /// Appends one step of length `part` of level `k`.
    fn level(&self, k: usize, part: f64, schedule: &mut Vec<(usize, f64)>) {
        schedule.push((k, 0.5 * part));
        match self.inner.get(k) {
            Some(&n) => (0..n).for_each(|_| self.level(k + 1, part / f64::from(n), schedule)),
            None => schedule.push((self.inner.len() + 1, part)),
        }
        schedule.push((k, 0.5 * part));
    }
    /// For example `B0 (B1 A B1)x4 B0`.
    pub fn notation(&self) -> String {
        if self.inner.is_empty() {
            return "BAB".into();
        }
        let last = self.inner.len();
        let mut text = format!("B{last} A B{last}");
        for (k, n) in self.inner.iter().enumerate().rev() {
            text = format!("B{k} ({text})x{n} B{k}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_covers_the_step_once() {
        let respa = Respa::new(vec![3, 2]);
        let (ops, schedule) = (respa.operators(), respa.schedule());
        assert_eq!(respa.notation(), "B0 (B1 (B2 A B2)x2 B1)x3 B0");
        for k in 0..ops.len() {
            let total: f64 = schedule.iter().filter(|s| s.0 == k).map(|s| s.1).sum();
            assert!((total - 1.0).abs() < 1e-14);
        }
        assert_eq!(schedule.iter().filter(|s| s.0 == 3).count(), 6);
        // group 0 is evaluated at both ends, group 1 four times, and kicks that meet are one
        assert_eq!(schedule.iter().filter(|s| s.0 == 0).count(), 2);
        assert_eq!(schedule.iter().filter(|s| s.0 == 1).count(), 4);
        assert!(
            schedule.iter().zip(schedule.iter().rev()).all(|(a, b)| a.0 == b.0 && (a.1 - b.1).abs() < 1e-15)
        );
    }
}

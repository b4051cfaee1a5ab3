//! Nosé-Hoover chains with Suzuki-Yoshida integration.
use super::bussi::{at_rest, rescale};
use crate::sampler::kinetic_energy;
use crate::{Archive, ArchiveError, Ctx, EngineError, Op, Schedule, State, System};

/// Weights of a symmetric composition of a second-order flow, which cancel the lower orders of its error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompositionOrder {
    /// One part.
    Second,
    /// Three parts: w = 1/(2 - 2^(1/3)), 1 - 2 w, w (Forest and Ruth, Yoshida).
    Fourth,
    /// Seven parts, solution A of Yoshida.
    Sixth,
}

impl CompositionOrder {
    /// The weights; their sum is 1.
    ///
    /// Source: Yoshida, Phys. Lett. A 150, 262 (1990), doi:10.1016/0375-9601(90)90092-3, eq. 2.11 and table 1.
    pub fn weights(self) -> Vec<f64> {
        match self {
            Self::Second => vec![1.0],
            Self::Fourth => {
                let w = 1.0 / (2.0 - 2f64.cbrt());
                vec![w, 1.0 - 2.0 * w, w]
            }
            Self::Sixth => {
                let w = [0.784_513_610_477_557_3, 0.235_573_213_359_358_13, -1.177_679_984_178_871];
                let center = 1.0 - 2.0 * (w[0] + w[1] + w[2]);
                vec![w[0], w[1], w[2], center, w[2], w[1], w[0]]
            }
        }
    }
}

/// How a chain is integrated.
#[derive(Clone, Debug, PartialEq)]
pub struct ChainSettings {
    /// Relaxation time τ: the chain oscillates with about this period over 2 π.
    pub relaxation: f64,
    /// Number of thermostats in the chain; 1 is the original thermostat of Nosé and Hoover, which is not ergodic
    /// for small or stiff systems.
    pub length: usize,
    /// Order of the composition.
    pub order: CompositionOrder,
    /// Repetitions of the composition, each over a part of the step.
    pub repetitions: usize,
}

/// The variables of a chain: positions η_k, velocities, masses Q_1 = N kT τ² and Q_k = kT τ².
///
/// Equations of motion, with p the momenta it acts on:
/// dp/dt = -v_1 p, dη_k/dt = v_k, Q_1 dv_1/dt = 2K - N kT - Q_1 v_1 v_2,
/// Q_k dv_k/dt = Q_{k-1} v_{k-1}² - kT - Q_k v_k v_{k+1}.
/// Conserved: K + U + Σ Q_k v_k²/2 + N kT η_1 + kT Σ_{k>1} η_k.
///
/// Source: Martyna, Klein and Tuckerman, J. Chem. Phys. 97, 2635 (1992), doi:10.1063/1.463940;
/// Martyna, Tuckerman, Tobias and Klein, Mol. Phys. 87, 1117 (1996), doi:10.1080/00268979600100761.
pub struct Chain {
    settings: ChainSettings,
    weights: Vec<f64>,
    eta: Vec<f64>,
    velocity: Vec<f64>,
    mass: Vec<f64>,
    dof: f64,
    kt: f64,
    /// What a change of kT did to the energy of the chain.
    work: f64,
}

impl Chain {
    /// A chain at rest; its masses follow from the first step.
    ///
    /// # Panics
    /// When the length or the number of repetitions is 0.
    pub fn new(settings: ChainSettings) -> Self {
        assert!(settings.length > 0 && settings.repetitions > 0);
        let n = settings.length;
        let weights = settings.order.weights();
        Self {
            settings,
            weights,
            eta: vec![0.0; n],
            velocity: vec![0.0; n],
            mass: Vec::new(),
            dof: 0.0,
            kt: 0.0,
            work: 0.0,
        }
    }
    /// Advances by `dt` next to momenta with twice their kinetic energy `twice_kinetic` in `dof` degrees of freedom;
    /// returns the factor for the momenta. The masses are those of the first call; a kT that moves later does work
    /// that the conserved quantity leaves out.
    pub fn advance(&mut self, mut twice_kinetic: f64, dof: f64, kt: f64, dt: f64) -> f64 {
        if self.mass.is_empty() {
            let q = kt * self.settings.relaxation.powi(2);
            self.mass = vec![q; self.settings.length];
            self.mass[0] = dof * q;
            (self.dof, self.kt) = (dof, kt);
        } else if kt != self.kt || dof != self.dof {
            let before = self.energy();
            (self.dof, self.kt) = (dof, kt);
            self.work -= self.energy() - before;
        }
        let m = self.settings.length;
        let mut scale = 1.0;
        for _ in 0..self.settings.repetitions {
            for j in 0..self.weights.len() {
                let h = self.weights[j] * dt / self.settings.repetitions as f64;
                for k in (0..m).rev() {
                    self.push(k, twice_kinetic, h);
                }
                let factor = (-self.velocity[0] * h).exp();
                scale *= factor;
                twice_kinetic *= factor * factor;
                for k in 0..m {
                    self.eta[k] += self.velocity[k] * h;
                }
                for k in 0..m {
                    self.push(k, twice_kinetic, h);
                }
            }
        }
        scale
    }
    /// Half a step of v_k: friction by the next thermostat around the push by what it thermalises.
    fn push(&mut self, k: usize, twice_kinetic: f64, h: f64) {
        let friction = self.velocity.get(k + 1).map_or(1.0, |next| (-next * 0.25 * h).exp());
        let excess = match k {
            0 => twice_kinetic - self.dof * self.kt,
            _ => self.mass[k - 1] * self.velocity[k - 1].powi(2) - self.kt,
        };
        let v = self.velocity[k] * friction + excess / self.mass[k] * 0.5 * h;
        self.velocity[k] = v * friction;
    }
    /// Energy of the chain in the conserved quantity.
    pub fn energy(&self) -> f64 {
        let kinetic: f64 = self.mass.iter().zip(&self.velocity).map(|(q, v)| 0.5 * q * v * v).sum();
        let rest: f64 = self.eta.iter().skip(1).sum();
        kinetic + self.kt * (self.dof * self.eta[0] + rest) + self.work
    }
    /// Saves or restores.
    ///
    /// # Errors
    /// When the archive does not fit.
    pub fn archive(&mut self, archive: &mut Archive) -> Result<(), ArchiveError> {
        archive.section("nose_hoover")?;
        let mut length = self.settings.length as u64;
        archive.u64(&mut length)?;
        if length != self.settings.length as u64 {
            return Err(ArchiveError::Invalid { section: "nose_hoover".into() });
        }
        archive.f64s(&mut self.eta)?;
        archive.f64s(&mut self.velocity)?;
        archive.f64_vec(&mut self.mass)?;
        for x in [&mut self.dof, &mut self.kt, &mut self.work] {
            archive.f64(x)?;
        }
        if self.mass.is_empty() || self.mass.len() == self.settings.length {
            Ok(())
        } else {
            Err(ArchiveError::Invalid { section: "nose_hoover".into() })
        }
    }
}

/// Nosé-Hoover chain "N" on all velocities; see [`Chain`].
pub struct NoseHoover {
    kt: Schedule,
    chain: Chain,
}

impl NoseHoover {
    /// From the thermal energy (> 0) and the settings of the chain.
    pub fn new(kt: Schedule, settings: ChainSettings) -> Self {
        Self { kt, chain: Chain::new(settings) }
    }
}

impl Op for NoseHoover {
    fn symbol(&self) -> &'static str {
        "N"
    }
    fn apply(&mut self, ctx: &mut Ctx<'_>, dt: f64) -> Result<(), EngineError> {
        let kinetic = kinetic_energy(ctx.system, ctx.state);
        if kinetic == 0.0 {
            return Err(at_rest("nose_hoover"));
        }
        let factor = self.chain.advance(2.0 * kinetic, ctx.degrees_of_freedom, self.kt.at(ctx.progress), dt);
        rescale(ctx.state, kinetic, factor);
        Ok(())
    }
    fn bath_energy(&self, _system: &System, _state: &State) -> f64 {
        self.chain.energy()
    }
    fn archive(&mut self, archive: &mut Archive) -> Result<(), ArchiveError> {
        self.chain.archive(archive)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_sum_to_one_and_cancel_the_orders() {
        for (order, powers) in [
            (CompositionOrder::Second, vec![]),
            (CompositionOrder::Fourth, vec![3]),
            (CompositionOrder::Sixth, vec![3, 5]),
        ] {
            let w = order.weights();
            assert!((w.iter().sum::<f64>() - 1.0).abs() < 1e-14);
            for p in powers {
                let s: f64 = w.iter().map(|w| w.powi(p)).sum();
                assert!(s.abs() < 1e-13, "{order:?}: sum of w^{p} = {s}");
            }
        }
    }
}

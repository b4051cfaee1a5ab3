//! Mixing rules: parameters of unlike pairs from those of the species.
use schemars::JsonSchema;
use serde::Deserialize;

/// How ε and σ of a pair follow from those of its species.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mixing {
    /// ε = sqrt(ε_a ε_b), σ = (σ_a + σ_b)/2.
    LorentzBerthelot,
    /// ε = sqrt(ε_a ε_b), σ = sqrt(σ_a σ_b).
    Geometric,
    /// σ⁶ = (σ_a⁶ + σ_b⁶)/2, ε = 2 sqrt(ε_a ε_b) σ_a³ σ_b³/(σ_a⁶ + σ_b⁶)
    /// (Waldman & Hagler, J. Comput. Chem. 14, 1077 (1993), doi:10.1002/jcc.540140909).
    SixthPower,
}

impl Mixing {
    /// (ε, σ) of a pair.
    pub fn mix(self, (ea, sa): (f64, f64), (eb, sb): (f64, f64)) -> (f64, f64) {
        let epsilon = (ea * eb).sqrt();
        match self {
            Self::LorentzBerthelot => (epsilon, 0.5 * (sa + sb)),
            Self::Geometric => (epsilon, (sa * sb).sqrt()),
            Self::SixthPower => {
                let sum = sa.powi(6) + sb.powi(6);
                (2.0 * epsilon * sa.powi(3) * sb.powi(3) / sum, (0.5 * sum).powf(1.0 / 6.0))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_leaves_like_pairs_alone_and_is_symmetric() {
        for rule in [Mixing::LorentzBerthelot, Mixing::Geometric, Mixing::SixthPower] {
            let (e, s) = rule.mix((0.3, 2.0), (0.3, 2.0));
            assert!((e - 0.3).abs() < 1e-15 && (s - 2.0).abs() < 1e-14, "{rule:?}");
            assert_eq!(rule.mix((0.3, 2.0), (0.7, 3.0)), rule.mix((0.7, 3.0), (0.3, 2.0)));
        }
        let (e, s) = Mixing::SixthPower.mix((1.0, 1.0), (4.0, 2.0));
        assert!((e - 2.0 * 2.0 * 8.0 / 65.0).abs() < 1e-15 && (s - 32.5f64.powf(1.0 / 6.0)).abs() < 1e-15);
    }
}

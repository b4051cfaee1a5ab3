//! Coulomb interactions that are truncated, damped, or summed over all pairs of an open system.
use super::exclusions::Exclusions;
use super::forms::{Damped, PairForm, ReactionField};
use super::pair_sum::{ExclusionSum, PairSum};
use caloron_engine::{Input, Outputs, Potential, PotentialError, Properties};

/// E = k_e Σ_{i<j} q_i q_j φ(r_ij) θ(R - r_ij) + k_e s Σ_i q_i², for the step function θ and a radial form φ with self energy s.
pub struct TruncatedCoulomb<F> {
    name: &'static str,
    citation: Option<&'static str>,
    warnings: Vec<String>,
    cutoff: Option<f64>,
    constant: f64,
    pairs: PairSum<F>,
    exclusions: ExclusionSum,
}

impl TruncatedCoulomb<ReactionField> {
    /// All pairs of an open system, φ = 1/r.
    pub fn direct(constant: f64, exclusions: Exclusions) -> Self {
        let form = ReactionField::truncated();
        Self::with("coulomb direct", None, form, f64::INFINITY, constant, exclusions)
    }
    /// φ = 1/r within the cutoff; energy and force jump there.
    pub fn cut(cutoff: f64, constant: f64, exclusions: Exclusions) -> Self {
        let mut this =
            Self::with("coulomb cut", None, ReactionField::truncated(), cutoff, constant, exclusions);
        this.warnings.push(
            "the Coulomb interaction is cut off without a shift: energy and forces jump at the cutoff".into(),
        );
        this
    }
    /// A dielectric continuum beyond the cutoff.
    pub fn reaction_field(cutoff: f64, dielectric: f64, constant: f64, exclusions: Exclusions) -> Self {
        let form = ReactionField::new(cutoff, dielectric);
        let paper = "I. G. Tironi, R. Sperb, P. E. Smith, W. F. van Gunsteren, J. Chem. Phys. 102, 5451 (1995), doi:10.1063/1.469273";
        Self::with("reaction field", Some(paper), form, cutoff, constant, exclusions)
    }
}

impl TruncatedCoulomb<Damped> {
    /// Wolf sum: screened, shifted in energy and neutralised at the cutoff.
    pub fn wolf(alpha: f64, cutoff: f64, constant: f64, exclusions: Exclusions) -> Self {
        let paper = "D. Wolf, P. Keblinski, S. R. Phillpot, J. Eggebrecht, J. Chem. Phys. 110, 8254 (1999), doi:10.1063/1.478738";
        let mut this =
            Self::with("wolf", Some(paper), Damped::wolf(alpha, cutoff), cutoff, constant, exclusions);
        this.warnings.push(format!(
            "the Wolf sum is shifted in energy only: forces jump by {:.1e} of the pair force at the cutoff; \
             damped_shifted_force has no jump",
            Damped::ewald(alpha, cutoff).scalar(cutoff * cutoff).1 * cutoff.powi(3)
        ));
        this
    }
    /// Damped shifted force.
    pub fn shifted_force(alpha: f64, cutoff: f64, constant: f64, exclusions: Exclusions) -> Self {
        let paper = "C. J. Fennell, J. D. Gezelter, J. Chem. Phys. 124, 234104 (2006), doi:10.1063/1.2206581";
        let form = Damped::shifted_force(alpha, cutoff);
        Self::with("damped shifted force", Some(paper), form, cutoff, constant, exclusions)
    }
}

impl<F: PairForm> TruncatedCoulomb<F> {
    fn with(
        name: &'static str,
        citation: Option<&'static str>,
        form: F,
        cutoff: f64,
        constant: f64,
        exclusions: Exclusions,
    ) -> Self {
        Self {
            name,
            citation,
            warnings: Vec::new(),
            cutoff: cutoff.is_finite().then_some(cutoff),
            constant,
            pairs: PairSum::new(form, cutoff),
            exclusions: ExclusionSum::new(exclusions),
        }
    }
}

impl<F: PairForm> Potential for TruncatedCoulomb<F> {
    fn name(&self) -> &'static str {
        self.name
    }
    fn cutoff(&self) -> Option<f64> {
        self.cutoff
    }
    fn compute(
        &mut self,
        input: Input<'_>,
        want: Properties,
        out: &mut Outputs,
    ) -> Result<(), PotentialError> {
        let charges = input.system.charges();
        let form = *self.pairs.form();
        match self.cutoff {
            Some(cutoff) => {
                self.pairs.add(&input, charges, self.constant, want, out);
                // forms that stand for all images keep the bare interaction of a pair beyond the cutoff, too
                let screened = form.self_energy() != 0.0;
                let removed = |r2: f64| {
                    if screened || r2 < cutoff * cutoff { form.excluded(r2) } else { (0.0, 0.0) }
                };
                self.exclusions.add(&input, charges, removed, self.constant, want, out);
            }
            None => {
                if !input.cell.is_open() {
                    return Err(PotentialError::Geometry {
                        potential: self.name,
                        reason:
                            "a periodic system has infinitely many pairs: use ewald or pme, or a method with \
                                 a cutoff"
                                .into(),
                    });
                }
                self.pairs.add_all_pairs(input.positions, charges, self.constant, want, out);
                self.exclusions.add(&input, charges, |r2| form.excluded(r2), self.constant, want, out);
            }
        }
        let own = self.constant * form.self_energy();
        if own != 0.0 {
            out.energy += own * charges.iter().map(|q| q * q).sum::<f64>();
            if want.contains(Properties::ATOM_ENERGIES) {
                for (e, q) in out.atom_energies.iter_mut().zip(charges) {
                    *e += own * q * q;
                }
            }
        }
        Ok(())
    }
    fn jumps_at_cutoff(&self) -> bool {
        // a pair of unit charges at the cutoff, against the bare interaction
        self.cutoff.is_some_and(|c| (self.pairs.form().scalar(c * c).0 * c).abs() > 1e-9)
    }
    fn citations(&self) -> Vec<&'static str> {
        self.citation.into_iter().collect()
    }
    fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }
}

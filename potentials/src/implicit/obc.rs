//! Generalised Born solvation with the radii of Onufriev, Bashford and Case, and a surface term.
use caloron_engine::{
    Extra, ExtraSpec, Input, Mat3, Outputs, Potential, PotentialError, Properties, Scope, SpecError, Vec3,
    parallel,
};
use std::f64::consts::PI;

/// An atom of a generalised Born model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ObcAtom {
    /// Charge, e.
    pub charge: f64,
    /// Radius ρ, Å.
    pub radius: f64,
    /// Factor of the radius where this atom screens others.
    pub scale: f64,
}

/// A generalised Born model of a system.
#[derive(Clone, Debug, PartialEq)]
pub struct ObcModel {
    /// The atoms.
    pub atoms: Vec<ObcAtom>,
    /// Relative permittivity of the solute.
    pub solute: f64,
    /// Relative permittivity of the solvent.
    pub solvent: f64,
    /// Surface tension γ, eV/Å².
    pub surface: f64,
    /// Coulomb constant, eV Å.
    pub constant: f64,
}

/// ρ - ρ̃, Å.
const OFFSET: f64 = 0.09;
/// Radius of a water molecule, Å.
const PROBE: f64 = 1.4;
const ALPHA: f64 = 1.0;
const BETA: f64 = 0.8;
const GAMMA: f64 = 4.85;

/// E = -(k_e/2) (1/ε_in - 1/ε_out) Σ_ij q_i q_j/f_ij + 4π γ Σ_i (ρ_i + 1.4 Å)² (ρ_i/B_i)⁶,
///
/// f² = r² + B_i B_j exp(-r²/(4 B_i B_j)), f_ii = B_i; 1/B = 1/ρ̃ - tanh(ψ - 0.8 ψ² + 4.85 ψ³)/ρ, ρ̃ = ρ - 0.09 Å,
/// ψ_i = (ρ̃_i/2) Σ_j H(r_ij, s_j ρ̃_j) (model II, "OBC2"). Open systems, all pairs.
///
/// Source: A. Onufriev, D. Bashford, D. A. Case, Proteins 55, 383 (2004), doi:10.1002/prot.20033; the surface term:
/// M. Schaefer, C. Bartels, M. Karplus, J. Mol. Biol. 284, 835 (1998), doi:10.1006/jmbi.1998.2172.
pub struct Obc {
    model: ObcModel,
    born: Vec<Born>,
    radii: Vec<f64>,
    sums: Vec<Received>,
}

/// Radius of an atom and its derivative.
#[derive(Clone, Copy, Debug, Default)]
struct Born {
    radius: f64,
    /// dB/dΣH.
    slope: f64,
    /// dE/dB, then dE/dΣH.
    force: f64,
    energy: f64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Received {
    force: Vec3,
    virial: Mat3,
}

static EXTRAS: [ExtraSpec; 1] =
    [ExtraSpec { name: "energy_solvation", scope: Scope::System, components: 1, unit: "eV" }];

/// H(r, s) of an atom of radius ρ̃ and its derivative with respect to r.
fn screening(r: f64, own: f64, s: f64) -> (f64, f64) {
    if own >= r + s {
        return (0.0, 0.0);
    }
    let inside = (r - s).abs() > own;
    let (l, u) = (1.0 / if inside { (r - s).abs() } else { own }, 1.0 / (r + s));
    // dL/dr of L = |r - s| is the sign of r - s
    let dl = if inside { -l * l * (r - s).signum() } else { 0.0 };
    let du = -u * u;
    let (l2, u2) = (l * l, u * u);
    let log = (u / l).ln();
    let value = l - u + 0.25 * r * (u2 - l2) + 0.5 * log / r + 0.25 * s * s / r * (l2 - u2);
    let slope = dl - du + 0.25 * (u2 - l2) + 0.5 * r * (u * du - l * dl) + 0.5 * (du / u - dl / l) / r
        - 0.5 * log / (r * r)
        - 0.25 * s * s / (r * r) * (l2 - u2)
        + 0.5 * s * s / r * (l * dl - u * du);
    if own < s - r { (value + 2.0 * (1.0 / own - l), slope - 2.0 * dl) } else { (value, slope) }
}

impl Obc {
    /// The potential of a model.
    ///
    /// # Errors
    /// When a radius is not above the offset of 0.09 Å, or a permittivity is not above zero.
    pub fn new(model: ObcModel) -> Result<Self, SpecError> {
        for (k, a) in model.atoms.iter().enumerate() {
            if !(a.radius > OFFSET && a.radius.is_finite() && a.scale >= 0.0 && a.scale.is_finite()) {
                let message = format!(
                    "atom {k}: radius {} Å and scale {} are impossible; the radius must exceed 0.09 Å",
                    a.radius, a.scale
                );
                return Err(SpecError::new("", message));
            }
        }
        if !(model.solute > 0.0 && model.solvent > 0.0) {
            return Err(SpecError::new("", "permittivities must be above zero"));
        }
        Ok(Self { model, born: vec![], radii: vec![], sums: vec![] })
    }
    /// Radii, the energies of the atoms, and dE/dΣH.
    fn radii(&mut self, positions: &[Vec3]) {
        let atoms = &self.model.atoms;
        let n = atoms.len();
        self.born.resize(n, Born::default());
        parallel::for_each_mut(&mut self.born, |i, born| {
            let a = &atoms[i];
            let own = a.radius - OFFSET;
            let mut sum = 0.0;
            for j in (0..n).filter(|j| *j != i) {
                let r = (positions[j] - positions[i]).norm();
                sum += screening(r, own, atoms[j].scale * (atoms[j].radius - OFFSET)).0;
            }
            let psi = 0.5 * own * sum;
            let tanh = (psi * (ALPHA - psi * (BETA - psi * GAMMA))).tanh();
            let radius = 1.0 / (1.0 / own - tanh / a.radius);
            let inner = ALPHA - psi * (2.0 * BETA - psi * 3.0 * GAMMA);
            let slope = radius * radius * (1.0 - tanh * tanh) / a.radius * inner * 0.5 * own;
            *born = Born { radius, slope, ..Born::default() };
        });
        self.radii.clear();
        self.radii.extend(self.born.iter().map(|b| b.radius));
        let radii = &self.radii;
        let factor = self.factor();
        let surface = 4.0 * PI * self.model.surface;
        parallel::for_each_mut(&mut self.born, |i, born| {
            let (a, b) = (&atoms[i], radii[i]);
            let area = surface * (a.radius + PROBE).powi(2) * (a.radius / b).powi(6);
            let mut energy = area + factor * a.charge * a.charge / b;
            let mut slope = -6.0 * area / b - factor * a.charge * a.charge / (b * b);
            for j in (0..n).filter(|j| *j != i) {
                let r2 = (positions[j] - positions[i]).norm_squared();
                let (f, e, bb) = pair(r2, b, radii[j]);
                let qq = factor * a.charge * atoms[j].charge;
                energy += qq / f;
                // both (i, j) and (j, i) are terms of the sum
                slope -= qq / f.powi(3) * e * radii[j] * (1.0 + r2 / (4.0 * bb));
            }
            (born.energy, born.force) = (energy, slope * born.slope);
        });
    }
    /// -(k_e/2) (1/ε_in - 1/ε_out).
    fn factor(&self) -> f64 {
        -0.5 * self.model.constant * (1.0 / self.model.solute - 1.0 / self.model.solvent)
    }
}

/// f, exp(-r²/(4 B_i B_j)), B_i B_j.
fn pair(r2: f64, bi: f64, bj: f64) -> (f64, f64, f64) {
    let bb = bi * bj;
    let e = (-0.25 * r2 / bb).exp();
    ((r2 + bb * e).sqrt(), e, bb)
}

impl Potential for Obc {
    fn name(&self) -> &'static str {
        "gbsa_obc2"
    }
    fn cutoff(&self) -> Option<f64> {
        None
    }
    fn provides(&self) -> Properties {
        Properties::all()
    }
    fn extras(&self) -> &'static [ExtraSpec] {
        &EXTRAS
    }
    fn compute(
        &mut self,
        input: Input<'_>,
        want: Properties,
        out: &mut Outputs,
    ) -> Result<(), PotentialError> {
        let refuse = |reason: String| Err(PotentialError::Geometry { potential: "gbsa_obc2", reason });
        let n = self.model.atoms.len();
        if input.positions.len() != n {
            return refuse(format!("the model is that of {n} atoms, not {}", input.positions.len()));
        }
        if !input.cell.is_open() {
            return refuse("an implicit solvent needs an open system; the cell is periodic".into());
        }
        self.radii(input.positions);
        let energy = self.born.iter().fold(0.0, |s, b| s + b.energy);
        out.energy += energy;
        if want.contains(Properties::ATOM_ENERGIES) {
            out.atom_energies.iter_mut().zip(&self.born).for_each(|(e, b)| *e += b.energy);
        }
        if want.contains(Properties::EXTRAS) {
            out.extras.push(Extra { spec: &EXTRAS[0], values: vec![energy] });
        }
        if !want.intersects(Properties::FORCES | Properties::VIRIAL | Properties::ATOM_VIRIALS) {
            return Ok(());
        }
        self.sums.resize(n, Received::default());
        let (atoms, born, factor, positions) =
            (&self.model.atoms, &self.born, self.factor(), input.positions);
        parallel::for_each_mut(&mut self.sums, |i, sum| {
            *sum = Received::default();
            let (a, own) = (&atoms[i], atoms[i].radius - OFFSET);
            for j in (0..n).filter(|j| *j != i) {
                let (b, other) = (&atoms[j], atoms[j].radius - OFFSET);
                let d = positions[i] - positions[j];
                let r2 = d.norm_squared();
                let r = r2.sqrt();
                let (f, e, _) = pair(r2, born[i].radius, born[j].radius);
                // twice, for (i, j) and (j, i)
                let direct = -2.0 * factor * a.charge * b.charge / f.powi(3) * (1.0 - 0.25 * e);
                let by_radii = born[i].force * screening(r, own, b.scale * other).1
                    + born[j].force * screening(r, other, a.scale * own).1;
                let g = -(direct + by_radii / r);
                sum.force += d * g;
                sum.virial += 0.5 * g * d * d.transpose();
            }
        });
        for (i, s) in self.sums.iter().enumerate() {
            if want.contains(Properties::FORCES) {
                out.forces[i] += s.force;
            }
            if want.contains(Properties::VIRIAL) {
                out.virial += s.virial;
            }
            if want.contains(Properties::ATOM_VIRIALS) {
                out.atom_virials[i] += s.virial;
            }
        }
        Ok(())
    }
    fn citations(&self) -> Vec<&'static str> {
        vec!["A. Onufriev, D. Bashford, D. A. Case, Proteins 55, 383 (2004), doi:10.1002/prot.20033"]
    }
    fn describe(&self) -> Vec<String> {
        vec![format!(
            "generalised Born (OBC2), permittivities {} and {}",
            self.model.solute, self.model.solvent
        )]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use caloron_engine::testing::{Check, Options, check_potential};
    use caloron_engine::{Cell, Species, State, System};

    fn model(n: usize, radius: f64) -> ObcModel {
        let atom = |k: usize| ObcAtom {
            charge: 0.4 * (1.7 * k as f64 + 0.3).sin(),
            radius: radius + 0.1 * (k % 4) as f64,
            scale: 0.7 + 0.03 * (k % 5) as f64,
        };
        let atoms = (0..n).map(atom).collect();
        ObcModel { atoms, solute: 1.0, solvent: 78.5, surface: 2.3e-4, constant: 14.4 }
    }

    #[test]
    fn it_conforms() {
        let n = 12;
        let carbon = Species { symbol: "C".into(), number: Some(6), mass: 12.0 };
        let system = System::new(vec![carbon], vec![0; n]);
        let at = |k: usize| {
            let x = k as f64;
            Vec3::new(1.2 * (k % 3) as f64 + 0.2 * x.sin(), 1.3 * (k / 3) as f64, 0.8 * (2.1 * x).cos())
        };
        let state = State::at_rest((0..n).map(at).collect(), Cell::open());
        let checks = [&Check::GATE[..], &[Check::Wants, Check::Threads]].concat();
        let options = Options { checks, ..Options::default() };
        let report =
            check_potential(&mut Obc::new(model(n, 1.2)).unwrap(), &system, &state, &options).unwrap();
        assert!(report.passed(), "{report}");
        assert!(Obc::new(model(n, 0.05)).is_err());
    }

    #[test]
    fn a_lone_ion_has_the_energy_of_born() {
        let mut model = model(1, 1.5);
        (model.atoms[0].charge, model.surface) = (1.0, 0.0);
        let system =
            System::new(vec![Species { symbol: "Na".into(), number: Some(11), mass: 23.0 }], vec![0]);
        let (cell, neighbors) = (Cell::open(), Default::default());
        let mut out = Outputs::default();
        out.reset(1, Properties::ENERGY);
        let input =
            Input { system: &system, positions: &[Vec3::zeros()], cell: &cell, neighbors: &neighbors };
        Obc::new(model).unwrap().compute(input, Properties::ENERGY, &mut out).unwrap();
        let born = -0.5 * 14.4 * (1.0 - 1.0 / 78.5) / (1.5 - 0.09);
        assert!((out.energy - born).abs() < 1e-12);
    }
}

//! What lies beyond the cutoff of a homogeneous fluid.
use super::truncation::energy_force;
use super::{PairFunction, PairTable, Truncation};
use caloron_engine::{Input, Mat3, Outputs, PotentialError, Properties, SpecError};
use std::f64::consts::PI;

/// Nodes and weights of Gauss-Legendre quadrature with `n` points on [0, 1], from Newton's iteration on P_n.
fn gauss_legendre(n: usize) -> Vec<(f64, f64)> {
    (0..n)
        .map(|k| {
            let mut x = (PI * (k as f64 + 0.75) / (n as f64 + 0.5)).cos();
            let mut slope = 1.0;
            for _ in 0..100 {
                let (mut p, mut before) = (1.0, 0.0);
                for j in 0..n {
                    let j = j as f64;
                    (p, before) = (((2.0 * j + 1.0) * x * p - j * before) / (j + 1.0), p);
                }
                slope = n as f64 * (x * p - before) / (x * x - 1.0);
                let step = p / slope;
                x -= step;
                if step.abs() < 1e-16 {
                    break;
                }
            }
            (0.5 * (1.0 + x), 1.0 / ((1.0 - x * x) * slope * slope))
        })
        .collect()
}

/// Tail correction with g(r) = 1 beyond the cutoff: U = 2π/V Σ_ab N_a N_b ∫ u_ab r² dr and, for each
/// diagonal element of the virial, W = -(2π/3V) Σ_ab N_a N_b ∫ u'_ab r³ dr, both from r_c to infinity.
///
/// With r = r_c/t the integrals run over 0 < t < 1; for inverse powers the integrand is a polynomial in t and the
/// quadrature is exact. Energies of atoms get their share. Source: Allen & Tildesley, Computer Simulation of
/// Liquids (2017), section 2.8.
#[derive(Clone, Debug)]
pub(super) struct Tail {
    species: usize,
    /// ∫ u r² dr and -∫ u' r³ dr by pair of species.
    integrals: Vec<[f64; 2]>,
}

impl Tail {
    pub fn new<F: PairFunction<K>, const K: usize>(f: &F, table: &PairTable<K>) -> Result<Self, SpecError> {
        if !matches!(table.truncation, Truncation::Truncated | Truncation::EnergyShifted) {
            return Err(SpecError::new(
                "tail_correction",
                "a tail correction adds what a plain cut-off leaves out; this truncation changes the potential inside",
            )
            .hint("set truncation = \"truncated\" or drop tail_correction"));
        }
        let nodes = gauss_legendre(32);
        let mut integrals = Vec::with_capacity(table.pairs.len());
        for pair in &table.pairs {
            let Some((c, rc)) = pair else {
                integrals.push([0.0; 2]);
                continue;
            };
            let integral = |panels: usize| {
                let mut sum = [0.0; 2];
                for p in 0..panels {
                    for (x, w) in &nodes {
                        let t = (p as f64 + x) / panels as f64;
                        let r = rc / t;
                        let (u, force) = energy_force(f, c, r);
                        // dr = r_c / t² dt
                        let dr = w / panels as f64 * r / t;
                        sum[0] += u * r * r * dr;
                        sum[1] += force * r * r * r * dr;
                    }
                }
                sum
            };
            let (coarse, fine) = (integral(4), integral(8));
            let agree = |k: usize| (coarse[k] - fine[k]).abs() <= 1e-9 * fine[k].abs() + 1e-300;
            if !(agree(0) && agree(1)) {
                return Err(SpecError::new(
                    "tail_correction",
                    format!("the tail of {} does not converge: it must decay faster than 1/r^3", F::NAME),
                ));
            }
            integrals.push(coarse);
        }
        Ok(Self { species: table.species, integrals })
    }
    pub fn add(
        &self,
        name: &'static str,
        input: Input<'_>,
        want: Properties,
        out: &mut Outputs,
    ) -> Result<(), PotentialError> {
        if !input.cell.is_fully_periodic() {
            return Err(PotentialError::Geometry {
                potential: name,
                reason: "a tail correction needs a cell that is periodic in all directions".into(),
            });
        }
        let n = self.species;
        let mut count = vec![0u64; n];
        for &t in input.system.types() {
            count[usize::from(t)] += 1;
        }
        let prefactor = 2.0 * PI / input.cell.volume();
        // of one atom of species a: energy, and a diagonal element of the virial
        let share = |a: usize| {
            (0..n).fold([0.0; 2], |s, b| {
                let [u, w] = self.integrals[a * n + b];
                let c = prefactor * count[b] as f64;
                [s[0] + c * u, s[1] + c * w / 3.0]
            })
        };
        let shares: Vec<[f64; 2]> = (0..n).map(share).collect();
        for (&m, [u, w]) in count.iter().zip(&shares) {
            if want.contains(Properties::ENERGY) {
                out.energy += m as f64 * u;
            }
            if want.contains(Properties::VIRIAL) {
                out.virial += Mat3::identity() * (m as f64 * w);
            }
        }
        for (i, &t) in input.system.types().iter().enumerate() {
            let [u, w] = shares[usize::from(t)];
            if want.contains(Properties::ATOM_ENERGIES) {
                out.atom_energies[i] += u;
            }
            if want.contains(Properties::ATOM_VIRIALS) {
                out.atom_virials[i] += Mat3::identity() * w;
            }
        }
        Ok(())
    }
}

//! How distances enter, and the nuclear repulsion.
use super::reader::Reader;
use super::{Read, content};
use crate::ml::checkpoint::Fault;
use crate::ml::radial::{Basis, Transform};

/// How distances enter.
#[derive(Clone, Debug)]
pub struct Radial {
    /// Functions of the transformed distance.
    pub basis: Basis,
    /// Transform.
    pub transform: Transform,
    /// Power of the polynomial cutoff.
    pub power: f64,
    /// Whether the cutoff multiplies the basis; if not it multiplies what the networks give.
    pub on_basis: bool,
    /// Covalent radius of every element of the model, Å.
    pub radii: Vec<f64>,
}

/// Screened nuclear repulsion between covalent radii.
#[derive(Clone, Debug)]
pub struct Zbl {
    /// Amplitudes of the four exponentials.
    pub amplitudes: [f64; 4],
    /// Power of the envelope.
    pub power: f64,
    /// Exponent of the nuclear charges in the screening length.
    pub exponent: f64,
    /// Prefactor of the screening length.
    pub prefactor: f64,
    /// Covalent radius of every element of the model, Å.
    pub radii: Vec<f64>,
}

impl Reader<'_> {
    fn radii(&self, name: &str, elements: &[u8]) -> Read<Vec<f64>> {
        let table = self.numbers(name)?;
        elements
            .iter()
            .map(|z| match table.get(usize::from(*z)) {
                Some(r) if *r > 0.0 => Ok(*r),
                _ => content(format!("`{name}` has no radius for atomic number {z}")),
            })
            .collect()
    }
    pub fn radial(&self, cutoff: f64, elements: &[u8]) -> Read<Radial> {
        let module = "radial_embedding";
        let function = format!("{module}.bessel_fn");
        let basis = if self.has(&format!("{function}.bessel_weights")) {
            Basis::Bessel {
                frequencies: self.numbers(&format!("{function}.bessel_weights"))?,
                prefactor: self.scalar(&format!("{function}.prefactor"))?,
            }
        } else if self.has(&format!("{function}.gaussian_weights")) {
            let centers = self.numbers(&format!("{function}.gaussian_weights"))?;
            Basis::Gaussian { centers, coefficient: self.number(&function, "coeff")? }
        } else if self.has(&format!("{function}.n")) {
            let n = self.numbers(&format!("{function}.n"))?;
            if n.iter().any(|n| !(0.0..=256.0).contains(n)) {
                return content(format!("`{function}.n` should be degrees of polynomials"));
            }
            Basis::Chebyshev { degrees: n.iter().map(|n| *n as usize).collect() }
        } else {
            return Err(Fault::Unsupported(format!("a radial basis `{}`", self.class(&function)?)));
        };
        let transform = format!("{module}.distance_transform");
        let of = |name: &str| format!("{transform}.{name}");
        let (kind, radii) = if self.has(&of("covalent_radii")) {
            let kind = if self.has(&of("q")) {
                Transform::Agnesi {
                    q: self.scalar(&of("q"))?,
                    p: self.scalar(&of("p"))?,
                    a: self.scalar(&of("a"))?,
                }
            } else if self.has(&of("alpha")) {
                Transform::Soft { alpha: self.scalar(&of("alpha"))? }
            } else if self.has(&of("b")) {
                Transform::FormerSoft { a: self.scalar(&of("a"))?, b: self.scalar(&of("b"))? }
            } else {
                return Err(Fault::Unsupported(format!(
                    "a distance transform `{}`",
                    self.class(&transform)?
                )));
            };
            (kind, self.radii(&of("covalent_radii"), elements)?)
        } else {
            (Transform::None, vec![0.0; elements.len()])
        };
        let reach = self.scalar(&format!("{module}.cutoff_fn.r_max"))?;
        if (reach - cutoff).abs() > 1e-6 * cutoff {
            return content(format!("the cutoff is {cutoff} Å and that of the radial functions {reach} Å"));
        }
        let power = self.scalar(&format!("{module}.cutoff_fn.p"))?;
        if !(1.0..=64.0).contains(&power) {
            return content(format!("the power {power} of the cutoff function is out of range"));
        }
        let on_basis = self.flag(module, "apply_cutoff").unwrap_or(true);
        Ok(Radial { basis, transform: kind, power, on_basis, radii })
    }
    pub fn zbl(&self, elements: &[u8]) -> Read<Option<Zbl>> {
        let of = |name: &str| format!("pair_repulsion_fn.{name}");
        if !self.has(&of("c")) {
            return Ok(None);
        }
        let c = self.weights(&of("c"), 4)?;
        Ok(Some(Zbl {
            amplitudes: [c[0], c[1], c[2], c[3]],
            power: self.scalar(&of("p"))?,
            exponent: self.scalar(&of("a_exp"))?,
            prefactor: self.scalar(&of("a_prefactor"))?,
            radii: self.radii(&of("covalent_radii"), elements)?,
        }))
    }
}

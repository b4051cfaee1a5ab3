//! The spectral neighbour analysis potential (SNAP), linear and quadratic, with one density or one for each element.
//!
//! E_i = c₀ + Σ_k c_k B_k (+ ½ Σ_k c_kk B_k² + Σ_{k<l} c_kl B_k B_l), where B are the bispectrum components of the
//! neighbours of i (`bispectrum` has the definitions), less those of an isolated atom when `bzeroflag` is set. With
//! `chemflag`, B runs over all triples of elements of the three densities.
//!
//! Sources: Thompson, Swiler, Trott, Foiles and Tucker, J. Comput. Phys. 285, 316 (2015), doi 10.1016/j.jcp.2014.12.018;
//! quadratic: Wood and Thompson, J. Chem. Phys. 148, 241721 (2018), doi 10.1063/1.5017641; elements: Cusentino, Wood and
//! Thompson, J. Phys. Chem. A 124, 5456 (2020), doi 10.1021/acs.jpca.0c02450.
mod bispectrum;
mod file;

use super::site_energy::{Share, Site, SiteEnergy, SiteSum};
use bispectrum::{Basis, C};
pub use file::SnapSpec;
use std::f64::consts::PI;

/// What a file says about an element.
#[derive(Clone, Debug)]
struct Element {
    radius: f64,
    weight: f64,
    coefficients: Vec<f64>,
}

/// What the parameter file says.
#[derive(Clone, Debug)]
struct Settings {
    cutoff_factor: f64,
    twojmax: usize,
    rfac0: f64,
    rmin0: f64,
    switch: bool,
    subtract_isolated: bool,
    quadratic: bool,
    chemical: bool,
    normalise: bool,
    self_in_all: bool,
}

/// The model; the potential is `SiteSum<Snap>`.
pub struct Snap {
    settings: Settings,
    basis: Basis,
    elements: Vec<Element>,
    /// Element of each species.
    map: Vec<usize>,
    /// (e1, e2, e3, component) of each B, its factor, and B of an isolated atom.
    components: Vec<([usize; 3], usize, f64, f64)>,
}

/// Memory for one site.
#[derive(Default)]
#[doc(hidden)]
pub struct Scratch {
    total: Vec<C>,
    adjoint: Vec<C>,
    /// Matrices of one neighbour and their adjoints.
    one: Vec<C>,
    one_bar: Vec<C>,
    values: Vec<f64>,
    slopes: Vec<f64>,
}

/// The map of a neighbour onto the sphere and its radial weight.
struct Projection {
    a: C,
    b: C,
    /// z₀, 1/r₀, f_c w and dz₀/dr, d(f_c w)/dr.
    z0: f64,
    inverse: f64,
    weight: f64,
    dz0: f64,
    dweight: f64,
}

impl Snap {
    fn new(settings: Settings, elements: Vec<Element>, map: Vec<usize>) -> Self {
        let basis = Basis::new(settings.twojmax);
        let kinds = if settings.chemical { elements.len() } else { 1 };
        let mut components = Vec::new();
        for e in 0..kinds * kinds * kinds {
            let triple = [e / (kinds * kinds), e / kinds % kinds, e % kinds];
            for k in 0..basis.components() {
                let size = (basis.index(k) + 1) as f64;
                let factor = if settings.normalise { 1.0 / size } else { 1.0 };
                let isolated = if settings.subtract_isolated { size * factor } else { 0.0 };
                components.push((triple, k, factor, isolated));
            }
        }
        Self { settings, basis, elements, map, components }
    }
    /// Number of bispectrum components of an atom.
    fn count(settings: &Settings, elements: usize) -> usize {
        let kinds = if settings.chemical { elements } else { 1 };
        Basis::new(settings.twojmax).components() * kinds * kinds * kinds
    }
    fn reach(&self, a: usize, b: usize) -> f64 {
        (self.elements[a].radius + self.elements[b].radius) * self.settings.cutoff_factor
    }
    fn project(&self, d: &[f64; 3], r: f64, reach: f64, weight: f64) -> Projection {
        let s = &self.settings;
        let [x, y, z] = *d;
        let scale = s.rfac0 * PI / (reach - s.rmin0);
        let z0 = r / ((r - s.rmin0) * scale).tan();
        let inverse = 1.0 / (r * r + z0 * z0).sqrt();
        let (cut, dcut) = if !s.switch || r <= s.rmin0 {
            (1.0, 0.0)
        } else {
            let per = PI / (reach - s.rmin0);
            let (sin, cos) = ((r - s.rmin0) * per).sin_cos();
            (0.5 * (cos + 1.0), -0.5 * per * sin)
        };
        Projection {
            a: C::new(z0 * inverse, -z * inverse),
            b: C::new(y * inverse, -x * inverse),
            z0,
            inverse,
            weight: cut * weight,
            dz0: z0 / r - scale * (r * r + z0 * z0) / r,
            dweight: dcut * weight,
        }
    }
    /// Does an atom without neighbours count in this triple of densities?
    fn isolated_counts(&self, [e1, e2, e3]: [usize; 3], own: usize) -> bool {
        !self.settings.chemical || self.settings.self_in_all || (e1 == own && e2 == own && e3 == own)
    }
}

impl SiteEnergy for Snap {
    type Scratch = Scratch;
    const NAME: &'static str = "snap";
    fn species(&self) -> usize {
        self.map.len()
    }
    fn cutoff(&self, i: usize, j: usize) -> f64 {
        self.reach(self.map[i], self.map[j])
    }
    fn energy(&self, site: Site<'_>, shares: &mut [Share], scratch: &mut Scratch) -> f64 {
        let Scratch { total, adjoint, one, one_bar, values, slopes } = scratch;
        let (n, own) = (self.basis.elements(), self.map[site.species]);
        let kinds = if self.settings.chemical { self.elements.len() } else { 1 };
        let density = |element: usize| if self.settings.chemical { element } else { 0 };
        for v in [&mut *total, &mut *adjoint] {
            v.clear();
            v.resize(kinds * n, C::default());
        }
        for v in [&mut *one, &mut *one_bar] {
            v.resize(n, C::default());
        }
        for kind in 0..kinds {
            if kind == density(own) || self.settings.self_in_all {
                self.basis.add_self(&mut total[kind * n..][..n], 1.0);
            }
        }
        for (edge, &j) in site.edges.iter().zip(site.neighbors) {
            let other = self.map[j as usize];
            let p = self.project(&edge.d, edge.r, self.reach(own, other), self.elements[other].weight);
            self.basis.wigner(p.a, p.b, one);
            for (sum, u) in total[density(other) * n..][..n].iter_mut().zip(&*one) {
                *sum += u.scale(p.weight);
            }
        }
        values.clear();
        for &([e1, e2, e3], k, factor, isolated) in &self.components {
            let at = |e: usize| &total[e * n..][..n];
            let shift = if self.isolated_counts([e1, e2, e3], own) { isolated } else { 0.0 };
            values.push(factor * self.basis.value(k, at(e1), at(e2), at(e3)) - shift);
        }
        let coefficients = &self.elements[own].coefficients;
        let (linear, pairs) = coefficients[1..].split_at(values.len());
        slopes.clear();
        slopes.extend_from_slice(linear);
        let mut energy = coefficients[0];
        energy += linear.iter().zip(&*values).map(|(c, b)| c * b).sum::<f64>();
        if self.settings.quadratic {
            let mut pairs = pairs.iter();
            for k in 0..values.len() {
                for (l, &c) in (k..values.len()).zip(&mut pairs) {
                    if k == l {
                        energy += 0.5 * c * values[k] * values[k];
                        slopes[k] += c * values[k];
                    } else {
                        energy += c * values[k] * values[l];
                        slopes[k] += c * values[l];
                        slopes[l] += c * values[k];
                    }
                }
            }
        }
        for (&(triple, k, factor, _), slope) in self.components.iter().zip(&*slopes) {
            self.basis.value_adjoint(k, factor * slope, total, triple, adjoint);
        }
        for kind in 0..kinds {
            self.basis.fold_all(&mut adjoint[kind * n..][..n]);
        }
        for ((edge, &j), share) in site.edges.iter().zip(site.neighbors).zip(shares) {
            let other = self.map[j as usize];
            let p = self.project(&edge.d, edge.r, self.reach(own, other), self.elements[other].weight);
            self.basis.wigner(p.a, p.b, one);
            let mut by_weight = 0.0;
            for ((bar, u), all) in one_bar.iter_mut().zip(&*one).zip(&adjoint[density(other) * n..][..n]) {
                by_weight += all.dot(*u);
                *bar = all.scale(p.weight);
            }
            let (a, b) = self.basis.wigner_adjoint(p.a, p.b, one, one_bar);
            let [x, y, z] = edge.d;
            let by_inverse = a.re * p.z0 - a.im * z + b.re * y - b.im * x;
            let dinverse = -(p.inverse * p.inverse * p.inverse) * (edge.r + p.z0 * p.dz0);
            let radial = a.re * p.inverse * p.dz0 + by_inverse * dinverse + by_weight * p.dweight;
            share.add(radial / edge.r, &edge.d);
            share.add(p.inverse, &[-b.im, b.re, -a.im]);
        }
        energy
    }
    fn citations(&self) -> Vec<&'static str> {
        let mut papers =
            vec!["Thompson et al., J. Comput. Phys. 285, 316 (2015), doi 10.1016/j.jcp.2014.12.018"];
        if self.settings.quadratic {
            papers.push("Wood and Thompson, J. Chem. Phys. 148, 241721 (2018), doi 10.1063/1.5017641");
        }
        if self.settings.chemical {
            papers.push("Cusentino et al., J. Phys. Chem. A 124, 5456 (2020), doi 10.1021/acs.jpca.0c02450");
        }
        papers
    }
}

/// The potential of settings and elements.
fn potential(settings: Settings, elements: Vec<Element>, map: Vec<usize>) -> SiteSum<Snap> {
    SiteSum::new(Snap::new(settings, elements, map))
}

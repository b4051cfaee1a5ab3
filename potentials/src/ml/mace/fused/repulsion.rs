//! Nuclear repulsion between pairs.
use super::Fused;
use crate::ml::graph::Graph;
use crate::ml::mace::model::Zbl;
use crate::ml::mace::{ZBL_BOHR, ZBL_COULOMB, ZBL_RATES};
use crate::ml::radial::polynomial_cutoff;
use crate::simd::Real;

impl<T: Real> Fused<T> {
    /// Half the nuclear repulsion of a pair of nodes and its derivative.
    pub(super) fn repulsion(&self, zbl: &Zbl, r: f64, pair: [usize; 2], graph: &Graph) -> (f64, f64) {
        let [a, b] = pair.map(|k| usize::from(graph.species()[k]));
        let reach = zbl.radii[self.of_species[a]] + zbl.radii[self.of_species[b]];
        if r >= reach {
            return (0.0, 0.0);
        }
        let (za, zb) = (self.charges[a], self.charges[b]);
        let inverse = (za.powf(zbl.exponent) + zb.powf(zbl.exponent)) / (zbl.prefactor * ZBL_BOHR);
        let (mut phi, mut slope) = (0.0, 0.0);
        for (c, rate) in zbl.amplitudes.iter().zip(ZBL_RATES) {
            let part = c * (-rate * r * inverse).exp();
            phi += part;
            slope -= rate * inverse * part;
        }
        let (cut, dcut) = polynomial_cutoff(r, reach, zbl.power);
        let k = 0.5 * self.scale * ZBL_COULOMB * za * zb / r;
        (k * phi * cut, k * (slope * cut + phi * dcut - phi * cut / r))
    }
}

//! The loop over terms between listed atoms, written once for every form.
//!
//! Terms are evaluated in parallel, each into places of its own; every atom then adds what its terms left for it, in
//! the order of the terms. No sum depends on the number of threads.
use crate::electrostatics::Nearest;
use crate::kernels::symmetric;
use caloron_engine::{Input, Outputs, Properties, SpecError, Vec3, parallel};

/// An interaction of N atoms.
pub trait Form<const N: usize>: Send + Sync {
    /// Energy and the forces on the atoms. `r`: positions relative to the first atom, each next atom in the image nearest
    /// to the one before.
    fn evaluate(&self, r: &[Vec3; N]) -> (f64, [Vec3; N]);
}

/// What a term gives: energy, forces, virial (xx yy zz yz xz xy).
#[derive(Clone, Copy, Debug)]
struct Share<const N: usize> {
    energy: f64,
    forces: [Vec3; N],
    virial: [f64; 6],
}

impl<const N: usize> Default for Share<N> {
    fn default() -> Self {
        Self { energy: 0.0, forces: [Vec3::zeros(); N], virial: [0.0; 6] }
    }
}

/// Terms of one form; energies and virials of atoms are equal shares of those of their terms.
pub struct Terms<F, const N: usize> {
    atoms: Vec<[u32; N]>,
    forms: Vec<F>,
    shares: Vec<Share<N>>,
    /// For each atom the places (term, position in it) of its terms.
    offsets: Vec<u32>,
    places: Vec<(u32, u8)>,
}

impl<F, const N: usize> Default for Terms<F, N> {
    fn default() -> Self {
        Self { atoms: vec![], forms: vec![], shares: vec![], offsets: vec![], places: vec![] }
    }
}

impl<F: Form<N>, const N: usize> Terms<F, N> {
    /// Terms by their atoms, for a system of `count` atoms.
    ///
    /// # Errors
    /// When an atom does not exist. The key is the index of the term.
    pub fn new(count: usize, terms: impl IntoIterator<Item = ([u32; N], F)>) -> Result<Self, SpecError> {
        let (atoms, forms): (Vec<[u32; N]>, Vec<F>) = terms.into_iter().unzip();
        let mut offsets = vec![0u32; count + 1];
        for (t, term) in atoms.iter().enumerate() {
            if let Some(&x) = term.iter().find(|x| **x as usize >= count) {
                let message = format!("there is no atom {x}: the system has {count} atoms, counted from 0");
                return Err(SpecError::new(format!("[{t}]"), message));
            }
            for &a in term {
                offsets[a as usize + 1] += 1;
            }
        }
        for i in 0..count {
            offsets[i + 1] += offsets[i];
        }
        let mut next = offsets.clone();
        let mut places = vec![(0, 0); atoms.len() * N];
        for (t, term) in atoms.iter().enumerate() {
            for (k, &a) in term.iter().enumerate() {
                places[next[a as usize] as usize] = (t as u32, k as u8);
                next[a as usize] += 1;
            }
        }
        let shares = vec![Share::default(); atoms.len()];
        Ok(Self { atoms, forms, shares, offsets, places })
    }
    /// Number of terms.
    pub fn len(&self) -> usize {
        self.atoms.len()
    }
    /// True without terms.
    pub fn is_empty(&self) -> bool {
        self.atoms.is_empty()
    }
    /// Adds energy, forces, virial and those of the atoms, as wanted; returns the energy.
    pub(crate) fn add(&mut self, input: &Input<'_>, want: Properties, out: &mut Outputs) -> f64 {
        if self.is_empty() {
            return 0.0;
        }
        let nearest = Nearest::new(input.cell);
        let (atoms, forms, positions) = (&self.atoms, &self.forms, input.positions);
        parallel::for_each_mut(&mut self.shares, |t, share| {
            let mut r = [Vec3::zeros(); N];
            for k in 1..N {
                let (i, j) = (atoms[t][k - 1] as usize, atoms[t][k] as usize);
                r[k] = r[k - 1] + nearest.vector(&positions[i], &positions[j]);
            }
            let (energy, forces) = forms[t].evaluate(&r);
            let mut w = [0.0; 6];
            for (x, f) in r.iter().zip(&forces).skip(1) {
                for (w, (a, b)) in w.iter_mut().zip([(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]) {
                    *w += x[a] * f[b];
                }
            }
            *share = Share { energy, forces, virial: w };
        });
        let energy = self.shares.iter().fold(0.0, |s, t| s + t.energy);
        out.energy += energy;
        if want.contains(Properties::VIRIAL) {
            let mut sum = [0.0; 6];
            for share in &self.shares {
                for (s, w) in sum.iter_mut().zip(share.virial) {
                    *s += w;
                }
            }
            out.virial += symmetric(sum);
        }
        let (shares, offsets, places) = (&self.shares, &self.offsets, &self.places);
        let of = |i: usize| places[offsets[i] as usize..offsets[i + 1] as usize].iter();
        if want.contains(Properties::FORCES) {
            parallel::for_each_mut(&mut out.forces, |i, f| {
                for &(t, k) in of(i) {
                    *f += shares[t as usize].forces[usize::from(k)];
                }
            });
        }
        let part = 1.0 / N as f64;
        if want.contains(Properties::ATOM_ENERGIES) {
            parallel::for_each_mut(&mut out.atom_energies, |i, e| {
                *e += part * of(i).fold(0.0, |s, &(t, _)| s + shares[t as usize].energy);
            });
        }
        if want.contains(Properties::ATOM_VIRIALS) {
            parallel::for_each_mut(&mut out.atom_virials, |i, w| {
                for &(t, _) in of(i) {
                    *w += part * symmetric(shares[t as usize].virial);
                }
            });
        }
        energy
    }
}

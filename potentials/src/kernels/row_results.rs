//! What the rows of a block of centres give, and its way to the atoms.
use caloron_engine::neighbors::AtomRows;
use caloron_engine::{Mat3, Outputs, Properties, Vec3, parallel};

/// Results of some rows, in the order of the rows, and their sums.
#[derive(Clone, Debug, Default)]
pub(crate) struct RowResults {
    pub energies: Vec<f64>,
    pub forces: Vec<Vec3>,
    pub virials: Vec<Mat3>,
    pub energy: f64,
    pub virial: Mat3,
}

/// Adds to `out` what is wanted of the results of blocks of `size` rows: totals in the order of the blocks, and to every
/// atom what its row gives.
pub(crate) fn add<B: AsRef<RowResults> + Sync>(
    blocks: &[B],
    size: usize,
    rows: &AtomRows,
    want: Properties,
    out: &mut Outputs,
) {
    for block in blocks {
        out.energy += block.as_ref().energy;
        if want.contains(Properties::VIRIAL) {
            out.virial += block.as_ref().virial;
        }
    }
    let of = |i: usize| (blocks[rows[i] as usize / size].as_ref(), rows[i] as usize % size);
    if want.contains(Properties::FORCES) {
        parallel::for_each_mut(&mut out.forces, |i, f| {
            let (block, k) = of(i);
            *f += block.forces[k];
        });
    }
    if want.contains(Properties::ATOM_ENERGIES) {
        parallel::for_each_mut(&mut out.atom_energies, |i, e| {
            let (block, k) = of(i);
            *e += block.energies[k];
        });
    }
    if want.contains(Properties::ATOM_VIRIALS) {
        parallel::for_each_mut(&mut out.atom_virials, |i, w| {
            let (block, k) = of(i);
            *w += block.virials[k];
        });
    }
}

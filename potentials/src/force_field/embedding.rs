//! A region of a molecular system whose inner interactions another potential gives.
use super::model::MolecularModel;
use crate::nonbonded::ExceptionPair;
use caloron_engine::{SpecError, Topology};
use std::collections::BTreeSet;

/// Most atoms of a region: every pair of them is excluded.
const LARGEST_REGION: usize = 4000;

impl MolecularModel {
    /// The model without the interactions between atoms of a region (mechanical embedding): bonded terms of its atoms are left
    /// out, its pairs are excluded. The region consists of whole molecules. E = E_MM(all) - E_MM(region), to which a
    /// potential restricted to the region adds its energy; interactions with images of the region stay those of the force field.
    /// With `cut` the region may cut bonds, which that potential closes with link atoms: terms with an atom outside stay.
    ///
    /// # Errors
    /// When the region is too large, or cuts a molecule and must not.
    pub fn without_inner(&self, region: &[u32], cut: bool) -> Result<Self, SpecError> {
        let wrong = |message: String| Err(SpecError::new("replaced", message));
        if region.len() > LARGEST_REGION {
            return wrong(format!(
                "the group has {} atoms; at most {LARGEST_REGION} can be replaced",
                region.len()
            ));
        }
        let mut inside = vec![false; self.len()];
        for &a in region {
            inside[a as usize] = true;
        }
        let topology = Topology::new(self.len(), self.topology.clone())?;
        for molecule in topology.molecules().iter() {
            let within = molecule.iter().filter(|a| inside[**a as usize]).count();
            if !cut && within != 0 && within != molecule.len() {
                let [a, b] = [
                    molecule.iter().find(|a| inside[**a as usize]),
                    molecule.iter().find(|a| !inside[**a as usize]),
                ]
                .map(|a| a.copied().unwrap_or_default());
                let message = format!("the group cuts a molecule: atom {a} is in it, atom {b} is not");
                return Err(
                    SpecError::new("replaced", message).hint("the group must consist of whole molecules, or the potential for it close the cut bonds: link_ratio = 0.71")
                );
            }
        }
        fn outside<T, const N: usize>(terms: &mut Vec<([u32; N], T)>, inside: &[bool]) {
            terms.retain(|(atoms, _)| !atoms.iter().all(|a| inside[*a as usize]));
        }
        let mut model = self.clone();
        let b = &mut model.bonded;
        outside(&mut b.bonds, &inside);
        outside(&mut b.urey_bradley, &inside);
        outside(&mut b.angles, &inside);
        outside(&mut b.dihedrals, &inside);
        outside(&mut b.impropers, &inside);
        outside(&mut b.cmaps, &inside);
        model.exceptions.retain(|e| !e.atoms.iter().all(|a| inside[*a as usize]));
        outside(&mut model.pair_styles.scaled, &inside);
        let region: Vec<u32> = region.iter().copied().collect::<BTreeSet<u32>>().into_iter().collect();
        for (k, &i) in region.iter().enumerate() {
            for &j in &region[..k] {
                model.exceptions.push(ExceptionPair { atoms: [j, i], charges: 0.0, c12: 0.0, c6: 0.0 });
            }
        }
        Ok(model)
    }
}

//! The row of each atom.
use super::NeighborList;
use crate::Revision;
use std::ops::Deref;

/// The row of each atom in a neighbour list, the inverse of its centres; kept until the list is built again.
#[derive(Clone, Debug, Default)]
pub struct AtomRows {
    rows: Vec<u32>,
    of: Option<Revision>,
}

impl AtomRows {
    /// Brings the rows up to date with a list.
    pub fn update(&mut self, list: &NeighborList) {
        if self.of.is_some() && self.of == list.revision() {
            return;
        }
        self.of = list.revision();
        let centers = list.centers();
        self.rows.resize(centers.len(), 0);
        for (k, &c) in centers.iter().enumerate() {
            self.rows[list.atom(c)] = k as u32;
        }
    }
}

impl Deref for AtomRows {
    type Target = [u32];
    fn deref(&self) -> &[u32] {
        &self.rows
    }
}

//! Rows from a k-d tree over the sites (kiddo), for clusters far apart.
use super::Site;
use super::cell_grid::distance_squared;
use super::rows::Block;
use kiddo::{ImmutableKdTree, SquaredEuclidean};

/// A k-d tree over all sites.
pub(super) struct Tree(ImmutableKdTree<f64, 3>);

impl Tree {
    /// `None` when the tree cannot be built (many sites in one place).
    pub fn new(sites: &[Site]) -> Option<Self> {
        let points: Vec<[f64; 3]> = sites.iter().map(|s| s.position).collect();
        ImmutableKdTree::new_from_slice(&points).ok().map(Self)
    }
    /// Rows of the given centres. The tree finds candidates in a slightly larger sphere; what is a neighbour is
    /// decided by the arithmetic that all backends share.
    pub fn search(&self, sites: &[Site], centers: &[u32], reach: f64, dummy: u32, block: &mut Block) {
        let radius = reach * reach * (1.0 + 1e-9);
        for &c in centers {
            let center = sites[c as usize].position;
            let found = self.0.query(&center).within::<SquaredEuclidean<f64>>(radius).unsorted().execute();
            block.push(found.len(), dummy, |row| {
                let mut count = 0;
                for item in &found {
                    let s = item.item;
                    let d2 = distance_squared(&center, &sites[s as usize].position);
                    if s != c && d2 < reach * reach {
                        row[count] = s;
                        count += 1;
                    }
                }
                row[..count].sort_unstable();
                count
            });
        }
    }
}

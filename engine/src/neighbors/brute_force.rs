//! The oracle: every site is a candidate of every centre.
use super::Site;
use super::cell_grid::distance_squared;
use super::rows::Block;

/// Rows of the given centres.
pub(super) fn search(sites: &[Site], centers: &[u32], reach: f64, dummy: u32, block: &mut Block) {
    for &c in centers {
        let center = sites[c as usize].position;
        block.push(sites.len(), dummy, |row| {
            let mut count = 0;
            for (s, site) in sites.iter().enumerate() {
                if s != c as usize && distance_squared(&center, &site.position) < reach * reach {
                    row[count] = s as u32;
                    count += 1;
                }
            }
            count
        });
    }
}

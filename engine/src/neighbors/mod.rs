//! Neighbour lists: all pairs within a cutoff, over all periodic images.
use crate::{Archive, ArchiveError, Cell, System, Vec3};

/// An atom or one of its images, in the memory layout of the pair kernels (one aligned 32-byte load).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C, align(32))]
pub struct Site {
    /// Position, Å.
    pub position: [f64; 3],
    /// Species index, as a number so that it travels in the same register.
    pub species: f64,
}

/// How neighbours are searched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Search {
    /// The fastest backend for the geometry.
    #[default]
    Auto,
    /// Uniform grid of cells.
    CellGrid,
    /// k-d tree (kiddo).
    KdTree,
    /// Every pair of every image.
    BruteForce,
}

/// A full (directed) neighbour list over sites.
///
/// Sites are the atoms and those periodic images that lie within the list radius of an atom. A *centre* is the
/// site that represents an atom itself; row k holds the sites within the list radius of centre k.
#[derive(Clone, Debug, Default)]
pub struct NeighborList {
    cutoff: f64,
    skin: f64,
    sites: Vec<Site>,
    atom: Vec<u32>,
    shift: Vec<[i16; 3]>,
    centers: Vec<u32>,
    offsets: Vec<u32>,
    rows: Vec<u32>,
    builds: u64,
}

impl NeighborList {
    /// An empty list for a cutoff and a skin, both in Å.
    pub fn new(cutoff: f64, skin: f64, _search: Search) -> Self {
        Self { cutoff, skin, ..Self::default() }
    }
    /// Brings the list up to date with a geometry: rebuilds when atoms or cell moved too far, else refreshes
    /// the positions of the sites.
    pub fn update(&mut self, system: &System, positions: &[Vec3], cell: &Cell) {
        // brute force over images, each call
        let reach = self.cutoff + self.skin;
        let heights = cell.heights();
        let p = cell.periodic();
        self.sites.clear();
        self.atom.clear();
        self.shift.clear();
        self.centers.clear();
        self.offsets.clear();
        self.rows.clear();
        let m: [i32; 3] = std::array::from_fn(|k| if p[k] { (reach / heights[k]).ceil() as i32 } else { 0 });
        let wrapped: Vec<_> = positions.iter().map(|r| cell.wrap(r)).collect();
        for (i, (r, n)) in wrapped.iter().enumerate() {
            for a in -m[0]..=m[0] {
                for b in -m[1]..=m[1] {
                    for c in -m[2]..=m[2] {
                        if [a, b, c] == [0; 3] {
                            self.centers.push(self.sites.len() as u32);
                        }
                        let q = r + cell.translation([a, b, c]);
                        let species = f64::from(system.types()[i]);
                        self.sites.push(Site { position: q.into(), species });
                        self.atom.push(i as u32);
                        self.shift.push([(a + n[0]) as i16, (b + n[1]) as i16, (c + n[2]) as i16]);
                    }
                }
            }
        }
        self.offsets.push(0);
        for &c in &self.centers {
            let ri = Vec3::from(self.sites[c as usize].position);
            for (s, site) in self.sites.iter().enumerate() {
                if s != c as usize && (Vec3::from(site.position) - ri).norm_squared() < reach * reach {
                    self.rows.push(s as u32);
                }
            }
            self.offsets.push(self.rows.len() as u32);
        }
        self.builds += 1;
    }
    /// The cutoff pairs are complete for, Å.
    pub fn cutoff(&self) -> f64 {
        self.cutoff
    }
    /// Atoms and images.
    pub fn sites(&self) -> &[Site] {
        &self.sites
    }
    /// The site of each atom itself, in the order of the rows (not the order of the atoms).
    pub fn centers(&self) -> &[u32] {
        &self.centers
    }
    /// Sites within the list radius of centre k, in a fixed order.
    pub fn row(&self, k: usize) -> &[u32] {
        &self.rows[self.offsets[k] as usize..self.offsets[k + 1] as usize]
    }
    /// The atom a site is an image of.
    pub fn atom(&self, site: u32) -> usize {
        self.atom[site as usize] as usize
    }
    /// The lattice translation of a site: its position is that of its atom plus h times this.
    pub fn shift(&self, site: u32) -> [i16; 3] {
        self.shift[site as usize]
    }
    /// Saves or restores what the list remembers.
    ///
    /// # Errors
    /// When the archive does not fit.
    pub fn archive(&mut self, archive: &mut Archive) -> Result<(), ArchiveError> {
        archive.u64(&mut self.builds)
    }
    /// How often the list was built.
    pub fn builds(&self) -> u64 {
        self.builds
    }
}

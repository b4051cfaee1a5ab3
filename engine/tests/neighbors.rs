//! Neighbour lists against brute force over images, for every shape of system.
use caloron_engine::neighbors::{Search, WIDTH};
use caloron_engine::{Archive, Cell, Mat3, NeighborList, Species, System, Vec3};
use proptest::prelude::*;

fn system(n: usize) -> System {
    let species = |symbol: &str| Species { symbol: symbol.into(), number: None, mass: 1.0 };
    System::new(vec![species("A"), species("B")], (0..n).map(|i| (i % 2) as u16).collect())
}

/// Numbers in [0, 1) from a small generator, for geometries.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 11) as f64) / (1u64 << 53) as f64
    }
    fn vector(&mut self) -> Vec3 {
        Vec3::new(self.roll(), self.roll(), self.roll())
    }
}

/// (atom, neighbour, translation) of every pair closer than `radius`, from the positions alone.
fn truth(positions: &[Vec3], cell: &Cell, radius: f64) -> Vec<(usize, usize, [i32; 3])> {
    let heights = cell.heights();
    let mut pairs = Vec::new();
    for (i, a) in positions.iter().enumerate() {
        for (j, b) in positions.iter().enumerate() {
            let s = cell.fractional(&(b - a));
            let range = |k: usize| {
                if cell.periodic()[k] {
                    let m = radius / heights[k];
                    ((-s[k] - m).floor() as i32, (-s[k] + m).ceil() as i32)
                } else {
                    (0, 0)
                }
            };
            let (x, y, z) = (range(0), range(1), range(2));
            for n0 in x.0..=x.1 {
                for n1 in y.0..=y.1 {
                    for n2 in z.0..=z.1 {
                        let n = [n0, n1, n2];
                        let d = b - a + cell.translation(n);
                        if (i != j || n != [0; 3]) && d.norm() < radius {
                            pairs.push((i, j, n));
                        }
                    }
                }
            }
        }
    }
    pairs.sort_unstable();
    pairs
}

/// The pairs of a list closer than `radius`, in the same form.
fn listed(list: &NeighborList, radius: f64) -> Vec<(usize, usize, [i32; 3])> {
    let mut pairs = Vec::new();
    for (k, &c) in list.centers().iter().enumerate() {
        let at = Vec3::from(list.sites()[c as usize].position);
        let base = list.shift(c);
        for &s in list.row(k) {
            let d = Vec3::from(list.sites()[s as usize].position) - at;
            if d.norm() < radius {
                let n = list.shift(s);
                let relative = std::array::from_fn(|k| n[k] - base[k]);
                pairs.push((list.atom(c), list.atom(s), relative));
            }
        }
    }
    pairs.sort_unstable();
    pairs
}

const BACKENDS: [Search; 4] = [Search::CellGrid, Search::KdTree, Search::BruteForce, Search::Auto];

/// Every backend finds exactly the true pairs, with identical rows.
fn check(name: &str, positions: &[Vec3], cell: &Cell, cutoff: f64, skin: f64) {
    let system = system(positions.len());
    // the radius of comparison stays clear of pairs that rounding could move across it
    let radius = cutoff * (1.0 - 1e-12);
    let truth = truth(positions, cell, radius);
    let lists = BACKENDS.map(|search| {
        let mut list = NeighborList::new(cutoff, skin, search);
        list.update(&system, positions, cell);
        assert_eq!(listed(&list, radius), truth, "{name}: {search:?}");
        list
    });
    for list in &lists[1..] {
        assert_eq!(list.centers(), lists[0].centers(), "{name}");
        assert_eq!(list.sites(), lists[0].sites(), "{name}");
        for k in 0..positions.len() {
            assert_eq!(list.row(k), lists[0].row(k), "{name}: row {k} of {:?}", list.backend());
        }
    }
    for k in 0..positions.len() {
        let (row, padded) = (lists[0].row(k), lists[0].padded_row(k));
        assert!(row.is_sorted() && padded.len() % WIDTH == 0 && padded.starts_with(row));
        assert!(padded[row.len()..].iter().all(|&s| s as usize == lists[0].sites().len()));
    }
    let mut atoms: Vec<_> = lists[0].centers().iter().map(|&c| lists[0].atom(c)).collect();
    atoms.sort_unstable();
    assert!(atoms.into_iter().eq(0..positions.len()), "{name}: every atom is the centre of one row");
}

fn random(n: usize, cell: &Cell, dice: &mut Dice) -> Vec<Vec3> {
    (0..n).map(|_| cell.cartesian(&dice.vector())).collect()
}

fn matrix(rows: [[f64; 3]; 3], periodic: [bool; 3]) -> Cell {
    Cell::new(rows.map(Vec3::from), periodic).unwrap()
}

#[test]
fn all_shapes_agree_with_the_truth() {
    let mut dice = Dice(1);
    let box12 = Cell::orthorhombic(12.0, 13.0, 14.0).unwrap();
    let triclinic = Cell::from_lengths_angles([11.0, 12.0, 13.0], [75.0, 80.0, 110.0]).unwrap();
    let skewed = matrix([[8.0, 0.0, 0.0], [21.0, 7.0, 0.0], [-17.0, 19.0, 9.0]], [true; 3]);
    let left_handed = matrix([[0.0, 9.0, 1.0], [10.0, 0.0, 0.5], [0.3, 0.2, 11.0]], [true; 3]);
    let slab = matrix([[9.0, 0.0, 0.0], [2.0, 10.0, 0.0], [0.0, 1.0, 30.0]], [true, true, false]);
    let wire = matrix([[0.0, 0.0, 5.0], [20.0, 0.0, 0.0], [0.0, 20.0, 0.0]], [true, false, false]);
    for (name, cell, n) in [
        ("periodic", &box12, 300),
        ("triclinic", &triclinic, 250),
        ("skewed", &skewed, 60),
        ("left-handed", &left_handed, 120),
        ("slab", &slab, 150),
        ("wire", &wire, 60),
    ] {
        let positions = random(n, cell, &mut dice);
        check(name, &positions, cell, 3.0, 0.4);
        check(name, &positions, cell, 7.3, 0.0);
        // the same atoms far outside of the cell
        let away = |r: &Vec3| {
            let n = dice.vector().map(|x| ((x - 0.5) * 40.0) as i32);
            let n = std::array::from_fn(|k| if cell.periodic()[k] { n[k] } else { 0 });
            r + cell.translation(n)
        };
        let unwrapped: Vec<Vec3> = positions.iter().map(away).collect();
        check(name, &unwrapped, cell, 3.0, 0.4);
    }
}

#[test]
fn open_clustered_and_sparse_systems_agree_with_the_truth() {
    let mut dice = Dice(7);
    let ball: Vec<Vec3> = (0..200).map(|_| dice.vector() * 12.0).collect();
    check("open", &ball, &Cell::open(), 3.0, 0.3);
    // clusters of atoms far apart, with two atoms in one place
    let mut clusters: Vec<Vec3> = Vec::new();
    for _ in 0..12 {
        let at = dice.vector() * 1e4;
        clusters.extend((0..40).map(|_| at + dice.vector() * 5.0));
    }
    clusters.push(clusters[0]);
    check("clusters", &clusters, &Cell::open(), 3.0, 0.3);
    let sparse: Vec<Vec3> = (0..600).map(|_| dice.vector() * 300.0).collect();
    check("sparse", &sparse, &Cell::open(), 12.0, 1.0);
    let mut list = NeighborList::new(12.0, 1.0, Search::Auto);
    list.update(&system(600), &sparse, &Cell::open());
    assert!(!list.backend().1.is_empty());
}

#[test]
fn one_atom_cells_see_their_images() {
    for cell in [
        Cell::orthorhombic(2.0, 2.0, 2.0).unwrap(),
        Cell::from_lengths_angles([2.0, 2.5, 3.0], [60.0, 70.0, 80.0]).unwrap(),
        matrix([[2.0, 0.0, 0.0], [0.0, 50.0, 0.0], [0.0, 0.0, 50.0]], [true, false, false]),
    ] {
        check("one atom", &[Vec3::new(-0.3, 7.0, 0.1)], &cell, 6.5, 0.1);
    }
    // three images on each side along each axis at exactly 1, sqrt 2, sqrt 3 ...
    let mut list = NeighborList::new(1.5, 0.0, Search::Auto);
    list.update(&system(1), &[Vec3::zeros()], &Cell::orthorhombic(1.0, 1.0, 1.0).unwrap());
    assert_eq!(list.row(0).len(), 18);
    let mut alone = NeighborList::new(5.0, 1.0, Search::Auto);
    alone.update(&system(1), &[Vec3::zeros()], &Cell::open());
    assert!(alone.row(0).is_empty());
}

#[test]
fn no_pair_is_missing_while_atoms_and_cell_move() {
    let mut dice = Dice(3);
    let (cutoff, skin) = (3.0, 0.6);
    for (name, scale) in [("fixed cell", 0.0), ("changing cell", 0.004)] {
        let mut cell = Cell::from_lengths_angles([10.0, 11.0, 9.0], [85.0, 95.0, 70.0]).unwrap();
        let mut positions = random(120, &cell, &mut dice);
        let system = system(positions.len());
        let mut list = NeighborList::new(cutoff, skin, Search::Auto);
        for step in 0..120 {
            for r in &mut positions {
                *r += (dice.vector() - Vec3::repeat(0.5)) * 0.12;
            }
            let f = Mat3::identity() + Mat3::from_fn(|_, _| (dice.roll() - 0.5) * scale);
            cell = cell.deformed(&f).unwrap();
            for r in &mut positions {
                *r = f * *r;
            }
            list.update(&system, &positions, &cell);
            assert_eq!(listed(&list, cutoff), truth(&positions, &cell, cutoff), "{name}, step {step}");
        }
        // the skin must save builds, or the test tests nothing
        assert!((2..60).contains(&list.builds()), "{name}: {} builds", list.builds());
    }
}

#[test]
fn few_fast_atoms_cost_few_builds_and_no_pair() {
    let (cutoff, skin) = (3.0, 0.6);
    for (name, scale) in [("fixed cell", 0.0), ("changing cell", 0.001)] {
        let mut dice = Dice(13);
        let mut cell = Cell::from_lengths_angles([14.0, 13.0, 15.0], [85.0, 95.0, 70.0]).unwrap();
        let mut positions = random(200, &cell, &mut dice);
        let system = system(positions.len());
        let mut list = NeighborList::new(cutoff, skin, Search::Auto);
        let (mut worn_out, mut reference) = (0, Vec::new());
        for step in 0..150 {
            for (i, r) in positions.iter_mut().enumerate() {
                let speed = if i % 50 == 7 { 0.3 } else { 0.01 };
                *r += (dice.vector() - Vec3::repeat(0.5)) * speed;
            }
            let f = Mat3::identity() + Mat3::from_fn(|_, _| (dice.roll() - 0.5) * scale);
            cell = cell.deformed(&f).unwrap();
            positions.iter_mut().for_each(|r| *r = f * *r);
            let builds = list.builds();
            list.update(&system, &positions, &cell);
            assert_eq!(listed(&list, cutoff), truth(&positions, &cell, cutoff), "{name}, step {step}");
            if list.builds() > builds {
                reference.clone_from(&positions);
            }
            let mut moved: Vec<f64> = positions.iter().zip(&reference).map(|(r, q)| (r - q).norm()).collect();
            moved.sort_by(|a, b| b.total_cmp(a));
            worn_out += usize::from(moved[0] + moved[1] > skin);
        }
        // lists outlive the motion of two atoms through the skin
        assert!(
            worn_out > 10 && (2..60).contains(&list.builds()),
            "{name}: {worn_out}, {} builds",
            list.builds()
        );
    }
}

#[test]
fn a_homogeneous_deformation_alone_uses_the_skin_as_derived() {
    let cell = Cell::orthorhombic(10.0, 10.0, 10.0).unwrap();
    let positions = random(100, &cell, &mut Dice(5));
    let system = system(100);
    let mut list = NeighborList::new(3.0, 0.3, Search::Auto);
    list.update(&system, &positions, &cell);
    let scaled = |f: f64| {
        let m = Mat3::identity() * f;
        (positions.iter().map(|r| m * r).collect::<Vec<_>>(), cell.deformed(&m).unwrap())
    };
    // expansion and compression down to cutoff / (cutoff + skin) keep the list
    for f in [1.2, 0.99, 0.92, 3.0 / 3.3 + 1e-9] {
        let (r, c) = scaled(f);
        list.update(&system, &r, &c);
        assert_eq!(list.builds(), 1, "{f}");
        assert_eq!(listed(&list, 3.0), truth(&r, &c, 3.0));
    }
    let (r, c) = scaled(3.0 / 3.3 - 1e-9);
    list.update(&system, &r, &c);
    assert_eq!(list.builds(), 2);
}

#[test]
fn a_restored_list_is_the_same_and_rebuilds_at_the_same_steps() {
    let mut dice = Dice(11);
    let cell = Cell::orthorhombic(9.0, 9.0, 9.0).unwrap();
    let mut positions = random(200, &cell, &mut dice);
    let system = system(200);
    let mut a = NeighborList::new(2.5, 0.5, Search::Auto);
    for step in 0..40 {
        for r in &mut positions {
            *r += (dice.vector() - Vec3::repeat(0.5)) * 0.1;
        }
        a.update(&system, &positions, &cell);
        let mut writer = Archive::writer();
        a.archive(&mut writer).unwrap();
        let mut b = NeighborList::new(2.5, 0.5, Search::CellGrid);
        b.archive(&mut Archive::reader(writer.into_bytes())).unwrap();
        let mut next = positions.clone();
        for r in &mut next {
            *r += (dice.vector() - Vec3::repeat(0.5)) * 0.1;
        }
        let mut c = a.clone();
        for positions in [&positions, &next] {
            b.update(&system, positions, &cell);
            c.update(&system, positions, &cell);
            assert_eq!(b.builds(), c.builds(), "step {step}");
            assert_eq!(b.sites(), c.sites());
            assert!((0..200).all(|k| b.row(k) == c.row(k)));
        }
    }
    assert!(a.builds() > 2);
}

#[test]
fn positions_that_are_not_finite_are_reported() {
    let cell = Cell::orthorhombic(9.0, 9.0, 9.0).unwrap();
    let mut positions = random(20, &cell, &mut Dice(2));
    let mut list = NeighborList::new(2.5, 0.5, Search::Auto);
    list.update(&system(20), &positions, &cell);
    assert_eq!(list.non_finite(), None);
    positions[13].y = f64::NAN;
    list.update(&system(20), &positions, &cell);
    assert_eq!(list.non_finite(), Some(13));
    positions[13].y = 1.0;
    list.update(&system(20), &positions, &cell);
    assert_eq!((list.non_finite(), list.centers().len()), (None, 20));
}

#[test]
fn the_list_is_the_same_for_any_number_of_threads() {
    let cell = Cell::orthorhombic(24.0, 20.0, 28.0).unwrap();
    let positions = random(6000, &cell, &mut Dice(9));
    let system = system(6000);
    let build = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut list = NeighborList::new(2.5, 0.3, Search::Auto);
            list.update(&system, &positions, &cell);
            list
        })
    };
    let (one, four) = (build(1), build(4));
    assert_eq!(one.sites(), four.sites());
    assert!((0..6000).all(|k| one.row(k) == four.row(k)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_cell_and_any_positions(
        h in prop::array::uniform9(-6.0..6.0f64),
        periodic in prop::array::uniform3(any::<bool>()),
        positions in prop::collection::vec(prop::array::uniform3(-20.0..20.0f64), 1..30),
        cutoff in 0.5..6.0f64,
        skin in 0.0..1.0f64,
    ) {
        let m = Mat3::from_column_slice(&h) + Mat3::identity() * 4.0;
        if let Ok(cell) = Cell::from_matrix(m, periodic)
            && cell.heights().iter().all(|&h| h > 1.0)
        {
            let positions: Vec<Vec3> = positions.into_iter().map(Vec3::from).collect();
            check("random", &positions, &cell, cutoff, skin);
        }
    }
}

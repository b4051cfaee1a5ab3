//! SPC/E water in a triclinic cell: the components of the energy that NIST publishes with its configuration 1.
//!
//! Source: NIST Standard Reference Simulation Website, NIST Standard Reference Database 173, doi:10.18434/T4M88Q; the
//! coordinates came with FEASST, also of NIST. Works of NIST are in the public domain.
use caloron_engine::{
    Cell, Input, Mat3, NeighborList, Outputs, Potential, Properties, Species, System, Vec3, units,
};
use caloron_potentials::force_field::KJ_PER_MOL;
use caloron_potentials::nonbonded::{
    Combination, ExceptionPair, LennardJonesTypes, Method, NonBonded, NonBondedModel,
};

const DATA: &str = include_str!("data/nist_spce_triclinic_1.xyz");

#[test]
fn components_in_a_triclinic_cell_are_those_of_nist() {
    let mut lines = DATA.lines();
    let n: usize = lines.next().unwrap().trim().parse().unwrap();
    let b: Vec<f64> = lines.next().unwrap().split_whitespace().skip(1).map(|x| x.parse().unwrap()).collect();
    let h = Mat3::new(b[0], b[3], b[4], 0.0, b[1], b[5], 0.0, 0.0, b[2]);
    let cell = Cell::from_matrix(h, [true; 3]).unwrap();
    let (mut types, mut charges, mut positions) = (vec![], vec![], vec![]);
    for line in lines.take(n) {
        let w: Vec<f64> = line.split_whitespace().map(|x| x.parse().unwrap()).collect();
        types.push(w[0] as u32);
        charges.push(if w[0] == 0.0 { -0.8476 } else { 0.4238 });
        positions.push(Vec3::new(w[1], w[2], w[3]));
    }
    let none = |i, j| ExceptionPair { atoms: [i, j], charges: 0.0, c12: 0.0, c6: 0.0 };
    let exceptions =
        (0..n as u32).step_by(3).flat_map(|i| [none(i, i + 1), none(i, i + 2), none(i + 1, i + 2)]).collect();
    let own = [[3.165_557_89, 78.197_431_11 * units::BOLTZMANN], [0.0; 2]];
    let model = NonBondedModel {
        modifier: Default::default(),
        types,
        charges,
        lennard_jones: LennardJonesTypes::mixed(&own, Combination::LorentzBerthelot),
        exceptions,
        // NIST's wave vectors: |k| up to 7 times 2π over the shortest edge of the diagonal
        method: Method::Ewald {
            alpha: 0.285,
            wave_cutoff: 7.0 * 2.0 * std::f64::consts::PI / b[1] * (1.0 + 1e-12),
        },
        cutoff: 10.0,
        switch: None,
        dispersion_correction: true,
        constant: units::COULOMB,
        precision: Default::default(),
    };
    let mut potential = NonBonded::new(&model, &cell).unwrap();
    let system = System::new(vec![Species { symbol: "X".into(), number: None, mass: 1.0 }], vec![0; n]);
    let mut list = NeighborList::new(10.0, 0.0, Default::default());
    list.update(&system, &positions, &cell);
    let want = Properties::ENERGY | Properties::EXTRAS;
    let mut out = Outputs::default();
    out.reset(n, want);
    let input = Input { system: &system, positions: &positions, cell: &cell, neighbors: &list };
    potential.compute(input, want, &mut out).unwrap();
    let of = |name: &str| {
        let extra = out.extras.iter().find(|e| e.spec.name == name).unwrap();
        extra.values[0] / KJ_PER_MOL
    };
    // NIST's tail correction leaves the pairs of an atom with itself out: N² instead of N (N + 1) pairs of oxygen, over all
    // pairs of atoms
    let (oxygen, all) = (n as f64 / 3.0, n as f64);
    let tail = of("energy_dispersion_correction") * (oxygen / (oxygen + 1.0)) * ((all + 1.0) / all);
    for (name, mine, published) in [
        ("Lennard-Jones", of("energy_lennard_jones"), 931.154_51),
        ("tail correction", tail, -34.165_69),
        ("real space", of("energy_coulomb"), -6_046.436_27),
        ("within molecules", of("energy_excluded"), 95_078.894_47),
        ("Fourier and self", of("energy_reciprocal"), 371.465_25 - 96_297.755_79),
    ] {
        println!("{name}: {mine:.6} {published}");
        assert!((mine - published).abs() < 1e-4, "{name}: {mine} instead of {published}");
    }
}

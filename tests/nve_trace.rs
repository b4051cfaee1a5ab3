//! Constant-energy runs against LAMMPS from the same start, step by step, through the program itself.
mod support;

use caloron::engine::testing::reference;
use support::{Folder, run};

#[test]
fn the_first_200_steps_follow_lammps() {
    let cases = [
        ("lj_liquid_force_shifted", "force_shifted", ""),
        ("lj_liquid_shifted", "energy_shifted", ".gz"),
        ("lj_liquid_unshifted", "truncated", ".gz"),
    ];
    let folder = Folder::new("trace");
    for (case, truncation, suffix) in cases {
        let (Some(start), Some(trace)) = (
            reference(&format!("nve/{case}.init.extxyz{suffix}")),
            reference(&format!("nve/{case}.trace.csv")),
        ) else {
            return;
        };
        let start = start.canonicalize().unwrap();
        let input = folder.write(
            &format!("{case}.toml"),
            &format!(
                r#"units = "lj"
[system]
structure = "{}"
masses = {{ Ar = 1.0 }}
velocities = "from_file"
[[potential]]
[potential.lennard_jones]
cutoff = 2.5
truncation = "{truncation}"
pairs = [{{ species = ["Ar", "Ar"], epsilon = 1.0, sigma = 1.0 }}]
[[stage]]
name = "nve"
steps = 200
[stage.nve]
timestep = 0.005
[output]
thermo = {{ file = "thermo.csv", every = 1, columns = ["step", "potential_energy", "kinetic_energy", "total_energy", "pressure"] }}
"#,
                start.display()
            ),
        );
        let out = folder.path(case);
        run(&input, &out, 2);
        let ours = std::fs::read_to_string(out.join("thermo.csv")).unwrap();
        let theirs = std::fs::read_to_string(trace).unwrap();
        let row = |line: &str| line.split(',').map(|x| x.parse::<f64>().unwrap()).collect::<Vec<_>>();
        let mut worst: f64 = 0.0;
        for (a, b) in ours.lines().skip(1).zip(theirs.lines().skip(1)).take(201) {
            let (a, b) = (row(a), row(b));
            assert_eq!(a[0], b[0]);
            // potential, kinetic, total energy, pressure
            for (x, y) in [(a[1], b[2]), (a[2], b[3]), (a[3], b[4]), (a[4], b[6])] {
                worst = worst.max((x - y).abs() / y.abs());
            }
        }
        println!("{case}: largest relative deviation in 200 steps {worst:.1e}");
        assert!(worst < 1e-8, "{case}: {worst:e}");
        assert_eq!(ours.lines().count(), 202);
    }
}

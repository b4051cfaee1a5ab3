use super::*;
use crate::quantity::reading_in;
use crate::{Cell, Species, Vec3};
use serde::de::DeserializeOwned;

fn argon() -> (System, State) {
    let species = vec![Species { symbol: "Ar".into(), number: Some(18), mass: 39.95 }];
    let positions = (0..8).map(|i| Vec3::x() * 4.0 * f64::from(i)).collect();
    (
        System::new(species, vec![0; 8]),
        State::at_rest(positions, Cell::orthorhombic(40.0, 10.0, 10.0).unwrap()),
    )
}

fn read<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    toml::from_str(text).map_err(|e: toml::de::Error| e.to_string())
}

fn nvt(thermostat: &str) -> Result<MolecularDynamics, SpecError> {
    let (system, state) = argon();
    let text = format!("temperature = \"300 K\"\ntimestep = \"2 fs\"\nthermostat = {thermostat}");
    read::<NvtSpec>(&text).unwrap().build(&system, &state, UnitSystem::Physical)
}

fn npt(lines: &str) -> Result<MolecularDynamics, SpecError> {
    let (system, state) = argon();
    let text = format!(
        "temperature = \"300 K\"\ntimestep = \"2 fs\"\nthermostat = {{ bussi = {{ relaxation = \"0.1 ps\" }} }}\n{lines}"
    );
    read::<NptSpec>(&text).unwrap().build(&system, &state, UnitSystem::Physical)
}

/// Key, message and hint of a refusal in one line.
fn refusal(result: Result<MolecularDynamics, SpecError>) -> String {
    let e = result.err().expect("a refusal");
    format!("{}: {e} ({})", e.key, e.hint.as_deref().unwrap_or_default())
}

#[test]
fn steps_are_composed_as_documented() {
    use crate::Sampler;
    for (thermostat, notation) in [
        ("{ langevin = { friction = \"1 1/ps\" } }", "BAOAB"),
        ("{ bussi = { relaxation = \"0.1 ps\" } }", "BABV"),
        ("{ nose_hoover = { relaxation = \"0.1 ps\" } }", "NBABN"),
        ("{ andersen = { rate = \"1 1/ps\" } }", "BABC"),
        ("{ berendsen = { relaxation = \"0.1 ps\" } }", "BABW"),
        ("{ langevin = { friction = \"1 1/ps\" } }\nremove_momentum = {}", "BAOABM"),
        ("{ langevin = { friction = \"1 1/ps\" } }\nrespa = { inner = [4] }", "O B0 (B1 A B1)x4 B0 O"),
    ] {
        assert_eq!(nvt(thermostat).unwrap().notation(), notation);
    }
    for (barostat, notation) in [
        ("{ cell_rescale = { relaxation = \"1 ps\" } }", "BASABV"),
        ("{ mtk = { relaxation = \"1 ps\", mode = \"triclinic\" } }", "BASABV"),
        ("{ monte_carlo = {} }", "BABVP"),
        ("{ berendsen = { relaxation = \"1 ps\", mode = \"anisotropic\", fixed = [\"z\"] } }", "BASABV"),
    ] {
        let sampler = npt(&format!("pressure = \"1 bar\"\nbarostat = {barostat}")).unwrap();
        assert_eq!(sampler.notation(), notation);
    }
}

#[test]
fn degrees_of_freedom_follow_the_thermostat_and_the_removal() {
    use crate::Sampler;
    let (system, _) = argon();
    let dof = |thermostat: &str| nvt(thermostat).unwrap().degrees_of_freedom(&system, true);
    assert_eq!(dof("{ bussi = { relaxation = \"0.1 ps\" } }"), 21.0);
    assert_eq!(dof("{ langevin = { friction = \"1 1/ps\" } }"), 24.0);
    assert_eq!(dof("{ langevin = { friction = \"1 1/ps\" } }\nremove_momentum = {}"), 21.0);
}

#[test]
fn mistakes_are_named_with_advice() {
    let barostat = "barostat = { cell_rescale = { relaxation = \"1 ps\" } }";
    for (found, expected) in [
        (
            refusal(nvt("{ bussi = { relaxation = \"1 fs\" } }")),
            "thermostat.bussi.relaxation: the relaxation time is 0.500 time steps; it needs at least 1 (use a longer",
        ),
        (
            refusal(nvt("{ langevin = { friction = \"1 1/fs\" } }")),
            "thermostat.langevin.friction: the friction times the time step is 2.000, above 1 (use a smaller friction, or Brownian",
        ),
        (
            refusal(nvt("{ nose_hoover = { relaxation = \"1 ps\", order = 3 } }")),
            "thermostat.nose_hoover.order: no composition of order 3 is known here (use 2, 4 or 6)",
        ),
        (
            refusal(nvt("{ andersen = { rate = \"1 1/ps\" } }\nremove_momentum = { every = 10 }")),
            "remove_momentum.every: this thermostat feeds",
        ),
        (
            refusal(nvt("{ bussi = { relaxation = \"1 ps\" } }\nremove_momentum = { angular = true }")),
            "remove_momentum.angular: the angular momentum of a periodic system is not defined",
        ),
        (refusal(npt(barostat)), ": a barostat needs a `pressure` or a `stress`"),
        (
            refusal(npt("pressure = \"1 bar\"\nbarostat = { cell_rescale = { relaxation = \"10 fs\" } }")),
            "barostat.cell_rescale.relaxation: the relaxation time is 5.000 time steps; it needs at least 10",
        ),
        (
            refusal(npt(&format!(
                "stress = {{ xx = \"0 bar\", yy = \"0 bar\", zz = \"1 GPa\" }}\n{barostat}"
            ))),
            "stress: an isotropic barostat follows the pressure alone",
        ),
        (
            refusal(npt("pressure = \"1 bar\"\nbarostat = { monte_carlo = { mode = \"triclinic\" } }")),
            "barostat.monte_carlo.mode: Monte Carlo moves do not change the angles",
        ),
        (
            refusal(npt(
                "pressure = \"1 bar\"\nbarostat = { mtk = { relaxation = \"1 ps\", fixed = [\"x\"] } }",
            )),
            "barostat.mtk.fixed: no deformation of the cell is left",
        ),
    ] {
        assert!(found.starts_with(expected), "{found}\n{expected}");
    }
    let (mut system, state) = argon();
    let text = "temperature = \"300 K\"\npressure = \"1 bar\"\ntimestep = \"2 fs\"\nthermostat = { bussi = { relaxation = \"0.1 ps\" } }\nbarostat = { mtk = { relaxation = \"1 ps\" } }";
    let spec: NptSpec = read(text).unwrap();
    let open = State::at_rest(state.positions().to_vec(), Cell::open());
    let refused = |s: &System, x: &State| refusal(spec.build(s, x, UnitSystem::Physical));
    assert!(refused(&system, &open).starts_with("barostat: constant pressure needs a cell that is periodic"));
    system.fix(&[0]);
    assert!(refused(&system, &state).contains("fixed atoms cannot follow"));
}

#[test]
fn time_steps_are_checked() {
    let (system, state) = argon();
    let build = |t: &str| {
        let spec: NveSpec = read(&format!("timestep = \"{t}\"")).unwrap();
        (spec.build(&system, &state, UnitSystem::Physical).map(|_| ()), spec.warnings(UnitSystem::Physical))
    };
    assert!(build("2 fs").0.is_ok() && build("2 fs").1.is_empty());
    assert!(build("30 fs").1[0].contains("30.0000 fs is longer than anything usual"));
    assert!(build("2 ps").0.unwrap_err().to_string().contains("far too long"));
    assert!(build("-1 fs").0.unwrap_err().to_string().contains("must be above 0"));
}

#[test]
fn ramps_are_constants_or_tables_with_units() {
    use crate::units::BOLTZMANN;
    let ramp = |text: &str| -> Result<Ramp<Temperature>, String> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Holder {
            t: Ramp<Temperature>,
        }
        read::<Holder>(&format!("t = {text}")).map(|h| h.t)
    };
    assert_eq!(ramp("\"300 K\"").unwrap().schedule(BOLTZMANN).at(0.7), 300.0 * BOLTZMANN);
    let up = ramp("{ from = \"300 K\", to = \"600 K\" }").unwrap().schedule(1.0);
    assert!((up.at(0.5) - 450.0).abs() < 1e-12);
    assert!(ramp("300").unwrap_err().contains("`300` has no unit"));
    assert!(ramp("\"300 fs\"").unwrap_err().contains("`fs` is not a unit of temperature"));
    assert!(ramp("{ from = \"300 K\", too = \"600 K\" }").unwrap_err().contains("unknown field `too`"));
    assert!(ramp("{ from = \"300 K\" }").unwrap_err().contains("missing field `to`"));
    assert!(ramp("true").unwrap_err().contains("a temperature such as \"1 K\", or a ramp"));
    assert!(reading_in(UnitSystem::Lj, || ramp("{ from = 1, to = 1.5 }")).is_ok());
    // the schema of every spec can be made
    let schema = serde_json::to_string(&schemars::schema_for!(NptSpec)).unwrap();
    assert!(schema.contains("\"from\"") && schema.contains("cell_rescale"));
}

#[test]
fn reduced_units_ask_for_a_compressibility() {
    let (system, state) = argon();
    let text = "temperature = 1.0\npressure = 1.0\ntimestep = 0.005\nthermostat = { bussi = { relaxation = 0.2 } }\nbarostat = { cell_rescale = { relaxation = 1.0 } }";
    let spec: NptSpec = reading_in(UnitSystem::Lj, || read(text)).unwrap();
    let found = refusal(spec.build(&system, &state, UnitSystem::Lj));
    assert!(found.starts_with("barostat.cell_rescale.compressibility: reduced units"), "{found}");
    assert!(spec.warnings(UnitSystem::Lj)[0].contains("compressibility of water"));
    assert!(spec.cite().iter().any(|c| c.contains("Bernetti")));
}

//! Potentials fitted to quantum mechanics: SNAP and UF3.
use crate::golden::{STRICT, Tolerance, build, check, compare_terms, potentials, system};
use caloron_engine::units::COULOMB;

#[test]
fn linear_snap_silicon() {
    let files = "file = \"Si_Zuo_JPCA2020.snapcoeff\", parameters = \"Si_Zuo_JPCA2020.snapparam\"";
    check("snap_si_zuo2020", &["Si"], &format!("snap = {{ {files} }}"));
}

#[test]
fn quadratic_snap_nickel() {
    let name = "Ni_Zuo_JPCA2020.quadratic";
    let files = format!("file = \"{name}.snapcoeff\", parameters = \"{name}.snapparam\"");
    check("qsnap_ni_zuo2020", &["Ni"], &format!("snap = {{ {files} }}"));
}

#[test]
fn snap_of_two_elements_with_nuclear_repulsion() {
    let Some(directory) = potentials() else { return };
    let snap = "snap = { file = \"InP_JCPA2020.snapcoeff\", parameters = \"InP_JCPA2020.snapparam\" }";
    let zbl = "zbl = { inner = \"4.0 Å\", cutoff = \"4.2 Å\" }";
    // the two virials nearly cancel, so the sum keeps fewer digits
    let tolerance = Tolerance { forces: 3e-8, ..STRICT };
    // the reference has e²/(4π ε₀) = 14.399645 eV Å
    let terms = [(snap, 1.0), (zbl, 14.399_645 / COULOMB)];
    assert!(compare_terms("snap_zbl_inp2020", &["In", "P"], &terms, &directory, tolerance) > 5);
}

#[test]
fn ultra_fast_force_field_niobium() {
    check("uf3_nb", &["Nb"], "uf3 = { file = \"Nb.uf3\" }");
}

#[test]
fn damaged_fits_are_errors() {
    let Some(source) = potentials() else { return };
    let folder = std::env::temp_dir().join(format!("caloron-fits-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let nb = system(&["Nb"], &["Nb".to_owned()]);
    let text = std::fs::read_to_string(source.join("Nb.uf3")).unwrap();
    let uf3 = "uf3 = { file = \"x.uf3\" }";
    for part in [0, 60, 130, 500, 2000, 5000, text.len() / 2] {
        std::fs::write(folder.join("x.uf3"), &text[..part]).unwrap();
        assert!(build(uf3, &folder, &nb).is_err_and(|e| e.message.contains("x.uf3")), "cut at {part}");
    }
    let si = system(&["Si"], &["Si".to_owned()]);
    let snap = "snap = { file = \"x.snapcoeff\", parameters = \"x.snapparam\" }";
    let coefficients = std::fs::read_to_string(source.join("Si_Zuo_JPCA2020.snapcoeff")).unwrap();
    let parameters = std::fs::read_to_string(source.join("Si_Zuo_JPCA2020.snapparam")).unwrap();
    let said = |coefficients: &str, parameters: &str| {
        std::fs::write(folder.join("x.snapcoeff"), coefficients).unwrap();
        std::fs::write(folder.join("x.snapparam"), parameters).unwrap();
        build(snap, &folder, &si).err().map(|e| e.message).unwrap_or_default()
    };
    assert_eq!(said(&coefficients, &parameters), "");
    assert!(said(&coefficients[..coefficients.len() / 2], &parameters).contains("the file ends"));
    assert!(said(&coefficients, &parameters.replace("twojmax 8", "twojmax 6")).contains("implies"));
    assert!(said(&coefficients, &parameters.replace("twojmax 8", "twojmax 9999")).contains("from 0 to 20"));
    assert!(said(&coefficients, &parameters.replace("rmin0", "rmin")).contains("`rmin` is not supported"));
    std::fs::remove_dir_all(&folder).unwrap();
}

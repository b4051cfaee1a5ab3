//! Potentials fitted to quantum mechanics: SNAP.
use crate::golden::check;

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

//! How atoms between two others screen their interaction.

/// f(x) = (1 − (1 − x)⁴)² between 0 and 1, and its derivative.
pub(super) fn smooth(x: f64) -> (f64, f64) {
    if x >= 1.0 {
        return (1.0, 0.0);
    }
    if x <= 0.0 {
        return (0.0, 0.0);
    }
    let a = 1.0 - x;
    let (a3, f) = (a * a * a, 1.0 - a * a * a * a);
    (f * f, 8.0 * f * a3)
}

/// C of the ellipse through an atom with X = r_ik²/r_ij² and Y = r_jk²/r_ij², and its derivatives; `None` where the atom
/// cannot screen.
pub(super) fn ellipse(x: f64, y: f64) -> Option<[f64; 3]> {
    let difference = x - y;
    let a = 1.0 - difference * difference;
    if a <= 0.0 {
        return None;
    }
    let top = 2.0 * (x + y) + a - 2.0;
    let by = |da: f64| ((2.0 + da) * a - top * da) / (a * a);
    Some([top / a, by(-2.0 * difference), by(2.0 * difference)])
}

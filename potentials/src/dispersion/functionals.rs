//! Published damping parameters of density functionals.
//!
//! Zero damping: Grimme, Antony, Ehrlich and Krieg, J. Chem. Phys. 132, 154104 (2010), doi 10.1063/1.3382344, and the list
//! that accompanies its program. Becke-Johnson damping: Grimme, Ehrlich and Goerigk, J. Comput. Chem. 32, 1456 (2011), doi
//! 10.1002/jcc.21759, and the same list. SCAN: Brandenburg, Bates, Sun and Perdew, Phys. Rev. B 94, 115144 (2016). rSCAN and
//! r²SCAN: Ehlert and others, J. Chem. Phys. 154, 061101 (2021); with exact exchange: Bursch and others, J. Chem. Phys. 156,
//! 134105 (2022). revTPSS: Goerigk and others, Phys. Chem. Chem. Phys. 19, 32184 (2017). The numbers were taken from torch-dftd
//! (MIT licence) and these papers; where s-dftd3 lists a functional too, the numbers agree.

/// s₆, s₈, s_r6 and s_r8 of zero damping, or s₆, s₈, a₁ and a₂ (bohr) of Becke-Johnson damping.
pub(super) type Parameters = [f64; 4];

/// Name, zero damping, Becke-Johnson damping.
type Row = (&'static str, Option<Parameters>, Option<Parameters>);

/// In the order of the names.
#[rustfmt::skip]
const TABLE: [Row; 63] = [
    ("b1b95", Some([1.0, 1.868, 1.613, 1.0]), Some([1.0, 1.4507, 0.2092, 5.5545])),
    ("b2gpplyp", Some([0.56, 0.76, 1.586, 1.0]), Some([0.56, 0.2597, 0.0, 6.3332])),
    ("b2plyp", Some([0.64, 1.022, 1.427, 1.0]), Some([0.64, 0.9147, 0.3065, 5.057])),
    ("b3lyp", Some([1.0, 1.703, 1.261, 1.0]), Some([1.0, 1.9889, 0.3981, 4.4211])),
    ("b3pw91", Some([1.0, 1.775, 1.176, 1.0]), Some([1.0, 2.8524, 0.4312, 4.4693])),
    ("b973c", None, Some([1.0, 1.5, 0.37, 4.1])),
    ("b97d", Some([1.0, 0.909, 0.892, 1.0]), Some([1.0, 2.2609, 0.5545, 3.2297])),
    ("bhlyp", Some([1.0, 1.442, 1.37, 1.0]), Some([1.0, 1.0354, 0.2793, 4.9615])),
    ("blyp", Some([1.0, 1.682, 1.094, 1.0]), Some([1.0, 2.6996, 0.4298, 4.2359])),
    ("bmk", Some([1.0, 2.168, 1.931, 1.0]), Some([1.0, 2.086, 0.194, 5.9197])),
    ("bop", Some([1.0, 1.975, 0.929, 1.0]), Some([1.0, 3.295, 0.487, 3.5043])),
    ("bp86", Some([1.0, 1.683, 1.139, 1.0]), Some([1.0, 3.2822, 0.3946, 4.8516])),
    ("bpbe", Some([1.0, 2.033, 1.087, 1.0]), Some([1.0, 4.0728, 0.4567, 4.3908])),
    ("camb3lyp", Some([1.0, 1.217, 1.378, 1.0]), Some([1.0, 2.0674, 0.3708, 5.4743])),
    ("dftb3", None, Some([1.0, 0.5883, 0.5719, 3.6017])),
    ("dsdblyp", None, Some([0.5, 0.213, 0.0, 6.0519])),
    ("dsdblypfc", None, Some([0.5, 0.2112, 0.0009, 5.9807])),
    ("hcth120", Some([1.0, 1.206, 1.221, 1.0]), Some([1.0, 1.0821, 0.3563, 4.3359])),
    ("hf", Some([1.0, 1.746, 1.158, 1.0]), Some([1.0, 0.9171, 0.3385, 2.883])),
    ("hf3c", None, Some([1.0, 0.8777, 0.4171, 2.9149])),
    ("hse06", Some([1.0, 0.109, 1.129, 1.0]), Some([1.0, 2.31, 0.383, 5.685])),
    ("hsesol", None, Some([1.0, 2.9215, 0.465, 6.2003])),
    ("lcwpbe", Some([1.0, 1.279, 1.355, 1.0]), Some([1.0, 1.8541, 0.3919, 5.0897])),
    ("m05", Some([1.0, 0.595, 1.373, 1.0]), None),
    ("m052x", Some([1.0, 0.0, 1.417, 1.0]), None),
    ("m06", Some([1.0, 0.0, 1.325, 1.0]), None),
    ("m062x", Some([1.0, 0.0, 1.619, 1.0]), None),
    ("m06hf", Some([1.0, 0.0, 1.446, 1.0]), None),
    ("m06l", Some([1.0, 0.0, 1.581, 1.0]), None),
    ("mpw1b95", Some([1.0, 1.118, 1.605, 1.0]), Some([1.0, 1.0508, 0.1955, 6.4177])),
    ("mpwb1k", Some([1.0, 1.061, 1.671, 1.0]), None),
    ("mpwlyp", Some([1.0, 1.098, 1.239, 1.0]), Some([1.0, 2.0077, 0.4831, 4.5323])),
    ("olyp", Some([1.0, 1.764, 0.806, 1.0]), Some([1.0, 2.6205, 0.5299, 2.8065])),
    ("opbe", None, Some([1.0, 3.3816, 0.5512, 2.9444])),
    ("otpss", Some([1.0, 1.494, 1.128, 1.0]), Some([1.0, 2.7495, 0.4634, 4.3153])),
    ("pbe", Some([1.0, 0.722, 1.217, 1.0]), Some([1.0, 0.7875, 0.4289, 4.4407])),
    ("pbe0", Some([1.0, 0.928, 1.287, 1.0]), Some([1.0, 1.2177, 0.4145, 4.8593])),
    ("pbe38", Some([1.0, 0.998, 1.333, 1.0]), None),
    ("pbeh3c", None, Some([1.0, 0.0, 0.486, 4.5])),
    ("pbesol", Some([1.0, 0.612, 1.345, 1.0]), Some([1.0, 2.9491, 0.4466, 6.1742])),
    ("ptpss", Some([0.75, 0.879, 1.541, 1.0]), Some([0.75, 0.2804, 0.0, 6.5745])),
    ("pw1pw", None, Some([1.0, 2.3363, 0.3807, 5.8844])),
    ("pw6b95", Some([1.0, 0.862, 1.532, 1.0]), Some([1.0, 0.7257, 0.2076, 6.375])),
    ("pwb6k", Some([1.0, 0.55, 1.66, 1.0]), Some([1.0, 0.9383, 0.1805, 7.7627])),
    ("pwgga", None, Some([1.0, 2.691, 0.2211, 6.7278])),
    ("pwpb95", Some([0.82, 0.705, 1.557, 1.0]), Some([0.82, 0.2904, 0.0, 7.3141])),
    ("r2scan", None, Some([1.0, 0.78981345, 0.49484001, 5.73083694])),
    ("r2scan0", None, Some([1.0, 1.1846, 0.4534, 5.8972])),
    ("r2scan50", None, Some([1.0, 1.3294, 0.4311, 5.924])),
    ("r2scanh", None, Some([1.0, 1.1236, 0.4709, 5.9157])),
    ("revpbe", Some([1.0, 1.01, 0.923, 1.0]), Some([1.0, 2.355, 0.5238, 3.5016])),
    ("revpbe0", Some([1.0, 0.792, 0.949, 1.0]), Some([1.0, 1.7588, 0.4679, 3.7619])),
    ("revpbe38", Some([1.0, 0.862, 1.021, 1.0]), Some([1.0, 1.476, 0.4309, 3.9446])),
    ("revssb", Some([1.0, 0.56, 1.221, 1.0]), Some([1.0, 0.4389, 0.472, 4.0986])),
    ("revtpss", Some([1.0, 1.3666, 1.3491, 1.0]), Some([1.0, 1.4023, 0.4426, 4.4723])),
    ("rpbe", Some([1.0, 0.514, 0.872, 1.0]), Some([1.0, 0.8318, 0.182, 4.0094])),
    ("rpw86pbe", Some([1.0, 0.901, 1.224, 1.0]), Some([1.0, 1.3845, 0.4613, 4.5062])),
    ("rscan", None, Some([1.0, 1.08859014, 0.47023427, 5.73408312])),
    ("scan", Some([1.0, 0.0, 1.324, 1.0]), Some([1.0, 0.0, 0.538, 5.42])),
    ("ssb", Some([1.0, 0.663, 1.215, 1.0]), Some([1.0, -0.1744, -0.0952, 5.217])),
    ("tpss", Some([1.0, 1.105, 1.166, 1.0]), Some([1.0, 1.9435, 0.4535, 4.4752])),
    ("tpss0", Some([1.0, 1.242, 1.252, 1.0]), Some([1.0, 1.2576, 0.3768, 4.5865])),
    ("tpssh", Some([1.0, 1.219, 1.223, 1.0]), Some([1.0, 2.2382, 0.4529, 4.655])),
];

/// A name as the table writes it: small letters without hyphens, underscores, slashes and blanks.
fn normal(name: &str) -> String {
    name.chars().filter(|c| !"-_/ ".contains(*c)).flat_map(char::to_lowercase).collect()
}

/// Zero damping and Becke-Johnson damping of a functional.
pub(super) fn find(name: &str) -> Option<[Option<Parameters>; 2]> {
    let name = normal(name);
    TABLE.iter().find(|row| row.0 == name).map(|row| [row.1, row.2])
}

/// All names.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|row| row.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_order_and_written_in_any_way() {
        assert!(TABLE.windows(2).all(|w| w[0].0 < w[1].0));
        assert!(TABLE.iter().all(|row| row.0 == normal(row.0) && (row.1.is_some() || row.2.is_some())));
        assert_eq!(find("B3-LYP"), find("b3lyp"));
        assert_eq!(find("PBE").unwrap()[1], Some([1.0, 0.7875, 0.4289, 4.4407]));
        assert_eq!(find("nothing"), None);
    }
}

//! Random bytes never do more than give an error.
use super::*;
use proptest::prelude::*;

/// Bytes that are mostly codes of pickles.
fn codes() -> impl Strategy<Value = Vec<u8>> {
    const COMMON: &[u8] =
        b"(.0123456789IJKLMNPQRSTUVXabcdeghijlopqrstu]})}BCGF\x80\x81\x82\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x8e\x8f\x90\x91\x92\x93\x94\x95\n";
    proptest::collection::vec(
        prop_oneof![
            4 => proptest::sample::select(COMMON.to_vec()).prop_map(|c| vec![c]),
            1 => any::<u8>().prop_map(|c| vec![c]),
            1 => Just(b"ctorch._utils\n_rebuild_tensor_v2\n".to_vec()),
            1 => Just(b"ccollections\nOrderedDict\n".to_vec()),
            1 => Just(b"X\x08\x00\x00\x00_modules".to_vec()),
            1 => Just(b"cnumpy.core.multiarray\n_reconstruct\n".to_vec()),
        ],
        0..200,
    )
    .prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn pickles_of_random_codes(bytes in codes()) {
        let _ = read(&Script::new().op(&bytes).file(&[("0", &[0; 64])]));
    }
    #[test]
    fn random_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400), kind in 0..5_usize) {
        let magic: &[u8] = [&b"PK\x03\x04"[..], b"\x1f\x8b\x08\x00", b"\x80\x02", b"\x10\0\0\0\0\0\0\0{", b"nep4 1 C\n"][kind];
        let _ = read(&[magic, &bytes].concat());
    }
    #[test]
    fn changed_files(at in 0_usize..600, to in any::<u8>(), cut in 0_usize..600) {
        let mut file = one_tensor("FloatStorage", 4, 0, &[2, 2], &[2, 1], &[1; 16]);
        let (at, cut) = (at % file.len(), cut % file.len());
        file[at] = to;
        let _ = read(&file);
        let _ = read(&file[..cut]);
    }
}

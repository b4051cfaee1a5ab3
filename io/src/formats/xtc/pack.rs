//! The coordinate compression of XTC.
//!
//! Coordinates are rounded to a grid. Each atom is written either relative to the smallest coordinates of the frame or,
//! in runs after such an atom, relative to the atom before it with a smaller range that adapts from run to run. In a run
//! the first two atoms change places, because in water oxygen then stands between its hydrogens.
//!
//! Source: the description in the GROMACS reference manual and D. van der Spoel et al., "XDR coordinate compression"
//! (xdr3dfcoord by F. van Hoesel).
use super::bits::{BitReader, BitWriter, bits_of, bits_of_product};
use crate::error::Fault;

/// The ranges of small differences: about 2^(i/3) for index i.
#[rustfmt::skip]
const RANGES: [i32; 73] = [
    0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 10, 12, 16, 20, 25, 32, 40, 50, 64, 80, 101, 128, 161, 203, 256, 322, 406, 512, 645,
    812, 1024, 1290, 1625, 2048, 2580, 3250, 4096, 5060, 6501, 8192, 10321, 13003, 16384, 20642, 26007, 32768, 41285,
    52015, 65536, 82570, 104_031, 131_072, 165_140, 208_063, 262_144, 330_280, 416_127, 524_287, 660_561, 832_255,
    1_048_576, 1_321_122, 1_664_510, 2_097_152, 2_642_245, 3_329_021, 4_194_304, 5_284_491, 6_658_042, 8_388_607,
    10_568_983, 13_316_085, 16_777_216,
];
const FIRST: usize = 9;
const LAST: usize = RANGES.len();
/// Most coordinates in a run after its first atom.
const LONGEST_RUN: usize = 24;

type Point = [i32; 3];

/// What stands before the compressed bytes.
pub(super) struct Packed {
    pub least: Point,
    pub most: Point,
    pub small: i32,
    pub bytes: Vec<u8>,
}

/// How absolute coordinates are stored: together if the ranges allow, else each with bits of its own.
struct Absolute {
    sizes: [u32; 3],
    together: Option<u32>,
}

impl Absolute {
    fn new(least: Point, most: Point) -> Result<Self, Fault> {
        let size = |k: usize| i64::from(most[k]) - i64::from(least[k]) + 1;
        let sizes = [size(0), size(1), size(2)];
        if sizes.iter().any(|s| *s < 1 || *s > i64::from(i32::MAX) - 2) {
            return Err(Fault::new("the range of the coordinates does not fit the XTC compression"));
        }
        let sizes = sizes.map(|s| s as u32);
        let together = sizes.iter().all(|s| *s <= 0x00ff_ffff).then(|| bits_of_product(sizes));
        Ok(Self { sizes, together })
    }
    fn put(&self, out: &mut BitWriter, values: [u32; 3]) {
        match self.together {
            Some(bits) => out.put_group(bits, self.sizes, values),
            None => (0..3).for_each(|k| out.put(bits_of(self.sizes[k]), values[k])),
        }
    }
    fn get(&self, input: &mut BitReader) -> Result<[u32; 3], Fault> {
        match self.together {
            Some(bits) => input.get_group(bits, self.sizes),
            None => {
                let mut v = [0; 3];
                for (v, size) in v.iter_mut().zip(self.sizes) {
                    *v = input.get(bits_of(size))?;
                }
                Ok(v)
            }
        }
    }
}

fn difference(a: Point, b: Point) -> [i64; 3] {
    std::array::from_fn(|k| i64::from(a[k]) - i64::from(b[k]))
}

fn within(a: Point, b: Point, limit: i32) -> bool {
    difference(a, b).iter().all(|d| d.abs() < i64::from(limit))
}

/// Half of a range.
fn half(index: usize) -> i32 {
    RANGES[index] / 2
}

/// Packs the points of a frame (at least one). They are permuted on the way.
pub(super) fn pack(points: &mut [Point]) -> Result<Packed, Fault> {
    let (mut least, mut most) = (points[0], points[0]);
    for p in &*points {
        for k in 0..3 {
            least[k] = least[k].min(p[k]);
            most[k] = most[k].max(p[k]);
        }
    }
    let absolute = Absolute::new(least, most)?;
    let step = |w: &[Point]| difference(w[1], w[0]).iter().map(|d| d.abs()).sum::<i64>();
    let nearest = points.windows(2).map(step).min().unwrap_or(i64::from(i32::MAX));
    let mut small = FIRST;
    while small < LAST - 1 && i64::from(RANGES[small]) < nearest {
        small += 1;
    }
    let first_small = small;
    let largest = (LAST - 1).min(small + 8);
    let smallest = largest.saturating_sub(8).max(FIRST);
    let larger = half(largest);

    let mut out = BitWriter::default();
    let (mut at, mut previous_run, mut previous) = (0, usize::MAX, [0; 3]);
    while at < points.len() {
        let (range, smaller) = (half(small), if small > FIRST { half(small - 1) } else { 0 });
        let mut change = if small < largest && at > 0 && within(points[at], previous, larger) {
            1
        } else if small > smallest {
            -1
        } else {
            0
        };
        let mut run_goes_on = at + 1 < points.len() && within(points[at], points[at + 1], range);
        if run_goes_on {
            points.swap(at, at + 1);
        }
        previous = points[at];
        absolute
            .put(&mut out, std::array::from_fn(|k| (i64::from(previous[k]) - i64::from(least[k])) as u32));
        at += 1;
        if !run_goes_on && change < 0 {
            change = 0;
        }
        let mut run: [[u32; 3]; LONGEST_RUN / 3] = Default::default();
        let mut length = 0;
        while run_goes_on && 3 * length < LONGEST_RUN {
            let d = difference(points[at], previous);
            if change < 0 && d.iter().map(|x| x * x).sum::<i64>() >= i64::from(smaller) * i64::from(smaller) {
                change = 0;
            }
            run[length] = d.map(|x| (x + i64::from(range)) as u32);
            length += 1;
            previous = points[at];
            at += 1;
            run_goes_on = at < points.len() && within(points[at], previous, range);
        }
        if length != previous_run || change != 0 {
            previous_run = length;
            out.put(1, 1);
            out.put(5, (3 * length as i32 + change + 1) as u32);
        } else {
            out.put(1, 0);
        }
        let sizes = [RANGES[small] as u32; 3];
        run[..length].iter().for_each(|d| out.put_group(small as u32, sizes, *d));
        small = small.saturating_add_signed(change as isize);
    }
    Ok(Packed { least, most, small: first_small as i32, bytes: out.finish() })
}

/// The points of a frame of `count` atoms.
pub(super) fn unpack(packed: &Packed, count: usize) -> Result<Vec<Point>, Fault> {
    let damaged = || Fault::new("the compressed coordinates are damaged");
    let absolute = Absolute::new(packed.least, packed.most)?;
    let mut small =
        usize::try_from(packed.small).ok().filter(|s| (FIRST..LAST).contains(s)).ok_or_else(damaged)?;
    // an atom takes more than a bit, so that memory follows the length of the file
    let most = packed.bytes.len().saturating_mul(8);
    if count > most {
        return Err(damaged());
    }
    let mut input = BitReader::new(&packed.bytes);
    let mut points = Vec::with_capacity(count);
    let mut length = 0;
    while points.len() < count {
        let v = absolute.get(&mut input)?;
        let mut previous: Point = std::array::from_fn(|k| packed.least[k].wrapping_add(v[k] as i32));
        let mut change = 0;
        if input.get(1)? == 1 {
            let code = input.get(5)? as i32;
            change = code % 3 - 1;
            length = (code / 3) as usize;
        }
        if points.len() + length + 1 > count {
            return Err(damaged());
        }
        let (range, sizes) = (half(small), [RANGES[small] as u32; 3]);
        let absolute_point = previous;
        if length == 0 {
            points.push(absolute_point);
        }
        for k in 0..length {
            let d = input.get_group(small as u32, sizes)?;
            let point: Point =
                std::array::from_fn(|j| previous[j].wrapping_add(d[j] as i32).wrapping_sub(range));
            points.push(point);
            if k == 0 {
                // the two had changed places
                points.push(absolute_point);
            }
            previous = point;
        }
        small = small
            .checked_add_signed(change as isize)
            .filter(|s| (FIRST..LAST).contains(s))
            .ok_or_else(damaged)?;
    }
    Ok(points)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round_trip(points: &[Point]) {
        let packed = pack(&mut points.to_vec()).unwrap();
        assert_eq!(unpack(&packed, points.len()).unwrap(), points);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn any_points_come_back(
            centres in prop::collection::vec(prop::array::uniform3(-200_000i32..200_000), 1..40),
            spread in 1i32..3000,
            seed in prop::collection::vec(prop::array::uniform3(-1000i32..1000), 1..8),
        ) {
            let points: Vec<Point> = centres
                .iter()
                .flat_map(|c| seed.iter().map(move |s| std::array::from_fn(|k| c[k] + s[k] * spread / 1000)))
                .collect();
            round_trip(&points);
        }
        #[test]
        fn wide_points_come_back(points in prop::collection::vec(prop::array::uniform3(-1_000_000_000i32..1_000_000_000), 1..30)) {
            round_trip(&points);
        }
        #[test]
        fn garbage_is_an_error_or_points(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            least in prop::array::uniform3(any::<i32>()),
            most in prop::array::uniform3(any::<i32>()),
            small in 0i32..80,
            count in 0usize..5000,
        ) {
            if let Ok(points) = unpack(&Packed { least, most, small, bytes }, count) {
                prop_assert_eq!(points.len(), count);
            }
        }
    }
}

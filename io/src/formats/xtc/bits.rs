//! Bit streams of the XTC compression: most significant bit first; several integers of known ranges share a group of
//! bits as one number of mixed radix, whose bytes come least significant first.
use crate::error::Fault;

/// Bits that hold every value below `size`, and `size` itself.
pub(super) fn bits_of(size: u32) -> u32 {
    u32::BITS - size.leading_zeros()
}

/// Bits that hold the mixed-radix number of three values below `sizes`.
pub(super) fn bits_of_product(sizes: [u32; 3]) -> u32 {
    let product = sizes.iter().fold(1u128, |p, s| p * u128::from(*s));
    u128::BITS - product.leading_zeros()
}

#[derive(Default)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    pending: u64,
    count: u32,
}

impl BitWriter {
    /// Appends the lowest `n` bits, at most 32.
    pub fn put(&mut self, n: u32, value: u32) {
        let mask = (1u64 << n) - 1;
        self.pending = (self.pending << n) | (u64::from(value) & mask);
        self.count += n;
        while self.count >= 8 {
            self.count -= 8;
            self.bytes.push((self.pending >> self.count) as u8);
        }
        self.pending &= (1 << self.count) - 1;
    }
    /// Appends three values below `sizes` as `n` bits.
    pub fn put_group(&mut self, n: u32, sizes: [u32; 3], values: [u32; 3]) {
        let wide = |x: u32| u128::from(x);
        let mut number =
            (wide(values[0]) * wide(sizes[1]) + wide(values[1])) * wide(sizes[2]) + wide(values[2]);
        let mut left = n;
        while left > 8 {
            self.put(8, (number & 0xff) as u32);
            number >>= 8;
            left -= 8;
        }
        self.put(left, (number & 0xff) as u32);
    }
    /// All bytes; the last is filled with zeros.
    pub fn finish(mut self) -> Vec<u8> {
        if self.count > 0 {
            let shift = 8 - self.count;
            self.bytes.push((self.pending << shift) as u8);
        }
        self.bytes
    }
}

pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    at: usize,
    pending: u64,
    count: u32,
}

impl<'a> BitReader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, pending: 0, count: 0 }
    }
    /// The next `n` bits, at most 32.
    pub fn get(&mut self, n: u32) -> Result<u32, Fault> {
        while self.count < n {
            let byte = self
                .bytes
                .get(self.at)
                .ok_or_else(|| Fault::new("the compressed coordinates end too early"))?;
            self.at += 1;
            self.pending = (self.pending << 8) | u64::from(*byte);
            self.count += 8;
        }
        self.count -= n;
        let value = (self.pending >> self.count) & ((1 << n) - 1);
        self.pending &= (1 << self.count) - 1;
        Ok(value as u32)
    }
    /// Three values below `sizes` from `n` bits.
    pub fn get_group(&mut self, n: u32, sizes: [u32; 3]) -> Result<[u32; 3], Fault> {
        let (mut number, mut shift, mut left) = (0u128, 0, n);
        while left > 8 {
            number |= u128::from(self.get(8)?) << shift;
            shift += 8;
            left -= 8;
        }
        number |= u128::from(self.get(left)?) << shift;
        let (y, z) = (u128::from(sizes[1].max(1)), u128::from(sizes[2].max(1)));
        if let Ok(short) = u64::try_from(number) {
            let (y, z) = (y as u64, z as u64);
            return Ok([(short / z / y) as u32, (short / z % y) as u32, (short % z) as u32]);
        }
        Ok([(number / z / y) as u32, (number / z % y) as u32, (number % z) as u32])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_come_back() {
        let sizes = [100_003, 7, 0x00ff_ffff];
        let n = bits_of_product(sizes);
        let mut w = BitWriter::default();
        let groups = [[0, 0, 0], [100_002, 6, 0x00ff_fffe], [5, 3, 77]];
        for g in groups {
            w.put(1, 1);
            w.put_group(n, sizes, g);
            w.put(5, 21);
        }
        let bytes = w.finish();
        let mut r = BitReader::new(&bytes);
        for g in groups {
            assert_eq!(r.get(1).unwrap(), 1);
            assert_eq!(r.get_group(n, sizes).unwrap(), g);
            assert_eq!(r.get(5).unwrap(), 21);
        }
        assert!(r.get(32).is_err());
        assert_eq!((bits_of(7), bits_of(8)), (3, 4));
    }
}

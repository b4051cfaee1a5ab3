//! Memory that starts at a cache line.
use crate::simd::Real;
use std::ops::{Deref, DerefMut};

const LINE: usize = 64;

#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Line([u8; LINE]);

/// A buffer of numbers that starts at a multiple of 64 bytes. It grows and never shrinks.
#[derive(Clone, Debug, Default)]
pub struct Aligned<T> {
    lines: Vec<Line>,
    len: usize,
    of: std::marker::PhantomData<T>,
}

impl<T: Real> Aligned<T> {
    /// Zeros.
    pub fn zeros(len: usize) -> Self {
        let mut this = Self { lines: Vec::new(), len: 0, of: std::marker::PhantomData };
        this.resize(len);
        this
    }
    /// Changes the length; what is in the buffer stays, new numbers are zero or what was there before.
    pub fn resize(&mut self, len: usize) {
        let lines = (len * size_of::<T>()).div_ceil(LINE);
        if lines > self.lines.len() {
            self.lines.resize(lines, Line([0; LINE]));
        }
        self.len = len;
    }
    /// Memory held, bytes.
    pub fn bytes(&self) -> usize {
        self.lines.capacity() * LINE
    }
}

impl<T: Real> Deref for Aligned<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        // SAFETY: the lines hold at least `len` numbers, which are floats, so any bits are valid
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl<T: Real> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}

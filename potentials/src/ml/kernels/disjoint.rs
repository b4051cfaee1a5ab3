//! A slice that tasks write in parts.
use std::marker::PhantomData;
use std::ops::Range;

/// A slice whose parts are written by different tasks, where the parts are ranges known only at run time.
#[derive(Clone, Copy)]
pub struct Disjoint<'a, T> {
    start: *mut T,
    len: usize,
    of: PhantomData<&'a mut [T]>,
}

// SAFETY: parts are handed out under the promise that no two tasks have the same
unsafe impl<T: Send> Send for Disjoint<'_, T> {}
// SAFETY: as above
unsafe impl<T: Send> Sync for Disjoint<'_, T> {}

impl<'a, T> Disjoint<'a, T> {
    /// Of a slice.
    pub fn new(slice: &'a mut [T]) -> Self {
        Self { start: slice.as_mut_ptr(), len: slice.len(), of: PhantomData }
    }
    /// A part.
    ///
    /// # Safety
    /// No number of the part may be in another part that is alive.
    ///
    /// # Panics
    /// When the range is not within the slice.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn part(&self, range: Range<usize>) -> &mut [T] {
        assert!(range.start <= range.end && range.end <= self.len);
        // SAFETY: within the slice; not shared, as the caller promises
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }
}

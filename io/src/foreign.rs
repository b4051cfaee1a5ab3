//! Panics of libraries that meet a damaged file become errors.
use crate::error::Fault;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `read`; a panic in it is an error that says what the library stumbled over. What the library was reading
/// with must not be used again afterwards.
pub(crate) fn guarded<T>(library: &str, read: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    quiet();
    let before = GUARDED.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(read));
    GUARDED.set(before);
    result.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given");
        Err(Fault::new(format!("the file is damaged or of another format ({library} failed: {text})")))
    })
}

/// Panics that become errors are not also printed.
fn quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !GUARDED.get() {
                print(info);
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error() {
        let fault = guarded("x", || -> Result<(), Fault> { panic!("at byte {}", 7) }).unwrap_err();
        assert!(fault.message.contains("x failed: at byte 7"), "{}", fault.message);
        assert_eq!(guarded("x", || Ok(3)).unwrap(), 3);
    }
}

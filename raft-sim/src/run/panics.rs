//! A panic as a finding: caught, quiet, with its place.

use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::Once;

thread_local! {
    static CATCHING: Cell<bool> = const { Cell::new(false) };
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `body`; if it panics, its message and the place, as one line.
///
/// The first call puts a hook before that of the process. A panic for which nobody waits here is
/// reported as it was without the hook.
pub(crate) fn caught<T>(body: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if CATCHING.get() {
                LAST.replace(Some(sentence(info)));
            } else {
                before(info);
            }
        }));
    });
    let outer = CATCHING.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(body));
    CATCHING.set(outer);
    result.map_err(|_| LAST.take().unwrap_or_else(|| "a panic without a word".to_owned()))
}

fn sentence(info: &PanicHookInfo<'_>) -> String {
    let payload = info.payload();
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let words = text.or_else(|| payload.downcast_ref::<&str>().copied());
    let words = words.unwrap_or("a panic without words");
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    info.location().map_or(words.clone(), |at| format!("{words} ({}:{})", at.file(), at.line()))
}

#[cfg(test)]
mod tests {
    use super::caught;

    #[test]
    fn a_panic_is_reported_with_its_place() {
        assert_eq!(caught(|| 7), Ok(7));
        let said = caught(|| panic!("the log\n   ends {}", 3)).expect_err("it panics");
        assert!(said.starts_with("the log ends 3 ("), "{said}");
        assert!(said.contains("panics.rs:"), "{said}");
        assert_eq!(caught(|| caught(|| panic!("inside")).is_err()), Ok(true));
    }
}

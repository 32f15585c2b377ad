//! Standard output. A reader that goes away (`| head`) is no error and no panic: the command goes
//! on, because what it does matters more than who watches. Any other failure, a full disk say, is
//! remembered and fails the command at its end.

use std::{
    fmt,
    io::{ErrorKind, Write},
    sync::Mutex,
};

static FAILED: Mutex<Option<String>> = Mutex::new(None);

/// Writes; see [`say!`].
pub fn write(text: fmt::Arguments<'_>) {
    let done = std::io::stdout().lock().write_fmt(text);
    if let Err(error) = done.and_then(|()| std::io::stdout().flush()) {
        if error.kind() == ErrorKind::BrokenPipe {
            return;
        }
        if let Ok(mut failed) = FAILED.lock() {
            failed.get_or_insert_with(|| error.to_string());
        }
    }
}

/// What went wrong while writing, if anything did.
pub fn failure() -> Option<String> {
    FAILED.lock().ok().and_then(|failed| failed.clone())
}

/// `println!` that never panics.
macro_rules! say {
    ($($text:tt)*) => {
        $crate::out::write(format_args!("{}\n", format_args!($($text)*)))
    };
}
pub(crate) use say;

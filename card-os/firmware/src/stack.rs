//! How deep the stack went: painted at the start, looked at later.

use core::ptr::{addr_of, read_volatile, write_volatile};

const PAINT: u32 = 0x5AC3_5AC3;

unsafe extern "C" {
    static __euninit: u32;
    static _stack_start: u32;
}

fn bounds() -> (*mut u32, *mut u32) {
    (
        addr_of!(__euninit).cast_mut(),
        addr_of!(_stack_start).cast_mut(),
    )
}

/// Paints what lies between the last variable and the stack as it is now.
pub fn paint() {
    let (mut at, _) = bounds();
    let here = cortex_m::register::msp::read() as *mut u32;
    while at.wrapping_add(32) < here {
        // SAFETY: RAM below the stack pointer and behind every variable, used by nobody yet.
        unsafe { write_volatile(at, PAINT) };
        at = at.wrapping_add(1);
    }
}

/// Bytes of stack used at most since [`paint`].
pub fn deepest() -> u32 {
    let (mut at, top) = bounds();
    // SAFETY: reads RAM between the last variable and the top of the stack.
    while at < top && unsafe { read_volatile(at) } == PAINT {
        at = at.wrapping_add(1);
    }
    (top as u32).wrapping_sub(at as u32)
}

//! What the operating system is asked for so that keys stay in memory: no core dump, no debugger, no
//! page on the swap device. Keys themselves are wiped when they are dropped.

use zeroize::Zeroize;

/// Wipes what the calls made since left of keys on the stack, when it is dropped: keys are wiped
/// where they lie, but every move of one leaves a copy.
pub(crate) struct WipeStack;

/// More than the calls below any call of the HSM take; measured by the test that looks for keys.
const STACK: usize = 32 * 1024;

impl Drop for WipeStack {
    fn drop(&mut self) {
        wipe();
    }
}

#[inline(never)]
fn wipe() {
    [0u8; STACK].zeroize();
}

/// What was granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protection {
    /// A crash leaves no core, and no process of the same user can read this one's memory.
    pub undumpable: bool,
    /// No page is ever written to swap.
    pub locked: bool,
}

impl Protection {
    /// What an operator has to do about what was not granted.
    pub fn advice(self) -> Option<&'static str> {
        if !self.undumpable {
            return Some("this system can write keys into core dumps: run the HSM on Linux");
        }
        (!self.locked).then_some(
            "keys may be written to swap: give the service LimitMEMLOCK=infinity, or turn swap off",
        )
    }
}

/// Protects this process for the rest of its life.
#[cfg(target_os = "linux")]
pub fn protect() -> Protection {
    use rustix::{
        mm::{MlockAllFlags, mlockall},
        process::{
            DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit,
        },
    };
    let limit = |value| Rlimit {
        current: value,
        maximum: value,
    };
    let no_core = setrlimit(Resource::Core, limit(Some(0))).is_ok();
    let undumpable = set_dumpable_behavior(DumpableBehavior::NotDumpable).is_ok();
    // Under a limit, locking all pages to come would let an allocation fail some day, which ends the
    // process. So it is all or nothing; raising the limit takes privilege or an unlimited maximum.
    let _ = setrlimit(Resource::Memlock, limit(None));
    let unlimited = getrlimit(Resource::Memlock).current.is_none();
    // Pages are locked when they are first used, not a whole stack for every thread.
    let all = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
    let locked = unlimited && mlockall(all).is_ok();
    Protection {
        undumpable: no_core && undumpable,
        locked,
    }
}

/// Protects this process for the rest of its life.
#[cfg(not(target_os = "linux"))]
pub fn protect() -> Protection {
    Protection {
        undumpable: false,
        locked: false,
    }
}

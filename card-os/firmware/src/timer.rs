//! CMSDK timer 0, counting down with the system clock. Under `-icount` its ticks are exact and
//! repeatable; the host learns from a calibration how many instructions a tick is.

const BASE: usize = 0x5000_0000;
const CONTROL: *mut u32 = BASE as *mut u32;
const VALUE: *mut u32 = (BASE + 4) as *mut u32;
const RELOAD: *mut u32 = (BASE + 8) as *mut u32;

pub fn start() {
    // SAFETY: the registers of a peripheral that only this module touches.
    unsafe {
        RELOAD.write_volatile(u32::MAX);
        VALUE.write_volatile(u32::MAX);
        CONTROL.write_volatile(1);
    }
}

pub fn now() -> u32 {
    // SAFETY: as above.
    unsafe { VALUE.read_volatile() }
}

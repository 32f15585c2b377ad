//! CMSDK APB UART 0 of the mps2-an505, polled.

const BASE: usize = 0x5020_0000;
const DATA: *mut u32 = BASE as *mut u32;
const STATE: *const u32 = (BASE + 4) as *const u32;
const CONTROL: *mut u32 = (BASE + 8) as *mut u32;
const DIVIDER: *mut u32 = (BASE + 16) as *mut u32;

const TX_FULL: u32 = 1;
const RX_FULL: u32 = 2;

pub fn start() {
    // SAFETY: the registers of a peripheral that only this module touches.
    unsafe {
        DIVIDER.write_volatile(16);
        CONTROL.write_volatile(3);
    }
}

pub fn get() -> u8 {
    // SAFETY: as above.
    unsafe {
        while STATE.read_volatile() & RX_FULL == 0 {}
        DATA.read_volatile() as u8
    }
}

pub fn put(byte: u8) {
    // SAFETY: as above.
    unsafe {
        while STATE.read_volatile() & TX_FULL != 0 {}
        DATA.write_volatile(byte.into());
    }
}

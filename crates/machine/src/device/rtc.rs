//! Goldfish real-time clock: nanoseconds since 1970, with one alarm. Its time is the guest clock and an
//! offset that comes from outside at boot.

use serde::{Deserialize, Serialize};

/// Nanoseconds in a tick of the guest clock.
const NS_PER_TICK: u64 = 1_000_000_000 / crate::TICKS_PER_SECOND;

const TIME_LOW: u64 = 0x00;
const TIME_HIGH: u64 = 0x04;
const ALARM_LOW: u64 = 0x08;
const ALARM_HIGH: u64 = 0x0c;
const IRQ_ENABLED: u64 = 0x10;
const CLEAR_ALARM: u64 = 0x14;
const ALARM_STATUS: u64 = 0x18;
const CLEAR_INTERRUPT: u64 = 0x1c;

/// The clock's registers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rtc {
    /// Time when the guest clock was 0, in nanoseconds, modulo 2⁶⁴.
    offset_ns: u64,
    /// High half of the time, as of the last read of the low half.
    time_high: u32,
    alarm_ns: u64,
    /// The tick at which the running alarm goes off.
    alarm_tick: Option<u64>,
    irq_enabled: bool,
    irq_pending: bool,
}

impl Rtc {
    /// A clock that shows `epoch_ns` when the guest clock is 0.
    pub(crate) fn new(epoch_ns: u64) -> Rtc {
        Rtc {
            offset_ns: epoch_ns,
            ..Rtc::default()
        }
    }

    fn time_ns(&self, now: u64) -> u64 {
        now.wrapping_mul(NS_PER_TICK).wrapping_add(self.offset_ns)
    }

    /// Lets the alarm go off if it is due at `now`.
    pub(crate) fn advance(&mut self, now: u64) {
        if self.alarm_tick.is_some_and(|tick| tick <= now) {
            self.alarm_tick = None;
            self.irq_pending = true;
        }
    }

    /// The tick at which the alarm goes off.
    pub(crate) fn deadline(&self) -> Option<u64> {
        self.alarm_tick
    }

    /// Level of the interrupt line.
    pub(crate) fn line(&self) -> bool {
        self.irq_enabled && self.irq_pending
    }

    /// Reads a register; absent ones are 0.
    pub(crate) fn load(&mut self, offset: u64, now: u64) -> u32 {
        match offset {
            TIME_LOW => {
                let time = self.time_ns(now);
                self.time_high = (time >> 32) as u32;
                time as u32
            }
            TIME_HIGH => self.time_high,
            ALARM_LOW => self.alarm_ns as u32,
            ALARM_HIGH => (self.alarm_ns >> 32) as u32,
            IRQ_ENABLED => u32::from(self.irq_enabled),
            ALARM_STATUS => u32::from(self.alarm_tick.is_some()),
            _ => 0,
        }
    }

    /// Writes a register; absent ones ignore it. A running alarm keeps its instant when the time is set.
    pub(crate) fn store(&mut self, offset: u64, value: u32, now: u64) {
        let value = u64::from(value);
        let time = self.time_ns(now);
        let set_low = |old: u64| (old & !0xffff_ffff) | value;
        let set_high = |old: u64| (old & 0xffff_ffff) | (value << 32);
        let moved = |offset_ns: u64, new: u64| offset_ns.wrapping_add(new.wrapping_sub(time));
        match offset {
            TIME_LOW => self.offset_ns = moved(self.offset_ns, set_low(time)),
            TIME_HIGH => self.offset_ns = moved(self.offset_ns, set_high(time)),
            ALARM_LOW => {
                self.alarm_ns = set_low(self.alarm_ns);
                let wait_ns = self.alarm_ns.saturating_sub(time);
                if wait_ns == 0 {
                    self.alarm_tick = None;
                    self.irq_pending = true;
                } else {
                    self.alarm_tick = now.checked_add(wait_ns.div_ceil(NS_PER_TICK));
                }
            }
            ALARM_HIGH => self.alarm_ns = set_high(self.alarm_ns),
            IRQ_ENABLED => self.irq_enabled = value & 1 != 0,
            CLEAR_ALARM => self.alarm_tick = None,
            CLEAR_INTERRUPT => self.irq_pending = false,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(rtc: &mut Rtc, now: u64) -> u64 {
        let low = rtc.load(TIME_LOW, now);
        u64::from(low) | u64::from(rtc.load(TIME_HIGH, now)) << 32
    }

    fn set_alarm(rtc: &mut Rtc, ns: u64, now: u64) {
        rtc.store(ALARM_HIGH, (ns >> 32) as u32, now);
        rtc.store(ALARM_LOW, ns as u32, now);
    }

    #[test]
    fn time_is_the_guest_clock() {
        let mut rtc = Rtc::new(1_700_000_000_000_000_000);
        assert_eq!(read(&mut rtc, 0), 1_700_000_000_000_000_000);
        assert_eq!(read(&mut rtc, 10_000_000), 1_700_000_001_000_000_000);
        rtc.store(TIME_HIGH, 0, 5);
        rtc.store(TIME_LOW, 1000, 5);
        assert_eq!(read(&mut rtc, 6), 1100);
    }

    #[test]
    fn alarm() {
        let mut rtc = Rtc::new(0);
        rtc.store(IRQ_ENABLED, 1, 0);
        set_alarm(&mut rtc, 1001, 0);
        assert_eq!(rtc.load(ALARM_STATUS, 0), 1);
        assert_eq!(rtc.deadline(), Some(11));
        rtc.advance(10);
        assert!(!rtc.line());
        rtc.advance(11);
        assert!(rtc.line());
        assert_eq!(rtc.load(ALARM_STATUS, 11), 0);
        rtc.store(CLEAR_INTERRUPT, 1, 11);
        assert!(!rtc.line());
        // In the past: at once. Cleared before it is due: never.
        set_alarm(&mut rtc, 5, 11);
        assert!(rtc.line());
        rtc.store(CLEAR_INTERRUPT, 1, 11);
        set_alarm(&mut rtc, u64::MAX, 11);
        assert!(rtc.deadline().is_some());
        rtc.store(CLEAR_ALARM, 0, 11);
        assert_eq!(rtc.deadline(), None);
    }
}

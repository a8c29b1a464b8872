//! What is counted: latencies in a log-linear histogram, and per receiver the order of sequence numbers.

use std::collections::BTreeSet;

/// Sub-buckets per power of two: at most 1.6 % error.
const STEPS: u64 = 64;
const STEPS_LOG2: u32 = 6;

/// Nanoseconds, counted in buckets.
#[derive(Clone)]
pub(crate) struct Histogram {
    buckets: Vec<u64>,
    count: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: vec![0; (STEPS * 42) as usize], count: 0 }
    }
}

impl Histogram {
    pub(crate) fn record(&mut self, ns: u64) {
        let shift = (64 - ns.leading_zeros()).saturating_sub(STEPS_LOG2 + 1);
        let index = u64::from(shift) * STEPS + (ns >> shift);
        let last = self.buckets.len() - 1;
        if let Some(bucket) = self.buckets.get_mut((index as usize).min(last)) {
            *bucket += 1;
            self.count += 1;
        }
    }

    /// Takes over all records of another.
    pub(crate) fn add(&mut self, other: &Self) {
        for (sum, count) in self.buckets.iter_mut().zip(&other.buckets) {
            *sum += count;
        }
        self.count += other.count;
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The value below which the share `q` (0..=1) of all records lies, in milliseconds; NaN if empty.
    pub(crate) fn quantile_ms(&self, q: f64) -> f64 {
        let wanted = (self.count as f64 * q).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (index, bucket) in self.buckets.iter().enumerate() {
            seen += bucket;
            if seen >= wanted {
                return Self::middle_ns(index as u64) / 1e6;
            }
        }
        f64::NAN
    }

    fn middle_ns(index: u64) -> f64 {
        if index < 2 * STEPS {
            return index as f64;
        }
        let shift = index / STEPS - 1;
        let mantissa = (index - shift * STEPS) as f64;
        (mantissa + 0.5) * 2_f64.powi(shift as i32)
    }
}

/// Checks that one receiver sees every sequence number of its room once and in order.
#[derive(Default)]
pub(crate) struct Order {
    next: Option<u64>,
    /// Skipped so far; what comes later than its successor is reordered, what never comes is lost.
    missing: BTreeSet<u64>,
    pub(crate) doubled: u64,
    pub(crate) reordered: u64,
}

impl Order {
    /// Starts after `head`, the room's last sequence number at subscription.
    pub(crate) fn start_after(&mut self, head: u64) {
        self.next = Some(head + 1);
    }

    /// Takes note of a number; false if it had been seen before.
    pub(crate) fn see(&mut self, seq: u64) -> bool {
        let next = self.next.unwrap_or(seq);
        if seq == next {
            self.next = Some(seq + 1);
        } else if seq > next {
            self.missing.extend(next..seq.min(next + 1_000_000));
            self.next = Some(seq + 1);
        } else if self.missing.remove(&seq) {
            self.reordered += 1;
        } else {
            self.doubled += 1;
            return false;
        }
        true
    }

    /// Numbers skipped and never seen.
    pub(crate) fn skipped(&self) -> u64 {
        self.missing.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_two_percent() {
        let mut histogram = Histogram::default();
        for us in 1..=10_000 {
            histogram.record(us * 1_000);
        }
        assert!((histogram.quantile_ms(0.5) - 5.0).abs() < 0.1);
        assert!((histogram.quantile_ms(0.99) - 9.9).abs() < 0.2);
        assert_eq!(histogram.count(), 10_000);
        assert!(Histogram::default().quantile_ms(0.5).is_nan());
    }

    #[test]
    fn order_tells_lost_doubled_and_reordered_apart() {
        let mut order = Order::default();
        order.start_after(0);
        let fresh = [1, 2, 5, 4, 2, 6, 8].map(|seq| order.see(seq));
        assert_eq!(fresh, [true, true, true, true, false, true, true]);
        assert_eq!((order.skipped(), order.doubled, order.reordered), (2, 1, 1));
    }
}

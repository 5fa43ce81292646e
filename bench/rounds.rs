//! Alternating measurements: what disturbs one side for seconds disturbs the other as well.

use std::time::Duration;

use crate::report::milliseconds;

/// The times of both sides, round by round.
#[derive(Debug, Default)]
pub(crate) struct Rounds {
    bare: Vec<Duration>,
    karat: Vec<Duration>,
}

impl Rounds {
    pub(crate) fn add(&mut self, bare: Duration, karat: Duration) {
        self.bare.push(bare);
        self.karat.push(karat);
    }

    /// The median over the rounds of Karat's time divided by the bare time of the same round.
    pub(crate) fn ratio(&self) -> f64 {
        median(self.ratios())
    }

    /// Both medians and the spread of the ratios, in words.
    pub(crate) fn detail(&self) -> String {
        let ratios = self.ratios();
        let smallest = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let largest = ratios.iter().copied().fold(0.0, f64::max);
        format!(
            "karat {}, bare {}; {} rounds, {smallest:.2} to {largest:.2}",
            milliseconds(median_duration(&self.karat)),
            milliseconds(median_duration(&self.bare)),
            ratios.len(),
        )
    }

    fn ratios(&self) -> Vec<f64> {
        self.bare.iter().zip(&self.karat).map(|(bare, karat)| karat.as_secs_f64() / bare.as_secs_f64()).collect()
    }
}

/// The middle value; the upper one of two.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The middle duration.
pub(crate) fn median_duration(durations: &[Duration]) -> Duration {
    let mut durations = durations.to_vec();
    durations.sort_unstable();
    durations.get(durations.len() / 2).copied().unwrap_or_default()
}

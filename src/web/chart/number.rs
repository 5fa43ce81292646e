//! Numbers as people write them.

use crate::web::language::Language;

/// What a number counts, and so how it is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unit {
    /// Things, or anything without a unit: `1 234` and `0.25`.
    #[default]
    Count,
    /// A share between 0 and 1: `12.5 %`.
    Share,
    /// Seconds: `0.4 s`, `3 min 20 s`, `2 h 5 min`.
    Seconds,
    /// Bytes: `1.5 MB`.
    Bytes,
}

impl Unit {
    /// The number in full.
    #[must_use]
    pub fn write(self, value: f64, language: Language) -> String {
        match self {
            Self::Count => decimal(value, 2, language),
            Self::Share => format!("{}\u{202f}%", decimal(value * 100.0, 1, language)),
            Self::Seconds => seconds(value, language),
            Self::Bytes => scaled(value, &BYTES, language),
        }
    }

    /// The number in few characters, for an axis: `12k`.
    #[must_use]
    pub fn short(self, value: f64, language: Language) -> String {
        match self {
            Self::Count if value.abs() >= 10_000.0 => scaled(value, &THOUSANDS, language),
            Self::Count => decimal(value, 6, language),
            Self::Share => format!("{}\u{202f}%", decimal(value * 100.0, 6, language)),
            Self::Seconds | Self::Bytes => self.write(value, language),
        }
    }

    /// The steps between two marks of an axis that read well, for marks at least `least` apart.
    pub(super) fn step(self, least: f64) -> f64 {
        const SECONDS: [f64; 16] = [
            1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 21600.0, 43200.0,
        ];
        if self == Self::Seconds && least > 0.5 {
            if let Some(step) = SECONDS.into_iter().find(|step| *step >= least) {
                return step;
            }
            return round_step(least / 86_400.0) * 86_400.0;
        }
        round_step(least)
    }
}

/// The smallest of 1, 2, 2.5 and 5 times a power of ten that is not below `least`.
pub(super) fn round_step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|step| *step >= least).unwrap_or(least)
}

const THOUSANDS: [(f64, &str); 3] = [(1e9, "G"), (1e6, "M"), (1e3, "k")];
const BYTES: [(f64, &str); 5] =
    [(1e12, "\u{202f}TB"), (1e9, "\u{202f}GB"), (1e6, "\u{202f}MB"), (1e3, "\u{202f}kB"), (1.0, "\u{202f}B")];

fn scaled(value: f64, scales: &[(f64, &str)], language: Language) -> String {
    let scale = scales.iter().find(|(factor, _)| value.abs() >= *factor).or(scales.last());
    let (factor, suffix) = scale.copied().unwrap_or((1.0, ""));
    format!("{}{suffix}", decimal(value / factor, 2, language))
}

fn seconds(value: f64, language: Language) -> String {
    let magnitude = value.abs();
    if magnitude < 0.9995 && magnitude > 0.0 {
        return format!("{}\u{202f}ms", decimal(value * 1000.0, 0, language));
    }
    if magnitude < 60.0 {
        return format!("{}\u{202f}s", decimal(value, 1, language));
    }
    let sign = if value < 0.0 { "\u{2212}" } else { "" };
    let whole = magnitude.round();
    let (large, small) = if whole < 3600.0 {
        ((60.0, "min"), (1.0, "s"))
    } else if whole < 86_400.0 {
        ((3600.0, "h"), (60.0, "min"))
    } else {
        ((86_400.0, language.pick("d", "T")), (3600.0, "h"))
    };
    let first = (whole / large.0).floor();
    let rest = ((whole - first * large.0) / small.0).floor();
    if rest == 0.0 {
        return format!("{sign}{first}\u{202f}{}", large.1);
    }
    format!("{sign}{first}\u{202f}{} {rest}\u{202f}{}", large.1, small.1)
}

/// With at most so many decimals, thousands apart.
#[must_use]
pub fn decimal(value: f64, decimals: usize, language: Language) -> String {
    if !value.is_finite() {
        return "\u{2013}".to_owned();
    }
    let text = format!("{:.decimals$}", value.abs());
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let fraction = fraction.trim_end_matches('0');
    let point = language.pick(".", ",");
    let mut written = String::new();
    if value < 0.0 && text.bytes().any(|byte| matches!(byte, b'1'..=b'9')) {
        written.push('\u{2212}');
    }
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            written.push('\u{202f}');
        }
        written.push(digit);
    }
    if !fraction.is_empty() {
        written.push_str(point);
        written.push_str(fraction);
    }
    written
}

//! Which errors of an asset are worth another attempt.

use std::io;

use karat::asset::error::{AssetError, RowError, is_retryable_sqlstate};

#[test]
fn what_passes_is_retryable_and_what_is_wrong_is_not() {
    for code in ["08006", "08P01", "40001", "40P01", "53100", "53300", "55P03", "57P01", "57P02", "57P03"] {
        assert!(is_retryable_sqlstate(code), "{code}");
    }
    for code in ["22012", "23505", "25P02", "40000", "42601", "42P01", "57014", "57P04", "XX000"] {
        assert!(!is_retryable_sqlstate(code), "{code}");
    }
    assert!(AssetError::from(io::Error::from(io::ErrorKind::ConnectionReset)).is_retryable());
    assert!(AssetError::from(sqlx::Error::PoolTimedOut).is_retryable());
    assert!(AssetError::from(sqlx::Error::Io(io::Error::other("gone"))).is_retryable());
    assert!(!AssetError::from(sqlx::Error::RowNotFound).is_retryable());
    assert!(!AssetError::from(serde_json::from_str::<i32>("x").unwrap_err()).is_retryable());
}

#[test]
fn an_asset_can_say_it_itself() {
    assert!(AssetError::retryable("the feed answers 503").is_retryable());
    let fatal = AssetError::fatal(io::Error::other("the file is damaged"));
    assert!(!fatal.is_retryable() && !fatal.is_cancelled());
    assert!(AssetError::cancelled().is_cancelled() && !AssetError::cancelled().is_retryable());
}

#[test]
fn context_around_an_error_does_not_hide_what_it_is() {
    let passing = anyhow::Error::new(sqlx::Error::PoolTimedOut).context("reading the names");
    assert!(AssetError::from(passing).is_retryable());
    let asset = anyhow::Error::new(AssetError::retryable("busy")).context("asking the server");
    assert!(AssetError::from(asset).is_retryable());
    let wrong = anyhow::anyhow!("seven is no colour").context("reading the names");
    assert!(!AssetError::from(wrong).is_retryable());
}

#[test]
fn a_report_tells_every_cause_once() {
    let error = AssetError::from(anyhow::anyhow!("seven is no colour").context("reading the names"));
    assert_eq!(error.to_string(), "reading the names: seven is no colour");
    let row = RowError { asset: "a.b".to_owned(), row_number: 3, column: "c", reason: "too long".to_owned() };
    assert_eq!(AssetError::from(row).to_string(), "row 3 of a.b, column `c`: too long");
}

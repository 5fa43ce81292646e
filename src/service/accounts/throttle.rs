//! How long the next login has to wait.

use std::net::IpAddr;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::store::login::LoginCounter;

/// Wrong passwords of one account before the next login has to wait, and the longest wait: short, because whoever tries
/// passwords makes the account's owner wait too.
const ACCOUNT: (i32, Duration) = (5, Duration::from_secs(60));

/// The same of one address.
const ADDRESS: (i32, Duration) = (20, Duration::from_secs(15 * 60));

/// How long after the last of them failures are forgotten.
pub(super) const FORGOTTEN_AFTER: Duration = Duration::from_secs(3_600);

/// A second after so many failures, twice as long with each further one, never longer than the longest.
fn wait((free, longest): (i32, Duration), failures: i32) -> Duration {
    match u32::try_from(failures - free) {
        Ok(further) => Duration::from_secs(1_u64.checked_shl(further).unwrap_or(u64::MAX)).min(longest),
        Err(_) => Duration::ZERO,
    }
}

/// The failures of an account, whether there is one of this name or not.
pub(super) fn of_account(name: &str) -> LoginCounter {
    LoginCounter { subject_hash: subject("account", name), wait: |failures| wait(ACCOUNT, failures) }
}

/// The failures from an address; of the sixth version's from its network, which is one customer's.
pub(super) fn of_address(address: IpAddr) -> LoginCounter {
    let text = match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("{:x?}", &address.segments()[..4]),
    };
    LoginCounter { subject_hash: subject("address", &text), wait: |failures| wait(ADDRESS, failures) }
}

fn subject(kind: &str, text: &str) -> Vec<u8> {
    Sha256::digest(format!("{kind} {text}").as_bytes()).to_vec()
}

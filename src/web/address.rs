//! Addresses with a query.

use std::fmt::Write;

/// `path` with these parameters; those without a value are left out.
pub(super) fn address<'p>(path: &str, parameters: impl IntoIterator<Item = (&'p str, &'p str)>) -> String {
    let mut address = path.to_owned();
    let mut sign = '?';
    for (name, value) in parameters.into_iter().filter(|(_, value)| !value.is_empty()) {
        address.push(sign);
        encode(&mut address, name);
        address.push('=');
        encode(&mut address, value);
        sign = '&';
    }
    address
}

fn encode(address: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => address.push(char::from(byte)),
            // Writing to a text does not fail.
            _ => drop(write!(address, "%{byte:02X}")),
        }
    }
}
